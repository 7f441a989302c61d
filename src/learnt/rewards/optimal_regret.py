"""How much of the true return does the best policy for the proxy lose? Both ways to break its ties, exactly.

    (max J1 - J1(pi2*)) / range(J1),   pi2* among the policies with J2(pi2*) = max J2

The proxy may have many best policies that differ under the true reward. They are exactly the policies that keep to
actions without loss in the proxy, Q2*(s, a) = max_b Q2*(s, b), because

    max J2 - J2(pi) = sum_sa eta^pi(s, a) (V2*(s) - Q2*(s, a));

so the best and the worst of them for the true reward are found by policy iteration among these actions. In occupancies
it is a second linear program on the face <eta, r2> = max J2 of the polytope; the tests hold the two to each other.

This is the regret that Skalse et al. (2024) measure, there by sampling and with whatever tie the solver falls into. It
says nothing about policies that are nearly best for the proxy: `learnt.rewards.regret` does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np

from learnt.core.errors import InputError
from learnt.rewards._aim import Aim, Behaviour, Pair, aim, behaviour, pair
from learnt.rewards._live import Plan
from learnt.rewards.mdp import TabularMDP

Ties = Literal["both", "optimistic", "pessimistic"]
TIED = 1e-10  # a loss this small beside the range of the proxy's returns is a tie


@dataclass(frozen=True, eq=False, kw_only=True)
class OptimalPolicyRegret:
    """What is lost by the best policy for the proxy.

    Attributes:
        value: share of the true range lost under the tie rule asked for; the pessimistic one for ``"both"``.
        optimistic, pessimistic: the smallest and the largest loss among the best policies for the proxy.
        best: a best policy for the true reward.
        luckiest, unluckiest: best policies for the proxy with the smallest and the largest loss.
        true_range, proxy_range: highest minus lowest return of each reward.
        trivial_true, trivial_proxy: whether a reward cares about no policy (range 0 up to rounding).
    """

    value: float
    optimistic: float
    pessimistic: float
    best: Behaviour
    luckiest: Behaviour
    unluckiest: Behaviour
    true_range: float
    proxy_range: float
    trivial_true: bool
    trivial_proxy: bool


def optimal_policy_regret(true: Any, proxy: Any, mdp: TabularMDP, *, ties: Ties = "both") -> OptimalPolicyRegret:
    """Regret of the best policy for `proxy` when `true` is meant, as a share of the range of the true return.

    Args:
        true, proxy: rewards, as anything `TabularMDP.subject` takes.
        mdp: the process, dense or sparse.
        ties: which of the best policies for the proxy `value` is about; both rules are always computed.

    Raises:
        InputError, ShapeError, NonFiniteError: on bad rewards or an unknown tie rule.

    Source: Skalse et al. 2024, Section 4, with exact evaluation instead of rollouts.
    """
    if ties not in get_args(Ties):
        raise InputError("ties", found=f"{ties!r}", expected=f"one of {', '.join(get_args(Ties))}")
    return optimal_of(aim(true, mdp, name="true"), aim(proxy, mdp, name="proxy"), ties=ties)


def optimal_of(true: Aim, proxy: Aim, *, ties: Ties = "both") -> OptimalPolicyRegret:
    """Regret of the best policy for a prepared proxy, under a prepared true reward of the same process."""
    both = pair(true, proxy)
    hands = np.eye(both.part.n_actions)
    top, (low, high) = both.plan(true.top), face(both)
    (best, peak), (lucky, most), (unlucky, least) = (behaviour(hands[p.actions], both) for p in (top, high, low))
    losses = [0.0 if true.trivial else min(1.0, max(0.0, float(peak[0] - got[0]))) for got in (most, least)]
    return OptimalPolicyRegret(
        value=losses[0] if ties == "optimistic" else losses[1],
        optimistic=losses[0],
        pessimistic=losses[1],
        best=best,
        luckiest=lucky,
        unluckiest=unlucky,
        true_range=true.size,
        proxy_range=proxy.size,
        trivial_true=true.trivial,
        trivial_proxy=proxy.trivial,
    )


def face(both: Pair) -> tuple[Plan, Plan]:
    """Among the best policies for the proxy, one with the lowest and one with the highest true return."""
    plan = both.plan(both.proxy.top)
    loss = plan.values[:, None, 1] - plan.ahead[..., 1]
    allowed = loss <= loss.min(1, initial=np.inf, keepdims=True) + max(TIED, both.proxy.rounding)
    low, high = (both.furthest((sign, 0.0), (plan,), allowed=allowed) for sign in (-1.0, 1.0))
    return low, high
