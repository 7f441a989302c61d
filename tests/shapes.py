"""The checker that jaxtyping's import hook applies while the tests run: shapes only, and our own errors first.

The hook (`jaxtyping.install_import_hook`, see `conftest.py`) hands every function of the packages below to `check`
twice: as a stub that takes the arguments and returns `Any`, tried before the call, and as a stub that takes the
arguments and the result, tried after it. Two things are left out on purpose:

* The first look. Functions refuse wrong shapes themselves, with a `ShapeError` that says what to change, and that is
  what a user sees and tests assert. So a function runs first; what it let pass is judged after it, arguments and result.
* Everything that is no shape. Tests hand over wrong settings to see our errors, and models are protocols; only hints
  with a jaxtyping array in them are kept.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, get_args

from beartype import BeartypeConf, beartype
from jaxtyping import AbstractArray

CHECKED = (
    "learnt.agreement",
    "learnt.attribution",
    "learnt.calibration",
    "learnt.core.examples",
    "learnt.core.statistics",
    "learnt.distill",
    "learnt.gated",
    "learnt.invariance",
    "learnt.programs.evaluator",
    "learnt.rewards",
    "learnt.robustness",
    "learnt.similarity",
)
_STRICT = beartype(conf=BeartypeConf(is_pep484_tower=True))  # an int may stand where a float is asked for


def has_shape(hint: Any) -> bool:
    """Whether a hint is a jaxtyping array or holds one, as in `tuple[Float[Tensor, "n"], float] | None`."""
    if isinstance(hint, type) and issubclass(hint, AbstractArray):
        return True
    return any(has_shape(part) for part in get_args(hint))


def check(stub: Callable[..., Any]) -> Callable[..., Any]:
    """The stub, checked by beartype for its shapes if it is the one tried after the call and has any."""
    hints = stub.__annotations__
    if hints.get("return") is Any:
        return stub
    stub.__annotations__ = {name: hint for name, hint in hints.items() if has_shape(hint)}
    return _STRICT(stub) if stub.__annotations__ else stub
