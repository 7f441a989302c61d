from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.train.worlds import blobs

from learnt.core.errors import ShapeError
from learnt.train._feed import Feeder

CPU = {"device": torch.device("cpu"), "dtype": torch.float32}


@settings(max_examples=25)
@given(st.integers(1, 30), st.integers(1, 40), st.integers(1, 3), st.booleans())
def test_each_epoch_shows_every_replica_every_example_once(n, batch, size, shared):
    feeder = Feeder(blobs(n), {}, size=size, batch_size=batch, seed=0, shared=shared, **CPU)
    for epoch in (0, 1):
        steps = range(epoch * feeder.per_epoch, (epoch + 1) * feeder.per_epoch)
        seen = torch.cat(
            [feeder.at(k).index.expand(size, -1) if feeder.at(k).shared else feeder.at(k).index for k in steps], 1
        )
        assert torch.equal(seen.sort(1).values, torch.arange(n).expand(size, n))


def test_orders_differ_between_replicas_epochs_and_seeds_but_not_between_calls():
    def first(seed=0, step=0):
        return Feeder(blobs(50), {}, size=2, batch_size=50, seed=seed, **CPU).at(step).index

    assert torch.equal(first(), first())
    assert not torch.equal(first()[0], first()[1])
    assert not torch.equal(first()[0], first(step=1)[0])
    assert not torch.equal(first()[0], first(seed=1)[0])


def test_a_step_does_not_depend_on_the_steps_before_it():
    walked = Feeder(blobs(20), {}, size=2, batch_size=6, seed=0, **CPU)
    last = [walked.at(k) for k in range(10)][-1]
    jumped = Feeder(blobs(20), {}, size=2, batch_size=6, seed=0, **CPU).at(9)
    assert torch.equal(last.inputs, jumped.inputs)


def test_rows_belong_together():
    data = blobs(20)
    extra = {"twice": 2 * data.inputs}
    batches = Feeder(data, extra, size=3, batch_size=6, seed=0, **CPU).at(1)
    for i in range(3):
        inputs, labels, index, more = batches.of(i)
        assert torch.equal(inputs, data.inputs[index])
        assert torch.equal(labels, data.labels[index])
        assert torch.equal(more["twice"], 2 * inputs)
    assert len(batches) == 6


def test_an_augmentation_must_keep_the_number_of_examples():
    feeder = Feeder(blobs(20), {}, size=2, batch_size=6, seed=0, augment=lambda x, g: x[:1], **CPU)
    with pytest.raises(ShapeError, match="1 inputs for 6"):
        feeder.at(0)


def test_unshuffled_data_come_in_their_order():
    feeder = Feeder(blobs(5), {}, size=2, batch_size=3, seed=0, shared=True, shuffle=False, **CPU)
    assert feeder.at(1).index.tolist() == [3, 4]
