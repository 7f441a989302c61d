"""Would optimising this reward instead of that one be safe? The exact worst case, with the policies that attain it.

    W(R1 || R2) = sup { J1(pi1) - J1(pi2) : J2(pi2) >= J2(pi1) } / range(J1)

R1 is the reward that is meant, R2 the proxy: someone leaves pi1 for a policy pi2 that the proxy likes at least as much;
W is how much of what R1 has to give can be lost. In occupancies it is one linear program,

    max <eta1 - eta2, r1>   over occupancies eta1, eta2 with <eta2 - eta1, r2> >= 0,

and by duality a convex, piecewise linear function of one number, each value of which takes two ordinary solutions:

    W(R1 || R2) range(J1) = min over lambda >= 0 of range(J of R1 - lambda R2).

Both are here. ``"dual"`` keeps one tangent of that function on either side of the minimum and goes to where they meet
until the function touches the tangents there; policy iteration starts from the policies of these tangents. Mixed in
occupancy space so that the proxy is exactly indifferent, the policies of the two tangents are the witnesses: their
regret is the height of the meeting point. ``"lp"`` hands the program to HiGHS. In both cases the reported value is the
regret of the witnesses as evaluated policies, and the gap reaches up to a value of the dual function with its Bellman
residuals added: but for the rounding of these evaluations, the true number lies in [value, value + gap].

On the scale where both rewards range over 1 the minimum lies in [0, 2], and at lambda = 1 the function is the
return-range distance d, hence W <= d <= 2 W.

W = 0 iff both rewards order all policies alike; W = 1 for an opposite or a trivial proxy; for a trivial true reward,
W is 0 by convention and flagged.

The quantity is what a sound and complete metric of Skalse et al. (2024) bounds from both sides; the program, its dual
and the witnesses are this library's. The authors' code measures the regret of optimal policies only, by sampling.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, get_args

import numpy as np

from learnt.core.errors import InputError
from learnt.rewards._aim import Aim, Behaviour, Pair, aim, behaviour, conditional, pair
from learnt.rewards._live import EPS, Plan, longest
from learnt.rewards._program import solve_program
from learnt.rewards.mdp import TabularMDP

Solver = Literal["auto", "lp", "dual"]
CERTIFIED = 1e-9  # a gap this small beside the range of the true reward needs no second opinion
LARGEST = 5000  # state-action pairs up to which the linear program is worth a try
ROUNDING = 1e-14  # of returns on the common scale
STEPS = 200  # far more kinks than are met


@dataclass(frozen=True, eq=False, kw_only=True)
class WorstCaseRegret:
    """How much true return can be lost to a policy that the proxy does not think worse.

    Attributes:
        value: the regret of the witnesses, in units of the true return.
        normalised: the same as a share of `true_range`, W in [0, 1].
        gap: the supremum is at most value + gap.
        lambda_: the multiplier: R1 - lambda R2 is what the witnesses are best and worst for.
        better_by_truth: pi1, which the true reward prefers.
        better_by_proxy: pi2, which the proxy likes at least as much.
        true_range, proxy_range: highest minus lowest return of each reward.
        trivial_true, trivial_proxy: whether a reward cares about no policy (range 0 up to rounding).
        solver: ``"dual"`` or ``"lp"``.
    """

    value: float
    normalised: float
    gap: float
    lambda_: float
    better_by_truth: Behaviour
    better_by_proxy: Behaviour
    true_range: float
    proxy_range: float
    trivial_true: bool
    trivial_proxy: bool
    solver: str

    def __str__(self) -> str:
        if self.trivial_true:
            return "worst-case regret 0: the true reward is the same for all policies"
        why = ", the proxy being the same for all policies" if self.trivial_proxy else ""
        return (
            f"worst-case regret {self.normalised:.6g} of the range of the true return "
            f"({self.value:.6g} of {self.true_range:.6g}, at most {self.gap:.1g} more){why}"
        )


def worst_case_regret(true: Any, proxy: Any, mdp: TabularMDP, *, solver: Solver = "auto") -> WorstCaseRegret:
    """Exact worst-case regret W(true || proxy) of optimising `proxy` when `true` is meant.

    Args:
        true, proxy: rewards, as anything `TabularMDP.subject` takes: (S, A, S), (S, A), (S,), functions.
        mdp: the process, dense or sparse.
        solver: ``"dual"``, ``"lp"``, or ``"auto"``: the dual, and the linear program if the dual is not certified.

    Raises:
        InputError, ShapeError, NonFiniteError: on bad rewards or an unknown solver.
    """
    if solver not in get_args(Solver):
        raise InputError("solver", found=f"{solver!r}", expected=f"one of {', '.join(get_args(Solver))}")
    return regret_of(aim(true, mdp, name="true"), aim(proxy, mdp, name="proxy"), solver=solver)


def regret_matrix(rewards: Sequence[Any], mdp: TabularMDP) -> np.ndarray:
    """(N, N) worst-case regrets: entry (i, j) is W(reward i || reward j), what is lost when i is meant and j optimised.

    Each reward is solved once; every ordered pair takes a few warm-started solutions more.
    """
    aims = [aim(r, mdp, name=f"rewards[{i}]") for i, r in enumerate(rewards)]
    found = np.zeros((len(aims), len(aims)))
    for i, true in enumerate(aims):
        for j, proxy in enumerate(aims):
            found[i, j] = 0.0 if i == j else regret_of(true, proxy).normalised
    return found


def regret_of(true: Aim, proxy: Aim, *, solver: Solver = "auto") -> WorstCaseRegret:
    """Worst-case regret of two prepared rewards of one process."""
    both = pair(true, proxy)
    if true.trivial or proxy.trivial:  # nothing to trade: the best and the worst policy for the true reward
        plans = Line(plus=both.plan(true.top), minus=both.plan(true.bottom))
        return _record(both, _Found(plans, plans, 0.0, plans.at(0.0, both)), "dual")
    if solver == "lp":
        return _by_program(both)
    found = _record(both, _dual(both), "dual")
    if solver == "auto" and found.gap > CERTIFIED * found.true_range and both.rewards[..., 0].size <= LARGEST:
        other = _by_program(both)
        return other if other.gap < found.gap else found
    return found


# -- the dual ------------------------------------------------------------------------------------------------


class Line(NamedTuple):
    """A tangent of lambda -> range(J of R1 - lambda R2): the policies that are best and worst somewhere."""

    plus: Plan
    minus: Plan

    @property
    def height(self) -> float:
        """Value at lambda = 0: how much more the first returns of the true reward."""
        return float(self.plus.returns[0] - self.minus.returns[0])

    @property
    def slope(self) -> float:
        """How much more the second returns of the proxy."""
        return float(self.minus.returns[1] - self.plus.returns[1])

    def at(self, weight: float, both: Pair) -> float:
        """A certified upper bound of the function at `weight`, where this line touches it."""
        w, steps = np.array([1.0, -weight]), longest(both.true.mdp)
        return self.plus.bound(w, steps) + self.minus.bound(-w, steps)


class _Found(NamedTuple):
    falling: Line
    rising: Line
    weight: float
    upper: float


def _dual(both: Pair) -> _Found:
    """Where the falling and the rising tangent meet on the function itself."""
    top, bottom = both.plan(both.true.top), both.plan(both.true.bottom)
    falling = Line(plus=top, minus=bottom)
    if falling.slope >= 0.0:
        return _Found(falling, falling, 0.0, falling.at(0.0, both))
    rising = Line(plus=both.plan(both.proxy.bottom), minus=both.plan(both.proxy.top))
    weight, upper = 0.0, np.inf
    for _ in range(STEPS):
        weight = max(0.0, (falling.height - rising.height) / (rising.slope - falling.slope))
        meeting = falling.height + falling.slope * weight
        line = Line(
            plus=both.furthest((1.0, -weight), (falling.plus, rising.plus)),
            minus=both.furthest((-1.0, weight), (falling.minus, rising.minus)),
        )
        value = line.height + line.slope * weight
        upper = line.at(weight, both)
        if value <= meeting + 16 * EPS * (1.0 + weight):
            break
        if line.slope < 0.0:
            falling = line
        else:
            rising = line
    return _Found(falling, rising, weight, upper)


# -- the linear program ---------------------------------------------------------------------------------------


def _by_program(both: Pair) -> WorstCaseRegret:
    visits, weight = solve_program(both)
    top, bottom = both.plan(both.true.top), both.plan(both.true.bottom)
    line = Line(
        plus=both.furthest((1.0, -weight), (top, both.plan(both.proxy.bottom))),
        minus=both.furthest((-1.0, weight), (bottom, both.plan(both.proxy.top))),
    )
    policies = (conditional(visits[0], line.plus.actions), conditional(visits[1], line.minus.actions))
    return _assemble(both, policies, weight, line.at(weight, both), "lp")


# -- the record -----------------------------------------------------------------------------------------------


def _record(both: Pair, found: _Found, solver: str) -> WorstCaseRegret:
    """Mix the policies of the two tangents so that the proxy is indifferent."""
    down, up = found.falling, found.rising
    share = 0.0 if down is up or up.slope <= 0.0 else up.slope / (up.slope - down.slope)  # of the falling line
    if down is up:
        share = 1.0
    policies = tuple(_mixed(both, a, b, share) for a, b in ((down.plus, up.plus), (down.minus, up.minus)))
    return _assemble(both, policies, found.weight, found.upper, solver)


def _mixed(both: Pair, a: Plan, b: Plan, share: float) -> np.ndarray:
    """(n, A) policy whose occupancy is share times that of a, plus the rest of b."""
    part = both.part
    if part.n_states == 0 or share == 1.0 or (a.actions == b.actions).all():
        return np.eye(part.n_actions)[a.actions]
    return conditional(share * part.visits(a.actions) + (1.0 - share) * part.visits(b.actions), a.actions)


def _assemble(
    both: Pair, policies: tuple[np.ndarray, ...], weight: float, upper: float, solver: str
) -> WorstCaseRegret:
    (first, one), (second, two) = (behaviour(policy, both) for policy in policies)
    missing = float(one[1] - two[1])
    if missing > ROUNDING and not (both.true.trivial or both.proxy.trivial):  # the proxy does not quite consent
        worst, dearest = both.plan(both.proxy.bottom), both.plan(both.proxy.top)
        share, live = 1.0 / (1.0 + missing), both.part.states
        policies = (
            conditional(share * first.occupancy[live] + (1 - share) * both.part.visits(worst.actions), worst.actions),
            conditional(
                share * second.occupancy[live] + (1 - share) * both.part.visits(dearest.actions), dearest.actions
            ),
        )
        (first, one), (second, two) = (behaviour(policy, both) for policy in policies)
    true, proxy = both.true, both.proxy
    lost = min(1.0, max(0.0, float(one[0] - two[0])))
    size = 0.0 if true.trivial else true.size
    return WorstCaseRegret(
        value=size * lost,
        normalised=0.0 if true.trivial else lost,
        gap=size * max(0.0, min(upper, 1.0) - lost),
        lambda_=0.0 if true.trivial or proxy.trivial else weight * true.size / proxy.size,
        better_by_truth=first,
        better_by_proxy=second,
        true_range=true.size,
        proxy_range=proxy.size,
        trivial_true=true.trivial,
        trivial_proxy=proxy.trivial,
        solver=solver,
    )
