"""Two layers as whole matrices: the closed form is the flow, at early and at late times, and refuses what it is not for."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import solve_ivp

from learnt.core.errors import InputError, NonFiniteError, NotApplicable, ShapeError
from learnt.gated.matrix_flow import balance, matrix_solution
from learnt.gated.two_layers import two_layer_strength

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "gated_closed.json").read_text(encoding="utf-8"))
SHAPES = [
    (3, 4, 5, 0.0, 0.1),
    (3, 4, 5, 0.7, 0.3),
    (3, 4, 3, -0.3, 0.2),
    (2, 6, 6, 0.0, 1e-3),
    (4, 4, 4, 0.5, 1.0),
    (3, 3, 3, -1.0, 1e-6),
]


def balanced(rng, h, i, o, lam, scale):
    """A start with W2^T W2 = W1 W1^T + lam I."""
    if lam < 0:
        second, first = balanced(rng, h, o, i, -lam, scale)
        return first.T, second.T
    first = rng.normal(size=(h, i)) * scale
    values, vectors = np.linalg.eigh(first @ first.T + lam * np.eye(h))
    frame = np.linalg.qr(rng.normal(size=(o, h)))[0]
    return first, frame @ np.diag(np.sqrt(values)) @ vectors.T


def flow(w1, w2, target, times):
    (h, i), o = w1.shape, len(w2)

    def rates(_, w):
        a, b = w[: h * i].reshape(h, i), w[h * i :].reshape(o, h)
        error = target - b @ a
        return np.concatenate([(b.T @ error).ravel(), (error @ a.T).ravel()])

    start = np.concatenate([w1.ravel(), w2.ravel()])
    found = solve_ivp(rates, (0, times[-1]), start, t_eval=times, method="DOP853", rtol=1e-11, atol=1e-13)
    return [(w[: h * i].reshape(h, i), w[h * i :].reshape(o, h)) for w in found.y.T]


@pytest.mark.parametrize(("h", "i", "o", "lam", "scale"), SHAPES)
def test_check_05_the_matrix_solution_is_the_flow(h, i, o, lam, scale):
    rng = np.random.default_rng(h + 10 * i + 100 * o)
    w1, w2 = balanced(rng, h, i, o, lam, scale)
    target = rng.normal(size=(o, i))
    t = np.array([0, 1e-9, 0.1, 0.5, 1, 2, 5])
    found = matrix_solution(t, w1, w2, target, np.eye(i))
    assert found.lam == pytest.approx(lam, abs=1e-12)
    for k, (a, b) in enumerate(flow(w1, w2, target, t)):
        np.testing.assert_allclose(found.product[k], b @ a, atol=1e-8)
        np.testing.assert_allclose(found.inner[k], a.T @ a, atol=1e-8)
        np.testing.assert_allclose(found.outer[k], b @ b.T, atol=1e-8)


@pytest.mark.parametrize(("h", "i", "o", "lam", "scale"), SHAPES)
def test_check_05_late_times_neither_overflow_nor_lose_a_mode(h, i, o, lam, scale):
    rng = np.random.default_rng(h + 10 * i + 100 * o)
    w1, w2 = balanced(rng, h, i, o, lam, scale)
    target = rng.normal(size=(o, i))
    late = matrix_solution([1e4, 1e8, 1e300], w1, w2, target, np.eye(i)).product
    left, s, right = np.linalg.svd(target, full_matrices=False)
    best = (left[:, :h] * s[:h]) @ right[:h]  # as good as h hidden units allow
    np.testing.assert_allclose(late, np.broadcast_to(best, late.shape), atol=1e-10)


def test_check_05_the_golden_network_has_the_golden_loss():
    golden = GOLDEN["dln2_full"]
    x, y, prob = (np.array(golden[key]) for key in ("X", "Y", "prob"))
    target, inputs = (y * prob[:, None]).T @ x, (x * prob[:, None]).T @ x
    found = matrix_solution(golden["t"], golden["W1"], golden["W2"], target, inputs)
    energy = (prob[:, None] * y**2).sum()
    np.testing.assert_allclose(found.loss(target, energy), golden["loss_flow"], atol=1e-8)


@given(st.integers(0, 2**32 - 1), st.floats(0.01, 1))
@settings(max_examples=20)
def test_an_aligned_start_is_one_sigmoid_a_mode(seed, b0):
    rng = np.random.default_rng(seed)
    u, v, r = (np.linalg.qr(rng.normal(size=(n, 3)))[0] for n in (4, 5, 6))
    s, t = np.array([3.0, 1.0, 0.0]), np.array([0, 0.3, 1, 4, 100])
    found = matrix_solution(t, b0 * r @ v.T, b0 * u @ r.T, u @ np.diag(s) @ v.T, np.eye(5))
    strengths = np.einsum("ia,tij,ja->ta", u, found.product, v)
    np.testing.assert_allclose(strengths, two_layer_strength(t[:, None], s, 1.0, b0**2), atol=1e-9)


def test_time_can_be_cut_anywhere():
    rng = np.random.default_rng(0)
    w1, w2 = balanced(rng, 3, 4, 5, 0.4, 0.2)
    target = rng.normal(size=(5, 4))
    a, b = flow(w1, w2, target, np.array([0, 0.7]))[-1]
    later = matrix_solution(0.9, a, b, target, np.eye(4), tol=1e-5).product
    np.testing.assert_allclose(later, matrix_solution(1.6, w1, w2, target, np.eye(4)).product, atol=1e-8)


def test_a_saddle_is_not_left_by_rounding():
    rng = np.random.default_rng(3)
    u, v, r = (np.linalg.qr(rng.normal(size=(6, 6)))[0][:, :3] for _ in range(3))
    b0 = np.diag([0.1, 0.0, 0.1])
    target = u @ np.diag([1.0, 5.0, 2.0]) @ v.T
    late = matrix_solution(1e4, r @ b0 @ v.T, u @ b0 @ r.T, target, np.eye(6)).product[0]
    np.testing.assert_allclose(u.T @ late @ v, np.diag([1.0, 0.0, 2.0]), atol=1e-9)
    assert not matrix_solution(9, np.zeros((2, 3)), np.zeros((3, 2)), np.eye(3), np.eye(3)).product.any()


def test_check_05_inputs_that_are_not_white_are_refused():
    w1, w2 = balanced(np.random.default_rng(0), 3, 3, 3, 0.0, 0.1)
    with pytest.raises(NotApplicable, match="whitened"):
        matrix_solution(1, w1, w2, np.eye(3), 1.01 * np.eye(3))
    matrix_solution(1, w1, w2, np.eye(3), 1.01 * np.eye(3), tol=0.1)


def test_check_05_a_start_that_is_not_balanced_is_refused():
    rng = np.random.default_rng(0)
    with pytest.raises(NotApplicable, match="balanced start"):
        matrix_solution(1, rng.normal(size=(3, 3)), rng.normal(size=(3, 3)), np.eye(3), np.eye(3))
    assert balance(np.zeros((2, 2)), np.zeros((2, 2))) == (0.0, 0.0)
    assert balance(np.eye(2), 2 * np.eye(2)) == (3.0, 0.0)


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"t": -1}, InputError),
        ({"t": [[1]]}, ShapeError),
        ({"t": np.nan}, NonFiniteError),
        ({"w2": np.eye(4)}, ShapeError),
        ({"w1": np.ones(3)}, ShapeError),
        ({"sigma_yx": np.eye(2)}, ShapeError),
        ({"sigma_x": np.eye(2)}, ShapeError),
        ({"tol": 0}, InputError),
    ],
)
def test_check_23_bad_matrices_are_refused(change, error):
    good = {"t": 1, "w1": np.eye(3), "w2": np.eye(3), "sigma_yx": np.eye(3), "sigma_x": np.eye(3)}
    with pytest.raises(error):
        matrix_solution(**{**good, **change})
