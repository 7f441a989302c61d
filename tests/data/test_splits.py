import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from learnt.core.errors import InputError
from learnt.core.examples import Examples
from learnt.data.splits import Parts, joined, part, standardised, stratified


def _examples(n=100, classes=4, seed=0):
    rng = np.random.default_rng(seed)
    return Examples(
        inputs=torch.from_numpy(rng.normal(size=(n, 3)).astype(np.float32)),
        labels=torch.from_numpy(rng.integers(0, classes, n)),
    )


def _part(parts, split, seed=0, validation=0.1, test=0.2):
    return part(parts, split, seed=seed, validation=validation, test=test)


@given(n=st.integers(20, 200), classes=st.integers(1, 5), fraction=st.floats(0.05, 0.95), stream=st.integers(0, 2**63))
def test_a_stratified_split_covers_everything_once_and_keeps_the_proportions(n, classes, fraction, stream):
    examples = _examples(n, classes)
    rest, chosen = stratified(examples, fraction, stream=stream)
    np.testing.assert_array_equal(np.sort(np.concatenate([rest, chosen])), np.arange(n))
    for label in range(classes):
        members = int((examples.labels == label).sum())
        if members >= 2:
            taken = int((examples.labels[chosen] == label).sum())
            assert abs(taken - fraction * members) <= 1
            assert 1 <= taken < members


def test_the_split_follows_the_examples_when_the_file_is_reordered():
    examples = _examples()
    order = np.random.default_rng(1).permutation(100)
    _, chosen = stratified(examples, 0.3, stream=7)
    _, reordered = stratified(examples.take(order), 0.3, stream=7)
    assert set(order[reordered]) == set(chosen)


def test_duplicates_stay_on_one_side():
    inputs = torch.arange(20.0).repeat_interleave(3)[:, None]
    examples = Examples(inputs=inputs, labels=torch.zeros(60, dtype=torch.int64))
    for stream in range(20):
        rest, chosen = stratified(examples, 0.3, stream=stream)
        assert not set(inputs[rest, 0].tolist()) & set(inputs[chosen, 0].tolist())
        assert len(chosen) == 18


def test_different_streams_give_different_splits():
    examples = _examples()
    assert len({tuple(stratified(examples, 0.3, stream=s)[1]) for s in range(10)}) == 10


def test_regression_targets_are_split_as_one_group():
    examples = Examples(inputs=torch.randn(50, 2, generator=torch.Generator().manual_seed(0)), labels=torch.rand(50))
    assert len(stratified(examples, 0.2, stream=0)[1]) == 10


@pytest.mark.parametrize("fraction", [0.0, 1.0, -1.0, float("nan")])
def test_a_fraction_outside_the_unit_interval_is_refused(fraction):
    with pytest.raises(InputError, match="between 0 and 1"):
        stratified(_examples(), fraction, stream=0)


def test_a_set_that_cannot_be_split_says_so():
    examples = Examples(inputs=torch.eye(3), labels=torch.arange(3))
    with pytest.raises(InputError, match="standardise=False"):
        stratified(examples, 0.2, stream=0)


@given(seed=st.integers(-5, 2**40))
def test_carved_parts_are_disjoint_and_make_up_the_whole(seed):
    whole = _examples(150)
    pieces = [_part(Parts(train=lambda: whole), split, seed=seed) for split in ("train", "validation", "test")]
    keys = [set(piece.keys.tolist()) for piece in pieces]
    assert sum(map(len, pieces)) == 150
    assert not keys[0] & keys[1] and not keys[0] & keys[2] and not keys[1] & keys[2]  # noqa: PT018


def test_an_official_test_part_is_not_touched_and_validation_comes_from_training():
    train, test = _examples(100), _examples(40, seed=9)
    parts = Parts(train=lambda: train, test=lambda: test)
    assert _part(parts, "test") is test
    carved = [_part(parts, split) for split in ("train", "validation")]
    assert set(carved[0].keys.tolist()) | set(carved[1].keys.tolist()) == set(train.keys.tolist())
    assert len(_part(parts, "all")) == 140


def test_an_official_validation_part_leaves_training_whole():
    train, held_out = _examples(100), _examples(10, seed=5)
    parts = Parts(train=lambda: train, validation=lambda: held_out, test=lambda: held_out)
    assert _part(parts, "train") is train
    assert _part(parts, "validation") is held_out
    without_test = Parts(train=lambda: train, validation=lambda: held_out)
    assert len(_part(without_test, "train")) + len(_part(without_test, "test")) == 100


def test_only_the_files_of_the_asked_part_are_read():
    def forbidden():
        raise AssertionError("the training part was read")

    assert len(_part(Parts(train=forbidden, test=lambda: _examples(5)), "test")) == 5


def test_tables_are_standardised_with_training_statistics_only():
    parts = Parts(train=lambda: _examples(200), standardise=True)
    train, test = _part(parts, "train"), _part(parts, "test")
    raw = _part(Parts(train=lambda: _examples(200)), "train").inputs.double()
    assert train.inputs.mean(0).abs().max() < 1e-6
    assert (train.inputs.std(0, correction=0) - 1).abs().max() < 1e-6
    assert test.inputs.mean(0).abs().max() > 1e-3  # with the test rows in it, it would be nearer to zero
    raw_test = _part(Parts(train=lambda: _examples(200)), "test").inputs.double()
    expected = (raw_test - raw.mean(0)) / raw.std(0, correction=0)
    torch.testing.assert_close(test.inputs.double(), expected, atol=1e-6, rtol=1e-6)


def test_a_constant_column_is_centred_and_stays_finite():
    flat = Examples(inputs=torch.tensor([[3.0, 1.0], [3.0, 2.0]]))
    assert standardised(flat, flat).inputs.tolist() == [[0.0, -1.0], [0.0, 1.0]]


def test_joining_drops_labels_that_not_all_have():
    a, b = _examples(5), Examples(inputs=torch.zeros(2, 3))
    assert joined([a, b]).labels is None
    assert len(joined([a, b])) == 7


def test_an_unknown_split_is_refused():
    with pytest.raises(InputError, match="train, validation, test, all"):
        _part(Parts(train=_examples), "dev")
