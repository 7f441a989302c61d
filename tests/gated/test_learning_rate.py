"""The stable step: closed forms, the golden number, and a full network on both sides of it."""

import numpy as np
import pytest
from tests.gated.test_reduction import MINE
from tests.gated.test_solving import descended

from learnt.core.errors import InputError
from learnt.gated import GatedTask, Graph, tasks
from learnt.gated._engine import descent_direction, hessians
from learnt.gated.learning_rate import _built
from learnt.gated.learning_rates import chain_lr_max
from learnt.gated.reduction import reduce
from learnt.gated.two_layers import lazy_index

NOTEBOOK = reduce(tasks.routing(7, 4, weight="notebook"))


def test_check_14_authors_setting():
    assert NOTEBOOK.lr_max() == pytest.approx(MINE["lr_max"]["authors_notebook_M7_K4_w_2_28"], rel=2e-7)


@pytest.mark.parametrize("share", [0.98, 1.02])
def test_check_14_full_network_settles_below_and_not_above(share):
    r = reduce(tasks.routing(7, 4, weight="notebook", hidden=6))
    end = r.solve(0.05, t=60.0).B[-1]
    rng = np.random.default_rng(0)
    w = {e: m + 0.02 * rng.normal(size=m.shape) for e, m in r.weights(dict(zip(r.edges, end, strict=True)), 0).items()}
    run = descended(r.stats, w, 120, lr=share * r.lr_max(0.05))
    assert run[-1] < 0.1 * run[0] if share < 1 else run[-1] > 2 * run[0]


@pytest.mark.parametrize("layers", [1, 2, 3, 4, 6])
def test_a_chain_has_the_curvature_of_its_closed_form(layers):
    task = tasks.hierarchy(hidden=(4,) * (layers - 1))
    r = reduce(task)
    expected = chain_lr_max(r.S[0], r.D.values[0], layers)
    assert r.lr_max() == pytest.approx(float(np.min(expected)), rel=1e-6)


@pytest.mark.parametrize("seed", range(3))
def test_second_derivatives_are_differences_of_slopes(seed):
    r = reduce(tasks.random_dag(seed))
    b = np.random.default_rng(seed).normal(size=(len(r.edges), r.N))
    e = _built(r, b, symmetric=False)
    down, b = descent_direction(e), b[e.first]
    found = hessians(e, b)
    for k in range(len(b)):
        step = np.zeros_like(b)
        step[k] = 1e-5
        difference = -(down(b + step).copy() - down(b - step)) / 2e-5
        np.testing.assert_allclose(found[:, k].T, difference, atol=1e-7 * np.abs(found).max())


def test_the_step_is_that_of_the_end_on_a_graph_with_skips():
    r = reduce(tasks.random_dag(1))
    end = r.solve(0.3, t=400.0).B[-1]
    near = dict(zip(r.edges, end * 1.001, strict=True))
    top = r.lr_max(0.3)
    below, above = (r.solve(near, "gd", lr=share * top, steps=2000) for share in (0.95, 1.05))
    assert below.diverged is None and below.loss[-1] < below.loss[0]
    assert above.diverged is not None or above.loss[-1] > above.loss[0]


def test_momentum_and_decay_change_the_step_as_for_a_parabola():
    task = GatedTask(Graph.chain([1, 1]), {"x": np.ones((1, 1))}, {"y": 2 * np.ones((1, 1))})
    r = reduce(task)
    assert r.lr_max() == pytest.approx(2.0)
    assert r.lr_max(momentum=0.5, weight_decay=0.5) == pytest.approx(2 * 1.5 / 1.5)
    for share, settles in ((0.99, True), (1.01, False)):
        run = r.solve(0.1, "gd", lr=2.0 * share, momentum=0.5, weight_decay=0.5, steps=2000)
        assert bool(run.loss[-1] < 10) is settles
    with pytest.raises(InputError):
        r.lr_max(momentum=1.0)


def test_regime_is_the_lazy_index_of_two_layers():
    r = reduce(tasks.hierarchy(hidden=(4,)))
    b1, b2 = 1e-6, 2.0
    found = r.regime({"w1": b1, "w2": b2})
    expected = lazy_index(r.S[0], r.D.values[0], b2**2 - b1**2)
    np.testing.assert_allclose(found.index[0], expected, rtol=1e-4)
    assert (r.regime(1e-3).words == "rich").all()
    assert (r.regime({"w1": 1e-6, "w2": 30.0}).words == "lazy").all()
