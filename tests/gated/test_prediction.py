"""One object holds a prediction and what was observed, and claims no more than holds."""

import json

import numpy as np
import pytest

from learnt.core.errors import InputError
from learnt.gated import AssumptionError, reduce, tasks
from learnt.gated.prediction import predict


@pytest.fixture(scope="module")
def noisy():
    base = tasks.random_dag(0)
    rng = np.random.default_rng(0)
    x = {v: base.x[v] + 0.2 * base.x[v].std() * rng.normal(size=base.x[v].shape) for v in base.x}
    return type(base)(base.graph, x, dict(base.y), dict(base.gates), base.prob, None)


def test_a_prediction_is_that_of_the_reduction():
    task = tasks.hierarchy(hidden=(8,), weight=1.0)
    found = predict(task, 0.05, lr=0.002, steps=300)
    assert np.array_equal(found.trajectory.loss, reduce(task).solve(0.05, "gd", lr=0.002, steps=300).loss)
    assert [round(row.strength, 4) for row in found.rows] == [13.6015, 6.4031, 3.0]
    assert [row.count for row in found.rows] == [1, 1, 2] and sum(row.share for row in found.rows) == pytest.approx(1)
    assert found.claim == "exact" and "prediction: exact, for decoupled weights of strength 0.05" in str(found)
    assert "weights of samples sum to 4" in str(found)
    json.dumps(found.to_fields(), allow_nan=False)


def test_defects_downgrade_the_claim_and_name_the_path(noisy):
    found = predict(noisy, 0.3, t=1.0)
    assert found.claim == "order of learning only" and found.to_fields()["worst_path"]
    assert "an order of learning only" in str(found) and "prediction: exact" not in str(found)
    with pytest.raises(AssumptionError, match="on path"):
        predict(noisy, 0.3, t=1.0, require_exact=True)


def test_a_random_start_is_calibrated_and_its_defect_stated():
    task = tasks.routing(5, 3, weight="notebook", hidden=32)
    found = predict(task, lr=0.02, steps=400, simulate=2, gain=0.2, calibrate=True)
    (observed,) = found.observed.values()
    assert 0.05 < found.init < 0.12 and found.start_defect > 0.3
    assert found.half == pytest.approx(observed.half, rel=0.05)
    assert "only as calibrated" in str(found)


def test_half_of_the_loss_is_found_between_steps():
    found = predict(tasks.xor(), 0.1, t=12.0, observed={"twin": (np.array([0.0, 12.0]), np.array([0.5, 0.0]))})
    run = found.trajectory
    assert found.half == pytest.approx(run.time_to_loss(0.5 * (run.loss[0] + run.loss[-1])), rel=1e-4)
    assert found.observed["twin"].half == pytest.approx(6.0, rel=0.05)
    assert predict(tasks.xor("single"), 0.1, t=3.0).half == np.inf


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({}, "lr"),
        ({"lr": 0.1, "t": 1.0}, "lr"),
        ({"t": 1.0, "simulate": 1}, "descent"),
        ({"t": 1.0, "momentum": 0.5}, "momentum"),
        ({"lr": 0.1, "gain": 0.1}, "gain"),
        ({"lr": 0.1, "gain": -0.1, "simulate": 1}, "gain"),
        ({"lr": 0.1, "calibrate": True, "simulate": 1}, "calibrate"),
        ({"lr": 0.1, "simulate": -1}, "simulate"),
        ({"lr": 0.1, "calibrate": True, "observed": {"a": (np.array([0.0, 5.0]), np.ones(2))}}, "every step"),
    ],
)
def test_settings_without_meaning_are_errors(settings, said):
    with pytest.raises(InputError, match=said):
        predict(tasks.xor(), **settings)
