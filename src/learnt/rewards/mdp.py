"""Where are rewards compared? A finite Markov decision process, and what can be computed in it exactly.

    J_R(pi) = mu0' V^pi,   V^pi = (I - gamma P_pi)^-1 r_pi,   r(s, a) = sum_s' P(s'|s, a) R(s, a, s')
    eta^pi(s, a) = sum_t gamma^t Pr(s_t = s, a_t = a),        J_R(pi) = <eta^pi, r>

Everything is linear algebra or policy iteration in float64: no sampling, no tolerance that a user must choose.
Transitions are dense, (S, A, S), or sparse, (S A, S); with sparse ones nothing of size S A S or S S is made.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, NamedTuple, final

import numpy as np

from learnt.core.errors import InputError, NotApplicable, ShapeError
from learnt.rewards._checks import checked_terminal, distributions, finite, frozen, sparse_distributions
from learnt.rewards._graph import endless_states, reachable_states
from learnt.rewards._linear import solver

Axes = Literal["auto", "s", "sa", "ss", "sas"]
LARGEST = 50_000_000  # entries (s, a, s') that a sparse process will still unfold into a dense array: 400 MB


class Solution(NamedTuple):
    """An optimal policy: its return from the initial states, values (S,), and one action for each state (S,)."""

    value: float
    values: np.ndarray
    actions: np.ndarray


@dataclass(frozen=True, eq=False, kw_only=True)
class RewardView:
    """A reward in an MDP, checked.

    Attributes:
        name: how reports call it.
        reward: (S, A, S) float64, read-only; R(s, a, s'). (S, A, 1) in a sparse process, constant in s'.
        expected: (S, A) float64, the mean of R over the next state.
        averaged: whether the reward was given for each transition of a sparse process, of which `reward` is the mean.
    """

    name: str
    reward: np.ndarray
    expected: np.ndarray
    averaged: bool = False


@final
class TabularMDP:
    """A finite Markov decision process without its reward.

    Args:
        transitions: (S, A, S) probabilities P[s, a, s'] of the next state, or a scipy sparse matrix (S A, S) whose row
            s A + a is P(.|s, a); rows are renormalised if they miss 1 by at most 1e-6.
        initial: (S,) probabilities of the first state.
        discount: gamma, from 0 to 1; 1 only if every policy ends in a terminal state.
        name: shown in reports.
        terminal: (S,) bool; a terminal state must lead to itself, and rewards in it must be 0.
        states, actions: names for reports; numbers if empty.
        sparse: keep the transitions sparse or dense; ``"auto"``: as given.
        grid: (rows, columns) if state i is cell (i // columns, i % columns) of a grid: pictures then show it.

    Raises:
        ShapeError, InputError, NonFiniteError: on anything that is not such a process.
    """

    def __init__(
        self,
        transitions: Any,
        initial: Any,
        discount: float,
        name: str = "MDP",
        terminal: Any = None,
        states: tuple[str, ...] = (),
        actions: tuple[str, ...] = (),
        *,
        sparse: bool | Literal["auto"] = "auto",
        grid: tuple[int, int] | None = None,
    ) -> None:
        from scipy.sparse import issparse

        self._dense: np.ndarray | None = None
        self._kernel: Any = None
        if issparse(transitions):
            self._kernel = sparse_distributions(transitions, "transitions")
            self.n_states = int(self._kernel.shape[1])
            self.n_actions = self._kernel.shape[0] // self.n_states
        else:
            p = finite(transitions, "transitions")
            if p.ndim != 3 or p.shape[0] != p.shape[2] or 0 in p.shape:
                raise ShapeError(
                    "transitions",
                    found=f"shape {p.shape}",
                    expected="(S, A, S), at least one state and action, or a sparse (S * A, S)",
                )
            self._dense = distributions(p, "transitions")
            self.n_states, self.n_actions = p.shape[:2]
        if sparse not in ("auto", True, False):
            raise InputError("sparse", found=repr(sparse), expected='True, False or "auto"')
        self.is_sparse = self._kernel is not None if sparse == "auto" else bool(sparse)
        mu = finite(initial, "initial")
        if mu.shape != (self.n_states,):
            raise ShapeError("initial", found=f"shape {mu.shape}", expected=f"({self.n_states},), one number a state")
        self.initial = distributions(mu, "initial")
        gamma = finite(discount, "discount")
        if gamma.shape != () or not 0.0 <= float(gamma) <= 1.0:
            raise InputError("discount", found=f"{discount}", expected="a number from 0 to 1")
        self.discount = float(gamma)
        self.terminal = checked_terminal(terminal, self.kernel)
        for what, names, count in (("states", states, self.n_states), ("actions", actions, self.n_actions)):
            if names and len(names) != count:
                raise ShapeError(what, found=f"{len(names)} names", expected=f"{count}")
        if self.discount == 1.0 and (endless := endless_states(self.kernel, self.terminal)).any():
            raise InputError(
                "discount",
                found=f"1, although some policy never ends from state {int(np.flatnonzero(endless)[0])}",
                expected="a number below 1, or terminal states that every policy reaches",
                remedy="Without discounting, returns of a process that goes on are infinite.",
            )
        self.name, self.states, self.actions = name, tuple(states), tuple(actions)
        if grid is not None and grid[0] * grid[1] != self.n_states:
            raise ShapeError("grid", found=f"{grid[0]} x {grid[1]} cells", expected=f"{self.n_states}, one a state")
        self.grid = grid
        self._factors: dict[Any, Any] = {}
        if self.is_sparse:
            _ = self.kernel
            self._dense = None

    def __repr__(self) -> str:
        return (
            f"TabularMDP({self.name!r}, {self.n_states} states, {self.n_actions} actions, discount {self.discount:g})"
        )

    @classmethod
    def random(
        cls, n_states: int, n_actions: int, *, discount: float = 0.95, seed: int = 0, **options: Any
    ) -> TabularMDP:
        """A random MDP with few successors of each state and action; `learnt.rewards.random_mdp.random_mdp`."""
        from learnt.rewards.random_mdp import random_mdp

        return random_mdp(n_states, n_actions, discount=discount, seed=seed, **options)

    @classmethod
    def from_toy_text(cls, env: Any, *, discount: float, **options: Any) -> TabularMDP:
        """The process of a Gymnasium environment with a table `P`; `learnt.rewards.toy_text.from_toy_text`."""
        from learnt.rewards.toy_text import from_toy_text

        return from_toy_text(env, discount=discount, **options)

    @classmethod
    def from_imitation(cls, env: Any, *, discount: float, **options: Any) -> TabularMDP:
        """The process of a tabular environment of `imitation`; `learnt.rewards.imitation.from_imitation`."""
        from learnt.rewards.imitation import from_imitation

        return from_imitation(env, discount=discount, **options)

    # -- the transitions ------------------------------------------------------------------------------

    @property
    def transitions(self) -> np.ndarray:
        """(S, A, S) probabilities, read-only.

        Raises:
            NotApplicable: a sparse process with more than 50 million triples (s, a, s').
        """
        if self._dense is not None:
            return self._dense
        shape = (self.n_states, self.n_actions, self.n_states)
        if np.prod(shape) > LARGEST:
            raise NotApplicable(
                "mdp",
                found=f"a sparse process with {self.n_states:,} states",
                expected="one small enough for all (s, a, s') at once",
                remedy="Use a canonical form of expected rewards: 'val' or 'minimal'.",
            )
        unfolded: np.ndarray = self.kernel.toarray().reshape(shape)
        if not self.is_sparse:
            self._dense = frozen(unfolded)
        return frozen(unfolded)

    @property
    def kernel(self) -> Any:
        """(S A, S) sparse transition matrix (scipy CSR); row s A + a is P(.|s, a)."""
        if self._kernel is None:
            from scipy.sparse import csr_array

            self._kernel = csr_array(self.transitions.reshape(-1, self.n_states))
        return self._kernel

    def ahead(self, values: np.ndarray) -> np.ndarray:
        """(..., S) values of states -> (..., S, A): their mean over the next state."""
        flat = np.asarray(values).reshape(-1, self.n_states)
        if self._dense is None:
            moved = (self.kernel @ flat.T).T
        else:
            moved = flat @ self._dense.reshape(-1, self.n_states).T
        return np.ascontiguousarray(moved).reshape(*np.shape(values), self.n_actions)

    def expected(self, reward: np.ndarray) -> np.ndarray:
        """(..., S, A, S) or (..., S, A, 1) rewards -> (..., S, A): their mean over the next state."""
        if reward.shape[-1] == 1:
            return reward[..., 0]
        return np.einsum("sak,...sak->...sa", self.transitions, reward)

    def policy_moves(self, policy: np.ndarray) -> Any:
        """(S, S) transition matrix under a policy (S, A); sparse for a sparse process.

        Without discounting, rows of terminal states are zero: what happens there has no value and no end.
        """
        if self.discount == 1.0:
            policy = np.where(self.terminal[:, None], 0.0, policy)
        if self._dense is not None:
            return np.einsum("sa,sak->sk", policy, self._dense)
        from scipy.sparse import csr_array

        s, a = policy.shape
        chooser = csr_array((policy.ravel(), np.arange(s * a), np.arange(0, s * a + 1, a)), shape=(s, s * a))
        return chooser @ self.kernel

    # -- what a comparison needs -----------------------------------------------------------------------

    @property
    def size(self) -> int:
        """Number of sampled examples: none, everything here is exact."""
        return 0

    @property
    def keys(self) -> np.ndarray:
        """(0,) uint64: there are no examples."""
        return np.empty(0, dtype=np.uint64)

    def subject(self, reward: Any, *, name: str, axes: Axes = "auto", **_: Any) -> RewardView:
        """The checked view of a reward that measures work with; see `learnt.rewards.view` for what is accepted."""
        from learnt.rewards.view import view

        return reward if isinstance(reward, RewardView) else view(self, reward, axes=axes, name=name)

    def as_reward(self, reward: Any, *, axes: Axes = "auto", name: str = "reward") -> np.ndarray:
        """(S, A, S) float64, read-only, from what people have; (S, A, 1) in a sparse process. See `subject`."""
        return self.subject(reward, name=name, axes=axes).reward

    # -- exact quantities ------------------------------------------------------------------------------

    @cached_property
    def reachable(self) -> np.ndarray:
        """(S,) bool: states that some policy visits; the others count in no return, and in no distance."""
        return frozen(reachable_states(self.kernel, self.initial))

    @property
    def uniform(self) -> np.ndarray:
        """(S, A): the policy that takes every action with equal probability."""
        return np.full((self.n_states, self.n_actions), 1.0 / self.n_actions)

    def cached(self, key: Any, compute: Callable[[], Any]) -> Any:
        """The value under `key`, computed the first time: factorisations that many rewards share."""
        if key not in self._factors:
            self._factors[key] = compute()
        return self._factors[key]

    def as_policy(self, policy: np.ndarray | None) -> np.ndarray:
        """(S, A) action probabilities: checked; the uniform policy for None; one action a state (S,) made one-hot.

        Raises:
            InputError: on a function of the reward: a canonical form needs one policy for all rewards.
        """
        if policy is None:
            return self.uniform
        if callable(policy) and not hasattr(policy, "__array__"):
            raise InputError(
                "policy",
                found="a function",
                expected="fixed action probabilities (S, A)",
                remedy="A policy that depends on the reward would not give a linear canonical form.",
            )
        array = np.asarray(policy)
        if array.shape == (self.n_states,) and np.issubdtype(array.dtype, np.integer):
            if array.min() < 0 or array.max() >= self.n_actions:
                raise InputError("policy", found="an action that does not exist", expected=f"0 to {self.n_actions - 1}")
            return np.eye(self.n_actions)[array]
        array = finite(array, "policy")
        if array.shape != (self.n_states, self.n_actions):
            raise ShapeError(
                "policy", found=f"shape {array.shape}", expected=f"({self.n_states}, {self.n_actions}) probabilities"
            )
        return distributions(array, "policy")

    def evaluate(self, expected: np.ndarray, policy: np.ndarray | None = None) -> np.ndarray:
        """(..., S) values V^pi of expected rewards (..., S, A); one factorisation for all rewards of a policy."""
        pi = self.as_policy(policy)
        rewards = np.einsum("sa,...sa->...s", pi, expected)
        flat = self._solve(pi, np.ascontiguousarray(rewards.reshape(-1, self.n_states).T))
        return flat.T.reshape(rewards.shape)

    def occupancy(self, policy: np.ndarray | None = None) -> np.ndarray:
        """(S, A) discounted visits eta^pi, sum 1 / (1 - discount); without discounting, arrivals in terminal states."""
        pi = self.as_policy(policy)
        return self._solve(pi, self.initial, transposed=True)[:, None] * pi

    def _solve(self, policy: np.ndarray, right: np.ndarray, *, transposed: bool = False) -> np.ndarray:
        solve = self.cached(("policy", policy.tobytes()), lambda: solver(self.policy_moves(policy), self.discount))
        return solve(right, transposed)

    def solve(self, expected: np.ndarray) -> Solution:
        """The optimal policy for expected rewards (S, A), by policy iteration: exact up to float64.

        Raises:
            ShapeError, NonFiniteError: on another shape, NaN or infinity.
        """
        r = finite(expected, "expected")
        if r.shape != (self.n_states, self.n_actions):
            raise ShapeError(
                "expected", found=f"shape {r.shape}", expected=f"({self.n_states}, {self.n_actions}) expected rewards"
            )
        return self._iterate(r, 1e-13 * max(float(np.abs(r).max()), 1e-300) * self.horizon)

    @cached_property
    def horizon(self) -> float:
        """1 / (1 - discount); without discounting, the largest expected number of steps of any policy."""
        if self.discount < 1.0:
            return 1.0 / (1.0 - self.discount)
        steps = np.where(self.terminal[:, None], 0.0, np.ones((self.n_states, self.n_actions)))
        return max(1.0, float(self._iterate(steps, 1e-9).values.max()))

    def _iterate(self, r: np.ndarray, slack: float) -> Solution:
        """Policy iteration; an action replaces another if it is better by more than `slack`."""
        states = np.arange(self.n_states)
        actions = r.argmax(1)
        ends = self.terminal if self.discount == 1.0 else np.zeros(self.n_states, dtype=bool)
        if self._dense is None:
            slack *= 100  # of the residuals of an iterative solver
        while True:  # ends: every step strictly improves some state, and there are finitely many policies
            if self._dense is None:
                chosen = self.policy_moves(np.eye(self.n_actions)[actions])
                values = solver(chosen, self.discount)(r[states, actions], False)
            else:
                moves = np.where(ends[:, None], 0.0, self._dense[states, actions])
                matrix = np.eye(self.n_states) - self.discount * moves
                values = np.linalg.solve(matrix, r[states, actions])
            q = r + self.discount * self.ahead(values)
            better = q.max(1) > q[states, actions] + slack
            if not better.any():
                return Solution(float(self.initial @ values), values, actions)
            actions = np.where(better, q.argmax(1), actions)

    def returns(self, expected: np.ndarray) -> tuple[float, float]:
        """Lowest and highest return J of any policy for expected rewards (S, A)."""
        return -self.solve(-np.asarray(expected, dtype=np.float64)).value, self.solve(expected).value

    def return_range(self, expected: np.ndarray) -> float:
        """Highest minus lowest return of any policy for expected rewards (S, A); 0 if the reward is trivial."""
        low, high = self.returns(expected)
        return max(0.0, high - low)
