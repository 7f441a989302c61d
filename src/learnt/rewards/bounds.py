"""What does a STARC distance guarantee? Explicit constants L and U with L d <= W <= U d.

For VAL with a fixed policy pi, one norm n for scale and difference, and W the worst-case regret
(`learnt.rewards.regret`), over all pairs of rewards of the process

    U = b / a,   L = a / (2 b),   a = min range(J_c) / n(c),   b = max range(J_c) / n(c)

over the canonical forms c, sum_a pi(a|s) c(s, a) = 0. (U: with s_i = c_i / n(c_i) and <eta1 - eta2, s_2> <= 0, the
regret is n(c_1) <eta1 - eta2, s_1> <= n(c_1) <eta1 - eta2, s_1 - s_2>.) The theorem of Skalse et al. (2024) states that
such constants exist; these are their values, or bounds on the safe side of them.

Let g(s, a) = min range(J_c) over forms with c(s, a) = 1. Scaled by |c(s, a)| this holds at every place, so

    sup norm       a = min over (s, a) of g                                    exact: one linear program for each g
    p-norm         a >= (sum over (s, a) of g^-p)^(-1/p)
    in closed form g >= h(s) = (mu0' M)(s) / M(s, s),  M = (I - gamma P_pi)^-1

where h is the discounted probability that pi ever comes to s: follow pi, take a there once, follow pi again; this
returns h(s) c(s, a), and pi itself 0. On the other side Hoelder's inequality with ||eta1 - eta2||_q <= 2^(1/q) T, T the
longest discounted time before a terminal state, 1 / (1 - gamma) without one, gives

    b <= 2^(1/q) T,   1/p + 1/q = 1        (2 T for the sup norm, sqrt(2) T for l2, T for l1)

which the sup norm attains if no state is terminal and in each two actions have probability at most 1/2 under pi; a few
states are settled by enumeration of the corners of the set of forms. Plain norms sum over next states and have a
factor S^(1/p) more. The return-range metric needs none of this: U = 1 and L = 1/2.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import Any, Literal

import numpy as np

from learnt.core.errors import InputError, NotApplicable
from learnt.rewards._live import Live, best, live, longest
from learnt.rewards._program import OPTIONS, SCALE, flow
from learnt.rewards.mdp import TabularMDP
from learnt.rewards.norms import NORMS, Norm

POWERS = {"l1": 1.0, "l2": 2.0, "linf": np.inf, "weighted_l1": 1.0, "weighted_l2": 2.0}
POWERS |= {"weighted_linf": np.inf, "essential_linf": np.inf}
PROGRAMS = 200  # linear programs that "auto" is ready to solve
CORNERS = 512  # corners of the set of forms that are enumerated
FILL = 20_000_000  # entries of a power of the transition matrix
INVERTED = 2000  # states up to which the diagonal of M comes from the inverse


@dataclass(frozen=True, eq=False, kw_only=True)
class RegretBounds:
    """lower * d <= W <= upper * d for every pair of rewards of a process.

    Attributes:
        lower, upper: the constants L and U; infinite or 0 where nothing is guaranteed.
        exact: whether `smallest` and `largest` are the true extremes, not bounds on their safe side.
        norm: the norm of the distance, for scale and difference.
        smallest, largest: a and b, the extremes of range(J_c) / n(c).
        hitting: (S,) discounted probability that the policy ever comes to a state (a lower bound beyond 2,000
            states); 0 in states that count for nothing. None for the return range, which needs no policy.
    """

    lower: float
    upper: float
    exact: bool
    norm: str
    smallest: float
    largest: float
    hitting: np.ndarray | None


def regret_bounds(
    mdp: TabularMDP,
    *,
    policy: np.ndarray | None = None,
    norm: Norm = "linf",
    exact: bool | Literal["auto"] = "auto",
) -> RegretBounds:
    """Constants between the STARC distance (VAL with `policy`, one norm) and the worst-case regret.

    Args:
        mdp: the process.
        policy: (S, A) or (S,), of the canonical form; None for the uniform one.
        norm: for scale and difference, as in `learnt.rewards.norms`.
        exact: solve a linear program for each state and action, which gives the true constants of the sup norms and
            better ones of the others; False: closed forms only; ``"auto"``: if there are at most 200.

    Raises:
        InputError: on an unknown norm or a bad policy.
        NotApplicable: if every reward of the process is trivial.
    """
    if norm not in NORMS:
        raise InputError("norm", found=f"{norm!r}", expected=f"one of {', '.join(NORMS)}")
    if exact not in ("auto", True, False):
        raise InputError("exact", found=f"{exact!r}", expected='True, False or "auto"')
    part = live(mdp)
    pi = mdp.as_policy(policy)[part.states]
    if part.n_states == 0 or part.n_actions == 1:
        raise NotApplicable(
            "mdp", found="no state with a choice", expected="a process where some reward is not trivial"
        )
    if norm == "return_range":
        return RegretBounds(lower=0.5, upper=1.0, exact=True, norm=norm, smallest=1.0, largest=1.0, hitting=None)

    thorough = exact is True or (exact == "auto" and pi.size <= PROGRAMS)
    hitting = _hitting(part, pi)
    gains = np.where(pi < 1.0, hitting[:, None], np.inf)  # where pi has no alternative, c is 0
    if thorough:
        gains = np.maximum(gains, _smallest_ranges(part, pi))
    power, weights, scale = POWERS[norm], np.ones(pi.shape), 1.0
    if norm == "weighted_linf":
        weights = _likeliest(mdp, part)
    elif norm in ("l1", "l2"):
        scale = mdp.n_states ** (1.0 / power)
    with np.errstate(divide="ignore"):
        if power == np.inf:
            smallest = float((gains / weights).min())
        else:
            smallest = float((gains**-power).sum() ** (-1.0 / power)) / scale
    largest = 2.0 ** (1.0 - 1.0 / power) * longest(mdp) / (scale * float(weights.min()))
    attained = norm in ("linf", "essential_linf") and not (mdp.terminal & mdp.reachable).any() and _two_sided(pi)
    if thorough and power == np.inf and not attained:
        found = _largest_range(part, pi, weights)
        largest, attained = (largest, False) if found is None else (found, True)
    whole = np.zeros(mdp.n_states)
    whole[part.states] = hitting
    return RegretBounds(
        lower=smallest / (2.0 * largest),
        upper=largest / smallest if smallest > 0.0 else np.inf,
        exact=thorough and power == np.inf and attained,
        norm=norm,
        smallest=smallest,
        largest=largest,
        hitting=whole,
    )


def _hitting(part: Live, pi: np.ndarray) -> np.ndarray:
    """(n,) discounted probability that `pi` (n, A) ever comes to a state; a lower bound in large processes."""
    visits = part.visits(pi).sum(1)
    steps = part.steps(pi)
    if part.n_states <= INVERTED:
        returned = np.linalg.inv(steps.toarray() if part.is_sparse else steps).diagonal()
        return np.clip(visits / returned, 0.0, 1.0)
    return np.clip(visits / _most_returns(steps, part.discount), 0.0, 1.0)


def _most_returns(steps: Any, discount: float) -> np.ndarray:
    """(n,) upper bounds of the diagonal of M = sum_t D^t, for I - D = `steps` with D = gamma P_pi.

    Coming back takes one step or at least two; and for t >= k, (D^t)(s, s) <= gamma^(t - k) max_z (D^k)(z, s).
    """
    from scipy import sparse

    step: Any = (sparse.eye_array(steps.shape[0]) - sparse.csr_array(steps)).tocsr()
    stays: np.ndarray = step.diagonal()
    with np.errstate(divide="ignore"):
        found = 1.0 / (1.0 - stays - discount * np.maximum(discount - stays, 0.0))
    if discount < 1.0:
        begun, power = np.ones(len(stays)), step
        for k in (1, 2):  # powers D^k and then D^2k: terms below k are known, those from k on are bounded
            found = np.minimum(found, begun + power.max(axis=0).toarray().ravel() / (1.0 - discount))
            begun = begun + power.diagonal() + (step.multiply(power.T).sum(1) if k == 2 else 0.0)
            if power.nnz**2 > FILL * len(stays):
                return found
            power = power @ power
        found = np.minimum(found, begun + power.max(axis=0).toarray().ravel() / (1.0 - discount))
    return found


def _smallest_ranges(part: Live, pi: np.ndarray) -> np.ndarray:
    """(n, A) least range of returns among forms that are 1 at a place; infinite where they are always 0.

    Variables: the form c, then values V1 >= c + gamma P V1 and V2 >= -c + gamma P V2, of least mean at the start.
    """
    from scipy import sparse
    from scipy.optimize import linprog

    n, a = part.n_states, part.n_actions
    step = flow(part).T
    one: Any
    one, none = sparse.eye_array(n * a), sparse.csr_array((n * a, n))
    rows = sparse.csr_array((pi.ravel(), (np.repeat(np.arange(n), a), np.arange(n * a))), shape=(n, n * a))
    program: dict[str, Any] = {
        "c": np.concatenate([np.zeros(n * a), part.start, part.start]),
        "A_ub": SCALE * sparse.block_array([[one, -step, none], [-one, none, -step]], format="csr"),
        "b_ub": np.zeros(2 * n * a),
        "A_eq": sparse.hstack([rows, sparse.csr_array((n, 2 * n))], format="csr"),
        "b_eq": np.zeros(n),
    }
    free = np.tile([-np.inf, np.inf], (n * a + 2 * n, 1))
    found = np.full(n * a, np.inf)
    for place in np.flatnonzero(pi.ravel() < 1.0):
        bounds = free.copy()
        bounds[place] = 1.0
        solution = linprog(**program, bounds=bounds, method="highs", options=OPTIONS)
        if solution.status != 0:
            raise NotApplicable("exact", found=f"a program that ended with {solution.message!r}", expected="a solution")
        found[place] = solution.fun
    return found.reshape(n, a)


def _largest_range(part: Live, pi: np.ndarray, weights: np.ndarray) -> float | None:
    """The largest range of returns of forms with |weights c| <= 1: it is attained in a corner. None if too many."""
    corners = [_corners(p, w) for p, w in zip(pi, weights, strict=True)]
    if np.prod([float(len(c)) for c in corners]) > CORNERS:
        return None
    both = (np.array([1.0]), np.array([-1.0]))
    largest = 0.0
    for form in product(*corners):
        c = np.stack(form)[:, :, None]
        largest = max(largest, sum(abs(float(best(part, c, sign).returns[0] * sign[0])) for sign in both))
    return largest


def _corners(p: np.ndarray, w: np.ndarray) -> list[np.ndarray]:
    """Corners of { c (A,) : p c = 0, |w c| <= 1 }: all entries but one are at their limits."""
    found: dict[tuple[float, ...], np.ndarray] = {}
    for free in np.flatnonzero(p > 0.0):
        others = np.delete(np.arange(len(p)), free)
        for signs in product((1.0, -1.0), repeat=len(others)):
            c = np.zeros(len(p))
            c[others] = np.array(signs) / w[others]
            c[free] = -(p[others] @ c[others]) / p[free]
            if abs(c[free]) * w[free] <= 1.0 + 1e-12:
                found[tuple(np.round(c, 12))] = c
    return list(found.values())


def _two_sided(pi: np.ndarray) -> bool:
    """Whether each state has a form that is 1 for one action and -1 for another."""
    return bool(((pi <= 0.5).sum(1) >= 2).all())


def _likeliest(mdp: TabularMDP, part: Live) -> np.ndarray:
    """(n, A) probability of the likeliest next state."""
    return mdp.kernel.max(axis=1).toarray().reshape(mdp.n_states, mdp.n_actions)[part.states]
