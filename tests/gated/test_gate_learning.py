"""Learned gates: against autograd and closed forms, what makes them flexible, and the controls that stay forgetful."""

import json
from functools import cache

import numpy as np
import pytest
import torch

from learnt.core.errors import DivergedError, InputError, NonFiniteError, ShapeError
from learnt.gated.gate_learning import learn_gates, orthogonal_teachers
from learnt.gated.learned_gates import LearnedGates

SHORT = {"block": 0.2, "dt": 0.01, "records": 20}
FORGETFUL = {"tau_c": 1.3, "strength": 0.0}


@cache
def run(**settings) -> LearnedGates:
    return learn_gates(**({"replicas": 10, "dt": 1e-2, "records": 50} | settings))


def test_teachers_have_orthogonal_rows():
    rows = orthogonal_teachers(3, 4, 15, seed=2).reshape(12, 15)
    assert torch.allclose(rows @ rows.T, torch.eye(12, dtype=torch.float64) / 15, atol=1e-12)
    assert not torch.equal(orthogonal_teachers(seed=0), orthogonal_teachers(seed=1))
    with pytest.raises(InputError):
        orthogonal_teachers(3, 4, 11)


def test_every_step_is_one_of_gradient_descent_on_loss_and_regularisers():
    teachers = orthogonal_teachers(1, 3, 8, seed=1) * torch.tensor([3.0, -3.0])[:, None, None]  # gates want to turn
    settings = {"tau_w": 0.8, "tau_c": 0.25, "nonnegative": 2.0, "manifold": 3.0, "strength": 0.02, "c0": 0.02}
    found = learn_gates(teachers, 4, **settings, **SHORT, paths=3, init=0.5)
    # the same by autograd, from the same start
    start = learn_gates(teachers, 1, **(settings | {"tau_w": 1e15, "tau_c": 1e15}), **SHORT, paths=3, init=0.5)
    w, c = torch.tensor(start.paths[0]), torch.full((3,), 0.02, dtype=torch.float64)
    below = False
    for step in range(80):
        w.requires_grad_(True)
        c.requires_grad_(True)
        miss = torch.einsum("p,poi->oi", c, w) - teachers[(step // 20) % 2]
        held = 2.0 * 10 * (-c).clamp(min=0).sum() + 3.0 * 5 * (c.abs().sum() - 1) ** 2
        (0.5 * miss.square().sum() + 0.02 / 5.0 * held).backward()
        below = below or bool((c < 0).any())
        with torch.no_grad():
            gw, gc = (v.grad if v.grad is not None else torch.zeros_like(v) for v in (w, c))
            w, c = w - 0.01 / 0.8 * gw, c - 0.01 / 0.25 * gc
    assert below  # so that all of the regulariser has been at work
    assert np.abs(found.paths[0] - w.numpy()).max() < 1e-12
    assert np.abs(found.c[-1, -1, 0] - c.numpy()).max() < 1e-12


def test_with_held_gates_one_path_learns_exponentially():
    found = learn_gates(orthogonal_teachers(1, 4, 6), 1, tau_c=1e12, strength=0.0, c0=0.7, init=1e-9, **SHORT)
    steps = np.arange(21)
    assert np.allclose(found.loss[0, :, 0], (1 - 0.01 * 0.7**2 / 1.3) ** (2 * steps), atol=1e-8)
    assert np.allclose(found.time[0], 0.01 * steps)


def test_without_regularisers_the_balance_of_weights_and_gates_is_conserved():
    drift = []
    for dt in (1e-2, 5e-3):
        given = {"strength": 0.0, "block": 0.5, "dt": dt, "init": 0.5, "seed": 3}
        found = learn_gates(blocks=4, tau_c=0.3, **given)
        start = learn_gates(blocks=1, tau_c=1e12, tau_w=1e12, **given)
        kept = [
            1.3 * (r.paths**2).sum((2, 3))[0] - 0.3 * r.c[-1, -1, 0] ** 2 for r in (found, start)
        ]  # tau_w |W|^2 - tau_c c^2 of each path
        drift.append(np.abs(kept[0] - kept[1]).max())
        moved = 1.3 * np.abs((found.paths**2).sum((2, 3)) - (start.paths**2).sum((2, 3))).max()
        assert drift[-1] < 0.1 * moved
    assert drift[0] / drift[1] == pytest.approx(2, abs=0.1)  # of the order of the step: 0 for the flow


@pytest.mark.parametrize(("held", "share"), [("tau_w", 1.0), ("tau_c", 0.0)])
def test_what_gates_and_what_weights_did_adds_up(held, share):
    found = learn_gates(blocks=2, init=0.5, **({"tau_c": 0.03} | {held: 1e12}), **SHORT)
    assert np.allclose(found.gate_share, share, atol=1e-6)


def test_fast_and_bounded_gates_become_flexible():
    found = run()
    assert np.median(found.specialisation[0]) < 0.02
    assert (found.specialisation[-1] > 0.95).all()
    assert (found.gate_share[:2] < 0.2).all()
    assert (found.gate_share[-1] > 0.9).all()
    assert (found.retained_others[-1] > 0.999).all()
    # adaptation after a switch: at first most of a block, at the end a twelfth of that time
    assert (found.time_to(0.5)[0] > 0.7).all()
    assert (found.time_to(0.5)[-1] < 0.1).all()
    assert (found.mean_loss[-1] < found.mean_loss[1] / 5).all()
    # one path for each task, and it is its gate that is open
    active = found.c[-2:, -1].argmax(2)
    assert (active[0] != active[1]).all()
    matched = np.abs(found.cosine[-1]).argmax(2)  # (R, M)
    assert np.array_equal(np.take_along_axis(matched, found.tasks[-2:][None].repeat(10, 0), 1), active.T)


@pytest.mark.parametrize(
    ("settings", "faster"),
    [(FORGETFUL, 0.6), ({"strength": 0.0}, 0.8), ({"tau_c": 1.3}, 0.6)],
    ids=["slow gates without regularisers", "fast gates without regularisers", "slow gates with regularisers"],
)
def test_controls_stay_forgetful(settings, faster):
    found = run(**settings)
    assert (found.specialisation < 0.06).all()
    assert (found.gate_share[1:] < 0.2).all()
    assert (found.retained_others[-1] < 0.5).all()
    assert (found.mean_loss[-1] > faster * found.mean_loss[1]).all()  # and adapt hardly faster than at first
    assert (found.mean_loss[-1] > 3 * np.median(run().mean_loss[-1])).all()


def test_what_the_start_is_matters_very_small_weights_are_not_specialised_after_as_many_blocks():
    assert (run(init=1e-4).specialisation[-1] < 0.3).all()


def test_samples_of_a_step_change_little():
    drawn = learn_gates(blocks=2, batch=200, dt=4e-3, records=20)
    expected = learn_gates(blocks=2, dt=4e-3, records=20)
    assert np.abs(drawn.loss - expected.loss).max() < 0.05
    assert not np.array_equal(drawn.loss, expected.loss)


def test_a_replica_is_the_same_whatever_their_number_and_another_seed_is_another_run():
    one, three = (learn_gates(blocks=2, replicas=r, batch=5, **SHORT) for r in (1, 3))
    assert np.allclose(one.c[:, :, 0], three.c[:, :, 0], atol=1e-12)
    assert not np.allclose(three.paths[0], three.paths[1])
    assert np.array_equal(learn_gates(blocks=2, replicas=3, batch=5, **SHORT).loss, three.loss)
    assert not np.allclose(learn_gates(blocks=2, seed=1, **SHORT).paths, learn_gates(blocks=2, **SHORT).paths)


def test_blocks_may_come_in_any_order_and_the_first_loss_of_a_block_is_that_of_the_old_network():
    found = learn_gates(blocks=[1, 1, 0], **SHORT)
    assert found.tasks.tolist() == [1, 1, 0]
    assert found.loss[1, 0] == pytest.approx(found.loss[0, -1], abs=1e-12)
    assert np.isnan(found.retained_others[:2]).all()
    assert np.isfinite(found.retained_others[2]).all()


def test_measures_of_paths_that_are_the_teachers_and_of_paths_that_are_alike():
    def of(cosine):
        b = np.array(cosine, dtype=float)[None, None]
        loss = np.array([1.9, 0.6, 0.4, 0.1])[None, :, None]
        return LearnedGates(
            tasks=np.array([0]), time=np.array([[5.0, 5.1, 5.2, 5.3]]), loss=loss, c=np.zeros((1, 4, 1, 2)), cosine=b,
            retained=np.ones((1, 1, 2)), gate_share=np.ones((1, 1)), paths=np.zeros((1, 2, 1, 1)), settings={},
        )  # fmt: skip

    assert of([[0, -1], [1, 0]]).specialisation == pytest.approx(1)
    assert of([[0.7, 0.7], [0.7, 0.7]]).specialisation == pytest.approx(0)
    assert of([[0.9, 0.2], [0.3, 0.8]]).specialisation == pytest.approx(0.85 - 0.25)
    assert of([[1, 0], [0, 1]]).time_to(0.5) == pytest.approx(0.2)
    assert np.isinf(of([[1, 0], [0, 1]]).time_to(0.05)).all()
    assert of([[1, 0], [0, 1]]).mean_loss == pytest.approx(0.75)


def test_reports_are_text_json_and_a_chart():
    found = learn_gates(blocks=3, replicas=2, **SHORT)
    assert str(found) == found.table()
    assert len(found.table().splitlines()) == 5
    json.dumps(found.to_fields(), allow_nan=False)
    chart = found.chart(1)
    assert [len(v) for v in chart.series.values()] == [len(chart.x)] * 2
    with pytest.raises(InputError):
        found.chart(2)
    with pytest.raises(InputError):
        found.time_to(1.5)


def test_a_step_that_is_too_large_is_an_error():
    teachers = 100 * orthogonal_teachers(1, 2, 2)
    with pytest.raises(DivergedError):
        learn_gates(teachers, 3, block=10.0, dt=0.02, init=10.0)


@pytest.mark.parametrize(
    ("given", "error"),
    [
        ({"teachers": np.ones((2, 3))}, ShapeError),
        ({"teachers": np.zeros((2, 3, 3))}, InputError),
        ({"teachers": np.full((2, 3, 3), np.nan)}, NonFiniteError),
        ({"blocks": 0}, InputError),
        ({"blocks": [0, 2]}, InputError),
        ({"blocks": []}, InputError),
        ({"paths": 0}, InputError),
        ({"tau_c": 0.0}, InputError),
        ({"tau_w": -1.0}, InputError),
        ({"strength": -0.1}, InputError),
        ({"init": "small"}, InputError),
        ({"batch": 0}, InputError),
        ({"dt": 0.2}, InputError),
        ({"dt": 0.05}, InputError),
        ({"records": 0}, InputError),
        ({"replicas": True}, InputError),
    ],
)
def test_bad_input_is_an_error(given, error):
    with pytest.raises(error):
        learn_gates(**given)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_the_computation_runs_where_the_teachers_are():
    here, there = (learn_gates(orthogonal_teachers().to(d), 2, init=0.5, **SHORT) for d in ("cpu", "cuda"))
    assert np.isfinite(there.loss).all()
    assert there.loss[0, 0, 0] == pytest.approx(here.loss[0, 0, 0], abs=0.5)
