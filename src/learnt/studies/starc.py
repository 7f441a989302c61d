"""Which metric follows regret? The random-MDP experiment of the STARC paper, with its numbers beside ours.

For each of many random environments, several pairs of random rewards; for each pair, N steps from R1 to R2. Every
metric between R1 and a step is correlated with the mean of the two normalised regrets of best policies, as published,
and with the mean of the two exact worst-case regrets, which the paper does not have.

    E environments x P pairs x N steps = rows;  the paper: 49,152 rows of 32 states, 4 actions, discount .95, 16 steps

Each environment has a seed of its own, so that all rows are distinct and no number depends on the number of processes.
An environment is one chunk of a study: an interrupted run goes on where it was, and a finished one can be extended by
more environments or discounts. Rows in which a reward is trivial have no normalised regret; they are counted and left
out of the correlations.

Levels are not expected to match the published ones exactly, because of two faults of the authors' program: its worker
processes are forked after seeding and replay the same stream (with four of them, eight environments gave two distinct
results), so an unknown number of the published rows are copies; and its returns are sampled, with an error that makes
some published regrets negative. Regrets here are exact.

The paper's environments give impossible transitions a probability of 1e-10, and some of its sparse rewards are paid on
nothing else. Normalised, such a reward is one like any other for STARC metrics, which see what can happen, and
not for those that see R(s, a, s') as it is written. About half of VAL's lead over EPIC is owed to these; ``clip=True``
shows the experiment without them.

Source: Skalse et al. 2024, Section 4; numbers from src/visualize.ipynb of their repository, in starc_published.json.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, final

import numpy as np

from learnt.core.errors import InputError
from learnt.studies.correlations import correlations
from learnt.studies.random_pairs import MEASURED, METRICS, NORMALISED, environment

SCHEMA = "learnt.starc/1"
PAPER = {"states": 32, "actions": 4, "steps": 16, "discount": 0.95}
UNNORMALISED = tuple(name for name in METRICS if name.split("-")[1:2] == ["0"])


class Followed(NamedTuple):
    """How closely one metric follows regret at one discount.

    Attributes:
        metric: "<form>-<n>-<m>", see `learnt.studies.random_pairs`.
        discount: gamma.
        published: Pearson's correlation in the paper's result files; None if it is not there or of other settings.
        pearson, low, high, spearman: with the regret of best policies, and a 95 % interval over environments.
        worst_pearson, worst_low, worst_high, worst_spearman: the same with the exact worst-case regret.
    """

    metric: str
    discount: float
    published: float | None
    pearson: float
    low: float
    high: float
    spearman: float
    worst_pearson: float
    worst_low: float
    worst_high: float
    worst_spearman: float


class Fact(NamedTuple):
    """A statement about the experiment that a faithful one must bear out: its value, published and here."""

    claim: str
    bound: str
    published: float | None
    value: float
    holds: bool


@final
@dataclass(frozen=True, eq=False, kw_only=True)
class StarcStudy:
    """What came out; nothing is computed on access.

    Attributes:
        directory: where chunks, numbers (starc.json) and picture (starc.png) are.
        settings: environments, pairs, steps, states, actions, clip, seed, discounts.
        rows: number of rows; `trivial` of them, in which a reward is trivial, are in no correlation.
        followed: one entry for each discount and metric.
        facts: the statements of the paper's experiment, for the first discount.
        means: for each form, the mean correlation of its normalised metrics with the regret of best policies,
            published and here, at the first discount.
        share_of_worst: mean regret of best policies, as a share of the mean worst-case regret, at the first discount.
        data: arrays by row: ``values`` (rows, metrics), ``optimal``, ``worst``, ``trivial`` (rows, 2), ``environment``,
            ``pair``, ``step``, ``discount`` (rows,).
    """

    directory: Path
    settings: Mapping[str, Any]
    rows: int
    trivial: int
    followed: tuple[Followed, ...]
    facts: tuple[Fact, ...]
    means: Mapping[str, tuple[float | None, float]]
    share_of_worst: float
    data: Mapping[str, np.ndarray]

    def __getitem__(self, metric: str) -> Followed:
        """The entry of a metric at the first discount."""
        return self.at(metric, self.settings["discounts"][0])

    def at(self, metric: str, discount: float) -> Followed:
        """The entry of a metric at a discount; raises InputError if there is none."""
        for entry in self.followed:
            if (entry.metric, entry.discount) == (metric, discount):
                return entry
        raise InputError(
            "metric", found=f"{metric!r} at discount {discount}", expected="a name such as 'VAL-2-2' or 'ReturnRange'"
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON data, without the rows, which are in the chunks."""
        from learnt.core.comparison import plain

        return {
            "schema": SCHEMA,
            "settings": plain(self.settings),
            "rows": self.rows,
            "trivial": self.trivial,
            "share_of_worst": plain(self.share_of_worst),
            "means": plain(self.means),
            "facts": [plain(fact._asdict()) for fact in self.facts],
            "followed": [plain(entry._asdict()) for entry in self.followed],
        }

    def table(self, metrics: Sequence[str] | None = None) -> Any:
        """A rich table, published beside ours; of a telling selection of metrics unless given."""
        from learnt.studies.starc_report import table

        return table(self, metrics)

    def figure(self) -> Any:
        """A matplotlib figure: VAL and EPIC against regret, and published against our correlations."""
        from learnt.studies.starc_report import figure

        return figure(self)

    def __str__(self) -> str:
        from learnt.studies.starc_report import text

        return text(self)


def starc_study(
    directory: str | os.PathLike[str],
    *,
    environments: int,
    pairs: int,
    steps: int = 16,
    states: int = 32,
    actions: int = 4,
    discount: float = 0.95,
    discounts: Sequence[float] = (),
    clip: bool = False,
    jobs: int = 1,
    seed: int = 0,
    quiet: bool | None = None,
) -> StarcStudy:
    """Run the experiment, or go on with it, in a directory; writes starc.json and starc.png there.

    Args:
        directory: a new or empty one, or that of an earlier run with the same pairs, steps, sizes and seed.
        environments, pairs, steps: E x P x N rows at each discount; at least two environments.
        states, actions: size of the environments.
        discount: gamma.
        discounts: several, instead of `discount`; the same transitions and draws at each.
        clip: make impossible transitions impossible; in the paper's environments they have probability 1e-10.
        jobs: number of processes, -1 for one a core. The results do not depend on it.
        seed: from which every environment derives its own.
        quiet: True shows no progress.

    Raises:
        InputError: counts below 1, a discount that is none, or rows without two that have a regret.
        ResumeError: the directory belongs to other settings. BusyError: another process is at work in it.
        Interrupted: a signal came; finished environments are kept.

    Source: Skalse et al. 2024, Section 4.
    """
    from learnt.run.study import Study

    gammas = tuple(float(g) for g in discounts) or (float(discount),)
    _check(gammas, environments=environments, pairs=pairs, steps=steps, states=states, actions=actions)
    settings = {"pairs": pairs, "steps": steps, "states": states, "actions": actions, "clip": clip, "seed": seed}
    items = [{"environment": e, "discount": g} for g in gammas for e in range(environments)]
    study = Study.open(directory, config={"study": "starc", **settings}, threads=1)
    found = study.map(
        functools.partial(environment, settings=settings), items, jobs=jobs, name="environment", quiet=quiet
    )
    data = {key: np.concatenate([np.asarray(chunk[key]) for chunk in found]) for key in found[0]}
    data["environment"] = np.repeat([item["environment"] for item in items], pairs * steps)
    data["discount"] = np.repeat([item["discount"] for item in items], pairs * steps)
    made = _study(study.directory, {"environments": environments, **settings, "discounts": gammas}, data)
    _write(made)
    return made


def published() -> dict[str, float]:
    """The published correlations: 222 metrics, Pearson, with the regret of best policies."""
    from learnt.io.atomic import read_json

    return read_json(Path(__file__).with_name("starc_published.json"))["correlation"]


def _study(directory: Path, settings: dict[str, Any], data: dict[str, np.ndarray]) -> StarcStudy:
    known, followed, facts, means, share = published(), [], (), {}, float("nan")
    usable = np.asarray(~data["trivial"].astype(bool).any(1))
    for gamma in settings["discounts"]:
        here = usable & (data["discount"] == gamma)
        if here.sum() < 2:
            raise InputError(
                "environments, pairs",
                found=f"{int(here.sum())} rows with a regret at discount {gamma}",
                expected="at least two, and hundreds to learn something",
            )
        best, worst = (
            correlations(data["values"][here], data[kind][here].mean(1), data["environment"][here])
            for kind in ("optimal", "worst")
        )
        faithful = gamma == PAPER["discount"] and all(settings[k] == PAPER[k] for k in ("states", "actions", "steps"))
        followed += [
            Followed(
                name, gamma, known.get(name) if faithful else None,
                *(float(a[i]) for c in (best, worst) for a in (c.pearson, c.low, c.high, c.spearman)),
            )
            for i, name in enumerate(METRICS)
        ]  # fmt: skip
        if not facts:
            ours = dict(zip(METRICS, best.pearson.tolist()))
            facts, means = _facts(ours, known), _means(ours, known)
            share = float(data["optimal"][here].mean() / max(data["worst"][here].mean(), 1e-300))
    return StarcStudy(
        directory=directory, settings=settings, rows=usable.size, trivial=int((~usable).sum()),
        followed=tuple(followed), facts=facts, means=means, share_of_worst=share, data=data,
    )  # fmt: skip


def _means(ours: Mapping[str, float], known: Mapping[str, float]) -> dict[str, tuple[float | None, float]]:
    """Mean over the metrics of a form that are normalised, both over those that are published too, if any are."""
    out: dict[str, tuple[float | None, float]] = {}
    for form in dict.fromkeys(name.split("-")[0] for name in METRICS):
        names = [n for n in METRICS if n.split("-")[0] == form and n.split("-")[1:2] != ["0"]]
        shared = [n for n in names if n in known]
        there = float(np.mean([known[n] for n in shared])) if shared else None
        out[form] = there, float(np.mean([ours[n] for n in shared or names]))
    return out


def _facts(ours: Mapping[str, float], known: Mapping[str, float]) -> tuple[Fact, ...]:
    """The statements that hold of a faithful experiment from about 1,000 distinct rows on."""
    cells = [(n, m) for n in NORMALISED for m in MEASURED]

    def of(numbers: Mapping[str, float]) -> list[float]:
        same = [numbers[f"VAL-{n}-{m}"] for n in ("1", "weighted_1") for m in ("1", "weighted_1")]
        shared = [name for name in METRICS if name in numbers]
        return [
            numbers["VAL-2-2"] - numbers["EPIC-2-2"],
            numbers["VAL-2-2"],
            max(numbers[name] for name in shared if name in UNNORMALISED),
            max(numbers[name] for name in shared if name.startswith("None-")),
            max(same) - min(same),
            abs(numbers["EPIC-2-2"] - numbers["MinimalPotential-2-2"]),
            float(sum(numbers[f"VAL-{n}-{m}"] > numbers[f"EPIC-{n}-{m}"] for n, m in cells)),
        ]

    claims = (
        ("VAL-2-2 follows regret more closely than EPIC-2-2, by", "at least .04", lambda x: x >= 0.04),
        ("VAL-2-2 follows regret", ".85 to .97", lambda x: 0.85 <= x <= 0.97),
        ("the best metric without normalisation", "below .5", lambda x: x < 0.5),
        ("the best metric without canonical form", "below .7", lambda x: x < 0.7),
        ("VAL-1-1, VAL-1-w1, VAL-w1-1 and VAL-w1-w1 are one, up to", "1e-6", lambda x: x <= 1e-6),
        ("EPIC-2-2 and MinimalPotential-2-2 agree, up to", "below .01", lambda x: x < 0.01),
        ("cells of 42 in which VAL is above EPIC", "most", lambda x: x > 21),
    )
    pairs = zip(claims, of(known), of(ours), strict=True)
    return tuple(Fact(claim, bound, there, here, bool(test(here))) for (claim, bound, test), there, here in pairs)


def _write(study: StarcStudy) -> None:
    from learnt.io.atomic import write_bytes, write_json
    from learnt.studies.starc_report import picture

    write_json(study.directory / "starc.json", study.to_dict())
    write_bytes(study.directory / "starc.png", picture(study))


def _check(gammas: tuple[float, ...], **counts: int) -> None:
    for name, least in (("environments", 2), ("pairs", 1), ("steps", 1), ("states", 2), ("actions", 2)):
        if counts[name] < least:
            raise InputError(name, found=str(counts[name]), expected=f"at least {least}")
    for gamma in gammas:
        if not 0.0 < gamma < 1.0:
            raise InputError("discounts", found=str(gamma), expected="numbers above 0 and below 1")
    if len(set(gammas)) != len(gammas):
        raise InputError("discounts", found="the same one twice", expected="different ones")
