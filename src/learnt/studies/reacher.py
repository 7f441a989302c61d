"""Rewards of a robot arm, compared from samples: the continuous experiment of STARC (arXiv 2309.15257), done right.

Reacher-v5: a walk under uniformly random torques, one paired estimate for all rewards. Each reward is a function of
(obs, act, next_obs) alone; an observation holds cosines and sines of both joints, the target, the joints' speeds, and
the vector from target to fingertip, so that everything needed can be computed from it.

What the authors' code (lucyfarnik/starc, e13f8fa) does instead, and why its numbers differ:

* The true reward and the second peak read the present body positions of a simulator, not (s, a, s'). While they are
  canonicalised, another instance is stepped: their distance term is constant there.
* Observations (cosines, sines ...) are put into the simulator as if they were joint angles and speeds, and are drawn
  from a box where cosines and sines do not lie on a circle.
* Actions are cut to whole numbers for the values, so that these are of the arm without torque; the observation before
  an episode's first step is the last one of the episode before; values are kept by the reward's class name.
* Both norms and the distance come from independent samples, which leaves small distances a floor of 0.03 to 0.1.

Potential shaping is 0.90 from the true reward there, and minus the true reward 1.71 instead of 2.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from learnt.adapters.gymnasium import collect
from learnt.core.errors import InputError
from learnt.core.estimate import Estimate
from learnt.data.transitions import Transitions
from learnt.rewards.features import Fourier
from learnt.rewards.lstd import LSTD
from learnt.rewards.sampled import estimate_distance
from learnt.run.seeds import numpy_generator

TRUE = "true reward"
METHODS = ("val", "minimal")
TARGET, SPEED, REACH = slice(4, 6), slice(6, 8), slice(8, 10)  # what the observation holds, after 2 cosines and 2 sines
LINKS = (0.1, 0.11)  # metres
SIZE = 10  # numbers in an observation

Reward = Callable[[np.ndarray, np.ndarray, np.ndarray, np.ndarray], np.ndarray]


@dataclass(frozen=True, kw_only=True)
class Published:
    """Distances from the true reward in the authors' result files; None where there is none.

    Attributes:
        val: 100,000 samples for the norms (results2.json, as far as can be told the paper's Table 1).
        val_small, epic, dard: 96 samples for the norms (results1.json).
    """

    val: float | None = None
    val_small: float | None = None
    epic: float | None = None
    dard: float | None = None


PUBLISHED: Mapping[str, Published] = {
    "potential shaped": Published(val=0.8969, val_small=0.691, epic=1.270, dard=0.682),
    "changed on impossible transitions": Published(val_small=0.869, epic=1.347, dard=1.596),
    "scaled by 7": Published(),
    "shaped by the distance": Published(),
    "second peak": Published(val=1.2570, val_small=0.709, epic=0.237, dard=0.720),
    "semantically identical": Published(val_small=1.523, epic=0.883, dard=0.985),
    "random": Published(val=1.3778, val_small=1.358, epic=1.535, dard=1.552),
    "negative": Published(val=1.7059, val_small=1.569, epic=1.786, dard=1.727),
}


def reacher_rewards(seed: int = 0, discount: float = 0.99) -> dict[str, Reward]:
    """The true reward and the others, by name; `seed` draws their random weights.

    * true reward: minus the distance of the fingertip from the target, minus the squared torque.
    * potential shaped: plus gamma Phi(s') - Phi(s) with a random affine Phi of the observation.
    * changed on impossible transitions: a random linear reward where the target moves or the fingertip is not where the
      joints put it, which never happens; the true reward elsewhere (S'-redistribution).
    * scaled by 7; negative: times 7, times -1.
    * shaped by the distance: Phi = minus the distance, which the features can only approximate.
    * second peak: minus 0.2 times the distance of the fingertip from a point half a metre from the target, in a random
      but fixed direction. (The authors draw it anew for each target, at half a metre or more.)
    * semantically identical: a Gaussian of width 0.1 m around the target, rounded to hundredths, without torque.
    * random: linear in (s, a, s'), with a constant.
    """
    rng = numpy_generator(seed, "reacher rewards")
    slope, before, after, other = rng.standard_normal((4, SIZE))
    torque, angle, constant = rng.standard_normal(2), rng.uniform(0, 2 * np.pi), rng.random(3)
    peak = 0.5 * np.array([np.cos(angle), np.sin(angle)])

    def true(obs: np.ndarray, act: np.ndarray, next_obs: np.ndarray, terminated: np.ndarray) -> np.ndarray:
        return -_distance(next_obs) - np.square(act).sum(1)

    def shaped(potential: Callable[[np.ndarray], np.ndarray]) -> Reward:
        return lambda s, a, n, end: true(s, a, n, end) + discount * np.where(end, 0.0, potential(n)) - potential(s)

    def linear(s: np.ndarray, a: np.ndarray, n: np.ndarray, end: np.ndarray) -> np.ndarray:
        return s @ before + a @ torque + n @ after + constant[1]

    def peaks(s: np.ndarray, a: np.ndarray, n: np.ndarray, end: np.ndarray) -> np.ndarray:
        return true(s, a, n, end) - 0.2 * np.linalg.norm(n[:, REACH] - peak, axis=1)

    return {
        TRUE: true,
        "potential shaped": shaped(lambda o: o @ slope + constant[0]),
        "changed on impossible transitions": lambda s, a, n, end: np.where(
            is_possible(s, n), true(s, a, n, end), s @ other + constant[2]
        ),
        "scaled by 7": lambda s, a, n, end: 7 * true(s, a, n, end),
        "shaped by the distance": shaped(lambda o: -_distance(o)),
        "second peak": peaks,
        "semantically identical": lambda s, a, n, end: np.round(100 * np.exp(-50 * _distance(n) ** 2)) / 100,
        "random": linear,
        "negative": lambda s, a, n, end: -true(s, a, n, end),
    }


def is_possible(obs: np.ndarray, next_obs: np.ndarray, *, within: float = 0.02) -> np.ndarray:
    """(n,) bool: the target stays, and the fingertip is where the joints put it, up to `within` metres.

    The simulator's fingertip is that of the last stage of its integrator, some millimetres off for a fast arm.
    """
    cosines, sines = next_obs[:, 0:2], next_obs[:, 2:4]
    both = np.stack([cosines[:, 0] * cosines[:, 1] - sines[:, 0] * sines[:, 1],
                     sines[:, 0] * cosines[:, 1] + cosines[:, 0] * sines[:, 1]], axis=1)  # fmt: skip
    first = np.stack([cosines[:, 0], sines[:, 0]], axis=1)
    tip = LINKS[0] * first + LINKS[1] * both
    stays = np.abs(next_obs[:, TARGET] - obs[:, TARGET]).max(1) <= within
    return stays & (np.abs(tip - next_obs[:, TARGET] - next_obs[:, REACH]).max(1) <= within)


def _distance(obs: np.ndarray) -> np.ndarray:
    return np.linalg.norm(obs[:, REACH], axis=1)


@dataclass(frozen=True, kw_only=True)
class Walk:
    """One repetition: what is drawn and how it is compared; every field is a JSON value."""

    seed: int
    samples: int = 20_000
    reset_every: int = 100
    discount: float = 0.99
    features: int = 200
    n_boot: int = 1000


@dataclass(frozen=True, eq=False, kw_only=True)
class ReacherResult:
    """Distances from the true reward: `found[method][seed number][name]`, with intervals."""

    walks: tuple[Walk, ...]
    found: Mapping[str, tuple[Mapping[str, Estimate], ...]]

    def acceptance(self) -> tuple[tuple[str, bool], ...]:
        """What must hold in every repetition and with both methods, and whether it does."""
        every = [{name: e.value for name, e in run.items()} for runs in self.found.values() for run in runs]
        order = ("potential shaped", "second peak", "semantically identical", "random", "negative")
        claims: tuple[tuple[str, Callable[[Mapping[str, float]], bool]], ...] = (
            ("affine shaping below 1e-6", lambda d: d["potential shaped"] < 1e-6),
            ("a change on impossible transitions below 1e-6", lambda d: d["changed on impossible transitions"] < 1e-6),
            ("scaling by 7 below 1e-6", lambda d: d["scaled by 7"] < 1e-6),
            ("negative 2 to 1e-6", lambda d: abs(d["negative"] - 2) < 1e-6),
            ("second peak below 0.2", lambda d: d["second peak"] < 0.2),
            ("random between 1.3 and 1.5", lambda d: 1.3 <= d["random"] <= 1.5),
            (" < ".join(order), lambda d: bool(np.all(np.diff([d[name] for name in order]) > 0))),
        )
        return tuple((text, all(claim(d) for d in every)) for text, claim in claims)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON data."""
        return {
            "schema": "learnt.reacher/1",
            "walks": [asdict(walk) for walk in self.walks],
            "published": {name: asdict(numbers) for name, numbers in PUBLISHED.items()},
            "found": {
                method: [{name: e.to_dict() for name, e in run.items()} for run in runs]
                for method, runs in self.found.items()
            },
            "acceptance": [{"claim": text, "holds": holds} for text, holds in self.acceptance()],
        }

    def table(self) -> Any:
        """A rich table: published numbers beside ours, one of ours for each repetition."""
        from rich.table import Table

        table = Table(title="Reacher-v5: distance of each reward from the true one")
        table.add_column("reward")
        for heading in ("published VAL", "its small run", "EPIC", "DARD", "ours, val", "ours, minimal"):
            table.add_column(heading, justify="right")
        for name, paper in PUBLISHED.items():
            published = ("-" if x is None else f"{x:.3f}" for x in (paper.val, paper.val_small, paper.epic, paper.dard))
            ours = ("\n".join(_short(run[name]) for run in self.found[method]) for method in METHODS)
            table.add_row(name, *published, *ours)
        failed = [text for text, holds in self.acceptance() if not holds]
        table.caption = f"Does not hold: {'; '.join(failed)}" if failed else "All acceptance claims hold."
        return table


def _short(e: Estimate) -> str:
    return f"{e.value:.4f}" if e.high - e.low < 1e-6 else f"{e.value:.4f} [{e.low:.3f}, {e.high:.3f}]"


def reacher(
    *,
    samples: int = 20_000,
    seeds: Sequence[int] = (0, 1),
    reset_every: int = 100,
    discount: float = 0.99,
    features: int = 200,
    n_boot: int = 1000,
    directory: str | Path | None = None,
    jobs: int = 1,
    quiet: bool | None = None,
) -> ReacherResult:
    """Run the experiment, once for each seed.

    Args:
        samples: transitions of each walk, reset every `reset_every` steps.
        seeds: of the walk, the rewards' random weights, the features and the bootstrap.
        discount: gamma.
        features: random Fourier features, beside the constant and the observation.
        n_boot: bootstrap repetitions.
        directory: where finished repetitions are kept and an interrupted run goes on; nothing is kept if None.
        jobs: processes; only with a directory.
        quiet: True shows no progress.

    Raises:
        MissingExtra: Gymnasium or MuJoCo is not installed. InputError: no seeds, or one twice.
    """
    if not seeds or len(set(seeds)) < len(seeds):
        raise InputError("seeds", found=str(tuple(seeds)), expected="at least one, each different")
    walks = tuple(
        Walk(
            seed=int(seed),
            samples=samples,
            reset_every=reset_every,
            discount=discount,
            features=features,
            n_boot=n_boot,
        )
        for seed in seeds
    )
    items = [asdict(walk) for walk in walks]
    if directory is None:
        runs = [compare_rewards(item) for item in items]
    else:
        from learnt.run.study import Study

        settings = {k: v for k, v in items[0].items() if k != "seed"}
        runs = Study.open(directory, config={"study": "reacher", **settings}).map(
            compare_rewards, items, jobs=jobs, quiet=quiet
        )
    found = {
        method: tuple({name: Estimate.from_dict(e) for name, e in run[method].items()} for run in runs)
        for method in METHODS
    }
    return ReacherResult(walks=walks, found=found)


def compare_rewards(item: Mapping[str, Any]) -> dict[str, Any]:
    """One repetition as JSON data: {method: {reward: distance from the true one}}; `item` holds a `Walk`'s fields."""
    walk = Walk(**item)
    data: Transitions = collect(
        "Reacher-v5", steps=walk.samples, seed=walk.seed, reset_every=walk.reset_every, stochastic=False
    )
    rewards = reacher_rewards(walk.seed, walk.discount)
    value = LSTD(features=Fourier(count=walk.features, seed=walk.seed))
    found = {
        method: estimate_distance(
            rewards, data, walk.discount, value=value, method=method, n_boot=walk.n_boot, seed=walk.seed
        )
        for method in METHODS
    }
    return {
        method: {name: result[TRUE, name].distance.to_dict() for name in rewards if name != TRUE}
        for method, result in found.items()
    }
