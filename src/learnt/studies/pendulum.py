"""Is a compressed reward network still the same reward? Pruned and quantised copies on Pendulum-v1.

A network learns the true reward of the pendulum, -(angle^2 + 0.1 speed^2 + 0.001 torque^2), from observation and
torque. Copies of it lose the smallest weights of each layer, or keep few bits of each weight. The usual number is the
squared error of a copy's outputs as a share of their variance. Beside it stands the STARC distance: errors that shaping
could undo do not count, errors in the little that tells good actions from bad ones do. An independently trained network
is the control. Classic control only; MuJoCo is not needed.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn

from learnt.adapters.gymnasium import collect
from learnt.core.errors import InputError
from learnt.core.estimate import Estimate
from learnt.core.examples import Examples
from learnt.data.transitions import Transitions
from learnt.rewards.features import Fourier
from learnt.rewards.lstd import LSTD
from learnt.rewards.sampled import SampledDistances, estimate_distance
from learnt.rewards.scoring import score

ORIGINAL, CONTROL, TRUE = "original", "independent", "true reward"


class RewardNet(nn.Module):
    """A reward of observation and action, given the mean and spread of what `body` learnt in standard units."""

    def __init__(self, body: nn.Module, shift: float, scale: float) -> None:
        nn.Module.__init__(self)
        self.body, self.shift, self.scale = body, shift, scale

    def forward(self, obs: torch.Tensor, act: torch.Tensor, next_obs: torch.Tensor, end: torch.Tensor) -> torch.Tensor:
        """Rewards (n,)."""
        return self.body(torch.cat([obs, act], dim=1))[:, 0] * self.scale + self.shift


class Copy(NamedTuple):
    """One copy: its name, its squared error as a share of the original's variance, its distances.

    `distance` is from the original network, `from_true` from the true reward.
    """

    name: str
    error: float
    distance: Estimate
    from_true: Estimate


@dataclass(frozen=True, eq=False, kw_only=True)
class CompressionResult:
    """Copies in the order asked for; the control first."""

    copies: tuple[Copy, ...]
    found: SampledDistances

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON data."""
        return {
            "schema": "learnt.compression/1",
            "copies": [
                {"name": c.name, "error": c.error, "distance": c.distance.to_dict(), "from_true": c.from_true.to_dict()}
                for c in self.copies
            ],
            "notes": list(self.found.notes),
        }

    def table(self) -> Any:
        """A rich table: a row for each copy."""
        from rich.table import Table

        table = Table(title="Pendulum-v1: is a compressed reward network still the same reward?")
        for heading in ("copy", "squared error / variance", "distance from original", "distance from true reward"):
            table.add_column(heading, justify="left" if heading == "copy" else "right")
        for c in self.copies:
            table.add_row(c.name, f"{c.error:.2g}", str(c.distance), str(c.from_true))
        return table


def true_reward(obs: np.ndarray, act: np.ndarray, next_obs: np.ndarray, terminated: np.ndarray) -> np.ndarray:
    """The reward of Pendulum-v1 from the observation (cosine, sine, speed) before the step and the torque."""
    angle = np.arctan2(obs[:, 1], obs[:, 0])
    return -(angle**2 + 0.1 * obs[:, 2] ** 2 + 0.001 * act[:, 0] ** 2)


def pruned(module: nn.Module, share: float) -> nn.Module:
    """A copy without the smallest `share` of the weights of each matrix; biases stay.

    Raises:
        InputError: a share outside [0, 1).
    """
    if not 0 <= share < 1:
        raise InputError("share", found=str(share), expected="a number from 0 to below 1")
    made = copy.deepcopy(module)
    with torch.no_grad():
        for weight in (p for p in made.parameters() if p.ndim > 1):
            gone = weight.abs().flatten().argsort(stable=True)[: int(share * weight.numel())]
            weight.view(-1)[gone] = 0.0
    return made


def quantised(module: nn.Module, bits: int) -> nn.Module:
    """A copy whose every parameter lies on 2^bits - 1 evenly spaced values, symmetric about 0, for each tensor.

    Raises:
        InputError: fewer than 2 bits.
    """
    if bits < 2:
        raise InputError("bits", found=str(bits), expected="2 or more")
    made = copy.deepcopy(module)
    steps = 2 ** (bits - 1) - 1
    with torch.no_grad():
        for parameter in made.parameters():
            top = parameter.abs().max()
            if top > 0:
                parameter.copy_((parameter / top * steps).round() * top / steps)
    return made


def compression(
    *,
    samples: int = 10_000,
    shares: Sequence[float] = (0.3, 0.6, 0.9),
    bits: Sequence[int] = (8, 4, 2),
    epochs: int = 40,
    widths: Sequence[int] = (64, 64),
    discount: float = 0.95,
    n_boot: int = 1000,
    seed: int = 0,
) -> CompressionResult:
    """Train a reward network and a control, compress the first, and compare all of them and the true reward.

    Args:
        samples: transitions of a walk with random torques, for training; as many of another walk for comparing.
        shares: of weights to prune.
        bits: to keep of each weight.
        epochs, widths: of the networks.
        discount: gamma.
        n_boot: bootstrap repetitions.
        seed: of everything.

    Raises:
        MissingExtra: Gymnasium is not installed. InputError: settings without meaning.
    """
    walk, other = (
        collect("Pendulum-v1", steps=samples, seed=2 * seed + part, reset_every=100, stochastic=False)
        for part in (0, 1)
    )
    original, control = _train(walk, epochs, tuple(widths), seed)
    nets: dict[str, nn.Module] = {CONTROL: control}
    nets |= {f"{100 * share:g} % pruned": pruned(original, share) for share in shares}
    nets |= {f"{count} bits": quantised(original, count) for count in bits}
    rewards: Mapping[str, Any] = {TRUE: true_reward, ORIGINAL: original, **nets}
    found = estimate_distance(
        rewards, other, discount, value=LSTD(features=Fourier(seed=seed)), n_boot=n_boot, seed=seed
    )
    reference = score(original, other, ORIGINAL)
    copies = [
        Copy(
            name, float(np.mean((score(net, other, name) - reference) ** 2) / reference.var()),
            found[ORIGINAL, name].distance, found[TRUE, name].distance,
        )
        for name, net in nets.items()
    ]  # fmt: skip
    return CompressionResult(copies=tuple(copies), found=found)


def _train(walk: Transitions, epochs: int, widths: tuple[int, ...], seed: int) -> list[RewardNet]:
    """The network and its control: two replicas that differ in their random start and order."""
    from learnt.train.fit import fit
    from learnt.train.nets import mlp
    from learnt.train.objectives import SquaredError
    from learnt.train.population import Population

    targets = true_reward(walk.obs, walk.act, walk.next_obs[:, 0], walk.terminated[:, 0])
    shift, scale = float(targets.mean()), float(targets.std())
    inputs = torch.from_numpy(np.concatenate([walk.obs, walk.act], axis=1)).float()
    data = Examples(inputs=inputs, labels=torch.from_numpy((targets - shift) / scale).float(), name="pendulum")
    nets = Population(lambda: mlp(inputs.shape[1], 1, widths), 2, seed=seed)
    fit(nets, data, SquaredError(), epochs=epochs, seed=seed)
    return [RewardNet(net, shift, scale) for net in nets]
