"""What a new user gets wrong is answered with what to give instead."""

import numpy as np
import pytest
import torch

from learnt.core.errors import InputError, ShapeError
from learnt.gated import mode_profile, reduce, tasks, train_gdln


@pytest.mark.parametrize(
    ("init", "found"), [(None, "nothing"), ("small", "'small'"), (torch.nn.Linear(2, 2), "Linear")]
)
def test_a_start_that_is_none_is_answered_with_what_a_start_may_be(init, found):
    with pytest.raises(
        InputError, match=f"found {found}; expected a strength, strengths or weights by edge, or a GDLN"
    ):
        reduce(tasks.xor("four")).solve(init, t=1.0)


def test_training_from_a_reduction_is_answered_with_its_weights():
    task = tasks.routing(3, 2, hidden=4)
    reduction = reduce(task)
    with pytest.raises(InputError, match=r"Reduction.weights\(0.1\)"):
        train_gdln(task, steps=1, initial=reduction)  # type: ignore[arg-type]
    assert train_gdln(task, steps=1, initial=reduction.weights(0.1)).losses.shape == (2, 1)


@pytest.mark.parametrize("labels", [np.arange(6.0) % 3, torch.arange(6.0) % 3])
def test_class_labels_that_are_no_integers_are_answered_with_that(labels):
    with pytest.raises(ShapeError, match=r"shape \(6,\).*Class indices \(P,\) have to be integers"):
        mode_profile(torch.nn.Linear(4, 3), np.eye(6)[:, :4], labels)
    with pytest.raises(ShapeError) as told:
        mode_profile(torch.nn.Linear(4, 3), np.eye(6)[:, :4], np.eye(6)[:, :2])
    assert "integers" not in str(told.value)
