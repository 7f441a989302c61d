"""CKA from minibatch sums: the full-batch value exactly; and the other minibatch estimator, which is another number."""

import json
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from learnt.core.errors import InputError, NonFiniteError, NotApplicable, ShapeError
from learnt.similarity.cka import linear_cka
from learnt.similarity.streaming import CrossStatistics, nguyen_minibatch_cka, streaming_cka

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "cka.json").read_text())
X, Y = (torch.tensor(GOLDEN[k], dtype=torch.float64) for k in "XY")


def batches(x, y, size):
    return [(x[i : i + size], y[i : i + size]) for i in range(0, len(x), size)]


@given(n=st.integers(4, 60), size=st.integers(1, 60), shift=st.sampled_from([0.0, 100.0]), seed=st.integers(0, 99))
@settings(max_examples=50, deadline=None)
def test_sums_of_minibatches_give_exactly_the_full_batch_value(n, size, shift, seed):
    g = torch.Generator().manual_seed(seed)
    x = torch.randn(n, 5, generator=g, dtype=torch.float64) + shift
    y = torch.randn(n, 3, generator=g, dtype=torch.float64) + x[:, :3]
    for debiased in (True, False):
        streamed = streaming_cka(batches(x, y, size), debiased=debiased)
        assert streamed == pytest.approx(linear_cka(x, y, debiased=debiased), abs=1e-9)


def test_golden_value_comes_out_of_batches_of_any_size():
    for size in (1, 2, 5, 6):
        assert streaming_cka(batches(X, Y, size)) == pytest.approx(GOLDEN["debiased_linear_cka"], abs=1e-12)


def test_order_of_the_examples_changes_nothing():
    order = torch.randperm(6, generator=torch.Generator().manual_seed(1))
    assert streaming_cka(batches(X[order], Y[order], 2)) == pytest.approx(streaming_cka(batches(X, Y, 3)), abs=1e-12)


def test_extreme_scales_keep_their_digits():
    for scale in (1e-20, 1e20):
        assert streaming_cka(batches(X * scale, Y, 4)) == pytest.approx(GOLDEN["debiased_linear_cka"], abs=1e-12)


def test_float32_features_are_summed_in_float64():
    assert streaming_cka(batches(X.float(), Y.float(), 4)) == pytest.approx(GOLDEN["debiased_linear_cka"], abs=1e-6)


def test_the_nguyen_estimator_gives_its_golden_number_and_not_the_full_batch_one():
    chosen = [(X[i], Y[i]) for i in GOLDEN["minibatch_debiased"]["batches"]]
    assert nguyen_minibatch_cka(chosen) == pytest.approx(GOLDEN["minibatch_debiased"]["cka"], abs=1e-12)
    assert nguyen_minibatch_cka(chosen) != pytest.approx(GOLDEN["debiased_linear_cka"], abs=0.05)


def test_a_short_last_batch_is_left_out_and_does_not_divide_by_zero():
    g = torch.Generator().manual_seed(0)
    x, y = torch.randn(11, 3, generator=g), torch.randn(11, 3, generator=g)
    assert nguyen_minibatch_cka(batches(x, y, 4)) == nguyen_minibatch_cka(batches(x[:8], y[:8], 4))


def test_a_shuffled_loader_of_pairs_finds_identical_layers_identical():
    g = torch.Generator().manual_seed(0)
    x = torch.randn(64, 6, generator=g)
    order = torch.randperm(64, generator=g)
    assert streaming_cka(batches(x[order], x[order], 16)) == pytest.approx(1.0, abs=1e-12)


def test_constant_layers_and_missing_examples_are_errors_and_never_nan():
    flat = torch.full((8, 3), 0.1)
    with pytest.raises(NotApplicable, match="layer constant"):
        streaming_cka([(flat, torch.randn(8, 2))])
    with pytest.raises(NotApplicable, match="layer constant"):
        nguyen_minibatch_cka([(flat, torch.randn(8, 2))])
    with pytest.raises(InputError, match="at least 4"):
        streaming_cka([(X[:3], Y[:3])])
    with pytest.raises(InputError, match="no batch with four"):
        nguyen_minibatch_cka([(X[:3], Y[:3])])
    with pytest.raises(InputError, match="no minibatch"):
        streaming_cka([])
    with pytest.raises(NonFiniteError):
        CrossStatistics.of(X, Y * torch.nan)


def test_sums_from_different_origins_or_layers_do_not_add():
    first = CrossStatistics.of(X[:3], Y[:3])
    with pytest.raises(InputError, match="like=first"):
        first + CrossStatistics.of(X[3:], Y[3:])
    with pytest.raises(ShapeError, match="3, as before"):
        CrossStatistics.of(X[3:, :2], Y[3:], like=first)
