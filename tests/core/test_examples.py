"""Examples: what people hand in is checked, and keys make order irrelevant."""

import numpy as np
import pytest
import torch

from learnt.core.errors import InputError, NonFiniteError, ShapeError
from learnt.core.examples import Examples, as_examples, check_finite, mix, uniform


def test_pairs_arrays_and_torch_datasets_become_examples():
    x, y = np.random.default_rng(0).random((6, 3)), np.arange(6) % 2
    pair = as_examples((x, y))
    assert pair.inputs.dtype == torch.float32 and pair.labels.dtype == torch.int64
    assert as_examples(x).labels is None
    dataset = torch.utils.data.TensorDataset(torch.tensor(x), torch.tensor(y))
    assert torch.equal(as_examples(dataset).inputs, pair.inputs)
    assert as_examples(pair) is pair


@pytest.mark.parametrize(
    ("data", "error", "words"),
    [
        (lambda: as_examples("digits"), InputError, "data: found str"),
        (lambda: as_examples((np.zeros((0, 3)), np.zeros(0))), InputError, "no examples"),
        (lambda: as_examples((np.zeros((4, 3)), np.zeros(3, int))), ShapeError, "3 entries; expected 4"),
        (
            lambda: as_examples((np.array([[1.0, np.nan]]), np.zeros(1, int))),
            NonFiniteError,
            r"first at index \(0, 1\)",
        ),
        (lambda: as_examples((np.zeros((2, 3)), np.array([0, -1]))), InputError, "negative class index"),
        (lambda: as_examples((np.zeros((2, 3)), np.zeros((2, 2), int))), ShapeError, r"shape \(2, 2\)"),
        (
            lambda: Examples(inputs=torch.zeros(2, 3), labels=torch.tensor([0, 5]), classes=("a", "b")),
            InputError,
            "class index 5",
        ),
        (lambda: as_examples(([object()], [0])), InputError, "not numeric"),
        (lambda: as_examples(torch.utils.data.TensorDataset(torch.zeros(0, 2))), InputError, "an empty data set"),
    ],
)
def test_bad_data_is_named_counted_and_explained(data, error, words):
    with pytest.raises(error, match=words):
        data()


def test_an_iterable_dataset_without_length_is_refused():
    class Stream(torch.utils.data.IterableDataset):
        def __iter__(self):
            yield torch.zeros(2)

    with pytest.raises(InputError, match="without a length"):
        as_examples(Stream())


def test_keys_depend_on_the_input_and_on_nothing_else():
    x = torch.rand(20, 3)
    order = torch.randperm(20)
    keys = as_examples((x, torch.zeros(20, dtype=torch.int64))).keys
    assert (as_examples((x[order], torch.arange(20))).keys == keys[order.numpy()]).all()
    assert len(set(keys.tolist())) == 20


def test_subsets_are_the_same_examples_whatever_the_order():
    data = as_examples(torch.rand(50, 2))
    order = np.random.default_rng(0).permutation(50)
    chosen = {tuple(row) for row in data.inputs[data.subset(10)].tolist()}
    again = data.take(order)
    assert {tuple(row) for row in again.inputs[again.subset(10)].tolist()} == chosen
    assert len(data.subset(None)) == 50 and len(data.subset(99)) == 50
    assert set(data.subset(10, salt=1)) != set(data.subset(10))


def test_take_carries_everything_known_about_an_example():
    inputs = torch.rand(5, 1, 2, 2)
    data = Examples(
        inputs=inputs, labels=torch.arange(5), masks=torch.rand(5, 2, 2) > 0.5, factors={"hue": torch.arange(5.0)},
        domains={"dark": Examples(inputs=inputs / 2, name="dark")},
    )  # fmt: skip
    part = data.take([3, 1])
    assert part.labels.tolist() == [3, 1] and part.factors["hue"].tolist() == [3.0, 1.0]
    assert torch.equal(part.domains["dark"].inputs, inputs[[3, 1]] / 2) and torch.equal(part.masks, data.masks[[3, 1]])


def test_uniform_streams_are_uniform_and_independent_between_salts():
    keys = mix(np.arange(20_000, dtype=np.uint64), 0)
    u, v = uniform(keys, 1), uniform(keys, 2)
    assert 0 <= u.min() and u.max() < 1
    assert abs(u.mean() - 0.5) < 0.01 and abs(u.var() - 1 / 12) < 0.003
    assert abs(np.corrcoef(u, v)[0, 1]) < 0.03


def test_opposite_infinities_are_found_although_they_cancel():
    with pytest.raises(NonFiniteError, match="2 values"):
        check_finite(torch.tensor([torch.inf, 1.0, -torch.inf]), "x")
    check_finite(torch.full((4,), 3e38), "x")  # a sum that overflows is not an error
