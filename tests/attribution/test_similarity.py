import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import spearmanr

from learnt.attribution.similarity import cosine, resize, spearman, win_rate
from learnt.core.errors import InputError, ShapeError

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "attribution.json").read_text())
RATES = arrays(np.float64, 12, elements=st.sampled_from([0.0, 0.1, 0.5, 0.7, np.nan]))


def test_cosine_equals_the_golden_number():
    g = GOLDEN["gradcam"]
    assert cosine(np.array([g["cam_teacher"]]), np.array([g["cam_student"]]))[0] == pytest.approx(
        g["cosine"], abs=1e-12
    )


def test_cosine_does_not_depend_on_the_scale_of_a_map_however_small():
    u, v = np.random.default_rng(0).random((2, 5, 4, 4))
    assert cosine(u * 1e-200, v * 1e200) == pytest.approx(cosine(u, v), abs=1e-12)


def test_cosine_of_an_empty_map_is_undefined():
    assert np.isnan(cosine(np.zeros((1, 2, 2)), np.ones((1, 2, 2)))[0])


def test_spearman_equals_scipy_with_ties():
    u, v = np.random.default_rng(1).integers(0, 4, (2, 6, 9)).astype(float)
    expected = [spearmanr(a, b).statistic for a, b in zip(u, v)]
    assert spearman(u, v) == pytest.approx(expected, abs=1e-12)


def test_spearman_of_a_constant_map_is_undefined():
    assert np.isnan(spearman(np.ones((1, 4)), np.arange(4.0)[None])[0])


def test_win_rate_equals_the_golden_number():
    g = GOLDEN["cam_win_rate"]
    assert win_rate(np.array(g["cos_distilled"]), np.array(g["cos_independent"])) == pytest.approx(
        g["win_rate_ties_half"], abs=1e-12
    )


@given(RATES, RATES)
def test_the_two_win_rates_of_a_pair_add_up_to_one(s, i):
    assert win_rate(s, i) + win_rate(i, s) == pytest.approx(1.0, abs=1e-12)


def test_an_undefined_similarity_is_a_tie():
    assert win_rate(np.array([np.nan, 0.9]), np.array([0.2, 0.1])) == 0.75


def test_win_rate_refuses_no_images_and_unequal_lengths():
    with pytest.raises(InputError):
        win_rate([], [])
    with pytest.raises(ShapeError):
        win_rate([0.1], [0.1, 0.2])


def test_resizing_keeps_a_constant_map_and_the_mean_of_a_coarsened_one():
    assert resize(np.full((1, 3, 3), 2.0), (7, 5)) == pytest.approx(np.full((1, 7, 5), 2.0))
    fine = np.random.default_rng(2).random((1, 8, 8))
    assert resize(fine, (2, 2)).mean() == pytest.approx(fine.mean(), rel=0.1)


def test_maps_of_different_shape_are_refused():
    with pytest.raises(ShapeError):
        cosine(np.ones((2, 3, 3)), np.ones((2, 4, 4)))
