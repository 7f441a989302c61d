"""The part of a process where decisions matter, and the best policy there for any mixture of rewards.

States that no policy reaches and terminal states (where every reward is 0) are left out. On the n states that remain,
for k rewards at once and weights w,

    V = (I - gamma P_pi)^-1 [r_1 .. r_k]_pi,     Q = r + gamma P V,     pi'(s) = argmax_a sum_k w_k Q_k(s, a)

is policy iteration for the reward sum_k w_k r_k. Other weights need no new evaluation of the policy at hand, which
makes a family R1 - lambda R2 cheap. `Plan.bound` is a certificate by the Bellman residual: whatever the solver left
undone, no policy returns more.

Dense processes use LAPACK. Sparse ones use BiCGSTAB from the values of the previous policy, and a sparse LU
factorisation where that does not converge; nothing of size n x n is formed for them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from learnt.rewards.mdp import TabularMDP

EPS = float(np.finfo(np.float64).eps)
SMALL = 150  # states up to which dense linear algebra is faster, however few transitions there are
FILLED = 0.1  # share of possible transitions from which on a process is treated as dense
RESIDUAL = 1e-13  # of an iterative solution, beside right-hand side and solution
ATTEMPTS = 3


@dataclass(frozen=True, eq=False, kw_only=True)
class Live:
    """A process restricted to the states that are reachable and not terminal.

    Attributes:
        states: (n,) indices of these states in the whole process.
        n_actions: number of actions A.
        moves: (n, A, n) probabilities, or their CSR matrix (n A, n); rows sum to less than 1 before a terminal state.
        start: (n,) probabilities of the first state.
        discount: gamma.
    """

    states: np.ndarray
    n_actions: int
    moves: Any
    start: np.ndarray
    discount: float

    @property
    def n_states(self) -> int:
        """Number of states n."""
        return len(self.states)

    @property
    def is_sparse(self) -> bool:
        """Whether `moves` is a sparse matrix."""
        return not isinstance(self.moves, np.ndarray)

    @property
    def uniform(self) -> np.ndarray:
        """(n, A): the policy that takes every action with equal probability."""
        return np.full((self.n_states, self.n_actions), 1.0 / self.n_actions)

    def ahead(self, values: np.ndarray) -> np.ndarray:
        """(n, k) values -> (n, A, k) discounted mean over the next state."""
        n, k = values.shape
        moves = self.moves if self.is_sparse else self.moves.reshape(n * self.n_actions, n)
        return self.discount * (moves @ values).reshape(n, self.n_actions, k)

    def evaluate(self, policy: np.ndarray, rewards: np.ndarray, near: np.ndarray | None = None) -> np.ndarray:
        """(n, k) values of rewards (n, A, k) under a policy, (n,) actions or (n, A) probabilities.

        Args:
            near: (n, k) values to start from, for the iterative solver.
        """
        if policy.ndim == 1:
            right = rewards[np.arange(self.n_states), policy]
        else:
            right = np.einsum("sa,sak->sk", policy, rewards)
        return self._solve(self.steps(policy), right, near)

    def visits(self, policy: np.ndarray) -> np.ndarray:
        """(n, A) discounted visits under a policy, (n,) actions or (n, A) probabilities."""
        states = np.maximum(self._solve(self.steps(policy).T, self.start[:, None], None)[:, 0], 0.0)
        return states[:, None] * (np.eye(self.n_actions)[policy] if policy.ndim == 1 else policy)

    def steps(self, policy: np.ndarray) -> Any:
        """I - gamma P_pi, (n, n): dense or CSR."""
        n, rows = self.n_states, np.arange(self.n_states)
        if not self.is_sparse:
            chosen = self.moves[rows, policy] if policy.ndim == 1 else np.einsum("sa,sak->sk", policy, self.moves)
            matrix = -self.discount * chosen
            matrix[rows, rows] += 1.0
            return matrix
        from scipy import sparse

        if policy.ndim == 1:
            chosen = self.moves[rows * self.n_actions + policy]
        else:
            pairs = np.arange(n * self.n_actions)
            chooser = (policy.ravel(), (pairs // self.n_actions, pairs))
            chosen = sparse.csr_array(chooser, shape=(n, len(pairs))) @ self.moves
        return (sparse.eye_array(n, format="csr") - self.discount * chosen).tocsr()

    def _solve(self, matrix: Any, right: np.ndarray, near: np.ndarray | None) -> np.ndarray:
        if not self.is_sparse:
            return np.linalg.solve(matrix, right)
        from scipy.sparse.linalg import splu

        out, factors = np.zeros(right.shape), None
        for j in range(right.shape[1]):
            size = float(np.abs(right[:, j]).max())
            if size == 0.0:
                continue
            b = right[:, j] / size  # BiCGSTAB takes small numbers for a breakdown
            found = None if factors else _iterated(matrix, b, None if near is None else near[:, j] / size)
            if found is None:
                factors = factors or splu(matrix.tocsc())
                found = factors.solve(b)
                found += factors.solve(b - matrix @ found)
            out[:, j] = size * found
        return out


def _iterated(matrix: Any, b: np.ndarray, near: np.ndarray | None) -> np.ndarray | None:
    """The solution by BiCGSTAB, begun again where it breaks down; None if it stays away."""
    from scipy.sparse.linalg import bicgstab

    x, steps = near, 100 + len(b) // 20  # beyond, a factorisation is cheaper
    for _ in range(ATTEMPTS):
        with np.errstate(all="ignore"):  # a breakdown shows in the residual
            x, ended = bicgstab(matrix, b, x0=x, rtol=1e-14, atol=0.0, maxiter=steps)
            left, size = float(np.abs(matrix @ x - b).max()), float(np.abs(x).max())
        if left <= RESIDUAL * (1.0 + size):
            return x
        if ended > 0:
            return None
        if not left <= 0.1:  # from zero, a constant b is a breakdown at once: sum_s (I - gamma P')_sz is constant
            x = np.cos(np.arange(len(b)))
    return None


@dataclass(frozen=True, eq=False, kw_only=True)
class Plan:
    """A deterministic policy and what k rewards are worth under it.

    Attributes:
        actions: (n,) one action a state.
        values: (n, k) from each state.
        ahead: (n, A, k) after any one action.
        returns: (k,) from the first state.
    """

    actions: np.ndarray
    values: np.ndarray
    ahead: np.ndarray
    returns: np.ndarray

    def bound(self, weights: np.ndarray, longest: float) -> float:
        """A return of the reward with `weights` (k,) that no policy exceeds.

        Args:
            longest: the largest discounted number of steps of any policy.
        """
        gain = (self.ahead @ weights).max(1) - self.values @ weights
        return float(self.returns @ weights) + longest * max(0.0, float(gain.max(initial=0.0)))


def live(mdp: TabularMDP) -> Live:
    """The part of a process where decisions matter, made once for each process."""
    return mdp.cached("live", lambda: _restricted(mdp))


def longest(mdp: TabularMDP) -> float:
    """The largest discounted number of steps before a terminal state: 1 / (1 - gamma) if there is none."""

    def compute() -> float:
        part = live(mdp)
        if mdp.discount < 1.0 and not (mdp.terminal & mdp.reachable).any():
            return 1.0 / (1.0 - mdp.discount)
        if part.n_states == 0:
            return 0.0
        steps = np.ones((part.n_states, part.n_actions, 1))
        plan = best(part, steps, np.ones(1))
        left = float(np.max(plan.ahead[..., 0].max(1) - plan.values[:, 0], initial=0.0))
        return float(plan.returns[0]) / (1.0 - min(left, 0.5))  # left is rounding: T <= J + left T

    return mdp.cached("longest", compute)


def best(
    part: Live,
    rewards: np.ndarray,
    weights: np.ndarray,
    *,
    near: Plan | None = None,
    allowed: np.ndarray | None = None,
) -> Plan:
    """The best policy for a weighted sum of rewards, by policy iteration.

    Args:
        part: the live part of a process.
        rewards: (n, A, k) expected rewards.
        weights: (k,) the sum that is maximised.
        near: a plan to start from, for the same rewards.
        allowed: (n, A) bool, actions to choose from; at least one in each state. `near` must keep to it.
    """
    rows = np.arange(part.n_states)

    def weighed(values: np.ndarray) -> np.ndarray:
        total = values @ weights
        return total if allowed is None else np.where(allowed, total, -np.inf)

    plan = near if near is not None else _plan(part, weighed(rewards).argmax(1), rewards, None)
    total = np.abs(weights)
    while part.n_states:
        after = weighed(plan.ahead)
        choice, now = after.argmax(1), plan.values @ weights
        rounding = (RESIDUAL if part.is_sparse else 8 * EPS) * float(np.abs(plan.ahead).max((0, 1)) @ total)
        better = after[rows, choice] - now > rounding
        if not better.any():
            break
        found = _plan(part, np.where(better, choice, plan.actions), rewards, plan.values)
        if (found.values @ weights).sum() <= now.sum():  # no progress beyond rounding
            break
        plan = found
    return plan


def follow(part: Live, policy: np.ndarray, rewards: np.ndarray) -> np.ndarray:
    """(k,) returns of rewards (n, A, k) under a policy (n, A)."""
    return part.start @ part.evaluate(policy, rewards)


def _plan(part: Live, actions: np.ndarray, rewards: np.ndarray, near: np.ndarray | None) -> Plan:
    values = part.evaluate(actions, rewards, near)
    return Plan(actions=actions, values=values, ahead=rewards + part.ahead(values), returns=part.start @ values)


def _restricted(mdp: TabularMDP) -> Live:
    states = np.flatnonzero(mdp.reachable & ~mdp.terminal)
    n, a = len(states), mdp.n_actions
    if mdp.is_sparse:
        moves = mdp.kernel[(states[:, None] * a + np.arange(a)).ravel()][:, states].tocsr()
        if n <= SMALL or moves.nnz > FILLED * moves.shape[0] * n:
            moves = moves.toarray().reshape(n, a, n)
    else:
        moves = np.ascontiguousarray(mdp.transitions[states][:, :, states])
        if n > SMALL and np.count_nonzero(moves) <= FILLED * moves.size:
            from scipy.sparse import csr_array

            moves = csr_array(moves.reshape(n * a, n))
    return Live(states=states, n_actions=a, moves=moves, start=mdp.initial[states], discount=mdp.discount)
