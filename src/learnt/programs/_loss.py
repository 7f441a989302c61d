"""What training minimises: the negative log-likelihood of the targets under one relaxed sample, plus complexity.

    loss = mean over sequences of weight (mean over scored positions of -log p(y | w))  +  complexity * size

arXiv 2306.01128, section 3.2, with one sample a step; `aggregate="per_seq"` sums over positions instead. Size, which
the paper does not have, is the number of modules that vote or are read, relaxed: a module's share of the votes'
norms, and the mass that gates put on it, as a soft OR.
"""

from __future__ import annotations

from typing import Any, final

import torch

from learnt.core.examples import Examples
from learnt.programs.config import Shape
from learnt.programs.module import Relaxation, Tensors, logits
from learnt.train.objectives import Batch, Model

ROOM = 2**21  # floats of the stream at once: what fits into a processor's cache is twice as fast (benchmarks/programs)


@final
class ProgramLoss:
    """The objective of a population of `ProgramModule`.

    Args:
        shape: of the modules.
        targets: (n, N) label ids, -1 where nothing is scored; (n, 1) for a pooled program.
        weights: (n,) of the sequences; None for equal ones.
        complexity: factor of the relaxed size.
        aggregate: "per_token" (mean over the positions of a sequence) or "per_seq" (their sum).

    Attributes:
        relaxation: of the next step; the training loop sets it.
    """

    def __init__(
        self,
        shape: Shape,
        targets: torch.Tensor,
        *,
        weights: torch.Tensor | None = None,
        complexity: float = 0.0,
        aggregate: str = "per_token",
    ) -> None:
        self.shape = shape
        self.targets = targets
        self.weights = torch.ones(len(targets)) if weights is None else weights
        self.complexity = complexity
        self.aggregate = aggregate
        self.relaxation = Relaxation()

    def prepare(self, data: Examples) -> dict[str, torch.Tensor]:
        """Targets and weights, delivered with each batch."""
        return {"targets": self.targets, "weights": self.weights}

    def check(self, outputs: torch.Tensor, data: Examples) -> None:
        """Nothing to check: targets were encoded with the labels of the shape."""

    def __call__(self, model: Model, batch: Batch) -> torch.Tensor:
        """The loss of one replica."""
        tensors = {name: p.unsqueeze(0) for name, p in model.module.named_parameters()}
        one = Batch(batch.inputs[None], None, batch.index[None], {k: v[None] for k, v in batch.extra.items()})
        return self.stacked(model.module, tensors, one)[0]

    def stacked(self, model: Any, tensors: Tensors, batch: Batch) -> torch.Tensor:
        """(R,) losses of all replicas; the engine's hook."""
        relaxation = self.relaxation if model.training else Relaxation.exact()
        ids, targets, weights = batch.inputs, batch.extra["targets"], batch.extra["weights"]
        r, b, n = ids.shape
        used = int((ids >= self.shape.first).any(1).any(0).nonzero().max()) + 1 if ids.device.type == "cpu" else n
        variables = self.shape.categorical(self.shape.layers) * self.shape.k
        group = r if ids.device.type != "cpu" else max(1, ROOM // (variables * used * b))
        parts = {name: tensor.split(group) for name, tensor in tensors.items()}
        losses = []
        for index, rows in enumerate(torch.arange(r).split(group)):
            own = {name: pieces[index] for name, pieces in parts.items()}
            some = slice(int(rows[0]), int(rows[-1]) + 1)
            scores = logits(own, ids[some, :, :used], self.shape, relaxation)
            wanted = targets[some, :, 0] if self.shape.pool else targets[some, :, :used]
            value = nll(scores, wanted, weights[some], aggregate=self.aggregate)
            if self.complexity and model.training:
                value = value + self.complexity * relaxed_size(own, self.shape, relaxation.temperature)
            losses.append(value)
        return torch.cat(losses)


def nll(scores: torch.Tensor, targets: torch.Tensor, weights: torch.Tensor, *, aggregate: str) -> torch.Tensor:
    """(R,) mean negative log-likelihoods of logits (R, B, N, C) or (R, B, C), targets (R, B, N) or (R, B)."""
    scored = targets >= 0
    each = -scores.log_softmax(-1).gather(-1, targets.clamp(min=0).unsqueeze(-1)).squeeze(-1) * scored
    if each.ndim == 3:
        each = each.sum(-1) / (scored.sum(-1).clamp(min=1) if aggregate == "per_token" else 1)
    return (each * weights).sum(-1) / weights.sum(-1)


def relaxed_size(tensors: Tensors, shape: Shape, temperature: float) -> torch.Tensor:
    """(R,) how many modules matter, relaxed: those whose votes are not small, or which a module that matters reads.

    The vote of variable v counts 1 - exp(-|W_v|), with W_v centred over labels and values; from the last layer to the
    first, a module matters by 1 - (1 - vote) * product over its readers of (1 - mass of the gate * reader's own).
    """
    names, numerical = shape.names()
    votes = tensors["votes"]  # (R, C, m, k)
    centred = votes - votes.mean(1, keepdim=True)
    centred = centred - centred.mean(3, keepdim=True)
    cat = 1 - torch.exp(-centred.square().sum((1, 3)).clamp(min=1e-12).sqrt())  # (R, m)
    counts = tensors["num_votes"]
    num = 1 - torch.exp(-(counts - counts.mean(1, keepdim=True)).square().sum(1).clamp(min=1e-12).sqrt())
    idle = {name: 1 - cat[:, i] for i, name in enumerate(names)}
    idle |= {name: 1 - num[:, i] for i, name in enumerate(numerical)}
    total = torch.zeros(len(votes), device=votes.device, dtype=votes.dtype)
    for layer in reversed(range(shape.layers)):
        heads = shape.cat_heads + shape.num_heads
        seen = shape.names(layer)
        wide = shape.mlp_names(layer)
        readers: list[tuple[str, str, list[int], list[str]]] = []
        for i in range(shape.cat_mlps):
            rows = list(range(i * shape.mlp_inputs, (i + 1) * shape.mlp_inputs))
            readers.append((f"mlp_{layer}_{i}", "mlp_gates", rows, wide[0]))
        for i in range(shape.num_mlps):
            rows = list(range(i * shape.mlp_inputs, (i + 1) * shape.mlp_inputs))
            readers.append((f"num_mlp_{layer}_{i}", "num_mlp_gates", rows, wide[1]))
        for i in range(shape.cat_heads):
            readers.append((f"attn_{layer}_{i}", "head_gates", [i, heads + i, 2 * heads + i], seen[0]))
        for i in range(shape.num_heads):
            j = shape.cat_heads + i
            readers.append((f"num_attn_{layer}_{i}", "head_gates", [j, heads + j], seen[0]))
            readers.append((f"num_attn_{layer}_{i}", "value_gates", [i], seen[1]))
        for name, gates, rows, sources in readers:
            matters = 1 - idle[name]
            if gates != "value_gates":
                total = total + matters
            mass = (tensors[f"{gates}_{layer}"][:, rows] / temperature).softmax(-1)  # (R, rows, m)
            for column, source in enumerate(sources):
                if source not in ("tokens", "positions", "ones") and not source.startswith("emb_"):
                    idle[source] = idle[source] * (1 - mass[:, :, column].amax(1) * matters)
    return total
