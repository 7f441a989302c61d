"""Rivals of `benchmarks/rewards.py`: how distances and regrets of rewards are usually computed.

Naive implementations of our own, after what each is named for, and calls of the authors' code where it is
(STARC_SRC names the folder src of a checkout of github.com/lucyfarnik/starc).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any

import numpy as np


def iterated_values(p: np.ndarray, r: np.ndarray, gamma: float) -> np.ndarray:
    """V of the uniform policy from expected rewards r (S, A), swept state by state to a change of 1e-8."""
    v, n = np.zeros(len(p)), p.shape[1]
    while True:
        before = v.copy()
        for s in range(len(v)):
            v[s] = (r[s] + gamma * (p[s] @ v)).sum() / n
        if np.abs(v - before).max() < 1e-8:
            return v


def iterated_val(p: np.ndarray, r: np.ndarray, gamma: float) -> np.ndarray:
    """VAL from these values."""
    v = iterated_values(p, r, gamma)
    return r + gamma * p @ v - v[:, None]


def swept_val(p: np.ndarray, r: np.ndarray, gamma: float) -> np.ndarray:
    """VAL by value iteration with whole arrays."""
    v = np.zeros(len(p))
    moves, gain = p.mean(1), r.mean(1)
    while True:
        after = gain + gamma * moves @ v
        done = np.abs(after - v).max() < 1e-8
        v = after
        if done:
            return r + gamma * p @ v - v[:, None]


def dense_program(p: np.ndarray, mu: np.ndarray, r1: np.ndarray, r2: np.ndarray, gamma: float) -> float:
    """Unnormalised worst-case regret: one linear program over two occupancies, all matrices dense."""
    from scipy.optimize import linprog

    s, a = r1.shape
    flow = np.repeat(np.eye(s), a, 1) - gamma * p.reshape(s * a, s).T
    zero = np.zeros_like(flow)
    found = linprog(
        np.concatenate([-r1.ravel(), r1.ravel()]),
        A_ub=np.concatenate([r2.ravel(), -r2.ravel()])[None], b_ub=[0.0],
        A_eq=np.block([[flow, zero], [zero, flow]]), b_eq=np.concatenate([mu, mu]), method="highs",
    )  # fmt: skip
    return -found.fun


def pair_loop(p: np.ndarray, rewards: list[np.ndarray], gamma: float) -> np.ndarray:
    """All distances, each pair from the start."""
    out = np.zeros((len(rewards), len(rewards)))
    for i, first in enumerate(rewards):
        for j in range(i):
            one, two = (swept_val(p, (p * r).sum(-1), gamma) for r in (first, rewards[j]))
            out[i, j] = out[j, i] = np.linalg.norm(one / np.linalg.norm(one) - two / np.linalg.norm(two))
    return out


def adam_minimal(p: np.ndarray, r: np.ndarray, gamma: float) -> np.ndarray:
    """The smallest reward by gradient descent, with the reference's optimiser and rule to stop."""
    import torch

    moves, target = torch.tensor(p), torch.tensor(r)
    phi = torch.zeros(len(p), dtype=torch.float64, requires_grad=True)
    descent, last = torch.optim.Adam([phi], lr=1e-2), float("inf")
    for step in range(1_000_000):
        descent.zero_grad()
        form = target + gamma * moves @ phi - phi[:, None]
        loss = form.square().sum().sqrt()
        loss.backward()
        descent.step()
        if step % 1000 == 0:
            if abs(loss.item() - last) < 1e-8:
                break
            last = loss.item()
    return form.detach().numpy()


def joint_dard(p: np.ndarray, reward: np.ndarray, gamma: float) -> np.ndarray:
    """DARD with one array of S^4 A numbers."""
    n = p.shape[1]
    mean = (p * reward).sum(-1).mean(1)
    joint = np.einsum("sax,tay->stxay", p, p) / n
    both = (joint * reward[None, None]).sum((2, 3, 4))
    return reward + (gamma * (mean[None, :] - both) - mean[:, None])[:, None, :]


def sampled_return(p: np.ndarray, reward: np.ndarray, policy: np.ndarray, gamma: float, rng: Any) -> float:
    """Mean discounted return of S A episodes, step by step."""
    s_count, a_count, _ = p.shape
    steps, states, total = round(np.log(1e-5) / np.log(gamma)), np.arange(s_count), []
    for _ in range(a_count):
        for start in range(s_count):
            s, discount, gained = start, 1.0, 0.0
            for _ in range(steps):
                after = rng.choice(states, p=p[s, policy[s]])
                gained += discount * reward[s, policy[s], after]
                discount, s = discount * gamma, after
            total.append(gained)
    return float(np.mean(total))


def swept_policy(p: np.ndarray, reward: np.ndarray, gamma: float) -> np.ndarray:
    """A best policy by value iteration to 1e-5."""
    v = np.zeros(len(p))
    while True:
        q = (p * (reward + gamma * v)).sum(-1)
        done = np.linalg.norm(q.max(1) - v) < 1e-5
        v = q.max(1)
        if done:
            return q.argmax(1)


def naive_norm(values: np.ndarray, p: np.ndarray, order: float, weighted: bool) -> float:
    """One norm of one array."""
    if not weighted:
        return float(np.linalg.norm(values.ravel(), order))
    if order == np.inf:
        return float((np.abs(values) * p).max())
    return float((np.abs(values) ** order * p).sum() ** (1 / order))


def naive_pair(
    p: np.ndarray, r1: np.ndarray, r2: np.ndarray, gamma: float, rng: Any
) -> tuple[list[float], list[float]]:
    """210 metrics and two sampled regrets of one pair, one at a time."""
    full, norms = np.ones_like(r1), [(o, w) for w in (False, True) for o in (1, 2, np.inf)]

    def forms(r: np.ndarray) -> list[np.ndarray]:
        mean = r.mean((1, 2))
        v = iterated_values(p, (p * r).sum(-1), gamma)
        shaped = r + gamma * v - v[:, None, None]
        level = r + gamma * mean - mean[:, None, None] - gamma * mean.mean()
        return [r, level, joint_dard(p, r, gamma), shaped, (p * shaped).sum(-1, keepdims=True) * full]

    metrics = []
    for one, two in zip(forms(r1), forms(r2)):
        for order, weighted in (*norms, (0, False)):
            a, b = (x / naive_norm(x, p, order, weighted) if order else x for x in (one, two))
            metrics += [naive_norm(a - b, p, o, w) for o, w in norms]
    best, worst, other, other_worst = (swept_policy(p, r, gamma) for r in (r1, -r1, r2, -r2))
    regrets = []
    for reward, top, bottom, chosen in ((r1, best, worst, other), (r2, other, other_worst, best)):
        high, low, got = (sampled_return(p, reward, pi, gamma, rng) for pi in (top, bottom, chosen))
        regrets.append((high - got) / ((high - low) or 1.0))
    return metrics, regrets


def reference(states: int = 32, actions: int = 4) -> tuple[Any, np.ndarray, np.ndarray]:
    """Their environment and two rewards; STARC_SRC must name their folder src."""
    sys.path.insert(0, os.environ["STARC_SRC"])
    from env import RandomEnv  # type: ignore[import-not-found]
    from env.reward import random_reward as theirs  # type: ignore[import-not-found]

    np.random.seed(42)  # noqa: NPY002, their code draws from the global stream
    env = RandomEnv(states, actions, 0.95)
    return env, theirs(env), theirs(env)


def reference_call(module: str, name: str, *more: Any) -> Callable[[], Any]:
    """A call of one of their functions of (reward, environment)."""
    env, r1, _ = reference()
    function = getattr(__import__(module, fromlist=[name]), name)
    return lambda: function(r1, env, *more)


def reference_pair() -> Callable[[], Any]:
    """The body of their inner loop for one step: 210 metrics and both regrets; R1 is ready before."""
    env, r1, r2 = reference()
    from distance.canon import canon_funcs, norm_opts  # type: ignore[import-not-found]
    from distance.norm import norm  # type: ignore[import-not-found]
    from distance.rollout import optimize, policy_return, policy_returns  # type: ignore[import-not-found]

    names = ("None", "EPIC", "DARD", "ValuePotential", "Value")

    def ready(r: np.ndarray) -> dict[str, np.ndarray]:
        forms = {name: canon_funcs[name](r, env) for name in names}
        return {f"{c}-{n}": x / norm(x, env, n) for n in norm_opts for c, x in forms.items()}

    first, best, worst = ready(r1), optimize(env, r1), optimize(env, -r1)
    high, low = policy_return(r1, best, env), policy_return(r1, worst, env)

    def step() -> tuple[list[float], float, float]:
        second = ready(r2)
        metrics = [norm(first[k] - second[k], env, m) for k in first for m in norm_opts[:-1]]
        top, bottom = optimize(env, r2), optimize(env, -r2)
        mine = policy_return(r2, best, env)
        theirs, most = policy_returns([r1, r2], top, env)
        least = policy_return(r2, bottom, env)
        return metrics, (high - theirs) / (high - low), (most - mine) / (most - least)

    return step
