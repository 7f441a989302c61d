"""What does a reward say about sampled transitions? Values (N, K) of a function, a network, or a table made elsewhere.

A reward is one of
    a function   (obs (n, ...), act (n, ...), next_obs (n, ...), terminated (n,) bool) -> (n,), on numpy arrays
                 (the reward function protocol of the package `imitation`: state, action, next_state, done);
    an nn.Module the same on tensors; floats, and `terminated` as 0 or 1, in the module's dtype and on its device;
                 (n,) or (n, 1) out. It runs in evaluation mode without gradients and is left as it was. A module with
                 `preprocess` and `predict` (a reward network of `imitation`) is asked through `predict`;
    an array     (N, K) of its values on the batch, (N,) if K = 1.

Rewards are compared on the same samples, or not at all: a `SampleTable` carries the fingerprint of the samples its
values belong to.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from learnt.core.errors import InputError, NonFiniteError, ShapeError
from learnt.data.transitions import Transitions

ROWS = 65_536  # transitions in one call of a reward


@dataclass(frozen=True, eq=False, kw_only=True)
class SampleTable:
    """Values of rewards on known samples, made now or elsewhere.

    Attributes:
        fingerprint: `Transitions.fingerprint` of the batch that the values belong to.
        values: (N, K) values on the batch by name of the reward.
        evaluation_fingerprint, evaluation: the same for the transitions that values are estimated from, if they are
            others.
    """

    fingerprint: str
    values: Mapping[str, np.ndarray]
    evaluation_fingerprint: str = ""
    evaluation: Mapping[str, np.ndarray] = field(default_factory=dict)


def sample_table(
    rewards: Mapping[str, Any], batch: Transitions, *, evaluation: Transitions | None = None
) -> SampleTable:
    """Evaluate rewards on samples, to be compared later or elsewhere.

    Args:
        rewards: by name; see the module text.
        batch: where they are to be compared.
        evaluation: transitions that values are to be estimated from, if not from the batch.

    Raises:
        ShapeError, NonFiniteError, InputError: wrong output, NaN, or something that is no reward.
    """
    return SampleTable(
        fingerprint=batch.fingerprint,
        values={name: score(reward, batch, name) for name, reward in rewards.items()},
        evaluation_fingerprint="" if evaluation is None else evaluation.fingerprint,
        evaluation={} if evaluation is None else {name: score(r, evaluation, name) for name, r in rewards.items()},
    )


def gather(
    rewards: Mapping[str, Any] | SampleTable | Sequence[SampleTable], batch: Transitions, evaluation: Transitions | None
) -> tuple[tuple[str, ...], np.ndarray, np.ndarray | None]:
    """Names, values (M, N, K) on the batch and (M, N', K') on the evaluation transitions, of whatever was given.

    Raises:
        InputError: tables of other samples, two rewards of one name, or fewer than one.
    """
    tables = [rewards] if isinstance(rewards, SampleTable) else rewards
    if isinstance(tables, Mapping):
        tables = [sample_table(tables, batch, evaluation=evaluation)]
    else:
        tables = list(tables)
        for table in tables:
            if not isinstance(table, SampleTable):
                raise InputError(
                    "rewards", found=f"a sequence with a {type(table).__name__}",
                    expected="a mapping from names to rewards, or tables from sample_table",
                )  # fmt: skip
            _same_samples(table.fingerprint, batch, "batch")
            if evaluation is not None:
                _same_samples(table.evaluation_fingerprint, evaluation, "evaluation")
    names = [name for table in tables for name in table.values]
    if not names:
        raise InputError("rewards", found="none", expected="at least one reward")
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InputError("rewards", found=f"{twice[0]!r} twice", expected="one name for each reward")
    on_batch = np.stack([_table(v, batch, name) for t in tables for name, v in t.values.items()])
    if evaluation is None:
        return tuple(names), on_batch, None
    for table in tables:
        missing = [name for name in table.values if name not in table.evaluation]
        if missing:
            raise InputError(
                "rewards", found=f"no values of {missing[0]!r} on the evaluation transitions",
                expected="a table made by sample_table with evaluation=...",
            )  # fmt: skip
    return tuple(names), on_batch, np.stack([_table(t.evaluation[n], evaluation, n) for t in tables for n in t.values])


def _same_samples(fingerprint: str, data: Transitions, what: str) -> None:
    if fingerprint != data.fingerprint:
        raise InputError(
            "rewards",
            found=f"values on samples {fingerprint or '(none)'}, while {what} is {data.fingerprint}",
            expected="values of all rewards on the same samples",
            remedy="Different samples add noise that hides small distances. Evaluate every reward on one batch.",
        )


def score(reward: Any, data: Transitions, name: str = "reward") -> np.ndarray:
    """(N, K) float64: the values of one reward on every transition of `data`.

    Raises:
        ShapeError, NonFiniteError, InputError: wrong output, NaN, or something that is no reward.
    """
    if hasattr(reward, "__array__") and not hasattr(reward, "forward"):
        return _table(reward, data, name)
    if not callable(reward):
        raise InputError(
            name, found=type(reward).__name__, expected="a function, an nn.Module or an array of values (N, K)"
        )
    n, k = data.next_obs.shape[:2]
    ahead = data.next_obs.reshape(n * k, *data.next_obs.shape[2:])
    ended = data.terminated.reshape(n * k)
    out = np.empty(n * k)
    with _function(reward) as call:
        for start in range(0, n * k, ROWS):
            part = slice(start, min(start + ROWS, n * k))
            point = np.arange(part.start, part.stop) // k
            found = _numbers(call(data.obs[point], data.act[point], ahead[part], ended[part]), name)
            if found.shape == (len(point), 1):
                found = found[:, 0]
            if found.shape != (len(point),):
                raise ShapeError(
                    name, found=f"output of shape {found.shape} for {len(point)} transitions",
                    expected=f"({len(point)},), one number each",
                    remedy="A reward is called with (obs, act, next_obs, terminated), all with one row a transition.",
                )  # fmt: skip
            out[part] = found
    return _finite(out.reshape(n, k), name)


def _table(values: Any, data: Transitions, name: str) -> np.ndarray:
    array, shape = _numbers(values, name), data.next_obs.shape[:2]
    if array.shape == shape[:1] and shape[1] == 1:
        array = array[:, None]
    if array.shape != shape:
        raise ShapeError(
            name, found=f"values of shape {array.shape}", expected=f"{shape}: (points, successors) of the batch"
        )
    return _finite(array, name)


def _numbers(values: Any, name: str) -> np.ndarray:
    if hasattr(values, "detach"):
        values = values.detach().cpu().double().numpy()
    try:
        return np.array(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(name, found=f"{type(values).__name__} that is not numeric", expected="numbers") from error


def _finite(values: np.ndarray, name: str) -> np.ndarray:
    bad = ~np.isfinite(values)
    if bad.any():
        first = tuple(int(i) for i in np.argwhere(bad)[0])
        raise NonFiniteError(
            name, found=f"{int(bad.sum())} values that are NaN or infinite, the first at (point, successor) {first}",
            expected="numbers",
        )  # fmt: skip
    return values


@contextmanager
def _function(reward: Any) -> Iterator[Any]:
    """The reward as a function of numpy arrays; a module in evaluation mode for as long as that is needed."""
    import torch
    from torch import nn

    if not isinstance(reward, nn.Module):
        yield reward
        return
    modes = [(m, m.training) for m in reward.modules()]
    like = next((t for t in (*reward.parameters(), *reward.buffers()) if t.is_floating_point()), torch.empty(0))

    def tensor(values: np.ndarray) -> torch.Tensor:
        made = torch.from_numpy(np.array(values))
        whole = made.dtype in (torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8)
        return made.to(like.device, None if whole else like.dtype)

    def call(*arrays: np.ndarray) -> Any:
        if hasattr(reward, "predict") and hasattr(reward, "preprocess"):
            return reward.predict(*arrays)  # pyright: ignore[reportCallIssue] (duck-typed)
        return reward(*(tensor(a) for a in arrays))

    devices = [like.device.index or 0] if like.device.type == "cuda" else []
    try:
        for m, _ in modes:
            m.training = False
        with torch.random.fork_rng(devices=devices), torch.no_grad():
            yield call
    finally:
        for m, was in modes:
            m.training = was
