"""How much of each mode of a task a model has learned: known answers, invariances, and the order of learning."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr
from torch import nn

from learnt.core.errors import InputError, NonFiniteError, NotApplicable, ShapeError
from learnt.gated.mode_profiles import mode_distance, mode_profile

RNG = np.random.default_rng(0)


def data(seed, n=60, d=7, c=4, rank=None):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, d)) @ rng.normal(size=(d, d)) + rng.normal(size=d)
    if rank is not None:
        x = x[:, :rank] @ rng.normal(size=(rank, d))
    return x, x @ rng.normal(size=(d, c)) + rng.normal(size=(n, c))


def linear(w, b=None):
    layer = nn.Linear(w.shape[1], w.shape[0], bias=b is not None).double()
    layer.weight.data = torch.from_numpy(w)
    if b is not None:
        layer.bias.data = torch.from_numpy(b)
    return layer


def least_squares(x, y):
    return np.linalg.lstsq(x, y, rcond=None)[0].T


@given(seed=st.integers(0, 500), whiten=st.booleans(), rank=st.sampled_from([None, 3]))
@settings(max_examples=30, deadline=None)
def test_check_21_the_linear_regression_has_learned_all_of_every_mode(seed, whiten, rank):
    x, y = data(seed, rank=rank)
    found = mode_profile(linear(least_squares(x, y)), x, y, whiten)
    np.testing.assert_allclose(found.fraction, 1.0, atol=1e-8)
    np.testing.assert_allclose(found.cosine, 1.0, atol=1e-8)
    assert found.outside < 1e-8 and found.missing < 1e-8 and len(found) == min(4, rank or 7)


def test_check_21_with_a_bias_and_centred_moments_too():
    x, y = data(1)
    full = least_squares(np.hstack([x, np.ones((60, 1))]), y)
    for centre in (True, False):
        found = mode_profile(linear(full[:, :-1].copy(), full[:, -1].copy()), x, y, centre=centre)
        np.testing.assert_allclose(found.fraction, 1.0, atol=1e-8)


@pytest.mark.parametrize("whiten", [True, False])
def test_check_21_a_model_that_answers_nothing_has_learned_nothing(whiten):
    x, y = data(0)
    found = mode_profile(linear(np.zeros((4, 7))), x, y, whiten)
    assert not found.fraction.any() and not found.cosine.any() and found.outside == 0 and found.missing == 1


def test_check_21_a_truncation_to_rank_one_has_learned_the_first_mode_and_no_other():
    x, y = data(0)
    values, vectors = np.linalg.eigh(x.T @ x / 60)
    colour = (vectors / np.sqrt(values)) @ vectors.T
    u, s, vt = np.linalg.svd(y.T @ x / 60 @ colour)
    found = mode_profile(linear(s[0] * np.outer(u[:, 0], vt[0]) @ colour), x, y)
    np.testing.assert_allclose(found.fraction, [1, 0, 0, 0], atol=1e-8)
    np.testing.assert_allclose(found.strength, s, atol=1e-10)
    assert found.missing == pytest.approx(np.sqrt(1 - s[0] ** 2 / (s**2).sum()))


def test_check_21_raw_digits_are_learned_in_the_order_of_the_strength_of_their_modes():
    from sklearn.datasets import load_digits

    digits = load_digits()
    x = torch.from_numpy(digits.data / 16.0)
    y = torch.nn.functional.one_hot(torch.from_numpy(digits.target), 10).double()
    x, y = x - x.mean(0), y - y.mean(0)
    rng = np.random.default_rng(0)
    first, second = (torch.from_numpy(0.01 * rng.normal(size=s)) for s in ((64, 64), (10, 64)))
    model = nn.Sequential(linear(first.numpy()), linear(second.numpy()))
    xx, yx = x.T @ x / len(x), y.T @ x / len(x)
    first, second = model[0].weight.data, model[1].weight.data
    times, fractions = [], []
    for step in range(6001):  # full-batch descent on the statistics, which are all that the squared loss sees
        if step < 1000 and step % 20 == 0 or step % 200 == 0:
            times.append(step)
            fractions.append(mode_profile(model, x, y, whiten=False).fraction)
        back = yx - second @ first @ xx
        second, first = second + 0.2 * back @ first.T, first + 0.2 * second.T @ back
        model[0].weight.data, model[1].weight.data = first, second
    reached = np.array(fractions) >= 0.5
    assert reached.shape[1] == 9 and reached[-1].all()
    half = np.array(times)[reached.argmax(0)]
    strength = mode_profile(model, x, y, whiten=False).strength
    assert spearmanr(half, strength).statistic <= -0.95


def test_rotations_of_inputs_and_outputs_and_the_order_of_samples_change_no_number():
    x, y = data(3)
    w = RNG.normal(size=(4, 7))
    base = mode_profile(linear(w), x, y)
    q, r = (np.linalg.qr(RNG.normal(size=(k, k)))[0] for k in (7, 4))
    order = RNG.permutation(60)
    for other in (
        mode_profile(linear(r @ w @ q.T), x @ q.T, y @ r.T),
        mode_profile(linear(w), x[order], y[order], prob=np.full(60, 3.0)),
        mode_profile(lambda batch: batch @ torch.from_numpy(w.T), x, y, batch_size=7),
        mode_profile(x @ w.T, x, y),
        mode_profile(
            linear(w), np.vstack([x, x[:5]]), np.vstack([y, y[:5]]), prob=np.r_[[0.5] * 5, [1] * 55, [0.5] * 5]
        ),
    ):
        np.testing.assert_allclose(other.strength, base.strength, rtol=1e-9)
        np.testing.assert_allclose(other.fraction, base.fraction, atol=1e-9)
        np.testing.assert_allclose(other.cosine, base.cosine, atol=1e-9)


def test_fractions_add_up_over_models_and_the_difference_is_their_distance():
    x, y = data(4)
    w, v = RNG.normal(size=(4, 7)), RNG.normal(size=(4, 7))
    one, two, both = (mode_profile(linear(m), x, y) for m in (w, v, w + v))
    np.testing.assert_allclose(both.fraction, one.fraction + two.fraction, atol=1e-10)
    gap = one.fraction - two.fraction
    wanted = np.sqrt((one.strength**2 * gap**2).sum() / (one.strength**2).sum())
    assert mode_distance(one.strength, one.learned, two.learned) == pytest.approx(wanted)


def test_any_model_on_images_with_class_labels_and_it_is_left_as_it_was():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 3, 3), nn.GELU(), nn.Flatten(), nn.Dropout(), nn.Linear(12, 5)).train()
    x, y = torch.rand(40, 1, 4, 4), torch.arange(40) % 5
    found = mode_profile(model, x, y, centre=True)
    assert len(found) == 4 and model.training and model[3].training  # labels without their mean have rank 4
    assert (found.strength <= 1.0).all() and "outside the modes" in str(found)
    assert np.array_equal(found.fraction, mode_profile(model, x, y, centre=True).fraction)


def test_bad_input_is_an_error():
    x, y = data(0)
    for wrong, error in [
        ({"Y": y[:5]}, ShapeError), ({"Y": np.full(60, 9)}, InputError), ({"Y": y * np.nan}, NonFiniteError),
        ({"X": x * np.inf}, NonFiniteError), ({"prob": -np.ones(60)}, InputError), ({"prob": np.ones(3)}, ShapeError),
        ({"batch_size": 0}, InputError), ({"Y": y * 0}, NotApplicable), ({"X": x * 0}, NotApplicable),
        ({"model": lambda b: b.sum()}, ShapeError), ({"model": lambda b: b[:, :4] / 0}, NonFiniteError),
    ]:  # fmt: skip
        with pytest.raises(error):
            mode_profile(**{"model": linear(np.ones((4, 7))), "X": x, "Y": y} | wrong)
    with pytest.raises(NotApplicable, match="numbers an input"):
        mode_profile(np.ones((2, 3)), np.ones((2, 9000)), np.ones((2, 3)))
