"""How do many rewards lie to each other? Every distance of every pair, with one canonical form a reward.

    d_ij = m(s_i - s_j),   s_i = c(R_i) / n(c(R_i))                    Skalse et al. 2024, Definition 3

Each reward is canonicalised once, by factors that all share; under an L2 norm all pairs take one matrix product, under
``"return_range"`` each pair takes two solutions of the process.

A K x K matrix of distances can be drawn as a heat map, grouped (average linkage) or laid out in the plane (classical
scaling, with the share of the distances that the plane cannot show).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, get_args

import numpy as np

from learnt.core.errors import InputError
from learnt.core.version import provenance
from learnt.rewards._pairs import cautions, checked_metric, distances_of, standard_forms
from learnt.rewards.canonical import Canonicalisation, with_options
from learnt.rewards.mdp import TabularMDP
from learnt.rewards.norms import Norm
from learnt.rewards.starc import reward_for

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from learnt.core.matrix import ComparisonMatrix

LISTED = 12  # rewards that are printed
TABULATED = 100  # rewards up to which a page holds a table of all distances; beyond, its data does
QUESTION = "Would both rewards order policies in the same way?"
SCHEMA = "learnt.rewards.matrix/1"
Kind = Literal["heatmap", "dendrogram", "map"]


class RewardMap(NamedTuple):
    """Rewards in the plane: coordinates (K, 2), and Kruskal's stress sqrt(sum (d - shown)^2 / sum d^2), 0 if exact."""

    coordinates: np.ndarray
    stress: float


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class RewardMatrix:
    """Distances between all pairs of K rewards.

    Attributes:
        names: (K,) of the rewards.
        distances: (K, K), symmetric, 0 on the diagonal.
        cosines: (K, K) cosines of the canonical forms, NaN beside a trivial reward; None unless the metric is an L2.
        norms: (K,) n(c(R)), what each form was divided by.
        trivial: (K,) bool, rewards that no policy can matter for.
        canonicalisation, normalisation, metric: what was computed; `is_starc` whether it is a STARC metric.
        mdp, discount: where.
        unreachable_states: number of states that no policy visits and that count for nothing.
        warnings: what a reader should know before using the numbers.
        provenance: versions.
    """

    names: tuple[str, ...]
    distances: np.ndarray
    cosines: np.ndarray | None
    norms: np.ndarray
    trivial: np.ndarray
    canonicalisation: str
    is_starc: bool
    normalisation: str
    metric: str
    mdp: str
    discount: float
    unreachable_states: int = 0
    warnings: tuple[str, ...] = ()
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, pair: tuple[str, str]) -> float:
        row, column = (self._index(name) for name in pair)
        return float(self.distances[row, column])

    def __str__(self) -> str:
        return "\n".join(self._lines())

    def __repr__(self) -> str:
        return f"RewardMatrix({len(self)} x {len(self)}, {self.spec} in {self.mdp})"

    def _lines(self) -> list[str]:
        from learnt.io.figures import shown

        kept = range(min(len(self), LISTED))
        names = [f"({i + 1}) {shown(self.names[i], 20)}" for i in kept]
        wide = max(map(len, names))
        lines = [f"Distances between {len(self)} rewards in {shown(self.mdp, 60)} ({self.spec}):"]
        lines += [" " * wide + "".join(f"{f'({i + 1})':>8}" for i in kept)]
        lines += [f"{names[i]:{wide}}" + "".join(f"{self.distances[i, j]:8.4f}" for j in kept) for i in kept]
        if len(self) > LISTED:
            lines.append(f"... and {len(self) - LISTED} more: to_frame() and to_dict() hold them all.")
        return lines + [shown(text, 400) for text in self.warnings]

    def _index(self, name: str) -> int:
        if name not in self.names:
            raise InputError("name", found=repr(name), expected=f"one of {', '.join(self.names[:12])}")
        return self.names.index(name)

    @property
    def spec(self) -> str:
        """Canonical form, normalisation and metric in short, e.g. ``val-weighted_l2-weighted_l2``."""
        return f"{self.canonicalisation}-{self.normalisation}-{self.metric}"

    @property
    def matrix(self) -> ComparisonMatrix:
        """The same distances as the common matrix of `learnt.pairwise`, which reports know."""
        from learnt.core.estimate import Estimate
        from learnt.core.matrix import ComparisonMatrix

        return ComparisonMatrix(
            question=QUESTION,
            name="starc" if self.is_starc else self.canonicalisation,
            unit=f"distance ({self.spec})",
            names=self.names,
            cells=tuple(tuple(Estimate.exact(x) for x in row) for row in self.distances),
            data=self.mdp,
            provenance=self.provenance,
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON data; undefined cosines are None."""
        cosines = None
        if self.cosines is not None:
            cosines = [[float(x) if np.isfinite(x) else None for x in row] for row in self.cosines]
        plain = ("canonicalisation", "is_starc", "normalisation", "metric", "mdp", "discount", "unreachable_states")
        return {
            "schema": SCHEMA,
            "names": list(self.names),
            "distances": self.distances.tolist(),
            "cosines": cosines,
            "norms": self.norms.tolist(),
            "trivial": self.trivial.tolist(),
            **{key: getattr(self, key) for key in plain},
            "warnings": list(self.warnings),
            "provenance": dict(self.provenance),
        }

    def to_frame(self) -> Any:
        """The distances as a pandas DataFrame; raises MissingExtra without pandas."""
        return self.matrix.to_frame()

    @cached_property
    def linkage(self) -> np.ndarray:
        """(K - 1, 4) average linkage in scipy's form: joined, joined, height, members; from near to far."""
        from scipy.cluster.hierarchy import average
        from scipy.spatial.distance import squareform

        return average(squareform(self.distances, checks=False))

    def dendrogram(self) -> dict[str, Any]:
        """The tree of the rewards, as `scipy.cluster.hierarchy.dendrogram` describes it; `ivl` holds the names."""
        from scipy.cluster.hierarchy import dendrogram

        return dict(dendrogram(self.linkage, labels=list(self.names), no_plot=True))

    def map(self) -> RewardMap:
        """The rewards in the plane, by classical scaling: exact for Euclidean distances that need two dimensions."""
        squares = np.square(self.distances)
        centred = squares - squares.mean(0) - squares.mean(1)[:, None] + squares.mean()
        sizes, axes = np.linalg.eigh(-0.5 * centred)
        found = np.zeros((len(self), 2))
        top = min(2, len(self))
        found[:, :top] = (axes * np.sqrt(np.maximum(sizes, 0.0)))[:, ::-1][:, :top]
        found *= np.where(found[np.abs(found).argmax(0), [0, 1]] < 0, -1.0, 1.0)  # the sign is free: make it repeatable
        shown = np.linalg.norm(found[:, None] - found, axis=-1)
        total = float(squares.sum())
        return RewardMap(found, float(np.sqrt(np.square(self.distances - shown).sum() / total)) if total else 0.0)

    def plot(self, kind: Kind = "heatmap", ax: Axes | None = None) -> Axes:
        """Draw the rewards on matplotlib axes (new ones unless given): ``"heatmap"``, ``"dendrogram"`` or ``"map"``."""
        from learnt.rewards import _drawings

        if kind == "heatmap":
            return _drawings.heatmap(self.distances, self.names, f"distance ({self.spec})", ax)
        if kind == "dendrogram":
            return _drawings.tree(self.dendrogram(), f"distance ({self.spec}), average linkage", ax)
        if kind == "map":
            found = self.map()
            title = f"distances as well as a plane can show them, stress {found.stress:.2f}"
            return _drawings.plane(found.coordinates, self.names, title, ax)
        raise InputError("kind", found=f"{kind!r}", expected=f"one of {', '.join(get_args(Kind))}")

    def save_picture(self, path: str | Path) -> Path:
        """Write heat map, dendrogram and map, one below the other, as .png, .svg or .pdf; returns the path."""
        from learnt.io.figures import figure, save

        side = min(10.0, 3.0 + 0.3 * len(self))
        made = figure(side + 1.0, 3 * side)
        for ax, kind in zip(made.subplots(3, 1), get_args(Kind), strict=True):
            self.plot(kind, ax)
        return save(made, path)

    def to_html(self, path: str | Path, *, title: str = "How these rewards lie to each other") -> Path:
        """Write one self-contained page without scripts: the three pictures and the numbers; returns its path."""
        from learnt.io.atomic import write_text
        from learnt.io.pages import Figure, Table, page

        kinds = {"heatmap": "All distances.", "dendrogram": "Groups of rewards.", "map": "The rewards in the plane."}
        pictures = [Figure(self.plot(kind), text) for kind, text in kinds.items()]  # type: ignore[arg-type]
        rows = [[name, *(f"{x:.4f}" for x in row)] for name, row in zip(self.names, self.distances, strict=True)]
        facts = [
            ["process", self.mdp],
            ["discount", f"{self.discount:g}"],
            ["canonical form", f"{self.canonicalisation} ({'one of STARC' if self.is_starc else 'not one of STARC'})"],
            ["normalisation and metric", f"{self.normalisation}, {self.metric}"],
            ["stress of the map", f"{self.map().stress:.3f}"],
        ]
        tables = [Table("", facts), *([Table("Distances", rows, ("", *self.names))] if len(self) <= TABULATED else [])]
        return write_text(Path(path), page(title, self.warnings, pictures, tables, self.to_dict()))


def pairwise_rewards(
    rewards: Mapping[str, Any] | Sequence[Any],
    mdp: TabularMDP,
    *,
    canonicalisation: str | Canonicalisation = "val",
    normalisation: Norm | Literal["none"] = "weighted_l2",
    metric: Norm | Literal["angle"] | None = None,
    policy: Any = None,
    weight: Any = None,
) -> RewardMatrix:
    """Distances between all pairs of rewards in one MDP.

    Args:
        rewards: at least two, by name or in a row; each as `starc_distance` takes it.
        mdp: where they are compared.
        canonicalisation, normalisation, metric, policy, weight: as in `starc_distance`.

    Raises:
        InputError, ShapeError, NonFiniteError, NotApplicable: as `starc_distance`, with the name of the reward.
    """
    named = rewards if isinstance(rewards, Mapping) else {f"reward {i}": r for i, r in enumerate(rewards)}
    if len(named) < 2:
        raise InputError("rewards", found=f"{len(named)}", expected="at least two")
    form = with_options(canonicalisation, policy=policy, weight=weight)
    measured = checked_metric(normalisation, metric)
    names = tuple(str(name) for name in named)
    if len(set(names)) < len(names):
        raise InputError("rewards", found="two rewards of one name", expected="different names")
    rows = [reward_for(form, r, mdp, name) for name, r in zip(names, named.values())]
    _, forms, sizes, trivial = standard_forms(rows, mdp, form, normalisation)
    distances, cosines = distances_of(forms, trivial, mdp, normalisation, measured)
    for array in (distances, cosines, sizes, trivial):
        if array is not None:
            array.flags.writeable = False
    return RewardMatrix(
        names=names, distances=distances, cosines=cosines, norms=sizes, trivial=trivial,
        canonicalisation=form.name, is_starc=form.is_starc and normalisation != "none",
        normalisation=normalisation, metric=measured, mdp=mdp.name, discount=mdp.discount,
        unreachable_states=int((~mdp.reachable).sum()),
        warnings=cautions(mdp, form, normalisation, [n for n, t in zip(names, trivial) if t]),
        provenance=provenance(),
    )  # fmt: skip
