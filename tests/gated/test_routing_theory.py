"""Routing with symmetric domains: golden numbers, the differential equations, the closed time, depth, and step sizes."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad, solve_ivp

from learnt.core.errors import InputError, NonFiniteError
from learnt.gated.deep import deep_time
from learnt.gated.routing_theory import Factors, SymmetricRouting

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "gated_closed.json").read_text(encoding="utf-8"))
CLOSED = GOLDEN["routing_time_closed_form"]
NOTEBOOK = SymmetricRouting(domains=7, pairs=4, weight=1 / 49)
S = CLOSED["s"]


def equal(b0):
    return Factors(b0, b0, b0)


@pytest.mark.parametrize("case", CLOSED["cases"], ids=lambda c: f"b2={c['b20']:.2f}")
def test_check_13_the_closed_time_has_the_golden_values(case):
    start = Factors(case["b10"], case["b20"], case["b10"])
    t = NOTEBOOK.time(case["b2"], S, CLOSED["d"], start)
    np.testing.assert_allclose(t, case["t"], atol=1e-8)
    np.testing.assert_allclose(NOTEBOOK.strengths(t, S, CLOSED["d"], start).shared, case["b2"], atol=1e-9)


@pytest.mark.parametrize("case", CLOSED["cases"], ids=lambda c: f"b2={c['b20']:.2f}")
def test_check_13_the_closed_time_is_the_sum_over_five_roots_and_the_integral(case):
    m, kw, d = 7, 4 / 49, CLOSED["d"]
    c0 = m * case["b10"] ** 2 - case["b20"] ** 2
    for x, expected in zip(
        case["b2"], NOTEBOOK.time(case["b2"], S, d, Factors(case["b10"], case["b20"], case["b10"])), strict=True
    ):
        inverse = lambda z: 1 / (kw * (z * z + c0) * (S - d / m * z * (z * z + c0)))
        assert quad(inverse, case["b20"], x, epsabs=1e-11, epsrel=1e-11, limit=200)[0] == pytest.approx(
            expected, abs=1e-8
        )
        if c0 > 1e-6:
            roots = np.concatenate([[1j * math.sqrt(c0), -1j * math.sqrt(c0)], np.roots([1, 0, c0, -m * S / d])])
            terms = [
                (np.log(x - r) - np.log(case["b20"] - r)) / np.prod([r - q for q in np.delete(roots, k)])
                for k, r in enumerate(roots)
            ]
            assert -m / (kw * d) * np.real(sum(terms)) == pytest.approx(expected, abs=1e-8)


@pytest.mark.parametrize("c0", [1e-6, 1e-9, 1e-12, -1e-12, -1e-9])
def test_check_13_the_time_is_continuous_where_the_start_becomes_balanced(c0):
    b2, target = 0.2, [0.3, 1.0, 4.5]
    balanced = NOTEBOOK.time(target, S, 1.0, Factors(b2 / math.sqrt(7), b2, b2 / math.sqrt(7)))
    near = math.sqrt((b2**2 + c0) / 7)
    np.testing.assert_allclose(
        NOTEBOOK.time(target, S, 1.0, Factors(near, b2, near)), balanced, atol=1e-7 + 40 * abs(c0)
    )


def test_check_13_a_balanced_start_is_a_chain_of_three_layers():
    b2 = 0.2
    start = Factors(b2 / math.sqrt(7), b2, b2 / math.sqrt(7))
    expected = deep_time([0.5, 3.0], *NOTEBOOK.chain(S, 1.0), b2, 3)
    np.testing.assert_allclose(NOTEBOOK.time([0.5, 3.0], S, 1.0, start), expected, rtol=1e-9)


def test_from_a_small_balanced_start_the_time_is_one_over_the_start():
    b2 = 1e-5
    start = Factors(b2 / math.sqrt(7), b2, b2 / math.sqrt(7))
    assert NOTEBOOK.time(2.0, S, 1.0, start) == pytest.approx(49 / (4 * S * b2), rel=1e-4)


@given(
    st.integers(1, 8), st.integers(1, 8), st.floats(0.1, 1),
    st.one_of(st.just(0.0), st.floats(0.1, 5)), st.one_of(st.just(0.0), st.floats(0.1, 2)),
    st.floats(0.05, 1), st.floats(-0.9, 2),
)  # fmt: skip
@settings(max_examples=30)
def test_the_laws_solve_the_differential_equations(m, k, w, s, d, b1, share):
    routing = SymmetricRouting(domains=m, pairs=min(k, m), weight=w)
    start = Factors(b1, share * b1 * math.sqrt(m), b1)
    if start.shared <= 0 and share > -1e-3:
        start = Factors(b1, b1 * math.sqrt(m), b1)
    t = np.linspace(0, 2 if d > 0 else 0.01, 6)
    exact = solve_ivp(
        lambda _, b: list(routing.rates(Factors(*b), s, d)), (0, t[-1]), list(start),
        t_eval=t, method="DOP853", rtol=1e-11, atol=1e-13,
    ).y  # fmt: skip
    found = routing.strengths(t, s, d, start)
    np.testing.assert_allclose(np.stack(found), exact, atol=1e-8)
    np.testing.assert_allclose(m * found.encoder**2 - found.shared**2, m * b1**2 - start.shared**2, atol=1e-10)
    if (np.abs(np.diff(found.shared)) > 1e-5).all():
        np.testing.assert_allclose(routing.time(found.shared, s, d, start), t, atol=1e-6)


def test_three_domains_follow_the_golden_reduction():
    golden = GOLDEN["routing_M3_K2_explicit"]
    routing = SymmetricRouting(domains=3, pairs=2, weight=golden["per_path_weight"])
    s = np.array(golden["singular_values"])
    found = routing.strengths(np.array(golden["t"])[:, None], s, 1.0, equal(golden["b0"]))
    np.testing.assert_allclose(found.encoder, golden["b1"], atol=1e-8)
    np.testing.assert_allclose(found.shared, golden["b2"], atol=1e-8)
    energy = (np.array(golden["Y_T"]) ** 2).sum()
    np.testing.assert_allclose(routing.loss(found, s, 1.0, energy), golden["loss_reduction"], atol=1e-8)


@pytest.mark.parametrize("layers", [(1, 1, 1), (2, 1, 1), (1, 2, 0), (2, 2, 2), (0, 2, 0), (0, 1, 0), (1, 1, 0)])
def test_any_depth_is_a_chain_from_a_balanced_start(layers):
    routing = SymmetricRouting(domains=5, pairs=3, weight=0.2, layers=layers)
    start = Factors(0.4 / math.sqrt(5), 0.4, 0.4 / math.sqrt(5))
    t = [0, 1, 5, 20]
    exact = solve_ivp(
        lambda _, b: list(routing.rates(Factors(*b), 2.0, 0.7)), (0, 20), list(start),
        t_eval=t, method="DOP853", rtol=1e-11, atol=1e-13,
    ).y  # fmt: skip
    np.testing.assert_allclose(routing.strengths(t, 2.0, 0.7, start).shared, exact[1], atol=1e-8)
    assert all(abs(rate) < 1e-12 for rate in routing.rates(routing.fixed_point(2.0, 0.7), 2.0, 0.7))


def test_small_starts_end_at_the_stated_point():
    end = NOTEBOOK.fixed_point(np.array([S, 3.0]), 0.5)
    np.testing.assert_allclose(end.shared, (7 * np.array([S, 3.0]) / 0.5) ** (1 / 3))
    np.testing.assert_allclose(end.encoder, (np.array([S, 3.0]) / 0.5) ** (1 / 3) * 7 ** (-1 / 6))
    late = NOTEBOOK.strengths(1e6, S, 0.5, equal(0.08))
    np.testing.assert_allclose(late, NOTEBOOK.fixed_point(S, 0.5, equal(0.08)), rtol=1e-12)


def test_the_final_strengths_of_the_notebook():
    s = np.array([13.60147, 6.403124, 3.0])
    end = NOTEBOOK.fixed_point(s, 1.0, equal(0.08))
    np.testing.assert_allclose(end.shared, [4.56, 3.55, 2.75], atol=0.015)
    np.testing.assert_allclose(end.encoder, [1.73, 1.34, 1.04], atol=0.015)


def test_the_number_of_pairs_drops_out_of_a_mean_over_pairs():
    times = [
        SymmetricRouting(domains=6, pairs=k, weight=1 / (6 * k)).time(1.0, 2.0, 1.0, equal(0.1)) for k in (1, 3, 6)
    ]
    np.testing.assert_allclose(times, times[0])
    fixed = [SymmetricRouting(domains=6, pairs=k, weight=0.1).time(1.0, 2.0, 1.0, equal(0.1)) * k for k in (1, 3, 6)]
    np.testing.assert_allclose(fixed, fixed[0])


def test_check_14_the_step_of_the_notebook():
    routing = SymmetricRouting(domains=7, pairs=4, weight=2 / 28)
    golden = GOLDEN["lr_max"]["authors_notebook_M7_K4_w_2_28"]
    assert routing.lr_max([S, 6.403124, 3.0, 3.0], 1.0) == pytest.approx(golden, rel=1e-7)
    assert routing.curvature(S, 1.0) == pytest.approx(3 * 2 / 28 * 4 * 7 ** (1 / 3) * S ** (4 / 3), rel=1e-13)
    for k, expected in ((7, 0.0191), (9, 0.0148)):  # spec 2.3: ten domains, the same loss
        assert SymmetricRouting(domains=10, pairs=k, weight=2 / 28).lr_max(S, 1.0) == pytest.approx(expected, abs=5e-5)


@pytest.mark.parametrize("layers", [(1, 1, 1), (2, 1, 1), (1, 2, 0)])
@pytest.mark.parametrize(("share", "stays"), [(0.98, True), (1.02, False)])
def test_check_14_below_the_step_descent_settles_and_above_it_does_not(layers, share, stays):
    routing = SymmetricRouting(domains=5, pairs=3, weight=0.2, layers=layers)
    lr, end = share * routing.lr_max(2.0, 0.7), routing.fixed_point(2.0, 0.7)
    b = Factors(*(1.001 * x for x in end))
    for _ in range(600):
        b = Factors(*(x + lr * rate for x, rate in zip(b, routing.rates(b, 2.0, 0.7), strict=True)))
    assert (max(abs(rate) for rate in routing.rates(b, 2.0, 0.7)) < 1e-9) == stays


def test_an_unbalanced_start_ends_with_its_own_curvature():
    start = Factors(1.5, 0.3, 1.5)
    end, step = NOTEBOOK.fixed_point(2.0, 1.0, start), 1e-6
    assert max(map(abs, NOTEBOOK.rates(end, 2.0, 1.0))) < 1e-13
    jacobian = [
        (np.array(NOTEBOOK.rates(Factors(*(np.array(end) + step * e)), 2.0, 1.0))
         - np.array(NOTEBOOK.rates(Factors(*(np.array(end) - step * e)), 2.0, 1.0))) / (2 * step)
        for e in np.eye(3)
    ]  # fmt: skip
    assert NOTEBOOK.curvature(2.0, 1.0, start) == pytest.approx(-np.linalg.eigvals(jacobian).real.min(), rel=1e-6)


def test_a_mode_without_a_target_or_a_start_never_arrives():
    assert NOTEBOOK.time(1.0, [0.0, 2.0], 1.0, equal(0.1))[0] == math.inf
    assert NOTEBOOK.time(1.0, 2.0, 1.0, equal(0.0)) == math.inf
    assert NOTEBOOK.time(99.0, 2.0, 1.0, equal(0.1)) == math.inf
    assert NOTEBOOK.time(0.1, 2.0, 1.0, equal(0.1)) == 0
    assert NOTEBOOK.strengths(1e300, 2.0, 1.0, equal(0.0)).shared == 0


def test_numbers_of_any_size_give_no_nan():
    rng = np.random.default_rng(0)
    sizes = np.array([0, 1e-300, 1e-160, 1e-30, 1e-8, 0.3, 1, 7, 1e8, 1e20])
    s, d, b1, b2, t = (rng.choice(sizes, 1000) for _ in range(5))
    start = Factors(b1, b2, b1)
    assert not np.isnan(NOTEBOOK.strengths(t, s, d, start)).any()
    assert not np.isnan(NOTEBOOK.time(t, s, d, start)).any()


def test_without_variance_a_mode_reaches_infinity():
    end = NOTEBOOK.time(1e12, 2.0, 0.0, equal(0.3))
    assert np.isfinite(NOTEBOOK.strengths(0.99 * end, 2.0, 0.0, equal(0.3)).shared)
    assert NOTEBOOK.strengths(1.01 * end, 2.0, 0.0, equal(0.3)).shared == math.inf


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda: SymmetricRouting(domains=3, pairs=4, weight=1), InputError),
        (lambda: SymmetricRouting(domains=0, pairs=1, weight=1), InputError),
        (lambda: SymmetricRouting(domains=3, pairs=1, weight=0), InputError),
        (lambda: SymmetricRouting(domains=3, pairs=1, weight=math.nan), NonFiniteError),
        (lambda: SymmetricRouting(domains=3, pairs=1, weight=1, layers=(1, 0, 1)), InputError),
        (lambda: SymmetricRouting(domains=3, pairs=1, weight=1, layers=(1, 1)), InputError),
        (lambda: NOTEBOOK.time(1, -1, 1, equal(0.1)), InputError),
        (lambda: NOTEBOOK.time(1, 1, 1, Factors(0.1, 0.1, 0.2)), InputError),
        (lambda: NOTEBOOK.time(1, 1, 1, Factors(0.1, -1.0, 0.1)), InputError),
        (lambda: NOTEBOOK.time(1, 1, 1, Factors(-0.1, 0.1, -0.1)), InputError),
        (lambda: NOTEBOOK.strengths(-1, 1, 1, equal(0.1)), InputError),
        (lambda: NOTEBOOK.fixed_point(0, 1), InputError),
        (
            lambda: SymmetricRouting(domains=4, pairs=1, weight=1, layers=(2, 1, 1)).time(1, 1, 1, equal(0.1)),
            InputError,
        ),
    ],
)
def test_check_23_bad_routing_is_refused(call, error):
    with pytest.raises(error):
        call()
