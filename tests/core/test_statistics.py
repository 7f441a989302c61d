"""Resampling and tests: golden numbers, closed forms, coverage, and order that does not matter."""

import json
import math
from pathlib import Path

import numpy as np
import pytest

from learnt.core.errors import InputError
from learnt.core.measure import Exact, Groups, Sums, Undefined, difference, mean
from learnt.core.statistics import (
    Resampler,
    benjamini_hochberg,
    binomial_p,
    holm,
    mcnemar_p,
    paired_t,
    replica_noise,
    seed_permutation_p,
    sign_flip_p,
    two_sided_p,
    welch_freedom,
    wilson,
)

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "comparison.json").read_text())
P = [0.001, 0.03, 0.04, 0.005, 0.2]


def test_wilson_and_binomial_equal_the_golden_win_rate_test():
    g = GOLDEN["win_rate_test"]
    assert wilson(g["k"], g["n"]) == pytest.approx(g["wilson95"], abs=1e-9)
    assert binomial_p(g["k"], g["n"]) == pytest.approx(g["binom_two_sided_p"], rel=1e-9)


def test_mcnemar_sign_flip_and_paired_t_equal_the_golden_numbers():
    g = GOLDEN["mcnemar"]
    assert mcnemar_p(g["b"], g["c"]) == pytest.approx(g["exact_two_sided"], rel=1e-12)
    assert mcnemar_p(0, 0) == 1.0
    assert sign_flip_p(GOLDEN["sign_flip_exact"]["d"]) == pytest.approx(GOLDEN["sign_flip_exact"]["p_two_sided"])
    g = GOLDEN["paired_t"]
    assert paired_t(g["a"], g["b"]) == pytest.approx((g["t"], g["p"]), rel=1e-9)


def test_holm_and_benjamini_hochberg_equal_the_worked_example():
    assert holm(P) == pytest.approx([0.005, 0.09, 0.09, 0.02, 0.2])
    assert benjamini_hochberg(P) == pytest.approx([0.005, 0.05, 0.05, 0.0125, 0.2])


def test_seed_permutation_reaches_exactly_the_smallest_p_when_groups_separate():
    p, smallest = seed_permutation_p([5.0, 6.0], [1.0, 2.0])
    assert p == pytest.approx(1 / 3) and smallest == pytest.approx(1 / 3)  # two-sided; 1/6 one-sided
    p, smallest = seed_permutation_p([9.0], [1.0, 2.0, 3.0, 4.0, 5.0])
    assert p == pytest.approx(1 / 6) and smallest == pytest.approx(1 / 6)
    assert seed_permutation_p([1.0, 2.0, 3.0], [1.0, 2.0, 3.0])[0] == 1.0


def test_seed_permutation_by_sampling_agrees_with_exact_enumeration_on_a_large_case():
    rng = np.random.default_rng(0)
    first, second = rng.normal(0.8, 1, 10), rng.normal(0, 1, 10)  # 184,756 relabellings: sampled
    from scipy.stats import ttest_ind

    assert seed_permutation_p(first, second)[0] == pytest.approx(ttest_ind(first, second).pvalue, abs=0.03)


def test_bootstrap_of_a_mean_has_the_standard_error_of_the_mean():
    values = np.random.default_rng(1).normal(0, 2, 500)
    [(value, draws)] = Resampler(4000, 0).draws([mean(values)], np.arange(500, dtype=np.uint64))
    assert value == pytest.approx(values.mean())
    assert draws.std() == pytest.approx(values.std() / math.sqrt(500), rel=0.05)


def test_order_of_examples_changes_neither_value_nor_draws():
    rng = np.random.default_rng(2)
    values, keys = rng.random(200), rng.permutation(200).astype(np.uint64)
    order = rng.permutation(200)
    [(v1, d1)] = Resampler(500, 3).draws([mean(values)], keys)
    [(v2, d2)] = Resampler(500, 3).draws([mean(values[order])], keys[order])
    assert v1 == pytest.approx(v2, abs=1e-15)
    np.testing.assert_allclose(d1, d2, atol=1e-12)


def test_differences_are_paired_so_equal_evidence_has_no_spread():
    values = np.random.default_rng(3).random(100)
    [(_, a), (_, b)] = Resampler(300, 0).draws([mean(values), mean(values + 1)], np.arange(100, dtype=np.uint64))
    assert np.ptp(b - a) < 1e-12  # control: unpaired draws would spread by about 0.03
    [(_, other)] = Resampler(300, 1).draws([mean(values)], np.arange(100, dtype=np.uint64))
    assert np.std(other - a) > 0.01


def test_other_evidence_does_not_change_the_draws_of_a_measure():
    values = np.random.default_rng(4).random(50)
    keys = np.arange(50, dtype=np.uint64)
    [(_, alone)] = Resampler(200, 0).draws([mean(values)], keys)
    together = Resampler(200, 0).draws([mean(1 - values), Exact(value=2.0), mean(values)], keys)
    np.testing.assert_allclose(together[2][1], alone, atol=1e-12)


def test_jackknife_draws_have_the_jackknife_variance_with_t_tails():
    left_out = np.random.default_rng(5).normal(1.0, 0.02, 20)
    [(value, draws)] = Resampler(40_000, 0).draws([Groups(value=1.0, left_out=left_out, n=200)], np.empty(0, np.uint64))
    jackknife = 19 / 20 * ((left_out - left_out.mean()) ** 2).sum()
    assert value == 1.0
    assert draws.var() == pytest.approx(jackknife * 19 / 17, rel=0.05)  # variance of t with 19 degrees of freedom


def test_a_biased_statistic_keeps_its_interval_around_the_value():
    signs = np.random.default_rng(6).choice([-1.0, 1.0], (300, 15)) * 0.3  # |mean| is biased upwards by resampling
    found = Sums(columns=signs, combine=lambda m: np.abs(m).sum(-1))
    [(value, draws)] = Resampler(1000, 0).draws([found], np.arange(300, dtype=np.uint64))
    assert draws.mean() == pytest.approx(value, abs=1e-9)


def test_replica_noise_has_the_width_of_students_t():
    rng = np.random.default_rng(7)
    covered = 0
    for _ in range(400):
        pool = rng.normal(0, 1, 5)
        noise = replica_noise(
            np.repeat(pool[:, None], 1000, axis=1), 5, weights=np.random.default_rng(1), scale=np.random.default_rng(2)
        )
        low, high = np.percentile(pool.mean() + noise, [2.5, 97.5])
        covered += low <= 0 <= high
    assert 0.91 <= covered / 400 <= 0.985  # control below: the plain bootstrap of five covers far less
    plain = 0
    for _ in range(400):
        pool = rng.normal(0, 1, 5)
        draws = pool[rng.integers(0, 5, (5, 1000))].mean(0)
        low, high = np.percentile(draws, [2.5, 97.5])
        plain += low <= 0 <= high
    assert plain / 400 < 0.90


def test_one_replica_carries_no_seed_noise_of_its_own():
    noise = replica_noise(np.zeros((1, 10)), 1, weights=np.random.default_rng(0), scale=np.random.default_rng(0))
    assert not noise.any()


def test_two_sided_p_of_constant_draws_is_one_at_zero_and_none_elsewhere():
    assert two_sided_p(np.zeros(10)) == 1.0
    assert two_sided_p(np.ones(10)) is None
    assert two_sided_p(np.array([np.nan])) is None


def test_two_sided_p_counts_draws_where_it_can_and_follows_students_t_beyond():
    from scipy.stats import norm, t

    rng = np.random.default_rng(0)
    near = rng.normal(1.5, 1, 2000)
    assert two_sided_p(near) == pytest.approx(2 * norm.sf(1.5), abs=0.02)
    for freedom, far in ((math.inf, 5.0), (4.0, 12.0)):
        draws = far + (rng.normal(0, 1, 2000) if freedom == math.inf else rng.standard_t(freedom, 2000))
        wanted = 2 * t.sf(far, freedom)
        assert wanted / 3 < two_sided_p(draws, freedom) < wanted * 3
    assert two_sided_p(np.arange(1.0, 1001.0)) <= 22 / 1001


def test_difference_of_undefined_evidence_is_undefined_and_of_exact_is_exact():
    assert isinstance(difference(Undefined(reason="none"), Exact(value=1.0)), Undefined)
    found = difference(Exact(value=3.0), Exact(value=1.0))
    assert isinstance(found, Exact) and found.value == 2.0
    with pytest.raises(TypeError):
        difference(Exact(value=1.0), mean(np.ones(3)))


def test_bootstrap_coverage_of_agreement_is_near_its_level():
    rng, covered = np.random.default_rng(8), 0
    resampler = Resampler(1000, 0)
    for _ in range(300):
        [(_, draws)] = resampler.draws([mean(rng.random(400) < 0.85)], np.arange(400, dtype=np.uint64))
        low, high = np.percentile(draws, [2.5, 97.5])
        covered += low <= 0.85 <= high
    assert 0.92 <= covered / 300 <= 0.98


def test_too_few_resamples_are_refused():
    with pytest.raises(InputError, match="resamples: found 10; expected at least 100"):
        Resampler(10, 0)


def test_welch_freedom_is_between_the_smaller_side_and_both_together():
    rng = np.random.default_rng(9)
    assert welch_freedom(np.arange(5.0), np.arange(5.0)) == pytest.approx(8.0)
    assert welch_freedom(rng.normal(0, 1, 5), rng.normal(0, 1e-6, 5)) == pytest.approx(4.0, abs=1e-3)
    assert welch_freedom(np.ones(3), np.ones(5)) == 2.0
    from scipy.stats import ttest_ind

    first, second = rng.normal(0, 1, 4), rng.normal(0, 3, 7)
    theirs = ttest_ind(first, second, equal_var=False)
    assert welch_freedom(first, second) == pytest.approx(theirs.df)


def test_seed_noise_of_a_difference_has_the_quantiles_of_welchs_t():
    from scipy.stats import t

    rng = np.random.default_rng(10)
    first, second = rng.normal(0, 1, 8), rng.normal(0, 2, 8)
    nu = welch_freedom(first, second)
    noise = [
        replica_noise(
            np.repeat(x[:, None], 200_000, axis=1),
            8,
            weights=np.random.default_rng(i),
            scale=np.random.default_rng(99),
            freedom=nu,
        )
        for i, x in enumerate((first, second))
    ]
    error = math.sqrt(first.var(ddof=1) / 8 + second.var(ddof=1) / 8)
    for level in (0.9, 0.975, 0.995):
        assert np.quantile(noise[0] - noise[1], level) == pytest.approx(error * t.ppf(level, nu), rel=0.06)


def test_large_data_are_resampled_in_blocks_that_are_not_kept(monkeypatch):
    import learnt.core.statistics as module

    values, keys = np.random.default_rng(11).random(3000), np.arange(3000, dtype=np.uint64)
    [(_, kept)] = Resampler(300, 0).draws([mean(values)], keys)
    monkeypatch.setattr(module, "_KEEP", 10)
    resampler = Resampler(300, 0)
    [(_, anew)] = resampler.draws([mean(values)], keys)
    assert not resampler._counts
    np.testing.assert_allclose(anew, kept, atol=1e-12)
