"""One number fitted to the first drop of a real run predicts the others."""

import numpy as np
import pytest
from tests.gated.test_reduction import MINE

from learnt.core.errors import InputError, LearntError, NotApplicable, ShapeError
from learnt.gated import tasks
from learnt.gated.calibration import calibrate, crossing, first_drop
from learnt.gated.reduction import reduce

NOTEBOOK = reduce(tasks.routing(7, 4, weight="notebook"))
LEVELS = (38.5, 9.0)


def random_run(seed: int, steps: int) -> np.ndarray:
    """The authors' network, M = 7, K = 4, H = 64: orthogonal start of gain .2, SGD of step .02 on the notebook's loss."""
    rng = np.random.default_rng(seed)
    x, y = np.eye(4), np.array(tasks.hierarchy(weight=1.0).y["y"]).T
    gate = np.array(
        [[(j - i) % 7 in (5, 6, 0, 1, 2) and (j - i + 1) % 7 < 4 for j in range(7)] for i in range(7)], dtype=float
    )
    assert (gate.sum(0) == 4).all() and (gate.sum(1) == 4).all()

    def orthogonal(rows: int, columns: int) -> np.ndarray:
        q, r = np.linalg.qr(rng.normal(size=(max(rows, columns), min(rows, columns))))
        q = q * np.sign(np.diag(r))
        return 0.2 * (q if rows >= columns else q.T)

    into = np.stack([orthogonal(64, 4) for _ in range(7)])
    hid = orthogonal(64, 64)
    out = np.stack([orthogonal(7, 64) for _ in range(7)])
    w, losses = 2 / 28, []
    for _ in range(steps + 1):
        h1 = into @ x
        h2 = hid @ h1
        miss = gate.T[:, :, None, None] * (y - out[:, None] @ h2)  # (output domain, input domain, features, items)
        losses.append(0.5 * w * float((miss**2).sum()))
        back = (out.transpose(0, 2, 1)[:, None] @ miss).sum(0)
        step_out = (miss @ h2.transpose(0, 2, 1)).sum(1)
        step_hid = (back @ h1.transpose(0, 2, 1)).sum(0)
        step_in = hid.T @ back @ x.T
        out, hid, into = out + 0.02 * w * step_out, hid + 0.02 * w * step_hid, into + 0.02 * w * step_in
    return np.array(losses)


def test_check_25_calibrated_on_the_first_drop_the_others_are_predicted():
    errors, fitted = [], []
    for seed in range(10):
        observed = random_run(seed, 380)
        b0 = NOTEBOOK.calibrate(observed[:120], 0.02)
        fitted.append(b0)
        run = NOTEBOOK.solve(b0, "gd", lr=0.02, steps=500)
        for level in LEVELS:
            real, said = crossing(observed, level), crossing(run.loss, level)
            assert real is not None and said is not None
            errors.append(abs(said - real) / real)
    assert np.mean(errors) <= 0.10 and np.max(errors) <= 0.20
    assert 0.065 <= min(fitted) and max(fitted) <= 0.09
    low, high = MINE["calibration"]["fitted_b0_range"]
    assert min(fitted) == pytest.approx(low, abs=0.006) and max(fitted) == pytest.approx(high, abs=0.006)


@pytest.mark.parametrize("b0", [0.01, 0.08, 0.3])
@pytest.mark.parametrize("sgd", [{}, {"momentum": 0.9, "weight_decay": 1e-3}])
def test_a_start_is_found_again_from_its_own_curve(b0, sgd):
    lr = 0.02 if not sgd else 0.004
    curve = NOTEBOOK.solve(b0, "gd", lr=lr, steps=800, **sgd).loss
    assert NOTEBOOK.calibrate(curve, lr, **sgd) == pytest.approx(b0, rel=1e-6)


def test_first_drop_is_halfway_to_the_first_plateau():
    assert first_drop(NOTEBOOK, 0.01, 0.02) == pytest.approx((244 + 59) / 2, abs=1e-3)


def test_curves_that_cannot_be_fitted_are_refused():
    with pytest.raises(NotApplicable, match="falls below"):
        NOTEBOOK.calibrate(np.full(50, 244.0), 0.02)
    with pytest.raises(NotApplicable, match="first drop after"):
        NOTEBOOK.calibrate(np.array([244.0, 243.9, 60.0, 59.0]), 0.0002)
    with pytest.raises(ShapeError):
        NOTEBOOK.calibrate(np.ones((3, 3)), 0.02)
    with pytest.raises(LearntError):
        NOTEBOOK.calibrate([244.0, np.nan], 0.02)
    with pytest.raises(NotApplicable, match="no mode with a target"):
        calibrate(reduce(tasks.xor("single")), [0.5, 0.4], 0.1)
    with pytest.raises(InputError):
        NOTEBOOK.calibrate([244.0, 100.0], 0.02, low=1.0, high=0.1)
