"""Would both rewards order policies in the same way? STARC distances between rewards of a known finite MDP.

    d(R1, R2) = m(s(R1), s(R2)),   s(R) = c(R) / n(c(R)),  0 if c(R) = 0          Skalse et al. 2024, Definition 3

with c a canonical form (`learnt.rewards.canonical`), n a norm and m a metric. If n and m are the same norm, d lies in
[0, 2]: 0 iff the two rewards order all policies alike, 1 between a reward and a trivial one, 2 between R and -R.
The worst regret of optimising R2 when R1 is meant is at most a constant times d, and at least another one times d.

Norms are those of `learnt.rewards.norms`.

Differences from the authors' code: closed forms; a reward is trivial, s(R) = 0, if n(c(R)) <= 1e-10 max |R| (there 0/0
or amplified rounding noise); unreachable states count for nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal, final

import numpy as np
from jaxtyping import Float, Real

from learnt.core.errors import InputError, NotApplicable
from learnt.core.measure import Evidence, Exact, Facts, Measure, Reference
from learnt.core.panels import Chart
from learnt.rewards._scale import largest_read
from learnt.rewards.canonical import VALID, Canonicalisation, canonical, named, with_options
from learnt.rewards.mdp import RewardView, TabularMDP
from learnt.rewards.norms import Norm, norm_of

TRIVIAL = 1e-10  # a canonical form this small beside its reward is rounding noise
ROUNDING = 1e-9  # a distance this small has no places worth showing
SHOWN = 10  # rows in the table of the largest differences
KEPT = 2000  # state-action pairs up to which details hold them all


def standardise(
    reward: Real[np.ndarray, "*batch s a k"],
    mdp: TabularMDP,
    *,
    canonicalisation: str | Canonicalisation = "val",
    norm: Norm | Literal["none"] = "weighted_l2",
    policy: Any = None,
    weight: Any = None,
) -> Float[np.ndarray, "*batch s a form"]:
    """s(R) of rewards (..., S, A, S or 1): (..., S, A, 1) or (..., S, A, S); zero for a trivial reward.

    Args:
        reward: R(s, a, s').
        canonicalisation: a name or an object, see `learnt.rewards.canonical`.
        norm: what the canonical form is divided by; ``"none"`` leaves its size alone.
        policy, weight: options of forms given by name.
    """
    chosen = with_options(canonicalisation, policy=policy, weight=weight)
    form = canonical(reward, mdp, chosen)
    if norm == "none":
        return form
    size = np.asarray(norm_of(form, mdp, norm))
    trivial = size <= TRIVIAL * largest_read(reward, mdp, possible=chosen.is_starc)
    scale = np.where(trivial, 1.0, size)
    return np.where(trivial, 0.0, 1.0)[..., None, None, None] * form / scale[..., None, None, None]


def starc_distance(
    r1: Any,
    r2: Any,
    mdp: TabularMDP,
    *,
    canonicalisation: str | Canonicalisation = "val",
    normalisation: Norm | Literal["none"] = "weighted_l2",
    metric: Norm | Literal["angle"] | None = None,
    policy: Any = None,
    weight: Any = None,
) -> float:
    """STARC distance of two rewards in one MDP.

    Args:
        r1, r2: arrays (S, A, S), (S, A), (S,), or functions of (s, a, s'); see `learnt.rewards.view`.
        mdp: where they are compared.
        canonicalisation: ``"val"``, ``"minimal"``, ``"minimal_l2"``, or an object such as ``Val(policy=...)``. Others
            (``"epic"``, ``"dard"``, ``"none"`` ...) are allowed and do not give a STARC metric: `is_starc` tells.
        normalisation: norm that fixes the scale; ``"none"`` keeps it (then not a STARC metric).
        metric: norm of the difference; None for the one that normalises; ``"angle"`` for the angle between the two,
            in radians, if that is an L2 norm.
        policy, weight: options of forms given by name.

    Raises:
        InputError, ShapeError, NonFiniteError: on unknown options, wrong shapes, NaN or infinity.
        NotApplicable: a form that reads R(s, a, s'), of rewards of which a sparse process kept the means.

    Source: Skalse et al. 2024, Definition 3.
    """
    form = with_options(canonicalisation, policy=policy, weight=weight)
    rewards = [reward_for(form, r, mdp, name) for r, name in ((r1, "r1"), (r2, "r2"))]
    first, second = (standardise(r, mdp, canonicalisation=form, norm=normalisation) for r in rewards)
    if metric == "angle":
        if normalisation not in ("l2", "weighted_l2"):
            raise InputError(
                "metric", found=f"'angle' with {normalisation!r}", expected="'l2' or 'weighted_l2' with it"
            )
        if not (first.any() and second.any()):
            return 0.0 if first.any() == second.any() else float(np.pi / 2)
        apart, together = (norm_of(x, mdp, normalisation) for x in (first - second, first + second))
        return float(
            2 * np.arctan2(apart, together)
        )  # keeps its digits at both ends, where arccos and arcsin lose them
    if metric is None:
        if normalisation == "none":
            raise InputError("metric", found="none, without a normalisation", expected="a norm")
        metric = normalisation
    return float(norm_of(first - second, mdp, metric))


def reward_for(form: Canonicalisation, reward: Any, mdp: TabularMDP, name: str) -> np.ndarray:
    """(S, A, S or 1) values of a reward that a canonical form may read.

    Raises:
        NotApplicable: the form reads R(s, a, s'), and only its mean over s' is known.
    """
    seen = mdp.subject(reward, name=name)
    if seen.averaged and not form.is_starc:
        raise NotApplicable(
            name,
            found="a reward by transition, of which a sparse process keeps the mean over the next state",
            expected=f"R(s, a, s') for {form.name!r}",
            remedy="Make the process with sparse=False, or use 'val' or 'minimal'.",
        )
    return seen.reward


@dataclass(frozen=True, eq=False, kw_only=True)
class Standardised:
    """A reward made ready: its name, s(R), the norm of c(R), and the process it lives in."""

    name: str
    form: np.ndarray
    size: float
    mdp: TabularMDP


@final
@dataclass(frozen=True, kw_only=True)
class STARC(Measure[RewardView, TabularMDP]):
    """Distance between two rewards of one MDP that ignores what no policy can notice.

    Attributes:
        canonicalisation: ``"val"`` with the uniform policy, ``"minimal"``, ``"minimal_l2"``, or an object.
        norm: the norm that fixes the scale and measures the difference.
    """

    canonicalisation: str | Canonicalisation = "val"
    norm: Norm = "weighted_l2"

    facts: ClassVar[Facts] = Facts(
        name="starc",
        family="rewards",
        question="Would both rewards order policies in the same way?",
        unit="distance, 0 to 2",
        data=TabularMDP,
        low=0.0,
        high=2.0,
        identical=0.0,
        closer="lower",
        symmetric=True,
        invariances=("potential shaping", "redistribution", "positive scaling"),
        references=(
            Reference(
                cite="Skalse et al., STARC: A General Framework For Quantifying Differences Between Reward Functions, "
                "ICLR 2024",
                identifier="arXiv:2309.15257",
                where="Definitions 1-3, Proposition 2",
            ),
        ),
        how="Both rewards are brought to a canonical form that no longer depends on shaping, redistribution or scale, "
        "and the forms are subtracted; computed exactly from the transition probabilities.",
        caveat="The distance holds for these dynamics and this discount, and bounds the worst case over all pairs of "
        "policies: two rewards can share their best policy and still be far apart.",
        cost="S^3 once for each MDP, S^2 A for each reward",
    )

    def __post_init__(self) -> None:
        form = named(self.canonicalisation)
        if not form.is_starc:
            raise InputError(
                "canonicalisation", found=f"{form.name!r}, which is not one of STARC", expected=" or ".join(VALID)
            )

    @property
    def name(self) -> str:
        """``starc``, with canonical form and norm if they are not the default."""
        form = named(self.canonicalisation).name
        return "starc" if (form, self.norm) == ("val", "weighted_l2") else f"starc({form}, {self.norm})"

    def prepare(self, thing: RewardView, data: TabularMDP, *, rng: np.random.Generator) -> Standardised:
        """The standardised reward."""
        form = canonical(thing.reward, data, self.canonicalisation)
        size = float(norm_of(form, data, self.norm))
        trivial = size <= TRIVIAL * float(largest_read(thing.reward, data, possible=True))
        return Standardised(name=thing.name, form=np.zeros_like(form) if trivial else form / size, size=size, mdp=data)

    def compare(self, a: Standardised, b: Standardised, *, rng: np.random.Generator) -> Evidence:
        """The distance, and where (state, action) the two differ most."""
        mdp, gap = a.mdp, a.form - b.form
        value = float(norm_of(gap, mdp, self.norm))
        share, of_a, of_b = (_by_action(form, mdp) for form in (np.square(gap), a.form, b.form))
        total = float(share.sum())
        share = share / total if value > ROUNDING else np.zeros_like(share)
        details: dict[str, Any] = {
            "largest": _largest(share, of_a, of_b, mdp),
            "trivial_a": not a.form.any(),
            "trivial_b": not b.form.any(),
            "unreachable_states": int((~mdp.reachable).sum()),
            "norm_a": a.size,
            "norm_b": b.size,
        }
        if share.size <= KEPT:  # on fixed places, so that drivers may average over replicas
            details |= {"share": share, "a": of_a, "b": of_b, "places": _places(mdp)}
        if mdp.grid is not None and value > ROUNDING:
            details["map"] = share.sum(1).reshape(mdp.grid)
        return Exact(value=value, details=details)

    def chart(self, details: Any) -> Chart | None:
        """In a grid world, a map of where B differs; else bars where it differs most, and the control's there."""
        found = details.get("b")
        if not found:
            return None
        if "map" in found:
            return _map(found["map"], details.get("control", {}).get("map"))
        if "share" in found:
            top = np.argsort(-np.ravel(found["share"]), kind="stable")[:SHOWN]
            where = [found["places"][i] for i in top]
            series = {"A": np.ravel(found["a"])[top], "B": np.ravel(found["b"])[top]}
            control = details.get("control", {})
            if np.shape(control.get("b", ())) == np.shape(found["b"]):
                series["control"] = np.ravel(control["b"])[top]
        else:
            where = [f"{state}, {action}" for state, action, *_ in found["largest"]]
            series = {"A": _column(found["largest"], 2), "B": _column(found["largest"], 3)}
        return Chart(
            kind="bars",
            series=series,
            x=where,
            x_label="state and action, largest differences first",
            y_label="standardised reward",
            alt=f"Standardised rewards where B differs most from A; the first place is {where[0]}.",
        )


def _map(of_b: np.ndarray, of_control: Any) -> Chart:
    """Heat map of the share of each cell in the squared difference."""
    maps = {"B": np.asarray(of_b, dtype=np.float64)}
    if of_control is not None:
        maps["control"] = np.asarray(of_control, dtype=np.float64)
    rows, columns = maps["B"].shape
    row, column = divmod(int(maps["B"].argmax()), columns)
    return Chart(
        kind="heatmap",
        series=maps,
        x=[str(i) for i in range(columns)],
        y=[str(i) for i in range(rows)],
        x_label="column",
        y_label="row",
        low=0.0,
        high=max(float(cells.max()) for cells in maps.values()),
        alt=f"Share of each cell of the grid in the difference from A; the largest is at row {row}, column {column}.",
    )


def _largest(share: np.ndarray, of_a: np.ndarray, of_b: np.ndarray, mdp: TabularMDP) -> list[list[Any]]:
    """Rows of (state, action, standardised a, standardised b, share of the squared difference), largest first."""
    order = np.argsort(-share, axis=None, kind="stable")[:SHOWN]
    rows = zip(*(index.tolist() for index in np.unravel_index(order, share.shape)))
    return [
        [
            _named(mdp.states, i, "state"),
            _named(mdp.actions, j, "action"),
            float(of_a[i, j]),
            float(of_b[i, j]),
            float(share[i, j]),
        ]
        for i, j in rows
    ]


def _places(mdp: TabularMDP) -> list[str]:
    return [
        f"{_named(mdp.states, i, 'state')}, {_named(mdp.actions, j, 'action')}"
        for i in range(mdp.n_states)
        for j in range(mdp.n_actions)
    ]


def _column(rows: list[list[Any]], index: int) -> np.ndarray:
    return np.array([row[index] for row in rows])


def _by_action(form: np.ndarray, mdp: TabularMDP) -> np.ndarray:
    """(S, A) mean over the next state of a form (S, A, 1) or (S, A, S)."""
    return mdp.expected(form)


def _named(names: tuple[str, ...], index: int, kind: str) -> str:
    return names[index] if names else f"{kind} {index}"
