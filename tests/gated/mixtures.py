"""A small mixture of experts over tokens, and a task in which kinds of tokens ask for different maps."""

import torch
from torch import nn


class Mixture(nn.Module):
    """Top-1 of E experts with hidden ReLU units; a token is weighted by the softmax of its router."""

    def __init__(self, inputs: int, outputs: int, experts: int, hidden: int = 16) -> None:
        super().__init__()
        self.router = nn.Linear(inputs, experts)
        self.experts = nn.ModuleList(
            nn.Sequential(nn.Linear(inputs, hidden), nn.ReLU(), nn.Linear(hidden, outputs)) for _ in range(experts)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        weight = self.router(x).softmax(-1)
        kept = torch.where(weight == weight.amax(-1, keepdim=True), weight, 0.0)
        answers = torch.stack([expert(x) for expert in self.experts], -1)
        return (answers * kept.unsqueeze(-2)).sum(-1)


def kinds_task(n: int, seed: int, kinds: int = 2) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """(n, kinds + 4) tokens that name their kind, (n, 3) targets by a map of each kind, whose sum is 0, and the kind."""
    of, maps = torch.Generator().manual_seed(seed), torch.Generator().manual_seed(99)
    kind = torch.randint(0, kinds, (n,), generator=of)
    content = torch.randn(n, 4, generator=of)
    teacher = torch.randn(kinds, 3, 4, generator=maps)
    teacher -= teacher.mean(0)
    x = torch.cat([3 * torch.eye(kinds)[kind], content], 1)
    return x, torch.einsum("noi,ni->no", teacher[kind], content), kind


def trained(seed: int, steps: int = 200, kinds: int = 2) -> tuple[Mixture, float]:
    """A mixture with as many experts as kinds, trained by Adam, and its loss on new tokens."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = Mixture(kinds + 4, 3, kinds)
    x, y, _ = kinds_task(512, 0, kinds)
    optimiser = torch.optim.Adam(model.parameters(), lr=0.02)
    for _ in range(steps):
        optimiser.zero_grad()
        (model(x) - y).square().sum(1).mean().backward()
        optimiser.step()
    new, wanted, _ = kinds_task(512, 1, kinds)
    with torch.no_grad():
        return model, float((model(new) - wanted).square().sum(1).mean())
