"""The laws of one mode: golden numbers, the differential equations they solve, their limits and their inverses."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from scipy.integrate import solve_ivp

from learnt.core.errors import InputError, NonFiniteError, ShapeError
from learnt.gated import closed_forms
from learnt.gated.closed_forms import (
    chain_curvature,
    chain_lr_max,
    deep_layer_strength,
    deep_profile,
    deep_time,
    deep_time_to,
    hierarchy_multiplicities,
    hierarchy_plateaus,
    hierarchy_strengths,
    lazy_index,
    one_layer_strength,
    one_layer_time,
    one_layer_time_to,
    three_layer_profile,
    two_layer_strength,
    two_layer_time,
    two_layer_time_to,
    two_layer_weights,
    very_deep_time,
    xor_loss,
    xor_mode,
)

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "gated_closed.json").read_text(encoding="utf-8"))
XOR = {case["name"]: case for case in GOLDEN["xor_family"]}
STRENGTH = st.one_of(st.just(0.0), st.floats(-3, 3).filter(lambda x: abs(x) > 1e-3))
CURVATURE = st.one_of(st.just(0.0), st.just(1e-9), st.floats(1e-2, 2))
FACTOR = st.one_of(st.just(0.0), st.floats(-1.5, 1.5).filter(lambda x: abs(x) > 1e-3))


def flow(rates, start, times):
    found = solve_ivp(rates, (0, times[-1]), start, t_eval=times, method="DOP853", rtol=1e-11, atol=1e-13)
    return found.y


def moving(values):
    """Whether successive strengths differ enough for times to be told from them."""
    return bool((np.abs(np.diff(values)) > 1e-5 * (1 + np.abs(values).max())).all())


# one layer


@given(STRENGTH, CURVATURE, st.floats(-2, 2))
def test_one_layer_solves_its_equation_and_tells_when(s, d, a0):
    t = np.linspace(0, 2, 6)
    a = one_layer_strength(t, s, d, a0)
    np.testing.assert_allclose(a, flow(lambda _, x: s - d * x, [a0], t)[0], atol=1e-9)
    if moving(a):
        np.testing.assert_allclose(one_layer_time(a, s, d, a0), t, atol=1e-7)


def test_one_layer_never_reaches_what_is_not_on_its_way():
    never = [math.inf] * 3
    assert one_layer_time([0.5, 2.0, 3.0, -1.0], 2, 1, 0).tolist() == pytest.approx([math.log(4 / 3), *never])
    assert one_layer_time_to(0.5, [2.0, 0.0, -2.0], 1, 0).tolist() == pytest.approx(
        [math.log(2), math.inf, math.log(2)]
    )
    assert one_layer_time_to(0.5, 1, [0.0, 1.0], [0.0, 0.7]).tolist() == [math.inf, 0.0]


# two layers


@pytest.mark.parametrize("case", GOLDEN["two_layer_mode_balanced"]["cases"], ids=lambda c: f"s={c['s']}")
def test_check_02_the_sigmoid_has_the_golden_values(case):
    s, d, a0 = case["s"], case["d"], case["a0"]
    np.testing.assert_allclose(two_layer_strength(case["t"], s, d, a0), case["a"], atol=1e-8)
    half = two_layer_time_to(0.5, s, d, a0)
    assert half == pytest.approx(case["t_half"], abs=1e-12) if case["t_half"] is not None else half == math.inf


def test_check_02_the_sigmoid_at_one_and_its_half_time():
    assert two_layer_strength(1, 3, 1, 0.01) == pytest.approx(1.723002, abs=1e-6)
    assert two_layer_time_to(0.5, 3, 1, 0.01) == pytest.approx(math.log(299) / 6, abs=1e-13)
    assert two_layer_time_to(0.5, 3, 1, 0.01) == pytest.approx(0.95008, abs=1e-5)


@pytest.mark.parametrize("case", GOLDEN["two_layer_mode_unbalanced"]["cases"], ids=lambda c: f"b={c['b1']},{c['b2']}")
def test_check_03_any_start_has_the_golden_values(case):
    s, d, b1, b2 = case["s"], case["d"], case["b1"], case["b2"]
    np.testing.assert_allclose(two_layer_strength(case["t"], s, d, b1 * b2, b2**2 - b1**2), case["a"], atol=1e-8)
    first, second = two_layer_weights(case["t"], s, d, b1, b2)
    np.testing.assert_allclose(first * second, case["a"], atol=1e-8)
    np.testing.assert_allclose(second**2 - first**2, b2**2 - b1**2, atol=1e-12)


@pytest.mark.parametrize(
    "case", GOLDEN["two_layer_mode_unbalanced"]["cases"][1:], ids=lambda c: f"b={c['b1']},{c['b2']}"
)
def test_check_03_the_printed_formula_is_the_same_function(case):
    s, d, a0, lam = case["s"], case["d"], case["b1"] * case["b2"], abs(case["b2"] ** 2 - case["b1"] ** 2)
    t, k = np.array(case["t"], dtype=float), d * lam / (2 * s)
    high, low = 1 / k + math.sqrt(1 + k**-2), 1 / k - math.sqrt(1 + k**-2)
    w0 = math.exp(math.asinh(2 * a0 / lam))
    ratio = (w0 - high) / (w0 - low) * np.exp(-2 * s * math.sqrt(1 + k**2) * t)
    w = (high - low * ratio) / (1 - ratio)
    np.testing.assert_allclose(two_layer_strength(t, s, d, a0, lam), lam * (w - 1 / w) / 4, atol=1e-12)


@pytest.mark.parametrize("lam", [0.0, 1e-300, 1e-30, -1e-16, 1e-12])
def test_check_03_a_vanishing_imbalance_is_the_sigmoid(lam):
    t = np.linspace(0, 5, 11)
    sigmoid = 1.5 / (1 + (1.5 / 0.01 - 1) * np.exp(-6 * t))
    np.testing.assert_allclose(two_layer_strength(t, 3, 2, 0.01, lam), sigmoid, atol=1e-8)


@pytest.mark.parametrize("lam", [1e3, -1e3])
def test_check_03_a_large_imbalance_is_an_exponential_of_rate_d_lam(lam):
    t = np.linspace(0, 1e-3, 11)
    expected = 3 / 2 + (0.01 - 3 / 2) * np.exp(-2 * abs(lam) * t)
    np.testing.assert_allclose(two_layer_strength(t, 3, 2, 0.01, lam), expected, atol=1e-5)


@given(STRENGTH, CURVATURE, FACTOR, FACTOR)
@example(1.0, 1.0, 0.5, -0.5)
@example(0.0, 1.0, 0.5, 0.5)
@example(-2.0, 0.0, 0.3, 0.3)
def test_two_layers_solve_their_equations_and_tell_when(s, d, b1, b2):
    t = np.linspace(0, 1, 6)
    exact = flow(lambda _, b: [b[1] * (s - d * b[0] * b[1]), b[0] * (s - d * b[0] * b[1])], [b1, b2], t)
    np.testing.assert_allclose(two_layer_weights(t, s, d, b1, b2), exact, atol=1e-8, rtol=1e-8)
    a = two_layer_strength(t, s, d, b1 * b2, b2**2 - b1**2)
    np.testing.assert_allclose(a, exact[0] * exact[1], atol=1e-8, rtol=1e-8)
    if moving(a):
        np.testing.assert_allclose(two_layer_time(a, s, d, b1 * b2, b2**2 - b1**2), t, atol=1e-6)


@given(
    st.floats(-1e3, 1e3),
    st.floats(0, 1e3),
    st.floats(-1e3, 1e3),
    st.floats(-1e3, 1e3),
    st.sampled_from([0, 1, 1e4, 1e300]),
)
def test_two_layers_never_give_nan(s, d, a0, lam, t):
    assert not np.isnan(two_layer_strength(t, s, d, a0, lam))
    assert two_layer_time_to(0.5, s, d, a0, lam) >= 0
    assert two_layer_time(1.0, s, d, a0, lam) >= 0


def test_numbers_of_any_size_give_no_nan():
    rng = np.random.default_rng(0)
    sizes = np.array([0, 1e-300, 1e-160, 1e-30, 1e-8, 0.3, 1, 7, 1e8, 1e20])
    s, a, lam = (rng.choice([-1, 1], 2000) * rng.choice(sizes, 2000) for _ in range(3))
    d, t = rng.choice(sizes, 2000), rng.choice([*sizes, 1e150, 1e300], 2000)
    found = [
        one_layer_strength(t, s, d, a), one_layer_time(t, s, d, a), two_layer_strength(t, s, d, a, lam),
        two_layer_time(t, s, d, a, lam), two_layer_time_to(0.5, s, d, a, lam), *two_layer_weights(t, s, d, a, lam),
        deep_layer_strength(t, s, d, a, 3), deep_layer_strength(t, s, d, a, 5), deep_time(t, s, d, a, 3),
        deep_time_to(0.5, s, d, a, 5), lazy_index(s, d, lam), chain_lr_max(s, d, 3),
    ]  # fmt: skip
    assert not any(np.isnan(values).any() for values in found)


def test_a_balanced_mode_never_leaves_zero_and_an_unbalanced_one_crosses_it():
    assert two_layer_strength(1e4, 1, 1, 0) == 0
    assert two_layer_strength(1e4, 1, 1, -0.1) == pytest.approx(0, abs=1e-12)
    assert two_layer_time_to(0.5, 1, 1, [0.0, -0.1]).tolist() == [math.inf, math.inf]
    assert two_layer_strength(1e4, 1, 1, -0.1, 0.1) == pytest.approx(1, abs=1e-12)
    assert two_layer_strength(two_layer_time_to(0.5, 1, 1, -0.1, 1e-100), 1, 1, -0.1, 1e-100) == pytest.approx(0.5)


def test_a_mode_that_starts_above_its_target_falls_to_it():
    a = two_layer_strength(np.linspace(0, 3, 20), 1, 1, 5.0, 0.3)
    assert (np.diff(a) < 0).all() and a[-1] == pytest.approx(1, abs=0.01)
    assert two_layer_time_to(0.5, 1, 1, 5.0, 0.3) == 0


def test_modes_and_times_broadcast():
    a = two_layer_strength(np.linspace(0, 1, 5)[:, None], [3.0, 2.0, 0.0], 1, 0.1, [0.0, 0.2, 0.3])
    assert a.shape == (5, 3)
    assert a[2, 1] == two_layer_strength(0.5, 2, 1, 0.1, 0.2)


def test_the_lazy_index_is_zero_when_balanced_and_infinite_without_a_target():
    assert lazy_index([2.0, 2.0, 0.0, 0.0], 1, [0.0, -4.0, 1.0, 0.0]).tolist() == [0.0, 1.0, math.inf, 0.0]


# depth


@pytest.mark.parametrize("case", GOLDEN["depth_L_mode_balanced"]["cases"], ids=lambda c: f"L={c['L']}")
def test_check_04_times_of_deep_chains(case):
    golden, n = GOLDEN["depth_L_mode_balanced"], case["L"]
    s, d, b0 = golden["s"], golden["d"], golden["b0"]
    target = (s / d) ** (1 / n)
    assert target == pytest.approx(case["b_target"], rel=1e-8)
    for share, t in case["t_at_fraction_of_b_target"].items():
        assert deep_time(float(share) * target, s, d, b0, n) == pytest.approx(t, rel=1e-6)
        assert deep_time_to(float(share) ** n, s, d, b0, n) == pytest.approx(t, rel=1e-6)
        assert deep_layer_strength(t, s, d, b0, n) == pytest.approx(float(share) * target, rel=1e-6)


def test_check_04_half_times_of_the_specification():
    times = [deep_time(0.5 * (1.7 / 0.6) ** (1 / n), 1.7, 0.6, 0.3, n) for n in (2, 3, 4, 6)]
    assert times == pytest.approx([0.681914, 1.174781, 2.604323, 17.007822], rel=1e-6)


def test_check_04_three_layers_are_elementary():
    z = np.array([0.01, 0.1, 0.3, 0.5, 0.9, 0.99])
    shift = three_layer_profile(z) - deep_profile(z, 3)
    np.testing.assert_allclose(shift, -np.pi / (6 * np.sqrt(3)), atol=1e-12)


@given(
    st.integers(1, 7),
    STRENGTH,
    st.one_of(st.just(0.0), st.floats(0.05, 2)),
    st.sampled_from([0.3, 0.8, 1.3, -0.3, -0.9, 0]),
)
def test_deep_chains_solve_their_equation_and_tell_when(n, s, d, b0):
    t = np.linspace(0, 0.3, 6)
    b = deep_layer_strength(t, s, d, b0, n)
    if d > 0 or n <= 2:
        exact = flow(lambda _, x: x ** (n - 1) * (s - d * x**n), [b0], t)[0]
        np.testing.assert_allclose(b, exact, atol=1e-8)
    there = np.isfinite(b)
    if moving(b[there]):
        np.testing.assert_allclose(deep_time(b[there], s, d, b0, n), t[there], atol=1e-6)


@pytest.mark.parametrize("n", [3, 4, 6])
def test_without_variance_a_deep_mode_reaches_infinity_in_finite_time(n):
    end = 0.5 ** (2 - n) / ((n - 2) * 2.0)
    assert np.isfinite(deep_layer_strength(0.999 * end, 2.0, 0.0, 0.5, n))
    assert deep_layer_strength(1.001 * end, 2.0, 0.0, 0.5, n) == math.inf


@pytest.mark.parametrize("n", [1, 2, 3, 5])
def test_without_a_target_nothing_is_learned_at_any_depth(n):
    assert deep_time_to(0.5, [0.0, 1.0], [1.0, 0.0], 0.3, n).tolist() == [math.inf, math.inf]
    assert n == 1 or deep_time_to(0.5, 1.0, 1.0, 0.0, n) == math.inf
    assert n == 1 or deep_layer_strength(1e6, 1.0, 1.0, 0.0, n) == 0


def test_near_the_target_times_keep_their_digits_where_scipy_turns_the_sign():
    # from far above to 1.0001 of the target: a fine sum of the integrand in ln b is the reference
    n, target = 6, 1.5
    s, d = target**n, 1.0
    x = np.linspace(math.log(3.0), math.log(1.0001 * target), 2_000_001)
    integrand = np.exp(x * (2 - n)) / (s - d * np.exp(n * x))
    assert deep_time(1.0001 * target, s, d, 3.0, n) == pytest.approx(np.trapezoid(integrand, x), rel=1e-6)


def test_deeper_means_a_longer_plateau_from_a_small_start():
    times = [deep_time_to(0.5, 1.0, 1.0, 0.1, n) for n in (2, 3, 4, 5)]
    assert (np.diff(times) > 0).all()


@pytest.mark.parametrize(("a", "s", "a0"), [(0.9, 1.0, 0.01), (2.0, 1.0, 5.0), (0.1, -1.0, 0.5), (0.2, 0.0, 0.5)])
def test_very_deep_chains_approach_their_limit(a, s, a0):
    limit = very_deep_time(a, s, 1.0, a0, 1)
    errors = [abs(deep_time(a ** (1 / n), s, 1.0, a0 ** (1 / n), n) * n / limit - 1) for n in (50, 500)]
    assert errors[1] < errors[0] / 8 and errors[1] < 0.02


def test_the_limit_of_depth_is_continuous_at_no_target():
    np.testing.assert_allclose(very_deep_time(0.5, [1e-7, 0.0, -1e-7], 1.0, 0.9, 10), (4 - 1 / 0.81) / 20, rtol=1e-6)


# XOR, hierarchy, step sizes


@pytest.mark.parametrize(
    ("name", "gating", "task"),
    [("xor_diag4", "four", "xor"), ("xor_half2", "halves", "xor"), ("linsep_single", "single", "separable"),
     ("linsep_half2", "halves", "separable"), ("linsep_diag4", "four", "separable")],
)  # fmt: skip
def test_the_loss_of_xor_has_the_golden_values(name, gating, task):
    case = XOR[name]
    mode = xor_mode(gating, task)
    assert [[mode.s, mode.d]] * mode.paths == [pytest.approx(row, abs=1e-9) for row in case["modes_s_d"]]
    np.testing.assert_allclose(xor_loss(case["t"], case["b0"], gating, task), case["loss_theory"], atol=1e-9)
    assert two_layer_time_to(0.5, mode.s, mode.d, case["b0"] ** 2) == pytest.approx(case["t_half_loss"], rel=1e-9)


def test_the_loss_of_xor_is_half_the_square_of_what_is_missing():
    t, mode = np.linspace(0, 20, 30), xor_mode("four")
    u0 = 0.1**2 * mode.d / mode.s
    u = 1 / (1 + (1 / u0 - 1) * np.exp(-math.sqrt(2) / 2 * t))
    np.testing.assert_allclose(xor_loss(t, 0.1), (1 - u) ** 2 / 2, atol=1e-13)


def test_one_pathway_never_learns_xor():
    loss = xor_loss([0, 1e3, 1e9], 0.1, "single")
    assert (loss >= 0.5).all() and loss[-1] == pytest.approx(0.5)
    assert two_layer_time_to(0.5, *xor_mode("single")[:2], 0.01) == math.inf


def test_check_22_strengths_of_a_hierarchy():
    golden = GOLDEN["hierarchy_singular_values"]["example"]
    np.testing.assert_allclose(hierarchy_strengths(golden["w"]), golden["s"], atol=1e-7)
    np.testing.assert_allclose(hierarchy_plateaus([6, 4, 3]), [244, 59, 18, 0], atol=1e-9)
    assert hierarchy_multiplicities(4).tolist() == [1, 1, 2, 4]
    assert len(hierarchy_strengths([4, 3, 2, 1])) == 8


@given(st.lists(st.floats(0.1, 5), min_size=1, max_size=6))
def test_check_22_the_formula_is_the_singular_values_of_the_tree(weights):
    n = 2 ** (len(weights) - 1)
    rows = [
        w * (np.arange(n) // (n >> k) == branch) for k, w in enumerate(weights) for branch in range(2**k)
    ]  # one feature a branch
    np.testing.assert_allclose(hierarchy_strengths(weights), np.linalg.svd(np.array(rows))[1][:n], atol=1e-9)


@pytest.mark.parametrize("n", [1, 2, 3, 5])
def test_check_14_the_step_of_a_chain_is_two_over_its_curvature(n):
    s, d, w = 1.7, 0.6, 0.3
    b = np.full(n, (s / d) ** (1 / n))

    def loss(x):
        a = np.prod(x)
        return w * (d * a**2 / 2 - s * a)

    step, eye = 1e-4, np.eye(n)
    hessian = [
        [(loss(b + step * (p + q)) - loss(b + step * (p - q)) - loss(b - step * (p - q)) + loss(b - step * (p + q))) / (4 * step**2)
         for q in eye] for p in eye
    ]  # fmt: skip
    assert chain_curvature(s, d, n, w) == pytest.approx(np.linalg.eigvalsh(hessian)[-1], rel=1e-6)
    assert chain_lr_max(s, d, n, w) == pytest.approx(2 / (n * w * d * (s / d) ** (2 - 2 / n)), rel=1e-14)


@pytest.mark.parametrize(("share", "stays"), [(0.98, True), (1.02, False)])
def test_check_14_below_the_step_descent_settles_and_above_it_does_not(share, stays):
    s, d, n = 1.7, 0.6, 3
    lr, target = share * chain_lr_max(s, d, n), (s / d) ** (1 / n)
    b = np.full(n, 1.001 * target)
    for _ in range(800):
        b = b + lr * np.prod(b) / b * (s - d * np.prod(b))
    assert (abs(np.prod(b) - s / d) < 1e-9) == stays


def test_a_mode_without_target_or_variance_bounds_no_step():
    assert chain_lr_max([0.0, 1.0], [1.0, 0.0], 2).tolist() == [math.inf, math.inf]


# refusals


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda: two_layer_strength(-1, 1, 1, 1), InputError),
        (lambda: two_layer_strength(1, 1, -1, 1), InputError),
        (lambda: two_layer_strength(1, math.nan, 1, 1), NonFiniteError),
        (lambda: two_layer_strength([1, 2], [1, 2, 3], 1, 1), ShapeError),
        (lambda: two_layer_strength("soon", 1, 1, 1), InputError),
        (lambda: two_layer_strength(1j, 1, 1, 1), InputError),
        (lambda: two_layer_time_to(0, 1, 1, 1), InputError),
        (lambda: two_layer_time_to(1.5, 1, 1, 1), InputError),
        (lambda: one_layer_strength(1, 1, -1e-9), InputError),
        (lambda: deep_time(1, 1, 1, 1, 0), InputError),
        (lambda: deep_time(1, 1, 1, 1, 2.5), InputError),
        (lambda: very_deep_time(1, 1, 1, 0, 9), InputError),
        (lambda: chain_curvature(1, 1, 2, weight=0), InputError),
        (lambda: xor_loss(1, 0.1, "diagonal"), InputError),
        (lambda: xor_mode("four", "and"), InputError),
        (lambda: hierarchy_strengths([]), ShapeError),
        (lambda: hierarchy_strengths([[1, 2]]), ShapeError),
    ],
)
def test_check_23_bad_numbers_are_refused(call, error):
    with pytest.raises(error):
        call()


def test_the_page_gathers_what_it_names():
    assert all(callable(getattr(closed_forms, name)) for name in closed_forms.__all__)
