"""How much better does a policy surely become by the true reward, if it became better by the proxy?

With pi0 a reference policy, mu0 its normalised occupancy, c_i the advantages of pi0 under both rewards (VAL with policy
pi0), s_i = c_i / n(c_i) in L2(mu0), rho = <s1, s2>, and chi2 the chi-square divergence of the occupancy of pi from mu0,

    [J1(pi) - J1(pi0)] / n(c1)  >=  rho g2 - sqrt(1 - rho^2) sqrt(chi2) / (1 - gamma)
    g2 = [J2(pi) - J2(pi0)] / n(c2)

Proof: s1 = rho s2 + sqrt(1 - rho^2) u with a unit u of mean zero under mu0, J_i(pi) - J_i(pi0) = <eta_pi, c_i>, and
|<eta_pi, u>| = |E_mu0[(dmu/dmu0 - 1) u]| / (1 - gamma) is bounded by Cauchy and Schwarz. Only rho, g2 and chi2 are
needed, which can be had where the true reward is known on the reference's data alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from learnt.core.errors import NotApplicable
from learnt.rewards.mdp import TabularMDP
from learnt.rewards.shaping import shaped

TRIVIAL = 1e-10  # advantages this small beside the reward are rounding noise


@dataclass(frozen=True, kw_only=True)
class Improvement:
    """What is known of a policy's gain by the true reward.

    Attributes:
        certified: lower bound of the standardised true gain; -inf if the policy goes where the reference never does.
        gain: the standardised true gain itself, exact.
        proxy_gain: g2, the standardised gain by the proxy.
        cosine: rho.
        divergence: chi2 of the normalised occupancies.
    """

    certified: float
    gain: float
    proxy_gain: float
    cosine: float
    divergence: float


def certified_gain(cosine: float, proxy_gain: float, divergence: float, discount: float) -> float:
    """The lower bound of the module's text from its three numbers; -inf for an infinite divergence."""
    if not np.isfinite(divergence):
        return -np.inf
    rest = np.sqrt(max(0.0, 1.0 - cosine**2) * divergence)
    return float(cosine * proxy_gain - rest / (1.0 - discount))


def improvement(true: Any, proxy: Any, mdp: TabularMDP, policy: np.ndarray, *, reference: Any = None) -> Improvement:
    """The certificate of a policy beside its true gain over a reference policy.

    Args:
        true, proxy: rewards, as anything `TabularMDP.subject` takes.
        mdp: the process, with a discount below 1.
        policy: (S, A) or (S,), the one that was found with the proxy.
        reference: (S, A) or (S,) pi0; None for the uniform one.

    Raises:
        NotApplicable: a reward under which nothing is better than the reference on its own visits; discount 1.
    """
    if mdp.discount == 1.0:
        raise NotApplicable("mdp", found="discount 1", expected="a discount below 1: occupancies must be finite")
    before, after = ((1.0 - mdp.discount) * mdp.occupancy(p) for p in (reference, policy))
    forms = []
    for name, reward in (("true", true), ("proxy", proxy)):
        r = mdp.subject(reward, name=name).expected
        c = shaped(r, mdp.evaluate(r, reference), mdp)[..., 0]
        size = float(np.sqrt((before * c**2).sum()))
        if size <= TRIVIAL * float(np.abs(r).max()):
            raise NotApplicable(
                name,
                found="advantages of zero wherever the reference policy goes",
                expected="a reward that it can lose",
            )
        forms.append(c / size)
    cosine = float(np.clip((before * forms[0] * forms[1]).sum(), -1.0, 1.0))
    gains = [float((after * s).sum()) / (1.0 - mdp.discount) for s in forms]
    new = (before <= 0) & (after > 1e-15)
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.where(before > 0, after**2 / before, 0.0)
    divergence = np.inf if new.any() else max(0.0, float(share.sum()) - 1.0)
    certified = certified_gain(cosine, gains[1], divergence, mdp.discount)
    return Improvement(certified=certified, gain=gains[0], proxy_gain=gains[1], cosine=cosine, divergence=divergence)
