"""Training: the steps of torch.optim.SGD, the plan against the samples, and the limit of the learning rate."""

import numpy as np
import pytest
import torch

from learnt.core.errors import DivergedError, InputError, ShapeError
from learnt.gated import GatedTask, Graph, correlations, tasks
from learnt.gated._gdln_plan import Plan
from learnt.gated.gdln import GDLN, decoupled, orthogonal
from learnt.gated.gdln_training import train_gdln
from learnt.gated.path_stats import loss, path_gradient
from learnt.gated.reduction import reduce

from .made import random_task, random_weights
from .test_gdln import data_loss, routing_bases

CPU = torch.device("cpu")


@pytest.mark.parametrize("kind", ["mixed", "real"])
def test_check_01_the_plan_has_the_loss_and_gradient_of_the_paths_however_many_samples(kind):
    for seed, n in ((0, 6), (1, 40), (2, 300), (3, 300)):
        task = random_task(seed, n=n, kind=kind)
        two = [random_weights(task.graph, k, scale=0.4) for k in (seed, seed + 50)]
        stacked = {e: torch.tensor(np.stack([w[e] for w in two]), requires_grad=True) for e in task.graph.edges}
        values = Plan(task, torch.float64, CPU).losses(stacked)
        found = torch.autograd.grad(values.sum(), list(stacked.values()), allow_unused=True)
        stats = correlations(task)
        for r, weights in enumerate(two):
            assert abs(float(values[r].detach()) - loss(stats, weights)) <= 1e-12 * max(1.0, float(values[r].detach()))
            for e, gradient in zip(task.graph.edges, found, strict=True):
                seen = 0.0 if gradient is None else gradient[r].numpy()
                np.testing.assert_allclose(seen, path_gradient(stats, weights)[e], atol=1e-11)


def by_hand(task: GatedTask, weights, steps: int, **options) -> np.ndarray:
    """Losses of torch.optim.SGD on the samples, one network at a time."""
    network = GDLN(task.graph, weights)
    optimizer = torch.optim.SGD(network.parameters(), **options)
    losses = []
    for _ in range(steps):
        optimizer.zero_grad()
        value = data_loss(network, task)
        losses.append(float(value.detach()))
        value.backward()
        optimizer.step()
    return np.array([*losses, float(data_loss(network, task).detach())])


@pytest.mark.parametrize(("momentum", "decay"), [(0.0, 0.0), (0.9, 0.0), (0.5, 0.01)])
def test_check_09_curves_are_those_of_torch_sgd(momentum, decay):
    task = tasks.routing(3, 2, hidden=4, weight="paper")
    starts = [orthogonal(task.graph, 0.6, seed) for seed in (7, 8)]
    options = {"lr": 0.02, "momentum": momentum, "weight_decay": decay}
    given = iter(starts)
    trained = train_gdln(task, steps=40, seeds=2, initial=lambda seed: next(given), **options)
    for r, start in enumerate(starts):
        expected = by_hand(task, start, 40, **options)
        assert np.abs(trained.losses[:, r] - expected).max() <= 1e-10
        assert expected[-1] < 0.9 * expected[0]
    plain = by_hand(task, starts[0], 40, lr=0.02)
    assert momentum == decay == 0 or np.abs(trained.losses[:, 0] - plain).max() > 1e-3


@pytest.mark.parametrize(("momentum", "decay"), [(0.0, 0.0), (0.9, 0.01)])
def test_check_09_the_reduction_predicts_every_step_of_the_full_network(momentum, decay):
    task = tasks.routing(3, 2, hidden=6, weight="paper", rotations=1)
    reduction = reduce(correlations(task))
    assert reduction.exact
    options = {"steps": 80, "lr": 0.01, "momentum": momentum, "weight_decay": decay}
    trained = train_gdln(task, initial=decoupled(task.graph, reduction, 0.3), **options)
    predicted = reduction.solve(0.3, method="gd", **options)
    assert np.abs(trained.losses[:, 0] - predicted.loss).max() <= 1e-10
    assert trained.losses[-1, 0] < 0.8 * trained.losses[0, 0]


def test_many_seeds_at_once_are_the_seeds_one_by_one():
    task = tasks.xor("four", hidden=3)
    together = train_gdln(task, steps=20, lr=0.5, seeds=3, initial=0.5)
    alone = train_gdln(task, steps=20, lr=0.5, seeds=1, initial=0.5)
    np.testing.assert_allclose(together.losses[:, 0], alone.losses[:, 0], atol=1e-13)
    assert np.ptp(together.losses[-1]) > 1e-6
    assert together.losses.shape == (21, 3)
    np.testing.assert_allclose(together.time[-1], 10.0)


def test_strengths_of_a_decoupled_start_stay_on_the_diagonal():
    task = tasks.routing(3, 2, hidden=5, weight="notebook")
    bases = routing_bases(task)
    full = bases | {v: np.eye(5)[:, :4] for v in ("h1", "h2")}
    start = decoupled(task.graph, full, 0.3)
    trained = train_gdln(task, steps=40, lr=0.01, initial=start, record_every=10, bases=full)
    assert trained.at.tolist() == [0, 10, 20, 30, 40]
    np.testing.assert_allclose(trained.strength["hid"][0, 0], 0.3)
    for e, weights in trained.weights().items():
        source, target = task.graph.edges[e]
        back = (full[target] * trained.strength[e][-1, 0]) @ full[source].T
        np.testing.assert_allclose(back, weights, atol=1e-12)
    assert trained.strength["hid"][-1, 0, 0] > 0.5
    values = train_gdln(task, steps=2, initial=0.4).strength["hid"][0, 0]
    np.testing.assert_allclose(values, 0.4)


def test_check_14_the_full_network_settles_below_the_limit_of_the_learning_rate_and_not_above():
    task = tasks.routing(7, 4, hidden=16, weight="notebook")
    limit = 0.0375690005  # 2 / (3 w K M^(1/3) s^(4/3)), golden lr_max
    runs = [train_gdln(task, steps=220, lr=share * limit, initial=0.3, seeds=1) for share in (0.98, 1.02)]
    below, above = (run.losses[:, 0] for run in runs)
    assert below[-1] < 0.05
    assert above[-50:].min() > 0.5


def test_a_learning_rate_far_too_large_is_told_and_no_number_is_returned():
    with pytest.raises(DivergedError, match="step"):
        train_gdln(tasks.routing(3, 2, hidden=8, weight="notebook"), steps=300, lr=2.0, initial=1.0)


def test_batches_estimate_the_loss_and_learn():
    rng = np.random.default_rng(0)
    graph = Graph.chain([4, 6, 2])
    x = rng.normal(size=(64, 4))
    task = GatedTask(graph, {"x": x}, {"y": x @ rng.normal(size=(4, 2))}, prob=rng.random(64))
    trained = train_gdln(task, steps=60, lr=0.05, batch=16, seeds=4, initial=0.5)
    start = [task.loss(orthogonal(graph, 0.5, s)) for s in _seeds(4)]
    assert trained.losses[:20].mean() == pytest.approx(np.mean(start), rel=0.5)
    assert (trained.losses[-1] < 0.1 * trained.losses[0]).all()
    np.testing.assert_allclose(trained.losses[-1, 1], task.loss(trained.weights(1)), atol=1e-20)
    whole = train_gdln(task, steps=1, lr=0.05, batch=64, seeds=1, initial=0.5)
    np.testing.assert_allclose(whole.losses[0, 0], start[0], rtol=1e-12)


def _seeds(count: int) -> list[int]:
    from learnt.run.seeds import derive

    return [derive(0, "gated", i) for i in range(count)]


def test_the_first_step_that_leaves_a_fraction_is_found():
    trained = train_gdln(tasks.xor("four"), steps=120, lr=0.2, initial=0.5, seeds=2)
    step = trained.steps_to(0.5).astype(int)
    for r in range(2):
        assert trained.losses[step[r], r] <= 0.5 * trained.losses[0, r] < trained.losses[step[r] - 1, r]
    assert np.isinf(train_gdln(tasks.xor("single"), steps=5, initial=0.1).steps_to(0.9)).all()


def test_a_function_may_make_another_optimiser_and_names_may_not():
    trained = train_gdln(tasks.xor("four"), steps=60, optimizer=lambda p: torch.optim.Adam(p, lr=0.05))
    assert trained.losses[-1, 0] < 0.1
    assert np.isnan(trained.lr)
    with pytest.raises(InputError, match="function"):
        train_gdln(tasks.xor("four"), steps=3, optimizer="adam")


def test_check_23_arguments_without_meaning_are_refused():
    task = tasks.xor("four")
    for name, value in (("lr", 0.0), ("lr", -1.0), ("momentum", 1.0), ("weight_decay", -0.1), ("steps", 0),
                        ("seeds", 0), ("batch", 0), ("record_every", 0)):  # fmt: skip
        with pytest.raises(InputError, match=name):
            train_gdln(task, **({"steps": 3} | {name: value}))
    with pytest.raises(InputError, match="bases"):
        train_gdln(task, steps=3, bases={"x": np.eye(2)})
    with pytest.raises(ShapeError):
        train_gdln(task, steps=3, initial=orthogonal(task.graph, 1.0) | {"in0": np.ones((3, 3))})
    with pytest.raises(InputError, match="GatedTask"):
        train_gdln("xor", steps=3)
