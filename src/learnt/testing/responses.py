"""The world of reward models on responses to prompts, where every change that must not matter is known exactly."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from learnt.rewards.scores import Responses
from learnt.testing.worlds import Case


@dataclass(frozen=True, kw_only=True)
class ScoredResponses:
    """Random scores of responses to prompts, with offsets of the prompts that mean nothing.

    Args:
        prompts: number of prompts.
        most: responses of a prompt, 3 to `most`.
    """

    prompts: int = 24
    most: int = 7

    def case(self, seed: int) -> Case:
        """Two models that share part of what they prefer."""
        rng = np.random.default_rng([seed, 11])
        counts = rng.integers(3, self.most + 1, self.prompts)
        groups = np.repeat(np.arange(self.prompts), counts)
        shared, other = rng.standard_normal((2, len(groups)))
        offsets = 3.0 * rng.standard_normal((2, self.prompts))
        data = Responses(groups, length=rng.integers(5, 60, len(groups)), name="tiny responses")
        return Case(a=shared + offsets[0, groups], b=shared + 0.8 * other + offsets[1, groups], data=data)

    def transformations(self) -> Mapping[str, Callable[[Case, int], Case]]:
        """What leaves the preferences within prompts unchanged; an increasing change keeps only the order of b."""
        return {
            "prompt offsets": lambda case, seed: replace(
                case, a=case.a + _offsets(case.data, seed), b=case.b + _offsets(case.data, seed + 100)
            ),
            "positive scaling": lambda case, seed: replace(case, a=(1.5 + seed) * case.a, b=(2.5 + seed) * case.b),
            "increasing change of b": lambda case, seed: replace(case, b=np.sinh(case.b) + seed),
            "example order": _reordered,
        }

    def drift(self, case: Case, level: float, seed: int) -> Any:
        """The reference plus noise."""
        return case.a + 2.0 * level * np.random.default_rng([seed, 12]).standard_normal(len(case.a))

    def without(self, case: Case, capability: str) -> Case | None:
        """Scores have none of the capabilities of models to take away."""
        return None

    def degenerate(self, seed: int) -> Mapping[str, Case]:
        """Models without preferences, ties, huge and tiny scores, one prompt, prompts with one response."""
        case = self.case(seed)
        offsets = _offsets(case.data, seed)
        n = len(case.a)
        single = Responses(np.concatenate([np.zeros(4, int), np.arange(1, n - 3)]), name="mostly single")
        return {
            "trivial reference": replace(case, a=offsets),
            "trivial second": replace(case, b=offsets),
            "both trivial": replace(case, a=offsets, b=0 * offsets),
            "zero": replace(case, a=0 * offsets, b=0 * offsets),
            "ties": replace(case, b=np.sign(case.b)),
            "huge": replace(case, a=1e20 * case.a, b=1e20 * case.b),
            "tiny": replace(case, a=1e-20 * case.a, b=1e-20 * case.b),
            "one prompt": replace(case, data=Responses(np.zeros(n, dtype=int))),
            "two prompts": replace(case, data=Responses(np.arange(n) % 2)),
            "mostly single": replace(case, data=single),
            "one thing twice": replace(case, b=case.a),
        }

    def fingerprint(self, case: Case) -> bytes:
        """Bytes of both models' scores and of the data."""
        data = case.data
        arrays = (case.a, case.b, data.layout.rows, data.layout.share, data.length)
        return b"".join(np.ascontiguousarray(x).tobytes() for x in arrays) + repr(data.groups).encode()


def _offsets(data: Responses, seed: int) -> np.ndarray:
    """(n,) one number a prompt."""
    ids, index = np.unique(np.array(data.groups), return_inverse=True)
    return 4.0 * np.random.default_rng([seed, 13]).standard_normal(len(ids))[index]


def _reordered(case: Case, seed: int) -> Case:
    order = np.random.default_rng([seed, 14]).permutation(len(case.a))
    data = case.data
    moved = Responses([data.groups[i] for i in order], length=data.length[order], name=data.name)
    return replace(case, a=case.a[order], b=case.b[order], data=moved)
