"""All laws of one mode in closed form: what a chain of layers learns when, without simulating anything.

    one_layer     a' = s - d a                                  exponential
    two_layers    a' = sqrt(lam^2 + 4 a^2) (s - d a)            sigmoid if lam = 0, between it and an exponential if not
    deep          b' = b^(L-1) (s - d b^L)                      hypergeometric time, any depth
    xor_theory    the loss of XOR for each gating
    hierarchy     modes and plateaus of a tree of categories
    learning_rates   the largest stable step
    matrix_solution  two layers from any balanced start, whole matrices, white inputs

Each law has a strength at time t, the time to reach a strength, and the time to a fraction of the target s/d (`inf`
where never). This page only gathers the names; routing networks are in `routing_theory`.
"""

from __future__ import annotations

from learnt.gated.deep import (
    deep_layer_strength,
    deep_profile,
    deep_time,
    deep_time_to,
    three_layer_profile,
    very_deep_time,
)
from learnt.gated.hierarchy import hierarchy_multiplicities, hierarchy_plateaus, hierarchy_strengths
from learnt.gated.learning_rates import chain_curvature, chain_lr_max
from learnt.gated.matrix_flow import MatrixSolution, balance, matrix_solution
from learnt.gated.one_layer import one_layer_strength, one_layer_time, one_layer_time_to
from learnt.gated.two_layers import (
    lazy_index,
    two_layer_strength,
    two_layer_time,
    two_layer_time_to,
    two_layer_weights,
)
from learnt.gated.xor_theory import XorMode, xor_loss, xor_mode

__all__ = [
    "MatrixSolution",
    "XorMode",
    "balance",
    "chain_curvature",
    "chain_lr_max",
    "deep_layer_strength",
    "deep_profile",
    "deep_time",
    "deep_time_to",
    "hierarchy_multiplicities",
    "hierarchy_plateaus",
    "hierarchy_strengths",
    "lazy_index",
    "matrix_solution",
    "one_layer_strength",
    "one_layer_time",
    "one_layer_time_to",
    "three_layer_profile",
    "two_layer_strength",
    "two_layer_time",
    "two_layer_time_to",
    "two_layer_weights",
    "very_deep_time",
    "xor_loss",
    "xor_mode",
]
