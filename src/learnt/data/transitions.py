"""Sampled transitions of a decision process: what rewards are compared on where no table of probabilities exists.

    (s_i, a_i) -> s'_ik,   i < N, k < K

Points (s_i, a_i) say where rewards are compared (the coverage distribution); the K >= 1 successors of each are drawn
from the dynamics, independently of each other. One successor is enough where the dynamics are deterministic. Nothing
here needs a simulator: logged data are welcome, and need not be resettable.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from hashlib import sha256
from typing import Any

import numpy as np
import torch

from learnt.core.errors import InputError, ShapeError
from learnt.core.examples import check_finite


@dataclass(frozen=True, eq=False)
class Transitions:
    """Checked transitions with K successors each.

    Args:
        obs: (N, ...) observations s_i; real numbers, or integers that name states.
        act: (N, ...) actions a_i; integers for discrete ones.
        next_obs: (N, K, ...) successors s'_ik.
        terminated: (N, K) bool: nothing is earned after s'_ik. Not where an episode was merely cut off ("truncated").
            All False if None.
        weight: (N,) how much each point counts, not negative; all alike if None.
        episode: (N,) integer labels of the episodes that points come from; points of one episode depend on each other,
            and intervals take that into account. None for independent points.
        stochastic: whether the same state and action can lead to different successors; None if that is not known.

    Raises:
        ShapeError, InputError, NonFiniteError: on anything that is not such a table, with the argument's name.
    """

    obs: np.ndarray
    act: np.ndarray
    next_obs: np.ndarray
    terminated: Any = None
    weight: Any = None
    episode: Any = None
    stochastic: bool | None = None

    def __post_init__(self) -> None:
        obs, act, ahead = (_numbers(getattr(self, name), name) for name in ("obs", "act", "next_obs"))
        if obs.ndim < 1 or len(obs) == 0:
            raise ShapeError("obs", found=f"shape {obs.shape}", expected="(N, ...) with at least one transition")
        n = len(obs)
        if act.ndim < 1 or len(act) != n:
            raise ShapeError("act", found=f"shape {act.shape}", expected=f"({n}, ...), one action for each of obs")
        if ahead.ndim != obs.ndim + 1 or len(ahead) != n or ahead.shape[2:] != obs.shape[1:] or ahead.shape[1] == 0:
            raise ShapeError(
                "next_obs",
                found=f"shape {ahead.shape}",
                expected=f"({n}, K, {', '.join(map(str, obs.shape[1:])) or ''}) with K >= 1 successors of each point",
                remedy="For one successor each without that axis use Transitions.single.",
            )
        if (ahead.dtype.kind == "f") != (obs.dtype.kind == "f"):
            raise InputError("next_obs", found=f"dtype {ahead.dtype}", expected=f"that of obs, {obs.dtype}")
        k = ahead.shape[1]
        ended = np.zeros((n, k), dtype=bool) if self.terminated is None else np.array(self.terminated)
        if ended.shape != (n, k) or ended.dtype != bool:
            raise ShapeError(
                "terminated", found=f"{ended.dtype} of shape {ended.shape}", expected=f"bool of shape ({n}, {k})"
            )
        for name, values in (("obs", obs), ("act", act), ("next_obs", ahead), ("terminated", ended)):
            object.__setattr__(self, name, _frozen(values))
        if self.weight is not None:
            object.__setattr__(self, "weight", _frozen(_weights(self.weight, n)))
        if self.episode is not None:
            labels = np.array(self.episode)
            if labels.shape != (n,) or labels.dtype.kind not in "iu":
                raise ShapeError(
                    "episode", found=f"{labels.dtype} of shape {labels.shape}", expected=f"integers of shape ({n},)"
                )
            object.__setattr__(self, "episode", _frozen(labels))
        if self.stochastic is not None and not isinstance(self.stochastic, bool | np.bool_):
            raise InputError("stochastic", found=repr(self.stochastic), expected="True, False or None")

    @classmethod
    def single(cls, obs: Any, act: Any, next_obs: Any, terminated: Any = None, **rest: Any) -> Transitions:
        """Transitions with one successor each, given without the axis of successors.

        Args:
            obs, act, next_obs: (N, ...).
            terminated: (N,) bool or None.
            rest: `weight`, `episode`, `stochastic`.

        Raises:
            ShapeError, InputError, NonFiniteError: as the class itself.
        """
        ahead, ended = np.asarray(next_obs), None if terminated is None else np.asarray(terminated)
        if ahead.ndim < 1 or ahead.shape != np.shape(obs):
            raise ShapeError("next_obs", found=f"shape {ahead.shape}", expected=f"that of obs, {np.shape(obs)}")
        if ended is not None and ended.shape != ahead.shape[:1]:
            raise ShapeError("terminated", found=f"shape {ended.shape}", expected=f"({len(ahead)},)")
        return cls(obs, act, ahead[:, None], None if ended is None else ended[:, None], **rest)

    def __len__(self) -> int:
        return len(self.obs)

    def __repr__(self) -> str:
        return f"Transitions({len(self)} points, {self.successors} successors each, obs {self.obs.shape[1:]})"

    @property
    def successors(self) -> int:
        """K, the number of successors of each point."""
        return self.next_obs.shape[1]

    @cached_property
    def fingerprint(self) -> str:
        """16 hexadecimal digits that tell these samples from any others (weights and episodes included)."""
        digest = sha256()
        for name in ("obs", "act", "next_obs", "terminated", "weight", "episode"):
            values = getattr(self, name)
            digest.update(f"|{name}".encode())
            if values is not None:
                digest.update(f"{values.dtype.str}{values.shape}".encode())
                digest.update(np.ascontiguousarray(values).tobytes())
        return digest.hexdigest()[:16]

    @cached_property
    def shows_chance(self) -> bool:
        """Whether the same observation and action are seen with different successors."""
        if self.successors > 1 and (self.next_obs != self.next_obs[:, :1]).any():
            return True
        seen: dict[bytes, bytes] = {}
        points = np.concatenate([_rows(self.obs), _rows(self.act)], axis=1)
        ahead = np.concatenate([_rows(self.next_obs[:, 0]), _rows(self.terminated[:, :1])], axis=1)
        return any(
            seen.setdefault(point.tobytes(), after.tobytes()) != after.tobytes() for point, after in zip(points, ahead)
        )

    def take(self, index: Any) -> Transitions:
        """The points at `index` (integers or a mask), in that order."""
        kept = {name: getattr(self, name) for name in ("obs", "act", "next_obs", "terminated", "weight", "episode")}
        return replace(self, **{name: None if values is None else values[index] for name, values in kept.items()})


def _numbers(values: Any, name: str) -> np.ndarray:
    """Float64, or integers as they are; raises InputError if not numeric, NonFiniteError on NaN or infinity."""
    if hasattr(values, "detach"):
        values = values.detach().cpu().numpy()
    try:
        array = np.asarray(values)
    except ValueError as error:
        raise ShapeError(name, found="rows of different lengths", expected="an array") from error
    if array.dtype.kind not in "biuf":
        raise InputError(name, found=f"values of type {array.dtype}", expected="real numbers or integers")
    if array.dtype.kind != "f":
        return array
    array = array.astype(np.float64)
    check_finite(torch.from_numpy(array), name)
    return array


def _weights(values: Any, n: int) -> np.ndarray:
    weight = _numbers(values, "weight").astype(np.float64)
    if weight.shape != (n,):
        raise ShapeError("weight", found=f"shape {weight.shape}", expected=f"({n},), one number for each of obs")
    if (weight < 0).any() or not weight.any():
        raise InputError("weight", found="a negative weight, or none above 0", expected="weights of at least 0")
    return weight


def _rows(values: np.ndarray) -> np.ndarray:
    """(N, bytes) uint8: each row of an array as its bytes; -0.0 counts as 0.0."""
    flat = np.ascontiguousarray(values.reshape(len(values), -1))
    return (flat + 0.0 if flat.dtype.kind == "f" else flat).view(np.uint8).reshape(len(flat), -1)


def _frozen(values: np.ndarray) -> np.ndarray:
    out = values.copy() if values.flags.writeable else values.view()
    out.flags.writeable = False
    return out
