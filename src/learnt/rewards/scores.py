"""What do reward models say? Prompts, their responses, and the scores that models give them.

`Responses` is the data a question about reward models is asked on: n pairs of a prompt and a response. `ScoreTable`
adds the scores of one or more models. Files are read in `learnt.rewards.score_files`.

A prompt is the first state of a decision process, a whole response its only action: a contextual bandit. A reward that
is given step by step (process rewards, tokens) is summed to a return first (`sum_steps`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from learnt.core.errors import InputError, NonFiniteError, NotApplicable, ShapeError
from learnt.rewards._within import Layout, layout

Scorer = Callable[[Sequence[str], Sequence[str]], Any]


@dataclass(frozen=True, eq=False, kw_only=True)
class ScoreView:
    """The scores of one model on some responses, checked.

    Attributes:
        name: how reports call the model.
        scores: (n,) float64, read-only.
        resolution: differences this small beside the largest score are rounding noise: 1e-10, or 1e-5 for scores that
            came in single precision or less.
    """

    name: str
    scores: np.ndarray
    resolution: float


@dataclass(frozen=True, eq=False)
class Responses:
    """Prompts and their responses: what reward models are compared on.

    Args:
        groups: (n,) the prompt of each response: texts or whole numbers.
        prompts: (n,) texts of the prompts, for models that read them; empty if there are only scores.
        responses: (n,) texts or identifiers of the responses; numbered within each prompt if empty.
        length: (n,) lengths of the responses, for the length diagnostic.
        reference: (n,) weights of the responses, proportional to pi_ref(y|x) / q(y|x) for responses drawn from q; None
            if they were drawn from pi_ref itself.
        weights: weights of the prompts: by prompt, (P,) in the order in which prompts first appear, or (n,) constant
            within each prompt; None for equal ones.
        features: (n, ...) tensor that heads (`nn.Module`) are called with, for instance shared embeddings.
        name: shown in reports.

    Raises:
        ShapeError, InputError, NonFiniteError: lengths that differ, groups that are no identifiers, negative weights,
        or no prompt with two responses.
    """

    groups: Sequence[Any] | np.ndarray
    prompts: Sequence[str] = ()
    responses: Sequence[Any] = ()
    length: Any = None
    reference: Any = None
    weights: Any = None
    features: Any = None
    name: str = "responses"
    _codes: np.ndarray = field(init=False, repr=False)
    _ids: tuple[str, ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        ids = [identifier(x, "groups") for x in _listed(self.groups, "groups")]
        if not ids:
            raise InputError("groups", found="no responses", expected="one prompt a response")
        seen: dict[str, int] = {}
        codes = np.array([seen.setdefault(x, len(seen)) for x in ids], dtype=np.int64)
        n = len(ids)
        fields: dict[str, Any] = {"groups": tuple(ids), "_codes": codes, "_ids": tuple(seen)}
        for what in ("prompts", "responses"):
            texts = _listed(getattr(self, what), what)
            if texts and len(texts) != n:
                raise ShapeError(what, found=f"{len(texts)} entries", expected=f"{n}, one for each of the groups")
            fields[what] = tuple(str(x) for x in texts)
        for what in ("length", "reference"):
            values = getattr(self, what)
            fields[what] = None if values is None else as_scores(values, n, what)[0]
        if self.reference is not None and (fields["reference"] < 0).any():
            raise InputError("reference", found="a negative weight", expected="weights of 0 or more")
        fields["weights"] = None if self.weights is None else _prompt_weights(self.weights, codes, tuple(seen))
        if self.features is not None and len(self.features) != n:
            raise ShapeError("features", found=f"{len(self.features)} rows", expected=f"{n}, one a response")
        for key, value in fields.items():
            object.__setattr__(self, key, value)
        _ = self.layout  # refuses data on which nothing can be asked

    @cached_property
    def layout(self) -> Layout:
        """The rows sorted by prompt, without prompts that have a single response."""
        return layout(self._codes, len(self._ids), self.reference, self.weights)

    def __len__(self) -> int:
        return len(self._codes)

    @property
    def size(self) -> int:
        """Number of prompts with two responses or more: the units that are resampled."""
        return len(self.layout.prompts)

    @cached_property
    def keys(self) -> np.ndarray:
        """(P,) uint64 hashes of the prompts' identifiers, so that the order of the rows changes nothing."""
        ids = [self._ids[i].encode("utf-8", "surrogatepass") for i in self.layout.prompts]
        return np.frombuffer(b"".join(hashlib.blake2b(x, digest_size=8).digest() for x in ids), dtype=np.uint64)

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader must know: how many prompts were left out."""
        if not self.layout.dropped:
            return ()
        return (f"{self.layout.dropped} of {len(self._ids)} prompts have fewer than two responses and are left out",)

    def prompt(self, index: int) -> str:
        """Identifier of the prompt `index` of the layout."""
        return self._ids[int(self.layout.prompts[index])]

    def response(self, row: int) -> str:
        """Text or identifier of a row; its number within the prompt if there is none."""
        if self.responses:
            return self.responses[row]
        return str(int(np.sum(self._codes[:row] == self._codes[row])))

    def subject(self, thing: Any, *, name: str, **_: Any) -> ScoreView:
        """The checked scores of a thing: an array (n,), a head on `features`, or a function of prompts and responses.

        Raises:
            NotApplicable: a head without `features`, or a function without texts.
            ShapeError, InputError, NonFiniteError: not one finite number a response.
        """
        if isinstance(thing, ScoreView):
            return ScoreView(name=name, scores=as_scores(thing.scores, len(self), name)[0], resolution=thing.resolution)
        scores, resolution = as_scores(self._scored(thing, name), len(self), name)
        return ScoreView(name=name, scores=scores, resolution=resolution)

    def _scored(self, thing: Any, name: str) -> Any:
        if hasattr(thing, "__array__") or not callable(thing):
            return thing
        from torch import nn

        if isinstance(thing, nn.Module):
            if self.features is None:
                raise NotApplicable(
                    name, found=f"the module {type(thing).__name__}",
                    expected="responses with features to call it with",
                    remedy="Pass Responses(..., features=embeddings), or wrap a language model in TextScorer.",
                )  # fmt: skip
            return _head(thing, self.features)
        if not (self.prompts and self.responses):
            raise NotApplicable(
                name, found="a function, but no texts of prompts and responses", expected="Responses(groups, prompts, "
                "responses) with texts", remedy="Or score them yourself and pass the array.",
            )  # fmt: skip
        return thing(self.prompts, self.responses)


@dataclass(frozen=True, eq=False)
class ScoreTable:
    """Scores of one or more models for the same responses.

    Args:
        scores: by name of the model, (n,) numbers.
        responses: what was scored; or the groups alone, (n,) prompts.

    Raises:
        ShapeError, InputError, NonFiniteError: see `Responses`; also if there is no model.
    """

    scores: Mapping[str, Any]
    responses: Responses | Sequence[Any] | np.ndarray
    _views: Mapping[str, ScoreView] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        data = self.responses if isinstance(self.responses, Responses) else Responses(self.responses)
        if not isinstance(self.scores, Mapping) or not self.scores:
            found = "no model" if isinstance(self.scores, Mapping) else type(self.scores).__name__
            raise InputError("scores", found=found, expected="a mapping from names of models to arrays (n,)")
        views = {str(name): data.subject(given, name=f"scores[{name!r}]") for name, given in self.scores.items()}
        object.__setattr__(self, "responses", data)
        object.__setattr__(self, "scores", {name: view.scores for name, view in views.items()})
        object.__setattr__(self, "_views", views)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the models."""
        return tuple(self.scores)

    @property
    def data(self) -> Responses:
        """The responses that were scored."""
        return self.responses  # pyright: ignore[reportReturnType] (made one above)

    def view(self, name: str) -> ScoreView:
        """The checked scores of one model; raises InputError with the known names for another."""
        if name not in self._views:
            raise InputError("name", found=repr(name), expected=f"one of {', '.join(self._views)}")
        return replace(self._views[name], name=name)


def sum_steps(rewards: Any, owner: Any = None, *, discount: float = 1.0) -> np.ndarray:
    """Returns (n,) of rewards that are given step by step.

    Args:
        rewards: n sequences of numbers, one a response, each in the order of its steps; or one flat array (m,).
        owner: (m,) response 0 to n - 1 of each flat reward, the steps of one response in order; None for sequences.
        discount: factor a step, above 0 and at most 1.

    Raises:
        InputError, ShapeError, NonFiniteError: no responses, a response without steps, numbers that are none.
    """
    if not 0.0 < discount <= 1.0:
        raise InputError("discount", found=str(discount), expected="a number above 0 and at most 1")
    if owner is None:
        parts = [as_scores(x, None, f"rewards[{i}]")[0] for i, x in enumerate(rewards)]
        flat = np.concatenate(parts) if parts else np.empty(0)
        index = np.repeat(np.arange(len(parts)), [len(x) for x in parts])
        n = len(parts)
    else:
        flat, index = as_scores(rewards, None, "rewards")[0], np.asarray(owner)
        if index.shape != flat.shape or not np.issubdtype(index.dtype, np.integer) or (index < 0).any():
            raise ShapeError("owner", found=f"{index.dtype} of shape {index.shape}", expected=f"integers {flat.shape}")
        n = int(index.max()) + 1 if len(index) else 0
    steps = np.bincount(index, minlength=n)
    if n == 0 or not steps.all():
        found = "no responses" if n == 0 else f"response {int(np.flatnonzero(steps == 0)[0])} without steps"
        raise InputError("rewards", found=found, expected="at least one step for each response")
    if discount != 1.0:
        order = np.argsort(index, kind="stable")
        place = np.empty(len(flat))
        place[order] = np.arange(len(flat)) - np.repeat(np.cumsum(steps) - steps, steps)
        flat = flat * discount**place
    return np.bincount(index, weights=flat, minlength=n)


def as_scores(values: Any, n: int | None, name: str) -> tuple[np.ndarray, float]:
    """(n,) read-only float64 scores and their resolution, from arrays, tensors or lists of (n,) or (n, 1) numbers.

    Raises:
        InputError: not numbers (texts that look like numbers are texts). ShapeError: another shape.
        NonFiniteError: NaN or infinity, with the count and the first position.
    """
    if hasattr(values, "detach"):
        values = values.detach().cpu()
        values = values.float().numpy() if values.is_floating_point() and values.itemsize < 4 else values.numpy()
    try:
        array = np.asarray(values)
    except ValueError as error:
        raise ShapeError(name, found="rows of different lengths", expected="one number a response") from error
    if array.dtype.kind not in "iuf":
        kind = "texts" if array.dtype.kind in "US" else f"values of type {array.dtype}"
        raise InputError(name, found=kind, expected="numbers")
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 1 or (n is not None and len(array) != n):
        expected = "(n,), one number a step" if n is None else f"({n},), one score a response"
        raise ShapeError(name, found=f"shape {array.shape}", expected=expected, remedy="" if n is None else _HINT)
    out = array.astype(np.float64)
    bad = ~np.isfinite(out)
    if bad.any():
        raise NonFiniteError(
            name, found=f"{int(bad.sum())} values that are NaN or infinite, the first at index {int(bad.argmax())}",
            expected="finite numbers",
        )  # fmt: skip
    out.flags.writeable = False
    return out, 1e-5 if array.dtype.kind == "f" and array.dtype.itemsize < 8 else 1e-10


_HINT = "All models must have scored the same responses in the same order; give arrays, as a list means replicas."


def identifier(value: Any, where: str) -> str:
    """The text of an identifier: texts stay, whole numbers become their digits; raises InputError for anything else."""
    if isinstance(value, str):
        return value
    if isinstance(value, (int, np.integer)) and not isinstance(value, bool):
        return str(int(value))
    if isinstance(value, (float, np.floating)) and float(value).is_integer():
        return str(int(value))
    raise InputError(where, found=repr(value)[:80], expected="texts or whole numbers")


def _listed(values: Any, name: str) -> list[Any]:
    if hasattr(values, "detach"):
        values = values.detach().cpu().numpy()
    if isinstance(values, str) or not hasattr(values, "__len__"):
        raise InputError(name, found=type(values).__name__, expected="a sequence with one entry a response")
    if np.ndim(values) != 1 and len(values):
        raise ShapeError(name, found=f"shape {np.shape(values)}", expected="(n,), one entry a response")
    return values.tolist() if hasattr(values, "tolist") else list(values)


def _prompt_weights(given: Any, codes: np.ndarray, ids: tuple[str, ...]) -> np.ndarray:
    """(P,) weights, from a mapping by prompt, from (P,) numbers, or from (n,) that are constant within prompts."""
    if isinstance(given, Mapping):
        by_id = {identifier(key, "weights"): value for key, value in given.items()}
        missing = [x for x in ids if x not in by_id]
        if missing:
            raise InputError("weights", found=f"no weight for prompt {missing[0]!r}", expected="one for each prompt")
        weights = as_scores([by_id[x] for x in ids], len(ids), "weights")[0]
    elif np.shape(given) == (len(ids),):  # never n as well: then no prompt would have two responses
        weights = as_scores(given, len(ids), "weights")[0]
    else:
        rows = as_scores(given, len(codes), "weights")[0]
        first = np.unique(codes, return_index=True)[1]
        weights = rows[first]
        if (weights[codes] != rows).any():
            where = ids[int(codes[int((weights[codes] != rows).argmax())])]
            raise InputError(
                "weights", found=f"different weights within prompt {where!r}", expected="one weight a prompt",
                remedy="Weights of single responses are called reference.",
            )  # fmt: skip
    if (weights < 0).any():
        raise InputError("weights", found="a negative weight", expected="weights of 0 or more")
    return weights


def _head(module: Any, features: Any) -> Any:
    """What a module gives for features, in evaluation mode; the module is left as it was."""
    import torch

    modes = [(m, m.training) for m in module.modules()]
    like = next((t for t in (*module.parameters(), *module.buffers()) if t.is_floating_point()), None)
    inputs = torch.as_tensor(features)
    if like is not None:
        inputs = inputs.to(like.device, like.dtype if inputs.is_floating_point() else None)
    try:
        for m, _ in modes:
            m.training = False
        with torch.no_grad():
            return torch.cat([module(batch) for batch in inputs.split(1024)])
    finally:
        for m, was in modes:
            m.training = was
