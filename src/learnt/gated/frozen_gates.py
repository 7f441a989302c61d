"""What does a network learn if its gates stay as they are? Its linear part, trained with the gates of one moment.

    z_l = V_l u_{l-1} + c_l,   G_l = 1[z_l > 0] or the slope      from the weights V, c at the moment of freezing
    h_l = G_l (W_l h_{l-1} + b_l)                                 W, b start there and are trained

At first the answers are those of the network. Then they are a deep linear network for each input, and what they miss
of the network's own training is the part that moving gates play: much while gates are still those of the
initialisation, little once they have settled. (Gates fixed apart from the weights:
Lakshminarayanan and Singh 2020, arXiv 2006.10529.)
"""

from __future__ import annotations

from typing import Any, final

import torch
from torch import nn

from learnt.core.errors import NotApplicable
from learnt.gated._mlp import flat_inputs, read_layers


@final
class FrozenGates(nn.Module):
    """A network of linear layers whose gates are those of fixed weights; made by `freeze_gates`.

    Args:
        weights, biases: (out, in) and (out,) of each linear layer.
        slopes: of the rectifier after each layer but the last.
    """

    def __init__(self, weights: list[torch.Tensor], biases: list[torch.Tensor], slopes: tuple[float, ...]) -> None:
        nn.Module.__init__(self)
        self.slopes = slopes
        self.weights = nn.ParameterList([w.clone() for w in weights])
        self.biases = nn.ParameterList([nn.Parameter(b.clone(), requires_grad=bool(b.any())) for b in biases])
        for i, (w, b) in enumerate(zip(weights, biases, strict=True)):
            self.register_buffer(f"gate_weight{i}", w.clone())
            self.register_buffer(f"gate_bias{i}", b.clone())

    def gates(self, x: torch.Tensor) -> list[torch.Tensor]:
        """(P, units) of each hidden layer: 1, or the slope."""
        u, found = x.flatten(1), []
        for i, slope in enumerate(self.slopes):
            z = nn.functional.linear(u, self.get_buffer(f"gate_weight{i}"), self.get_buffer(f"gate_bias{i}"))
            found.append(torch.full_like(z, slope).masked_fill(z > 0, 1.0))
            u = found[-1] * z
        return found

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(P, ...) -> (P, outputs)."""
        h = x.flatten(1)
        with torch.no_grad():
            gates = self.gates(h)
        for i, (w, b) in enumerate(zip(self.weights, self.biases, strict=True)):
            h = nn.functional.linear(h, w, b)
            if i < len(gates):
                h = gates[i] * h
        return h


def freeze_gates(model: nn.Module, X: Any) -> FrozenGates:
    """The network with the gates that it has now; to freeze those of a step of training, give the model of that step.

    Args:
        model: linear layers with ReLU or LeakyReLU between them; it stays as it was.
        X: some inputs in the shape that it takes, from which it is read. Zero biases stay zero.

    Raises:
        NotApplicable: another kind of network, or one without hidden layers.
    """
    tensor, x = flat_inputs(X)
    net = read_layers(model, tensor, x)
    if not net.slopes:
        raise NotApplicable("model", found="no hidden layer", expected="at least one, with a rectifier after it")
    like = next(model.parameters())
    weights, biases = ([torch.from_numpy(a).to(like.device, like.dtype) for a in m] for m in (net.weights, net.biases))
    return FrozenGates(weights, biases, net.slopes)
