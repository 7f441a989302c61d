"""The neural path kernel counts the paths that two inputs leave open."""

from itertools import product

import numpy as np
import pytest
from tests.gated.rectified import XOR, net, xor_run
from torch import nn

from learnt.core.errors import NotApplicable, ShapeError
from learnt.gated.path_kernels import kernel_of, overlap, path_kernel
from learnt.gated.rectified_gates import relu_gates


def test_it_is_the_product_of_inputs_and_of_the_paths_counted_one_by_one():
    model, x = net((3, 4, 5, 2), seed=0, bias=False), np.random.default_rng(0).normal(size=(6, 3))
    gates = relu_gates(model, x)
    counted = np.zeros((6, 6))
    for i, j in product(range(4), range(5)):  # every path through hidden units
        is_open = gates.on[0][:, i] & gates.on[1][:, j]
        counted += np.outer(is_open, is_open)
    np.testing.assert_allclose(path_kernel(model, x), (x @ x.T) * counted, atol=1e-12)
    np.testing.assert_allclose(path_kernel(model, x, scaled=True), (x @ x.T) * counted / 20, atol=1e-12)


def test_it_is_a_kernel_symmetric_and_without_negative_eigenvalues():
    model, x = net((5, 30, 30, 2), seed=1), np.random.default_rng(0).normal(size=(25, 5))
    for options in ({}, {"kind": "effective"}, {"scaled": True}):
        kernel = path_kernel(model, x, **options)
        assert np.array_equal(kernel, kernel.T)
        assert np.linalg.eigvalsh(kernel).min() > -1e-9 * np.abs(kernel).max()


def test_open_gates_leave_the_inner_product_and_leaky_gates_weigh_with_their_slope():
    x = np.random.default_rng(0).normal(size=(8, 3))
    linear = path_kernel(net((3, 4, 2), seed=0, act=nn.Identity()), x)
    np.testing.assert_allclose(linear, 4 * x @ x.T, atol=1e-12)
    model = net((3, 4, 2), seed=0, act=nn.LeakyReLU(0.5))
    g = np.where(relu_gates(model, x).on[0], 1.0, 0.5)
    np.testing.assert_allclose(path_kernel(model, x), (x @ x.T) * (g @ g.T), atol=1e-12)


def test_the_four_pathways_of_xor_share_nothing_by_effective_gates():
    _, late = xor_run()
    exact, effective = path_kernel(late, XOR), path_kernel(late, XOR, kind="effective")
    off = ~np.eye(4, dtype=bool)
    assert np.abs(effective[off]).max() <= np.abs(exact[off]).max() and np.diagonal(effective).min() > 20


def test_order_of_samples_and_of_units_change_nothing_but_the_order():
    model, x = net((4, 9, 3), seed=0), np.random.default_rng(0).normal(size=(12, 4))
    kernel = path_kernel(model, x)
    order = np.random.default_rng(1).permutation(12)
    np.testing.assert_allclose(path_kernel(model, x[order]), kernel[np.ix_(order, order)], atol=1e-12)
    units = np.random.default_rng(2).permutation(9)
    for p in (model[0].weight, model[0].bias):
        p.data = p.data[units]
    model[2].weight.data = model[2].weight.data[:, units]
    np.testing.assert_allclose(path_kernel(model, x), kernel, atol=1e-12)


def test_what_cannot_be_done_is_said():
    model, x = net((3, 4, 2), seed=0), np.ones((4, 3))
    with pytest.raises(ShapeError):
        kernel_of(relu_gates(model, x), x[:3])
    with pytest.raises(NotApplicable, match="pairs"):
        path_kernel(model, np.ones((20_000, 3)))
    assert overlap(np.ones((2, 4))).tolist() == [[1, 1], [1, 1]]
