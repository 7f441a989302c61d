"""Acceptance checks 1, 9, 10, 11 and 12 of the specification against networks simulated whole, without `learnt`.

Each instance is of the kind that the specification describes, with its tolerance: any other of that kind should do.
"""

from dataclasses import replace

import numpy as np
import pytest

from learnt.gated import (
    GatedTask,
    Graph,
    context_correlations,
    context_gradient,
    context_loss,
    correlations,
    path_gradient,
    reduce,
    reduce_contexts,
    tasks,
)
from learnt.gated.path_stats import loss

from .whole_network import Net, decoupled, diagonalisable, frame

GRID = np.array([0.0, 0.4, 1.0, 2.5])


def task_of(net: Net) -> GatedTask:
    return GatedTask(Graph(net.nodes, net.edges), x=net.x, y=net.y, gates=net.gates, prob=net.prob)


def net_of(task: GatedTask) -> Net:
    x, y = ({v: np.array(a) for v, a in arrays.items()} for arrays in (task.x, task.y))
    gates = {name: np.array(task.gates[name]) for name in task.gates}
    return Net(dict(task.graph.nodes), dict(task.graph.edges), x, y, gates, np.array(task.prob))


@pytest.mark.parametrize("seed", range(6))
def test_check_01_gradient_and_loss_by_paths_are_those_of_the_samples(seed):
    net = diagonalisable(seed, spare=seed % 2)
    rng = np.random.default_rng(seed)
    data = {v: a + rng.normal(size=a.shape) for v, a in (net.x | net.y).items()}  # nothing is diagonal here
    net = replace(net, x={v: data[v] for v in net.x}, y={v: data[v] for v in net.y})
    w = {e: 0.4 * rng.normal(size=(net.nodes[t], net.nodes[s])) for e, (s, t) in net.edges.items()}
    stats = correlations(task_of(net))
    expected, slopes = net.loss_and_slopes(w)
    found = path_gradient(stats, w)
    assert abs(loss(stats, w) - expected) <= 1e-12 * max(1.0, expected)
    assert max(np.abs(found[e] - slopes[e]).max() for e in w) <= 1e-12 * max(1.0, expected)
    assert min(np.abs(g).max() for g in slopes.values()) > 1e-6  # there is something to compare


@pytest.mark.parametrize(
    ("seed", "kind"),
    [(0, {}), (1, {}), (2, {"spare": 2}), (3, {"equal": True}), (4, {"digits": 10}), (5, {"modes": 1})],
)
def test_check_10_modes_are_found_from_data_and_the_loss_is_that_of_the_whole_network(seed, kind):
    net = diagonalisable(seed, **kind)
    w = decoupled(net, seed)
    r = reduce(correlations(task_of(net)))
    assert r.exact and r.defect < (1e-9 if "digits" in kind else 1e-10)
    run = r.solve(w, t=GRID, require_exact=True)
    full = net.flow(w, GRID)
    assert run.exact and np.abs(run.loss - full).max() <= 1e-8
    assert full[0] - full[-1] > 0.01 * full[0]


def test_check_10_ends_that_lack_modes_are_no_hindrance():
    """xa sees latents 1 to 3 of four, xb 2 to 4, ya has targets for three of them: N is 4, and columns are missing."""
    net = diagonalisable(9, modes=4)
    rng = np.random.default_rng(0)
    nodes, bases = dict(net.nodes), dict(net.bases)
    data = net.x | net.y
    for v, kept in {"xa": [0, 1, 2], "xb": [1, 2, 3], "ya": [0, 1, 3], "yb": [0, 2, 3]}.items():
        turn, nodes[v] = frame(rng, 3, 3), 3
        data[v] = (data[v] @ bases[v])[:, kept] @ turn.T
        bases[v] = np.zeros((3, 4))
        bases[v][:, kept] = turn
    net = replace(net, nodes=nodes, bases=bases, x={v: data[v] for v in net.x}, y={v: data[v] for v in net.y})
    w = decoupled(net, 1)
    run = reduce(task_of(net)).solve(w, t=GRID, require_exact=True)
    assert run.reduction.N == 4 and np.abs(run.loss - net.flow(w, GRID)).max() <= 1e-8


@pytest.mark.parametrize(
    "sgd",
    [
        {"lr": 0.02},
        {"lr": 0.01, "momentum": 0.9},
        {"lr": 0.01, "momentum": 0.9, "weight_decay": 0.02},
        {"lr": 0.04, "weight_decay": 0.1},
        {"lr": 0.01, "momentum": 0.7, "weight_decay": 0.02, "nesterov": True},
    ],
    ids=lambda sgd: "-".join(sgd),
)
def test_check_09_every_step_is_that_of_torch_sgd_on_the_samples(sgd):
    made = tasks.routing(3, 2, y=np.array([[3, 2, 0, 1], [3, 2, 0, 0], [3, 0, 2, 0.0]]), hidden=4, weight=1 / 9)
    for task, net in [(made, net_of(made)), *((task_of(n), n) for n in (diagonalisable(11), diagonalisable(12)))]:
        r = reduce(task)
        w = decoupled(net, 3) if net.bases else r.weights(0.15, 2)
        run = r.solve(w, "gd", steps=150, **sgd)
        full = net.sgd(w, 150, **sgd)
        assert run.exact and np.abs(run.loss - full).max() <= 1e-10
        assert np.ptp(full) > 0.05 * full[0]


def test_check_09_flow_with_decay_is_that_of_the_whole_network():
    net = diagonalisable(13)
    w = decoupled(net, 4)
    run = reduce(task_of(net)).solve(w, t=GRID, weight_decay=0.3)
    assert np.abs(run.loss - net.flow(w, GRID, decay=0.3)).max() <= 1e-8


@pytest.mark.parametrize("seed", [14, 15])
def test_statistics_by_context_predict_the_same_network_without_its_paths(seed):
    net = diagonalisable(seed, spare=1)
    w = decoupled(net, seed)
    stats = context_correlations(task_of(net))
    expected, slopes = net.loss_and_slopes(w)
    assert abs(context_loss(stats, w) - expected) <= 1e-12 * max(1.0, expected)
    found = context_gradient(stats, w)
    assert max(np.abs(found[e] - slopes[e]).max() for e in w) <= 1e-12 * max(1.0, expected)
    r = reduce_contexts(task_of(net))
    start = {e: np.random.default_rng(k).uniform(0.1, 0.4, r.N) for k, e in enumerate(net.edges)}
    sgd = {"lr": 0.01, "momentum": 0.8, "weight_decay": 0.01}
    full = net.sgd(r.weights(start, 2), 100, **sgd)
    assert r.exact and np.abs(r.solve(start, "gd", steps=100, **sgd).loss - full).max() <= 1e-10


@pytest.mark.parametrize("seed", range(4))
def test_check_11_the_defect_is_the_root_of_the_off_diagonal_share_in_the_bases_that_are_given(seed):
    net = diagonalisable(20 + seed)
    rng = np.random.default_rng(seed)
    assert reduce(task_of(net)).defect < 1e-7
    noisy = {v: a + 0.05 * a.std() * rng.normal(size=a.shape) for v, a in net.x.items()}
    r = reduce(task_of(replace(net, x=noisy)))
    paths, shares = r.stats.paths, {}
    for p in r.stats.open:
        u, v = r.write[paths[p].edges[-1]], r.read[paths[p].edges[0]]
        square = [u.T @ r.stats.Sigma_yx[p] @ v]
        square += [
            r.read[paths[j].edges[0]].T @ m @ v for (j, k), m in r.stats.Sigma_x.items() if k == p
        ]  # bases are complete here: nothing is outside of them
        off = [np.sqrt(1 - (np.diag(m) ** 2).sum() / (m**2).sum()) for m in square if np.abs(m).max() > 1e-12]
        shares[p] = max(off, default=0.0)
    assert not r.exact and r.defect > 0.02
    for p, share in shares.items():
        assert r.defects[p] == pytest.approx(share, abs=1e-6)
    assert r.worst is not None and shares[r.worst] == pytest.approx(max(shares.values()), abs=1e-6)


@pytest.mark.parametrize("seed", [30, 31])
def test_check_12_hidden_rotations_names_and_split_samples_leave_the_trajectory(seed):
    net = diagonalisable(seed)
    w = decoupled(net, seed)
    rng = np.random.default_rng(seed)
    plain = reduce(task_of(net)).solve(w, t=GRID)

    turn = {v: np.eye(n) if v in net.bases else frame(rng, n, n) for v, n in net.nodes.items()}
    turned = {e: turn[t] @ w[e] @ turn[s].T for e, (s, t) in net.edges.items()}
    assert np.abs(reduce(task_of(net)).solve(turned, t=GRID).loss - plain.loss).max() <= 1e-10

    new = {v: f"node {k}" for k, v in enumerate(rng.permutation(list(net.nodes)))}
    edge = {e: f"edge {k}" for k, e in enumerate(rng.permutation(list(net.edges)))}
    pick = rng.permutation(np.r_[0 : len(net.prob), 0:6])
    prob = net.prob[pick] / np.where(pick < 6, 2, 1)
    other = Net(
        dict(sorted((new[v], n) for v, n in net.nodes.items())),
        dict(sorted((edge[e], (new[s], new[t])) for e, (s, t) in net.edges.items())),
        {new[v]: a[pick] for v, a in net.x.items()},
        {new[v]: a[pick] for v, a in net.y.items()},
        {(new | edge)[name]: a[pick] for name, a in net.gates.items()},
        prob,
    )
    found = reduce(task_of(other)).solve({edge[e]: m for e, m in w.items()}, t=GRID)
    assert np.abs(found.loss - plain.loss).max() <= 1e-10

    weighted = GatedTask(Graph(net.nodes, net.edges), net.x, net.y, net.gates, 2.5 * net.prob, prob_sums_to=None)
    scaled = reduce(weighted).solve(w, t=GRID / 2.5)  # all weights by 2.5: the same path 2.5 times as fast
    assert np.abs(scaled.loss / 2.5 - plain.loss).max() <= 1e-10


@pytest.mark.parametrize("seed", [32, 33])
def test_check_12_rotated_ends_have_the_same_modes_and_the_same_loss(seed):
    net = diagonalisable(seed, spare=1)
    w = decoupled(net, seed)
    rng = np.random.default_rng(seed)
    q = {v: frame(rng, net.nodes[v], net.nodes[v]) if v in net.bases else np.eye(n) for v, n in net.nodes.items()}
    turned = replace(net, x={v: a @ q[v].T for v, a in net.x.items()}, y={v: a @ q[v].T for v, a in net.y.items()})
    a, b = reduce(task_of(net)), reduce(task_of(turned))
    np.testing.assert_allclose(np.abs(a.S), np.abs(b.S), atol=1e-10)
    np.testing.assert_allclose(np.abs(a.D.values), np.abs(b.D.values), atol=1e-10)
    first = a.solve(w, t=GRID).loss
    second = b.solve({e: q[t] @ w[e] @ q[s].T for e, (s, t) in net.edges.items()}, t=GRID).loss
    assert np.abs(first - second).max() <= 1e-10
