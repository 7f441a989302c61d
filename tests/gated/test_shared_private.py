"""Shared against private pathways: the table of the race, its laws, and a network in which it is run."""

import json
from pathlib import Path

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from learnt.core.errors import InputError, LearntError, ShapeError
from learnt.gated.deep import deep_time_to
from learnt.gated.gated_task import GatedTask
from learnt.gated.graph import Graph
from learnt.gated.path_stats import correlations, path_gradient
from learnt.gated.shared_private import shared_vs_private

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "gated_race.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("case", GOLDEN["shared_vs_private"]["rows"], ids=lambda c: f"M{c['M']}K{c['K']}")
def test_check_15_the_shared_fractions_are_those_of_the_table(case):
    table = GOLDEN["shared_vs_private"]
    found = shared_vs_private(case["M"], case["K"], table["private_depth"], table["init"])
    assert np.abs(found.shared - np.array(case["printed"])).max() < 5.1e-4  # printed with three digits
    assert np.abs(found.shared - np.array(case["other_program"])).max() < 1e-6


def test_equal_depth_favours_sharing_and_more_so_for_a_small_start():
    found = shared_vs_private(4, 3, 3, (0.3, 0.1, 0.03, 0.01)).shared[0]
    assert (np.diff(found) > 0).all() and found[0] > 0.9


def test_a_shallower_private_route_wins_from_a_small_start():
    found = shared_vs_private(7, 1, (2, 1), (1.0, 0.01))
    assert found.shares.tolist() == [[True, False], [True, False]]


def test_one_domain_and_equal_depth_is_a_draw():
    assert shared_vs_private(1, 1, 4, 0.1, layers=(2, 1, 1)).shared[0, 0] == pytest.approx(0.5, abs=1e-10)


def test_the_shares_do_not_depend_on_the_weight_and_the_time_is_inverse_to_it():
    once, thrice = (shared_vs_private(3, 2, 2, 0.1, weight=w) for w in (1.0, 3.0))
    assert np.allclose(once.shared, thrice.shared, atol=1e-10)
    assert np.allclose(once.t_90, 3 * thrice.t_90, rtol=1e-9)


def test_two_equal_chains_take_the_time_of_one_chain_with_twice_the_pull():
    # a = 2 b^3 from b0: with B = 2^(1/3) b the pair is one chain, B' = B^2 (s - d B^3) / 2^(1/3)
    found = shared_vs_private(1, 1, 3, 0.2, s=2.0, d=0.7)
    cube = 2 ** (1 / 3)
    for fraction, t in ((0.5, found.t_half), (0.9, found.t_90)):
        assert t[0, 0] == pytest.approx(cube * deep_time_to(fraction, 2.0, 0.7, cube * 0.2, 3), rel=1e-8)


@pytest.mark.parametrize("private", [1, 2])
def test_a_network_with_both_kinds_of_pathways_ends_with_the_predicted_share(private):
    m, w, s, b0 = 2, 1.0, 3.0, 0.3
    graph = Graph.routing(m, 1, 1, 1)
    pairs = [(0, 0), (1, 1)]
    nodes, edges = dict(graph.nodes), dict(graph.edges)
    for i, j in pairs:
        if private == 1:
            edges[f"own{i}"] = (f"x{i}", f"y{j}")
        else:
            nodes[f"o{i}"] = 1
            edges |= {f"own{i}": (f"x{i}", f"o{i}"), f"own{i}b": (f"o{i}", f"y{j}")}
    on = {f"x{k}": [float(k == i) for i, _ in pairs] for k in range(m)}
    on |= {f"y{k}": [float(k == j) for _, j in pairs] for k in range(m)}
    task = GatedTask(
        Graph(nodes, edges),
        {f"x{k}": np.ones((2, 1)) for k in range(m)},
        {f"y{k}": s * np.array([[float(k == j)] for _, j in pairs]) for k in range(m)},
        on,
        prob_sums_to=2 * w,
    )
    stats = correlations(task)
    names = list(task.graph.edges)

    def flow(_, values):
        gradient = path_gradient(stats, {e: np.full((1, 1), v) for e, v in zip(names, values, strict=True)})
        return [-gradient[e].item() for e in names]

    end = solve_ivp(flow, (0, 40), [b0] * len(names), rtol=1e-7, atol=1e-9).y[:, -1]
    weights = {e: np.full((1, 1), v) for e, v in zip(names, end, strict=True)}
    shared = float((weights["out0"] @ weights["hid"] @ weights["in0"]).item())
    total = float(task.outputs(weights)["y0"][0, 0])
    assert total == pytest.approx(s, abs=1e-6)
    assert shared / total == pytest.approx(shared_vs_private(m, 1, private, b0, s=s).shared[0, 0], abs=1e-5)


@pytest.mark.parametrize(
    "arguments",
    [
        {"M": 2, "K": 3},
        {"M": 2, "K": 0},
        {"M": 2, "K": 1, "private_depth": 0},
        {"M": 2, "K": 1, "private_depth": []},
        {"M": 2, "K": 1, "init": 0.0},
        {"M": 2, "K": 1, "init": float("nan")},
        {"M": 2, "K": 1, "init": []},
        {"M": 2, "K": 1, "init": 1e-200},
        {"M": 2, "K": 1, "s": -1.0},
        {"M": 2, "K": 1, "d": 0.0},
        {"M": 2, "K": 1, "s": [1.0, 2.0]},
        {"M": 2, "K": 1, "layers": (1, 0, 1)},
        {"M": 2, "K": 1, "weight": 0.0},
    ],
    ids=str,
)
def test_bad_input_is_refused(arguments):
    with pytest.raises((InputError, ShapeError, LearntError)):
        shared_vs_private(**arguments)


def test_the_report_names_every_depth_and_start_and_the_fields_are_json():
    found = shared_vs_private(3, 2, (3, 1), (0.3, 0.03))
    assert "start 0.03" in str(found) and "0.1828" in str(found)
    assert json.loads(json.dumps(found.to_fields()))["private_depth"] == [3, 1]
