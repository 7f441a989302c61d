"""Learn from a teacher's raw outputs: squared error on logits, and when that must recover the teacher.

    L = 1 / (2 B) * sum_i || z_s,i - z_t,i ||^2          (loss)

arXiv 2205.16004, section 6, explains transfer by it: with a linear teacher z = W x + b on m-dimensional inputs,
equal outputs on m + 1 affinely independent points leave exactly one linear student, the teacher; labels leave a
region of students. With fewer points the solutions form an affine space; gradient descent started at zero ends in
its smallest member, which is not the teacher. `recover_linear` solves the system and says which case it is (spec 1.5).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, final

import torch
from jaxtyping import Float
from torch import Tensor

from learnt.core.errors import InputError, ShapeError
from learnt.core.examples import Examples, check_finite
from learnt.distill._teacher import check_same_shape, live_outputs, members_of, plain_outputs, prepared, stored_outputs
from learnt.train.objectives import Batch, Model

OUTPUTS = "logit_teacher_outputs"


def logit_mse(
    student_logits: Float[Tensor, "batch *outputs"], teacher_logits: Float[Tensor, "batch *outputs"]
) -> Float[Tensor, ""]:
    """Half the squared distance of the outputs, averaged over the batch.

    Args:
        student_logits: (B, c).
        teacher_logits: (B, c); no gradient flows into it.

    Returns:
        () scalar, in squared units of the logits.

    Raises:
        ShapeError: if the shapes differ.
    """
    check_same_shape("logits", student_logits, teacher_logits)
    return 0.5 * (student_logits - teacher_logits.detach()).square().flatten(1).sum(1).mean()


@dataclass(frozen=True, eq=False, kw_only=True)
class LinearRecovery:
    """The linear map of smallest norm through given points.

    Attributes:
        weight: (c, m).  bias: (c,).
        rank: rank of the points with a constant appended; m + 1 is needed for a unique answer.
        unique: whether there is only one such map, so that it is the teacher if the teacher is linear.
        residual: largest absolute error on the points; not near 0 if no linear map fits.
    """

    weight: Tensor
    bias: Tensor
    rank: int
    unique: bool
    residual: float


def recover_linear(inputs: Float[Tensor, "n features"], outputs: Float[Tensor, "n outputs"]) -> LinearRecovery:
    """Solve W x + b = z for all points in float64 and say whether the solution is the only one (spec 1.5).

    Args:
        inputs: (n, m).
        outputs: (n, c) real-valued outputs of the teacher.

    Raises:
        ShapeError: if the shapes do not fit.
        NonFiniteError: on NaN or infinity.
    """
    if inputs.ndim != 2 or outputs.ndim != 2 or len(inputs) != len(outputs) or len(inputs) == 0:
        raise ShapeError(
            "inputs, outputs",
            found=f"{tuple(inputs.shape)} and {tuple(outputs.shape)}",
            expected="(n, m) and (n, c), n >= 1",
        )
    check_finite(inputs, "inputs")
    check_finite(outputs, "outputs")
    points = torch.cat([inputs.double(), inputs.new_ones(len(inputs), 1, dtype=torch.float64)], dim=1)
    z = outputs.double()
    rank = int(torch.linalg.matrix_rank(points))
    solution = torch.linalg.pinv(points) @ z  # the minimum-norm solution when the system is underdetermined
    return LinearRecovery(
        weight=solution[:-1].T.contiguous(),
        bias=solution[-1],
        rank=rank,
        unique=rank == points.shape[1],
        residual=float((points @ solution - z).abs().max()),
    )


@final
@dataclass(frozen=True, eq=False)
class LogitMSE:
    """Objective for `fit`: `logit_mse` with one teacher; needs no labels.

    Args:
        teacher: an `nn.Module` or callable with any number of outputs, or an (n, c) tensor of precomputed outputs.
        live: ask the teacher at every step, on the very view the student sees.
        batch_size: examples a forward pass of the teacher.

    Raises (in `prepare`): InputError, ShapeError, NonFiniteError on a teacher that does not fit the data.
    """

    teacher: Any
    live: bool = False
    batch_size: int = 256

    def prepare(self, data: Examples) -> Mapping[str, Tensor]:
        """The teacher's outputs (n, c) on the data, unless it is to be asked live."""
        if isinstance(self.teacher, Tensor):
            return {OUTPUTS: stored_outputs(self.teacher, data, live=self.live)}
        sample = data.take(torch.arange(1)) if self.live else data
        answers = plain_outputs(self._member, sample, batch_size=self.batch_size)
        return {} if self.live else {OUTPUTS: answers}

    def __call__(self, model: Model, batch: Batch) -> Tensor:
        """Loss of one replica on one batch."""
        logits = model(batch.inputs)
        teacher = live_outputs([self._member], batch.inputs)[0] if self.live else prepared(batch, OUTPUTS)
        return logit_mse(logits, teacher.to(logits))

    @cached_property
    def _member(self) -> Any:
        members = members_of(self.teacher)
        if len(members) > 1:
            raise InputError(
                "teacher",
                found=f"{len(members)} models",
                expected="one",
                remedy="Use KD, which averages probabilities, or pass precomputed outputs.",
            )
        return members[0]
