"""Distances within prompts: golden numbers, the invariances, intervals that cover, witnesses, and the measure."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import learnt
from learnt.core.errors import InputError, NotApplicable
from learnt.core.measure import Sums
from learnt.rewards.mdp import TabularMDP
from learnt.rewards.response_measure import ResponseDistance
from learnt.rewards.responses import response_distance
from learnt.rewards.score_forms import canonical_scores, distance_sums
from learnt.rewards.score_report import report_lines, report_rows, report_tables
from learnt.rewards.scores import Responses, ScoreTable
from learnt.rewards.starc import starc_distance
from learnt.testing import check_measure
from learnt.testing.responses import ScoredResponses

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "starc_responses.json").read_text())
S1, S2 = (np.ravel(GOLDEN[key]) for key in ("scores_1", "scores_2"))
GROUPS = np.repeat(["p0", "p1", "p2"], 4)
WORLD = ScoredResponses()


def pair(a, b, groups=GROUPS, **options):
    return response_distance({"a": a, "b": b}, groups, n_boot=100, **options)["a", "b"]


def d(a, b, groups=GROUPS, **options):
    data = Responses(groups, **options)
    sums = distance_sums(*(canonical_scores(data.subject(x, name="x"), data) for x in (a, b)))
    return float(sums.combine(sums.columns.mean(0)))


def random_scores(seed, prompts=6, models=2):
    rng = np.random.default_rng(seed)
    groups = np.repeat(np.arange(prompts), rng.integers(2, 6, prompts))
    return groups, *rng.standard_normal((models, len(groups)))


# -- check 19 ---------------------------------------------------------------------------------------------


def test_check_19_golden_cosine_distance_and_angle_come_out():
    found = pair(S1, S2)
    assert found.cosine.value == pytest.approx(GOLDEN["within_prompt_cosine"], rel=1e-12)
    assert found.distance.value == pytest.approx(GOLDEN["starc_distance"], rel=1e-12)
    assert found.angle.value == pytest.approx(GOLDEN["angle_deg"], rel=1e-12)


def test_check_19_offsets_of_prompts_and_a_scale_change_nothing():
    changed = 3 * S2 + np.repeat([7.0, -2.0, 0.0], 4)
    assert abs(d(S1, changed) - d(S1, S2)) < 1e-12
    assert d(S2, changed) == pytest.approx(GOLDEN["after_prompt_shift_and_scale(3*S2+[7,-2,0])"], abs=1e-12)


def test_check_19_a_global_correlation_is_another_number_and_moves_with_the_offsets():
    assert np.corrcoef(S1, S2)[0, 1] == pytest.approx(GOLDEN["global_pearson_not_invariant"], rel=1e-12)
    changed = np.corrcoef(S1, S2 + np.repeat([0.0, 0.0, 40.0], 4))[0, 1]
    assert abs(changed - GOLDEN["global_pearson_not_invariant"]) > 0.1


def test_check_19_uneven_groups_come_out():
    uneven = GOLDEN["uneven"]
    groups = np.repeat([0, 1, 2], [len(x) for x in uneven["scores_1"]])
    found = pair(np.concatenate(uneven["scores_1"]), np.concatenate(uneven["scores_2"]), groups)
    assert found.cosine.value == pytest.approx(uneven["cosine_unbiased_cov"], rel=1e-12)
    assert found.distance.value == pytest.approx(uneven["distance"], rel=1e-12)


def test_averaging_correlations_of_single_prompts_is_another_number():
    one = [np.corrcoef(S1[i : i + 4], S2[i : i + 4])[0, 1] for i in (0, 4)]  # the third prompt has none
    assert abs(np.mean(one) - GOLDEN["within_prompt_cosine"]) > 0.02


def test_it_is_the_starc_distance_of_the_bandit_that_prompts_and_responses_are():
    """Prompts as first states, responses as actions, an end after: VAL under pi_ref with its L2 norm over (x, y)."""
    prompts, k = 5, 4
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((2, prompts, k))
    p = np.zeros((prompts + 1, k, prompts + 1))
    p[:, :, -1] = 1.0
    terminal = np.arange(prompts + 1) == prompts
    mdp = TabularMDP(p, np.append(np.full(prompts, 1 / prompts), 0.0), 0.9, terminal=terminal)
    rewards = [np.vstack([r, np.zeros(k)])[:, :, None] * (np.arange(prompts + 1) == prompts) for r in (a, b)]
    groups = np.repeat(np.arange(prompts), k)
    assert d(a.ravel(), b.ravel(), groups) == pytest.approx(starc_distance(*rewards, mdp), rel=1e-9)


# -- laws -------------------------------------------------------------------------------------------------


@given(seed=st.integers(0, 9999), scale=st.sampled_from([1e-20, 0.3, 1.0, 1e20]))
@settings(max_examples=80, deadline=None)
def test_it_is_a_pseudometric_of_preferences(seed, scale):
    groups, a, b, c = random_scores(seed, models=3)
    offsets = np.random.default_rng(seed + 1).standard_normal(6)[groups]
    assert d(a, a, groups) == 0.0
    assert d(a, scale * (a + offsets), groups) < 1e-12
    assert d(a, -scale * a + offsets * scale, groups) == pytest.approx(2.0, abs=1e-12)
    assert d(a, b, groups) == d(b, a, groups)
    assert d(a, b, groups) == pytest.approx(d(a + offsets, scale * b, groups), abs=1e-12)
    assert d(a, c, groups) <= d(a, b, groups) + d(b, c, groups) + 1e-12


@given(seed=st.integers(0, 9999), k=st.integers(2, 5))
@settings(max_examples=40, deadline=None)
def test_weights_of_prompts_act_as_repetitions_and_reference_weights_of_one_size_do_nothing(seed, k):
    groups, a, b = random_scores(seed)
    copies = np.concatenate([np.flatnonzero(groups == 0)] * (k - 1))
    again = np.concatenate([groups, 100 + np.repeat(np.arange(k - 1), (groups == 0).sum())])
    weighted = d(a, b, groups, weights={g: k if g == 0 else 1 for g in range(6)})
    assert weighted == pytest.approx(d(np.append(a, a[copies]), np.append(b, b[copies]), again), rel=1e-10)
    assert d(a, b, groups, weights=np.where(groups == 0, k, 1)) == weighted
    assert d(a, b, groups, weights=[k, 1, 1, 1, 1, 1]) == weighted
    assert d(a, b, groups, reference=np.full(len(groups), 7.0)) == pytest.approx(d(a, b, groups), rel=1e-12)


def test_a_model_without_preferences_is_one_away_and_flagged():
    nothing = np.repeat([5.0, -1.0, 2.0], 4) + 1e-13 * np.random.default_rng(0).standard_normal(12)
    found = response_distance({"a": S1, "n": nothing, "z": np.zeros(12)}, GROUPS, n_boot=100)
    assert found.trivial == ("n", "z")
    assert any("n gives all responses of a prompt the same score" in note for note in found.notes)
    assert (found["a", "n"].distance.value, found["a", "n"].cosine.value, found["a", "n"].angle.value) == (
        1.0,
        0.0,
        90.0,
    )
    assert (found["n", "z"].distance.value, found["n", "z"].cosine.value) == (0.0, 1.0)
    assert found["a", "n"].norm_a == pytest.approx(found.norms["a"])


def test_single_precision_noise_is_no_preference():
    nothing = (np.repeat([500.0, -100.0, 200.0], 4) + 1e-4 * np.arange(12)).astype(np.float32)
    assert response_distance({"a": S1, "n": nothing}, GROUPS, n_boot=100).trivial == ("n",)
    assert not response_distance({"a": S1, "n": nothing.astype(np.float64)}, GROUPS, n_boot=100).trivial


# -- sizes, length, witnesses -----------------------------------------------------------------------------


def test_sizes_and_the_unnormalised_distance_are_in_units_of_the_scores():
    groups, a, b = random_scores(3)
    variance = lambda x: np.mean([np.var(x[groups == g], ddof=1) for g in range(6)])
    found = pair(a, 10 * b, groups)
    assert found.norm_a == pytest.approx(np.sqrt(variance(a)))
    assert found.norm_b == pytest.approx(10 * np.sqrt(variance(b)))
    assert found.unnormalised.value == pytest.approx(np.sqrt(variance(a - 10 * b)))
    assert pair(a, 2 * a, groups).distance.value < 1e-12 < 0.5 < pair(a, 2 * a, groups).unnormalised.value


def test_the_partial_cosine_takes_length_out_of_both():
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(400), 5)
    length = rng.integers(5, 500, 2000).astype(float)
    own = rng.standard_normal((2, 2000))
    a, b = (x + 0.02 * length for x in own)
    found = response_distance({"a": a, "b": b}, groups, length=length, n_boot=200)
    assert found["a", "b"].cosine.value > 0.85
    assert abs(found["a", "b"].length_partial.value) < 0.05
    assert found.length_cosine["a"] > 0.9
    # by hand: residuals of a pooled regression within prompts
    centre = lambda x: x - np.repeat(x.reshape(-1, 5).mean(1), 5)
    left = [
        centre(x) - centre(length) * (centre(x) @ centre(length)) / (centre(length) @ centre(length)) for x in (a, b)
    ]
    wanted = left[0] @ left[1] / np.sqrt((left[0] @ left[0]) * (left[1] @ left[1]))
    assert found["a", "b"].length_partial.value == pytest.approx(wanted, rel=1e-9)


def test_a_model_that_is_length_has_no_partial_cosine_and_constant_length_says_nothing():
    length = np.arange(12.0) ** 2
    found = pair(S1, 3 * length, length=length)
    assert not found.length_partial.defined and "explains" in found.length_partial.reason
    assert pair(S1, S2, length=np.repeat([5.0, 6.0, 7.0], 4)).length_partial is None
    assert pair(S1, S2).length_partial is None


def test_witnesses_are_where_the_two_differ_and_shares_sum_to_one():
    groups, a, _ = random_scores(5, prompts=3)
    b = a.copy()
    b[np.flatnonzero(groups == 1)[0]] += 4.0
    found = pair(a, b, groups, shown=100)
    assert found.prompts[0].prompt == "1" and found.responses[0].prompt == "1"
    assert found.responses[0].response == "0"
    assert sum(w.share for w in found.prompts) == pytest.approx(1.0)
    assert sum(w.share for w in found.responses) == pytest.approx(1.0)
    assert pair(a, 3 * a + 1, groups).prompts == ()


def test_all_pairs_of_many_models_and_the_matrix():
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(30), 4)
    found = response_distance({f"m{i}": rng.standard_normal(120) for i in range(4)}, groups, n_boot=100)
    assert [(p.a, p.b) for p in found.pairs][:3] == [("m0", "m1"), ("m0", "m2"), ("m0", "m3")]
    assert (found.matrix == found.matrix.T).all() and (np.diag(found.matrix) == 0).all()
    assert found.matrix[3, 1] == found["m3", "m1"].distance.value
    with pytest.raises(InputError, match="two different ones of m0"):
        found["m0", "m9"]


# -- intervals --------------------------------------------------------------------------------------------


def test_intervals_cover_the_true_cosine():
    """Prompts are the units: scores of one prompt share a spread of their own, so responses are not independent."""
    covered, rho = 0, 0.6
    for seed in range(200):
        rng = np.random.default_rng(seed)
        spread = np.repeat(rng.lognormal(0, 0.5, 150), 4)
        x, e = rng.standard_normal((2, 600))
        found = response_distance(
            {"a": spread * x, "b": spread * (rho * x + np.sqrt(1 - rho**2) * e)}, np.repeat(np.arange(150), 4),
            n_boot=200, seed=seed,
        )["a", "b"]  # fmt: skip
        covered += found.cosine.low <= rho <= found.cosine.high
        assert found.distance.low <= found.distance.value <= found.distance.high
    assert 180 <= covered <= 198


def test_resampling_is_a_function_of_the_seed_and_not_of_the_order_of_rows():
    rng = np.random.default_rng(0)
    groups, order = np.repeat(np.arange(40), 3), rng.permutation(120)
    a, b = rng.standard_normal((2, 120))
    first, again = pair(a, b, groups), pair(a, b, groups)
    moved, other = pair(a[order], b[order], groups[order]), pair(a, b, groups, seed=1)
    assert str(first.distance) == str(again.distance)
    assert (first.distance.low, first.distance.high) == pytest.approx(
        (moved.distance.low, moved.distance.high), rel=1e-9
    )
    assert first.distance.low != other.distance.low


def test_one_prompt_has_no_interval_and_few_have_a_warning():
    found = response_distance({"a": S1[:4], "b": S2[:4]}, GROUPS[:4])
    assert (found["a", "b"].distance.low, found["a", "b"].distance.high) == (0.0, 2.0)
    assert "one prompt" in found.notes[0]
    assert "only 3 prompts" in response_distance({"a": S1, "b": S2}, GROUPS).notes[0]


# -- bad input --------------------------------------------------------------------------------------------


def test_check_21_prompts_with_one_response_are_counted_and_change_no_number():
    groups = np.append(GROUPS, ["lonely"])
    found = response_distance({"a": np.append(S1, 9.0), "b": np.append(S2, -9.0)}, groups)
    assert found["a", "b"].distance.value == pytest.approx(GOLDEN["starc_distance"], rel=1e-12)
    assert (found.dropped, found.n_prompts, found.n_responses) == (1, 3, 12)
    assert "1 of 4 prompts have fewer than two responses" in found.notes[0]


def test_check_21_all_prompts_dropped_is_an_error():
    with pytest.raises(InputError, match="none with two responses"):
        response_distance({"a": [1.0, 2.0], "b": [2.0, 1.0]}, ["x", "y"])


@pytest.mark.parametrize(
    ("scores", "options", "text"),
    [
        ({"a": S1}, {"groups": GROUPS}, "one model"),
        ({"a": S1, "b": S2}, {"groups": None}, "the prompt of each response"),
        ({"a": S1, "b": S2}, {"groups": GROUPS, "level": 1.0}, "level"),
        ({"a": S1, "b": S2}, {"groups": GROUPS, "n_boot": 10}, "at least 100"),
        (ScoreTable({"a": S1, "b": S2}, GROUPS), {"groups": GROUPS}, "a second set"),
        (ScoreTable({"a": S1, "b": S2}, GROUPS), {"length": S1}, "a second set"),
    ],
)
def test_bad_arguments_are_errors(scores, options, text):
    with pytest.raises(InputError, match=text):
        response_distance(scores, **options)


# -- what is printed --------------------------------------------------------------------------------------


def test_the_report_is_rows_of_safe_text():
    names = {"old\x1b[31m": S1, "new": S2, "flat": np.zeros(12)}
    found = response_distance(names, GROUPS, length=np.arange(12.0), n_boot=100)
    text = "\n".join(report_lines(found))
    assert "0.6916" in text and "40.5°" in text and "\x1b" not in text
    assert "note: flat gives all responses" in text and "no length" in text
    tables = report_rows(found)
    assert all(len(row) == len(t.header) for t in tables for row in t.rows)
    assert str(found) == text and len(report_tables(found)) == len(tables)
    assert json.loads(json.dumps(found.to_dict(), allow_nan=False))["pairs"][0]["distance"]["value"] > 0
    with pytest.raises(InputError, match="ResponseDistances or BestOfN"):
        report_lines("text")


# -- the measure ------------------------------------------------------------------------------------------


def test_the_measure_keeps_every_law():
    check_measure(ResponseDistance(), world=WORLD)


def test_the_measure_gives_the_same_number_and_sums_over_prompts():
    case = WORLD.case(0)
    evidence = ResponseDistance().compare(
        *(ResponseDistance().prepare(case.view(x), case.data, rng=None) for x in (case.a, case.b)), rng=None
    )
    assert isinstance(evidence, Sums) and len(evidence.columns) == len(case.data.keys) == 24
    wanted = response_distance({"a": case.a, "b": case.b}, case.data)["a", "b"]
    assert float(evidence.combine(evidence.columns.mean(0))) == pytest.approx(wanted.distance.value, rel=1e-12)
    assert evidence.details["largest"][0][1] == wanted.responses[0].response
    assert evidence.details["unnormalised"] == pytest.approx(wanted.unnormalised.value)
    assert evidence.details["length_partial_cosine"] == pytest.approx(wanted.length_partial.value)


def test_compare_answers_with_interval_control_and_picture(tmp_path):
    rng = np.random.default_rng(0)
    data = Responses(np.repeat(np.arange(80), 6), name="chats")
    a = rng.standard_normal(480)
    b = a + 0.5 * rng.standard_normal(480)
    controls = [rng.standard_normal(480) for _ in range(4)]
    found = learnt.compare(a, b, data, controls=controls, measures=[ResponseDistance()], quiet=True, resamples=500)
    answer = found["response_distance"]
    assert found.n == 80 and answer.verdict == "transferred"
    assert answer.value.low < answer.value.value < answer.value.high < 1.0 < answer.control.low
    assert answer.chart.kind == "bars" and set(answer.chart.series) == {"A", "B", "control"}
    assert "Would both reward models prefer the same responses?" in str(found)
    assert found.to_html(tmp_path / "x.html").stat().st_size > 1000
    matrix = learnt.pairwise([a, b, controls[0]], data, measure=ResponseDistance())
    assert matrix.values[0, 1] == pytest.approx(answer.value.value)


def test_many_responses_keep_only_the_largest_differences():
    rng = np.random.default_rng(0)
    data = Responses(np.repeat(np.arange(600), 5))
    measure = ResponseDistance()
    states = [measure.prepare(data.subject(rng.standard_normal(3000), name=n), data, rng=rng) for n in "ab"]
    details = measure.compare(*states, rng=rng).details
    assert "share" not in details and len(details["largest"]) == 10
    assert set(measure.chart({"b": details}).series) == {"A", "B"}


def test_a_single_prompt_is_no_comparison():
    data = Responses(["p"] * 4)
    with pytest.raises(NotApplicable, match="at least 2 prompts"):
        learnt.compare(S1[:4], S2[:4], data, measures=[ResponseDistance()], quiet=True)
