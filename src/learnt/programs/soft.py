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
    return _log_waits(like).neg_()


def _log_waits(like: torch.Tensor) -> torch.Tensor:
    """log(-log u), the negative of a Gumbel number."""
    # [1e-30, 1): uniform numbers may be exactly 0; what float32 ever draws else is not moved by 1e-30
    return torch.empty_like(like, requires_grad=False).uniform_(1e-30, 1.0).log_().neg_().log_()


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
    return sharpened(logits / temperature, temperature, dim=dim, noise=noise, hard=hard)


def sharpened(
    scaled: torch.Tensor, temperature: float, *, dim: int, noise: torch.Tensor | bool = True, hard: bool = False
) -> torch.Tensor:
    """`gumbel_softmax` of logits already divided by the temperature, which it overwrites."""
    if isinstance(noise, torch.Tensor):
        scaled = scaled.add_(noise, alpha=1 / temperature)
    elif noise:
        scaled = scaled.sub_(_log_waits(scaled), alpha=1 / temperature)
    soft = scaled.softmax(dim)
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
    return _sum_of_products(queries.unsqueeze(3).unbind(1), keys.unsqueeze(2).unbind(1))


def _mix(weights: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    return _sum_of_products(weights.unsqueeze(1).unbind(3), values.unsqueeze(2).unbind(3))


def _mix_back(weights: torch.Tensor, outputs: torch.Tensor) -> torch.Tensor:
    return _sum_of_products(weights.unsqueeze(1).unbind(2), outputs.unsqueeze(3).unbind(2))


def _sum_of_products(lefts: tuple[torch.Tensor, ...], rights: tuple[torch.Tensor, ...]) -> torch.Tensor:
    out = lefts[0] * rights[0]
    for left, right in zip(lefts[1:], rights[1:], strict=True):
        out.addcmul_(left, right)
    return out


def attention(
    scores: Float[torch.Tensor, "*g i j b"],
    allowed: Bool[torch.Tensor, "*#g #i j b"],
    bias: Float[torch.Tensor, "i j"],
    *,
    k: int,
    temperature: float,
    default: str = "reference",
    noise: torch.Tensor | bool = True,
    hard: bool = False,
) -> Float[torch.Tensor, "*g i j b"]:
    """Relaxed weights of categorical heads, [..., i, j, b] for query i and key j.

    Args:
        scores: S, how well query i matches key j, in [0, 1].
        allowed: whether i may look at j.
        bias: c times `relative_bias`, the rows and columns of these queries and keys.
        k: cardinality of the variables.
        temperature, noise, hard: as `gumbel_softmax`.
        default: how much of "nothing matches" goes to position 0: "reference" is the authors' relu(1 - s/(s + 1e-10))
            with s the sum of the row, "max" the paper's 1 - max_j S_ij. Both are the same for a discrete program.

    Raises:
        InputError: a temperature that is not positive.
    """
    if not temperature > 0:
        raise InputError("temperature", found=f"{temperature}", expected="a positive number")
    scale = k**-0.5 / temperature
    order = preference(allowed, bias, scale)
    return attend(
        scores * allowed, order, scale=scale, temperature=temperature, default=default, noise=noise, hard=hard
    )


def preference(allowed: torch.Tensor, bias: torch.Tensor, scale: float) -> torch.Tensor:
    """What is added to scale log S: the scaled bias of allowed keys; keys that are not allowed are far away."""
    return (bias * scale).unsqueeze(-1).where(allowed, AWAY)


def attend(
    seen: torch.Tensor,
    order: torch.Tensor,
    *,
    scale: float,
    temperature: float,
    default: str,
    noise: torch.Tensor | bool,
    hard: bool,
) -> torch.Tensor:
    """`attention` from scores that are 0 where nothing is allowed, and `preference`, which many heads share."""
    if default == "max":
        missing = 1 - seen.amax(-2)
    else:
        total = seen.sum(-2)
        missing = (1 - total / (total + 1e-10)).relu()
    logits = _Logits.apply(seen, missing, order, scale)
    return sharpened(logits, temperature, dim=-2, noise=noise, hard=hard)


class _Logits(torch.autograd.Function):
    """scale log(seen + TINY, with `missing` added to the first key) + order; few passes over memory, as they cost."""

    @staticmethod
    def forward(ctx: Any, seen: torch.Tensor, missing: torch.Tensor, order: torch.Tensor, scale: float) -> torch.Tensor:
        inside = seen + TINY
        inside.select(-2, 0).add_(missing)
        ctx.save_for_backward(inside)
        ctx.scale = scale
        out = inside.log()
        return torch.add(order, out, alpha=scale, out=out)

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> Any:
        (inside,) = ctx.saved_tensors
        of_seen = torch.div(gradient, inside).mul_(ctx.scale)
        return of_seen, of_seen.select(-2, 0), None, None
