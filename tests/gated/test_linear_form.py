"""A rectified network as a gated linear one: identities, and measured errors where it is no identity."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.gated.rectified import XOR, XOR_Y, net, xor_run
from torch import nn

from learnt.core.errors import InputError, NotApplicable
from learnt.gated._pathways import strongest
from learnt.gated.linear_form import to_gdln
from learnt.gated.path_stats import correlations, loss
from learnt.gated.reduction import reduce


def answers(model, x):
    with torch.no_grad():
        return model(torch.from_numpy(x)).numpy()


def gated(found, x):
    return found.graph.forward(found.weights, found.inputs(x), found.gates)["y"]


@given(
    dims=st.lists(st.integers(1, 6), min_size=3, max_size=5),
    seed=st.integers(0, 1000),
    bias=st.booleans(),
    slope=st.sampled_from([0.0, 0.01, 0.3]),
    merge=st.sampled_from(["none", "exact"]),
)
@settings(max_examples=40, deadline=None)
def test_check_20_the_gated_network_of_exact_gates_answers_as_the_rectified_one(dims, seed, bias, slope, merge):
    model = net(dims, seed, act=nn.LeakyReLU(slope) if slope else nn.ReLU(), bias=bias)
    x = np.random.default_rng(seed).normal(size=(17, dims[0]))
    found = to_gdln(model, x, merge)
    np.testing.assert_allclose(gated(found, x), answers(model, x), rtol=0, atol=1e-10)
    assert found.report.max_error < 1e-10 and found.report.changed == 0


def test_check_20_float32_networks_are_read_in_float64_and_images_are_flattened():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(9, 12), nn.ReLU(), nn.Linear(12, 8), nn.ReLU(), nn.Linear(8, 3))
    x = torch.rand(30, 1, 3, 3)
    found = to_gdln(model, x, "none")
    np.testing.assert_allclose(gated(found, x), model.double()(x.double()).detach().numpy(), atol=1e-10)


def test_check_20_smooth_activations_are_refused():
    with pytest.raises(NotApplicable, match="rectifier"):
        to_gdln(nn.Sequential(nn.Linear(4, 6), nn.GELU(), nn.Linear(6, 2)), np.ones((3, 4)))


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_check_19_xor_unmerged_is_exact_and_merged_by_effective_gates_within_a_millionth(seed):
    early, late = xor_run(seed=seed)
    for model in (early, late):
        assert np.abs(gated(to_gdln(model, XOR, "none"), XOR) - answers(model, XOR)).max() <= 1e-12
    merged = to_gdln(late, XOR, "exact", kind="effective")
    assert merged.report.max_error <= 1e-6
    heavy = [p for p in merged.report.pathways if p.norm > 0.02 * merged.report.pathways[0].norm]
    assert [p.open for p in heavy] == [0.25] * 4  # four pathways, each for one example
    assert to_gdln(early, XOR, "exact", kind="effective").report.max_error > 1e-4  # and the report says where it is not


def test_faint_units_are_left_out_and_the_four_pathways_of_xor_remain():
    _, late = xor_run(seed=0)
    whole = to_gdln(late, XOR, "exact", kind="effective")
    short = to_gdln(late, XOR, "exact", kind="effective", faint=0.02)
    assert short.report.nodes == (4,) < whole.report.nodes and short.report.faint[0] > 0 == whole.report.faint[0]
    assert 1e-6 < short.report.max_error < 0.05  # what the faint units add, measured
    assert "faint" in str(short.report) and "faint" not in str(whole.report)
    assert reduce(whole.task(XOR, XOR_Y)).defect > 0.5  # units that learning never touched hide what is there
    assert reduce(short.task(XOR, XOR_Y)).exact  # one pathway an example
    with pytest.raises(InputError, match="faint"):
        to_gdln(late, XOR, faint=-1.0)


def test_equal_patterns_are_one_node_and_dead_units_are_none():
    model = net((4, 5, 2), seed=0)
    x = np.random.default_rng(0).normal(size=(20, 4))
    with torch.no_grad():
        model[0].weight[1] = 2 * model[0].weight[0]
        model[0].bias[1] = 2 * model[0].bias[0]
        model[0].bias[2] = -100.0
        model[0].bias[3] = 100.0
    found = to_gdln(model, x)
    assert found.report.dead == (1,) and found.report.always_on == (1,) and found.report.nodes == (3,)
    assert (0, 1) in found.report.members.values() and found.graph.nodes["h1_0"] == 2
    np.testing.assert_allclose(gated(found, x), answers(model, x), atol=1e-12)
    assert "never on" in str(found.report)


def test_a_network_whose_units_are_all_dead_is_its_last_bias():
    model = net((4, 3, 2), seed=0)
    model[0].bias.data[:] = -100.0
    x = np.random.default_rng(0).normal(size=(5, 4))
    found = to_gdln(model, x)
    np.testing.assert_allclose(gated(found, x), answers(model, x), atol=1e-12)


def test_clusters_trade_nodes_for_an_error_that_is_measured():
    model = net((2, 40, 1), seed=3)
    x = np.random.default_rng(0).normal(size=(60, 2))
    errors, changed = [], []
    for groups in (2, 6, 20, 40):
        found = to_gdln(model, x, "cluster", groups=groups)
        assert found.report.nodes[0] <= groups
        assert np.abs(gated(found, x) - answers(model, x)).max() == pytest.approx(found.report.max_error, abs=1e-12)
        errors.append(found.report.relative_error)
        changed.append(found.report.changed)
    assert errors[0] > errors[-1] == pytest.approx(0, abs=1e-12)
    assert sorted(changed, reverse=True) == changed and changed[0] > 0
    near = to_gdln(model, x, "cluster", distance=0.05)
    assert 2 < near.report.nodes[0] <= to_gdln(model, x).report.nodes[0]


def test_pathway_norms_are_those_of_the_products_and_what_is_left_out_is_bounded():
    rng = np.random.default_rng(0)
    weights = [rng.normal(size=s) for s in ((9, 4), (8, 9), (3, 8))]
    labels = [np.array([0, 0, 1, 1, 2, 2, 2, 3, 3]), np.array([0, 1, 1, 2, 2, 2, 2, 2])]
    true = {
        (i, j): np.linalg.norm(
            weights[2][:, labels[1] == j]
            @ weights[1][np.ix_(labels[1] == j, labels[0] == i)]
            @ weights[0][labels[0] == i]
        )
        for i in range(4)
        for j in range(3)
    }
    found, left = strongest(weights, labels, 100)
    assert left == 0 and {path: pytest.approx(norm) for path, norm in found} == true
    np.testing.assert_allclose([n for _, n in found], sorted(true.values(), reverse=True))
    some, left = strongest(weights, labels, 5)
    assert len(some) == 5 and all(norm == pytest.approx(true[path]) for path, norm in some)
    assert left >= 1 - sum(n for _, n in some) / sum(true.values()) - 1e-12


def test_units_of_their_own_give_the_exact_share_that_is_left_out():
    model = net((3, 6, 5, 2), seed=0, bias=False)
    x = np.random.default_rng(0).normal(size=(40, 3))
    whole = to_gdln(model, x, "none").report
    part = to_gdln(model, x, "none", max_paths=10).report
    assert whole.truncated == 0 and part.n_paths == whole.n_paths == len(whole.pathways)
    assert part.truncated == pytest.approx(1 - sum(p.norm for p in part.pathways) / sum(p.norm for p in whole.pathways))
    assert part.max_error < 1e-10  # the graph itself is whole


def test_the_task_it_makes_has_the_loss_of_the_network():
    model, x = net((3, 5, 2), seed=1), np.random.default_rng(1).normal(size=(12, 3))
    y = np.random.default_rng(2).normal(size=(12, 2))
    found = to_gdln(model, x)
    wanted = 0.5 * np.square(y - answers(model, x)).sum(1).mean()
    assert loss(correlations(found.task(x, y)), found.weights) == pytest.approx(wanted, abs=1e-12)
    early, _ = xor_run()
    assert to_gdln(early, XOR).task(XOR, XOR_Y).n_contexts == 4


def test_bad_input_is_an_error():
    model, x = net((3, 5, 2), seed=1), np.ones((4, 3))
    for wrong in ({"merge": "some"}, {"groups": 0, "merge": "cluster"}, {"distance": 2.0}, {"max_paths": 0}):
        with pytest.raises(InputError):
            to_gdln(model, x, **wrong)
    wide = net((3, 600, 600, 2), seed=0)
    with pytest.raises(NotApplicable, match="edges"):
        to_gdln(wide, np.random.default_rng(0).normal(size=(50, 3)), "none")
