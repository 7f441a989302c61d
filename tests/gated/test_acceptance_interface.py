"""The interface of section 6.1 of the specification, called as it is written there, by a stranger who knows nothing else."""

import numpy as np
import pytest
import torch

from learnt.core.errors import LearntError
from learnt.gated import (
    GDLN,
    GatedTask,
    Graph,
    correlations,
    design_pairs,
    mode_profile,
    path_kernel,
    race,
    reduce,
    relu_gates,
    tasks,
    to_gdln,
    train_gdln,
    zero_shot,
)
from learnt.gated.learning_rate import regime

CORNERS = np.array([[1.0, 1], [-1, -1], [1, -1], [-1, 1]])
PRODUCT = CORNERS.prod(1, keepdims=True)


def test_graphs_tasks_and_statistics_as_written():
    g = Graph(nodes={"x": 2, "h": 8, "y": 1}, edges={"in": ("x", "h"), "out": ("h", "y")})
    t = GatedTask(
        g, x={"x": CORNERS}, y={"y": PRODUCT}, gates={"h": np.array([1, 0, 1, 0]), "in": np.ones(4)}, prob=None
    )
    c = correlations(g, t)
    assert len(c.paths) == 1 and c.Sigma_yx[0].shape == (1, 2) and c.Sigma_x[0, 0].shape == (2, 2)
    assert c.Sigma_yy["y"].shape == (1, 1)
    assert len(Graph.chain([2, 3, 1]).edges) == 2 and len(Graph.parallel(4, 2, 3, 1).edges) == 8
    assert len(Graph.routing(M=3, d_in=4, h=8, d_out=7, shared_layers=1).edges) == 7
    assert len(tasks.xor()) == 4 and len(tasks.hierarchy(levels=2, weights=(6, 4, 3))) == 4


def test_routing_takes_pairs_or_a_gate_and_targets_in_this_order():
    y, gate = np.diag([3.0, 2.0]), tasks.band(3, 2)
    for task in (tasks.routing(3, 2, y), tasks.routing(3, gate, y), tasks.routing(gate=gate, y=y)):
        assert len(task) == 12 and (zero_shot(task).gate == gate).all()
        assert task.graph.nodes["y0"] == 2
    for wrong in ({"M": 4, "K": gate}, {"M": 3, "K": gate, "gate": gate}, {"M": 3, "K": np.ones((2, 3))}):
        with pytest.raises(LearntError, match="gate"):
            tasks.routing(**wrong)


def test_reduction_and_trajectory_as_written():
    t = tasks.routing(7, 4, weight="notebook")
    r = reduce(correlations(t.graph, t), tol=1e-8)
    assert r.exact and r.N == r.modes == 4 and r.S.shape == (49, 4) and r.D.values.shape[1] == 4
    assert len(r.classes) == 1 and max(r.defects.values()) < 1e-12 and len(r.bases) == 14
    for tr in (
        r.solve(init=0.08, method="gd", lr=0.02, momentum=0, weight_decay=0, steps=500),
        r.solve(init={e: np.full(4, 0.08) for e in r.edges}, method="flow", lr=None, momentum=0, weight_decay=0, t=10),
    ):
        assert tr.time.shape == tr.loss.shape == (501,) and tr.strength["hid"].shape == (501, 4)
        assert tr.path_strength.shape == (501, 49, 4) and tr.time_to(0.5).shape == (1, 4)
        assert [w.mode for w in tr.winner()] == [0, 1, 2, 3]
        assert (tr.loss >= 0).all()
    assert r.calibrate(r.solve(0.08, "gd", lr=0.02, steps=200).loss, 0.02) == pytest.approx(0.08, rel=1e-6)
    assert r.lr_max() == pytest.approx(0.0375690, abs=5e-8)
    model = GDLN(t.graph, r.weights(0.1))
    tr = r.solve(model, "gd", lr=0.02, steps=1, require_exact=True)
    assert tr.exact and tr.loss[0] == pytest.approx(t.loss(model.weights()), rel=1e-12)
    assert not r.solve(GDLN(t.graph), "gd", lr=0.02, steps=1).exact  # a random start


def test_the_regime_needs_no_start():
    r = reduce(tasks.hierarchy(hidden=(4,)))
    assert (r.regime().words == "rich").all()
    lazy = {"w1": 1e-6, "w2": 30.0}
    given = r.with_weights(r.weights(lazy))
    assert (given.regime().words == "lazy").all()
    np.testing.assert_allclose(given.regime().index, regime(r, lazy).index, rtol=1e-6)


def test_a_race_is_a_table_too():
    found = race([tasks.xor("four"), reduce(correlations(tasks.xor("halves")))])
    frame = found.to_frame()
    assert list(frame.columns[:6]) == ["name", "s1", "rate", "t_half", "t_90", "relu_feasible"]
    assert frame["name"].tolist() == list(found.order) == ["2", "1"]
    assert frame["rate"].tolist() == pytest.approx([1.0, 2**-0.5]) and frame["t_half"].tolist() == sorted(
        frame["t_half"]
    )


def test_pairs_and_their_risk():
    found = zero_shot(design_pairs(M=10, K=3, seed=0, tries=20))
    assert found.components == 1 and 0 < found.spectral_ratio < 0.7 and found.risk == "low"


def test_the_module_takes_tensors_of_any_type_and_the_arrays_of_a_task():
    t = tasks.xor()
    model = GDLN(t.graph)
    expected = t.outputs(model.weights())["y"]
    x = {v: torch.tensor(np.array(a)) for v, a in t.x.items()}
    gates = {name: torch.tensor(np.array(t.gates[name])) for name in t.gates}
    for given in (x, {v: a.float() for v, a in x.items()}, dict(t.x), {"x": CORNERS.tolist()}):
        for open_ in (gates, dict(t.gates)):
            np.testing.assert_allclose(model.forward(given, open_)["y"].detach().numpy(), expected, atol=1e-12)
    assert train_gdln(t, steps=2, lr=0.1).losses.shape == (3, 1)


def test_rectified_networks_as_written():
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Linear(2, 5, bias=False), torch.nn.ReLU(), torch.nn.Linear(5, 1, bias=False))
    patterns = relu_gates(net, CORNERS, kind="effective", threshold=0.05)
    assert [on.shape for on in patterns.on] == [m.shape for m in patterns.margins] == [(4, 5)]
    graph, gates, report = to_gdln(net, CORNERS, merge="none", max_paths=10)
    assert set(gates) <= set(graph.nodes) and report.max_error < 1e-12
    profile = mode_profile(net, CORNERS, CORNERS[:, :1], whiten=True)
    assert profile.strength.shape == profile.fraction.shape == profile.cosine.shape == (1,)
    assert path_kernel(net, CORNERS).shape == (4, 4)
