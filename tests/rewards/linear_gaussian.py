"""A process whose canonical forms are known exactly: s' = alpha s + beta a + sigma xi, rewards z'Qz, z = (s, a, s')."""

import json
from pathlib import Path

import numpy as np

from learnt.data.transitions import Transitions

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "starc_sampled.json").read_text())["linear_gaussian_1d"]
ALPHA, BETA, SIGMA, K, NU, GAMMA = (GOLDEN["params"][name] for name in ("alpha", "beta", "sigma", "k", "nu", "gamma"))


def quadratic(q):
    def reward(obs, act, next_obs, terminated):
        z = np.stack([obs, act, next_obs], axis=1)
        return np.einsum("ni,ij,nj->n", z, np.array(q), z)

    return reward


REWARDS = {name: quadratic(q) for name, q in GOLDEN["rewards_Q"].items()}
VALUES = {name: lambda obs, c=c: c["V_quadratic"] * obs**2 + c["V_const"] for name, c in GOLDEN["canon"].items()}


def coverage(n, k, seed, sigma=SIGMA, **rest):
    rng = np.random.default_rng(seed)
    obs, act = rng.standard_normal((2, n))
    ahead = ALPHA * obs[:, None] + BETA * act[:, None] + sigma * rng.standard_normal((n, k))
    return Transitions(obs, act, ahead, **{"stochastic": sigma > 0, **rest})


def under_policy(n, seed, sigma=SIGMA, k=1):
    rng = np.random.default_rng([seed, 1])
    obs = 1.5 * rng.standard_normal(n)
    act = K * obs + NU * rng.standard_normal(n)
    ahead = ALPHA * obs[:, None] + BETA * act[:, None] + sigma * rng.standard_normal((n, k))
    return Transitions(obs, act, ahead, stochastic=sigma > 0)
