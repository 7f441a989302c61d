"""Learn a teacher's inner layer (FitNets, Romero et al. 2015, arXiv 1412.6550; spec 1.1 (2)).

With f_s, f_t the features of one layer each and r a regressor trained with the student and thrown away,

    L_hint = mean over all elements of (r(f_s) - f_t)^2          reduction="mean"
    L_hint = 1 / (2 B) * sum_i || r(f_s,i) - f_t,i ||^2          reduction="half_sum"
    L      = gamma * CE(z_s, y) + beta * L_hint

What differs: arXiv 2205.16004 prints half_sum (Eq. 2), its code takes the mean, and its weights (0.2 to 100) belong
to the mean, so the mean is our default; the factor between them is half the number of elements of one example.
One stage, together with the labels, as that paper; FitNets trains in two stages. The ReLU of the regressor is right
only if the teacher's features are outputs of a ReLU: `relu=False` for others.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, final

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from learnt.core.errors import ShapeError
from learnt.core.examples import Examples
from learnt.distill._teacher import (
    check_choice,
    check_number,
    check_same_shape,
    layer_output,
    prepared,
    require_labels,
    require_layer,
    stored_features,
    stored_outputs,
)
from learnt.train.objectives import Batch, Model, check_classes

FEATURES = "hint_teacher_features"


def hint_loss(
    regressed: Float[Tensor, "batch *features"],
    teacher_features: Float[Tensor, "batch *features"],
    reduction: Literal["mean", "half_sum"] = "mean",
) -> Float[Tensor, ""]:
    """Squared error between regressed student features and teacher features.

    Args:
        regressed: (B, ...) student features after the regressor.
        teacher_features: (B, ...) of the same shape; no gradient flows into it.
        reduction: ``"mean"`` over all elements, or ``"half_sum"``: half the sum, averaged over the batch.

    Raises:
        ShapeError: if the shapes differ.
        InputError: for another reduction.
    """
    check_choice("reduction", reduction, ("mean", "half_sum"))
    check_same_shape("features", regressed, teacher_features)
    squared = (regressed - teacher_features.detach()).square()
    return squared.mean() if reduction == "mean" else 0.5 * squared.flatten(1).sum(1).mean()


@final
class ConvRegressor(nn.Module):
    """Map (B, C_s, H_s, W_s) features to (B, C_t, H_t, W_t): one convolution, batch norm, optional ReLU.

    The convolution: 3x3 with stride 2 and padding 1 where the student is twice as large; transposed 4x4 with stride 2
    and padding 1 where it is half as large; else, where it is at least as large, kernel 1 + student - teacher.

    Args:
        student_shape: (C_s, H_s, W_s).
        teacher_shape: (C_t, H_t, W_t).
        relu: end with a ReLU, for teacher features that are outputs of one.

    Raises:
        ShapeError: naming both shapes, if no rule fits them.
    """

    def __init__(self, student_shape: Sequence[int], teacher_shape: Sequence[int], *, relu: bool = True) -> None:
        nn.Module.__init__(self)
        _check_maps(student_shape, teacher_shape)
        c_s, h_s, w_s = student_shape
        c_t, h_t, w_t = teacher_shape
        if (h_s, w_s) == (2 * h_t, 2 * w_t):
            self.conv: nn.Module = nn.Conv2d(c_s, c_t, kernel_size=3, stride=2, padding=1)
        elif (2 * h_s, 2 * w_s) == (h_t, w_t):
            self.conv = nn.ConvTranspose2d(c_s, c_t, kernel_size=4, stride=2, padding=1)
        elif h_s >= h_t and w_s >= w_t:
            self.conv = nn.Conv2d(c_s, c_t, kernel_size=(1 + h_s - h_t, 1 + w_s - w_t))
        else:
            raise ShapeError(
                "features",
                found=f"student {tuple(student_shape)} and teacher {tuple(teacher_shape)}",
                expected="a student map at least as large as the teacher's, or exactly half as large",
                remedy="Choose an earlier student layer or a later teacher layer.",
            )
        self.norm = nn.BatchNorm2d(c_t)
        self.relu = relu

    def forward(self, features: Tensor) -> Tensor:
        """(B, C_s, H_s, W_s) -> (B, C_t, H_t, W_t)."""
        out = self.norm(self.conv(features))
        return F.relu(out) if self.relu else out


def make_regressor(student_shape: Sequence[int], teacher_shape: Sequence[int], *, relu: bool = True) -> nn.Module:
    """The regressor between two feature shapes (without the batch): `ConvRegressor` for maps, linear for vectors.

    Vectors are (d,) or, per token, (t, d) with equal t. Linear regressors have neither batch norm nor ReLU.

    Raises:
        ShapeError: naming both shapes, if there is none.
    """
    if len(student_shape) == 3 and len(teacher_shape) == 3:
        return ConvRegressor(student_shape, teacher_shape, relu=relu)
    if len(student_shape) == len(teacher_shape) in (1, 2) and tuple(student_shape[:-1]) == tuple(teacher_shape[:-1]):
        return nn.Linear(student_shape[-1], teacher_shape[-1])
    raise ShapeError(
        "features",
        found=f"student {tuple(student_shape)} and teacher {tuple(teacher_shape)}",
        expected="two maps (C, H, W), two vectors (d,), or two token sequences (t, d) of one length",
        remedy="Bring them together with student_view and teacher_view, for example tokens_to_map.",
    )


def tokens_to_map(tokens: Float[Tensor, "batch tokens dim"], *, drop: int = 1) -> Float[Tensor, "batch dim side side"]:
    """(B, drop + h*h, d) tokens of a vision transformer -> (B, d, h, h), without the first `drop` (class) tokens.

    Raises:
        ShapeError: if the rest is not a square number of tokens.
    """
    count = tokens.shape[1] - drop if tokens.ndim == 3 else 0
    side = int(max(count, 0) ** 0.5 + 0.5)
    if count < 1 or side * side != count:
        raise ShapeError(
            "tokens", found=f"shape {tuple(tokens.shape)}", expected=f"(B, {drop} + h * h, d) for a whole number h"
        )
    return tokens[:, drop:].transpose(1, 2).unflatten(2, (side, side))


@final
@dataclass(frozen=True, eq=False)
class Hint:
    """Objective for `fit`: cross-entropy with the labels plus `hint_loss` at one layer of student and teacher.

    Args:
        teacher: an `nn.Module`, or an (n, ...) tensor of precomputed features (then `teacher_layer` is not used).
        student_layer, teacher_layer: names of submodules; their outputs are compared.
        beta: weight of the hint; gamma: weight of the labels, 0 trains without labels.
        reduction, relu: see `hint_loss` and `ConvRegressor`.
        student_view, teacher_view: applied to the raw features first, e.g. `tokens_to_map`.
        live: ask the teacher at every step, on the very view the student sees; needed when inputs are augmented.
        batch_size: examples a forward pass of the teacher.

    Raises (before the first step):
        InputError: an unknown layer (nearest names offered), features too large to keep.
        ShapeError: shapes that no regressor joins. NotApplicable: no labels although gamma > 0.
    """

    teacher: nn.Module | Tensor
    student_layer: str
    teacher_layer: str = ""
    beta: float = 1.0
    gamma: float = 1.0
    reduction: Literal["mean", "half_sum"] = "mean"
    relu: bool = True
    student_view: Callable[[Tensor], Tensor] | None = None
    teacher_view: Callable[[Tensor], Tensor] | None = None
    live: bool = False
    batch_size: int = 256

    def __post_init__(self) -> None:
        check_number("beta", self.beta, least=0.0)
        check_number("gamma", self.gamma, least=0.0)
        check_choice("reduction", self.reduction, ("mean", "half_sum"))
        if not isinstance(self.teacher, Tensor):
            require_layer(self.teacher, self.teacher_layer, "teacher_layer")

    def prepare(self, data: Examples) -> Mapping[str, Tensor]:
        """The teacher's features (n, ...) on the data, unless it is to be asked live."""
        if self.gamma > 0:
            require_labels(data, "gamma")
        if isinstance(self.teacher, Tensor):
            return {FEATURES: _seen(stored_outputs(self.teacher, data, live=self.live), self.teacher_view)}
        if self.live:
            return {}
        return {
            FEATURES: stored_features(
                self.teacher, self.teacher_layer, data, view=self.teacher_view, batch_size=self.batch_size
            )
        }

    def companion(self, model: nn.Module, data: Examples) -> nn.Module:
        """A fresh regressor from the student's features to the teacher's."""
        require_layer(model, self.student_layer, "student_layer")
        few = data.take(torch.arange(min(2, len(data))))
        student = _seen(layer_output(model, self.student_layer, few.inputs), self.student_view)
        if isinstance(self.teacher, Tensor):
            teacher = _seen(self.teacher[:1], self.teacher_view)
        else:
            teacher = self._asked(self.teacher, few.inputs)
        return make_regressor(student.shape[1:], teacher.shape[1:], relu=self.relu)

    def check(self, outputs: Tensor, data: Examples) -> None:
        """Raise if the labels have a weight and are not classes of the student's outputs."""
        if self.gamma > 0:
            check_classes(outputs, data)

    def __call__(self, model: Model, batch: Batch) -> Tensor:
        """Loss of one replica on one batch."""
        logits, layers = model.tap(batch.inputs, [self.student_layer])
        regressed = model.companion(_seen(layers[self.student_layer], self.student_view))
        if self.live and isinstance(self.teacher, nn.Module):
            teacher = self._asked(self.teacher, batch.inputs)
        else:
            teacher = prepared(batch, FEATURES)
        loss = self.beta * hint_loss(regressed, teacher.to(regressed), self.reduction)
        return loss + self.gamma * F.cross_entropy(logits, batch.targets()) if self.gamma > 0 else loss

    def _asked(self, teacher: nn.Module, inputs: Tensor) -> Tensor:
        return _seen(layer_output(teacher, self.teacher_layer, inputs), self.teacher_view)


def _seen(features: Tensor, view: Callable[[Tensor], Tensor] | None) -> Tensor:
    return features if view is None else view(features)


def _check_maps(student_shape: Sequence[int], teacher_shape: Sequence[int]) -> None:
    if len(student_shape) != 3 or len(teacher_shape) != 3:
        raise ShapeError(
            "features",
            found=f"student {tuple(student_shape)} and teacher {tuple(teacher_shape)}",
            expected="two maps (C, H, W)",
        )
