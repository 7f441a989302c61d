"""The data a question about models is asked on: inputs, and whatever ground truth is known about them.

Every example carries a key, a hash of its input. Subsamples, augmentation strengths, noise and jackknife groups
are derived from keys and never from positions, so that the order of the examples changes no number.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Float64, UInt64

from learnt.core.errors import InputError, NonFiniteError, ShapeError

if TYPE_CHECKING:
    from learnt.core.subject import Subject


@dataclass(frozen=True, eq=False, kw_only=True)
class Conflict:
    """Images whose shape says one class and whose texture says another (Geirhos et al. 2019).

    Attributes:
        inputs: (n, C, H, W).
        shape, texture: (n,) int64 class indices; never equal.
    """

    inputs: torch.Tensor
    shape: torch.Tensor
    texture: torch.Tensor


@dataclass(frozen=True, eq=False, kw_only=True)
class Examples:
    """A finite set of examples with optional ground truth.

    Attributes:
        inputs: (n, ...) floating point (or int64 tokens).
        labels: (n,) int64 class indices, or (n,) float targets for regression, or None.
        classes: names of the classes, () if unknown or regression.
        name: shown in reports.
        masks: (n, H, W) bool, True on the object that decides the label, or None.
        domains: the same task under a named shift; each value is an `Examples` of its own.
        conflict: cue-conflict images, or None.
        low, high: range of valid input values (pixels), None if inputs are not bounded (no attack is made then).
        factors: (n,) known generating factors by name.

    Raises:
        InputError, ShapeError, NonFiniteError: on empty data, unequal lengths, NaN or infinity.
    """

    inputs: torch.Tensor
    labels: torch.Tensor | None = None
    classes: tuple[str, ...] = ()
    name: str = "data"
    masks: torch.Tensor | None = None
    domains: Mapping[str, Examples] = field(default_factory=dict)
    conflict: Conflict | None = None
    low: float | None = None
    high: float | None = None
    factors: Mapping[str, torch.Tensor] = field(default_factory=dict)

    def __post_init__(self) -> None:
        n = len(self.inputs) if self.inputs.ndim else 0
        if n == 0:
            raise InputError(f"{self.name}.inputs", found="no examples", expected="at least one example")
        check_finite(self.inputs, f"{self.name}.inputs")
        for what, values in (("labels", self.labels), ("masks", self.masks), *self.factors.items()):
            if values is not None and len(values) != n:
                raise ShapeError(
                    f"{self.name}.{what}", found=f"{len(values)} entries", expected=f"{n}, one for each input"
                )
        if self.labels is not None:
            check_finite(self.labels, f"{self.name}.labels")
            if self.labels.ndim != 1:
                raise ShapeError(
                    f"{self.name}.labels",
                    found=f"shape {tuple(self.labels.shape)}",
                    expected=f"({n},), one class index an example",
                )
            if not self.labels.is_floating_point() and int(self.labels.min()) < 0:
                raise InputError(f"{self.name}.labels", found="a negative class index", expected="indices from 0")
            if self.classes and not self.labels.is_floating_point() and int(self.labels.max()) >= len(self.classes):
                raise InputError(
                    f"{self.name}.labels",
                    found=f"class index {int(self.labels.max())}",
                    expected=f"indices below {len(self.classes)}, the number of class names",
                )

    def __len__(self) -> int:
        return len(self.inputs)

    @property
    def size(self) -> int:
        """Number of examples."""
        return len(self.inputs)

    @property
    def is_classification(self) -> bool:
        """Whether the labels are class indices."""
        return self.labels is not None and not self.labels.is_floating_point()

    @property
    def is_images(self) -> bool:
        """Whether inputs are (n, C, H, W) floating point."""
        return self.inputs.ndim == 4 and self.inputs.is_floating_point()

    @cached_property
    def keys(self) -> np.ndarray:
        """(n,) uint64: hash of each input's values, independent of order, labels and batch size."""
        rows = np.ascontiguousarray(self.inputs.detach().cpu().float().numpy())
        digests = [hashlib.blake2b(row.tobytes(), digest_size=8).digest() for row in rows]
        return np.frombuffer(b"".join(digests), dtype=np.uint64)

    def take(self, index: Sequence[int] | np.ndarray | torch.Tensor) -> Examples:
        """The examples at `index`, with everything known about them (domains of equal length follow along)."""
        chosen = torch.as_tensor(np.asarray(index), dtype=torch.int64)
        return replace(
            self,
            inputs=self.inputs[chosen],
            labels=None if self.labels is None else self.labels[chosen],
            masks=None if self.masks is None else self.masks[chosen],
            factors={k: v[chosen] for k, v in self.factors.items()},
            domains={k: v.take(index) if len(v) == len(self) else v for k, v in self.domains.items()},
        )

    def subset(self, k: int | None, *, salt: int = 0) -> np.ndarray:
        """Positions of at most `k` examples chosen by key (the same ones whatever the order of the data)."""
        if k is None or k >= len(self):
            return np.arange(len(self))
        ranks = np.argsort(mix(self.keys, salt), kind="stable")
        return np.sort(ranks[:k])

    def subject(self, thing: Any, *, name: str, **options: Any) -> Subject:
        """The view of a model on these examples that measures work with (see `learnt.core.subject`)."""
        from learnt.core.subject import Subject

        return Subject(thing, self, name=name, **options)


def as_examples(data: Any, *, name: str = "data") -> Examples:
    """Take what people have: `Examples`, (inputs, labels), a tensor or array, or a map-style torch data set."""
    if isinstance(data, Examples):
        return data
    if isinstance(data, torch.utils.data.Dataset):
        return _from_dataset(data, name)
    if isinstance(data, (tuple, list)) and len(data) == 2 and not np.isscalar(data[0]):
        inputs, labels = data
        return Examples(inputs=_tensor(inputs, "inputs"), labels=_labels(labels), name=name)
    if isinstance(data, (torch.Tensor, np.ndarray)):
        return Examples(inputs=_tensor(data, "inputs"), name=name)
    raise InputError(
        "data",
        found=type(data).__name__,
        expected="Examples, a pair (inputs, labels), an array, a torch Dataset, or a TabularMDP for rewards",
    )


def _tensor(values: Any, name: str) -> torch.Tensor:
    try:
        tensor = torch.as_tensor(np.asarray(values) if not isinstance(values, torch.Tensor) else values).detach()
    except (TypeError, ValueError) as error:
        raise InputError(
            name, found=f"{type(values).__name__} that is not numeric", expected="a numeric array"
        ) from error
    if tensor.is_floating_point():
        return tensor.to(torch.get_default_dtype()) if tensor.dtype == torch.float64 else tensor
    return tensor if tensor.dtype == torch.int64 else tensor.to(torch.get_default_dtype())


def _labels(values: Any) -> torch.Tensor | None:
    if values is None:
        return None
    tensor = torch.as_tensor(np.asarray(values) if not isinstance(values, torch.Tensor) else values).detach()
    return tensor if tensor.is_floating_point() else tensor.to(torch.int64)


def _from_dataset(data: torch.utils.data.Dataset[Any], name: str) -> Examples:
    try:
        n = len(data)  # pyright: ignore[reportArgumentType]
    except TypeError as error:
        raise InputError(
            "data", found="a data set without a length", expected="a map-style Dataset with __len__"
        ) from error
    if n == 0:
        raise InputError("data", found="an empty data set", expected="at least one example")
    rows = [data[i] for i in range(n)]
    pairs = isinstance(rows[0], (tuple, list)) and len(rows[0]) >= 2
    inputs = torch.stack([torch.as_tensor(np.asarray(r[0] if pairs else r)) for r in rows])
    labels = torch.as_tensor(np.asarray([np.asarray(r[1]).item() for r in rows])) if pairs else None
    return Examples(inputs=_tensor(inputs, "inputs"), labels=_labels(labels), name=name)


def check_finite(values: torch.Tensor, name: str) -> None:
    """Raise NonFiniteError with the count and first index if `values` holds NaN or infinity."""
    if not values.is_floating_point() and not values.is_complex():
        return
    if bool(torch.isfinite(values.sum())):  # one pass; only a suspicious sum needs the full look
        return
    bad = ~torch.isfinite(values)
    count = int(bad.sum())
    if count:
        first = tuple(int(i) for i in bad.nonzero()[0])
        raise NonFiniteError(
            name,
            found=f"{count} values that are NaN or infinite, the first at index {first}",
            expected="finite numbers",
        )


def mix(keys: UInt64[np.ndarray, "*n"], salt: int) -> UInt64[np.ndarray, "*n"]:
    """(n,) uint64 -> (n,) uint64: splitmix64 finaliser of keys and a salt; a counter-based random stream."""
    with np.errstate(over="ignore"):
        z = keys + np.uint64((salt * 0x9E3779B97F4A7C15 + 0x9E3779B97F4A7C15) & 0xFFFFFFFFFFFFFFFF)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return z ^ (z >> np.uint64(31))


def uniform(keys: UInt64[np.ndarray, "*n"], salt: int) -> Float64[np.ndarray, "*n"]:
    """(n,) float64 in [0, 1): one uniform number per example that depends on its key and the salt only."""
    return (mix(keys, salt) >> np.uint64(11)).astype(np.float64) * 2.0**-53
