"""Strengths of the pathways of a router: closed forms, intervals, the control, and units inside experts."""

import json

import numpy as np
import pytest
import torch
from tests.gated.rectified import net

from learnt.core.errors import InputError, NonFiniteError, NotApplicable, ShapeError
from learnt.gated.expert_units import unit_pathways
from learnt.gated.gated_task import GatedTask
from learnt.gated.graph import Graph
from learnt.gated.path_stats import correlations
from learnt.gated.pathway_strength import pathway_strengths
from learnt.gated.rectified_gates import relu_gates

SIGNS = np.array([[a, b, c] for a in (-1.0, 1.0) for b in (-1.0, 1.0) for c in (-1.0, 1.0)])


def specialists(strengths=((3.0, 2.0), (1.5, 1.0)), repeats=(4, 2)):
    """Tokens of two kinds with white inputs and a linear map of known singular values each; one expert a kind."""
    rng = np.random.default_rng(0)
    x, y, g = [], [], []
    for kind, (s, many) in enumerate(zip(strengths, repeats, strict=True)):
        u, v = (np.linalg.qr(rng.normal(size=(3, 3)))[0][:, : len(s)] for _ in range(2))
        here = np.tile(SIGNS, (many, 1))
        x.append(here)
        y.append(here @ (v * s) @ u.T)
        g.append(np.eye(2)[[kind] * len(here)])
    return np.concatenate(g), np.concatenate(x), np.concatenate(y)


def test_strengths_of_specialised_experts_are_the_singular_values_of_their_class_times_their_load():
    g, x, y = specialists()
    found = pathway_strengths(g, x, y, permutations=0)
    assert np.allclose(found.load, [2 / 3, 1 / 3], atol=1e-12)
    assert np.allclose(found.values, [2 / 3 * 3.0, 1 / 3 * 1.5], atol=1e-12)
    assert np.allclose(found.second, [2 / 3 * 2.0, 1 / 3 * 1.0], atol=1e-12)
    assert np.allclose(found.per_token, [3.0, 1.5], atol=1e-12)
    assert np.allclose([s.value for s in found.shares], [0.8, 0.2], atol=1e-12)
    for k, g_k in enumerate(g.T):  # and directly, from the conditional correlation
        own = g_k > 0
        values = np.linalg.svd(y[own].T @ x[own] / own.sum(), compute_uv=False)
        assert found.per_token[k] == pytest.approx(values[0], abs=1e-12)
    assert np.isnan(found.gain).all()
    assert np.isnan(found.p).all()


def test_strengths_are_those_of_the_statistics_of_the_gated_graph():
    rng = np.random.default_rng(1)
    x, y, g = rng.normal(size=(50, 4)), rng.normal(size=(50, 3)), rng.random((50, 2)) * (rng.random((50, 2)) < 0.6)
    prob = rng.random(50)
    graph = Graph.parallel(2, 4, 5, 3)
    hidden = [v for v in graph.nodes if v not in (*graph.inputs, *graph.outputs)]
    task = GatedTask(
        graph, {graph.inputs[0]: x}, {graph.outputs[0]: y}, dict(zip(hidden, g.T, strict=True)), prob / prob.sum()
    )
    want = [np.linalg.norm(sigma, 2) for sigma in correlations(task).Sigma_yx]
    assert np.allclose(pathway_strengths(g, x, y, prob=prob, permutations=0).values, want, atol=1e-12)


def test_the_first_gradient_of_a_linear_layer_is_the_correlation_under_both_losses():
    rng = np.random.default_rng(2)
    x, g = rng.normal(size=(40, 5)), (rng.random((40, 2)) < 0.5).astype(float)
    label = rng.integers(0, 4, 40)
    for loss in ("squared", "cross entropy"):
        w = [torch.zeros(4, 5, dtype=torch.float64, requires_grad=True) for _ in range(2)]
        out = torch.stack([torch.from_numpy(g[:, [k]]) * (torch.from_numpy(x) @ w[k].T) for k in range(2)]).sum(0)
        if loss == "squared":
            value = 0.5 * (out - torch.eye(4, dtype=torch.float64)[label]).square().sum(1).mean()
        else:
            value = torch.nn.functional.cross_entropy(out, torch.from_numpy(label))
        value.backward()
        want = [float(torch.linalg.matrix_norm(v.grad, 2)) for v in w]
        assert np.allclose(pathway_strengths(g, x, label, loss=loss, permutations=0).values, want, atol=1e-12)


def test_a_router_that_knows_the_kinds_beats_its_permuted_self_and_a_blind_router_does_not():
    rng = np.random.default_rng(3)
    n = 400
    kind, x = rng.integers(0, 2, n), rng.normal(size=(n, 6))
    maps = rng.normal(size=(3, 6))
    y = np.where(kind[:, None] == 0, x @ maps.T, -x @ maps.T)  # kinds cancel: a blind gate sees nothing
    knows = np.eye(2)[kind]
    found = pathway_strengths(knows, x, y, permutations=99)
    assert (found.gain > 3).all()
    assert (found.p == 0.01).all()
    blind = pathway_strengths(np.eye(2)[rng.integers(0, 2, n)], x, y, permutations=99)
    assert (blind.gain < 1.6).all()
    assert (blind.p > 0.02).all()


def test_if_all_tokens_ask_the_same_a_router_that_halves_them_gains_nothing_and_one_that_picks_large_ones_does():
    rng = np.random.default_rng(4)
    x = rng.normal(size=(2000, 4))
    y = x @ rng.normal(size=(3, 4)).T
    halves = pathway_strengths(np.eye(2)[(x[:, 0] > 0).astype(int)], x, y, permutations=20)
    assert np.allclose(halves.gain, 1.0, atol=0.1)
    assert halves.overlap[0, 1] > 0.95  # both grow towards the same mode
    size = np.linalg.norm(y, axis=1)
    picks = pathway_strengths(np.eye(2)[(size > np.median(size)).astype(int)], x, y, permutations=20)
    assert picks.gain[0] < 0.6
    assert picks.gain[1] > 1.4


def test_the_interval_over_tokens_is_about_that_of_a_bootstrap_that_finds_the_modes_anew():
    rng = np.random.default_rng(5)
    n = 500
    x = rng.normal(size=(n, 4))
    y = 2.0 * x[:, :1] + 0.5 * rng.normal(size=(n, 2))
    g = np.ones((n, 1))
    s = pathway_strengths(g, x, y, permutations=0).strengths[0]
    anew = []
    for _ in range(2000):
        i = rng.integers(0, n, n)
        anew.append(np.linalg.norm(y[i].T @ x[i] / n, 2))
    assert s.high - s.low == pytest.approx(np.subtract(*np.percentile(anew, [97.5, 2.5])), rel=0.12)
    assert s.low < s.value < s.high


def test_tokens_of_a_sequence_are_resampled_together():
    rng = np.random.default_rng(6)
    x = np.repeat(rng.normal(size=(40, 3)), 25, axis=0)  # 40 sequences of 25 equal tokens
    y = x[:, :2]
    g = np.ones((1000, 1))
    alone = pathway_strengths(g, x, y, permutations=0).strengths[0]
    together = pathway_strengths(g, x, y, permutations=0, sequences=np.repeat(np.arange(40), 25)).strengths[0]
    assert alone.value == pytest.approx(together.value, abs=1e-12)
    assert together.high - together.low == pytest.approx(5 * (alone.high - alone.low), rel=0.35)
    assert together.n == 40


def test_permuting_tokens_scaling_weights_and_rotating_coordinates_change_nothing():
    rng = np.random.default_rng(7)
    g, x, y = specialists()
    order, turn = rng.permutation(len(g)), np.linalg.qr(rng.normal(size=(3, 3)))[0]
    a = pathway_strengths(g, x, y, permutations=0)
    b = pathway_strengths(g[order], x[order] @ turn, y[order] @ turn.T, prob=np.full(len(g), 7.0), permutations=0)
    assert np.allclose(a.values, b.values, atol=1e-12)


def test_the_same_seed_gives_the_same_numbers():
    g, x, y = specialists()
    one, two, other = (pathway_strengths(g, x, y, permutations=5, seed=s).to_fields() for s in (1, 1, 2))
    assert one == two
    assert one != other


def test_an_expert_that_no_token_reaches_is_named():
    g, x, y = specialists()
    found = pathway_strengths(np.column_stack([g, np.zeros(len(g))]), x, y, names=["a", "b", "idle"], permutations=3)
    assert found.values[2] == 0
    assert any("idle" in note for note in found.notes)
    assert np.isnan(found.per_token[2])
    assert "idle" in str(found)
    json.dumps(found.to_fields(), allow_nan=False)
    assert str(found) == found.table()


def test_targets_that_nothing_is_correlated_with_have_undefined_shares():
    found = pathway_strengths(np.ones((4, 1)), np.array([[1.0], [-1.0], [1.0], [-1.0]]), np.ones(4), permutations=2)
    assert found.values[0] == 0
    assert not found.shares[0].defined
    json.dumps(found.to_fields(), allow_nan=False)
    assert "-" in str(found)


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"gates": -np.ones((8, 2))}, InputError),
        ({"gates": np.ones(8)}, ShapeError),
        ({"gates": np.full((8, 2), np.nan)}, NonFiniteError),
        ({"x": np.ones((7, 3))}, ShapeError),
        ({"y": np.ones((7, 3))}, ShapeError),
        ({"y": np.array([0, 1, -1, 0, 1, 0, 1, 0])}, InputError),
        ({"y": np.full(8, 1 << 30)}, NotApplicable),
        ({"prob": -np.ones(8)}, InputError),
        ({"prob": np.ones(7)}, ShapeError),
        ({"names": ["a", "a"]}, InputError),
        ({"loss": "hinge"}, InputError),
        ({"loss": "cross entropy"}, ShapeError),
        ({"sequences": np.ones(8)}, ShapeError),
        ({"permutations": -1}, InputError),
        ({"resamples": 5}, InputError),
        ({"level": 1.0}, InputError),
    ],
)
def test_bad_input_is_an_error(change, error):
    given = {"gates": np.ones((8, 2)), "x": np.ones((8, 3)), "y": np.ones((8, 1)), "permutations": 0} | change
    with pytest.raises(error):
        pathway_strengths(given.pop("gates"), given.pop("x"), given.pop("y"), **given)


def test_pathways_inside_experts_have_the_gates_of_both():
    expert = net((3, 4, 2), seed=0)
    rng = np.random.default_rng(8)
    x = rng.normal(size=(30, 3))
    g = np.eye(2)[rng.integers(0, 2, 30)]
    patterns = relu_gates(expert, x)
    gates, names = unit_pathways(g, [patterns, None])
    assert names[-1] == "expert 1"
    assert np.array_equal(gates[:, -1], g[:, 1])
    units = g[:, [0]] * patterns.on[0]
    assert {tuple(c) for c in gates[:, :-1].T} == {tuple(c) for c in units.T if c.any()}
    assert pathway_strengths(gates, x, rng.normal(size=(30, 2)), names=names, permutations=0).names == names


def test_units_that_are_alike_on_the_tokens_of_the_expert_are_one_pathway():
    g = np.array([[1.0], [1.0], [0.0]])
    gates, names = unit_pathways(g, [np.array([[1.0, 1, 0, 0], [0, 0, 1, 0], [1, 0, 1, 1]])], names=["e"])
    assert np.array_equal(gates, [[1, 0], [0, 1], [0, 0]])
    assert names == ("e, unit 0 and 1 alike", "e, unit 2")


@pytest.mark.parametrize("inside", [[None], [None, np.ones((2, 4))], [np.zeros((3, 1)), np.zeros((3, 1))]])
def test_units_that_do_not_fit_are_an_error(inside):
    with pytest.raises((InputError, ShapeError)):
        unit_pathways(np.ones((3, 2)), inside)
