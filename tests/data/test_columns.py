import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from learnt.core.errors import InputError, ShapeError
from learnt.data.transforms import ColumnNoise, ColumnPermutation, TokenDropout, TokenSwap

TABLE = torch.randn(60, 5, generator=torch.Generator().manual_seed(0))
DONORS = 100 + torch.randn(30, 5, generator=torch.Generator().manual_seed(1))
TOKENS = torch.randint(0, 20, (60, 12), generator=torch.Generator().manual_seed(2))
SYNONYMS = torch.arange(20)[:, None] + torch.tensor([100, 200])
KEYS = np.arange(60, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
CASES = [
    (ColumnNoise, {}, TABLE),
    (ColumnPermutation, {"donors": DONORS}, TABLE),
    (TokenDropout, {"token": 99}, TOKENS),
    (TokenSwap, {"synonyms": SYNONYMS}, TOKENS),
]


@pytest.mark.parametrize(("kind", "options", "inputs"), CASES)
@given(seed=st.integers(0, 10**6), size=st.integers(1, 60))
def test_order_and_batch_size_change_no_bit(kind, options, inputs, seed, size):
    transform = kind(strength=0.5, seed=seed, **options)
    whole = transform(inputs, KEYS)
    order = np.random.default_rng(seed).permutation(60)
    assert torch.equal(transform(inputs[order], KEYS[order]), whole[order])
    assert torch.equal(transform(inputs[:size], KEYS[:size]), whole[:size])


@pytest.mark.parametrize(("kind", "options", "inputs"), CASES)
def test_strength_zero_is_the_identity(kind, options, inputs):
    assert torch.equal(kind(strength=0, **options)(inputs, KEYS), inputs)


@pytest.mark.parametrize(("kind", "options", "inputs"), CASES)
def test_seeds_give_different_changes_and_inputs_stay(kind, options, inputs):
    before = inputs.clone()
    a, b = (kind(strength=0.5, seed=seed, **options)(inputs, KEYS) for seed in (0, 1))
    assert not torch.equal(a, b)
    assert torch.equal(before, inputs)


def test_column_noise_is_standard_normal():
    z = (ColumnNoise(strength=0.5)(torch.zeros(4000, 5), np.arange(4000, dtype=np.uint64)) / 0.5).flatten()
    assert abs(float(z.mean())) < 0.03
    assert float(z.std()) == pytest.approx(1, abs=0.03)


def test_exchanged_cells_come_from_the_same_column_of_a_donor():
    out = ColumnPermutation(donors=DONORS, strength=0.4)(TABLE, KEYS)
    changed = out != TABLE
    assert 0.3 < changed.float().mean() < 0.5
    for row, column in changed.nonzero().tolist():
        assert out[row, column] in DONORS[:, column]
    full = ColumnPermutation(donors=DONORS, strength=1.0, columns=(1, 3))(TABLE, KEYS)
    assert (full != TABLE).all(0).tolist() == [False, True, False, True, False]
    assert torch.equal(full[:, [0, 2, 4]], TABLE[:, [0, 2, 4]])


def test_dropped_tokens_become_the_token_and_kept_ones_stay():
    out = TokenDropout(token=99, strength=0.4, keep=(3,))(TOKENS, KEYS)
    dropped = out == 99
    assert 0.3 < dropped.float().mean() < 0.45
    assert not dropped[TOKENS == 3].any()
    assert torch.equal(out[~dropped], TOKENS[~dropped])


def test_swapped_tokens_become_one_of_their_synonyms_equally_often():
    out = TokenSwap(synonyms=SYNONYMS, strength=1.0)(TOKENS, KEYS)
    assert torch.equal(out % 100, TOKENS)
    assert 0.42 < (out >= 200).float().mean() < 0.58


@pytest.mark.parametrize(
    ("transform", "inputs", "error"),
    [
        (ColumnNoise(strength=-1), TABLE, InputError),
        (ColumnNoise(strength=float("nan")), TABLE, InputError),
        (ColumnNoise(), TOKENS, ShapeError),
        (ColumnNoise(), TABLE[0], ShapeError),
        (ColumnPermutation(donors=DONORS[:, :3]), TABLE, ShapeError),
        (ColumnPermutation(donors=DONORS[:0]), TABLE, ShapeError),
        (ColumnPermutation(donors=DONORS, columns=(7,)), TABLE, InputError),
        (TokenDropout(strength=2), TOKENS, InputError),
        (TokenDropout(), TABLE, ShapeError),
        (TokenSwap(synonyms=SYNONYMS[:5]), TOKENS, InputError),
        (TokenSwap(synonyms=SYNONYMS[:, 0]), TOKENS, ShapeError),
    ],
)
def test_arguments_without_meaning_are_refused(transform, inputs, error):
    with pytest.raises(error):
        transform(inputs, KEYS[: len(inputs)])


def test_a_missing_key_is_an_error():
    with pytest.raises(ShapeError, match="keys"):
        ColumnNoise()(TABLE, KEYS[:5])
