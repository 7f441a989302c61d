"""A chain of linear layers and activations for all replicas at once, without `vmap`.

`vmap` splits every `F.linear` into a product and a sum, hands out the gradient of each weight transposed, so that it
must be copied before a fused optimiser can read it, and spends about a millisecond a step on finding its rules. A
chain of flatten, linear and element-wise layers needs none of that. With stacked inputs X (N, b, i), weights
W (N, o, i) and biases b (N, o),

    Y = X W' + b,   dX = G W,   dW = G' X,   db = sum over rows of G

are one batched product each. Values differ from those of the engine's other ways by rounding only.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, final

import torch
from torch import nn

from learnt.train._bundle import Bundle

ELEMENTWISE = (
    nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.ELU, nn.SELU, nn.GELU, nn.SiLU, nn.Mish, nn.Tanh, nn.Sigmoid, nn.Softplus,
    nn.Hardtanh, nn.Identity,
)  # fmt: skip


@final
class Chain:
    """The layers of a bundle in order, with the names of their tensors in the stack."""

    def __init__(self, bundle: Bundle) -> None:
        self._model = bundle.model
        self._names = {id(p): name for name, p in bundle.named_parameters()}
        self._layers = _flat(bundle.model)

    @staticmethod
    def of(bundle: Bundle) -> Chain | None:
        """The chain that a bundle's network is; None if it is anything else, or has a companion."""
        if bundle.companion is not None or not all(_plain(layer) for layer in _flat(bundle.model)):
            return None
        return Chain(bundle)

    @property
    def watched(self) -> bool:
        """Whether a hook waits for the output of a layer: then layers must be called one by one."""
        return any(m._forward_hooks or m._forward_pre_hooks or m._backward_hooks for m in self._model.modules())

    def __call__(self, tensors: Mapping[str, torch.Tensor], inputs: torch.Tensor) -> torch.Tensor:
        """Outputs (N, b, ...) for stacked tensors by name and inputs (N, b, ...)."""
        x = inputs
        for layer in self._layers:
            if type(layer) is nn.Flatten:
                x = x.flatten(2)
            elif type(layer) is nn.Linear:
                weight = tensors[self._names[id(layer.weight)]]
                bias = None if layer.bias is None else tensors[self._names[id(layer.bias)]]
                rows = x.reshape(len(x), -1, x.shape[-1])
                x = _Linear.apply(rows, weight, bias).view(*x.shape[:-1], -1)
            else:
                x = layer(x)
        return x


class _Linear(torch.autograd.Function):
    """(N, rows, in) inputs, (N, out, in) weights and (N, out) biases or None: (N, rows, out)."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
        ctx.save_for_backward(x, weight)
        return torch.bmm(x, weight.mT) if bias is None else torch.baddbmm(bias.unsqueeze(1), x, weight.mT)

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> Any:
        x, weight = ctx.saved_tensors
        of_x, of_weight, of_bias = ctx.needs_input_grad
        return (
            torch.bmm(gradient, weight) if of_x else None,
            torch.bmm(gradient.mT, x) if of_weight else None,
            gradient.sum(1) if of_bias else None,
        )


def _flat(module: nn.Module) -> list[nn.Module]:
    return [x for child in module for x in _flat(child)] if type(module) is nn.Sequential else [module]


def _plain(layer: nn.Module) -> bool:
    if type(layer) is nn.Flatten:
        return (layer.start_dim, layer.end_dim) == (1, -1)
    in_place = getattr(layer, "inplace", False)  # would write into what the layer before has saved, or into the batch
    return type(layer) is nn.Linear or (type(layer) in ELEMENTWISE and not in_place)
