"""Small networks and data for the tests of this folder, and the plain training loop they are compared with."""

from __future__ import annotations

import torch
from torch import nn

from learnt.core.examples import Examples
from learnt.run.seeds import generator
from learnt.train.objectives import Batch, Model


def blobs(n: int = 70, features: int = 6, classes: int = 3, seed: int = 0) -> Examples:
    """Linearly separable classes under noise; 70 examples leave an odd last batch."""
    g = torch.Generator().manual_seed(seed)
    inputs = torch.randn(n, features, generator=g)
    return Examples(inputs=inputs, labels=inputs[:, :classes].argmax(1))


def tiny() -> nn.Module:
    return nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 3))


def with_batch_norm() -> nn.Module:
    return nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3))


def with_dropout() -> nn.Module:
    return nn.Sequential(nn.Linear(6, 16), nn.Dropout(0.5), nn.ReLU(), nn.Linear(16, 3))


def convolutional() -> nn.Module:
    return nn.Sequential(nn.Conv2d(2, 4, 3, stride=2), nn.ReLU(), nn.Flatten(), nn.Linear(36, 3))


def pictures(n: int = 40) -> Examples:
    g = torch.Generator().manual_seed(1)
    return Examples(inputs=torch.randn(n, 2, 8, 8, generator=g), labels=torch.arange(n) % 3)


class Point(nn.Module):
    """A network that is nothing but a point: the output is its position, whatever the input."""

    def __init__(self, start: torch.Tensor) -> None:
        super().__init__()
        self.theta = nn.Parameter(start.clone())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.theta.expand(len(x), -1)


def quadratic(curvature: torch.Tensor, centre: float = 0.0):
    """loss = sum of curvature (theta - centre)^2 / 2 at the position of a `Point`."""

    def loss(model: Model, batch: Batch) -> torch.Tensor:
        return 0.5 * (curvature * (model(batch.inputs)[0] - centre) ** 2).sum()

    return loss


def nothing() -> Examples:
    return Examples(inputs=torch.zeros(1, 1))


def by_hand(
    module: nn.Module,
    data: Examples,
    loss,
    make_optimizer,
    *,
    epochs: int,
    batch: int,
    seed: int,
    replica: int,
    after=None,
):
    """An ordinary training loop with the data order of replica `replica`."""
    optimizer = make_optimizer(list(module.parameters()))
    module.train()
    for epoch in range(epochs):
        order = torch.randperm(len(data), generator=generator(seed, "order", replica, epoch))
        for start in range(0, len(data), batch):
            index = order[start : start + batch]
            optimizer.zero_grad()
            loss(module(data.inputs[index]), data.labels[index]).backward()
            if after is not None:
                after(module)
            optimizer.step()
    return module.eval()


def difference(a: nn.Module, b: nn.Module) -> float:
    """Largest absolute difference of parameters and buffers."""
    state = b.state_dict()
    return max(float((v.double() - state[k].double()).abs().max()) for k, v in a.state_dict().items())
