"""Occupancies as a polytope, and the linear program of the worst-case regret over two of them, by HiGHS.

Omega = { eta >= 0 : sum_a eta(s, a) - gamma sum_{z, a} P(s|z, a) eta(z, a) = mu0(s) for all live states s }
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from learnt.core.errors import NotApplicable
from learnt.rewards._live import Live

if TYPE_CHECKING:
    from learnt.rewards._aim import Pair

# HiGHS accepts nothing tighter; values lie in [0, 1] here
SCALE = 1000.0  # of the rows, because HiGHS drops coefficients below 1e-9 and probabilities can be that small
OPTIONS = {"primal_feasibility_tolerance": 1e-10, "dual_feasibility_tolerance": 1e-10}


def flow(part: Live) -> Any:
    """(n, n A) sparse matrix F with F eta = start for occupancies eta (n A,) of the live part."""
    from scipy import sparse

    n, a = part.n_states, part.n_actions
    moves = part.moves if part.is_sparse else sparse.csr_array(part.moves.reshape(n * a, n))
    here = sparse.csr_array((np.ones(n * a), (np.repeat(np.arange(n), a), np.arange(n * a))), shape=(n, n * a))
    return (here - part.discount * moves.T).tocsr()


def solve_program(both: Pair) -> tuple[np.ndarray, float]:
    """Occupancies (2, n, A) of the two policies of largest regret, and the multiplier of the proxy's consent.

    Raises:
        NotApplicable: if HiGHS gives up.
    """
    from scipy import sparse
    from scipy.optimize import linprog

    part = both.part
    equal = SCALE * flow(part)
    r1, r2 = both.rewards[..., 0].ravel(), both.rewards[..., 1].ravel()
    found = linprog(
        np.concatenate([-r1, r1]),
        A_ub=sparse.csr_array(np.concatenate([r2, -r2])[None]),
        b_ub=[0.0],
        A_eq=sparse.block_diag([equal, equal], format="csr"),
        b_eq=SCALE * np.concatenate([part.start, part.start]),
        method="highs",
        options=OPTIONS,
    )
    if found.status != 0:
        raise NotApplicable(
            "solver", found=f"'lp', which ended with {found.message!r}", expected="a solution", remedy="Use 'dual'."
        )
    visits = np.maximum(found.x, 0.0).reshape(2, part.n_states, part.n_actions)
    return visits, max(0.0, -float(found.ineqlin.marginals[0]))
