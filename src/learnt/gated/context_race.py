"""In how many contexts will a pathway be on? Its strength, once an always-on pathway has learned what it can.

C contexts, equally likely, show the same items; each has a block of features of its own, independent of the others. A
pathway on in m contexts sees the sum of their targets. In units of one context's strength squared:

    on the raw targets                                   m                  the more contexts, the faster
    after an always-on pathway has learned the mean      m (C - m) / C      largest at C / 2

because the mean of all contexts is no longer missing: ||sum_{c on} (y_c - mean)||^2 = m - m^2 / C for orthonormal y_c.
With three contexts m = 1 and m = 2 tie; with more, half of the contexts is fastest. This is a law of first growth for
pathways that share nothing. It does not say which gatings a ReLU network can have (`learnt.gated.gate_feasibility`).

Source: the observation that ReLU networks use pathways on in several contexts is that of Jarvis, Klein, Rosman, Saxe
2025 (arXiv 2503.06181); the calculation is derived here. It predicts a mix of m beyond C = 3, not C - 1 alone.
"""

from __future__ import annotations

import numpy as np

from learnt.gated._frozen import whole


def context_strengths(contexts: int, *, after_common: bool = True) -> np.ndarray:
    """(C - 1,) strength squared of a pathway on in m = 1, ..., C - 1 contexts, in units of that of one context.

    Args:
        contexts: C, at least 2.
        after_common: whether an always-on pathway has learned what all contexts have in common.

    Raises:
        InputError: fewer than two contexts.
    """
    c = whole(contexts, "contexts", 2, 10_000_000)
    m = np.arange(1, c, dtype=np.float64)
    return m * (c - m) / c if after_common else m
