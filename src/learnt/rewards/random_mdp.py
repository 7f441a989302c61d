"""What do processes and rewards look like that nobody chose? The random MDPs of the STARC paper's experiment.

    P(.|s, a)  softmax of the standard normal logits above a threshold: 1 below 50 states, 1.5 below 100, else 1.8
    R(s, a, s')  standard normal; with probability .2 all but the largest are 0 (above 3, 3.5, 3.8 by the number of
                 states); then with .7 times 10 u; with .3 plus 10 u; with .5 shaped by a random potential
    R_i = R1 + i/N (R2 - R1),  i = 1 ... N

Source: Skalse et al. 2024, Section 4, and their code, which is followed draw by draw: `random_reward` with a
`numpy.random.RandomState` gives their numbers, and so does `random_mdp` with ``legacy_rng``.

Difference: their logits below the threshold become -20, so that "impossible" transitions keep a probability of about
1e-10. A reward paid only there is a reward in name alone: it is trivial up to 1e-10, and normalising it amplifies
rounding. Those transitions are impossible here, except with ``legacy_rng``.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Real

from learnt.core.errors import InputError, ShapeError
from learnt.rewards.mdp import TabularMDP

Stream = np.random.Generator | np.random.RandomState
CLOSED = -20.0  # the logit of an impossible transition in the authors' code


def random_mdp(
    n_states: int,
    n_actions: int,
    *,
    discount: float = 0.95,
    seed: int = 0,
    deterministic: bool = False,
    episodic: bool = False,
    legacy_rng: np.random.RandomState | None = None,
    name: str | None = None,
) -> TabularMDP:
    """A random MDP with few successors for each state and action, uniform over first states.

    Args:
        n_states, n_actions: its size.
        discount: gamma.
        seed: from which everything is drawn.
        deterministic: keep the likeliest transition of each state and action only.
        episodic: one state, drawn at random, is terminal.
        legacy_rng: the authors' stream, which `seed` then has no part in: ``RandomState(42)`` for their seed 42. As
            in their code no transition is impossible, and an episodic process pays rewards in its last state for ever.
        name: for reports.

    Raises:
        InputError: sizes below 1; an episodic process of one state; a deterministic process of the authors' stream.

    Source: Skalse et al. 2024, Section 4 and code.
    """
    if n_states < 1 or n_actions < 1:
        raise InputError("n_states, n_actions", found=f"{n_states}, {n_actions}", expected="positive integers")
    if episodic and n_states == 1:
        raise InputError("episodic", found="True, with one state", expected="a state besides the terminal one")
    if legacy_rng is not None:
        if deterministic:
            raise InputError("legacy_rng", found="one, with deterministic=True", expected="one of the two")
        return _legacy(n_states, n_actions, discount, episodic, legacy_rng, name)
    rng = np.random.default_rng([seed, n_states, n_actions])
    logits = rng.standard_normal((n_states, n_actions, n_states))
    best = logits.max(-1, keepdims=True)
    kept = logits == best if deterministic else (logits > _threshold(n_states)) | (logits == best)
    weights = np.where(kept, np.exp(logits - best), 0.0)
    terminal = None
    if episodic:
        terminal = np.arange(n_states) == rng.integers(n_states)
        weights[terminal] = terminal
    return TabularMDP(
        weights / weights.sum(-1, keepdims=True),
        np.full(n_states, 1.0 / n_states),
        discount,
        name=name or f"random MDP {n_states}x{n_actions}",
        terminal=terminal,
    )


def random_reward(mdp: TabularMDP, rng: Stream) -> Float[np.ndarray, "s a s"]:
    """A random reward (S, A, S), zero in terminal states; see the top of this file for its law.

    Args:
        mdp: its size, discount and terminal states are used.
        rng: a generator, or a ``RandomState`` for the authors' stream.

    Source: Skalse et al. 2024, Section 4 and code, in the order of the draws there.
    """
    n = mdp.n_states
    reward = np.asarray(rng.standard_normal((n, mdp.n_actions, n)))
    if rng.random() > 0.8:
        least = 3.0 if n < 50 else 3.5 if n < 100 else 3.8
        reward = np.where(reward > least, reward, 0.0)
    if rng.random() > 0.3:
        reward = reward * (10 * rng.random())
    if rng.random() > 0.7:
        reward = reward + 10 * rng.random()
    if rng.random() > 0.5:
        potential = np.asarray(rng.standard_normal(n))
        potential = potential * (10 * rng.random())
        potential = np.where(mdp.terminal, 0.0, potential + rng.random())
        reward = reward + mdp.discount * potential[None, None, :] - potential[:, None, None]
    return np.where(mdp.terminal[:, None, None], 0.0, reward)


def interpolation(
    r1: Real[np.ndarray, "*batch s a k"], r2: Real[np.ndarray, "*batch s a k"], steps: int
) -> Float[np.ndarray, "*batch steps s a k"]:
    """The rewards R1 + i/N (R2 - R1) for i = 1 ... N on the way from R1 (not included) to R2 (included).

    Raises:
        InputError: fewer than one step. ShapeError: rewards of different shapes.
    """
    shares = fractions(steps)
    if np.shape(r1) != np.shape(r2):
        raise ShapeError("r2", found=f"shape {np.shape(r2)}", expected=f"that of r1, {np.shape(r1)}")
    first, second = (np.asarray(r, dtype=np.float64)[..., None, :, :, :] for r in (r1, r2))
    return first + shares[:, None, None, None] * (second - first)


def fractions(steps: int) -> Float[np.ndarray, "steps"]:
    """i/N for i = 1 ... N; raises InputError below one step."""
    if steps < 1:
        raise InputError("steps", found=str(steps), expected="at least 1")
    return np.arange(1, steps + 1) / steps


def _threshold(n_states: int) -> float:
    return 1.0 if n_states < 50 else 1.5 if n_states < 100 else 1.8


def _legacy(
    n_states: int, n_actions: int, discount: float, episodic: bool, rng: np.random.RandomState, name: str | None
) -> TabularMDP:
    logits = np.asarray(rng.standard_normal((n_states, n_actions, n_states)))
    weights = np.exp(np.where(logits > _threshold(n_states), logits, CLOSED))
    moves = weights / weights.sum(-1, keepdims=True)
    if episodic:  # a loop, not a terminal state: rewards in it count there
        last = int(rng.randint(0, n_states))
        moves[last] = np.arange(n_states) == last
    return TabularMDP(
        moves,
        np.full(n_states, 1.0 / n_states),
        discount,
        name=name or f"random MDP {n_states}x{n_actions} of the authors' stream",
    )
