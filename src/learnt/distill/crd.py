"""Learn which images the teacher tells apart (CRD, Tian et al. 2020, arXiv 1910.10699; spec 1.1 (3)).

For an anchor v with one positive and N negatives from other classes, M examples in all, temperature T,

    P_j  = exp(v . m_j / T) / Z
    loss = -(1/B) [ sum_i log(P+ / (P+ + N/M + eps)) + sum_ij log((N/M) / (P-_ij + N/M + eps)) ]
    L    = gamma * CE(z_s, y) + beta * ( loss(student anchor, teacher memory) + loss(teacher anchor, student memory) )

Both features pass a linear head to `dim` numbers of norm 1. Each side keeps a memory of M such vectors, started
uniform on (-s, s), s = 1 / sqrt(dim / 3), scored before it is updated: m_i <- normalise(mu m_i + (1 - mu) v_i).

What differs: arXiv 2205.16004, Eq. 3, prints one direction without Z and without eps. Like its code we add the two
directions, divide by Z = M * mean of exp(v . m / T) over the first batch, one for each direction and fixed for ever,
and use eps = 1e-7 (`normalise="none"` gives Z = 1). All is computed with logarithms, so small temperatures do not
overflow. Negatives come from `_negatives`: no loop, no rejection. Heads, memories, Z and the step counter are one
companion module of the replica, so checkpoints carry them and a resumed run goes on with the same numbers.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, final

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from learnt.core.errors import InputError, NotApplicable
from learnt.core.examples import Examples
from learnt.distill._negatives import LARGEST, draw_below, negative_ranks, rank_by_class, sample_keys
from learnt.distill._teacher import (
    check_choice,
    check_number,
    layer_output,
    prepared,
    require_layer,
    stored_features,
    stored_outputs,
)
from learnt.train.objectives import Batch, Model, check_classes

EPSILON = 1e-7
DENSE_FROM = 1 / 32  # share of the memory from which one product with all of it beats gathering rows (measured)
FEATURES, RANK, START, COUNT = "crd_teacher_features", "crd_rank", "crd_class_start", "crd_class_count"


def contrast_loss(
    scores: Float[Tensor, "batch candidates"],
    log_z: Float[Tensor, ""] | float,
    *,
    size: int,
    epsilon: float = EPSILON,
) -> Float[Tensor, ""]:
    """Noise-contrastive loss of one direction, summed over negatives and averaged over the batch, in nats.

    Args:
        scores: (B, 1 + N) inner products over temperature, the positive first.
        log_z: logarithm of the normaliser; 0 for none.
        size: M, number of examples in the memory.
        epsilon: added inside both denominators.

    Returns:
        () scalar.
    """
    share = (scores.shape[1] - 1) / size
    log_share, log_floor = math.log(share), math.log(share + epsilon)
    log_p = scores - log_z
    positive = -_softplus(log_floor - log_p[:, 0])
    negative = log_share - log_floor - _softplus(log_p[:, 1:] - log_floor)
    return -(positive.sum() + negative.sum()) / len(scores)


def _softplus(x: Tensor) -> Tensor:
    return F.softplus(x, threshold=40)  # the default of 20 leaves out up to 2e-9, which float64 can see


def log_normaliser(scores: Float[Tensor, "batch candidates"], size: int) -> Float[Tensor, ""]:
    """Logarithm of Z = M * mean(exp(scores)) for the scores (B, 1 + N) of the first batch."""
    return scores.flatten().logsumexp(0) - math.log(scores.numel()) + math.log(size)


def memory_scores(
    memory: Float[Tensor, "rows dim"],
    anchors: Float[Tensor, "batch dim"],
    index: Int[Tensor, "batch candidates"],
    temperature: float,
) -> Float[Tensor, "batch candidates"]:
    """(B, K) inner products of each anchor with K rows of the memory, over temperature.

    Args:
        memory: (M, d) without gradient.
        anchors: (B, d).
        index: (B, K) int64 rows.

    Rows are gathered if few are needed; otherwise one product with the whole memory is cheaper in time and memory.
    The product takes a copy, as the memory changes in place before the backward pass.
    """
    if index.shape[-1] >= DENSE_FROM * len(memory):
        dense = anchors @ memory.to(anchors.dtype, copy=True).T
        return dense.gather(1, index) / temperature
    rows = F.embedding(index, memory).to(anchors.dtype)
    return (rows @ anchors.unsqueeze(-1)).squeeze(-1) / temperature


def updated_rows(
    rows: Float[Tensor, "batch dim"], vectors: Float[Tensor, "batch dim"], momentum: float
) -> Float[Tensor, "batch dim"]:
    """(B, d) new memory rows: normalise(momentum * rows + (1 - momentum) * vectors)."""
    return F.normalize(momentum * rows + (1 - momentum) * vectors, dim=-1)


@final
class ContrastMemory(nn.Module):
    """Heads, memories and normalisers of one student; its forward pass gives the loss of one batch.

    Memory rows follow ranks by class (see `_negatives.rank_by_class`). In evaluation mode nothing is updated.

    Args:
        student_dim, teacher_dim: sizes of the flattened features.
        size: M, number of examples.
        dim, temperature, negatives, momentum, mode, normalise: see `CRD`.
        may_repeat: some class has fewer others than `negatives`.
        bank_dtype: number format of the memories.
    """

    student_bank: Tensor
    teacher_bank: Tensor
    log_z: Tensor
    step: Tensor
    stream: Tensor

    def __init__(
        self,
        student_dim: int,
        teacher_dim: int,
        size: int,
        *,
        dim: int = 128,
        temperature: float = 0.07,
        negatives: int = 16384,
        momentum: float = 0.5,
        mode: Literal["exact", "relax"] = "exact",
        normalise: Literal["first_batch", "none"] = "first_batch",
        may_repeat: bool = False,
        bank_dtype: torch.dtype = torch.float32,
    ) -> None:
        nn.Module.__init__(self)
        self.student_head = nn.Linear(student_dim, dim)
        self.teacher_head = nn.Linear(teacher_dim, dim)
        self.size, self.temperature, self.negatives = size, temperature, negatives
        self.momentum, self.mode, self.normalise, self.may_repeat = momentum, mode, normalise, may_repeat
        bound = 1 / math.sqrt(dim / 3)
        # the generator is the one that also started the heads: the engine seeds it for each replica
        self.register_buffer("student_bank", (torch.rand(size, dim) * 2 - 1).mul(bound).to(bank_dtype))
        self.register_buffer("teacher_bank", (torch.rand(size, dim) * 2 - 1).mul(bound).to(bank_dtype))
        self.register_buffer("log_z", torch.zeros(2))
        self.register_buffer("step", torch.zeros((), dtype=torch.int64))
        self.register_buffer("stream", torch.randint(2**62, ()))

    def forward(self, student: Tensor, teacher: Tensor, rank: Tensor, start: Tensor, count: Tensor) -> Tensor:
        """Sum of both directions for one batch.

        Args:
            student, teacher: (B, ...) features, flattened here.
            rank, start, count: (B,) int64, place of each example and block of its class in the memory.
        """
        v_s = F.normalize(self.student_head(student.flatten(1)), dim=-1)
        v_t = F.normalize(self.teacher_head(teacher.flatten(1)), dim=-1)
        keys = sample_keys(self.stream, self.step, rank)
        negatives = negative_ranks(keys, start, count, size=self.size, n=self.negatives, may_repeat=self.may_repeat)
        positive = rank if self.mode == "exact" else start + draw_below(keys, count, 999)
        index = torch.cat([positive.unsqueeze(-1), negatives], dim=-1)
        scores = [
            memory_scores(self.teacher_bank, v_s, index, self.temperature),
            memory_scores(self.student_bank, v_t, index, self.temperature),
        ]
        log_z = self._normalisers(scores)
        if self.training:
            self._remember(rank, v_s.detach(), v_t.detach(), log_z)
        return contrast_loss(scores[0], log_z[0], size=self.size) + contrast_loss(scores[1], log_z[1], size=self.size)

    def _normalisers(self, scores: list[Tensor]) -> Tensor:
        if self.normalise == "none":
            return torch.zeros_like(self.log_z)
        fresh = torch.stack([log_normaliser(s.detach(), self.size) for s in scores]).to(self.log_z.dtype)
        return torch.where(self.step == 0, fresh, self.log_z)

    def _remember(self, rank: Tensor, v_s: Tensor, v_t: Tensor, log_z: Tensor) -> None:
        for bank, vectors in ((self.student_bank, v_s), (self.teacher_bank, v_t)):
            rows = bank[rank].to(vectors.dtype)
            bank[rank] = updated_rows(rows, vectors, self.momentum).to(bank.dtype)
        self.log_z.copy_(log_z)
        self.step.add_(1)


@final
@dataclass(frozen=True, eq=False)
class CRD:
    """Objective for `fit`: cross-entropy with the labels plus contrastive distillation at one layer of each model.

    Args:
        teacher: an `nn.Module`, or an (n, ...) tensor of precomputed features (then `teacher_layer` is not used).
        student_layer, teacher_layer: names of submodules, usually the last before the logits.
        beta: weight of the contrastive loss; gamma: weight of the labels.
        temperature: T > 0.
        negatives: N, drawn for each example from the other classes without replacement; with replacement, and a
            warning, only where fewer than N exist.
        dim: length of the compared vectors.
        momentum: share of the old memory row that is kept, in [0, 1).
        mode: the positive is the same image (``"exact"``) or a random one of its class (``"relax"``).
        normalise: ``"first_batch"`` or ``"none"``.
        bank_dtype: ``torch.float16`` halves the memories, which take 2 * M * dim numbers for each replica.
        live: ask the teacher at every step, on the very view the student sees; needed when inputs are augmented.
        batch_size: examples a forward pass of the teacher.

    Raises (before the first step):
        NotApplicable: data without class labels. InputError: a single class, an unknown layer (nearest names offered).
    """

    teacher: nn.Module | Tensor
    student_layer: str
    teacher_layer: str = ""
    beta: float = 0.8
    gamma: float = 1.0
    temperature: float = 0.07
    negatives: int = 16384
    dim: int = 128
    momentum: float = 0.5
    mode: Literal["exact", "relax"] = "exact"
    normalise: Literal["first_batch", "none"] = "first_batch"
    bank_dtype: torch.dtype = torch.float32
    live: bool = False
    batch_size: int = 256

    def __post_init__(self) -> None:
        for name in ("beta", "gamma", "momentum"):
            check_number(name, getattr(self, name), least=0.0)
        check_number("temperature", self.temperature, above=0.0)
        for name in ("negatives", "dim"):
            check_number(name, getattr(self, name), least=1)
        if self.momentum >= 1:
            raise InputError("momentum", found=str(self.momentum), expected="a number below 1, or nothing is learnt")
        check_choice("mode", self.mode, ("exact", "relax"))
        check_choice("normalise", self.normalise, ("first_batch", "none"))
        if not isinstance(self.teacher, Tensor):
            require_layer(self.teacher, self.teacher_layer, "teacher_layer")

    def prepare(self, data: Examples) -> Mapping[str, Tensor]:
        """Place of each example in the memory and, unless it is to be asked live, the teacher's features."""
        rank, start, count = rank_by_class(_labels(data))
        extra = {RANK: rank, START: start, COUNT: count}
        if isinstance(self.teacher, Tensor):
            extra[FEATURES] = stored_outputs(self.teacher, data, live=self.live)
        elif not self.live:
            extra[FEATURES] = stored_features(
                self.teacher, self.teacher_layer, data, view=None, batch_size=self.batch_size
            )
        return extra

    def companion(self, model: nn.Module, data: Examples) -> nn.Module:
        """Fresh heads and memories for one student."""
        require_layer(model, self.student_layer, "student_layer")
        few = data.take(torch.arange(min(2, len(data)))).inputs
        student = layer_output(model, self.student_layer, few)
        teacher = (
            self.teacher if isinstance(self.teacher, Tensor) else layer_output(self.teacher, self.teacher_layer, few)
        )
        pool = len(data) - int(torch.bincount(_labels(data)).max())
        if pool < self.negatives:
            warnings.warn(
                f"CRD: {self.negatives} negatives asked for, but the largest class leaves only {pool} other examples; "
                "examples of such classes draw with replacement.",
                stacklevel=2,
            )
        return ContrastMemory(
            student[0].numel(),
            teacher[0].numel(),
            len(data),
            dim=self.dim,
            temperature=self.temperature,
            negatives=self.negatives,
            momentum=self.momentum,
            mode=self.mode,
            normalise=self.normalise,
            may_repeat=pool < self.negatives,
            bank_dtype=self.bank_dtype,
        )

    def check(self, outputs: Tensor, data: Examples) -> None:
        """Raise if the labels have a weight and are not classes of the student's outputs."""
        if self.gamma > 0:
            check_classes(outputs, data)

    def __call__(self, model: Model, batch: Batch) -> Tensor:
        """Loss of one replica on one batch."""
        logits, layers = model.tap(batch.inputs, [self.student_layer])
        student = layers[self.student_layer]
        if self.live and isinstance(self.teacher, nn.Module):
            teacher = layer_output(self.teacher, self.teacher_layer, batch.inputs)
        else:
            teacher = prepared(batch, FEATURES)
        places = (prepared(batch, name) for name in (RANK, START, COUNT))
        contrast = model.companion(student, teacher.to(student), *places)
        loss = self.beta * contrast
        return loss + self.gamma * F.cross_entropy(logits, batch.targets()) if self.gamma > 0 else loss


def _labels(data: Examples) -> Tensor:
    """Class labels that leave at least one other class for every example."""
    if not data.is_classification or data.labels is None:
        raise NotApplicable(
            f"{data.name}.labels",
            found="no class labels",
            expected="class labels, since negatives are of other classes",
        )
    if int(data.labels.min()) == int(data.labels.max()):
        raise InputError(
            f"{data.name}.labels", found="one class only", expected="at least two, since negatives are of other classes"
        )
    if len(data) >= LARGEST:
        raise InputError("data", found=f"{len(data)} examples", expected=f"fewer than {LARGEST}")
    return data.labels
