"""A routing network, M encoders, one shared trunk, M decoders, and its loss on the trained pairs alone.

    z_i = trunk(enc_i(x_i)),   logits_ij = dec_j(z_i) for pairs (i, j) with gate_ij = 1

The encoders are one batch of products; the trained decoders of an input domain are gathered and multiplied at once,
those of all domains with equally many trained pairs as one batch of products. Work and memory are proportional to the
trained pairs; the reference code (facebookresearch/gated-dln) computes all M^2 and masks them. All functions take
stacked weights (R, ...) of R replicas.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import final

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from learnt.core.errors import InputError
from learnt.core.examples import Examples
from learnt.gated._frozen import flag, number, whole
from learnt.gated._room import Room, encoded
from learnt.gated.gate_patterns import gate_matrix
from learnt.gated.routing_domains import RoutingData
from learnt.train.objectives import Batch, Model

Tensors = Mapping[str, torch.Tensor]


@final
class RoutingNet(nn.Module):
    """M encoders, a shared trunk and M decoders; linear, or with ReLU after encoders and shared layers.

    Args:
        domains: M.
        inputs, hidden, outputs: widths d, h, C.
        shared_layers: weight layers of the trunk, at least 1.
        relu: whether hidden layers have ReLU.
        bias: whether layers have biases, which start at 0. The theory has none.
        gain: of the Xavier-uniform start of each weight matrix (Glorot & Bengio 2010).
        dtype: of the weights.

    Raises:
        InputError: a size below 1, a negative gain.
    """

    def __init__(
        self, domains: int, inputs: int, hidden: int, outputs: int, *, shared_layers: int = 1, relu: bool = False,
        bias: bool = True, gain: float = 1.0, dtype: torch.dtype = torch.float32,
    ) -> None:  # fmt: skip
        nn.Module.__init__(self)
        m, d, h = whole(domains, "domains", 1), whole(inputs, "inputs", 1), whole(hidden, "hidden", 1)
        c, layers = whole(outputs, "outputs", 1), whole(shared_layers, "shared_layers", 1)
        scale = number(gain, "gain", least=0)
        if scale > 1e6:  # a start that float32 cannot square
            raise InputError("gain", found=repr(gain), expected="a number of at most 1e6")
        bias = flag(bias, "bias")
        self.relu = flag(relu, "relu")
        self.encoder = _xavier((m, h, d), float(scale), dtype)
        self.trunk = _xavier((layers, h, h), float(scale), dtype)
        self.decoder = _xavier((m, c, h), float(scale), dtype)
        for name, shape in (("encoder_bias", (m, h)), ("trunk_bias", (layers, h)), ("decoder_bias", (m, c))):
            self.register_parameter(name, nn.Parameter(torch.zeros(shape, dtype=dtype)) if bias else None)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(b, M, M, C) logits of every pair (input domain, output domain).

        Args:
            x: (b, M, d) what each input domain shows; or (b, d), the same to all.
        """
        one = {name: p.unsqueeze(0) for name, p in self.named_parameters()}
        return all_pairs(one, hidden(one, x.unsqueeze(0), self.relu))[0]


def _xavier(shape: tuple[int, ...], gain: float, dtype: torch.dtype) -> nn.Parameter:
    bound = gain * math.sqrt(6.0 / (shape[-1] + shape[-2]))
    return nn.Parameter(torch.empty(shape, dtype=dtype).uniform_(-bound, bound))


def hidden(tensors: Tensors, x: torch.Tensor, relu: bool, room: Room | None = None) -> torch.Tensor:
    """(R, M, b, h) what the trunk makes of each input domain.

    Args:
        tensors: stacked weights.
        x: (R, b, d), or (R, b, M, d) by domain.
        relu: whether hidden layers have ReLU.
        room: where gradients of the encoders are written, anew at each step; None for ones of their own.
    """
    weight, bias = tensors["encoder"], tensors.get("encoder_bias")
    replicas, m, h, d = weight.shape
    shown = x.unsqueeze(1).expand(-1, m, -1, -1) if x.ndim == 3 else x.transpose(1, 2)
    if room is not None:
        z = encoded(shown, weight, room)
    elif x.ndim == 3:
        z = torch.bmm(x, weight.reshape(replicas, m * h, d).mT).unflatten(-1, (m, h)).transpose(1, 2)
    else:
        z = torch.matmul(shown, weight.mT)
    z = z if bias is None else z + bias.unsqueeze(2)
    z = z.relu() if relu else z
    shape, rows = z.shape, z.reshape(len(z), -1, z.shape[-1])
    for k in range(tensors["trunk"].shape[1]):
        shift = tensors["trunk_bias"][:, k] if "trunk_bias" in tensors else None
        rows = _affine(rows, tensors["trunk"][:, k], shift)
        rows = rows.relu() if relu else rows
    return rows.view(shape)


def all_pairs(tensors: Tensors, z: torch.Tensor) -> torch.Tensor:
    """(R, b, M, M, C) logits of every pair from what the trunk made (R, M, b, h), for evaluation."""
    weight, bias = tensors["decoder"], tensors.get("decoder_bias")
    replicas, m, c, h = weight.shape
    rows = z.reshape(replicas, -1, h)
    out = _affine(rows, weight.reshape(replicas, m * c, h), None if bias is None else bias.reshape(replicas, m * c))
    return out.view(*z.shape[:3], m, c).transpose(1, 2)


def _affine(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
    """(N, n, out) for rows (N, n, in), weights (N, out, in) and biases (N, out)."""
    return torch.bmm(x, weight.mT) if bias is None else torch.baddbmm(bias.unsqueeze(1), x, weight.mT)


@final
class PairLoss:
    """Mean loss over the trained pairs and the batch: cross-entropy, or half the squared distance to the one-hot class.

    Args:
        data: the domains.
        gate: (M, M) 0/1, rows input domains; the trained pairs.
        kind: "cross_entropy" or "squared_error".
        folded: whether the encoders have been folded into the order of the raw pixels (see `fold`).
        room: where gradients of the encoders are written, over those of the step before; None for ones of their own.
    """

    def __init__(
        self, data: RoutingData, gate: np.ndarray, kind: str = "cross_entropy", *, folded: bool = False,
        room: Room | None = None,
    ) -> None:  # fmt: skip
        if kind not in ("cross_entropy", "squared_error"):
            raise InputError("loss", found=repr(kind), expected="'cross_entropy' or 'squared_error'")
        open_pairs = gate_matrix(gate)
        if len(open_pairs) != data.domains:
            raise InputError("gate", found=f"{len(open_pairs)} domains", expected=f"{data.domains}, as in the data")
        self.data, self.kind, self._raw = data, kind, folded or (data.pixels is None and data.maps is None)
        self._room = room
        self.pairs = int(open_pairs.sum())
        degrees = open_pairs.sum(1).astype(int)
        self._groups: list[tuple[torch.Tensor | None, torch.Tensor]] = []
        for degree in sorted(set(degrees.tolist()) - {0}):
            some = np.flatnonzero(degrees == degree)
            decoders = np.nonzero(open_pairs[some])[1].reshape(len(some), degree)
            inputs = None if len(some) == len(degrees) else torch.from_numpy(some)
            self._groups.append((inputs, torch.from_numpy(decoders)))

    def check(self, outputs: torch.Tensor, data: Examples) -> None:
        """Nothing: outputs and labels belong together by the data they were made from."""

    def prepare(self, data: Examples) -> dict[str, torch.Tensor]:
        """Views of all images, where they are needed and fit."""
        return {} if self._raw or not self.data.keeps_views() else {"views": self.data.views(data.inputs)}

    def __call__(self, model: Model, batch: Batch) -> torch.Tensor:
        """The loss of one replica."""
        one = {name: p.unsqueeze(0) for name, p in model.module.named_parameters()}
        extra = {name: values.unsqueeze(0) for name, values in batch.extra.items()}
        return self.stacked(
            model.module, one, Batch(batch.inputs[None], batch.targets()[None], batch.index[None], extra)
        )[0]

    def stacked(self, model: nn.Module, tensors: Tensors, batch: Batch) -> torch.Tensor:
        """(R,) losses."""
        x = batch.inputs
        if not self._raw:
            x = batch.extra["views"] if "views" in batch.extra else self.data.views(x)
        net: RoutingNet = model  # pyright: ignore[reportAssignmentType]
        return self.of_hidden(tensors, hidden(tensors, x, net.relu, self._room), batch.targets())

    def of_hidden(self, tensors: Tensors, z: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """(R,) losses from what the trunk made (R, M, b, h) and classes (R, b).

        Classes are the second axis of the logits, not the last: of ten numbers beside each other torch takes the
        cross-entropy several times more slowly.
        """
        weight, bias = tensors["decoder"], tensors.get("decoder_bias")
        replicas, _, b, h = z.shape
        c = weight.shape[2]
        place = z.device
        named = self.data.labels.to(place)[:, y].transpose(0, 1)  # (R, M, b)
        total = z.new_zeros(replicas)
        for inputs, decoders in self._groups:
            g, degree = decoders.shape
            flat = decoders.reshape(-1).to(place)
            some = z if inputs is None else z.index_select(1, inputs.to(place))
            columns = some.reshape(replicas * g, b, h).mT
            chosen = weight.index_select(1, flat).view(replicas * g, degree * c, h)
            if bias is None:
                logits = torch.bmm(chosen, columns)
            else:
                shift = bias.index_select(1, flat).view(replicas * g, degree * c, 1)
                logits = torch.baddbmm(shift, chosen, columns)
            logits = logits.view(-1, c, b)
            right = named.index_select(1, flat).view(-1, b)
            if self.kind == "cross_entropy":
                lost = F.cross_entropy(logits, right, reduction="none")
            else:
                lost = 0.5 * (logits - F.one_hot(right, c).mT.to(logits.dtype)).square()
            total = total + lost.view(replicas, -1).sum(1)
        return total / (self.pairs * b)


def fold(encoder: torch.Tensor, pixels: torch.Tensor) -> torch.Tensor:
    """Renumber the inputs of encoders (..., M, h, d) so that they read raw pixels: W_i x[pixels_i] is kept.

    Training moves both alike, because steps of gradient descent do not care how inputs are numbered.
    """
    place = pixels.to(encoder.device).argsort(1).unsqueeze(1).expand(encoder.shape[-3:])
    return encoder.gather(-1, place.expand(encoder.shape))


def unfold(encoder: torch.Tensor, pixels: torch.Tensor) -> torch.Tensor:
    """The inverse of `fold`."""
    place = pixels.to(encoder.device).unsqueeze(1).expand(encoder.shape[-3:])
    return encoder.gather(-1, place.expand(encoder.shape))
