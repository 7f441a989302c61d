"""How fast is XOR learned, and by which gating? The same sigmoid for each pathway, at a rate that the gating sets.

Inputs (+-1, +-1) with probability 1/4 each, one hidden layer of pathways x -> h -> y, each on for some examples only.
A pathway on for the set A has Sigma_yx = sum_A y x^T / 4 and, along the direction of that, curvature d. The pathways do
not interact, so each grows by the two-layer law, and

    L(t) = 1/2 - paths (s a - d a^2 / 2) = (1 - u)^2 / 2,   u = a d / s = 1 / (1 + (1/u0 - 1) e^(-2 s t))     (spec 1.7)

    task y = x1 x2           s       d    rate 2s        task y = x1              s       d    rate 2s
    single, always on        0       1    0, never       single, always on        1       1    2
    four, one example each   .35355  .5   .7071          halves x1 > 0, x1 < 0    .5      .5   1
    halves x1 > 0, x1 < 0    .5      .5   1              four, one example each   .35355  .5   .7071

Which gating wins and which a ReLU can have are two questions: the halves are the fastest for XOR, but no ReLU that
learns by this law switches at x1 = 0 while reading x2.

Source: Saxe, Sodhani and Lewallen, ICML 2022, slides; the table is computed here from the four examples.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import numpy as np

from learnt.gated._frozen import chosen
from learnt.gated._numbers import finite
from learnt.gated.two_layers import two_layer_strength

Gating = Literal["four", "halves", "single"]
_X = np.array([[1.0, 1.0], [-1.0, -1.0], [1.0, -1.0], [-1.0, 1.0]])
_ON = {
    "four": np.eye(4),
    "halves": np.array([[1.0, 0.0, 1.0, 0.0], [0.0, 1.0, 0.0, 1.0]]),
    "single": np.ones((1, 4)),
}


class XorMode(NamedTuple):
    """The mode that each of `paths` equal pathways carries."""

    s: float
    d: float
    paths: int


def xor_mode(gating: Gating = "four", task: Literal["xor", "separable"] = "xor") -> XorMode:
    """Strength and curvature of the pathways of one gating.

    Args:
        gating: ``"four"``: each pathway on for one example; ``"halves"``: for x1 > 0 or x1 < 0; ``"single"``: always.
        task: ``"xor"``: y = x1 x2; ``"separable"``: y = x1.

    Raises:
        InputError: another gating or task.
    """
    chosen(gating, "gating", _ON)
    chosen(task, "task", ("xor", "separable"))
    y = _X[:, 0] * _X[:, 1] if task == "xor" else _X[:, 0]
    on = _ON[gating]
    correlation = (on[0] * y) @ _X / 4
    s = float(np.linalg.norm(correlation))
    if s == 0:
        return XorMode(0.0, 1.0, len(on))
    along = _X @ (correlation / s)
    return XorMode(s, float((on[0] * along**2).sum() / 4), len(on))


def xor_loss(t: Any, b0: Any, gating: Gating = "four", task: Literal["xor", "separable"] = "xor") -> Any:
    """The loss at times t from a balanced start with b0 in both layers of each pathway.

    Args:
        t: times >= 0.
        b0: strengths of a layer at time 0.
        gating, task: as `xor_mode`.

    Returns:
        L(t), of the broadcast shape; 1/2 for a network that answers 0. Where s = 0 it never falls below 1/2.

    Raises:
        InputError, NonFiniteError, ShapeError: negative times, NaN or infinity, shapes, another gating or task.
    """
    mode = xor_mode(gating, task)
    with np.errstate(over="ignore"):
        start = finite(finite(b0, "b0") ** 2, "b0 squared")
    a = two_layer_strength(t, mode.s, mode.d, start)
    return (0.5 - mode.paths * (mode.s * a - mode.d * a**2 / 2))[()]
