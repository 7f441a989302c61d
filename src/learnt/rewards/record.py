"""What is to be said about two rewards? The distance, what it guarantees, and where the two differ, in one record.

Reward A is the one that is meant, B the one that would be optimised. The record holds

    the distance      d = m(s(A), s(B)), with the cosine and the angle of the canonical forms under an L2 norm
    the scale         n(c(A)), n(c(B)) and m(c(A) - c(B)): d discards it, and training with a KL penalty does not
    the certificate   the exact worst-case regret of each as a proxy of the other, with the policies that attain it
                      (`learnt.rewards.regret`), and [L d, U d] in closed form for VAL (`learnt.rewards.bounds`)
    the place         the share of each (state, action) in the squared difference |s(A) - s(B)|^2
    the warnings      unreachable states, trivial rewards, forms that are not of STARC

All of it holds for these dynamics, this discount and, for VAL, this policy; `learnt.rewards.sensitivity` repeats it
under others. A distance of 0 means the same order of policies; a large one may still go with a shared best policy, as
it bounds the worst case over all pairs of policies.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

from learnt.core.errors import InputError, NotApplicable
from learnt.core.version import provenance
from learnt.io.figures import shown
from learnt.rewards._drawings import Panel, bars, grids
from learnt.rewards._pairs import cautions, checked_metric, distances_of, standard_forms
from learnt.rewards.bounds import regret_bounds
from learnt.rewards.canonical import Canonicalisation, with_options
from learnt.rewards.mdp import TabularMDP
from learnt.rewards.norms import Norm, norm_of
from learnt.rewards.regret import WorstCaseRegret, worst_case_regret
from learnt.rewards.starc import ROUNDING, reward_for
from learnt.rewards.val import Val

SCHEMA = "learnt.rewards.comparison/1"
SHOWN = 10  # places that are listed
VISITED = 1e-9  # discounted visits below which a policy has no arrow
CAVEAT = (
    "The numbers hold for these dynamics and this discount, and for the worst case over all pairs of policies: two "
    "rewards can share their best policy and still be far apart. The scale of a reward is discarded."
)


class Place(NamedTuple):
    """A state and action where the two differ: standardised rewards of both, share of the squared difference."""

    state: str
    action: str
    a: float
    b: float
    share: float


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class RewardComparison:
    """Two rewards of one process, compared; A is the one that is meant.

    Attributes:
        names: what A and B are called.
        distance: d; cosine, angle: of the canonical forms, in radians; None unless the norm is an L2 and neither is
            trivial.
        canonicalisation, normalisation, metric: what was computed; `is_starc` whether it is a STARC metric.
        policy, weight: options of the canonical form, None for uniform.
        mdp, discount: where.
        norm_a, norm_b: n(c(A)) and n(c(B)); unnormalised_distance: m(c(A) - c(B)).
        trivial_a, trivial_b: whether no policy can matter for a reward.
        unreachable_states: number of states that no policy visits, and that count for nothing.
        worst_case_regret: of optimising B when A is meant; reverse_regret: of optimising A when B is meant; or None.
        bounds: (L d, U d), between which the worst-case regret lies; None where no constants are known.
        share: (S, A) share in the squared difference, sum 1, or all 0 at distance 0.
        largest: the places with the largest shares, largest first.
        warnings: what a reader should know before using the numbers.
        provenance: versions.
        process: the process itself, for pictures.
    """

    names: tuple[str, str]
    distance: float
    cosine: float | None
    angle: float | None
    canonicalisation: str
    is_starc: bool
    normalisation: str
    metric: str
    policy: np.ndarray | None
    weight: np.ndarray | None
    mdp: str
    discount: float
    norm_a: float
    norm_b: float
    unnormalised_distance: float
    trivial_a: bool
    trivial_b: bool
    unreachable_states: int
    worst_case_regret: WorstCaseRegret | None
    reverse_regret: WorstCaseRegret | None
    bounds: tuple[float, float] | None
    share: np.ndarray
    largest: tuple[Place, ...]
    warnings: tuple[str, ...]
    process: TabularMDP
    provenance: Mapping[str, Any] = field(default_factory=dict)

    @property
    def spec(self) -> str:
        """Canonical form, normalisation and metric in short, e.g. ``val-weighted_l2-weighted_l2``."""
        return f"{self.canonicalisation}-{self.normalisation}-{self.metric}"

    @property
    def ignores(self) -> tuple[str, ...]:
        """The changes of a reward that leave the distance alone."""
        found = {"none": (), "val": _ALL, "minimal": _ALL, "minimal_l2": _ALL}.get(self.canonicalisation, _ALL[:1])
        return (*found, "positive scaling") if self.normalisation != "none" else found

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON data."""
        plain = (
            "distance", "cosine", "angle", "canonicalisation", "is_starc", "normalisation", "metric", "mdp",
            "discount", "norm_a", "norm_b", "unnormalised_distance", "trivial_a", "trivial_b", "unreachable_states",
        )  # fmt: skip
        regrets = {key: _regret_dict(getattr(self, key)) for key in ("worst_case_regret", "reverse_regret")}
        return {
            "schema": SCHEMA,
            "names": list(self.names),
            **{key: getattr(self, key) for key in plain},
            "policy": None if self.policy is None else np.asarray(self.policy).tolist(),
            "weight": None if self.weight is None else np.asarray(self.weight).tolist(),
            "ignores": list(self.ignores),
            "kind": "exact",
            **regrets,
            "bounds": None if self.bounds is None else list(self.bounds),
            "share": self.share.tolist(),
            "largest": [place._asdict() for place in self.largest],
            "warnings": list(self.warnings),
            "provenance": dict(self.provenance),
        }

    def to_json(self, path: str | Path | None = None) -> str:
        """The record as JSON text; written to `path` (atomically) if one is given."""
        text = json.dumps(self.to_dict(), allow_nan=False, sort_keys=True, ensure_ascii=False) + "\n"
        if path is not None:
            from learnt.io.atomic import write_text

            write_text(Path(path), text)
        return text

    def facts(self) -> list[tuple[str, str]]:
        """The numbers in words, as (what, how much); text from users is inert."""
        a, b = (shown(name, 40) for name in self.names)
        kind = "a STARC metric" if self.is_starc else "not a STARC metric"
        angle = "" if self.angle is None else f", angle {np.degrees(self.angle):.2f} degrees, cosine {self.cosine:.6f}"
        found = [
            ("process", f"{shown(self.mdp, 60)}, discount {self.discount:g}"),
            ("distance", f"{self.distance:.6g}{angle} ({self.spec}, {kind})"),
        ]
        found.append(("norms", f"{self.norm_a:.6g} and {self.norm_b:.6g}"))
        found.append(("distance without normalisation", f"{self.unnormalised_distance:.6g}"))
        for regret, true, proxy in ((self.worst_case_regret, a, b), (self.reverse_regret, b, a)):
            if regret is not None:
                share = f"{regret.normalised:.6g} of {true}'s range {regret.true_range:.6g} (gap {regret.gap:.1g})"
                found.append((f"worst-case regret of optimising {proxy} if {true} is meant:", share))
        if self.bounds is not None and (self.bounds[0] > 1e-6 or self.bounds[1] < 1.0):  # says something
            low, high = self.bounds
            found.append(("regret that the distance alone allows:", f"{low:.4g} to {high:.4g} of the range"))
        return found

    def summary(self) -> str:
        """The record in words, plain text."""
        a, b = (shown(name, 40) for name in self.names)
        lines = [f"{b} compared with {a}", *(f"  {what} {much}" for what, much in self.facts())]
        if self.largest:
            lines.append("  where they differ most (standardised rewards, share of the squared difference):")
            lines += [
                f"    {shown(p.state, 16):16} {shown(p.action, 16):16} {p.a:+9.4f} {p.b:+9.4f} {p.share:7.1%}"
                for p in self.largest
            ]
        lines += [f"  Note: {shown(text, 400)}" for text in self.warnings]
        return "\n".join([*lines, f"  {CAVEAT}"])

    def __str__(self) -> str:
        return self.summary()

    def __repr__(self) -> str:
        return f"RewardComparison({self.names[0]!r}, {self.names[1]!r}, distance {self.distance:.6g}, {self.spec})"

    def plot(self) -> Any:
        """A new matplotlib figure: in a grid world, where they differ and the two witnesses; elsewhere, bars."""
        a, b = self.names
        if self.process.grid is None:
            labels = [f"{p.state}, {p.action}" for p in self.largest]
            series = {a: np.array([p.a for p in self.largest]), b: np.array([p.b for p in self.largest])}
            return bars(labels, series, "standardised rewards, largest differences first").figure
        panels = [Panel("where they differ", self.share.sum(1), None, "share of the squared difference")]
        if self.worst_case_regret is not None:
            found = self.worst_case_regret
            for k, who in enumerate((found.better_by_truth, found.better_by_proxy), start=1):
                visits = who.occupancy.sum(1)
                moves = np.where(visits[:, None] > VISITED, who.policy, 0.0)
                told = f"policy {k}\n{shown(a)}: {who.true_return:.4g}\n{shown(b)}: {who.proxy_return:.4g}"
                panels.append(Panel(told, visits * (1.0 - self.discount), moves, "share of the time"))
        return grids(self.process, panels)

    def to_html(self, path: str | Path, *, title: str = "Would optimising one reward be safe for the other?") -> Path:
        """Write one self-contained page without scripts; returns its path."""
        from learnt.io.atomic import write_text
        from learnt.io.pages import Figure, Table, page

        tables = [Table("", self.facts())]
        if self.largest:
            rows = [[p.state, p.action, f"{p.a:+.4f}", f"{p.b:+.4f}", f"{p.share:.1%}"] for p in self.largest]
            tables.append(Table("Where they differ most", rows, ("state", "action", *self.names, "share")))
        figures = [Figure(self.plot(), "Where the two rewards differ.")] if self.largest else []
        return write_text(Path(path), page(title, (*self.warnings, CAVEAT), figures, tables, self.to_dict()))


_ALL = ("potential shaping", "redistribution")


def compare_rewards(
    r1: Any,
    r2: Any,
    mdp: TabularMDP,
    *,
    names: tuple[str, str] = ("A", "B"),
    canonicalisation: str | Canonicalisation = "val",
    normalisation: Norm | Literal["none"] = "weighted_l2",
    metric: Norm | Literal["angle"] | None = None,
    policy: Any = None,
    weight: Any = None,
    regret: bool = True,
) -> RewardComparison:
    """Everything there is to say about two rewards of one process.

    Args:
        r1: A, the reward that is meant; r2: B, the one that would be optimised. Each as `starc_distance` takes it.
        mdp: where they are compared.
        names: what A and B are called.
        canonicalisation, normalisation, metric, policy, weight: as in `starc_distance`.
        regret: compute the exact worst-case regret both ways.

    Raises:
        InputError, ShapeError, NonFiniteError, NotApplicable: as `starc_distance`.
    """
    if len(names) != 2 or str(names[0]) == str(names[1]):
        raise InputError("names", found=repr(names), expected="two different names")
    called = (str(names[0]), str(names[1]))
    form = with_options(canonicalisation, policy=policy, weight=weight)
    measured = checked_metric(normalisation, metric)
    views = [mdp.subject(r, name=name) for r, name in zip((r1, r2), called)]
    rewards = [reward_for(form, view, mdp, view.name) for view in views]
    forms, standard, sizes, trivial = standard_forms(rewards, mdp, form, normalisation)
    distances, cosines = distances_of(standard, trivial, mdp, normalisation, measured)
    distance = float(distances[0, 1])
    angle = None
    if cosines is not None and normalisation == measured and not trivial.any():
        angle = float(distances_of(standard, trivial, mdp, measured, "angle")[0][0, 1])
    norm = normalisation if measured == "angle" or normalisation != "none" else measured
    share = _shares(standard[0] - standard[1], mdp, norm, distance)
    forward = worst_case_regret(views[0], views[1], mdp) if regret else None
    reverse = worst_case_regret(views[1], views[0], mdp) if regret else None
    notes = list(cautions(mdp, form, normalisation, [n for n, t in zip(called, trivial) if t]))
    if forward is not None and not form.is_starc and forward.normalised > max(0.1, 2 * distance):
        notes.append(f"The distance is {distance:.2g}, yet the worst-case regret is {forward.normalised:.2g}.")
    return RewardComparison(
        names=called,
        distance=distance,
        cosine=None if angle is None else float(np.cos(angle)),
        angle=angle,
        canonicalisation=form.name,
        is_starc=form.is_starc and normalisation != "none",
        normalisation=normalisation,
        metric=measured,
        policy=getattr(form, "policy", None),
        weight=getattr(form, "weight", None),
        mdp=mdp.name,
        discount=mdp.discount,
        norm_a=float(sizes[0]),
        norm_b=float(sizes[1]),
        unnormalised_distance=float(norm_of(forms[0] - forms[1], mdp, norm)),  # type: ignore[arg-type]
        trivial_a=bool(trivial[0]),
        trivial_b=bool(trivial[1]),
        unreachable_states=int((~mdp.reachable).sum()),
        worst_case_regret=forward,
        reverse_regret=reverse,
        bounds=_bounds(form, mdp, normalisation, measured, distance, trivial),
        share=share,
        largest=_largest(share, [mdp.expected(s) for s in standard], mdp),
        warnings=tuple(notes),
        process=mdp,
        provenance=provenance(),
    )


def _shares(gap: np.ndarray, mdp: TabularMDP, norm: str, distance: float) -> np.ndarray:
    """(S, A) shares of the squared difference; plain norms sum over next states, the others weigh them by P."""
    if distance <= ROUNDING:
        return np.zeros(gap.shape[:2])
    squares = np.square(gap / np.abs(gap).max())
    found = squares.sum(-1) if norm in ("l1", "l2", "linf") else mdp.expected(squares)
    return found / found.sum()


def _largest(share: np.ndarray, means: list[np.ndarray], mdp: TabularMDP) -> tuple[Place, ...]:
    order = np.argsort(-share, axis=None, kind="stable")[:SHOWN]
    found = []
    for i, j in zip(*(index.tolist() for index in np.unravel_index(order, share.shape))):
        if share[i, j] > 0:
            state = mdp.states[i] if mdp.states else f"state {i}"
            action = mdp.actions[j] if mdp.actions else f"action {j}"
            found.append(Place(state, action, float(means[0][i, j]), float(means[1][i, j]), float(share[i, j])))
    return tuple(found)


def _bounds(
    form: Canonicalisation, mdp: TabularMDP, normalisation: str, metric: str, distance: float, trivial: np.ndarray
) -> tuple[float, float] | None:
    """(L d, U d) in closed form, where VAL or the return range gives constants."""
    if normalisation != metric or trivial.any():
        return None
    if metric == "return_range":
        kept = form.is_starc or (form.name != "dard" and not mdp.terminal.any())  # the form has the returns of R
        return (distance / 2, min(1.0, distance)) if kept else None
    if not isinstance(form, Val):
        return None
    try:
        found = regret_bounds(mdp, policy=form.policy, norm=metric, exact=False)  # type: ignore[arg-type]
    except NotApplicable:
        return None
    return found.lower * distance, min(1.0, found.upper * distance) if distance > 0 else 0.0


def _regret_dict(found: WorstCaseRegret | None) -> dict[str, Any] | None:
    if found is None:
        return None
    plain = (
        "value",
        "normalised",
        "gap",
        "lambda_",
        "true_range",
        "proxy_range",
        "trivial_true",
        "trivial_proxy",
        "solver",
    )
    record: dict[str, Any] = {key: getattr(found, key) for key in plain}
    for key in ("better_by_truth", "better_by_proxy"):
        who = getattr(found, key)
        record[key] = {"policy": who.policy.tolist(), "true_return": who.true_return, "proxy_return": who.proxy_return}
    return record
