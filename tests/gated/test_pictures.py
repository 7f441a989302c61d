"""Pictures of gated networks: what is drawn is what was computed, and what cannot be drawn is an error."""

import numpy as np
import pytest
import torch
from matplotlib.patches import PathPatch, Rectangle
from torch import nn

from learnt.core.errors import InputError, NotApplicable, ShapeError
from learnt.gated import Graph, design_pairs, mode_profile, race, reduce, relu_gates, tasks, zero_shot
from learnt.gated.curve_pictures import draw_modes, draw_profile, draw_race, draw_trajectory, mode_groups
from learnt.gated.graph_pictures import draw_gate, draw_graph, draw_margins, draw_pathways, draw_patterns
from learnt.io.figures import axes, save


@pytest.fixture(scope="module")
def xor():
    task = tasks.xor()
    return task, reduce(task).solve(0.1, "gd", lr=0.05, steps=300)


def drawn(ax):
    ax.figure.canvas.draw()  # warnings of matplotlib are errors of the test
    return ax


def pixels(ax):
    return np.asarray(ax.images[0].get_array())


def legend(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


def test_the_predicted_loss_is_the_curve_and_observed_ones_lie_over_it(xor):
    _, path = xor
    runs = np.stack([path.loss * 1.1, path.loss * 0.9], 1)
    ax = drawn(draw_trajectory(path, observed={"simulated": runs}))
    assert legend(ax) == ["simulated, mean of 2 runs", "predicted (exact from a decoupled start)"]
    predicted = next(line for line in ax.lines if str(line.get_label()).startswith("predicted"))
    assert np.array_equal(predicted.get_ydata(), path.loss) and np.array_equal(predicted.get_xdata(), path.steps)
    mean = next(line for line in ax.lines if str(line.get_label()).startswith("simulated"))
    assert np.allclose(mean.get_ydata(), path.loss)
    assert "sum to 1" in ax.get_ylabel() and "0.05" in ax.get_xlabel()
    given = axes()
    assert draw_trajectory(path, observed=(np.array([0.0, 100.0]), np.array([0.5, 0.1])), ax=given) is given


def test_a_prediction_that_is_not_exact_says_so_in_the_picture():
    rng = np.random.default_rng(0)
    base = tasks.random_dag(0)
    noisy = {v: base.x[v] + 0.3 * rng.normal(size=base.x[v].shape) for v in base.x}
    task = type(base)(base.graph, noisy, dict(base.y), dict(base.gates), base.prob, None)
    path = reduce(task).solve(0.3, t=2.0)
    (predicted,) = [text for text in legend(drawn(draw_trajectory(path))) if text.startswith("predicted")]
    assert predicted == "predicted (order of learning only)"


@pytest.mark.parametrize("losses", [np.ones(1), np.ones((3, 2, 2)), (np.arange(3), np.ones(4))])
def test_losses_of_another_shape_are_refused(xor, losses):
    with pytest.raises(ShapeError):
        draw_trajectory(xor[1], observed=losses)


def test_modes_that_run_alike_share_a_curve(xor):
    _, path = xor
    assert [len(group) for group in mode_groups(path)] == [4]
    assert legend(drawn(draw_modes(path))) == ["mode 1 (×4): s = 0.3536"]
    routing = reduce(tasks.routing(4, 2, weight="notebook")).solve(0.08, "gd", lr=0.02, steps=300)
    assert [len(group) for group in mode_groups(routing)] == [1, 1, 2]
    nothing = reduce(tasks.xor("single")).solve(0.1, t=1.0)
    assert any("anything to learn" in text.get_text() for text in drawn(draw_modes(nothing)).texts)


def test_edges_are_as_wide_as_they_are_strong_and_gates_are_cells(xor):
    task, path = xor
    ax = drawn(draw_graph(task, strengths={"in0": 1.0, "out0": np.array([0.6, 0.8]), "in1": 0.5}))
    widths = [patch.get_linewidth() for patch in ax.patches if isinstance(patch, PathPatch)]
    by_edge = dict(zip(task.graph.edges, widths, strict=True))
    assert by_edge["in0"] == by_edge["out0"] > by_edge["in1"] > by_edge["out1"]
    assert sum(isinstance(patch, Rectangle) for patch in ax.patches) == 4 * 4  # a cell for each node and context
    last = drawn(draw_graph(task, strengths=path))
    assert f"{np.linalg.norm(path.strength['in0'][-1]):.3g}" in last.get_title(loc="left")


def test_every_shape_of_graph_is_drawn():
    names = {"a$x^$b": 2, "_h": 3, "ü" * 40: 1}
    pairs = [("a$x^$b", "_h"), ("_h", "ü" * 40), ("a$x^$b", "ü" * 40), ("a$x^$b", "_h")]
    odd = Graph(names, {f"e{k}": ends for k, ends in enumerate(pairs)})
    for thing in (
        odd,
        Graph.chain([2, 3, 4, 1]),
        Graph.routing(12, 2, 4, 2),
        tasks.random_dag(2),
        tasks.routing(10, 3),
    ):
        drawn(draw_graph(thing))
    many = Graph({"x": 1, "y": 1}, {f"e{k}": ("x", "y") for k in range(3001)})
    with pytest.raises(NotApplicable, match="edges"):
        draw_graph(many)


def test_strengths_of_unknown_edges_are_refused(xor):
    with pytest.raises(InputError, match="unknown edge"):
        draw_graph(xor[0], strengths={"none": 1.0})
    with pytest.raises(InputError, match="Trajectory"):
        draw_graph(xor[0], strengths=3.0)
    with pytest.raises(InputError, match="GatedTask"):
        draw_graph("xor")  # pyright: ignore[reportArgumentType]


def test_pathways_are_ordered_by_strength():
    path = reduce(tasks.random_dag(1)).solve(0.3, t=3.0)
    bars = [bar.get_width() for bar in drawn(draw_pathways(path, most=5)).containers[0]]
    assert bars == sorted(bars, reverse=True) and len(bars) == 5
    assert bars[0] == pytest.approx(np.linalg.norm(path.path_strength[-1], axis=1).max())
    assert np.array_equal(path.last_path_strength, path.path_strength[-1])


def test_a_race_marks_when_each_is_half_way():
    found = race({"four": tasks.xor(), "halves": tasks.xor("halves"), "one": tasks.xor("single")})
    ax = drawn(draw_race(found))
    assert ax.get_title(loc="left") == "halves learns first"
    assert legend(ax) == ["halves: half at 4.6", "four: half at 6", "one: never half"]
    marks = [float(np.asarray(line.get_xdata())[0]) for line in ax.lines if line.get_marker() == "o"]
    assert marks == pytest.approx([found["halves"].t_half, found["four"].t_half])


def test_trained_pairs_stand_out_and_pairs_without_a_chain_are_named():
    good = drawn(draw_gate(zero_shot(design_pairs(6, 2))))
    assert (pixels(good) == 0).sum() == 12
    with pytest.warns(RuntimeWarning, match="parts"):
        apart = zero_shot(np.kron(np.eye(2), np.ones((2, 2))))
    assert "not joined: cannot transfer" in legend(drawn(draw_gate(apart)))


def test_gates_and_margins_of_units_are_drawn():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(2, 12), nn.ReLU(), nn.Linear(12, 5), nn.ReLU(), nn.Linear(5, 1))
    found = relu_gates(net, torch.randn(300, 2), threshold=0.1)
    ax = drawn(draw_patterns(found))
    assert pixels(ax).shape == (240, 12)
    assert "240 of 300" in ax.get_ylabel()
    assert len(legend(drawn(draw_margins(found)))) == 3
    small = pixels(drawn(draw_patterns(relu_gates(net, torch.randn(4, 2)), 1)))
    assert small.shape == (4, 5)


def test_profiles_of_one_task_stand_side_by_side():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, 4))
    y = x @ rng.normal(size=(4, 3))
    full, none = (mode_profile(f, x, y) for f in (y, np.zeros((60, 3))))
    ax = drawn(draw_profile({"full": full, "_none": none}))
    assert [bar.get_width() for bar in ax.containers[0]] == pytest.approx([1, 1, 1])
    assert legend(ax) == ["full", " _none"]
    with pytest.raises(InputError, match="different tasks"):
        draw_profile({"full": full, "other": mode_profile(y, x, 2 * y)})
    with pytest.raises(InputError, match="none"):
        draw_profile({})


def test_equal_pictures_are_equal_bytes(tmp_path, xor):
    task, path = xor
    for suffix in ("png", "svg"):
        a, b = (save(draw_graph(task, strengths=path).figure, tmp_path / f"{k}.{suffix}") for k in "ab")
        assert a.read_bytes() == b.read_bytes()
