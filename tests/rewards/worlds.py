"""Small random decision processes and rewards for the tests of this folder."""

import json
from pathlib import Path

import numpy as np
from hypothesis import strategies as st

from learnt.rewards.mdp import TabularMDP

TOY = json.loads((Path(__file__).parents[1] / "golden" / "starc.json").read_text())["toy3"]


def toy3():
    return TabularMDP(np.array(TOY["P"]), np.array(TOY["mu0"]), TOY["gamma"], name="toy3")


def toy_reward(name):
    return np.array(TOY["rewards"][name])


@st.composite
def processes(draw):
    """Dense, sparse, deterministic, one-action, one-state, unreachable-state and terminal-state processes."""
    s, a = draw(st.integers(1, 6)), draw(st.integers(1, 4))
    seed = draw(st.integers(0, 10_000))
    rng = np.random.default_rng(seed)
    kind = draw(st.sampled_from(["dense", "sparse", "deterministic", "unreachable", "terminal"]))
    gamma = draw(st.sampled_from([0.1, 0.5, 0.9, 0.99]))
    if kind in ("sparse", "deterministic"):
        return TabularMDP.random(s, a, discount=gamma, seed=seed, deterministic=kind == "deterministic")
    p = rng.dirichlet(np.ones(s), (s, a))
    mu = rng.dirichlet(np.ones(s))
    terminal = None
    if s > 1 and kind == "unreachable":  # nothing leads into the last state
        p[:-1, :, -1], mu[-1] = 0.0, 0.0
        p, mu = p / p.sum(-1, keepdims=True), mu / mu.sum()
    if s > 1 and kind == "terminal":
        p[-1], terminal = 0.0, np.arange(s) == s - 1
        p[-1, :, -1] = 1.0
    return TabularMDP(p, mu, gamma, terminal=terminal)


def reward_for(mdp, seed):
    rng = np.random.default_rng([seed, 77])
    r = rng.standard_normal(mdp.transitions.shape)
    return np.where(mdp.terminal[:, None, None], 0.0, r)


def potential_for(mdp, seed):
    phi = 5 * np.random.default_rng([seed, 78]).standard_normal(mdp.n_states)
    return np.where(mdp.terminal, 0.0, phi)


def change_for(mdp, seed):
    return 5 * np.random.default_rng([seed, 79]).standard_normal(mdp.transitions.shape)
