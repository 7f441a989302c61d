"""How is a discrete choice trained? By a sample of a relaxed one, sharpened until it is discrete.

    gumbel_softmax(x, tau) = softmax((x + g) / tau),   g = -log(-log u)
    bias(0) = -2,  bias(d > 0) = -(d - 1) / (N - 2),  bias(d < 0) = -(|d| - 1) / (N - 1)
    A_ij = log(S_ij + 1e-20) + c bias(j - i);   attention = gumbel_softmax(A / sqrt(k), tau) over the allowed j

arXiv 2306.01128, sections 3.1 to 3.3, with the additive bias of the authors' code (appendix A.1 multiplies). Its
hard order is the nearest match, left before right, self last. The noise has scale 1 and the bias at most
2 / sqrt(k), so with c = 1 training draws among tied matches nearly at random; a larger c closes this gap between
training and the discrete program, whose semantics c does not touch.

Tensors lie feature first and batch last: (..., k, N, B). On a CPU a softmax over 8 values costs twenty times less along
such an axis than along the last one, and a batch of 8 x 8 products is faster as a few long multiply-adds.
"""
# ruff: noqa: F722, F821  (shapes are no forward references)

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Bool, Float

from learnt.core.errors import InputError

TINY = 1e-20
AWAY = -1e30


def relative_bias(n_ctx: int, *, device: Any = None, dtype: torch.dtype = torch.float32) -> Float[torch.Tensor, "n n"]:
    """bias(j - i) at [i, j]: it orders tied matches by distance, left before right, self last."""
    place = torch.arange(n_ctx, dtype=torch.float64)
    offset = place[None, :] - place[:, None]
    right = -(offset - 1) / max(n_ctx - 2, 1)
    left = -(-offset - 1) / max(n_ctx - 1, 1)
    bias = torch.where(offset > 0, right, left)
    return torch.where(offset == 0, -2.0, bias).to(device=device, dtype=dtype)


def gumbel(like: torch.Tensor) -> torch.Tensor:
    """Independent standard Gumbel numbers in the shape of `like`, from torch's current generator of its device."""
    noise = torch.rand_like(like)
    # rand may give exactly 0, whose Gumbel number is -inf; the floor is far below what float32 ever draws else
    return noise.clamp_(min=1e-30).log_().neg_().clamp_(min=1e-30).log_().neg_()


def gumbel_softmax(
    logits: torch.Tensor,
    temperature: float,
    *,
    dim: int,
    noise: torch.Tensor | bool = True,
    hard: bool = False,
) -> torch.Tensor:
    """A relaxed sample of a categorical variable with these logits.

    Args:
        logits: any shape.
        temperature: above 0; towards 0 the sample is one-hot.
        dim: the axis of the categories.
        noise: Gumbel numbers in the shape of `logits`; True draws them, False takes none (the plain softmax).
        hard: one-hot values with the gradient of the soft ones (straight-through).

    Raises:
        InputError: a temperature that is not positive.
    """
    if not temperature > 0:
        raise InputError("temperature", found=f"{temperature}", expected="a positive number")
    if isinstance(noise, torch.Tensor):
        logits = logits + noise
    elif noise:
        logits = logits + gumbel(logits)
    soft = (logits / temperature if temperature != 1 else logits).softmax(dim)
    if not hard:
        return soft
    index = soft.detach().argmax(dim, keepdim=True)
    one_hot = torch.zeros_like(soft).scatter_(dim, index, 1.0)
    return one_hot + (soft - soft.detach())


class Scores(torch.autograd.Function):
    """S[g, i, j, b] = sum over a of Q[g, a, i, b] K[g, a, j, b]."""

    @staticmethod
    def forward(ctx: Any, queries: torch.Tensor, keys: torch.Tensor) -> torch.Tensor:
        """(g, k, n, b) queries and keys: (g, n, n, b)."""
        ctx.save_for_backward(queries, keys)
        return _scores(queries, keys)

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> Any:
        """Gradients of both arguments."""
        queries, keys = ctx.saved_tensors
        return _mix(gradient, keys), _mix_back(gradient, queries)


class Mixture(torch.autograd.Function):
    """Y[g, a, i, b] = sum over j of W[g, i, j, b] V[g, a, j, b]."""

    @staticmethod
    def forward(ctx: Any, weights: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
        """(g, n, n, b) weights and (g, k, n, b) values: (g, k, n, b)."""
        ctx.save_for_backward(weights, values)
        return _mix(weights, values)

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> Any:
        """Gradients of both arguments."""
        weights, values = ctx.saved_tensors
        return (
            _scores(gradient, values) if ctx.needs_input_grad[0] else None,
            _mix_back(weights, gradient) if ctx.needs_input_grad[1] else None,
        )


def _scores(queries: torch.Tensor, keys: torch.Tensor) -> torch.Tensor:
    out = queries[:, 0].unsqueeze(2) * keys[:, 0].unsqueeze(1)
    for a in range(1, queries.shape[1]):
        out.addcmul_(queries[:, a].unsqueeze(2), keys[:, a].unsqueeze(1))
    return out


def _mix(weights: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    out = weights[:, None, :, 0] * values[:, :, 0].unsqueeze(2)
    for j in range(1, values.shape[2]):
        out.addcmul_(weights[:, None, :, j], values[:, :, j].unsqueeze(2))
    return out


def _mix_back(weights: torch.Tensor, outputs: torch.Tensor) -> torch.Tensor:
    out = weights[:, None, 0] * outputs[:, :, 0].unsqueeze(2)
    for i in range(1, outputs.shape[2]):
        out.addcmul_(weights[:, None, i], outputs[:, :, i].unsqueeze(2))
    return out


def attention(
    scores: Float[torch.Tensor, "g n n b"],
    allowed: Bool[torch.Tensor, "#g #n n b"],
    bias: Float[torch.Tensor, "n n"],
    *,
    k: int,
    temperature: float,
    default: str = "reference",
    noise: torch.Tensor | bool = True,
    hard: bool = False,
) -> Float[torch.Tensor, "g n n b"]:
    """Relaxed weights of categorical heads, [g, i, j, b] for query i and key j.

    Args:
        scores: S, how well query i matches key j, in [0, 1].
        allowed: whether i may look at j.
        bias: c times `relative_bias`.
        k: cardinality of the variables.
        temperature, noise, hard: as `gumbel_softmax`.
        default: how much of "nothing matches" goes to position 0: "reference" is the authors' relu(1 - s/(s + 1e-10))
            with s the sum of the row, "max" the paper's 1 - max_j S_ij. Both are the same for a discrete program.
    """
    seen = scores * allowed
    if default == "max":
        missing = 1 - seen.amax(2)
    else:
        total = seen.sum(2)
        missing = (1 - total / (total + 1e-10)).relu()
    first, rest = seen.split([1, seen.shape[2] - 1], 2)
    seen = torch.cat([first + missing.unsqueeze(2), rest], 2)
    logits = ((seen + TINY).log() + bias.unsqueeze(-1)) * k**-0.5
    return gumbel_softmax(logits.masked_fill(~allowed, AWAY), temperature, dim=2, noise=noise, hard=hard)
