"""How many pathways do two inputs share? The neural path kernel of a rectified network.

    NPK(x, x') = <x, x'> prod_l <G_l(x), G_l(x')>        G_l(x): the gates of hidden layer l on x

The product counts the paths from an input unit to the output that both inputs leave open (Lakshminarayanan and Singh
2020, arXiv 2006.10529, for networks without biases). Gates of LeakyReLU count with 1 and their slope. Biases are not
pathways from the input: they move the gates, and enter in no other way.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from learnt.core.errors import NotApplicable, ShapeError
from learnt.gated._frozen import flag
from learnt.gated._mlp import flat_inputs, read_layers
from learnt.gated.rectified_gates import THRESHOLD, GatePatterns, Kind, gate_values, gates_of

MAX_ENTRIES = 1 << 28  # of the kernel: 2 GB


def path_kernel(
    model: Any, X: Any, *, kind: Kind = "exact", threshold: float = THRESHOLD, scaled: bool = False
) -> np.ndarray:
    """(P, P) float64: the neural path kernel of all pairs of samples.

    Args:
        model: an `nn.Module` of linear layers and ReLU or LeakyReLU.
        X: (P, ...) inputs in the shape that it takes.
        kind, threshold: which gates, see `relu_gates`.
        scaled: divide each count by the number of units of its layer, so that layers give shares.

    Raises:
        NotApplicable: another kind of network, or a kernel that would not fit into memory.
        InputError, ShapeError, NonFiniteError: settings without a meaning, inputs of another shape, NaN.
    """
    scaled = flag(scaled, "scaled")
    tensor, x = flat_inputs(X)
    return kernel_of(gates_of(read_layers(model, tensor, x), x, kind, threshold), x, scaled=scaled)


def kernel_of(gates: GatePatterns, x: np.ndarray, *, scaled: bool = False) -> np.ndarray:
    """The kernel from gates and (P, d) inputs."""
    n = len(x)
    if len(gates) != n:
        raise ShapeError("x", found=f"{n} samples", expected=f"{len(gates)}, those of the gates")
    if n * n > MAX_ENTRIES:
        raise NotApplicable(
            "X", found=f"{n:,} samples", expected=f"at most {int(MAX_ENTRIES**0.5):,}, for a kernel of all their pairs"
        )
    kernel = x @ x.T
    for on, slope in zip(gates.on, gates.slopes, strict=True):
        kernel *= overlap(gate_values(on, slope), scaled=scaled)
    return kernel


def overlap(gates: np.ndarray, *, scaled: bool = True) -> np.ndarray:
    """(P, P) <G(x), G(x')> of (P, units) gates; divided by the number of units if `scaled`.

    float32 counts below 2^24 units exactly, at half the cost; slopes need float64.
    """
    whole = bool(((gates == 0) | (gates == 1)).all()) and gates.shape[1] < 1 << 24
    values = gates.astype(np.float32 if whole else np.float64, copy=False)
    found = (values @ values.T).astype(np.float64)
    return found / gates.shape[1] if scaled else found
