from __future__ import annotations

import pytest
import torch

from learnt.train._random import fenced, sow

CPU = torch.device("cpu")


def test_inside_the_fence_a_seed_decides_and_outside_nothing_has_changed():
    torch.manual_seed(1)
    before = torch.get_rng_state()
    drawn = []
    for _ in range(2):
        with fenced(CPU):
            sow(CPU, 2**62 + 7)
            drawn.append(torch.rand(4))
    assert torch.equal(drawn[0], drawn[1])
    assert torch.equal(before, torch.get_rng_state())


def test_the_fence_holds_when_the_work_fails():
    before = torch.get_rng_state()
    with pytest.raises(ZeroDivisionError), fenced(CPU):
        _ = torch.rand(3).tolist()[0] / 0
    assert torch.equal(before, torch.get_rng_state())
