"""One environment of the random-MDP experiment: many pairs of rewards, every metric, exact regrets.

A row compares R1 with R_i = R1 + i/N (R2 - R1). A metric is "<form>-<n>-<m>": both rewards in canonical form, each
divided by its own norm n ("0": by nothing), then the norm m of the difference. The names are those of the authors'
result files, extended by the forms that they do not have:

    None EPIC DARD VALPotential VAL Minimal MinimalL2     7 norms n x 6 norms m each
    MinimalPotential                                      n = 2 and weighted_2, which it is minimal in, x 6 norms m
    ReturnRange                                           norm and metric are the range of the return

Canonical forms are linear, so that the 2 rewards of a pair are brought to their form, and the N steps are mixtures of
these. A form that is constant in the next state keeps one number for each (s, a); its plain norms count it S times.

The regrets are exact: of the best policy for the other reward, and of the worst policy that the other reward does not
see as one (`learnt.rewards.regret`), in both directions. Where a reward of the pair is trivial (every policy returns
the same), no regret can be normalised, and the row says so.

Source: Skalse et al. 2024, Section 4. Their code measures returns by sampling, with an error of about 0.6 on 20.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal, NamedTuple

import numpy as np

from learnt.rewards._aim import Aim, Pair, aim, pair
from learnt.rewards.canonical import Canonicalisation, Unchanged, canonical
from learnt.rewards.dard import Dard
from learnt.rewards.epic import Epic
from learnt.rewards.mdp import TabularMDP
from learnt.rewards.minimal import Minimal, MinimalL2
from learnt.rewards.minimal_potential import MinimalPotential
from learnt.rewards.random_mdp import fractions, random_mdp, random_reward
from learnt.rewards.regret import regret_of
from learnt.rewards.starc import TRIVIAL
from learnt.rewards.val import Val, ValPotential
from learnt.run.seeds import derive, numpy_generator

MEASURED = ("1", "2", "inf", "weighted_1", "weighted_2", "weighted_inf")
NORMALISED = (*MEASURED, "0")
FORMS: tuple[tuple[str, Canonicalisation, tuple[str, ...]], ...] = (
    ("None", Unchanged(), NORMALISED),
    ("EPIC", Epic(), NORMALISED),
    ("DARD", Dard(), NORMALISED),
    ("VALPotential", ValPotential(), NORMALISED),
    ("VAL", Val(), NORMALISED),
    ("Minimal", Minimal(), NORMALISED),
    ("MinimalL2", MinimalL2(), NORMALISED),
    ("MinimalPotential", MinimalPotential(), ("2",)),
    ("MinimalPotential", MinimalPotential(weight="transitions"), ("weighted_2",)),
)
METRICS: tuple[str, ...] = (
    *(f"{name}-{n}-{m}" for name, _, norms in FORMS for n in norms for m in MEASURED),
    "ReturnRange",
)

Regrets = Literal["both", "optimal"]


class Entries(NamedTuple):
    """How the numbers of a form (D,) count in the norms: `plain` times each, by `weights` (D,), times `tops` (D,)."""

    plain: float
    weights: np.ndarray
    tops: np.ndarray


def environment(item: Mapping[str, Any], *, settings: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """All rows of one environment, for a study: see `rows`.

    Args:
        item: ``environment``, its number, and ``discount``.
        settings: ``states``, ``actions``, ``pairs``, ``steps``, ``seed``, and ``clip``: whether impossible transitions
            are impossible, or have probability 1e-10 as in the authors' code.
    """
    number, seed = item["environment"], settings["seed"]
    own = derive("starc", seed, number, "transitions")
    mdp = random_mdp(
        settings["states"],
        settings["actions"],
        discount=item["discount"],
        seed=own,
        legacy_rng=None if settings["clip"] else np.random.RandomState(own % 2**32),
    )
    rng = numpy_generator("starc", seed, number, "rewards")
    drawn = np.stack([[random_reward(mdp, rng), random_reward(mdp, rng)] for _ in range(settings["pairs"])])
    return rows(drawn[:, 0], drawn[:, 1], mdp, steps=settings["steps"])


def rows(
    r1: np.ndarray,
    r2: np.ndarray,
    mdp: TabularMDP,
    *,
    steps: int,
    regrets: Regrets = "both",
) -> dict[str, np.ndarray]:
    """Every metric and regret between R1 and each step of the way to R2.

    Args:
        r1, r2: (P, S, A, S) rewards of P pairs.
        mdp: a process in which every state is reachable.
        steps: N.
        regrets: ``"optimal"`` leaves out worst cases, which then are NaN.

    Returns:
        ``values`` (P N, M) in the order of `METRICS`; ``optimal`` and ``worst`` (P N, 2), regret of following R_i when
        R1 is meant, and the other way round; ``trivial`` (P N, 2), whether R1 and R_i are (0 or 1); ``pair`` and
        ``step`` (P N,).
    """
    shares = fractions(steps)
    found = np.concatenate([*_distances(r1, r2, mdp, shares), np.zeros((len(r1), steps, 1))], -1)
    optimal, worst = np.zeros((len(r1), steps, 2)), np.full((len(r1), steps, 2), np.nan)
    trivial = np.zeros((len(r1), steps, 2), dtype=np.uint8)
    for k, (first, last) in enumerate(zip(r1, r2)):
        start = aim(first, mdp, name="R1")
        for i, share in enumerate(shares):
            end = aim(first + share * (last - first), mdp, name="Ri")
            there, back = pair(start, end), pair(end, start)
            found[k, i, -1] = range_distance(there)
            optimal[k, i] = best_policy_regret(there), best_policy_regret(back)
            trivial[k, i] = start.trivial, end.trivial
            if regrets == "both":
                worst[k, i] = regret_of(start, end).normalised, regret_of(end, start).normalised
    return {
        "values": found.reshape(-1, len(METRICS)),
        "optimal": optimal.reshape(-1, 2),
        "worst": worst.reshape(-1, 2),
        "trivial": trivial.reshape(-1, 2),
        "pair": np.repeat(np.arange(len(r1)), steps),
        "step": np.tile(np.arange(1, steps + 1), len(r1)),
    }


def range_distance(both: Pair) -> float:
    """Range of the return of s(R1) - s(R2), each normalised by the range of its own return; 0 to 2."""
    trivial = both.true.trivial + both.proxy.trivial
    if trivial:
        return 2.0 - trivial  # both scaled forms are 0, or one is and the other has range 1
    near = tuple(both.plan(actions) for one in (both.true, both.proxy) for actions in (one.top, one.bottom))
    high, low = both.furthest((1.0, -1.0), near), both.furthest((-1.0, 1.0), near)
    return max(0.0, float((high.returns - low.returns) @ (1.0, -1.0)))


def best_policy_regret(both: Pair) -> float:
    """Share of the range of J1 that a best policy for R2 misses; 0 if R1 is trivial."""
    if both.true.trivial:
        return 0.0
    return max(0.0, _worth(both, both.true) - _worth(both, both.proxy))


def sizes(form: np.ndarray, how: Entries) -> np.ndarray:
    """(..., D) flattened forms -> (..., 6) norms, in the order of `MEASURED`."""
    c = np.abs(form)
    squares = c * c
    both = np.stack([np.ones(len(how.weights)), how.weights], 1)
    one, two = c @ both, squares @ both
    return np.stack(
        [
            how.plain * one[..., 0],
            np.sqrt(how.plain * two[..., 0]),
            c.max(-1),
            one[..., 1],
            np.sqrt(two[..., 1]),
            (c * how.tops).max(-1),
        ],
        -1,
    )


def _worth(both: Pair, chooser: Aim) -> float:
    """Normalised J1 of the best policy of one of the two rewards."""
    return float(both.plan(chooser.top).returns[0])


def _distances(r1: np.ndarray, r2: np.ndarray, mdp: TabularMDP, shares: np.ndarray) -> Iterator[np.ndarray]:
    """(P, N, norms x 6) distances, form by form."""
    both = np.stack([r1, r2], 1)
    steps = np.concatenate([[0.0], shares])[:, None]
    tops = _tops(both, shares)
    for _, form, norms in FORMS:
        forms = canonical(both, mdp, form)
        how = _entries(mdp, constant=forms.shape[-1] == 1)
        forms = forms.reshape(len(r1), 2, -1)
        places = [NORMALISED.index(n) for n in norms]
        out = np.empty((len(r1), len(shares), len(norms), len(MEASURED)))
        for k, (first, last) in enumerate(forms):
            way = first + steps * (last - first)
            size = np.concatenate([sizes(way, how), np.ones((len(way), 1))], 1)[:, places]
            trivial = (size <= TRIVIAL * tops[k][:, None]) & (np.array(norms) != "0")
            scale = np.where(trivial, 0.0, 1.0 / np.where(trivial, 1.0, size))
            for j in range(len(norms)):
                out[k, :, j] = sizes(scale[1:, j, None] * way[1:] - scale[0, j] * way[0], how)
        yield out.reshape(len(r1), len(shares), -1)


def _entries(mdp: TabularMDP, *, constant: bool) -> Entries:
    p = mdp.transitions
    if constant:
        return Entries(plain=float(mdp.n_states), weights=np.ones(p[..., 0].size), tops=p.max(-1).ravel())
    return Entries(plain=1.0, weights=p.ravel(), tops=p.ravel())


def _tops(both: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """(P, 1 + N) largest |R| of R1 and of every step."""
    flat = both.reshape(len(both), 2, -1)
    return np.stack(
        [
            np.abs(flat[:, 0] + share * (flat[:, 1] - flat[:, 0])).max(-1)
            for share in np.concatenate([[0.0], shares])
        ],
        1,
    )  # fmt: skip
