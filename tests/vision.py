"""Small networks and images for the tests of measures on images, and a check that a model is left as it was."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import pytest
import torch
from torch import nn

from learnt.core.examples import Examples


def _net(seed: int = 0, *, width: int = 6, classes: int = 3, frozen: bool = False) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        net = nn.Sequential(
            nn.Conv2d(2, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU(), nn.Conv2d(width, width, 3, stride=2),
            nn.ReLU(), nn.Dropout(0.5), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(width * 4, classes),
        )  # fmt: skip
        net[1].running_mean.normal_()
    return net.requires_grad_(not frozen)


@pytest.fixture
def net() -> Callable[..., nn.Module]:
    return _net


@pytest.fixture
def images() -> Examples:
    rng = np.random.default_rng(5)
    masks = np.zeros((20, 10, 10), dtype=bool)
    for mask, (r, c) in zip(masks, rng.integers(0, 7, (20, 2))):
        mask[r : r + 4, c : c + 4] = True
    return Examples(
        inputs=torch.from_numpy(rng.random((20, 2, 10, 10), dtype=np.float32)),
        labels=torch.from_numpy(rng.integers(0, 3, 20)),
        masks=torch.from_numpy(masks),
        low=0.0,
        high=1.0,
    )


def _state(module: nn.Module) -> tuple:
    return (
        {k: v.clone() for k, v in module.state_dict().items()},
        [None if p.grad is None else p.grad.clone() for p in module.parameters()],
        [p.requires_grad for p in module.parameters()],
        [m.training for m in module.modules()],
        [(len(m._forward_hooks), len(m._forward_pre_hooks), len(m._backward_hooks)) for m in module.modules()],
        torch.get_rng_state(),
        np.random.get_state()[1].copy(),
        torch.is_grad_enabled(),
    )


@pytest.fixture
def untouched() -> Callable:
    @contextmanager
    def check(module: nn.Module, *tensors: torch.Tensor) -> Iterator[None]:
        before, copies = _state(module), [t.clone() for t in tensors]
        yield
        after = _state(module)
        for old, new in zip(before[0].values(), after[0].values(), strict=True):
            assert torch.equal(old, new)
        for old, new in zip(before[1], after[1], strict=True):
            assert (old is None and new is None) or torch.equal(old, new)
        assert before[2:5] == after[2:5]
        assert torch.equal(before[5], after[5])
        assert (before[6] == after[6]).all()
        assert before[7] == after[7]
        for tensor, copy in zip(tensors, copies, strict=True):
            assert torch.equal(tensor, copy)
            assert not tensor.requires_grad

    return check
