"""How a teacher is asked: in evaluation mode, without gradients, and left as it was.

Shared by every distillation objective. Answers for a whole data set are computed once, with the checks of
`learnt.core.subject`; answers for a live batch run inside the training step, also under `torch.func.vmap`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from typing import Any

import torch
from torch import Tensor, nn

from learnt.core.errors import InputError, NotApplicable, ShapeError
from learnt.core.examples import Examples, check_finite
from learnt.core.subject import Outputs, Subject, tap
from learnt.train.objectives import Batch

LARGEST_STORE = 2 * 2**30  # bytes of teacher answers that are kept for a run before we advise live=True


@contextmanager
def evaluating(modules: Iterable[Any]) -> Iterator[None]:
    """Evaluation mode without gradients for those of `modules` that are modules; every flag is restored after."""
    modes = [(m, m.training) for top in modules if isinstance(top, nn.Module) for m in top.modules()]
    try:
        for m, _ in modes:
            m.training = False
        with torch.no_grad():
            yield
    finally:
        for m, was in modes:
            m.training = was


def as_taken(thing: Any, inputs: Tensor) -> Tensor:
    """`inputs` on the device of a module and, if floating point, in its number format; unchanged for a callable."""
    tensors = (*thing.parameters(), *thing.buffers()) if isinstance(thing, nn.Module) else ()
    like = next((t for t in tensors if t.is_floating_point()), None)
    if like is None:
        return inputs
    return inputs.to(like.device, like.dtype if inputs.is_floating_point() else None)


def members_of(teacher: Any) -> list[Any]:
    """The models that teach together: one, or every member of a population or list."""
    if isinstance(teacher, nn.Module) or hasattr(teacher, "predict_proba"):
        return [teacher]
    if hasattr(teacher, "__len__") and hasattr(teacher, "__getitem__"):
        members = [teacher[i] for i in range(len(teacher))]
        if not members:
            raise InputError("teacher", found="an empty collection", expected="at least one model")
        return members
    if callable(teacher):
        return [teacher]
    raise InputError(
        "teacher",
        found=type(teacher).__name__,
        expected="an nn.Module, a Population or list of models, a callable returning logits, or a tensor",
    )


def class_logits(members: Sequence[Any], data: Examples, *, outputs: Outputs, batch_size: int) -> list[Tensor]:
    """Logits of each member, (n, c) float64, checked for NaN, shape and looking like probabilities."""
    names = ["teacher"] if len(members) == 1 else [f"teacher[{i}]" for i in range(len(members))]
    answers = [
        Subject(m, data, name=name, batch_size=batch_size, outputs=outputs).logits
        for m, name in zip(members, names, strict=True)
    ]
    for name, answer in zip(names, answers, strict=True):
        if answer.shape != answers[0].shape:
            raise ShapeError(
                name, found=f"{answer.shape[1]} outputs", expected=f"{answers[0].shape[1]}, as the first member"
            )
    return answers


def plain_outputs(teacher: Any, data: Examples, *, batch_size: int) -> Tensor:
    """(n, ...) outputs of a single teacher of any width, for regression on outputs."""
    with evaluating([teacher]):
        parts = [teacher(as_taken(teacher, part)) for part in data.inputs.split(batch_size)]
    answer = torch.cat([getattr(p, "logits", p) for p in parts])
    check_finite(answer, "outputs of the teacher")
    return answer


def live_outputs(members: Sequence[Any], inputs: Tensor, *, outputs: Outputs = "auto") -> list[Tensor]:
    """Outputs of each member on one batch; works inside function transforms."""
    for m in members:
        if hasattr(m, "predict_proba") and not isinstance(m, nn.Module):
            raise InputError(
                "live",
                found="a scikit-learn teacher asked at every step",
                expected="a torch teacher",
                remedy="Use live=False.",
            )
    with evaluating(members):
        answers = [getattr(a, "logits", a) for a in (m(as_taken(m, inputs)) for m in members)]
    return [a.clamp_min(1e-30).log() for a in answers] if outputs == "probabilities" else answers


def stored_outputs(values: Tensor, data: Examples, *, live: bool) -> Tensor:
    """Precomputed answers of a teacher, checked against the data."""
    if live:
        raise InputError(
            "live",
            found="live=True with precomputed answers",
            expected="a teacher that can be asked",
            remedy="Use live=False.",
        )
    if values.ndim < 2 or len(values) != len(data):
        raise ShapeError(
            "teacher",
            found=f"precomputed answers of shape {tuple(values.shape)}",
            expected=f"({len(data)}, ...), one row an example",
        )
    check_finite(values, "teacher")
    return values.detach()


def layer_output(module: nn.Module, layer: str, inputs: Tensor) -> Tensor:
    """Output of one named submodule on a batch, without gradients and with flags restored."""
    with evaluating([module]), tap(module, [layer]) as outputs:
        module(as_taken(module, inputs))
        if layer not in outputs:
            raise InputError(
                "layer",
                found=f"{layer!r}, which gives no tensor when the model runs",
                expected="a layer that runs once and returns a tensor",
            )
        return outputs[layer]


def stored_features(
    teacher: nn.Module, layer: str, data: Examples, *, view: Callable[[Tensor], Tensor] | None, batch_size: int
) -> Tensor:
    """(n, ...) outputs of `layer` on the data after `view`; refuses more than LARGEST_STORE bytes.

    Raises:
        InputError: if they would not fit, with the advice to ask the teacher live.
        NonFiniteError: on NaN or infinity.
    """
    parts: list[Tensor] = []
    for inputs in data.inputs.split(batch_size):
        part = layer_output(teacher, layer, inputs)
        part = view(part) if view is not None else part
        need = part[0].numel() * part.element_size() * len(data)
        if need > LARGEST_STORE:
            raise InputError(
                "teacher_layer",
                found=f"{need / 2**30:.1f} GiB of features at {layer!r} for {len(data)} examples",
                expected=f"at most {LARGEST_STORE / 2**30:.0f} GiB to keep",
                remedy="Use live=True: the teacher is then asked at every step.",
            )
        parts.append(part.to(data.inputs.device))
    features = torch.cat(parts)
    check_finite(features, f"features of the teacher at {layer}")
    return features


def prepared(batch: Batch, name: str) -> Tensor:
    """The rows of what `prepare` returned; raises InputError where the objective was not prepared on the data."""
    if name not in batch.extra:
        raise InputError(
            "objective",
            found=f"a batch without {name!r}",
            expected="what the objective's prepare() returned for this data",
            remedy="As a validation objective use one that needs no preparation, such as CrossEntropy().",
        )
    return batch.extra[name]


def require_layer(module: Any, layer: str, argument: str) -> None:
    """Raise InputError, with the nearest names, unless `layer` is a submodule of `module`."""
    if not isinstance(module, nn.Module):
        raise NotApplicable(argument, found=f"a {type(module).__name__}, which has no layers", expected="an nn.Module")
    names = [n for n, _ in module.named_modules() if n]
    if layer not in names:
        near = get_close_matches(layer, names, n=3, cutoff=0.3) or names[:3]
        raise InputError(
            argument,
            found=f"{layer!r}, which is not a layer of {type(module).__name__}",
            expected="the name of a submodule",
            remedy=f"Nearest names: {', '.join(near)}." if near else "The model has no submodules.",
        )


def require_labels(data: Examples, weight: str) -> None:
    """Raise NotApplicable unless the data has class labels."""
    if not data.is_classification:
        raise NotApplicable(
            f"{data.name}.labels",
            found="no class labels",
            expected=f"class labels, since {weight} > 0",
            remedy=f"Set {weight}=0 to learn from the teacher alone.",
        )


def check_same_shape(what: str, student: Tensor, teacher: Tensor) -> None:
    """Raise ShapeError naming both shapes if they differ."""
    if student.shape != teacher.shape:
        raise ShapeError(
            what,
            found=f"student {tuple(student.shape)} and teacher {tuple(teacher.shape)}",
            expected="equal shapes",
        )


def check_number(name: str, value: float, *, above: float | None = None, least: float | None = None) -> None:
    """Raise InputError unless `value` is finite and above, or at least, a bound."""
    good = math.isfinite(value) and (above is None or value > above) and (least is None or value >= least)
    if not good:
        bound = f"above {above}" if above is not None else f"of at least {least}"
        raise InputError(name, found=str(value), expected=f"a finite number {bound}")


def check_choice(name: str, value: str, choices: Sequence[str]) -> None:
    """Raise InputError unless `value` is one of `choices`."""
    if value not in choices:
        raise InputError(name, found=repr(value), expected=" or ".join(repr(c) for c in choices))
