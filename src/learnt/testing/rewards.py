"""The world of rewards in a small random MDP, where every transformation that must not matter is known exactly."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from learnt.rewards.mdp import TabularMDP
from learnt.testing.worlds import Case


@dataclass(frozen=True, kw_only=True)
class Rewards:
    """Random rewards (S, A, S) in a random MDP.

    Args:
        states, actions: size of the MDP.
    """

    states: int = 6
    actions: int = 3

    def case(self, seed: int) -> Case:
        """Two rewards that share part of what they value."""
        rng = np.random.default_rng([seed, 1])
        shape = (self.states, self.actions, self.states)
        a, other = rng.standard_normal(shape), rng.standard_normal(shape)
        return Case(a=a, b=a + 0.7 * other, data=TabularMDP.random(self.states, self.actions, seed=seed))

    def transformations(self) -> Mapping[str, Callable[[Case, int], Case]]:
        """What leaves the order of policies unchanged (Skalse et al. 2024): shaping, redistribution, positive scale."""
        return {
            "potential shaping": lambda case, seed: replace(case, b=case.b + _shaping(case.data, seed)),
            "redistribution": lambda case, seed: replace(case, b=case.b + _redistribution(case.data, seed)),
            "positive scaling": lambda case, seed: replace(case, b=(2.5 + seed) * case.b),
        }

    def drift(self, case: Case, level: float, seed: int) -> Any:
        """The reference plus noise."""
        noise = np.random.default_rng([seed, 2]).standard_normal(case.a.shape)
        return case.a + 2.0 * level * noise

    def without(self, case: Case, capability: str) -> Case | None:
        """Rewards have none of the capabilities of models to take away."""
        return None

    def degenerate(self, seed: int) -> Mapping[str, Case]:
        """Trivial rewards, one action, huge and tiny scales."""
        case = self.case(seed)
        one = TabularMDP.random(self.states, 1, seed=seed)
        return {
            "trivial reference": replace(case, a=np.zeros_like(case.a)),
            "both trivial": replace(case, a=np.zeros_like(case.a), b=np.zeros_like(case.a)),
            "huge": replace(case, a=1e20 * case.a, b=1e20 * case.b),
            "tiny": replace(case, a=1e-20 * case.a, b=1e-20 * case.b),
            "one action": Case(a=case.a[:, :1], b=case.b[:, :1], data=one),
            "one thing twice": replace(case, b=case.a),
        }

    def fingerprint(self, case: Case) -> bytes:
        """Bytes of both rewards and the transitions."""
        return b"".join(np.ascontiguousarray(x).tobytes() for x in (case.a, case.b, case.data.transitions))


def _shaping(mdp: TabularMDP, seed: int) -> np.ndarray:
    potential = np.random.default_rng([seed, 3]).standard_normal(len(mdp.initial))
    return mdp.discount * potential[None, None, :] - potential[:, None, None]


def _redistribution(mdp: TabularMDP, seed: int) -> np.ndarray:
    noise = np.random.default_rng([seed, 4]).standard_normal(mdp.transitions.shape)
    return noise - (mdp.transitions * noise).sum(-1, keepdims=True)
