"""Will the pairs that were not trained come for free? The graph of the trained pairs, and how well it hangs together.

Input domain i and output domain j are joined if the pair (i, j) is trained: a bipartite graph with the 0/1 matrix G.
Encoders and decoders that no chain of trained pairs joins share no code, so that the pair is right only by chance. In a
connected graph the error of untrained pairs follows the connectivity,

    spectral_ratio = sigma_2(G) / sigma_1(G)            0: all pairs trained; K pairs each way in several parts: 1

With unequal numbers of pairs a graph in several parts can have a ratio below 1. `normalised_ratio`, the same for
D_in^(-1/2) G D_out^(-1/2), is 1 if and only if two parts have trained pairs. For K pairs each way both are equal, and
two references apply,

    floor      sqrt((M_in M_out / pairs - 1) / (min(M_in, M_out) - 1))        none is lower: sigma_k equal, k >= 2
    ramanujan  (sqrt(K_in - 1) + sqrt(K_out - 1)) / sqrt(K_in K_out)        large graphs are hardly below it

Source: the figure of error against K/M is that of Saxe, Sodhani, Lewallen 2022 (arXiv 2207.10430), slide 21. That the
ratio predicts it was found here, in simulations with 10 domains and few seeds (`learnt.gated.untrained_pairs`): an
untrained error of about 207 at ratio 1, 98 at .95, 13 at .87 (seeds from .2 to 41), .2 at .77 and 0 at .65, where no
answer has 122. The words of `risk` divide that scale. The reduction itself always predicts perfect transfer, since it
assumes aligned domains. The bound is that of Ramanujan graphs (Feng, Li 1996, for unequal degrees).
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any, Literal, final

import numpy as np

from learnt.core.errors import InputError, ShapeError
from learnt.gated._frozen import finite, frozen
from learnt.gated.gated_task import GatedTask
from learnt.gated.path_stats import PathStats, path_gates

Risk = Literal["none", "low", "depends on the seed", "high", "certain"]
_SAFE, _DOUBTFUL = 0.80, 0.92  # ratios between those at which simulations did, at times did, and did not transfer


@final
@dataclass(frozen=True, eq=False, kw_only=True)
class ZeroShot:
    """How well the trained pairs hang together.

    Attributes:
        gate: (M_in, M_out) 0/1, the trained pairs.
        components: parts of the graph; a domain without any trained pair is a part of its own.
        component_of: (M_in + M_out,) the part of each input domain, then of each output domain.
        spectral_ratio: sigma_2 / sigma_1.
        normalised_ratio: the same, after division by the square roots of the numbers of pairs.
        steps: (M_in, M_out) trained pairs on the shortest chain between them: 1 if trained, 3, 5, ...; 0 if none.
        K: (outputs for each input, inputs for each output) if equal throughout; None otherwise.
        floor, ramanujan: the references above; None where they do not apply.
        risk: that untrained pairs fail: "none" if all are trained, "certain" if no untrained pair is joined.
        warning: what to know; empty if nothing.
    """

    gate: np.ndarray
    components: int
    component_of: np.ndarray
    spectral_ratio: float
    normalised_ratio: float
    steps: np.ndarray
    K: tuple[int, int] | None
    floor: float | None
    ramanujan: float | None
    risk: Risk
    warning: str

    @property
    def connected(self) -> bool:
        """Whether every domain is joined with every other."""
        return self.components == 1

    @property
    def untrained(self) -> int:
        """The number of untrained pairs."""
        return int((self.gate == 0).sum())

    @property
    def impossible(self) -> np.ndarray:
        """(M_in, M_out) the pairs that no chain of trained pairs joins."""
        return self.steps == 0

    def to_fields(self) -> dict[str, Any]:
        """Plain JSON data."""
        return {
            "gate": self.gate.astype(int).tolist(),
            "components": self.components,
            "component_of": self.component_of.tolist(),
            "spectral_ratio": self.spectral_ratio,
            "normalised_ratio": self.normalised_ratio,
            "steps": self.steps.tolist(),
            "K": None if self.K is None else list(self.K),
            "floor": self.floor,
            "ramanujan": self.ramanujan,
            "risk": self.risk,
            "warning": self.warning,
        }

    def __str__(self) -> str:
        inputs, outputs = self.gate.shape
        each = "" if self.K is None else f", {self.K[0]} for each input"
        lines = [
            f"{int(self.gate.sum())} of {inputs * outputs} pairs trained{each}; "
            f"{self.components} part{'s' * (self.components != 1)}",
            f"spectral ratio {self.spectral_ratio:.4f}",
        ]
        if self.K is None:
            lines[-1] += f", normalised {self.normalised_ratio:.4f}"
        elif self.floor is not None:
            lines[-1] += f" (none is below {self.floor:.4f}; Ramanujan bound of large graphs {self.ramanujan:.4f})"
        lines.append(f"risk that untrained pairs fail: {self.risk}")
        return "\n".join([*lines, self.warning] if self.warning else lines)


def zero_shot(gate: Any) -> ZeroShot:
    """Which untrained pairs can be expected to work.

    Args:
        gate: (M_in, M_out) 0/1, rows input domains; or a task or its statistics, whose open paths are taken.

    Raises:
        InputError, ShapeError, NonFiniteError: no such matrix, or one without a trained pair.

    Warns:
        RuntimeWarning: the graph is disconnected, so that some pairs cannot come for free.
    """
    matrix = _matrix(gate)
    inputs, outputs = matrix.shape
    part, steps = _chains(matrix)
    components = int(part.max()) + 1
    ratio = spectral_ratio(matrix)
    rows, columns = matrix.sum(1), matrix.sum(0)
    scaled = matrix / np.sqrt(np.outer(np.maximum(rows, 1), np.maximum(columns, 1)))
    regular = len(set(rows)) == len(set(columns)) == 1
    each = (int(rows[0]), int(columns[0])) if regular else None
    floor = ramanujan = None
    if each is not None and min(inputs, outputs) > 1:
        floor = float(np.sqrt(max(inputs * outputs / matrix.sum() - 1, 0.0) / (min(inputs, outputs) - 1)))
        ramanujan = float((np.sqrt(each[0] - 1) + np.sqrt(each[1] - 1)) / np.sqrt(each[0] * each[1]))
    normalised = spectral_ratio(scaled)
    lost, untrained = int((steps == 0).sum()), int((matrix == 0).sum())
    warning = ""
    if components > 1:
        warning = (
            f"The trained pairs fall into {components} parts: zero-shot transfer is impossible for {lost} of "
            f"{untrained} untrained pairs."
        )
        warnings.warn(warning, RuntimeWarning, stacklevel=2)
    worst = max(ratio, normalised)
    risk: Risk = "low" if worst <= _SAFE else "depends on the seed" if worst <= _DOUBTFUL else "high"
    if not untrained:
        risk = "none"
    elif lost == untrained:
        risk = "certain"
    elif components > 1:
        risk = "high"
    return ZeroShot(
        gate=frozen(matrix), components=components, component_of=frozen(part), spectral_ratio=ratio,
        normalised_ratio=normalised, steps=frozen(steps), K=each, floor=floor, ramanujan=ramanujan, risk=risk,
        warning=warning,
    )  # fmt: skip


def spectral_ratio(matrix: Any) -> float:
    """sigma_2 / sigma_1 of a matrix (rows, columns); 0 if it has one row or column, or only zeros.

    Raises:
        InputError, ShapeError, NonFiniteError: no such matrix.
    """
    table = finite(matrix, "matrix")
    if table.ndim != 2 or not table.size:
        raise ShapeError("matrix", found=f"shape {table.shape}", expected="(rows, columns)")
    values = np.linalg.svd(table / max(float(np.abs(table).max()), 1e-300), compute_uv=False)
    return float(values[1] / values[0]) if len(values) > 1 and values[0] > 0 else 0.0


def _matrix(gate: Any) -> np.ndarray:
    if isinstance(gate, GatedTask | PathStats):
        paths = gate.graph.paths()
        table = gate.g if isinstance(gate, PathStats) else path_gates(gate, paths)
        weight = gate.context_prob if isinstance(gate, PathStats) else np.bincount(gate.context_of, weights=gate.prob)
        opened = (abs(table) @ weight) > 0
        row = {v: k for k, v in enumerate(gate.graph.inputs)}
        column = {v: k for k, v in enumerate(gate.graph.outputs)}
        gate = np.zeros((len(row), len(column)))
        for p in np.flatnonzero(opened):
            gate[row[paths[p].source], column[paths[p].target]] = 1.0
    matrix = finite(gate, "gate")
    if matrix.ndim != 2 or not matrix.size:
        raise ShapeError("gate", found=f"shape {matrix.shape}", expected="(M_in, M_out), input x output domains")
    if not np.isin(matrix, (0.0, 1.0)).all():
        odd = matrix[~np.isin(matrix, (0.0, 1.0))][0]
        raise InputError("gate", found=f"the entry {odd:g}", expected="zeros and ones: which pairs are trained")
    if not matrix.any():
        raise InputError("gate", found="only zeros", expected="at least one trained pair")
    return matrix


def _chains(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The part of each domain, and the steps between inputs and outputs; 0 if there is no way."""
    from scipy.sparse import bmat, csr_array
    from scipy.sparse.csgraph import connected_components, shortest_path

    g = csr_array(matrix)
    graph = bmat([[None, g], [g.T, None]], format="csr")
    _, part = connected_components(graph, directed=False)
    inputs = len(matrix)
    far = shortest_path(graph, unweighted=True, directed=False, indices=np.arange(inputs))[:, inputs:]
    return part.astype(np.int64), np.where(np.isfinite(far), far, 0).astype(np.int64)
