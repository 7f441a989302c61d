"""`learnt.load`: a model from a few words, as on the command line.

    run:PATH#name          a model that learnt trained; all replicas as a list, or one: run:PATH#name[2]
    FILE.py:factory        the user's own function, with weights=x.safetensors (this file is executed)
    timm:name              timm's architectures; its published weights, or weights=...
    torchvision:name       torchvision's architectures; its published weights, or weights=...
    hf:id or hf:id@revision    Hugging Face models for image or sequence classification; also a local folder

Only FILE.py is ever executed, and only as it was named here. All weights are read by `learnt.io.weights`.
"""

from __future__ import annotations

import os
import re
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from torch import nn

from learnt.core.errors import InputError
from learnt.io.reading import printable

_FORMS = "run:PATH#name, FILE.py:factory, timm:name, torchvision:name or hf:id"
_SCHEMES = ("run", "timm", "torchvision", "hf")


def load(spec: str, *, weights: str | os.PathLike[str] | None = None, classes: int | None = None) -> Any:
    """Open a model by its spec string (forms: see the module).

    Args:
        spec: what to open.
        weights: file of weights for FILE.py:factory, timm, torchvision and hf; strict: every name and shape must fit.
        classes: number of outputs, where the architecture takes it.

    Returns:
        An `nn.Module` in evaluation mode; a list of them for the replicas of a run; whatever FILE.py:factory returns
        if no weights are given (a callable from inputs to logits, a scikit-learn estimator).

    Raises:
        InputError: a spec of no known form, an unknown name (with the nearest ones), weights that do not fit.
        StorageError: a missing file. MissingExtra: timm, torchvision or transformers is not installed.
        UntrustedFileError: weights that could run code.
    """
    if not isinstance(spec, str) or not spec.strip():
        raise InputError("spec", found=repr(spec), expected=_FORMS)
    if classes is not None and (isinstance(classes, bool) or not isinstance(classes, int) or classes < 2):
        raise InputError("classes", found=repr(classes), expected="a whole number from 2")
    scheme, _, rest = spec.partition(":")
    file, _, factory = spec.rpartition(":")
    if scheme in _SCHEMES and rest:
        return _open(scheme, rest, weights, classes)
    if file.endswith(".py") and factory:
        from learnt.adapters.python_file import make

        return _filled(make(Path(file), factory, classes=classes), weights)
    raise InputError("spec", found=repr(printable(spec, 200)), expected=_FORMS, remedy=_hint(spec, scheme))


def _open(scheme: str, rest: str, weights: str | os.PathLike[str] | None, classes: int | None) -> Any:
    if scheme == "run":
        from learnt.adapters.run import load_run

        if weights is not None or classes is not None:
            raise InputError("weights", found="weights or classes beside run:", expected="the run's own")
        path, _, name = rest.rpartition("#") if "#" in rest else (rest, "", "")
        chosen = re.fullmatch(r"(.*)\[(\d{1,6})\]", name)
        return load_run(path, (chosen[1] if chosen else name) or None, int(chosen[2]) if chosen else None)
    if scheme == "hf":
        from learnt.adapters.huggingface import load_hf

        identifier, _, revision = rest.partition("@")
        return load_hf(identifier, revision=revision or None, weights=weights, classes=classes)
    if scheme == "timm":
        from learnt.adapters.timm import load_timm

        return load_timm(rest, weights=weights, classes=classes)
    from learnt.adapters.torchvision import load_torchvision

    return load_torchvision(rest, weights=weights, classes=classes)


def _filled(made: Any, weights: str | os.PathLike[str] | None) -> Any:
    if weights is None:
        return made.eval() if isinstance(made, nn.Module) else made
    if not isinstance(made, nn.Module):
        raise InputError(
            "spec", found=f"a factory that returns a {type(made).__name__}", expected="an nn.Module to put weights in"
        )
    from learnt.adapters.state import fill
    from learnt.io.weights import load_weights

    return fill(made, load_weights(weights), name=printable(os.fspath(weights), 200))


def _hint(spec: str, scheme: str) -> str:
    if spec.endswith((".safetensors", ".pt", ".pth", ".bin")):
        return f"Weights alone do not say which model they belong to: FILE.py:factory --weights {printable(spec, 80)}."
    if spec.endswith(".py"):
        return f"Which function makes the model? {printable(spec, 80)}:NAME."
    if Path(spec).is_dir():
        return f"A directory that learnt wrote is opened as run:{printable(spec, 80)}#name."
    near = get_close_matches(scheme, _SCHEMES, n=1, cutoff=0.6)
    return f"Did you mean {near[0]}:...?" if near else ""
