"""The program as a network: every discrete choice is a categorical distribution, every variable a mixture.

    read    x_g = sum over v of gate_gv x_v                     gates: relaxed one-hot over the variables
    S_ij    = q_i' psi k_j                                      psi: each row a relaxed one-hot over key values
    cat     out_i = sum_j attention_ij v_j                      `learnt.programs.soft.attention`
    num     out_i = sum over allowed j of S_ij v_j
    mlp     out = gumbel_softmax(W_out relu(W_in x + b_in) + b_out)
    logits  = sum over variables of W_v x_v

arXiv 2306.01128, sections 3.1 to 3.3. A read mixes the m variables (m k operations a token) where the authors' code
multiplies by the dense matrix that the gate stands for (m k^2). Tensors of R replicas carry a leading axis R and lie
feature first, batch last: (R, m, k, N, B). `ProgramModule` is one replica; a population of them is trained by
`learnt.programs.training.fit`. `discretised` turns one into a `Program`, `to_torch` a program into one.
"""
# ruff: noqa: F722, F821  (shapes are no forward references)

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, final

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import nn

from learnt.core.errors import InputError, NotApplicable, ShapeError
from learnt.programs.config import Shape
from learnt.programs.soft import AWAY, Mixture, Scores, attend, gumbel_softmax, preference, relative_bias, sharpened

Tensors = Mapping[str, torch.Tensor]
MOST_PARAMETERS = 1 << 28  # a gigabyte in float32


@final
@dataclass(frozen=True, kw_only=True)
class Relaxation:
    """How discrete choices are relaxed in one forward pass.

    Args:
        temperature: tau, above 0.
        noise: whether gates, predicates and embeddings are sampled (one sample a pass), or softmaxes.
        attention_noise, mlp_noise: the same for attention and MLP outputs (fresh noise for every token).
        hard: straight-through: one-hot values with the gradient of the soft ones.
        tie_bias: c, the factor of the bias that orders tied matches.
        default: "reference" or "max"; see `learnt.programs.soft.attention`.
        dropout: probability that the classifier does not see a variable at a position; the others count more.
    """

    temperature: float = 1.0
    noise: bool = True
    attention_noise: bool = True
    mlp_noise: bool = True
    hard: bool = False
    tie_bias: float = 8.0
    default: str = "reference"
    dropout: float = 0.0

    def __post_init__(self) -> None:
        if not (self.temperature > 0 and math.isfinite(self.temperature)):
            raise InputError("temperature", found=f"{self.temperature}", expected="a positive number")
        if not (self.tie_bias >= 0 and math.isfinite(self.tie_bias)):
            raise InputError("tie_bias", found=f"{self.tie_bias}", expected="a number of at least 0")
        if not 0 <= self.dropout < 1:
            raise InputError("dropout", found=f"{self.dropout}", expected="a probability below 1")
        if self.default not in ("reference", "max"):
            raise InputError("default", found=repr(self.default), expected='"reference" or "max"')

    @staticmethod
    def exact(temperature: float = 1e-3) -> Relaxation:
        """No noise, hard choices: the discrete program itself (with a bias that decides every tie)."""
        return Relaxation(temperature=temperature, noise=False, attention_noise=False, mlp_noise=False, hard=True)


@final
@dataclass(frozen=True, kw_only=True)
class _Stream:
    """What has been written so far: (R, m, k, N, B) categorical and (R, q, N, B) numerical variables."""

    categorical: torch.Tensor
    numerical: torch.Tensor
    real: torch.Tensor = field(repr=False)  # (R, N, B) bool, tokens that are no padding


@final
@dataclass(frozen=True, kw_only=True)
class _Sight:
    """Who may look at whom, the same in all layers and heads: (R, 1, N or 1, N, B) and (R, 1, N, N, B)."""

    allowed: torch.Tensor
    order: torch.Tensor
    scale: float


@final
class ProgramModule(nn.Module):
    """A trainable transformer program.

    Args:
        shape: the sizes; `Config.shape(task)`.
        start: (n, k, V) logits from which factored embeddings start; `word_vectors.embedding_logits` makes them.

    Raises:
        NotApplicable: too many parameters. ShapeError: logits of another shape.

    Attributes:
        relaxation: how `forward` relaxes; training sets it, and evaluation mode ignores it.
    """

    def __init__(self, shape: Shape, *, start: Any = None) -> None:
        nn.Module.__init__(self)
        self.shape = shape
        self.relaxation = Relaxation()
        sizes = _sizes(shape)
        total = sum(math.prod(size) for size, _ in sizes.values())
        if total > MOST_PARAMETERS:
            raise NotApplicable(
                "shape",
                found=f"{total:,} parameters (k = {shape.k:,})",
                expected=f"at most {MOST_PARAMETERS:,}",
                remedy="Use a smaller var_size, fewer words, or fewer inputs an MLP.",
            )
        for name, (size, scale) in sizes.items():
            values = torch.zeros(size) if scale is None else torch.randn(size) * scale
            self.register_parameter(name, nn.Parameter(values))
        if shape.embeddings and start is not None:
            wanted = (shape.embeddings, shape.k, len(shape.vocab))
            if np.shape(start) != wanted:
                raise ShapeError("start", found=f"{np.shape(start)}", expected=f"{wanted}")
            with torch.no_grad():
                dict(self.named_parameters())["embedding"].copy_(torch.as_tensor(np.asarray(start)))

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        """Logits (B, N, n_labels), or (B, n_labels) if pooled, for token ids (B, N) with padding after the end.

        In training mode a relaxed sample; in evaluation mode the discrete program, in float arithmetic.
        """
        relaxation = self.relaxation if self.training else Relaxation.exact()
        stacked = {name: p.unsqueeze(0) for name, p in self.named_parameters()}
        return logits(stacked, ids.unsqueeze(0), self.shape, relaxation)[0]

    def predict_ids(self, ids: np.ndarray, lengths: np.ndarray) -> np.ndarray:
        """Label ids (B, N), or (B,) if pooled, of the discrete program; what stands after the end means nothing."""
        return self.logits_ids(ids, lengths).argmax(-1)

    @torch.no_grad()
    def logits_ids(self, ids: np.ndarray, lengths: np.ndarray) -> np.ndarray:
        """Logits (B, N, n_labels), or (B, n_labels) if pooled, of the discrete program, as `verify` asks for them."""
        training = self.training
        self.eval()
        device = next(self.parameters()).device
        try:
            inside = np.arange(ids.shape[1]) < np.asarray(lengths)[:, None]
            rows = torch.as_tensor(np.where(inside, ids, self.shape.first - 1))
            out = [self(part.to(device)).cpu().numpy() for part in rows.split(1024)]
        finally:
            self.train(training)
        return np.concatenate(out)


def _sizes(shape: Shape) -> dict[str, tuple[tuple[int, ...], float | None]]:
    """Shape and standard deviation of the initial values (None: zero) of every parameter, by name."""
    k, d, width = shape.k, shape.hidden, shape.mlp_inputs
    sizes: dict[str, tuple[tuple[int, ...], float | None]] = {}
    if shape.embeddings:
        n = shape.embeddings
        sizes["embedding"] = ((n, k, len(shape.vocab)), (n * k) ** -0.5)
    for layer in range(shape.layers):
        m, q = shape.categorical(layer), shape.numerical(layer)
        heads = shape.cat_heads + shape.num_heads
        sides = {
            "head_gates": ((2 * heads + shape.cat_heads, m), m**-0.5),  # queries, keys, then categorical values
            "value_gates": ((shape.num_heads, q), q**-0.5),
            "predicates": ((heads, k, k), k**-0.5),
            "mlp_gates": ((shape.cat_mlps * width, m + shape.cat_heads), (m + shape.cat_heads) ** -0.5),
            "mlp_in": ((shape.cat_mlps, d, width * k), d**-0.5),
            "mlp_in_bias": ((shape.cat_mlps, d), None),
            "mlp_out": ((shape.cat_mlps, k, d), k**-0.5),
            "mlp_out_bias": ((shape.cat_mlps, k), None),
            "num_mlp_gates": ((shape.num_mlps * width, q + shape.num_heads), (q + shape.num_heads) ** -0.5),
            "num_mlp_in": ((shape.num_mlps, d, width), d**-0.5),
            "num_mlp_in_bias": ((shape.num_mlps, d), None),
            "num_mlp_out": ((shape.num_mlps, k, d), k**-0.5),
            "num_mlp_out_bias": ((shape.num_mlps, k), None),
        }
        sizes |= {f"{name}_{layer}": value for name, value in sides.items() if 0 not in value[0]}
    m, q, labels = shape.categorical(shape.layers), shape.numerical(shape.layers), len(shape.labels)
    sizes["votes"] = ((labels, m, k), labels**-0.5)
    sizes["num_votes"] = ((labels, q), labels**-0.5)
    return sizes


def logits(
    tensors: Tensors, ids: Int[torch.Tensor, "r b n"], shape: Shape, relaxation: Relaxation
) -> Float[torch.Tensor, "r b *out"]:
    """Logits of R replicas.

    Args:
        tensors: stacked parameters (R, ...) by name.
        ids: token ids, padding (0; -1 for a vocabulary without it) after the end of an input.
        shape: the sizes.
        relaxation: how choices are relaxed.
    """
    stream = _inputs(tensors, ids, shape, relaxation)
    sight = _sight(stream.real, shape, relaxation, tensors["votes"].dtype)
    for layer in range(shape.layers):
        stream = _layer(tensors, stream, layer, shape, relaxation, sight)
    return _classify(tensors, stream, shape, relaxation.dropout)


def _sight(real: torch.Tensor, shape: Shape, relaxation: Relaxation, dtype: torch.dtype) -> _Sight:
    n = real.shape[1]
    bias = relative_bias(shape.n_ctx, device=real.device, dtype=dtype)[:n, :n] * relaxation.tie_bias
    allowed = real[:, None, None]
    if shape.causal:
        allowed = allowed & torch.ones(n, n, dtype=torch.bool, device=real.device).tril()[:, :, None]
    scale = shape.k**-0.5 / relaxation.temperature
    return _Sight(allowed=allowed, order=preference(allowed, bias, scale), scale=scale)


def _inputs(tensors: Tensors, ids: torch.Tensor, shape: Shape, relaxation: Relaxation) -> _Stream:
    r, b, n = ids.shape
    dtype = tensors["votes"].dtype
    ids = ids.transpose(1, 2)  # (R, N, B)
    real, ids = ids >= shape.first, ids.clamp(min=0)
    places = torch.arange(n, device=ids.device)
    if shape.embeddings:
        words = _words(tensors["embedding"], ids, relaxation)
        position = torch.zeros(r, 1, shape.k, n, b, device=ids.device, dtype=dtype)
        position[:, 0, places, places] = 1.0
        categorical = torch.cat([words, position], 1)
    else:
        categorical = torch.zeros(r, 2, shape.k, n, b, device=ids.device, dtype=dtype)
        categorical[:, 0].scatter_(1, ids.unsqueeze(1), 1.0)
        categorical[:, 1, places, places] = 1.0
    numerical = torch.ones(r, 1, n, b, device=ids.device, dtype=dtype)
    return _Stream(categorical=categorical, numerical=numerical, real=real)


def _words(embedding: torch.Tensor, ids: torch.Tensor, relaxation: Relaxation) -> torch.Tensor:
    """(R, n, k, N, B): the sampled variables of the words of a batch; only words that occur are sampled."""
    present, where = torch.unique(ids, return_inverse=True)
    logits = embedding.index_select(3, present)  # (R, n, k, words)
    values = _choose(logits, 2, relaxation, relaxation.noise)
    r, e, k, _ = values.shape
    index = where.view(r, 1, 1, -1).expand(r, e, k, -1)
    return values.gather(3, index).view(r, e, k, *ids.shape[1:])


def _choose(logits: torch.Tensor, dim: int, relaxation: Relaxation, noise: bool) -> torch.Tensor:
    return gumbel_softmax(logits, relaxation.temperature, dim=dim, noise=noise, hard=relaxation.hard)


def _read(gates: torch.Tensor, variables: list[torch.Tensor], relaxation: Relaxation) -> torch.Tensor:
    """(R, G, ...): what each of G gates reads from pieces of (R, m, ...) variables; gates are logits (R, G, m)."""
    chosen = _choose(gates, 2, relaxation, relaxation.noise).split([len(piece[0]) for piece in variables], 2)
    out = torch.bmm(chosen[0], variables[0].flatten(2))
    for part, piece in zip(chosen[1:], variables[1:], strict=True):  # cheaper than one tensor of all pieces
        out = out.baddbmm_(part, piece.flatten(2))
    return out.view(len(gates), -1, *variables[0].shape[2:])


def _layer(
    tensors: Tensors,
    stream: _Stream,
    layer: int,
    shape: Shape,
    relaxation: Relaxation,
    sight: _Sight,
) -> _Stream:
    written, counts = [], []
    if shape.cat_heads or shape.num_heads:
        written, counts = _heads(tensors, stream, layer, shape, relaxation, sight)
    numbers = torch.cat([stream.numerical, *counts], 1) if counts else stream.numerical
    if shape.cat_mlps:
        reads = _read(tensors[f"mlp_gates_{layer}"], [stream.categorical, *written], relaxation)
        written.append(_mlp(tensors, f"mlp_{{}}_{layer}", reads, shape.cat_mlps, shape, relaxation))
    if shape.num_mlps:
        reads = _read(tensors[f"num_mlp_gates_{layer}"], [numbers], relaxation)
        written.append(_mlp(tensors, f"num_mlp_{{}}_{layer}", reads, shape.num_mlps, shape, relaxation))
    categorical = torch.cat([stream.categorical, *written], 1) if written else stream.categorical
    return _Stream(categorical=categorical, numerical=numbers, real=stream.real)


def _heads(
    tensors: Tensors,
    stream: _Stream,
    layer: int,
    shape: Shape,
    relaxation: Relaxation,
    sight: _Sight,
) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    cat, num = shape.cat_heads, shape.num_heads
    reads = _read(tensors[f"head_gates_{layer}"], [stream.categorical], relaxation)
    r, _, _, n, b = reads.shape
    cat_queries, num_queries, cat_keys, num_keys, values = reads.split([cat, num, cat, num, cat], 1)
    predicates = _choose(tensors[f"predicates_{layer}"], 3, relaxation, relaxation.noise)
    cat_predicates, num_predicates = predicates.split([cat, num], 1)
    written, counts = [], []
    if cat:
        weights = attend(
            _seen(cat_queries, cat_keys, cat_predicates, sight.allowed), sight.order, scale=sight.scale,
            temperature=relaxation.temperature, default=relaxation.default, noise=relaxation.attention_noise,
            hard=relaxation.hard,
        )  # fmt: skip
        written.append(Mixture.apply(weights.flatten(0, 1), values.flatten(0, 1)).unflatten(0, (r, cat)))
    if num:
        gates = _choose(tensors[f"value_gates_{layer}"], 2, relaxation, relaxation.noise)
        summed = torch.bmm(gates, stream.numerical.flatten(2)).view(r * num, 1, n, b)
        weights = _seen(num_queries, num_keys, num_predicates, sight.allowed)
        counts.append(Mixture.apply(weights.flatten(0, 1), summed).view(r, num, n, b))
    return written, counts


def _seen(queries: torch.Tensor, keys: torch.Tensor, predicates: torch.Tensor, allowed: torch.Tensor) -> torch.Tensor:
    """(R, H, N, N, B): how well keys match what queries look for; 0 where they may not look."""
    # (R, H, key, query) @ (R, H, query, T): the key value that each query looks for
    wanted = torch.matmul(predicates.mT, queries.flatten(3)).view(keys.shape)
    return Scores.apply(wanted.flatten(0, 1), keys.flatten(0, 1)).unflatten(0, keys.shape[:2]) * allowed


def _mlp(
    tensors: Tensors, name: str, reads: torch.Tensor, count: int, shape: Shape, relaxation: Relaxation
) -> torch.Tensor:
    """(R, count, k, N, B): outputs of the MLPs of one kind; reads (R, count * width, N, B), or (..., k, N, B)."""
    r, (n, b) = len(reads), reads.shape[-2:]
    w_in, b_in, w_out, b_out = (
        tensors[name.format(part)].flatten(0, 1) for part in ("in", "in_bias", "out", "out_bias")
    )
    x = reads.reshape(r * count, -1, n * b)
    # the bias as a weight, which saves a pass over all hidden values: of a further 1, or, as the values of a
    # categorical variable sum to 1, of them all
    if reads.ndim == 5:
        w_in = w_in + b_in.unsqueeze(2) / (x.shape[1] // shape.k)
    else:
        w_in, x = torch.cat([w_in, b_in.unsqueeze(2)], 2), nn.functional.pad(x, (0, 0, 0, 1), value=1.0)
    hidden = torch.bmm(w_in, x).relu_()
    tau = relaxation.temperature
    out = torch.baddbmm(b_out.unsqueeze(2) / tau, w_out / tau, hidden)
    # log_softmax first, as in the paper, shifts all logits of a token alike and so changes nothing
    return sharpened(out, tau, dim=1, noise=relaxation.mlp_noise, hard=relaxation.hard).view(r, count, shape.k, n, b)


def _classify(tensors: Tensors, stream: _Stream, shape: Shape, dropout: float) -> torch.Tensor:
    r, m, _, n, b = stream.categorical.shape
    categorical, numerical = stream.categorical, stream.numerical
    if dropout:
        kept = torch.rand(r, m, 1, n, b, device=categorical.device) >= dropout
        categorical = categorical * kept / (1 - dropout)
        numerical = numerical * (torch.rand_like(numerical) >= dropout) / (1 - dropout)
    out = torch.bmm(tensors["votes"].flatten(2), categorical.flatten(1, 2).flatten(2))
    out = torch.baddbmm(out, tensors["num_votes"], numerical.flatten(2)).view(r, -1, n, b)
    if shape.pool:
        real = stream.real.unsqueeze(1)
        out = (out * real).sum(2) / real.sum(2)
    out = out.movedim(1, -1)  # (R, N, B, C) or (R, B, C)
    if shape.masked:
        mask = torch.zeros(len(shape.labels), dtype=out.dtype, device=out.device)
        mask[list(shape.masked)] = AWAY
        out = out + mask
    return out if shape.pool else out.transpose(1, 2)
