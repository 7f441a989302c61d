"""The layer-by-layer grid: every cell is the debiased CKA of its two layers, by whichever route."""

import numpy as np
import pytest
import torch

from learnt.core.errors import InputError, ShapeError
from learnt.similarity import grid
from learnt.similarity.cka import linear_cka
from learnt.similarity.streaming import nguyen_minibatch_cka


def layers(seed, widths, n=50):
    g = torch.Generator().manual_seed(seed)
    base = torch.randn(n, 4, generator=g)
    return {
        f"l{i}": base @ torch.randn(4, w, generator=g) + torch.randn(n, w, generator=g) for i, w in enumerate(widths)
    }


@pytest.mark.parametrize("widths", [(3, 5, 2), (200, 90)])
def test_every_cell_is_the_debiased_cka_of_its_layers(widths):
    a, b = layers(0, widths), layers(1, (7, 60))
    b["l0"] = b["l0"] + a["l0"][:, :1]
    values = grid.cka_grid(grid.layers_of(a), grid.layers_of(b))
    expected = [[linear_cka(x, y) for y in b.values()] for x in a.values()]
    np.testing.assert_allclose(values, expected, atol=1e-12)


def test_features_and_rows_of_gram_matrices_give_the_same_traces(monkeypatch):
    a, b = grid.layers_of(layers(0, (3, 9, 4))), grid.layers_of(layers(1, (6, 5)))
    features, rows = grid._traces_from_features(a, b), grid._traces_from_rows(a, b)
    torch.testing.assert_close(features, rows, rtol=1e-10, atol=1e-12)
    monkeypatch.setattr(grid, "BLOCK", 1)  # one column, one row at a time
    torch.testing.assert_close(grid._traces_from_features(a, b), features, rtol=1e-12, atol=0)
    torch.testing.assert_close(grid._traces_from_rows(a, b), features, rtol=1e-10, atol=1e-12)


def test_constant_layers_are_named_and_left_out():
    found = grid.layers_of({"x": torch.randn(20, 3), "dead": torch.full((20, 2), 0.3), "y": torch.randn(20, 2)})
    assert (found.names, found.constant) == (("x", "y"), ("dead",))
    nothing = grid.layers_of({"dead": torch.zeros(20, 2)})
    assert grid.cka_grid(nothing, found).shape == (0, 2)
    assert grid.cka_grid(found, nothing).shape == (2, 0)


def test_evenly_keeps_the_last_layer_and_the_order():
    names = [str(i) for i in range(30)]
    chosen = grid.evenly(names, 12)
    assert (len(chosen), chosen[0], chosen[-1]) == (12, "0", "29")
    assert list(chosen) == sorted(chosen, key=int)
    assert grid.evenly(names[:5], 12) == tuple(names[:5])
    assert grid.evenly(names, 1) == ("29",)


def test_minibatch_grid_is_the_minibatch_estimator_cell_by_cell():
    a, b = layers(0, (3, 5), n=30), layers(1, (4, 6), n=30)
    cut = lambda d, i: {k: v[i : i + 8] for k, v in d.items()}
    rows, columns, values = grid.nguyen_minibatch_grid((cut(a, i), cut(b, i)) for i in range(0, 30, 8))
    assert (rows, columns) == (("l0", "l1"), ("l0", "l1"))
    for i, x in enumerate(a.values()):
        for j, y in enumerate(b.values()):
            expected = nguyen_minibatch_cka((x[k : k + 8], y[k : k + 8]) for k in range(0, 30, 8))
            assert values[i, j] == pytest.approx(expected, abs=1e-12)


def test_minibatch_grid_leaves_out_layers_that_never_vary():
    a = {"x": torch.randn(8, 3), "dead": torch.ones(8, 2)}
    rows, columns, values = grid.nguyen_minibatch_grid([(a, a)])
    assert (rows, columns) == (("x",), ("x",))
    assert values[0, 0] == pytest.approx(1.0)
    with pytest.raises(InputError, match="no batch with four"):
        grid.nguyen_minibatch_grid([({"x": torch.randn(3, 2)}, {"x": torch.randn(3, 2)})])


def test_layers_must_hold_the_same_examples():
    with pytest.raises(ShapeError, match="same examples for every layer"):
        grid.layers_of({"x": torch.randn(8, 3), "y": torch.randn(9, 3)})
    with pytest.raises(ShapeError, match="same examples as a"):
        grid.cka_grid(grid.layers_of({"x": torch.randn(8, 3)}), grid.layers_of({"x": torch.randn(9, 3)}))
    with pytest.raises(InputError, match="at least one layer"):
        grid.layers_of({})
    with pytest.raises(InputError, match="at least 4"):
        grid.layers_of({"x": torch.randn(3, 3)})
