"""What is the smallest reward, in the sum or the largest of its absolute values, that orders policies in the same way?

    weighted_l1      min over Phi of sum_sa |r + X Phi|            = sum P |R'|, at R' constant in the next state
    essential_linf   min over Phi of max_sa |r + X Phi|            = max of |R'| on possible transitions
    l1, linf         min over Phi of the norm of R(s, a, s') + gamma Phi(s') - Phi(s) over all entries: shaping alone

Linear programs (HiGHS, sparse). Their solutions are not unique in general and not linear in R, so they are NOT
canonicalisation functions and give no STARC metric: they show people the plainest reward of a class. For L2 see
`learnt.rewards.minimal`, where everything is unique, linear and in closed form.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np

from learnt.core.errors import InputError
from learnt.rewards.mdp import TabularMDP
from learnt.rewards.shaping import live, shaped, shaped_apart

SmallNorm = Literal["weighted_l1", "essential_linf", "l1", "linf"]


@dataclass(frozen=True, eq=False, kw_only=True)
class Smallest:
    """A smallest reward of a class.

    Attributes:
        reward: (S, A, 1) for weighted_l1 and essential_linf, (S, A, S) for l1 and linf; zero in unreachable states.
        potential: (S,) Phi that leads there.
        size: its norm.
        before: the norm of the reward given.
    """

    reward: np.ndarray
    potential: np.ndarray
    size: float
    before: float


def smallest_equivalent(reward: Any, mdp: TabularMDP, norm: SmallNorm = "weighted_l1") -> Smallest:
    """A smallest reward that differs by shaping (and redistribution, for the first two norms).

    Args:
        reward: anything `TabularMDP.subject` takes.
        mdp: the process.
        norm: see the module.

    Raises:
        InputError: an unknown norm, or a program without a solution (numerically).
    """
    from scipy import sparse

    if norm not in get_args(SmallNorm):
        raise InputError("norm", found=repr(norm), expected=f"one of {', '.join(get_args(SmallNorm))}")
    seen = mdp.subject(reward, name="reward")
    rows_of = mdp.reachable & ~mdp.terminal
    s, a = mdp.n_states, mdp.n_actions
    stay = sparse.kron(sparse.eye_array(s), np.ones((a, 1)), format="csr")
    if norm in ("weighted_l1", "essential_linf"):
        free, kept = live(mdp), np.repeat(rows_of, a)
        matrix = (mdp.discount * mdp.kernel - stay).tocsr()[kept]
        target = seen.expected.reshape(-1)[kept]
    else:
        free, kept = ~mdp.terminal, np.repeat(rows_of, a * s)
        ahead = sparse.kron(np.ones((s * a, 1)), sparse.eye_array(s), format="csr")
        matrix = (mdp.discount * ahead - sparse.kron(stay, np.ones((s, 1)), format="csr")).tocsr()[kept]
        target = np.broadcast_to(seen.reward, (s, a, s)).reshape(-1)[kept]
    phi = np.zeros(s)
    largest = norm.endswith("linf")
    if free.any() and len(target):
        phi[free] = _program(matrix[:, np.flatnonzero(free)], target, largest=largest)
    if norm in ("weighted_l1", "essential_linf"):
        form = shaped(seen.expected, phi, mdp)
    else:
        form = shaped_apart(seen.reward, phi, mdp)
    after = target + matrix @ phi
    sizes = [float((np.abs(x).max() if largest else np.abs(x).sum()) if len(x) else 0.0) for x in (after, target)]
    form = np.where(mdp.reachable[:, None, None], form, 0.0)
    return Smallest(reward=form, potential=phi, size=sizes[0], before=sizes[1])


def _program(matrix: Any, target: np.ndarray, *, largest: bool) -> np.ndarray:
    """The potential that minimises the sum, or the largest, of |target + matrix Phi|."""
    from scipy import sparse
    from scipy.optimize import linprog

    m, n = matrix.shape
    scale = float(np.abs(target).max()) or 1.0
    slack = np.ones((m, 1)) if largest else sparse.eye_array(m)
    cost = np.concatenate([np.zeros(n), np.ones(1 if largest else m)])
    bounds = [(None, None)] * n + [(0, None)] * (1 if largest else m)
    above = sparse.hstack([matrix, -slack])  # matrix Phi + target <= slack
    below = sparse.hstack([-matrix, -slack])
    found = linprog(
        cost, A_ub=sparse.vstack([above, below]).tocsr(), b_ub=np.concatenate([-target, target]) / scale,
        bounds=bounds, method="highs",
    )  # fmt: skip
    if found.status != 0:
        raise InputError(
            "reward", found=f"a linear program that was not solved ({found.message})", expected="a solution"
        )
    return scale * found.x[:n]
