"""Claims about the draw of negatives: other classes only, distinct, uniform, independent of batch and order."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from learnt.distill._negatives import (
    _PRIMES,
    LARGEST,
    draw_below,
    draw_distinct,
    draw_repeated,
    mix,
    negative_ranks,
    rank_by_class,
    sample_keys,
)


def keys(n, stream=5, step=0):
    return sample_keys(torch.tensor(stream), torch.tensor(step), torch.arange(n))


def test_mix_is_the_finaliser_used_for_example_keys():
    from learnt.core.examples import mix as reference

    x = np.random.default_rng(0).integers(0, 2**63, 1000).astype(np.uint64)
    ours = mix(torch.from_numpy((x + np.uint64(0x9E3779B97F4A7C15)).astype(np.int64)))
    assert np.array_equal(ours.numpy().astype(np.uint64), reference(x, 0))


def test_multipliers_are_primes_above_every_pool():
    divisors = np.arange(3, 2**16, 2)
    assert len(set(_PRIMES)) == 64
    assert all(LARGEST < p < 2**31 and p % 2 and (p % divisors).all() for p in _PRIMES)


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.integers(0, 6), min_size=2, max_size=60).filter(lambda v: len(set(v)) > 1),
    st.integers(0, 10**9),
    st.data(),
)
def test_negatives_are_distinct_and_never_of_the_anchors_class(labels, stream, data):
    labels = torch.tensor(labels)
    rank, start, count = rank_by_class(labels)
    by_rank = labels[torch.argsort(rank)]
    n = data.draw(st.integers(1, len(labels) - int(count.max())))
    drawn = negative_ranks(
        sample_keys(torch.tensor(stream), torch.tensor(3), rank), start, count, size=len(labels), n=n
    )
    assert drawn.shape == (len(labels), n)
    assert drawn.min() >= 0
    assert drawn.max() < len(labels)
    assert (by_rank[drawn] != labels[:, None]).all()
    assert all(len(set(row)) == n for row in drawn.tolist())


def test_ten_thousand_draws_hold_no_example_of_the_anchors_class():
    labels = torch.randint(10, (10_000,), generator=torch.Generator().manual_seed(0))
    rank, start, count = rank_by_class(labels)
    drawn = negative_ranks(sample_keys(torch.tensor(1), torch.tensor(0), rank), start, count, size=10_000, n=8)
    assert (labels[torch.argsort(rank)][drawn] != labels[:, None]).all()


def test_the_whole_pool_is_a_permutation_of_the_other_classes():
    labels = torch.tensor([0, 1, 1, 2, 2, 2])
    rank, start, count = rank_by_class(labels)
    drawn = negative_ranks(keys(6)[rank][:1], start[:1], count[:1], size=6, n=5)
    assert sorted(drawn[0].tolist()) == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("pool", [97, 96, 64, 90])
def test_every_example_and_every_pair_is_drawn_equally_often(pool):
    trials, n = 40_000, 12
    drawn = draw_distinct(keys(trials), torch.full((trials,), pool), n).numpy()
    singles = np.bincount(drawn.ravel(), minlength=pool)
    # without replacement the counts vary less than multinomial ones; the correction makes the statistic chi-square
    statistic = ((singles - singles.mean()) ** 2 / singles.mean()).sum() * (pool - 1) / (pool - n)
    assert 1e-4 < stats.chi2.sf(statistic, pool - 1) < 1 - 1e-4
    member = np.zeros((trials, pool), dtype=np.float32)
    np.put_along_axis(member, drawn, 1.0, axis=1)
    together = (member.T @ member)[np.triu_indices(pool, 1)]
    expected = trials * n * (n - 1) / (pool * (pool - 1))
    z = (together - expected) / np.sqrt(expected)
    assert abs(z.mean()) < 0.02
    assert 0.9 < z.std() < 1.1
    assert np.abs(z).max() < 5.5


def test_sums_over_draws_vary_as_under_simple_random_sampling():
    pool, n, trials = 1000, 50, 20_000
    values = np.sort(np.random.default_rng(0).normal(size=pool))  # sorted: structure in the indices would show
    values = (values - values.mean()) / values.std()
    means = values[draw_distinct(keys(trials), torch.full((trials,), pool), n).numpy()].mean(1)
    truth = np.sqrt((1 - n / pool) / n * pool / (pool - 1))
    assert abs(means.mean()) < 4 * truth / np.sqrt(trials)
    assert means.std() / truth == pytest.approx(1.0, abs=0.02)
    assert abs(stats.kurtosis(means)) < 0.15


def test_draws_depend_on_example_step_and_stream_and_on_nothing_else():
    labels = torch.arange(40) % 4
    rank, start, count = rank_by_class(labels)

    def draw(index, step=0, stream=9):
        k = sample_keys(torch.tensor(stream), torch.tensor(step), rank[index])
        return negative_ranks(k, start[index], count[index], size=40, n=6)

    everything = draw(torch.arange(40))
    shuffled = torch.randperm(40, generator=torch.Generator().manual_seed(0))
    assert torch.equal(draw(shuffled), everything[shuffled])
    assert torch.equal(draw(torch.tensor([7])), everything[7:8])
    assert torch.equal(torch.vmap(lambda i: draw(i[None])[0])(torch.arange(40)), everything)
    assert not torch.equal(draw(torch.arange(40), step=1), everything)
    assert not torch.equal(draw(torch.arange(40), stream=10), everything)


def test_only_classes_with_too_few_others_draw_with_repeats():
    labels = torch.tensor([0] * 10 + [1] * 3)
    rank, start, count = rank_by_class(labels)
    drawn = negative_ranks(keys(13)[rank], start, count, size=13, n=6, may_repeat=True)
    by_rank = labels[torch.argsort(rank)]
    assert (by_rank[drawn] != labels[:, None]).all()
    assert all(len(set(row)) <= 3 for row in drawn[:10].tolist())
    assert all(len(set(row)) == 6 for row in drawn[10:].tolist())


def test_single_and_repeated_draws_are_uniform():
    bound = torch.full((30_000,), 7)
    assert stats.chisquare(torch.bincount(draw_below(keys(30_000), bound, 4)).numpy()).pvalue > 1e-4
    assert stats.chisquare(torch.bincount(draw_repeated(keys(3000), bound[:3000], 10).flatten()).numpy()).pvalue > 1e-4
