"""Two small studies of what reward distances say: learning a reward from preferences, and drifting away from one.

* `preference_learning`: N pairs of trajectories, each labelled by Bradley and Terry's law under the true reward; a
  reward is fitted by logistic regression on discounted visit counts. A consistent learner: the STARC distance d and the
  worst-case regret W fall with N (d like N^(-1/2)). Control: the same learner on labels thrown by a coin.
* `misspecification`: rewards (1 - t) R1 + t R2 for t from 0 to 1, with d, W, the regret of the best policy and the two
  witness policies of W at each step.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from learnt.core.errors import InputError
from learnt.rewards.mdp import TabularMDP
from learnt.rewards.optimal_regret import optimal_policy_regret
from learnt.rewards.regret import WorstCaseRegret, worst_case_regret
from learnt.rewards.starc import starc_distance
from learnt.run.seeds import numpy_generator


@dataclass(frozen=True, kw_only=True)
class Learned:
    """One fitted reward: comparisons seen, seed, whether labels were random, STARC distance, worst-case regret."""

    comparisons: int
    seed: int
    control: bool
    distance: float
    regret: float


@dataclass(frozen=True, kw_only=True)
class PreferenceStudy:
    """All fitted rewards of a study, and where it was done."""

    world: str
    rows: tuple[Learned, ...]

    def mean(self, comparisons: int, *, control: bool = False) -> tuple[float, float]:
        """(distance, regret), each the mean over seeds."""
        found = [r for r in self.rows if r.comparisons == comparisons and r.control == control]
        if not found:
            raise InputError("comparisons", found=str(comparisons), expected="a number that was studied")
        return float(np.mean([r.distance for r in found])), float(np.mean([r.regret for r in found]))

    @property
    def slope(self) -> float:
        """Exponent of N in the mean distance, fitted to all sizes: about -1/2 for a consistent learner."""
        sizes = sorted({r.comparisons for r in self.rows})
        distances = [self.mean(n)[0] for n in sizes]
        return float(np.polyfit(np.log(sizes), np.log(distances), 1)[0])

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON data."""
        return {"schema": "learnt.preferences/1", "world": self.world, "rows": [vars(r) for r in self.rows]}

    def __rich__(self) -> Any:
        from rich.table import Table

        table = Table("comparisons", "distance", "worst-case regret", "distance, coin", "regret, coin",
                      title=f"A reward learnt from preferences in {self.world}")  # fmt: skip
        for n in sorted({r.comparisons for r in self.rows}):
            cells = (*self.mean(n), *self.mean(n, control=True))
            table.add_row(f"{n:,}", *(f"{x:.4f}" for x in cells))
        return table


def preference_learning(
    true: Any,
    mdp: TabularMDP,
    *,
    comparisons: Sequence[int] = (100, 1_000, 10_000),
    seeds: Sequence[int] = (0, 1, 2),
    steps: int = 30,
    sharpness: float = 1.0,
) -> PreferenceStudy:
    """Learn a reward from N comparisons of trajectories, for several N, and measure what is still wrong with it.

    Args:
        true: the reward that labels the comparisons.
        mdp: the process; the trajectories of a pair start in one state and follow the uniform policy.
        comparisons: numbers N of labelled pairs.
        seeds: of trajectories and labels.
        steps: length of a trajectory.
        sharpness: what the difference in return, in standard deviations over pairs, is multiplied with before the
            logistic function gives the chance of a label.

    Raises:
        InputError: no comparisons, or a reward under which all trajectories return the same.
    """
    if not comparisons or min(comparisons) < 1 or steps < 1:
        raise InputError("comparisons, steps", found=f"{list(comparisons)}, {steps}", expected="positive integers")
    r = mdp.subject(true, name="true").expected
    rows = []
    for seed in seeds:
        rng = numpy_generator("preferences", seed)
        gaps = _gaps(mdp, max(comparisons), steps, rng)
        worth = gaps @ r.ravel()
        spread = float(worth.std())
        if spread == 0.0:
            raise InputError("true", found="a reward under which all trajectories return the same", expected="another")
        chosen = rng.random(len(gaps)) < 1 / (1 + np.exp(-sharpness * worth / spread))
        coin = rng.random(len(gaps)) < 0.5
        for n in comparisons:
            for control, labels in ((False, chosen), (True, coin)):
                guess = _fitted(gaps[:n], labels[:n]).reshape(r.shape)
                rows.append(
                    Learned(
                        comparisons=n, seed=seed, control=control, distance=starc_distance(r, guess, mdp),
                        regret=worst_case_regret(r, guess, mdp).normalised,
                    )
                )  # fmt: skip
    return PreferenceStudy(world=mdp.name, rows=tuple(rows))


@dataclass(frozen=True, eq=False, kw_only=True)
class Step:
    """One mixture: share t of the other reward, STARC distance, both regrets as shares of the true range."""

    share: float
    distance: float
    regret: WorstCaseRegret
    optimal_regret: float


def misspecification(true: Any, other: Any, mdp: TabularMDP, *, shares: Sequence[float]) -> tuple[Step, ...]:
    """What goes wrong as the proxy drifts from `true` to `other`: the mixtures (1 - t) true + t other."""
    first, second = (mdp.subject(x, name=n).reward for x, n in ((true, "true"), (other, "other")))
    steps = []
    for t in shares:
        proxy = (1 - t) * first + t * second
        regret = optimal_policy_regret(first, proxy, mdp, ties="pessimistic")
        steps.append(
            Step(
                share=float(t), distance=starc_distance(first, proxy, mdp),
                regret=worst_case_regret(first, proxy, mdp), optimal_regret=regret.value,
            )
        )  # fmt: skip
    return tuple(steps)


def _gaps(mdp: TabularMDP, count: int, steps: int, rng: np.random.Generator) -> np.ndarray:
    """(count, S A) differences of the discounted visit counts of two trajectories from one first state."""
    s, a = mdp.n_states, mdp.n_actions
    edges = np.cumsum(mdp.transitions.reshape(s * a, s), axis=1)
    start = np.searchsorted(np.cumsum(mdp.initial), rng.random(count) * (1 - 1e-12), side="right")
    gaps = np.zeros((count, s * a))
    row = np.arange(count)
    for sign in (1.0, -1.0):
        state, weight = start.copy(), sign
        for _ in range(steps):
            place = state * a + rng.integers(0, a, count)
            gaps[row, place] += weight
            state = np.minimum((edges[place] <= rng.random((count, 1)) * (1 - 1e-12)).sum(1), s - 1)
            weight *= mdp.discount
    return gaps


def _fitted(gaps: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Coefficients of a logistic regression, with a prior so weak that it only settles what the data leave open."""
    from sklearn.linear_model import LogisticRegression

    if labels.all() or not labels.any():
        return (2.0 * labels - 1.0) @ gaps / len(gaps)
    model = LogisticRegression(C=float(len(gaps)), fit_intercept=False, max_iter=2000)
    return model.fit(gaps, labels).coef_[0]
