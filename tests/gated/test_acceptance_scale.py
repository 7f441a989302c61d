"""Large networks, the same bits, 64-bit numbers, no global state: acceptance checks 12 to 16 where size or luck matter."""

import random
import resource
import time

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp

from learnt.core.errors import LearntError
from learnt.gated import (
    GatedTask,
    Graph,
    SymmetricRouting,
    correlations,
    design_pairs,
    race,
    reduce,
    shared_vs_private,
    tasks,
    train_gdln,
    untrained_error,
)
from learnt.gated.routing_theory import Factors

from .whole_network import Net


def test_check_14_a_step_far_too_large_for_a_hundred_domains_is_flagged_and_nothing_is_nan():
    """M = 100, K = 50, lr .02, w = 2/28, 300 steps: the setting of the specification."""
    r = reduce(tasks.routing(100, 50, weight=2 / 28))
    run = r.solve(0.08, "gd", lr=0.02, steps=300)
    assert run.diverged is not None and run.diverged < 300 * 0.02 and len(run.loss) < 301
    assert any("diverges" in note for note in run.caveats) and "diverges" in str(run)
    assert np.isfinite(run.loss).all() and np.isfinite(run.B).all() and np.isfinite(run.path_strength).all()
    stable = r.solve(0.08, "gd", lr=0.9 * r.lr_max(), steps=400)
    assert stable.diverged is None and stable.loss[-1] < 1e-3 * stable.loss[0]


def test_check_14_one_percent_on_either_side_of_the_step_decides_for_the_reduction_itself():
    r = reduce(tasks.routing(7, 4, weight="notebook"))
    top = r.lr_max()
    assert top == pytest.approx(0.0375690, abs=5e-8)
    end = r.solve(0.08, t=200.0).B[-1] * 1.001
    below, above = (r.solve(dict(zip(r.edges, end, strict=True)), "gd", lr=f * top, steps=600) for f in (0.98, 1.02))
    assert below.loss[-1] < 1e-6 < 0.5 < above.loss[-1]


def test_a_hundred_domains_take_a_moment_and_little_memory():
    task = tasks.routing(100, 10, weight="notebook", rotations=0)
    held, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    r = reduce(correlations(task))
    run = r.solve(0.08, "gd", lr=0.005, steps=500)
    took, more = time.process_time() - start, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - held
    assert r.exact and r.N == 4 and run.loss[-1] < 1.0
    assert took < 4 and more < 200_000  # KiB; .6 s and 40 MB when nothing else runs


@pytest.mark.parametrize(("m", "k", "b0"), [(2, 1, 0.1), (3, 2, 0.03), (5, 3, 0.3)])
@pytest.mark.parametrize("private", [3, 2, 1])
def test_check_15_shared_and_private_shares_are_those_of_the_equations_of_all_edges(m, k, b0, private):
    """Every encoder, decoder and private layer has its own number here; nothing is taken to be symmetric."""
    s = 13.5
    pairs = [(i, (i + j) % m) for i in range(m) for j in range(k)]

    def maps(b: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        into, out, own = b[:m], b[m : 2 * m], b[2 * m + 1 :].reshape(len(pairs), private)
        shared = np.array([out[j] * b[2 * m] * into[i] for i, j in pairs])
        return shared, own.prod(1), own

    def rates(_: float, b: np.ndarray) -> np.ndarray:
        shared, private_map, own = maps(b)
        slope, error = np.zeros_like(b), s - shared - private_map
        for p, (i, j) in enumerate(pairs):
            slope[i] += error[p] * b[2 * m] * b[m + j]
            slope[m + j] += error[p] * b[2 * m] * b[i]
            slope[2 * m] += error[p] * b[i] * b[m + j]
            for layer in range(private):
                slope[2 * m + 1 + p * private + layer] += error[p] * np.delete(own[p], layer).prod()
        return slope

    end = solve_ivp(rates, (0, 60.0), np.full(2 * m + 1 + len(pairs) * private, b0), "LSODA", rtol=1e-9, atol=1e-11)
    shared, private_map, _ = maps(end.y[:, -1])
    assert np.abs(shared + private_map - s).max() < 1e-6
    share = shared / (shared + private_map)
    found = shared_vs_private(m, k, private, b0, s=s).shared[0, 0]
    assert np.abs(share - found).max() < 1e-4


@pytest.mark.parametrize(("b1", "b2"), [(0.08, 0.08), (0.08, 0.08 * 7**0.5), (0.2, 0.05), (0.01, 0.3)])
def test_check_13_the_time_in_closed_form_is_that_of_the_equations(b1, b2):
    """Also where the shared layer starts balanced (c0 = 0, second case) or ahead of the others (c0 < 0, last case)."""
    m, k, w, s, d = 7, 4, 1 / 49, 13.601470508735442, 1.0
    net = SymmetricRouting(domains=m, pairs=k, weight=w)
    goals = np.array([0.5, 1.0, 2.0, 4.0, 4.5])
    closed = net.time(goals, s, d, Factors(b1, b2, b1))

    def rates(_: float, b: np.ndarray) -> list[float]:
        e = s - d * b[0] * b[1] * b[2]
        return [k * w * b[1] * b[2] * e, k * m * w * b[0] * b[2] * e, k * w * b[0] * b[1] * e]

    hits = [lambda _, b, g=g: b[1] - g for g in goals]
    found = solve_ivp(rates, (0, 40.0), [b1, b2, b1], "DOP853", rtol=1e-12, atol=1e-14, events=hits)
    np.testing.assert_allclose(closed, [t[0] for t in found.t_events], rtol=1e-9)
    near = net.time(goals, s, d, Factors(b1, np.sqrt(m * b1**2 + 1e-12), b1))  # c0 = -1e-12
    here = net.time(goals, s, d, Factors(b1, np.sqrt(m) * b1, b1))
    np.testing.assert_allclose(near, here, rtol=1e-6)


def test_the_same_arguments_give_the_same_bits_and_no_global_state_is_touched():
    before = (
        random.getstate(),
        np.random.get_state(legacy=False)["state"]["key"].tolist(),
        torch.get_rng_state()[:16].tolist(),
    )
    twice = []
    for _ in range(2):
        task = tasks.random_dag(3)
        r = reduce(task)
        run = r.solve(r.weights(0.3, 1), "gd", lr=0.01, steps=20)
        twice.append([
            run.loss, r.S, r.solve(0.2, t=1.0).loss, design_pairs(6, 3), race([tasks.xor()])["1"].curve,
            untrained_error(tasks.band(3, 2), 2, hidden=6, steps=20).error,
            train_gdln(task, steps=3, lr=0.1, seeds=2).losses, np.array(tasks.routing(3, 2, rotations=5).x["x1"]),
        ])  # fmt: skip
    for a, b in zip(*twice, strict=True):
        assert a.tobytes() == b.tobytes() and a.dtype == np.float64
    after = (
        random.getstate(),
        np.random.get_state(legacy=False)["state"]["key"].tolist(),
        torch.get_rng_state()[:16].tolist(),
    )
    assert before == after


def test_data_of_32_bits_are_summed_in_64():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(5000, 6)).astype(np.float32), rng.normal(size=(5000, 2)).astype(np.float32)
    gates = {"h1": rng.integers(0, 2, 5000).astype(np.float32)}
    graph = Graph.chain([6, 4, 2])
    single = correlations(GatedTask(graph, {"x": x}, {"y": y}, gates))
    double = correlations(GatedTask(graph, {"x": x.astype(float)}, {"y": y.astype(float)}, gates))
    assert single.Sigma_yx[0].dtype == single.Sigma_x[0, 0].dtype == np.float64
    assert np.abs(single.Sigma_x[0, 0] - double.Sigma_x[0, 0]).max() < 1e-14
    net = Net(dict(graph.nodes), dict(graph.edges), {"x": x}, {"y": y}, gates, np.full(5000, 1 / 5000))
    w = {e: 0.3 * rng.normal(size=shape) for e, shape in graph.shapes.items()}
    from learnt.gated.path_stats import loss

    assert loss(double, w) == pytest.approx(net.loss_and_slopes(w)[0], rel=1e-12)


@pytest.mark.parametrize("name", ["momentum", "weight_decay", "lr"])
def test_settings_of_descent_that_have_no_meaning_are_named(name):
    with pytest.raises(LearntError, match=name):
        reduce(tasks.xor()).solve(0.1, "gd", **({"lr": 0.1, "steps": 3} | {name: -1.0}))
