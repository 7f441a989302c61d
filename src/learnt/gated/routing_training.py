"""Which untrained tasks come for free? Train a routing network on some pairs of domains and test it on all.

The multi-domain benchmark of Saxe, Sodhani, Lewallen 2022 (arXiv 2207.10430) on real images. What differs from the
authors' code: only trained pairs are computed (`learnt.gated.routing_net`); permutations of labels are random
(`learnt.gated.routing_domains`); all seeds are trained at once; squared error is offered beside cross-entropy, networks
without biases beside those with. The published MNIST and CIFAR numbers are not at hand, so that none is claimed here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, final

import numpy as np
import torch
from torch.nn import functional as F

from learnt.core.errors import InputError, NotApplicable
from learnt.core.examples import Examples
from learnt.gated._asked import called, device_of, dtype_of
from learnt.gated._frozen import chosen, frozen, number, whole
from learnt.gated._room import Room
from learnt.gated.gate_patterns import gate_matrix
from learnt.gated.routing_domains import RoutingData
from learnt.gated.routing_net import PairLoss, RoutingNet, all_pairs, fold, hidden, unfold
from learnt.run.seeds import derive
from learnt.train.fit import fit
from learnt.train.history import Callback, History
from learnt.train.population import Population

_AT_ONCE = 1 << 22  # logits that evaluation makes at a time
OptimizerFactory = Callable[[list[torch.Tensor]], torch.optim.Optimizer]


@final
@dataclass(frozen=True, eq=False, kw_only=True)
class Routed:
    """What training a routing network gave.

    Attributes:
        gate: (M, M) 0/1, the trained pairs; rows input domains.
        population: the R networks. Each takes (b, M, d), what every input domain shows (`RoutingData.views`).
        accuracy: (R, M, M) share of right answers for each pair, by part: "train" and "test".
        loss: (R, M, M) mean loss of each pair, by part.
        history: of the training.
    """

    gate: np.ndarray
    population: Population
    accuracy: Mapping[str, np.ndarray]
    loss: Mapping[str, np.ndarray]
    history: History

    def trained(self, part: str = "test") -> np.ndarray:
        """(R,) mean accuracy over the trained pairs."""
        return self.accuracy[part][:, self.gate == 1].mean(1)

    def untrained(self, part: str = "test") -> np.ndarray:
        """(R,) mean accuracy over the untrained pairs; NotApplicable if there are none."""
        if (self.gate == 1).all():
            raise NotApplicable("gate", found="every pair trained", expected="pairs that were not trained")
        return self.accuracy[part][:, self.gate == 0].mean(1)

    def model(self, i: int = 0) -> RoutingNet:
        """The network of replica i."""
        module: Any = self.population[i]
        return module

    def __str__(self) -> str:
        open_pairs, count = int(self.gate.sum()), self.gate.size
        text = f"{open_pairs} of {count} pairs trained, test accuracy {self.trained().mean():.3f}"
        return text if open_pairs == count else f"{text}, {self.untrained().mean():.3f} on the others"


def train_routing(
    data: RoutingData,
    gate: Any,
    *,
    steps: int = 1200,
    hidden: int = 64,
    shared_layers: int = 1,
    relu: bool = False,
    bias: bool = True,
    gain: float = 1.0,
    loss: Literal["cross_entropy", "squared_error"] = "cross_entropy",
    lr: float = 0.1,
    momentum: float = 0.9,
    weight_decay: float = 0.0,
    optimizer: OptimizerFactory | None = None,
    batch: int = 64,
    seeds: int = 1,
    seed: int = 0,
    most: int = 10_000,
    dtype: torch.dtype = torch.float32,
    device: str | torch.device | None = None,
    checkpoint: Any = None,
    callbacks: Sequence[Callback] = (),
) -> Routed:
    """Train `seeds` routing networks on the pairs of `gate`, and measure all pairs.

    Args:
        data: images and domains; see `routing_data`.
        gate: (M, M) 0/1, the trained pairs; see `learnt.gated.gate_patterns` and `design_pairs`.
        steps: of the optimiser.
        hidden, shared_layers, relu, bias, gain: of the networks; see `RoutingNet`.
        loss: its mean over trained pairs and batch is minimised. "squared_error" is half the squared distance.
        lr, momentum, weight_decay: of SGD.
        optimizer: a function from parameters to a torch optimiser instead; it must treat each number alike (SGD, Adam).
        batch: images a step, each shown by all domains; the reference does the same.
        seeds: replicas R, with own weights and batches.
        seed: of both.
        most: training images, at most, on which the accuracy of the part "train" is measured.
        dtype, device: of the computation.
        checkpoint, callbacks: as in `learnt.train.fit`.

    Raises:
        InputError, ShapeError: a gate of another size, sizes below 1, an unknown loss.
        DivergedError: NaN or infinity.
    """
    if not isinstance(data, RoutingData):
        raise InputError(
            "data", found=type(data).__name__, expected="RoutingData, such as routing_data('digits') makes"
        )
    pairs = gate_matrix(gate)
    count = whole(seeds, "seeds", 1)
    number(lr, "lr", above=0)
    number(momentum, "momentum", least=0)
    number(weight_decay, "weight_decay", least=0)
    chosen(loss, "loss", ("cross_entropy", "squared_error"))
    dtype_of(dtype)
    device_of(device)
    called(callbacks)
    if optimizer is not None and not callable(optimizer):
        raise InputError(
            "optimizer",
            found=repr(optimizer)[:60],
            expected="None for SGD, or a function from parameters to an optimiser",
        )
    objective = PairLoss(data, pairs, loss, folded=data.pixels is not None, room=Room())
    sizes = (data.domains, data.width, hidden, data.classes)
    options: Any = {"shared_layers": shared_layers, "relu": relu, "bias": bias, "gain": gain, "dtype": dtype}
    population = Population(lambda: RoutingNet(*sizes, **options), count, seed=derive(seed, "routing"))
    if data.pixels is not None:
        _exchange(population, fold, data.pixels)
    history = fit(
        population,
        Examples(inputs=data.train_x, labels=data.train_y, name=data.name),
        objective,
        steps=whole(steps, "steps", 1),
        optimizer=optimizer or (lambda p: torch.optim.SGD(p, lr=lr, momentum=momentum, weight_decay=weight_decay)),
        batch_size=whole(batch, "batch", 1),
        engine="vmap",
        seed=seed,
        device=device,
        checkpoint=checkpoint,
        callbacks=callbacks,
    )
    part = _part(data.train_x, data.train_y, whole(most, "most", 1), seed)
    found = {
        name: _measured(population, data, x, y, loss, relu)
        for name, (x, y) in (("train", part), ("test", (data.test_x, data.test_y)))
    }
    if data.pixels is not None:
        _exchange(population, unfold, data.pixels)
    return Routed(
        gate=frozen(pairs),
        population=population,
        accuracy={name: frozen(pair[0]) for name, pair in found.items()},
        loss={name: frozen(pair[1]) for name, pair in found.items()},
        history=history,
    )


def _exchange(
    population: Population, change: Callable[[torch.Tensor, torch.Tensor], torch.Tensor], pixels: Any
) -> None:
    home = population.parameters["encoder"]
    with torch.no_grad():
        home.copy_(change(home, pixels))


def _part(x: torch.Tensor, y: torch.Tensor, most: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """At most so many images, chosen at random."""
    if len(x) <= most:
        return x, y
    stream = torch.Generator().manual_seed(derive(seed, "routing", "measured"))
    chosen = torch.randperm(len(x), generator=stream)[:most]
    return x[chosen], y[chosen]


@torch.no_grad()
def _measured(
    population: Population, data: RoutingData, x: torch.Tensor, y: torch.Tensor, kind: str, relu: bool
) -> tuple[np.ndarray, np.ndarray]:
    """(R, M, M) accuracy and loss of every pair; encoders read raw pixels where domains are permutations."""
    m, c, place = data.domains, data.classes, population.device
    step = max(1, _AT_ONCE // (m * m * c))
    right = torch.zeros(len(population), m, m, dtype=torch.float64, device=place)
    lost = torch.zeros_like(right)
    namings = data.labels.to(place)
    for r in range(len(population)):
        one = {name: p[r : r + 1] for name, p in population.parameters.items()}
        for start in range(0, len(x), step):
            images = x[start : start + step].to(place, one["encoder"].dtype)
            seen = images if data.maps is None else data.views(images.cpu()).to(images)
            logits = all_pairs(one, hidden(one, seen.unsqueeze(0), relu))[0]  # (b, M, M, C)
            named = namings[:, y[start : start + step].to(place)].mT.unsqueeze(1).expand(-1, m, -1)
            right[r] += (logits.argmax(-1) == named).sum(0)
            if kind == "cross_entropy":
                each = F.cross_entropy(logits.reshape(-1, c), named.reshape(-1), reduction="none").view(named.shape)
            else:
                each = 0.5 * (logits - F.one_hot(named, c).to(logits.dtype)).square().sum(-1)
            lost[r] += each.double().sum(0)
    return (right / len(x)).cpu().numpy(), (lost / len(x)).cpu().numpy()
