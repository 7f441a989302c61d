"""Which units does each input switch on? A rectifier is its own gate: max(0, z) = 1[z > 0] z.

    exact:      on where z > 0                    the identities hold: output = the gated linear network's
    effective:  on where z > threshold |w| |x|    what the unit is for: inputs that it hardly sees do not count
    margin = z / (|w| |x|)                        in [-1, 1]; with a bias, w and x are (w, b) and (x, 1)

The two differ even at convergence: while XOR is learned every unit starts on for two of the four examples, and the
pre-activation of the second decays without ever changing its sign, so that exact gates say 2 long after effective ones
say 1. Margins within the threshold are therefore flagged whatever the kind. Gates of LeakyReLU are 1 and the slope.

The identity is that of gated deep linear networks (Saxe, Sodhani, Lewallen 2022, arXiv 2207.10430); that a rectified
network is one whose gates follow its input, Jarvis et al. 2025 (arXiv 2503.06181). Effective gates are ours.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, final

import numpy as np

from learnt.core.errors import InputError, NotApplicable
from learnt.gated._frozen import chosen, number, whole
from learnt.gated._mlp import Layered, flat_inputs, read_layers, rectified

Kind = Literal["exact", "effective"]
THRESHOLD = 0.05
MAX_GATES = 400_000_000  # pairs of a sample and a unit: 2 GB


@final
@dataclass(frozen=True, eq=False)
class GatePatterns:
    """Which units each sample switches on.

    Attributes:
        on: (P, units) bool by hidden layer.
        margins: (P, units) float32 by hidden layer: z / (|w| |x|), 0 for a unit or an input of zeros.
        slopes: by hidden layer: the gate of a unit that is off; 0 for ReLU, 1 for a layer without a rectifier.
        kind: "exact" or "effective".
        threshold: of effective gates, and of the margins that are flagged.
        layers: names of the linear layers before the rectifiers.
        strengths: (units,) by hidden layer: |w_in| |w_out| of each unit.
    """

    on: tuple[np.ndarray, ...]
    margins: tuple[np.ndarray, ...]
    slopes: tuple[float, ...]
    kind: Kind
    threshold: float
    layers: tuple[str, ...]
    strengths: tuple[np.ndarray, ...]

    def __len__(self) -> int:
        """P, the number of samples."""
        return len(self.on[0])

    @property
    def flagged(self) -> tuple[np.ndarray, ...]:
        """(P, units) bool by layer: margins within the threshold, where gates are a matter of rounding or of taste."""
        return tuple(np.abs(m) <= self.threshold for m in self.margins)

    @property
    def flagged_share(self) -> tuple[float, ...]:
        """Share of the gates of each layer that are flagged."""
        return tuple(float(f.mean()) for f in self.flagged)

    @property
    def counts(self) -> tuple[np.ndarray, ...]:
        """(units,) by layer: how many samples switch each unit on."""
        return tuple(on.sum(0) for on in self.on)

    def values(self, layer: int) -> np.ndarray:
        """(P, units) float64 gates of a layer: 1, or the slope."""
        return gate_values(self.on[layer], self.slopes[layer])

    def patterns(self, layer: int, faint: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
        """(P, patterns) the different columns of a layer, and (units,) which of them each unit has.

        Args:
            layer: hidden layer, from 0.
            faint: units of less than this share of the largest strength are left out, with the pattern -1: learning
                has hardly touched them, so that their gates are still those of the initialisation.
        """
        strength = self.strengths[whole(layer, "layer", 0, len(self.on) - 1)]
        faint = number(faint, "faint", least=0.0)
        heard = np.flatnonzero(strength >= faint * strength.max())
        patterns, code = distinct_columns(self.on[layer][:, heard])
        which = np.full(len(strength), -1, dtype=np.int64)
        which[heard] = code
        return patterns, which

    def histogram(self, bins: int = 20) -> tuple[tuple[np.ndarray, ...], np.ndarray]:
        """Counts (bins,) of the margins by layer, and the (bins + 1,) limits, from -1 to 1."""
        edges = np.linspace(-1.0, 1.0, whole(bins, "bins", 1, 1_000_000) + 1)
        return tuple(np.histogram(np.clip(m, -1, 1), edges)[0] for m in self.margins), edges

    def __str__(self) -> str:
        rows = [f"{self.kind} gates of {len(self):,} samples (threshold {self.threshold:g})"]
        for i, name in enumerate(self.layers):
            counts, kinds = self.counts[i], self.patterns(i)[0].shape[1]
            rows.append(
                f"  {name}: {len(counts):,} units in {kinds:,} patterns; {int((counts == 0).sum())} never on, "
                f"{int((counts == len(self)).sum())} always on; {self.flagged_share[i]:.1%} within the threshold"
            )
        return "\n".join(rows)


def relu_gates(model: Any, X: Any, kind: Kind = "exact", threshold: float = THRESHOLD) -> GatePatterns:
    """The gates of every hidden unit on every sample.

    Args:
        model: an `nn.Module` of linear layers, with or without biases, and ReLU or LeakyReLU between them.
        X: (P, ...) inputs in the shape that it takes.
        kind: "exact" for identities, "effective" for interpretation.
        threshold: least margin of an effective gate, in [0, 1); exact gates use it to flag small margins.

    Raises:
        NotApplicable: another kind of network, or more gates than fit into memory.
    """
    tensor, x = flat_inputs(X)
    return gates_of(read_layers(model, tensor, x), x, kind, threshold)


def gates_of(net: Layered, x: np.ndarray, kind: Kind = "exact", threshold: float = THRESHOLD) -> GatePatterns:
    """The gates of a network that has been read, on (P, d) inputs."""
    chosen(kind, "kind", ("exact", "effective"))
    if isinstance(threshold, bool) or not isinstance(threshold, int | float | np.number) or not 0 <= threshold < 1:
        raise InputError("threshold", found=repr(threshold), expected="a number from 0 to below 1")
    if not net.slopes:
        raise NotApplicable("model", found="no hidden layer", expected="at least one, with a rectifier after it")
    n = len(x)
    if n * sum(net.widths) > MAX_GATES:
        raise NotApplicable(
            "X", found=f"{n:,} samples and {sum(net.widths):,} units", expected=f"at most {MAX_GATES:,} pairs of them",
            remedy="Ask for fewer samples at a time.",
        )  # fmt: skip
    on = tuple(np.empty((n, width), dtype=bool) for width in net.widths)
    margins = tuple(np.empty((n, width), dtype=np.float32) for width in net.widths)
    sizes = [np.sqrt(np.einsum("ij,ij->i", w, w) + b**2) for w, b in zip(net.weights, net.biases, strict=True)]
    for part in net.parts(n):
        h = x[part]
        for i, slope in enumerate(net.slopes):
            z = h @ net.weights[i].T
            z += net.biases[i]
            seen = np.sqrt(np.einsum("ij,ij->i", h, h) + (1.0 if net.biases[i].any() else 0.0))
            with np.errstate(divide="ignore", over="ignore"):
                by_unit, by_sample = 1.0 / sizes[i], 1.0 / seen
            by_unit[~np.isfinite(by_unit)] = 0.0
            by_sample[~np.isfinite(by_sample)] = 0.0
            relative = np.multiply(z, by_sample[:, None], out=margins[i][part], casting="same_kind")
            relative *= by_unit.astype(np.float32)
            if slope == 1.0:
                on[i][part] = True
            else:
                on[i][part] = z > 0 if kind == "exact" else relative > threshold
            if i + 1 < len(net.slopes):
                h = rectified(z, slope)
    strengths = tuple(
        np.linalg.norm(w, axis=1) * np.linalg.norm(after, axis=0)
        for w, after in zip(net.weights, net.weights[1:], strict=False)
    )
    return GatePatterns(on, margins, net.slopes, kind, float(threshold), net.names[: len(on)], strengths)


def gate_values(on: np.ndarray, slope: float) -> np.ndarray:
    """Gates as numbers: 1 where on, the slope where off."""
    return on.astype(np.float64) if slope == 0.0 else np.where(on, 1.0, slope)


def distinct_columns(on: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The different columns of a boolean array in the order of their first unit, and which of them each unit has."""
    packed = np.ascontiguousarray(np.packbits(on, axis=0).T)
    keys = packed.view(np.dtype((np.void, packed.shape[1]))).ravel()
    _, first, code = np.unique(keys, return_index=True, return_inverse=True)
    order = np.argsort(first)
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = np.arange(len(order))
    return on[:, first[order]], rank[code.reshape(-1)]
