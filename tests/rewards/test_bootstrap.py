"""Resampling of points and episodes: the same as doing it by hand."""

import numpy as np
import pytest

from learnt.core.errors import InputError
from learnt.data.transitions import Transitions
from learnt.rewards import bootstrap
from learnt.rewards.bootstrap import ends, part_of

COLUMNS = np.random.default_rng(0).standard_normal((3, 60))


def data(weight=None, episode=None):
    return Transitions(np.zeros((60, 1)), np.zeros(60, int), np.zeros((60, 1, 1)), weight=weight, episode=episode)


def test_counts_are_multinomial_and_the_same_each_time():
    part = part_of(data(), "points", 0, 500)
    counts = np.concatenate([block for _, block in part.counts()])
    assert counts.shape == (500, 60)
    assert (counts.sum(1) == 60).all()
    assert counts.var() == pytest.approx(1 - 1 / 60, rel=0.05)
    np.testing.assert_array_equal(counts, np.concatenate([block for _, block in part.counts()]))
    other = np.concatenate([block for _, block in part_of(data(), "evaluation", 0, 500).counts()])
    assert abs(np.corrcoef(counts.ravel(), other.ravel())[0, 1]) < 0.02


def test_blocks_change_nothing(monkeypatch):
    whole = part_of(data(), "points", 0, 100).means(COLUMNS)
    monkeypatch.setattr(bootstrap, "BLOCK", 8 * 60 * 7)
    assert len(list(part_of(data(), "points", 0, 100).counts())) == 15
    for one, two in zip(whole, part_of(data(), "points", 0, 100).means(COLUMNS), strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-12)


@pytest.mark.parametrize("episode", [None, np.arange(60) // 7 * 5 + 3])
@pytest.mark.parametrize("weight", [None, np.random.default_rng(1).random(60)])
def test_resampled_means_are_those_of_resampled_points(weight, episode):
    part = part_of(data(weight, episode), "points", 0, 100)
    mean, drawn = part.means(COLUMNS)
    w = np.ones(60) if weight is None else weight
    np.testing.assert_allclose(mean, (COLUMNS * w).sum(1) / w.sum())
    labels = np.arange(60) if episode is None else episode
    counts = np.concatenate([block for _, block in part.counts()])
    units = np.unique(labels)
    assert part.count == len(units)
    for row in (0, 50, 99):
        chosen = np.concatenate(
            [np.flatnonzero(labels == u) for u, c in zip(units, counts[row]) for _ in range(int(c))]
        )
        expected = (COLUMNS[:, chosen] * w[chosen]).sum(1) / w[chosen].sum()
        np.testing.assert_allclose(drawn[row], expected)


def test_the_spread_of_resampled_means_is_the_standard_error():
    drawn = part_of(data(), "points", 0, 4000).means(COLUMNS)[1]
    np.testing.assert_allclose(drawn.std(0), COLUMNS.std(1) / np.sqrt(60), rtol=0.05)


def test_a_resample_without_weight_has_no_number_and_many_of_them_no_interval():
    part = part_of(data(weight=np.arange(60) < 1), "points", 0, 400)
    drawn = part.means(COLUMNS)[1]
    assert np.isnan(drawn[:, 0]).mean() == pytest.approx(np.exp(-1), abs=0.08)
    assert np.isnan(ends(drawn, 0.95)).all()
    few = np.where(np.arange(400)[:, None] < 20, np.nan, np.arange(400.0)[:, None])
    low, high = ends(few, 0.9)
    assert (low[0], high[0]) == (pytest.approx(38.95), pytest.approx(380.05))


def test_one_unit_is_not_enough():
    with pytest.raises(InputError, match="1 episode"):
        part_of(data(episode=np.zeros(60, int)), "points", 0, 100)
    with pytest.raises(InputError, match="1 point"):
        part_of(data().take([0]), "points", 0, 100)
