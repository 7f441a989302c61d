"""Rewards on a common scale: what each is worth between its worst and its best policy, and what policies are worth.

A reward of a process is replaced by its advantage under the uniform policy (which shifts all returns by one number)
and divided by the range of its returns, so that the returns of all policies fill an interval of length 1 and rounding
does not depend on shaping or units. A reward whose returns do not vary beyond rounding is trivial.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from learnt.rewards._live import EPS, Live, Plan, best, follow, live, longest
from learnt.rewards.mdp import RewardView, TabularMDP

TRIVIAL = 1e-10  # a range of returns this small beside the reward is rounding noise


@dataclass(frozen=True, eq=False, kw_only=True)
class Aim:
    """A reward in a process, solved both ways.

    Attributes:
        name: how reports call it.
        mdp: the process; `part`: its live part.
        unit: (n, A) advantage over the uniform policy, divided by `size`; 0 if the reward is trivial.
        size: the range of its returns.
        origin: the return of the uniform policy; a policy returns origin + size times its return of `unit`.
        trivial: whether all policies return the same, up to rounding.
        rounding: what rounding may add to a return of `unit`.
        top, bottom: (n,) actions of a best and of a worst policy.
    """

    name: str
    mdp: TabularMDP
    part: Live
    unit: np.ndarray
    size: float
    origin: float
    trivial: bool
    rounding: float
    top: np.ndarray
    bottom: np.ndarray


def aim(reward: Any, mdp: TabularMDP, *, name: str) -> Aim:
    """A reward, as anything `TabularMDP.subject` takes, brought to the common scale."""
    view, part = mdp.subject(reward, name=name), live(mdp)
    n, a = part.n_states, part.n_actions
    scale = largest(view, mdp)
    origin, size, noise = 0.0, 0.0, 16 * EPS * longest(mdp)
    top = bottom = np.zeros(n, dtype=np.int64)
    unit = np.zeros((n, a, 1))
    if scale > 0.0:
        r = (view.expected[part.states] / scale)[:, :, None]
        values = part.evaluate(part.uniform, r)
        unit = r + part.ahead(values) - values[:, None, :]
        origin = scale * float(part.start @ values[:, 0])
        up, down = (best(part, unit, np.array([sign])) for sign in (1.0, -1.0))
        top, bottom, size = up.actions, down.actions, max(0.0, float(up.returns[0] - down.returns[0]))
    trivial = size <= max(TRIVIAL, noise)
    return Aim(
        name=view.name,
        mdp=mdp,
        part=part,
        unit=np.zeros((n, a)) if trivial else unit[..., 0] / size,
        size=scale * size,
        origin=origin,
        trivial=trivial,
        rounding=0.0 if trivial else noise / size,
        top=top,
        bottom=bottom,
    )


def largest(view: RewardView, mdp: TabularMDP) -> float:
    """The largest |R| on transitions that can happen in the live part of a process."""
    states = live(mdp).states
    if len(states) == 0:
        return 0.0
    mean = float(np.abs(view.expected[states]).max())
    if view.reward.shape[-1] == 1:
        return mean
    return max(mean, float(np.abs(np.where(mdp.transitions[states] > 0, view.reward[states], 0.0)).max()))


@dataclass(frozen=True, eq=False, kw_only=True)
class Pair:
    """Two rewards of one process, and the region of return pairs (J1, J2) that policies can reach.

    Attributes:
        true, proxy: the two.
        rewards: (n, A, 2) both units.
    """

    true: Aim
    proxy: Aim
    rewards: np.ndarray

    @property
    def part(self) -> Live:
        """The live part of the process."""
        return self.true.part

    def plan(self, actions: np.ndarray) -> Plan:
        """A deterministic policy (n,), evaluated under both rewards."""
        part = self.part
        values = part.evaluate(actions, self.rewards)
        return Plan(
            actions=actions,
            values=values,
            ahead=self.rewards + part.ahead(values),
            returns=part.start @ values,
        )

    def furthest(self, weights: tuple[float, float], near: tuple[Plan, ...], **options: Any) -> Plan:
        """The policy furthest in a direction of the plane (J1, J2): the best for the weighted sum of both rewards.

        Args:
            near: policies of which the best one is where the search starts.
        """
        w = np.array(weights)
        return best(self.part, self.rewards, w, near=max(near, key=lambda p: float(p.returns @ w)), **options)


def pair(true: Aim, proxy: Aim) -> Pair:
    """Two rewards, side by side."""
    return Pair(true=true, proxy=proxy, rewards=np.stack([true.unit, proxy.unit], -1))


@dataclass(frozen=True, eq=False, kw_only=True)
class Behaviour:
    """A policy and what it does.

    Attributes:
        policy: (S, A) action probabilities; uniform where no policy of the process comes, and in terminal states.
        occupancy: (S, A) discounted visits, as `TabularMDP.occupancy` counts them.
        true_return, proxy_return: what it returns under the two rewards, in their own units.
    """

    policy: np.ndarray
    occupancy: np.ndarray
    true_return: float
    proxy_return: float


def behaviour(policy: np.ndarray, both: Pair) -> tuple[Behaviour, np.ndarray]:
    """What a policy (n, A) of the live part does, and its two returns (2,) on the common scale."""
    part, mdp = both.part, both.true.mdp
    whole = mdp.uniform
    whole[part.states] = policy
    visits = np.zeros(whole.shape)
    returns = np.zeros(2)
    if part.n_states:
        visits[part.states] = part.visits(policy)
        returns = follow(part, policy, both.rewards)
    end = mdp.terminal & mdp.reachable
    if end.any():
        if mdp.is_sparse:
            moved = mdp.kernel.T @ visits.ravel()
        else:
            moved = np.tensordot(visits, mdp.transitions, 2)
        settled = (mdp.initial + mdp.discount * moved)[end] / (1.0 - mdp.discount if mdp.discount < 1.0 else 1.0)
        visits[end] = settled[:, None] * whole[end]
    for array in (whole, visits):
        array.flags.writeable = False
    found = Behaviour(
        policy=whole,
        occupancy=visits,
        true_return=both.true.origin + (0.0 if both.true.trivial else both.true.size * float(returns[0])),
        proxy_return=both.proxy.origin + (0.0 if both.proxy.trivial else both.proxy.size * float(returns[1])),
    )
    return found, returns


def conditional(visits: np.ndarray, otherwise: np.ndarray) -> np.ndarray:
    """(n, A) probabilities from discounted visits (n, A); the actions `otherwise` (n,) where a state has none."""
    visits = np.maximum(visits, 0.0)
    total = visits.sum(1, keepdims=True)
    seen = total[:, 0] > EPS * max(1.0, float(total.max(initial=0.0)))
    policy = np.eye(visits.shape[1])[otherwise]
    policy[seen] = visits[seen] / total[seen]
    return policy
