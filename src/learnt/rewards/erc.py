"""Do two rewards like the same episodes? ERC, the correlation of episode returns, exactly.

    D_ERC(R1, R2) = sqrt((1 - rho) / 2),   rho = correlation of G1 and G2,  G = sum_t gamma^t R(s_t, a_t, s_t+1)

over the episodes of one policy. With V the value of that policy and delta = R(s, a, s') + gamma V(s') - V(s), whose
mean in every state is 0, the return is G = V(s0) + sum_t gamma^t delta_t, and its terms are uncorrelated. So

    Cov(G1, G2) = sum_sas' w(s) pi(a|s) P(s'|s, a) delta1 delta2 + Cov_mu0(V1(s0), V2(s0)),
    w           = mu0' (I - gamma^2 P_pi)^-1,

one linear system for a policy, whatever the rewards, and sums over possible transitions. It equals the second-moment
equations M = (I - gamma^2 P_pi)^-1 E[R1 R2 + gamma R1 V2(s') + gamma R2 V1(s')], Cov = mu0' M - J1 J2, without their
cancellation, and being an inner product it keeps the digits of distances near 0.

Shaping moves G by -Phi(s0), so the distance stays as it is only if there is one first state. Without the second term,
covariances given the first state are averaged before the ratio is taken, and shaping never matters (`within_start`).
Redistribution does: returns of single episodes depend on it.

Source: Gleave et al., ICLR 2021, whose code correlates the returns of 1,024 sampled episodes; closed form derived here.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Float

from learnt.core.errors import NotApplicable
from learnt.rewards._linear import solver
from learnt.rewards.mdp import RewardView, TabularMDP
from learnt.rewards.pearson import CONSTANT, half_distance


def erc_distance(
    r1: Any,
    r2: Any,
    mdp: TabularMDP,
    *,
    policy: Any = None,
    within_start: bool = False,
) -> float:
    """Distance of two rewards by the correlation of their discounted returns over endless episodes, in [0, 1].

    Args:
        r1, r2: arrays (S, A, S), (S, A), (S,), or functions of (s, a, s'); see `learnt.rewards.view`.
        mdp: where they are compared.
        policy: (S, A) or (S,), whose episodes they are; None for the uniform one.
        within_start: correlate episodes with the same first state only.

    Returns:
        0 if both returns are the same in all episodes, sqrt(1/2) if one is.

    Raises:
        InputError, ShapeError, NonFiniteError: on wrong shapes, a policy that is none, NaN or infinity.
        NotApplicable: rewards of which a sparse process kept the means.

    Source: Gleave et al. 2021; closed form derived here.
    """
    pi = mdp.as_policy(policy)
    visits = _squared_visits(mdp, pi)
    one, two = (_variation(mdp.subject(r, name=n), mdp, pi, visits, within_start) for r, n in ((r1, "r1"), (r2, "r2")))
    return half_distance(one, two)


def _squared_visits(mdp: TabularMDP, policy: np.ndarray) -> Float[np.ndarray, "n"]:
    """sum_t gamma^2t Pr(s_t, a_t, s_t+1) of the possible transitions, in the order of the kernel."""

    def visits() -> np.ndarray:
        states = solver(mdp.policy_moves(policy), mdp.discount * mdp.discount)(mdp.initial, True)
        pairs = np.maximum(states, 0.0)[:, None] * policy
        return np.repeat(pairs.ravel(), np.diff(mdp.kernel.indptr)) * mdp.kernel.data

    return mdp.cached(("squared visits", policy.tobytes()), visits)


def _variation(
    seen: RewardView, mdp: TabularMDP, policy: np.ndarray, visits: np.ndarray, within_start: bool
) -> Float[np.ndarray, "n"]:
    """A vector whose inner products are correlations of returns: norm 1, or zeros if all returns are the same."""
    if seen.averaged:
        raise NotApplicable(
            seen.name,
            found="a reward by transition, of which a sparse process keeps the mean over the next state",
            expected="R(s, a, s'), on which returns of single episodes depend",
            remedy="Make the process with sparse=False.",
        )
    pairs = np.repeat(np.arange(mdp.kernel.shape[0]), np.diff(mdp.kernel.indptr))
    source, target = pairs // mdp.n_actions, mdp.kernel.indices
    flat = seen.reward.reshape(len(policy.ravel()), -1)
    reward = flat[pairs, target if flat.shape[1] > 1 else 0]
    values = mdp.evaluate(seen.expected, policy)
    ahead, here = mdp.discount * values[target], values[source]
    parts = [np.sqrt(visits) * (reward + ahead - here)]
    sizes = [np.sqrt(visits) * (np.abs(reward) + np.abs(ahead) + np.abs(here))]
    if not within_start:
        root = np.sqrt(mdp.initial)
        parts.append(root * (values - mdp.initial @ values))
        sizes.append(root * np.abs(values))
    vector, terms = np.concatenate(parts), np.concatenate(sizes)
    top = float(terms.max(initial=0.0))
    if top == 0.0:
        return np.zeros_like(vector)
    size = float(np.linalg.norm(vector / top))  # squares of tiny or huge rewards stay in range
    if size <= CONSTANT * float(np.linalg.norm(terms / top)):
        return np.zeros_like(vector)
    return vector / top / size
