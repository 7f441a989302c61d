"""How alike are two arrays over transitions, up to shift and scale? The Pearson distance under a coverage distribution.

    D(x, y) = sqrt((1 - rho) / 2),   rho = Pearson correlation of x(S, A, S') and y(S, A, S') for (S, A, S') ~ coverage

It is the distance of EPIC (Gleave et al., ICLR 2021) and DARD: 0 iff y = a x + b with a > 0 where the
coverage is positive, 1 iff a < 0. It is computed as half the distance of the two standardised arrays, which is the same
number and keeps its digits near 0, where 1 - rho has lost them.

An array that is constant under the coverage has no correlation. Two constant ones are at distance 0, and a constant
one is at sqrt(1/2) from any other: what rho = 0 gives. The reference code divides 0 by 0 there.

States that no policy reaches, and terminal states, in which nothing is paid, count for nothing: the coverage of
transitions from them, and into the former, is dropped.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Float

from learnt.core.errors import InputError, ShapeError
from learnt.rewards._checks import finite
from learnt.rewards.canonical import Canonicalisation
from learnt.rewards.mdp import TabularMDP
from learnt.rewards.shaping import live
from learnt.rewards.starc import reward_for

CONSTANT = 1e-10  # a deviation this small beside the reward it came from is rounding noise


def coverage_of(coverage: Any, mdp: TabularMDP) -> Float[np.ndarray, "s a s"]:
    """Probabilities (S, A, S) of transitions between reachable states, from those that are not terminal.

    Args:
        coverage: (S, A, S) probabilities of (s, a, s'); (S, A) probabilities of (s, a), s' then follows the process;
            None for uniform over all (s, a, s'), possible or not, of states that count.
        mdp: the process. With ``(1 - mdp.discount) * mdp.occupancy(policy)`` the coverage is what a policy sees.

    Returns:
        All zeros if the process has no state in which something happens.

    Raises:
        ShapeError, InputError, NonFiniteError: another shape, negative numbers, a sum other than 1, NaN, infinity, or
            a coverage of states that do not count only.
        NotApplicable: a sparse process too large for all (s, a, s') at once.
    """
    p = mdp.transitions
    counted = live(mdp)[:, None, None] & mdp.reachable
    if coverage is None:
        weight = np.broadcast_to(counted, p.shape).astype(np.float64)
        return weight / max(float(weight.sum()), 1.0)
    array = finite(coverage, "coverage")
    if array.shape not in (p.shape, p.shape[:2]):
        raise ShapeError("coverage", found=f"shape {array.shape}", expected=f"[S, A, S] = {p.shape} or {p.shape[:2]}")
    if (array < 0).any():
        first = tuple(int(i) for i in np.argwhere(array < 0)[0])
        raise InputError("coverage", found=f"a negative number at {first}", expected="probabilities")
    total = float(array.sum())
    if abs(total - 1.0) > 1e-6:
        raise InputError(
            "coverage",
            found=f"numbers that sum to {total:.6g}",
            expected="probabilities, with a sum of 1",
            remedy="Divide it by its sum; for an occupancy, multiply by 1 - discount.",
        )
    weight = np.where(counted, array if array.ndim == 3 else array[..., None] * p, 0.0)
    kept = float(weight.sum())
    if counted.any() and kept == 0.0:
        raise InputError(
            "coverage", found="only states that are unreachable or terminal", expected="a state that some policy leaves"
        )
    return weight / (kept or 1.0)


def standard_scores(
    values: Float[np.ndarray, "s a k"], weight: Float[np.ndarray, "s a s"], scale: float
) -> Float[np.ndarray, "s a s"]:
    """`values` with weighted mean 0 and deviation 1, times sqrt(weight); zeros if they are constant.

    Args:
        values: x(s, a, s'), (S, A, S) or (S, A, 1).
        weight: (S, A, S) probabilities.
        scale: size of the numbers `values` were computed from; deviations of 1e-10 of it are rounding noise.
    """
    centred = np.where(weight > 0, values - float((weight * values).sum()), 0.0)
    top = float(np.abs(centred).max(initial=0.0))
    if top == 0.0:
        return np.zeros_like(weight)
    scores = np.sqrt(weight) * (centred / top)  # squares of tiny or huge rewards stay in range
    size = float(np.sqrt(np.square(scores).sum()))
    return np.zeros_like(weight) if top * size <= CONSTANT * scale else scores / size


def half_distance(x: np.ndarray, y: np.ndarray) -> float:
    """sqrt((1 - rho) / 2) of two arrays of norm 1 with inner product rho; of zeros see the module."""
    if not x.any() and not y.any():
        return 0.0
    if not x.any() or not y.any():
        return float(np.sqrt(0.5))
    return min(1.0, float(np.sqrt(np.square(x - y).sum())) / 2)


def pearson_distance(
    x: Float[np.ndarray, "s a k"],
    y: Float[np.ndarray, "s a k"],
    weight: Float[np.ndarray, "s a s"],
    *,
    scales: tuple[float, float],
) -> float:
    """Pearson distance of two arrays (S, A, S) or (S, A, 1) under probabilities (S, A, S); see the module.

    Args:
        scales: sizes of the rewards that x and y were computed from.
    """
    return half_distance(standard_scores(x, weight, scales[0]), standard_scores(y, weight, scales[1]))


def form_distance(form: Canonicalisation, r1: Any, r2: Any, mdp: TabularMDP, *, coverage: Any = None) -> float:
    """Pearson distance of two rewards by their canonical forms: EPIC's distance with another form than EPIC's.

    Args:
        form: an object of `learnt.rewards.canonical`.
        r1, r2: arrays (S, A, S), (S, A), (S,), or functions of (s, a, s'); see `learnt.rewards.view`.
        mdp: where they are compared.
        coverage: see `coverage_of`.

    Raises:
        InputError, ShapeError, NonFiniteError: on bad rewards or coverage.
        NotApplicable: a form that reads R(s, a, s'), of rewards of which a sparse process kept the means; a sparse
            process too large for all (s, a, s') at once.
    """
    weight = coverage_of(coverage, mdp)
    first, second = (reward_for(form, r, mdp, name) for r, name in ((r1, "r1"), (r2, "r2")))
    scales = float(np.abs(first).max()), float(np.abs(second).max())
    return pearson_distance(form(first, mdp), form(second, mdp), weight, scales=scales)
