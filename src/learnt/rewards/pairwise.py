"""How do many rewards lie to each other? Every distance of every pair, with one canonical form a reward.

    d_ij = m(s_i - s_j),   s_i = c(R_i) / n(c(R_i))                    Skalse et al. 2024, Definition 3

Each reward is canonicalised once, by factors that all share. Each norm m is a p-norm of the forms times fixed weights
(`_embedded`), so that all pairs take one matrix product under L2,

    d_ij^2 = G_ii + G_jj - 2 G_ij,   G = E E',

and differences of rows under L1 and sup norms. The product loses the digits of small distances; pairs nearer than
`NEAR` are computed from their difference. ``"return_range"`` solves two processes a pair.

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
from jaxtyping import Float

from learnt.core.errors import InputError
from learnt.core.version import provenance
from learnt.rewards.canonical import Canonicalisation, canonical, with_options
from learnt.rewards.mdp import TabularMDP
from learnt.rewards.norms import NORMS, Norm, norm_of
from learnt.rewards.starc import TRIVIAL, reward_for

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from learnt.core.matrix import ComparisonMatrix

NEAR = 1e-4  # squared distances this small beside the squared norms are computed from differences
BLOCK = 64 * 2**20  # bytes of differences at a time
TABULATED = 100  # rewards up to which a page holds a table of all distances; beyond, its data does
QUESTION = "Would both rewards order policies in the same way?"
SCHEMA = "learnt.rewards.matrix/1"
Kind = Literal["heatmap", "dendrogram", "map"]


class RewardMap(NamedTuple):
    """Rewards in the plane: coordinates (K, 2), and Kruskal's stress sqrt(sum (d - shown)^2 / sum d^2), 0 if exact."""

    coordinates: np.ndarray
    stress: float


@dataclass(frozen=True, eq=False, kw_only=True)
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

    def __repr__(self) -> str:
        return f"RewardMatrix({len(self)} x {len(self)}, {self.spec} in {self.mdp})"

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

    def to_html(self, path: str | Path, *, title: str = "How these rewards lie to each other") -> Path:
        """Write one self-contained page without scripts: the three pictures and the numbers; returns its path."""
        from learnt.io.atomic import write_text
        from learnt.rewards._page import Figure, Table, page

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
    measured = _metric(normalisation, metric)
    names = tuple(str(name) for name in named)
    if len(set(names)) < len(names):
        raise InputError("rewards", found="two rewards of one name", expected="different names")
    forms, tops = _forms(form, [reward_for(form, r, mdp, name) for name, r in zip(names, named.values())], mdp)
    sizes = np.asarray(norm_of(forms, mdp, "weighted_l2" if normalisation == "none" else normalisation))
    trivial = sizes <= TRIVIAL * tops
    scale = np.ones_like(sizes) if normalisation == "none" else np.where(trivial, 1.0, sizes)
    forms = np.where(trivial[:, None, None, None], 0.0, forms / scale[:, None, None, None])
    distances, cosines = _distances(forms, trivial, mdp, normalisation, measured)
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


def cautions(mdp: TabularMDP, form: Canonicalisation, normalisation: str, trivial: Sequence[str]) -> tuple[str, ...]:
    """What a reader should know before using distances of these rewards in this process."""
    found = []
    lost = int((~mdp.reachable).sum())
    if lost:
        found.append(f"{lost} of {mdp.n_states} states are reached by no policy and count for nothing.")
    if trivial:
        found.append(f"No policy matters for {', '.join(trivial)}: the reward is trivial.")
    if not form.is_starc:
        found.append(f"{form.name!r} is no STARC canonical form: small distances do not bound regret.")
    if normalisation == "none":
        found.append("Without normalisation the numbers have no upper bound and depend on the scale of the rewards.")
    return tuple(found)


def _metric(normalisation: str, metric: str | None) -> str:
    if normalisation != "none" and normalisation not in NORMS:
        raise InputError("normalisation", found=f"{normalisation!r}", expected=f"one of {', '.join(NORMS)}, none")
    if metric is None and normalisation == "none":
        raise InputError("metric", found="none, without a normalisation", expected="a norm")
    if metric == "angle" and normalisation not in ("l2", "weighted_l2"):
        raise InputError("metric", found=f"'angle' with {normalisation!r}", expected="'l2' or 'weighted_l2' with it")
    if metric not in (None, "angle", *NORMS):
        raise InputError("metric", found=f"{metric!r}", expected=f"one of {', '.join(NORMS)}, angle")
    return normalisation if metric is None else metric


def _forms(form: Canonicalisation, rewards: list[np.ndarray], mdp: TabularMDP) -> tuple[np.ndarray, np.ndarray]:
    """(K, S, A, 1 or S) canonical forms, and the largest |R| of each reward (K,)."""
    tops = np.array([np.abs(r).max() for r in rewards])
    if form.is_starc:  # reads the mean over the next state only
        stack = np.stack([mdp.expected(r) for r in rewards])[..., None]
    else:
        last = max(r.shape[-1] for r in rewards)
        stack = np.stack([np.broadcast_to(r, (*r.shape[:-1], last)) for r in rewards])
    return canonical(stack, mdp, form), tops


def _distances(
    forms: np.ndarray, trivial: np.ndarray, mdp: TabularMDP, normalisation: str, metric: str
) -> tuple[np.ndarray, np.ndarray | None]:
    norm = normalisation if metric == "angle" else metric
    if norm == "return_range":
        return _by_solving(forms, mdp), None
    rows = _embedded(forms, mdp, norm)
    if not norm.endswith("l2"):
        from scipy.spatial.distance import pdist, squareform

        return squareform(pdist(rows, "cityblock" if norm.endswith("l1") else "chebyshev")), None
    gram = rows @ rows.T
    distances = _euclidean(rows, gram)
    with np.errstate(invalid="ignore", divide="ignore"):
        length = np.sqrt(np.diag(gram))
        cosines = np.clip(gram / (length[:, None] * length), -1.0, 1.0)
    np.fill_diagonal(cosines, 1.0)
    cosines[trivial], cosines[:, trivial] = np.nan, np.nan
    if metric == "angle":
        angles = 2 * np.arctan2(distances, _euclidean(rows, -gram, sign=-1.0))  # as exact near pi as near 0
        np.fill_diagonal(angles, 0.0)
        angles[trivial], angles[:, trivial] = np.pi / 2, np.pi / 2
        angles[np.ix_(trivial, trivial)] = 0.0
        distances = angles
    return distances, cosines


def _embedded(forms: np.ndarray, mdp: TabularMDP, norm: str) -> Float[np.ndarray, "k n"]:
    """Forms as vectors whose plain p-norm is the norm (p = 1, 2, infinity)."""
    reached = mdp.reachable
    c = forms[:, reached]
    if c.shape[-1] == 1:
        flat = c[..., 0].reshape(len(c), -1)
        if norm == "weighted_linf":
            return flat * np.asarray(mdp.kernel.max(axis=1).toarray()).reshape(mdp.n_states, -1)[reached].ravel()
        power = {"l1": 1.0, "l2": 0.5}.get(norm, 0.0)  # of S: plain sums run over the next state too
        return flat * float(mdp.n_states) ** power
    p = mdp.transitions[reached]
    if norm == "essential_linf":
        c = np.where(p > 0, c, 0.0)
    elif norm.startswith("weighted_"):
        c = c * (np.sqrt(p) if norm == "weighted_l2" else p)
    return c.reshape(len(c), -1)


def _euclidean(rows: np.ndarray, gram: np.ndarray, sign: float = 1.0) -> np.ndarray:
    """(K, K) lengths of x - sign y for rows x, y (K, n) with products sign x y; small ones from differences."""
    size = np.abs(np.diag(gram))
    total = size[:, None] + size
    squares = total - 2 * gram
    first, second = np.nonzero(np.triu(squares <= NEAR * total, 1))
    step = max(1, BLOCK // (8 * rows.shape[1]))
    for start in range(0, len(first), step):
        i, j = first[start : start + step], second[start : start + step]
        squares[i, j] = squares[j, i] = np.square(rows[i] - sign * rows[j]).sum(-1)
    np.fill_diagonal(squares, 2 * (1 - sign) * size)
    found = np.sqrt(np.maximum(squares, 0.0))
    return (found + found.T) / 2  # BLAS may round x y and y x differently


def _by_solving(forms: np.ndarray, mdp: TabularMDP) -> np.ndarray:
    means = mdp.expected(forms)
    found = np.zeros((len(forms), len(forms)))
    for i in range(len(forms)):
        for j in range(i):
            found[i, j] = found[j, i] = mdp.return_range(means[i] - means[j])
    return found
