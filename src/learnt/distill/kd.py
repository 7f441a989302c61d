"""Learn from a teacher's softened probabilities (Hinton, Vinyals, Dean 2015, arXiv 1503.02531; spec 1.1 (1)).

With z_s, z_t the logits of student and teacher (B, c), sigma the softmax and T the temperature,

    L_KL = T^2 / B * sum_i KL( sigma(z_t,i / T) || sigma(z_s,i / T) )
    L    = gamma * CE(z_s, y) + alpha * L_KL

Gradient: dL_KL / dz_s,i = (T / B) (sigma(z_s,i / T) - sigma(z_t,i / T)).  Limit T -> infinity:
mean_i || c(z_t,i) - c(z_s,i) ||^2 / (2 c), with c() centring over the classes.

What differs: arXiv 2205.16004 prints the cross-entropy form (Eq. 1), its code and ours compute the KL form; they
differ by T^2 times the entropy of the teacher, a constant of the student, so the gradients are equal
(`form="ce"` gives the printed one). Both sides go through log-softmax, so logits of 1e4 stay finite.
An ensemble teaches with the logits log mean_m softmax(z_m) (Stanton et al. 2021, Eq. 3).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, final

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from learnt.core.errors import ShapeError
from learnt.core.examples import Examples
from learnt.distill._teacher import (
    check_choice,
    check_number,
    check_same_shape,
    class_logits,
    live_outputs,
    members_of,
    prepared,
    require_labels,
    stored_outputs,
)
from learnt.train.objectives import Batch, CrossEntropy, Model, check_classes

LOGITS = "kd_teacher_logits"


def kd_loss(
    student_logits: Float[Tensor, "*replicas batch classes"],
    teacher_logits: Float[Tensor, "*replicas batch classes"],
    temperature: float = 4.0,
    form: Literal["kl", "ce"] = "kl",
) -> Float[Tensor, "*replicas"]:
    """Distillation loss of softened probabilities, times temperature squared, averaged over the batch, in nats.

    Args:
        student_logits: (..., B, c).
        teacher_logits: (..., B, c); no gradient flows into it.
        temperature: T > 0, divides both logits.
        form: ``"kl"``, zero for equal probabilities, or ``"ce"``, larger by T^2 times the teacher's entropy.

    Returns:
        (...,): one number for each leading index, a scalar for (B, c).

    Raises:
        InputError: for a temperature that is not positive, or another form.
        ShapeError: if the shapes differ, as for two label sets.
    """
    check_number("temperature", temperature, above=0.0)
    check_choice("form", form, ("kl", "ce"))
    check_same_shape("logits", student_logits, teacher_logits)
    s = F.log_softmax(student_logits / temperature, dim=-1)
    t = F.log_softmax(teacher_logits.detach() / temperature, dim=-1)
    per_class = _kl_terms(t, s) if form == "kl" else -t.exp() * s
    return temperature**2 * per_class.sum(-1).mean(-1)


def _kl_terms(t: Tensor, s: Tensor) -> Tensor:
    """Terms p_t (t - s) + p_s - p_t, each >= 0, with the sum of KL since both probabilities sum to 1.

    Rounding of the logarithms cancels to first order here; in the plain p_t (t - s) it does not, and the factor T^2
    makes it visible in float32 (2e-6 at T = 8).
    """
    d = t - s
    near = d.clamp(-1.0, 1.0)
    return torch.where(d.abs() < 1, t.exp() * (near + torch.expm1(-near)), t.exp() * (d - 1) + s.exp())


def ensemble_logits(members: Float[Tensor, "members n classes"]) -> Float[Tensor, "n classes"]:
    """Logits of an ensemble: the log of the mean of the members' probabilities (Stanton et al. 2021, Eq. 3).

    Args:
        members: (m, n, c) logits of m members.

    Returns:
        (n, c); each row is a normalised log-probability.
    """
    if members.ndim < 2 or len(members) == 0:
        raise ShapeError("members", found=f"shape {tuple(members.shape)}", expected="(members >= 1, examples, classes)")
    return members.log_softmax(-1).logsumexp(0) - math.log(len(members))


@final
@dataclass(frozen=True, eq=False)
class KD:
    """Objective for `fit`: cross-entropy with the labels plus `kd_loss` with a teacher.

    Args:
        teacher: an `nn.Module` of any architecture, a `Population` or list of modules (their `ensemble_logits`), a
            callable from inputs to logits, a scikit-learn classifier, or an (n, c) tensor of precomputed logits.
        temperature: T > 0.
        alpha: weight of the teacher.
        gamma: weight of the labels; 0 trains without labels.
        form: see `kd_loss`.
        live: ask the teacher at every step, on the very view the student sees; needed when inputs are augmented.
            Otherwise the teacher answers once for each example before training.
        outputs: what the teacher returns; ``"auto"`` takes logits and refuses what looks like probabilities.
        batch_size: examples a forward pass of the teacher.

    The teacher runs in evaluation mode without gradients and is left as it was.

    Raises (in `prepare`, before the first step):
        InputError: no labels although gamma > 0, a teacher that returns probabilities, precomputed logits with `live`.
        ShapeError: precomputed logits that do not fit the data.
        NonFiniteError: a teacher that returns NaN or infinity.
    """

    teacher: Any
    temperature: float = 4.0
    alpha: float = 0.9
    gamma: float = 0.1
    form: Literal["kl", "ce"] = "kl"
    live: bool = False
    outputs: Literal["auto", "logits", "probabilities"] = "auto"
    batch_size: int = 256

    def __post_init__(self) -> None:
        check_number("temperature", self.temperature, above=0.0)
        check_number("alpha", self.alpha, least=0.0)
        check_number("gamma", self.gamma, least=0.0)
        check_choice("form", self.form, ("kl", "ce"))

    def prepare(self, data: Examples) -> Mapping[str, Tensor]:
        """The teacher's logits (n, c) on the data, unless it is to be asked live."""
        if self.gamma > 0:
            require_labels(data, "gamma")
        if isinstance(self.teacher, Tensor):
            return {LOGITS: stored_outputs(self.teacher, data, live=self.live)}
        # a live teacher is asked here too, on two examples: its errors come before training, not within it
        sample = data.take(torch.arange(min(2, len(data)))) if self.live else data
        members = class_logits(self._members, sample, outputs=self.outputs, batch_size=self.batch_size)
        return {} if self.live else {LOGITS: _as_inputs(_joined(members), data)}

    def check(self, outputs: Tensor, data: Examples) -> None:
        """Raise if the labels have a weight and are not classes of the student's outputs."""
        if self.gamma > 0:
            check_classes(outputs, data)

    def __call__(self, model: Model, batch: Batch) -> Tensor:
        """Loss of one replica on one batch."""
        logits = model(batch.inputs)
        if self.live:
            teacher = _joined(live_outputs(self._members, batch.inputs, outputs=self.outputs))
        else:
            teacher = prepared(batch, LOGITS)
        loss = self.alpha * kd_loss(logits, teacher.to(logits), self.temperature, self.form)
        return loss + self.gamma * F.cross_entropy(logits, batch.targets()) if self.gamma > 0 else loss

    def of_outputs(self, outputs: Tensor, batch: Batch) -> Tensor:
        """Loss of stored teacher logits: (..., B, c) -> (...,); a live teacher must see the inputs."""
        if self.live:
            return NotImplemented
        loss = self.alpha * kd_loss(outputs, prepared(batch, LOGITS).to(outputs), self.temperature, self.form)
        return loss + self.gamma * CrossEntropy().of_outputs(outputs, batch) if self.gamma > 0 else loss

    @cached_property
    def _members(self) -> list[Any]:
        return members_of(self.teacher)


def _joined(members: list[Tensor]) -> Tensor:
    return members[0] if len(members) == 1 else ensemble_logits(torch.stack(members))


def _as_inputs(values: Tensor, data: Examples) -> Tensor:
    return values.to(data.inputs.dtype if data.inputs.is_floating_point() else torch.float32)
