"""Where are rewards compared? A finite Markov decision process, and what can be computed in it exactly.

    J_R(pi) = mu0' V^pi,   V^pi = (I - gamma P_pi)^-1 r_pi,   r(s, a) = sum_s' P(s'|s, a) R(s, a, s')
    eta^pi(s, a) = sum_t gamma^t Pr(s_t = s, a_t = a),        J_R(pi) = <eta^pi, r>

Everything is linear algebra or policy iteration in float64: no sampling, no tolerance that a user must choose.
Transitions are dense, (S, A, S); memory grows with their number.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal, NamedTuple

import numpy as np

from learnt.core.errors import InputError, NonFiniteError, ShapeError

Axes = Literal["auto", "s", "sa", "ss", "sas"]
Reward = np.ndarray | Callable[[int, int, int], float]


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
        reward: (S, A, S) float64, read-only; R(s, a, s').
        expected: (S, A) float64, the mean of R over the next state.
    """

    name: str
    reward: np.ndarray
    expected: np.ndarray


@dataclass(frozen=True, eq=False)
class TabularMDP:
    """A finite Markov decision process without its reward.

    Args:
        transitions: (S, A, S) probabilities P[s, a, s'] of the next state; rows are renormalised if they miss 1 by at
            most 1e-6.
        initial: (S,) probabilities of the first state.
        discount: gamma, above 0 and below 1.
        name: shown in reports.
        terminal: (S,) bool; a terminal state must lead to itself, and rewards in it must be 0.
        states, actions: names for reports; numbers if empty.

    Raises:
        ShapeError, InputError, NonFiniteError: on anything that is not such a process.
    """

    transitions: np.ndarray
    initial: np.ndarray
    discount: float
    name: str = "MDP"
    terminal: np.ndarray | None = None
    states: tuple[str, ...] = ()
    actions: tuple[str, ...] = ()
    _factors: dict[Any, Any] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        p = _finite(self.transitions, "transitions")
        if p.ndim != 3 or p.shape[0] != p.shape[2] or 0 in p.shape:
            raise ShapeError(
                "transitions", found=f"shape {p.shape}", expected="(S, A, S), at least one state and action"
            )
        n_states, n_actions = p.shape[:2]
        mu = _finite(self.initial, "initial")
        if mu.shape != (n_states,):
            raise ShapeError("initial", found=f"shape {mu.shape}", expected=f"({n_states},), one number a state")
        object.__setattr__(self, "transitions", _distributions(p, "transitions"))
        object.__setattr__(self, "initial", _distributions(mu, "initial"))
        discount = _finite(self.discount, "discount")
        if discount.shape != () or not 0.0 < float(discount) < 1.0:
            raise InputError("discount", found=f"{self.discount}", expected="a number above 0 and below 1")
        object.__setattr__(self, "discount", float(discount))
        end = np.zeros(n_states, dtype=bool) if self.terminal is None else np.array(self.terminal)
        if end.shape != (n_states,) or end.dtype != bool:
            raise ShapeError("terminal", found=f"{end.dtype} of shape {end.shape}", expected=f"bool ({n_states},)")
        stays = self.transitions[np.arange(n_states), :, np.arange(n_states)].min(1) == 1.0
        if (end & ~stays).any():
            raise InputError(
                "terminal",
                found=f"terminal state {int(np.flatnonzero(end & ~stays)[0])}, which can be left",
                expected="terminal states that lead to themselves under every action",
            )
        object.__setattr__(self, "terminal", _frozen(end))
        for what, names, count in (("states", self.states, n_states), ("actions", self.actions, n_actions)):
            if names and len(names) != count:
                raise ShapeError(what, found=f"{len(names)} names", expected=f"{count}")

    @classmethod
    def random(
        cls,
        n_states: int,
        n_actions: int,
        *,
        discount: float = 0.95,
        seed: int = 0,
        deterministic: bool = False,
        name: str | None = None,
    ) -> TabularMDP:
        """A random MDP with few successors for each state and action, uniform over first states.

        P(.|s, a) is the softmax of those standard normal logits that exceed a threshold (1 below 50 states, 1.5
        below 100, else 1.8), or of the largest one if none does; all other transitions are impossible. This is the
        law of Skalse et al. (2024), whose code gives the impossible ones probability 1e-10 instead of 0.
        """
        if n_states < 1 or n_actions < 1:
            raise InputError("n_states, n_actions", found=f"{n_states}, {n_actions}", expected="positive integers")
        rng = np.random.default_rng([seed, n_states, n_actions])
        logits = rng.standard_normal((n_states, n_actions, n_states))
        threshold = 1.0 if n_states < 50 else 1.5 if n_states < 100 else 1.8
        best = logits.max(-1, keepdims=True)
        kept = logits == best if deterministic else (logits > threshold) | (logits == best)
        weights = np.where(kept, np.exp(logits - best), 0.0)
        return cls(
            weights / weights.sum(-1, keepdims=True),
            np.full(n_states, 1.0 / n_states),
            discount,
            name=name or f"random MDP {n_states}x{n_actions}",
        )

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
        """The checked view of a reward that measures work with; see `as_reward` for what is accepted."""
        if isinstance(reward, RewardView):
            reward = reward.reward
        full = self.as_reward(reward, axes=axes, name=name)
        expected = np.einsum("sak,sak->sa", self.transitions, full)
        return RewardView(name=name, reward=full, expected=_frozen(expected))

    def as_reward(self, reward: Any, *, axes: Axes = "auto", name: str = "reward") -> np.ndarray:
        """(S, A, S) float64, read-only, from what people have.

        Args:
            reward: array or tensor of shape (S, A, S), (S, A), (S,), or a function of (s, a, s') on integers.
            axes: what the axes of the array are: state, action, next state; ``"ss"`` is (state, next state).
                ``"auto"`` tells by the shape and refuses a square matrix where it could be both.
            name: for error texts.

        Raises:
            ShapeError, InputError, NonFiniteError: on another shape, NaN, infinity, or a reward in a terminal state.
        """
        s, a = self.n_states, self.n_actions
        if callable(reward) and not hasattr(reward, "__array__"):
            function: Callable[[int, int, int], Any] = reward
            full = _finite([[[function(i, j, k) for k in range(s)] for j in range(a)] for i in range(s)], name)
            if full.shape != (s, a, s):
                raise ShapeError(name, found="a function that returns arrays", expected="one number for (s, a, s')")
        else:
            array = _finite(reward, name).copy()  # broadcasting below would keep a view of the user's array
            if axes == "auto":
                if array.shape == (s, a) and s == a and s > 1:
                    raise InputError(
                        name,
                        found=f"a square matrix ({s}, {s}), which could be (state, action) or (state, next state)",
                        expected="a shape with one meaning",
                        remedy="Say axes='sa' or axes='ss', or give the array as (S, A, S).",
                    )
                axes = "s" if array.ndim == 1 else "sa" if array.ndim == 2 else "sas"
            shapes = {"s": (s,), "sa": (s, a), "ss": (s, s), "sas": (s, a, s)}
            if axes not in shapes:
                raise InputError("axes", found=f"{axes!r}", expected="'auto', 's', 'sa', 'ss' or 'sas'")
            if array.shape != shapes[axes]:
                raise ShapeError(
                    name, found=f"shape {array.shape}", expected=f"{shapes[axes]}; or [S, A, S] = {shapes['sas']}"
                )
            index = {"s": np.s_[:, None, None], "sa": np.s_[:, :, None], "ss": np.s_[:, None, :], "sas": np.s_[:, :, :]}
            full = np.broadcast_to(array[index[axes]], (s, a, s))
        if self.terminal is not None and full[self.terminal].any():
            raise InputError(
                name,
                found=f"a reward in terminal state {int(np.flatnonzero(self.terminal)[0])}",
                expected="0 there, where nothing happens any more",
                remedy="Give it on the transition into the state.",
            )
        return _frozen(full)

    # -- exact quantities ------------------------------------------------------------------------------

    @property
    def n_states(self) -> int:
        """Number of states S."""
        return self.transitions.shape[0]

    @property
    def n_actions(self) -> int:
        """Number of actions A."""
        return self.transitions.shape[1]

    @cached_property
    def reachable(self) -> np.ndarray:
        """(S,) bool: states that some policy visits; the others count in no return, and in no distance."""
        edges: np.ndarray = np.any(self.transitions > 0, axis=1)
        seen: np.ndarray = np.greater(self.initial, 0)
        while True:
            more = seen | np.any(edges[seen], axis=0)
            if (more == seen).all():
                return _frozen(seen)
            seen = more

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
        array = _finite(array, "policy")
        if array.shape != (self.n_states, self.n_actions):
            raise ShapeError(
                "policy", found=f"shape {array.shape}", expected=f"({self.n_states}, {self.n_actions}) probabilities"
            )
        return _distributions(array, "policy")

    def evaluate(self, expected: np.ndarray, policy: np.ndarray | None = None) -> np.ndarray:
        """(..., S) values V^pi of expected rewards (..., S, A); one factorisation for all rewards of a policy."""
        pi = self.as_policy(policy)
        rewards = np.einsum("sa,...sa->...s", pi, expected)
        flat = self._solve(pi, rewards.reshape(-1, self.n_states).T)
        return flat.T.reshape(rewards.shape)

    def occupancy(self, policy: np.ndarray | None = None) -> np.ndarray:
        """(S, A) discounted visits eta^pi; sums to 1 / (1 - discount)."""
        pi = self.as_policy(policy)
        return self._solve(pi, self.initial, transposed=True)[:, None] * pi

    def _solve(self, policy: np.ndarray, right: np.ndarray, *, transposed: bool = False) -> np.ndarray:
        from scipy.linalg import lu_factor, lu_solve

        def factor() -> Any:
            moves = np.einsum("sa,sak->sk", policy, self.transitions)
            return lu_factor(np.eye(self.n_states) - self.discount * moves)

        return lu_solve(self.cached(("policy", policy.tobytes()), factor), right, trans=int(transposed))

    def solve(self, expected: np.ndarray) -> Solution:
        """The optimal policy for expected rewards (S, A), by policy iteration: exact up to float64.

        Raises:
            ShapeError, NonFiniteError: on another shape, NaN or infinity.
        """
        r = _finite(expected, "expected")
        if r.shape != (self.n_states, self.n_actions):
            raise ShapeError(
                "expected", found=f"shape {r.shape}", expected=f"({self.n_states}, {self.n_actions}) expected rewards"
            )
        states = np.arange(self.n_states)
        actions = r.argmax(1)
        slack = 1e-13 * max(float(np.abs(r).max()), 1e-300) / (1 - self.discount)
        while True:  # ends: every step strictly improves some state, and there are finitely many policies
            chosen = self.transitions[states, actions]
            values = np.linalg.solve(np.eye(self.n_states) - self.discount * chosen, r[states, actions])
            q = r + self.discount * self.transitions @ values
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


def _finite(values: Any, name: str) -> np.ndarray:
    """`values` as float64; raises InputError if not numeric, NonFiniteError on NaN or infinity."""
    if hasattr(values, "detach"):
        values = values.detach().cpu().numpy()
    try:
        array = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(name, found=f"{type(values).__name__} that is not numeric", expected="numbers") from error
    bad = ~np.isfinite(array)
    if bad.any():
        first = tuple(int(i) for i in np.argwhere(bad)[0])
        raise NonFiniteError(
            name,
            found=f"{int(bad.sum())} values that are NaN or infinite, the first at index {first}",
            expected="numbers",
        )
    return array


def _distributions(values: np.ndarray, name: str) -> np.ndarray:
    """`values` with rows that sum to 1 exactly; raises InputError with the first bad row."""
    if (values < 0).any():
        first = tuple(int(i) for i in np.argwhere(values < 0)[0])
        raise InputError(name, found=f"a negative probability at {first}", expected="probabilities")
    sums = values.sum(-1, keepdims=True)
    off = np.abs(sums[..., 0] - 1.0) > 1e-6
    if off.any():
        first = tuple(int(i) for i in np.argwhere(off)[0])
        where = f" at {first[0] if len(first) == 1 else first}" if first else ""
        raise InputError(
            name, found=f"probabilities that sum to {float(sums[..., 0][first]):.6g}{where}", expected="a sum of 1"
        )
    return _frozen(values / sums)


def _frozen(values: np.ndarray) -> np.ndarray:
    out = values.view() if not values.flags.writeable else values.copy()
    out.flags.writeable = False
    return out
