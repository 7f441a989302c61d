"""Does a gated network fall apart into modes, each a scalar copy of its graph, and how nearly?

A1, the data:     Sigma_yx(p) = U S(p) V^T,   Sigma_x(j, p) = V_j D(j, p) V_p^T,   S and D diagonal, for all open paths
A2, the weights:  W_e(0) = R_{t(e)} B_e(0) R_{s(e)}^T,   B_e diagonal, R orthonormal, V at inputs, U at outputs
then for all times, with N modes that do not touch each other (elementwise; spec 1.5):

    dB_e/dt = sum_{p through e} B_{p without e} [ S(p) - sum_{j: t(j) = t(p)} B_j D(j, p) ]
    L = 1/2 <sum ||y||^2> - sum_modes [ sum_p B_p S(p) - 1/2 sum_{j,p} B_j B_p D(j, p) ]

The bases are found from the data, for each class of interacting paths by itself (`learnt.gated._ports`), and the
assumptions are measured, not believed. The defect of a path is the square root of the off-diagonal share of the squared
Frobenius norm of its statistics, the largest of them. `exact` says that all are below `tol`. Modes with input variance
but no target are kept: weights on them decay. What lies outside of all modes is a constant part of the loss.

Source: Saxe, Sodhani, Lewallen 2022 (arXiv 2207.10430), slides 7 to 9; bases by class and by edge, which already XOR
needs, and exactness for discrete descent with momentum and weight decay are derived here and tested.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple, final

import numpy as np

from learnt.core.errors import InputError, LearntError, NotApplicable
from learnt.gated._frozen import FrozenMap, chosen, frozen, whole
from learnt.gated.path_stats import PathStats, correlations

if TYPE_CHECKING:
    from learnt.gated.learning_rate import Regime
    from learnt.gated.trajectory import Trajectory

LEAKY = 0.05  # defects beyond which only the order of learning is claimed


class AssumptionError(LearntError, ValueError):
    """A claim of exactness was asked for where an assumption of the theory does not hold."""


class Interactions(NamedTuple):
    """D in coordinates: entry k is D(j[k], p[k]), one number a mode.

    Attributes:
        j, p: (K,) paths, sorted by p; both orders of a pair are there.
        values: (K, N).
    """

    j: np.ndarray
    p: np.ndarray
    values: np.ndarray


@final
@dataclass(frozen=True, eq=False, kw_only=True)
class Reduction:
    """A task in its modes. Made by `reduce`.

    Attributes:
        stats: the statistics that were reduced.
        tol: defects below this count as none.
        classes: paths that interact, by index; modes of different classes have nothing to do with each other.
        S: (paths, N) strengths of what is to be learned; 0 for modes that a path lacks.
        D: how paths get in each other's way.
        read: V, (|s|, N), by first edge; columns of 0 for modes that the input lacks.
        write: U, (|t|, N), by last edge.
        middle: R, (|v|, N), by (hidden node, class); empty unless weights were given.
        present: (edges, N) whether a mode passes an edge; elsewhere its strength is 0.
        defects: by open path, the largest off-diagonal share of its statistics, as a square root.
        weight_defects: by edge, the same of the weights that were given; empty if none were.
        B: (edges, N) those weights in these bases.
    """

    stats: PathStats
    tol: float
    classes: tuple[tuple[int, ...], ...]
    S: np.ndarray
    D: Interactions
    read: Mapping[str, np.ndarray]
    write: Mapping[str, np.ndarray]
    middle: Mapping[tuple[str, int], np.ndarray]
    present: np.ndarray
    defects: Mapping[int, float]
    weight_defects: Mapping[str, float]
    B: np.ndarray = field(repr=False)

    @property
    def N(self) -> int:
        """Modes of the class that has most of them."""
        return self.S.shape[1]

    @property
    def modes(self) -> int:
        """N."""
        return self.N

    @cached_property
    def edges(self) -> tuple[str, ...]:
        """The edges, in the order of the rows of `present`."""
        return tuple(self.stats.graph.edges)

    @cached_property
    def class_of(self) -> np.ndarray:
        """(paths,) the class of each path; -1 if it is never open."""
        out = np.full(len(self.stats.paths), -1)
        for c, some in enumerate(self.classes):
            out[list(some)] = c
        return out

    @property
    def bases(self) -> dict[tuple[str, str], np.ndarray]:
        """All bases of the ends of paths, by (node, edge)."""
        ends = self.stats.graph.edges
        return {(ends[e][0], e): m for e, m in self.read.items()} | {(ends[e][1], e): m for e, m in self.write.items()}

    def edge_classes(self) -> list[tuple[tuple[str, ...], dict[str, np.ndarray]]]:
        """For each class its edges, and its bases (|v|, n) by input and output node.

        Raises:
            NotApplicable: a node of a class has several bases, or lacks a mode of it; see `weights` for a start then.
        """
        out = []
        ends = self.stats.graph.edges
        for c, some in enumerate(self.classes):
            edges = tuple(dict.fromkeys(e for p in some for e in self.stats.paths[p].edges))
            used = self.present[[self.edges.index(e) for e in edges]].any(0)
            bases: dict[str, np.ndarray] = {}
            for e in edges:
                for where, v in ((self.read, ends[e][0]), (self.write, ends[e][1])):
                    if e in where:
                        basis = where[e][:, used]
                        if not basis.any(0).all() or not np.allclose(bases.setdefault(v, basis), basis, atol=1e-9):
                            raise NotApplicable(
                                "reduction", found=f"several bases of {v!r} in class {c}, or one that lacks a mode",
                                expected="one complete basis for each node", remedy="Use Reduction.weights.",
                            )  # fmt: skip
            out.append((edges, bases))
        return out

    # -- the assumptions ---------------------------------------------------------------------------------

    @property
    def defect(self) -> float:
        """The largest defect of the data; 0 if no path is open."""
        return max(self.defects.values(), default=0.0)

    @property
    def weight_defect(self) -> float:
        """The largest defect of the weights that were given; 0 if none were."""
        return max(self.weight_defects.values(), default=0.0)

    @property
    def worst(self) -> int | None:
        """The path with the largest defect."""
        return max(self.defects, key=lambda p: self.defects[p], default=None)

    @property
    def exact(self) -> bool:
        """Whether both assumptions hold: that on the data and, if weights were given, that on them."""
        return self.defect < self.tol and self.weight_defect < self.tol

    @property
    def never_trained(self) -> tuple[str, ...]:
        """Edges whose paths are never open: their weights never move."""
        return self.stats.never_trained

    @property
    def caveats(self) -> tuple[str, ...]:
        """What holds back from exactness, and what will not be learned, in words."""
        said = []
        if self.defect >= self.tol and self.worst is not None:
            strength = "only the order of learning is claimed" if self.defect > LEAKY else "times are approximate"
            said.append(
                f"data: modes leak into each other, off-diagonal share {self.defect:.3g} on path "
                f"{self.stats.paths[self.worst]}: {strength}"
            )
        if self.weight_defect >= self.tol:
            said.append(
                f"start: the weights are not of decoupled form, off-diagonal share {self.weight_defect:.3g}: calibrate"
            )
        if self.never_trained:
            said.append(f"never trained, since no open path passes them: {', '.join(self.never_trained)}")
        return tuple(said)

    def require_exact(self) -> Reduction:
        """This reduction if it is exact.

        Raises:
            AssumptionError: names the path or edge with the largest defect, and its off-diagonal share.
        """
        if self.defect >= self.tol and self.worst is not None:
            raise AssumptionError(
                "data", found=f"an off-diagonal share of {self.defect:.4g} on path {self.stats.paths[self.worst]}",
                expected=f"statistics that are diagonal in common bases, to {self.tol:g}",
                remedy="Whiten the inputs, or accept an approximate prediction: require_exact=False.",
            )  # fmt: skip
        if self.weight_defect >= self.tol:
            e = max(self.weight_defects, key=lambda e: self.weight_defects[e])
            raise AssumptionError(
                "init", found=f"an off-diagonal share of {self.weight_defects[e]:.4g} in the weights of edge {e!r}",
                expected=f"weights of decoupled form, to {self.tol:g}",
                remedy="Start from `Reduction.weights`, or accept an approximate prediction: require_exact=False.",
            )  # fmt: skip
        return self

    # -- the loss ----------------------------------------------------------------------------------------

    @cached_property
    def gain(self) -> np.ndarray:
        """(classes, N): what each mode takes off the loss once its paths have their best strengths, each free."""
        return self._best[0]

    @cached_property
    def target(self) -> np.ndarray:
        """(paths, N): those best strengths; s/d for a path on its own, the smallest ones where there is a choice."""
        return self._best[1]

    @cached_property
    def floor(self) -> float:
        """The part of the loss that no strengths can remove: noise, targets outside the modes, gates that close."""
        return float(0.5 * self.stats.energy - self.gain.sum())

    @cached_property
    def _best(self) -> tuple[np.ndarray, np.ndarray]:
        gain, target = np.zeros((len(self.classes), self.N)), np.zeros_like(self.S)
        own = self.class_of[self.D.p]
        for c, some in enumerate(self.classes):
            index = np.array(some)
            mine = own == c
            j, p, values = self.D.j[mine], self.D.p[mine], self.D.values[mine]
            if (j == p).all():
                d = np.zeros((len(self.S), self.N))
                d[p] = values
                open_ = d[index] > self.tol * max(float(d.max(initial=0.0)), 1e-300)
                target[index] = np.where(open_, self.S[index] / np.where(open_, d[index], 1.0), 0.0)
            else:
                place = np.full(len(self.S), -1)
                place[index] = np.arange(len(index))
                for n in range(self.N):
                    matrix = np.zeros((len(index), len(index)))
                    matrix[place[p], place[j]] = values[:, n]
                    target[index, n] = np.linalg.pinv(matrix, rcond=1e-12, hermitian=True) @ self.S[index, n]
            gain[c] = 0.5 * (target[index] * self.S[index]).sum(0)
        return frozen(gain), frozen(target)

    # -- questions ---------------------------------------------------------------------------------------

    def solve(self, init: Any, method: str = "flow", **settings: Any) -> Trajectory:
        """What will be learned, and when.

        Args:
            init: one strength for all edges and modes, strengths by edge, weights (|t|, |s|) by edge, or a `GDLN`.
            method: "flow", with t (the end, or increasing times) and weight_decay; or "gd", with lr, steps, momentum,
                nesterov, weight_decay. Both take require_exact, full_batch, optimizer.
            settings: described, with the errors, at the function `learnt.gated.solving.solve`.
        """
        from learnt.gated.solving import solve

        return solve(self, init, method, **settings)

    def calibrate(self, observed_loss: Any, lr: float, **settings: Any) -> float:
        """The one strength of all edges and modes that the first drop of a real run implies: a start for `solve`.

        Args:
            observed_loss: (T,) L before training and after each step, with the weights of this task's samples.
            lr: the step size of that run.
            settings: level, low, high, and that run's momentum, weight_decay, nesterov; described, with the errors, at
                the function `learnt.gated.calibration.calibrate`.
        """
        from learnt.gated.calibration import calibrate

        return calibrate(self, observed_loss, lr, **settings)

    def lr_max(self, init: Any = None, **settings: Any) -> float:
        """The largest stable step of full-batch descent, an upper bound for the whole network.

        Settings are momentum and weight_decay; see `learnt.gated.learning_rate.lr_max`.
        """
        from learnt.gated.learning_rate import lr_max

        return lr_max(self, init, **settings)

    def regime(self, init: Any = None) -> Regime:
        """Rich or lazy; see `learnt.gated.learning_rate.regime`."""
        from learnt.gated.learning_rate import regime

        return regime(self, init)

    def strengths(self, init: Any) -> np.ndarray:
        """(edges, N) strengths at time 0.

        Args:
            init: one number for all modes and edges, or by edge a number or (N,) strengths.

        Raises:
            InputError, ShapeError, NonFiniteError: an unknown or missing edge, a wrong length, NaN.
        """
        from learnt.gated._starts import strengths

        return strengths(self, init)

    def weights(self, init: Any, seed: int = 0) -> dict[str, np.ndarray]:
        """Weights (|t|, |s|) by edge of decoupled form with these strengths: what A2 asks for.

        Args:
            init: as in `strengths`.
            seed: of the bases of hidden nodes, which may be any; edges that are never trained are 0.

        Raises:
            InputError, ShapeError, NonFiniteError: as `strengths`.
        """
        from learnt.gated._starts import decoupled

        return decoupled(self, self.strengths(init), seed)

    def with_weights(self, weights: Mapping[str, Any]) -> Reduction:
        """The task in bases that suit these weights too, with their strengths in `B` and their defects measured.

        Where equal strengths leave a choice of modes, the weights make it. If there are no bases in which data and
        weights are diagonal, those of the data are kept and `weight_defects` say how far the weights are from diagonal.

        Raises:
            InputError, ShapeError, NonFiniteError: weights that are not those of the graph.
        """
        from learnt.gated._decouple import analyse, in_bases

        w = self.stats.graph.checked_weights(weights)
        found = analyse(self.stats, self.tol, strict=False, modes=None, weights=w)
        joint = max([*found.defects.values(), *found.weight_defects.values()], default=0.0)
        if joint < self.tol or not self.defects:
            return _made(self.stats, self.tol, found)
        return _made(self.stats, self.tol, in_bases(self.stats, self._as_bases, w))

    @property
    def _as_bases(self) -> Any:
        from learnt.gated._decouple import Bases

        pairs = tuple(zip(self.D.j.tolist(), self.D.p.tolist(), strict=True))
        return Bases(
            self.classes, pairs, dict(self.read), dict(self.write), {}, self.S, self.D.values, self.present,
            dict(self.defects), {}, np.zeros_like(self.B),
        )  # fmt: skip

    def __str__(self) -> str:
        kind = (
            "exact"
            if self.exact
            else f"approximate, largest off-diagonal share {max(self.defect, self.weight_defect):.3g}"
        )
        classes = f"{len(self.classes)} class{'es' * (len(self.classes) != 1)}"
        return f"{self.N} mode{'s' * (self.N != 1)} in {classes} of {len(self.stats.open)} open paths; {kind}"


def reduce(stats: Any, tol: float = 1e-8, *, per: str = "class", modes: int | None = None) -> Reduction:
    """Finds the modes of a task, and measures whether they are modes.

    Args:
        stats: the statistics of a task, or the task.
        tol: defects below this count as none.
        per: "class" for bases of their own for each class of interacting paths and each first edge; "node" for the
            literal assumption, one basis for each input and each output node.
        modes: keep this many of the strongest modes in each class, and leave the others as a constant part of the loss;
            all if None.

    Raises:
        NotApplicable: a hidden node has fewer units than modes pass it, or no path is ever open.
        InputError: settings that have no meaning.
    """
    from learnt.gated._decouple import analyse

    if not isinstance(stats, PathStats):
        stats = correlations(stats)
    chosen(per, "per", ("class", "node"))
    if isinstance(tol, bool) or not isinstance(tol, int | float | np.floating) or not 0 < tol < 1:
        raise InputError("tol", found=repr(tol), expected="a number between 0 and 1")
    kept = None if modes is None else whole(modes, "modes", 1)
    if not stats.open:
        raise NotApplicable(
            "task", found="no path that any sample opens", expected="at least one",
            remedy="Check gates and weights of samples.",
        )  # fmt: skip
    return _made(stats, float(tol), analyse(stats, float(tol), strict=per == "node", modes=kept))


def _made(stats: PathStats, tol: float, found: Any) -> Reduction:
    pairs = np.array(found.pairs, dtype=np.int64).reshape(-1, 2)
    return Reduction(
        stats=stats, tol=tol, classes=found.classes, S=frozen(found.S),
        D=Interactions(frozen(pairs[:, 0]), frozen(pairs[:, 1]), frozen(found.D)),
        read=FrozenMap({e: frozen(m) for e, m in found.read.items()}),
        write=FrozenMap({e: frozen(m) for e, m in found.write.items()}),
        middle={key: frozen(m) for key, m in found.middle.items()},
        present=frozen(found.present), defects=found.defects, weight_defects=found.weight_defects, B=frozen(found.B),
    )  # fmt: skip
