"""Which ordinary transformer computes the same as a program? Its weights, written down instead of trained.

    x_0     = W_E[token] + W_pos[position]
    x       = x + attention(x);  x = x + W_out relu(W_in x + b_in) + b_out         for each block
    logits  = x W_U                                                  averaged over the input first if the program pools

The residual stream has a name for every direction (`residual_names`): one-hot values of the variables, numbers, and
marks of what stands at position 0. Weights are described in `learnt.programs._transformer_weights`. Plain PyTorch, no
layer norm, no dropout; the factor 1 / sqrt(d_head) is part of W_Q. A network with a known explanation: ground truth
for tools that look for explanations, in the manner of Tracr (arXiv 2301.05062), from learned programs as well as
hand-written ones.

A categorical head is a softmax head; the wrong positions together get less than N exp(-scale) of its weight. From a
scale of 750 that is exactly 0 (float32: 104), and logits differ from the program's by the rounding of one sum, 1e-15
of their size (float32: 1e-6). Below, what leaks can decide between labels that the program leaves exactly equal.
A numerical head is a *linear* head: it sums over the matches with weights q k, not normalised, since a softmax can
average but not count. What occurs outside a given domain is not compiled and may come out anyhow.
"""
# ruff: noqa: F722, F821  (shapes are no forward references)

from __future__ import annotations

from typing import Any, final

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from learnt.core.errors import InputError, NotApplicable, ShapeError
from learnt.programs._inputs import Inputs
from learnt.programs._transformer_tuples import occurring
from learnt.programs._transformer_weights import (
    BlockWeights,
    HeadWeights,
    Layout,
    blocks,
    check_least,
    check_size,
    embeddings,
    layout,
    unembedding,
)
from learnt.programs.program import Program

MOST_PARAMETERS = 1 << 27  # a gigabyte in float64
_EXACT = 1 << 22  # integers up to here, and their differences, are exact in float32


def to_transformer(
    program: Program,
    *,
    scale: float = 1000.0,
    domain: Inputs | None = None,
    dtype: torch.dtype = torch.float64,
    most: int = MOST_PARAMETERS,
) -> CompiledTransformer:
    """The transformer that computes what a program computes.

    Args:
        program: to compile.
        scale: of attention scores: the least difference between the score of the right position and of any other.
        domain: inputs that matter; MLPs then know only the values that they meet there. Without it, all that interval
            analysis allows.
        dtype: of the weights.
        most: the largest number of parameters.

    Raises:
        InputError: a scale that is not positive, a dtype that is not real, inputs that the program cannot take.
        NotApplicable: too many parameters, a numerical MLP with too many tuples of input values, numbers that float32
            does not hold.
    """
    if not scale > 0 or scale == float("inf"):
        raise InputError("scale", found=str(scale), expected="a positive number")
    if dtype not in (torch.float32, torch.float64):
        raise InputError("dtype", found=str(dtype), expected="torch.float64 or torch.float32")
    space = layout(program)
    check_least(program, space.width, max(most, MOST_PARAMETERS))
    tuples = None if domain is None else occurring(program, domain)
    made = blocks(program, space, scale, tuples)
    check_size(program, made, space.width, most)
    largest = max((abs(b) for block in made for b in block.units.bias), default=0.0)
    if dtype == torch.float32 and largest > _EXACT:
        raise NotApplicable(
            "dtype",
            found=f"thresholds up to {largest:,.0f} in float32",
            expected=f"at most {_EXACT:,}",
            remedy="Use torch.float64.",
        )
    return CompiledTransformer(program, space, made, dtype)


class Attention(nn.Module):
    """Heads side by side: W_Q, W_K (H, d, d_head), W_V (H, d, d_value), W_O (H, d_value, d), padded with zeros.

    Args:
        heads: their weights.
        width: directions of the residual stream.
        causal: whether position i sees j <= i only.
        dtype: of the weights.
    """

    linear: Tensor

    def __init__(self, heads: list[HeadWeights], width: int, *, causal: bool, dtype: torch.dtype) -> None:
        super().__init__()
        self.head_names = tuple(head.name for head in heads)
        self.causal = causal
        self.W_Q = _stack([head.query for head in heads], (width, None), dtype)
        self.W_K = _stack([head.key for head in heads], (width, None), dtype)
        self.W_V = _stack([head.value for head in heads], (width, None), dtype)
        self.W_O = _stack([head.out for head in heads], (None, width), dtype)
        self.register_buffer("linear", torch.tensor([not head.softmax for head in heads], dtype=torch.bool))

    def pattern(self, x: Float[Tensor, "b n d"], real: Bool[Tensor, "b n"]) -> Float[Tensor, "b h n n"]:
        """The weight that position i gives to j; rows of linear heads do not sum to 1."""
        scores = torch.einsum("bnd,hde->bhne", x, self.W_Q) @ torch.einsum("bnd,hde->bhen", x, self.W_K)
        allowed = real[:, None, None, :].expand(-1, 1, x.shape[1], -1)
        if self.causal:
            allowed = allowed & torch.ones(x.shape[1], x.shape[1], dtype=torch.bool, device=x.device).tril()
        weights = scores.masked_fill(~allowed, -torch.inf).softmax(-1)
        return torch.where(self.linear[:, None, None], scores.masked_fill(~allowed, 0.0), weights)

    def forward(self, x: Float[Tensor, "b n d"], real: Bool[Tensor, "b n"]) -> Float[Tensor, "b n d"]:
        """What the heads write; nothing if there are none."""
        if not self.head_names:
            return torch.zeros_like(x)
        values = torch.einsum("bnd,hde->bhne", x, self.W_V)
        return torch.einsum("bhne,hed->bnd", self.pattern(x, real) @ values, self.W_O)


class Block(nn.Module):
    """x + attention(x), then x + MLP(x); `mlp` is Linear, ReLU, Linear."""

    def __init__(self, weights: BlockWeights, width: int, *, causal: bool, dtype: torch.dtype) -> None:
        super().__init__()
        self.attention = Attention(weights.heads, width, causal=causal, dtype=dtype)
        w_in, b_in, w_out, b_out = weights.units.dense(width)
        self.mlp = nn.Sequential(_linear(w_in, b_in, dtype), nn.ReLU(), _linear(w_out, b_out, dtype))

    def forward(self, x: Float[Tensor, "b n d"], real: Bool[Tensor, "b n"]) -> Float[Tensor, "b n d"]:
        """The residual stream behind the block."""
        x = x + self.attention(x, real)
        return x + self.mlp(x)


@final
class CompiledTransformer(nn.Module):
    """A transformer with the weights of a program; see `to_transformer`, which makes it.

    Attributes:
        program: what it computes.
        residual_names: of the d directions: ``"tokens=a"``, ``"attn_0_0=3"``, ``"num_attn_0_0"``, ``"start:tokens=a"``.
        where: the directions of each variable.
        W_E, W_pos, W_U: (vocab, d), (n_ctx, d), (d, labels).
        blocks: with `attention` and `mlp`.
    """

    def __init__(self, program: Program, space: Layout, made: list[BlockWeights], dtype: torch.dtype) -> None:
        super().__init__()
        self.program = program
        self.residual_names = space.names
        self.where = dict(space.where)
        token, position = embeddings(program, space)
        self.W_E, self.W_pos = _parameter(token, dtype), _parameter(position, dtype)
        self.blocks = nn.ModuleList(Block(b, space.width, causal=program.causal, dtype=dtype) for b in made)
        self.W_U = _parameter(unembedding(program, space), dtype)

    def forward(self, ids: Int[Tensor, "b n"], lengths: Int[Tensor, " b"] | None = None) -> Tensor:
        """The logits, (B, N, labels), or (B, labels) if the program pools; masked labels have theirs too.

        Args:
            ids: of tokens; after the end of an input, anything.
            lengths: of the inputs; by default up to the last id that is not padding, or N without a padding token.

        Raises:
            InputError, ShapeError: ids that are none, inputs longer than n_ctx, lengths that do not fit.
        """
        real = self._real(ids, lengths)
        logits = self.residuals(ids, lengths)[-1] @ self.W_U
        if not self.program.pool:
            return logits
        return (logits * real[..., None]).sum(1) / real.sum(1, keepdim=True)

    def residuals(
        self, ids: Int[Tensor, "b n"], lengths: Int[Tensor, " b"] | None = None
    ) -> list[Float[Tensor, "b n d"]]:
        """The residual stream before the first block and behind each; arguments and errors as `forward`."""
        real = self._real(ids, lengths)
        streams = [self.W_E[torch.where(real, ids, 0)] + self.W_pos[: ids.shape[1]]]
        for block in self.blocks:
            streams.append(block(streams[-1], real))
        return streams

    def patterns(
        self, ids: Int[Tensor, "b n"], lengths: Int[Tensor, " b"] | None = None
    ) -> dict[str, Float[Tensor, "b n n"]]:
        """What each head attends to, by name; arguments and errors as `forward`."""
        real = self._real(ids, lengths)
        found: dict[str, Tensor] = {}
        for block, x in zip(self.blocks, self.residuals(ids, lengths), strict=False):
            attention: Any = block.attention
            if attention.head_names:
                found |= dict(zip(attention.head_names, attention.pattern(x, real).unbind(1), strict=True))
        return found

    @torch.no_grad()
    def logits_ids(self, ids: Any, lengths: Any = None) -> np.ndarray:
        """The logits as an array, (B, N, labels), or (B, labels) if the program pools; as `verify` asks for them.

        Args:
            ids, lengths: as `forward`; arrays or tensors.
        """
        device = self.W_E.device
        lengths = None if lengths is None else torch.as_tensor(lengths, device=device)
        return self(torch.as_tensor(ids, device=device), lengths).cpu().numpy()

    @torch.no_grad()
    def predict_ids(self, ids: Any, lengths: Any = None) -> np.ndarray:
        """Ids of the labels as `learnt.programs.Evaluation.predictions`: (B, N), -1 after the end; (B,) if it pools.

        Args:
            ids, lengths: as `forward`; arrays or tensors.
        """
        device = self.W_E.device
        ids = torch.as_tensor(ids, device=device)
        lengths = None if lengths is None else torch.as_tensor(lengths, device=device)
        logits = self(ids, lengths)
        logits[..., list(self.program.masked_labels)] = -torch.inf
        best = logits.argmax(-1)
        if not self.program.pool:
            best = best.masked_fill(~self._real(ids, lengths), -1)
        return best.cpu().numpy()

    def _real(self, ids: Tensor, lengths: Tensor | None) -> Tensor:
        """(B, N): positions inside an input."""
        program = self.program
        if ids.ndim != 2 or ids.dtype.is_floating_point or not 1 <= ids.shape[1] <= program.n_ctx:
            raise ShapeError(
                "ids", found=f"{tuple(ids.shape)} {ids.dtype}", expected=f"integers (B, N), N from 1 to {program.n_ctx}"
            )
        places = torch.arange(ids.shape[1], device=ids.device)
        if lengths is None:
            inside = ids != 0 if program.padded else torch.ones_like(ids, dtype=torch.bool)
            lengths = ((places + 1) * inside).amax(1)
        elif lengths.shape != ids.shape[:1]:
            raise ShapeError("lengths", found=f"{tuple(lengths.shape)}", expected=f"({ids.shape[0]},)")
        if ((lengths < 1) | (lengths > ids.shape[1])).any():
            raise InputError("lengths", found="an empty or too long input", expected=f"1 to {ids.shape[1]} tokens")
        real = places < lengths[:, None]
        low = int(program.padded)
        if ((ids < low) | (ids >= len(program.vocab)))[real].any():
            raise InputError(
                "ids", found="padding or an unknown id inside an input", expected=f"{low} to {len(program.vocab) - 1}"
            )
        return real


def _parameter(array: np.ndarray, dtype: torch.dtype) -> nn.Parameter:
    return nn.Parameter(torch.tensor(array, dtype=dtype))


def _linear(weights: np.ndarray, bias: np.ndarray, dtype: torch.dtype) -> nn.Linear:
    """X W + b as a Linear. It is made tiny, then given its weights: no random draw, no warning where one side is 0."""
    layer = nn.Linear(1, 1, device="meta")
    layer.in_features, layer.out_features = weights.shape
    layer.weight, layer.bias = _parameter(weights.T.copy(), dtype), _parameter(bias, dtype)
    return layer


def _stack(arrays: list[np.ndarray], shape: tuple[int | None, int | None], dtype: torch.dtype) -> nn.Parameter:
    """(H, rows, columns); the dimension that is None is padded with zeros to the largest."""
    axis = shape.index(None)
    widest = max((array.shape[axis] for array in arrays), default=0)
    full = [widest if size is None else size for size in shape]
    stacked = np.zeros((len(arrays), *full))
    for i, array in enumerate(arrays):
        stacked[i, : array.shape[0], : array.shape[1]] = array
    return _parameter(stacked, dtype)
