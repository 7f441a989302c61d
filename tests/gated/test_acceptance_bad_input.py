"""Acceptance check 23, item by item: an error of our own that names the argument, what was found and what was expected.

After that whatever may be given instead of an argument: never an error of another library, a hang or a NaN.
"""

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from learnt.core.errors import InputError, LearntError, NonFiniteError, NotApplicable, ShapeError
from learnt.gated import (
    GDLN,
    GatedTask,
    Graph,
    SymmetricRouting,
    compare_profiles,
    context_correlations,
    context_gradient,
    correlations,
    design_pairs,
    freeze_gates,
    learn_gates,
    mode_profile,
    path_gradient,
    path_kernel,
    predict,
    race,
    reduce,
    reduce_contexts,
    relu_gates,
    shared_vs_private,
    spectral_ratio,
    tasks,
    to_gdln,
    train_gdln,
    train_routing,
    untrained_error,
    zero_shot,
)
from learnt.gated import closed_forms as laws
from learnt.gated.gdln import decoupled, orthogonal
from learnt.gated.routing_domains import routing_data
from learnt.gated.solving import UnsupportedOptimizer

GRAPH = Graph({"x": 2, "h": 3, "y": 1}, {"in": ("x", "h"), "out": ("h", "y")})
X = np.array([[1.0, 1], [-1, -1], [1, -1], [-1, 1]])
Y = X[:, :1] + 0.5 * X[:, 1:]
XOR = tasks.xor("halves")
R = reduce(XOR)
NET = torch.nn.Sequential(torch.nn.Linear(2, 5), torch.nn.ReLU(), torch.nn.Linear(5, 1))


def task(**changes: Any) -> GatedTask:
    return GatedTask(**({"graph": GRAPH, "x": {"x": X}, "y": {"y": Y}} | changes))


ITEMS: list[tuple[str, Callable[[], Any], type[LearntError], str, str, str]] = [
    ("cycle", lambda: Graph({"x": 1, "h": 1, "k": 1, "y": 1}, {"a": ("x", "h"), "b": ("h", "k"), "c": ("k", "h"), "d": ("k", "y")}), InputError, "edges", "a cycle through h -> k -> h|a cycle through k -> h -> k", "acyclic"),
    ("unknown node", lambda: Graph({"x": 1, "y": 1}, {"a": ("x", "z")}), InputError, "edges['a']", "the unknown node 'z'", "one of x, y"),
    ("gate length", lambda: task(gates={"h": np.ones(3)}), ShapeError, "gates['h']", r"shape \(3,\)", r"\(4,\), one number for each of the 4 samples"),
    ("unknown gate", lambda: task(gates={"g": np.ones(4)}), InputError, "gates", "the unknown name 'g'", "x, h, y, in, out"),
    ("NaN in x", lambda: task(x={"x": X * np.nan}), NonFiniteError, "x['x']", "8 NaN or infinite", "finite numbers"),
    ("NaN in y", lambda: task(y={"y": np.array([1, 2, np.inf, 0])[:, None]}), NonFiniteError, "y['y']", r"the first at \(2, 0\)", "finite numbers"),
    ("NaN in a gate", lambda: task(gates={"in": [1, np.nan, 0, 1]}), NonFiniteError, "gates['in']", "1 NaN", "finite numbers"),
    ("NaN in prob", lambda: task(prob=[1, 1, np.nan, 1]), NonFiniteError, "prob", "1 NaN", "finite numbers"),
    ("negative prob", lambda: task(prob=[1, 1, -0.25, 1]), InputError, "prob", "-0.25 at 2", "weights of at least 0"),
    ("samples of x and y", lambda: task(y={"y": Y[:3]}), ShapeError, "y['y']", "3 samples", "4, like x"),
    ("narrow hidden node", lambda: reduce(tasks.hierarchy(hidden=(3,))), NotApplicable, "graph", "4 modes through the hidden node 'h1', which has 3 units", "at least 4 units"),
    ("no path to an output", lambda: Graph({"x": 1, "y": 1, "z": 1}, {"a": ("x", "y")}), InputError, "nodes", "no path from it to an output", "on paths"),
    ("a dead end", lambda: GatedTask(Graph({"x": 2, "h": 3, "y": 1}, {"a": ("x", "h"), "b": ("x", "y")}), {"x": X}, {"y": Y}), InputError, "y", "no targets for 'h': there is no path from it to an output", "each node without outgoing"),
    ("Adam", lambda: R.solve(0.1, "gd", lr=0.1, steps=1, optimizer="adam"), UnsupportedOptimizer, "optimizer", "not rotation-equivariant", "gradient descent with momentum"),
    ("K above M", lambda: tasks.routing(3, 4), InputError, "K", "4", "at most 3"),
    ("K above M in a design", lambda: design_pairs(3, 4), InputError, "K", "4", "at most 3"),
    ("every gate closed", lambda: reduce(task(gates={"h": np.zeros(4)})), NotApplicable, "task", "no path that any sample opens", "at least one"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("call", "kind", "argument", "found", "expected"), [i[1:] for i in ITEMS], ids=[i[0] for i in ITEMS]
)
def test_check_23_item_by_item(call, kind, argument, found, expected):
    with pytest.raises(kind, match=found) as caught:
        call()
    error = caught.value
    assert isinstance(error, LearntError) and isinstance(error, ValueError)
    assert error.argument == argument
    assert expected.replace("\\", "") in error.expected and error.found in str(error)


def test_check_23_an_edge_without_open_gates_is_reported_and_keeps_its_strength():
    graph = Graph(
        {"x": 2, "h": 3, "k": 3, "y": 1}, {"a": ("x", "h"), "b": ("h", "y"), "c": ("x", "k"), "d": ("k", "y")}
    )
    r = reduce(GatedTask(graph, {"x": X}, {"y": Y}, {"c": np.zeros(4)}))
    run = r.solve(0.2, t=3.0)
    assert r.never_trained == ("c", "d") and any("never trained" in note and "c, d" in note for note in run.caveats)
    assert (run.strength["c"] == 0.2).all() and (run.strength["a"][-1, 0] > 0.5)


def test_check_23_a_start_at_zero_warns_and_never_learns():
    with pytest.warns(RuntimeWarning, match="saddle"):
        run = R.solve(0.0, t=50.0)
    assert (run.loss == run.loss[0]).all() and np.isinf(run.time_to(0.5)).all()


def test_a_start_beyond_float64_is_an_error_and_no_hang():
    for call in (
        lambda: R.solve(1e308, t=1.0),
        lambda: R.lr_max(1e300),
        lambda: R.regime(1e300),
        lambda: race([XOR], 1e200),
    ):
        with pytest.raises(InputError, match="leave the range of float64"):
            call()


def test_decay_that_lets_nothing_grow_has_a_step_and_no_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert R.lr_max(weight_decay=1.0) == pytest.approx(2 / (0.5 + 1.0), rel=1e-6)  # at 0 the curvature is |s| = 1/2


def test_more_steps_than_memory_holds_are_refused():
    with pytest.raises(NotApplicable, match="steps"):
        R.solve(0.1, "gd", lr=0.1, steps=10**10)


JUNK = [
    None, "text", b"b", 3.7, -1, 0, True, float("nan"), float("inf"), 1e308, 10**400, [], {}, [[]], 1j, object(),
    np.array([object()], dtype=object), np.array(["a"]), torch.tensor(float("nan")), {"x": 1}, np.ones((2, 3, 4)),
    np.ones(0), [[1, 2], [3]], {1: 2}, {None: None}, (1, 2), np.int8(-3), [True], set(), np.datetime64("2020"), [None],
    torch.ones(2, 2, requires_grad=True), np.ma.masked, 1e-320,
]  # fmt: skip
W = {e: m.copy() for e, m in R.weights(0.1).items()}
ROUTE = SymmetricRouting(domains=3, pairs=2, weight=0.1)
CALLS: dict[str, tuple[Callable[..., Any], dict[str, Any]]] = {
    "Graph": (Graph, {"nodes": dict(GRAPH.nodes), "edges": dict(GRAPH.edges)}),
    "Graph.chain": (Graph.chain, {"dims": [2, 3, 1]}),
    "Graph.parallel": (Graph.parallel, {"k": 2, "d_in": 2, "h": 2, "d_out": 1}),
    "Graph.routing": (Graph.routing, {"M": 2, "d_in": 2, "h": 2, "d_out": 1, "shared_layers": 1, "in_layers": 1}),
    "Graph.paths": (GRAPH.paths, {"max_paths": 10}),
    "Graph.forward": (GRAPH.forward, {"weights": {"in": np.ones((3, 2)), "out": np.ones((1, 3))}, "x": {"x": X}, "gates": {}}),
    "GatedTask": (GatedTask, {"graph": GRAPH, "x": {"x": X}, "y": {"y": Y}, "gates": {}, "prob": np.ones(4), "prob_sums_to": 1.0}),
    "values": (lambda x, y, h: task(x={"x": x}, y={"y": y}, gates={"h": h}), {"x": X, "y": Y, "h": np.ones(4)}),
    "from_contexts": (GatedTask.from_contexts, {"graph": GRAPH, "x": {"x": X}, "y": {"y": Y}, "contexts": [{"h": 1.0}, {"h": 0.0}], "prob": np.ones(4), "context_prob": np.ones(2), "prob_sums_to": 1.0}),
    "of contexts": (lambda x, g: GatedTask.from_contexts(GRAPH, {"x": x}, {"y": Y}, [{"h": g}]), {"x": X, "g": 1.0}),
    "xor": (tasks.xor, {"gating": "four", "hidden": 2}),
    "hierarchy": (tasks.hierarchy, {"levels": 2, "weights": (6.0, 4.0, 3.0), "hidden": (16,), "weight": None}),
    "routing": (tasks.routing, {"M": 3, "K": 2, "y": np.eye(3), "x": np.eye(3), "hidden": 4, "shared_layers": 1, "weight": "mean", "rotations": None}),
    "random_dag": (tasks.random_dag, {"seed": 0, "modes": 2, "contexts": 2, "items": 8}),
    "band": (tasks.band, {"M": 3, "K": 2}),
    "reduce": (reduce, {"stats": R.stats, "tol": 1e-8, "per": "class", "modes": None}),
    "flow": (R.solve, {"init": 0.1, "method": "flow", "t": 1.0, "lr": None, "steps": None, "momentum": 0, "weight_decay": 0, "nesterov": False, "optimizer": "sgd", "full_batch": True, "require_exact": False, "symmetric": True}),
    "descent": (R.solve, {"init": 0.1, "method": "gd", "t": None, "lr": 0.1, "steps": 5, "momentum": 0.1, "weight_decay": 0.1, "nesterov": True, "optimizer": "sgd"}),
    "by edge": (lambda v: R.solve({e: v if e == "in0" else 0.1 for e in R.edges}, t=1.0), {"v": 0.1}),
    "calibrate": (R.calibrate, {"observed_loss": R.solve(0.1, "gd", lr=0.1, steps=200).loss, "lr": 0.1, "level": None, "low": 1e-8, "high": None}),
    "lr_max": (R.lr_max, {"init": None, "momentum": 0.0, "weight_decay": 0.0}),
    "regime": (R.regime, {"init": 0.1}),
    "weights": (R.weights, {"init": 0.1, "seed": 0}),
    "with_weights": (R.with_weights, {"weights": W}),
    "time_to": (R.solve(0.1, t=5.0).time_to, {"fraction": 0.5}),
    "time_to_loss": (R.solve(0.1, t=5.0).time_to_loss, {"level": 0.3}),
    "race": (race, {"candidates": [XOR], "init": 0.1, "relu_feasible": True, "t": None}),
    "zero_shot": (zero_shot, {"gate": np.ones((3, 3))}),
    "spectral_ratio": (spectral_ratio, {"matrix": np.eye(3)}),
    "design_pairs": (design_pairs, {"M": 4, "K": 2, "seed": 0}),
    "shared": (shared_vs_private, {"M": 3, "K": 2, "private_depth": 2, "init": 0.1, "s": 13.0, "d": 1.0, "weight": 1.0, "layers": (1, 1, 1)}),
    "untrained_error": (untrained_error, {"gate": np.ones((2, 2)), "seeds": 1, "hidden": 4, "gain": 0.2, "lr": 0.02, "y": None, "weight": None}),
    "GDLN": (GDLN, {"graph": XOR.graph, "weights": W, "dtype": torch.float64}),
    "GDLN.forward": (GDLN(XOR.graph).forward, {"x": {"x": X}, "gates": {"h0": np.ones(4)}}),
    "orthogonal": (orthogonal, {"graph": GRAPH, "gain": 1.0, "seed": 0}),
    "decoupled": (decoupled, {"graph": XOR.graph, "bases": R, "strength": 0.1, "seed": 0}),
    "train_gdln": (train_gdln, {"task": XOR, "steps": 2, "lr": 0.1, "initial": 0.2, "seeds": 1, "seed": 0, "momentum": 0.0, "weight_decay": 0.0, "batch": None, "record_every": None, "bases": None, "dtype": torch.float64, "device": None, "callbacks": ()}),
    "to_gdln": (to_gdln, {"model": NET, "X": X, "merge": "cluster", "threshold": 0.05, "groups": None, "distance": 0.1, "max_paths": 10}),
    "patterns": (relu_gates(NET, X).patterns, {"layer": 0, "faint": 0.0}),
    "histogram": (relu_gates(NET, X).histogram, {"bins": 5}),
    "correlations": (correlations, {"task": XOR.graph, "data": XOR, "max_paths": 10}),
    "path_gradient": (path_gradient, {"stats": R.stats, "weights": W}),
    "predict": (predict, {"task": XOR, "init": 0.2, "lr": 0.1, "steps": 5, "momentum": 0.0, "optimizer": "sgd", "t": None, "simulate": 0, "gain": None, "seed": 0}),
    "contexts": (reduce_contexts, {"task": XOR, "tol": 1e-8}),
    "context start": (reduce_contexts(XOR).weights, {"init": 0.1, "seed": 0}),
    "context_gradient": (context_gradient, {"stats": context_correlations(XOR), "weights": W}),
    "compare_profiles": (compare_profiles, {"first": mode_profile(NET, X, Y), "second": mode_profile(NET, X, Y)}),
    "to_gdln.task": (to_gdln(NET, X).task, {"X": X, "Y": Y}),
    "mode_profile": (mode_profile, {"model": NET, "X": X, "Y": Y, "whiten": True, "centre": False, "prob": None, "batch_size": 2}),
    "path_kernel": (path_kernel, {"model": NET, "X": X, "kind": "exact", "threshold": 0.05, "scaled": False}),
    "freeze_gates": (freeze_gates, {"model": NET, "X": X}),
    "matrix_solution": (laws.matrix_solution, {"t": 1.0, "w1": np.eye(2), "w2": np.eye(2), "sigma_yx": np.eye(2), "sigma_x": np.eye(2), "tol": 1e-6}),
    "two_layers": (laws.two_layer_strength, {"t": 1.0, "s": 2.0, "d": 1.0, "a0": 0.1, "lam": 0.1}),
    "deep": (laws.deep_time_to, {"fraction": 0.5, "s": 2.0, "d": 1.0, "b0": 0.1, "layers": 3}),
    "profile": (laws.deep_profile, {"z": 0.5, "layers": 3}),
    "xor_loss": (laws.xor_loss, {"t": 1.0, "b0": 0.1, "gating": "four", "task": "xor"}),
    "multiplicities": (laws.hierarchy_multiplicities, {"levels": 3}),
    "route time": (ROUTE.time, {"shared": 1.0, "s": 2.0, "d": 1.0, "start": (0.1, 0.1, 0.1)}),
    "route loss": (ROUTE.loss, {"factors": (0.1, 0.1, 0.1), "s": 2.0, "d": 1.0, "energy": 3.0}),
    "route lr_max": (ROUTE.lr_max, {"s": 2.0, "d": 1.0}),
}  # fmt: skip


def said_or_done(call: Callable[[], Any]) -> bool:
    """Whether a call works, or its error says what is wrong; errors of other libraries pass through."""
    try:
        call()
    except LearntError as error:
        return bool(error.argument and error.found and error.expected)
    return True


@pytest.mark.parametrize("name", CALLS)
def test_whatever_is_given_instead_of_an_argument_no_other_error_comes_out(name):
    call, good = CALLS[name]
    call(**good)
    for argument in good:
        for junk in JUNK:
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                warnings.filterwarnings("ignore", "saddle", RuntimeWarning)
                warnings.filterwarnings("ignore", "The trained pairs", RuntimeWarning)
                assert said_or_done(lambda call=call, given=good | {argument: junk}: call(**given))


@settings(max_examples=40)
@given(st.data())
def test_any_graph_and_any_task_give_finite_numbers_or_our_error(data):
    names = ["a", "b", "c", "d", "e"]
    size = st.integers(1, 4)
    nodes = {v: data.draw(size) for v in names[: data.draw(st.integers(2, 5))]}
    pair = st.tuples(st.sampled_from(list(nodes)), st.sampled_from(list(nodes)))
    edges = {f"e{k}": ends for k, ends in enumerate(data.draw(st.lists(pair, min_size=1, max_size=7)))}
    n = data.draw(st.integers(1, 6))
    seed = data.draw(st.integers(0, 1000))
    rng = np.random.default_rng(seed)
    scale = 10.0 ** data.draw(st.integers(-9, 6))
    found: list[Any] = []

    def reduced() -> None:
        graph = Graph(nodes, edges)
        x = {v: scale * rng.integers(-2, 3, (n, nodes[v])) for v in graph.inputs}
        y = {v: rng.integers(-2, 3, (n, nodes[v])) for v in graph.outputs}
        gated = data.draw(st.lists(st.sampled_from([*nodes, *edges]), unique=True, max_size=4))
        gates = {g: rng.choice([0.0, 0.5, 1.0, -1.0], n) for g in gated}
        prob = rng.integers(0, 3, n) + (np.arange(n) == 0)
        found.append(reduce(correlations(GatedTask(graph, x, y, gates, prob))))

    assert said_or_done(reduced)
    if not found:
        return
    r = found[0]
    assert 0 <= r.defect < np.inf and np.isfinite(r.S).all() and np.isfinite(r.D.values).all()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "saddle", RuntimeWarning)
        for run in (r.solve(0.3, t=2.0), r.solve(0.3, "gd", lr=0.01, steps=20)):
            assert np.isfinite(run.loss).all() and np.isfinite(run.B).all()
            assert not np.isnan(run.time_to(0.5)).any()


@pytest.mark.parametrize("name", ["dtype", "device", "callbacks", "optimizer"])
def test_trainers_name_what_they_cannot_use(name):
    data, wrong = routing_data("digits", 2), {"dtype": torch.int64, "device": "nowhere", "callbacks": 3, "optimizer": 3}
    trainers = [(train_gdln, (XOR,)), (train_routing, (data, np.eye(2)))]
    for train, given_ in trainers:
        with pytest.raises(InputError) as caught:
            train(*given_, steps=1, **{name: wrong[name]})
        assert caught.value.argument == name
    with pytest.raises(InputError, match="blocks"):
        learn_gates(blocks=None)  # pyright: ignore[reportArgumentType]
    with pytest.raises(InputError, match="steps a block"):
        learn_gates(blocks=1, dt=1e-300)
