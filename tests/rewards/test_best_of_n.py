"""Best-of-N regret: golden numbers, enumeration, unbiasedness, the certificate, and the measure."""

import json
from itertools import combinations
from math import comb
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import learnt
from learnt.core.errors import InputError, NotApplicable
from learnt.core.measure import Undefined
from learnt.rewards.best_of_n import (
    best_of_n_bound,
    best_of_n_regret,
    expected_maximum,
    pick_weights,
    picked_values,
    shown_numbers,
    worst_prompts,
)  # fmt: skip
from learnt.rewards.best_of_n_measure import BestOfNRegret
from learnt.rewards.score_report import report_lines
from learnt.rewards.scores import Responses
from learnt.testing import check_measure
from learnt.testing.responses import ScoredResponses

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "starc_responses.json").read_text())
S1, S2 = (np.ravel(GOLDEN[key]) for key in ("scores_1", "scores_2"))
GROUPS = np.repeat(["p0", "p1", "p2"], 4)
WORLD = ScoredResponses()


def test_check_19_best_of_n_of_prompt_0_comes_out_and_is_not_monotone():
    found = best_of_n_regret(S1[:4], S2[:4], GROUPS[:4], n_boot=100)
    wanted = GOLDEN["best_of_n_prompt0"]
    np.testing.assert_allclose(found.by_true, [wanted[str(n)]["true_by_true"] for n in range(1, 5)], rtol=1e-12)
    np.testing.assert_allclose(found.by_proxy, [wanted[str(n)]["true_by_proxy"] for n in range(1, 5)], rtol=1e-12)
    assert found.peak == 3  # over-optimisation: from there on, more selection by the proxy makes it worse
    assert found.at(4).value == pytest.approx(1.0)
    assert any("highest true score at N = 3 and falls beyond" in line for line in report_lines(found))


def test_check_19_the_certificate_comes_out():
    wanted = GOLDEN["bound_regret_in_sigma1_units"]
    found = best_of_n_bound(GOLDEN["starc_distance"], [int(n) for n in wanted])
    np.testing.assert_allclose(found, list(wanted.values()), rtol=1e-12)
    np.testing.assert_allclose(
        best_of_n_regret(S1, S2, GROUPS, [1, 2, 4], n_boot=100).certificate, found[:3], rtol=1e-12
    )


def test_check_19_single_prompts_and_their_average():
    found = best_of_n_regret(S1, S2, GROUPS, n_boot=100)
    np.testing.assert_allclose(found.picks.by_proxy[0], [1.5, 13 / 6, 2.25, 2.0], rtol=1e-12)
    np.testing.assert_allclose(found.by_proxy, found.picks.by_proxy.mean(0), rtol=1e-12)
    assert found.picks.prompts == ("p0", "p1", "p2")


@pytest.mark.parametrize("k", [1, 2, 5, 40])
def test_weights_are_the_binomial_ones(k):
    found = pick_weights(k, range(1, k + 2))
    wanted = [[comb(i - 1, n - 1) / comb(k, n) if n <= k else 0.0 for i in range(1, k + 1)] for n in range(1, k + 2)]
    np.testing.assert_allclose(found, wanted, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("k", [3000, 20_000])
def test_weights_of_thousands_of_responses_are_finite_and_sum_to_one(k):
    n = np.array([1, 2, 17, k // 2, k - 1, k])
    found = pick_weights(k, n)
    np.testing.assert_allclose(found.sum(1), 1.0, rtol=1e-10)
    assert (found >= 0).all() and np.isfinite(found).all()
    np.testing.assert_allclose(found[1, 9], (10 - 1) / comb(k, 2), rtol=1e-10)
    # exact mean rank of the maximum: N (K + 1) / (N + 1)
    np.testing.assert_allclose(found @ np.arange(1, k + 1.0), n * (k + 1) / (n + 1), rtol=1e-10)


@given(seed=st.integers(0, 9999), k=st.integers(1, 7), levels=st.integers(1, 4))
@settings(max_examples=80, deadline=None)
def test_values_equal_enumeration_of_all_subsets_with_ties_broken_at_random(seed, k, levels):
    rng = np.random.default_rng(seed)
    true, proxy = rng.standard_normal(k), rng.integers(0, levels, k).astype(float)
    found = picked_values(true[None], proxy[None], range(1, k + 1))[0]
    for n in range(1, k + 1):
        chosen = [list(c) for c in combinations(range(k), n)]
        means = [true[c][proxy[c] == proxy[c].max()].mean() for c in chosen]
        assert found[n - 1] == pytest.approx(np.mean(means), rel=1e-10, abs=1e-12)


def test_the_estimate_is_unbiased_for_sampling_best_of_n():
    """Mean over many sets of 6 scored responses against the exact best of 4 of a law on five values."""
    p, true, proxy = np.array([0.1, 0.3, 0.2, 0.25, 0.15]), np.array([0.0, 1, 2, -3, 4]), np.array([3.0, 0, 1, 4, 2])
    order = np.argsort(proxy)
    below = np.concatenate([[0.0], np.cumsum(p[order])]) ** 4
    exact = float(np.diff(below) @ true[order])
    drawn = np.random.default_rng(0).choice(5, (40_000, 6), p=p)
    values = picked_values(true[drawn], proxy[drawn], [4])[:, 0]
    assert abs(values.mean() - exact) < 4 * values.std() / np.sqrt(len(values))
    assert values.std() / np.sqrt(len(values)) < 0.01


def test_the_regret_of_jointly_normal_scores_is_one_minus_the_cosine_times_the_expected_maximum():
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(3000), 8)
    a, e = rng.standard_normal((2, 24_000))
    found = best_of_n_regret(a, 0.6 * a + 0.8 * e, groups, n_boot=200)
    for j in range(8):
        assert abs(found.relative[j].value - 0.4 * expected_maximum(j + 1)[0]) < 0.02
        assert abs(found.normal[j] - found.relative[j].value) < 0.02
    np.testing.assert_allclose(expected_maximum([1, 2, 3]), [0.0, 1 / np.sqrt(np.pi), 1.5 / np.sqrt(np.pi)], atol=1e-9)


@given(seed=st.integers(0, 9999), k=st.integers(2, 6))
@settings(max_examples=200, deadline=None)
def test_no_best_of_n_policy_loses_more_than_the_certificate(seed, k):
    """Exact best-of-N policies of a finite bandit, drawn with replacement, and exact norms under pi_ref."""
    rng = np.random.default_rng(seed)
    w, pi = rng.dirichlet(np.ones(3)), rng.dirichlet(np.ones(k), 3)
    true, proxy = rng.standard_normal((2, 3, k)) ** 3
    c = [r - (pi * r).sum(1, keepdims=True) for r in (true, proxy)]
    size = [np.sqrt(w @ (pi * x**2).sum(1)) for x in c]
    distance = np.sqrt(w @ (pi * (c[0] / size[0] - c[1] / size[1]) ** 2).sum(1))

    def value(q, n):
        order = np.argsort(q, 1)
        below = np.cumsum(np.take_along_axis(pi, order, 1), 1) ** n
        return w @ (np.diff(below, axis=1, prepend=0.0) * np.take_along_axis(true, order, 1)).sum(1)

    for n in (1, 2, 5, 50):
        assert (value(true, n) - value(proxy, n)) / size[0] <= best_of_n_bound(distance, n) + 1e-9


@given(seed=st.integers(0, 9999))
@settings(max_examples=30, deadline=None)
def test_regret_is_never_negative_and_zero_for_the_same_order(seed):
    case = WORLD.case(seed)
    found = best_of_n_regret(case.a, case.b, case.data, n_boot=100)
    assert (found.picks.regret[~np.isnan(found.picks.regret)] >= 0).all()
    assert found.regret[0].value == 0.0
    same = best_of_n_regret(case.a, np.exp(case.a), case.data, n_boot=100)
    assert all(e.value == 0.0 for e in same.regret if e.defined) and same.picks.mean(same.picks.regret).max() == 0.0
    worst = best_of_n_regret(case.a, -case.a, case.data, n_boot=100)
    assert worst.regret[2].value > found.regret[2].value


def test_a_proxy_without_preferences_picks_at_random():
    found = best_of_n_regret(S1, np.zeros(12), GROUPS, n_boot=100)
    np.testing.assert_allclose(found.by_proxy, S1.reshape(3, 4).mean(), rtol=1e-12)
    assert found.distance == 1.0


def test_a_truth_without_preferences_has_no_relative_regret():
    found = best_of_n_regret(np.repeat([1.0, 2.0, 3.0], 4), S2, GROUPS, n_boot=100)
    assert all(e.value == pytest.approx(0.0, abs=1e-12) for e in found.regret)
    assert not found.relative[1].defined and "same score" in found.relative[1].reason
    json.dumps(found.to_dict(), allow_nan=False)


def test_prompts_with_fewer_responses_leave_the_curve_where_they_end():
    groups = np.repeat(["a", "b"], [2, 4])
    found = best_of_n_regret(S1[:6], S2[:6], groups, n_boot=100)
    assert found.n_prompts.tolist() == [2, 2, 1, 1]
    assert np.isnan(found.picks.by_true[0, 2:]).all()
    assert found.by_true[3] == pytest.approx(S1[2:6].max())
    assert any("from N = 3 on, the numbers rest on fewer prompts (1 of 2 at N = 4)" in note for note in found.notes)


def test_an_n_that_hardly_any_prompt_has_gets_no_interval_but_a_reason():
    groups = np.append(np.repeat(np.arange(40), 2), np.repeat([98, 99], 6))
    a, b = np.random.default_rng(0).standard_normal((2, 92))
    found = best_of_n_regret(a, b, groups, [2, 6], n_boot=200)
    assert found.regret[0].defined and not found.regret[1].defined
    assert "too few" in found.regret[1].reason and "undefined" in str(found)
    json.dumps(found.to_dict(), allow_nan=False)


def test_weights_of_prompts_weigh_the_average():
    found = best_of_n_regret(S1, S2, GROUPS, [4], weights={"p0": 3, "p1": 1, "p2": 0}, n_boot=100)
    assert found.regret[0].value == pytest.approx((3 * found.picks.regret[0, 0] + found.picks.regret[1, 0]) / 4)


def test_intervals_cover_the_regret():
    rng, covered = np.random.default_rng(0), 0
    exact = 0.4 * expected_maximum(4)[0]
    for seed in range(200):
        a, e = rng.standard_normal((2, 600))
        found = best_of_n_regret(a, 0.6 * a + 0.8 * e, np.repeat(np.arange(100), 6), 4, n_boot=200, seed=seed)
        covered += found.regret[0].low <= exact <= found.regret[0].high
    assert 178 <= covered <= 199


def test_a_curve_of_thousands_has_a_few_hundred_points_and_a_report_few_rows():
    a, b = np.random.default_rng(0).standard_normal((2, 5000))
    found = best_of_n_regret(a, b, np.zeros(5000, int), n_boot=100)
    assert found.n[0] == 1 and found.n[-1] == 5000 and len(found.n) <= 256
    assert found.by_true[-1] == pytest.approx(a.max()) and found.by_proxy[-1] == pytest.approx(a[b.argmax()])
    assert [int(found.n[j]) for j in shown_numbers(np.arange(1, 13))] == [1, 2, 4, 8, 12]
    assert len(shown_numbers(found.n)) == 14


def test_the_worst_prompts_are_named():
    found = best_of_n_regret(S1, S2, GROUPS, n_boot=100)
    assert worst_prompts(found.picks, 3) == [("p0", pytest.approx(1.0))]
    assert "p0" in str(found)


@pytest.mark.parametrize(
    ("n", "text"), [(0, "from 1 to 4"), (5, "from 1 to 4"), ([], "from 1 to 4"), (2.5, "from 1 to 4"), (True, "1 to 4")]
)
def test_numbers_that_cannot_be_picked_from_are_errors(n, text):
    with pytest.raises(InputError, match=text):
        best_of_n_regret(S1, S2, GROUPS, n)


def test_bad_arguments_are_errors():
    with pytest.raises(NotApplicable, match="reference weights"):
        best_of_n_regret(S1, S2, Responses(GROUPS, reference=np.ones(12)))
    with pytest.raises(InputError, match="a second set"):
        best_of_n_regret(S1, S2, Responses(GROUPS), weights={"p0": 1})
    with pytest.raises(InputError, match="1 to 4"):
        best_of_n_regret(S1, S2, GROUPS, n_boot=100).at(9)
    with pytest.raises(InputError, match="none with two responses"):
        best_of_n_regret(S1[:2], S2[:2], ["a", "b"])


# -- the measure ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("measure", [BestOfNRegret(), BestOfNRegret(n=3)], ids=lambda m: m.name)
def test_the_measure_keeps_every_law(measure):
    check_measure(measure, world=WORLD)


def test_the_measure_gives_the_relative_regret_of_its_n():
    case = WORLD.case(1)
    measure = BestOfNRegret(n=3)
    found = measure.compare(*(measure.prepare(case.view(x), case.data, rng=None) for x in (case.a, case.b)), rng=None)
    wanted = best_of_n_regret(case.a, case.b, case.data, [3], n_boot=100)
    assert float(found.combine(found.columns.mean(0))) == pytest.approx(wanted.relative[0].value, rel=1e-12)
    assert found.details["at_most"][2] == pytest.approx(wanted.certificate[0])
    assert found.details["largest"][0][0] == worst_prompts(wanted.picks, 0)[0][0]


def test_without_a_number_it_asks_for_what_half_of_the_prompts_have():
    data = Responses(np.repeat([0, 1, 2, 3], [2, 4, 8, 8]))
    assert [m.name for m in BestOfNRegret().variants(data)] == ["best_of_n_regret(4)"]
    assert BestOfNRegret(n=8).question == "What would be lost by picking the best of 8 by B?"
    with pytest.raises(InputError, match="at least 2"):
        BestOfNRegret(n=1)
    with pytest.raises(NotApplicable, match="2 prompts with 9 responses"):
        learnt.compare(np.arange(22.0), np.arange(22.0), data, measures=[BestOfNRegret(n=9)], quiet=True)
    weighted = Responses([0, 0, 1, 1], reference=np.ones(4))
    with pytest.raises(NotApplicable, match="reference weights"):
        learnt.compare(np.arange(4.0), np.arange(4.0), weighted, measures=[BestOfNRegret(n=2)], quiet=True)


def test_a_truth_without_preferences_is_undefined_with_a_reason():
    case = WORLD.degenerate(0)["trivial reference"]
    measure = BestOfNRegret(n=3)
    found = measure.compare(
        *(measure.prepare(case.view(x, n), case.data, rng=None) for x, n in ((case.a, "old"), (case.b, "new"))),
        rng=None,
    )
    assert isinstance(found, Undefined) and found.reason == "old gives all responses of a prompt the same score"


def test_compare_shows_the_curves_of_both_and_of_the_control(tmp_path):
    rng = np.random.default_rng(0)
    data = Responses(np.repeat(np.arange(80), 6))
    a = rng.standard_normal(480)
    controls = [rng.standard_normal(480) for _ in range(4)]
    found = learnt.compare(
        a,
        a + 0.7 * rng.standard_normal(480),
        data,
        controls=controls,
        measures=[BestOfNRegret()],
        quiet=True,
        resamples=500,
    )
    answer = found["best_of_n_regret(6)"]
    assert answer.verdict == "transferred" and 0 < answer.value.low < answer.value.high < answer.control.low
    assert answer.chart.kind == "lines"
    assert set(answer.chart.series) == {"A", "B", "control"}
    gain = answer.chart.series["A"]
    assert gain[0] == 0.0 and (np.diff(gain) > 0).all() and (gain >= answer.chart.series["B"]).all()
    assert found.to_html(tmp_path / "x.html").stat().st_size > 1000
