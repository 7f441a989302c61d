"""Models of a run directory: written as data, read back as modules, without any code in the directory.

`models.json` holds {"schema": "learnt.models/1", "models": {name: entry}}; an entry is
{"factory": name of a function in `learnt.train.nets.NETS`, "arguments": {...}, "weights": "file.safetensors",
"replica": null or i}. A file of weights holds the tensors of one model, or those of N replicas stacked, (N, ...)
each; "replica" i selects one of them, null means all. An entry can name nothing but one of our own functions, its
sizes are compared with the weights before anything is allocated, and the weights must lie inside the directory.
A `manifest.json` with the key "models" is read the same way.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import torch
from torch import nn

from learnt.adapters.state import fill, match
from learnt.core.errors import InputError, ResumeError, StorageError
from learnt.io.atomic import read_json, write_json
from learnt.io.reading import nearest, printable
from learnt.io.weights import load_weights, save_weights

SCHEMA = "learnt.models/1"
INDEX = "models.json"
MAX_REPLICAS = 100_000


def write_model(
    directory: str | os.PathLike[str],
    name: str,
    models: nn.Module | Sequence[nn.Module],
    *,
    factory: str,
    arguments: Mapping[str, Any],
) -> Path:
    """Record one model, or N replicas of it, under `name` in a run directory.

    Args:
        directory: an existing run directory.
        name: letters, digits, dots, dashes, underscores; becomes the file name.
        models: one module, or N of one architecture (a `Population` is such a sequence).
        factory: name of the function in `learnt.train.nets.NETS` that makes the architecture.
        arguments: its arguments, JSON values.

    Returns:
        The path of the file of weights.

    Raises:
        InputError: a name that is no file name, an unknown factory. StorageError: it cannot be written.
    """
    require_name(name)
    _factory(factory, str(directory))
    states = [models.state_dict()] if isinstance(models, nn.Module) else [model.state_dict() for model in models]
    if not states:
        raise InputError("models", found="no models", expected="at least one")
    stacked = {key: torch.stack([state[key].detach().cpu() for state in states]) for key in states[0]}
    tensors = {key: value[0] for key, value in stacked.items()} if isinstance(models, nn.Module) else stacked
    root = Path(directory)
    path = save_weights(root / f"{name}.safetensors", tensors)
    entries = _entries(root) if (root / INDEX).exists() else {}
    entries[name] = {"factory": factory, "arguments": dict(arguments), "weights": path.name, "replica": None}
    write_json(root / INDEX, {"schema": SCHEMA, "models": entries})
    return path


def require_name(name: str) -> None:
    """Raise InputError if `name` cannot be a file name in a run directory, or would lead out of it."""
    plain = all(c.isascii() and (c.isalnum() or c in "._-") for c in name)
    if not name or len(name) > 80 or name.startswith(".") or not plain:
        raise InputError("name", found=repr(printable(name)), expected="up to 80 letters, digits, dots, dashes")


def model_names(directory: str | os.PathLike[str]) -> tuple[str, ...]:
    """Names of the models that a run directory holds, sorted."""
    return tuple(sorted(_entries(Path(directory))))


def load_run(directory: str | os.PathLike[str], name: str | None, replica: int | None = None) -> Any:
    """The model called `name`: an `nn.Module`, or a list of N of them if it has N replicas and none is chosen.

    Raises:
        StorageError: no such directory, or no list of models in it. InputError: no such name or replica.
        ResumeError: the list and the weights do not belong together. UntrustedFileError: damaged weights.
    """
    root = Path(directory)
    entries = _entries(root)
    if name is None:
        if len(entries) != 1:
            raise InputError(
                "spec", found=f"run:{root} without a name", expected=f"run:{root}#NAME",
                remedy=f"It holds: {', '.join(sorted(entries)) or 'no models'}.",
            )  # fmt: skip
        name = next(iter(entries))
    if name not in entries:
        near = get_close_matches(name, entries, n=3, cutoff=0.4) or sorted(entries)[:5]
        raise InputError(
            "spec", found=f"{printable(name)!r}, which {root} does not hold", expected="the name of one of its models",
            remedy=f"Nearest names: {', '.join(printable(n) for n in near) or 'none'}.",
        )  # fmt: skip
    return _build(root, name, entries[name], replica)


def _entries(root: Path) -> dict[str, Any]:
    if not root.is_dir():
        raise StorageError("spec", found=f"no directory {root}", expected="a run directory", remedy=nearest(root))
    path = next((root / file for file in (INDEX, "manifest.json") if (root / file).exists()), None)
    listed = read_json(path) if path is not None else None
    models = listed.get("models") if isinstance(listed, dict) else None
    if path is None or not isinstance(models, dict):
        raise StorageError(
            "spec", found=f"{root} without a list of models", expected=f"a directory with {INDEX}",
            remedy="Is it the directory that learnt wrote, and did its training finish?",
        )  # fmt: skip
    return models


def _factory(name: object, where: str) -> Callable[..., nn.Module]:
    from learnt.train.nets import NETS

    known = {net.__name__: net for net in NETS}
    if not isinstance(name, str) or name not in known:
        raise InputError(
            where, found=f"the factory {printable(name)!r}", expected=f"one of {', '.join(sorted(known))}",
            remedy="A model of your own is opened as FILE.py:factory with --weights.",
        )  # fmt: skip
    return known[name]


def _build(root: Path, name: str, entry: Any, replica: int | None) -> Any:
    where = f"{root}#{printable(name)}"
    if not isinstance(entry, dict) or not isinstance(entry.get("arguments"), dict):
        raise ResumeError(where, found="an entry without arguments", expected="factory, arguments, weights")
    make = _maker(_factory(entry.get("factory"), where), entry["arguments"], where)
    tensors = load_weights(_inside(root, entry.get("weights"), where))
    shapes = _shapes(make, where)
    tensors = {
        k.removeprefix("parameters.").removeprefix("buffers.") if k not in shapes else k: v for k, v in tensors.items()
    }
    count = _replicas(tensors, shapes)
    if count is None:
        match(tensors, shapes, name=where)
        if replica not in (None, 0):
            raise InputError("spec", found=f"{where}[{replica}]", expected=f"{where}, a single model")
        return _fresh(make, tensors, where)
    match({k: v[0] for k, v in tensors.items()}, shapes, name=where)
    chosen = replica if replica is not None else entry.get("replica")
    if chosen is None:
        return [_fresh(make, {k: v[i] for k, v in tensors.items()}, f"{where}[{i}]") for i in range(count)]
    if isinstance(chosen, bool) or not isinstance(chosen, int) or not 0 <= chosen < count:
        raise InputError("spec", found=f"{where}[{printable(chosen)}]", expected=f"a replica from 0 to {count - 1}")
    return _fresh(make, {k: v[chosen] for k, v in tensors.items()}, f"{where}[{chosen}]")


def _maker(factory: Callable[..., nn.Module], arguments: dict[str, Any], where: str) -> Callable[[], nn.Module]:
    try:
        inspect.signature(factory).bind(**arguments)
    except TypeError as error:
        raise ResumeError(
            where, found=f"arguments that do not fit ({printable(error)})", expected=f"those of {factory.__name__}"
        ) from error
    for key, value in arguments.items():
        values = value if isinstance(value, list) else [value]
        if len(values) > 1000 or any(isinstance(v, bool) or not isinstance(v, (int, float)) for v in values):
            raise ResumeError(where, found=f"the argument {printable(key)!r} = {printable(value)}", expected="numbers")
    return lambda: factory(**arguments)


def _inside(root: Path, file: object, where: str) -> Path:
    """The path of a file of weights, which must lie in the run directory itself, whatever the list says."""
    path = root / str(file)
    if not isinstance(file, str) or not file or "\0" in file or not path.resolve().is_relative_to(root.resolve()):
        raise ResumeError(where, found=f"weights at {printable(file)!r}", expected="a file inside the run directory")
    return path


def _shapes(make: Callable[[], nn.Module], where: str) -> dict[str, tuple[int, ...]]:
    """Names and shapes of the architecture, found on the meta device, where sizes cost nothing."""
    try:
        with torch.device("meta"):
            return {key: tuple(value.shape) for key, value in make().state_dict().items()}
    except (TypeError, RuntimeError, OverflowError) as error:
        raise ResumeError(where, found="arguments of the wrong kind", expected="sizes as whole numbers") from error


def _replicas(tensors: Mapping[str, torch.Tensor], shapes: Mapping[str, tuple[int, ...]]) -> int | None:
    """N if every tensor is stacked, (N, ...) over the model's own shape; None if there is one model."""
    known = [key for key in shapes if key in tensors]
    if not known or any(tensors[key].ndim != len(shapes[key]) + 1 for key in known):
        return None
    counts = {len(tensors[key]) for key in known}
    return counts.pop() if len(counts) == 1 and 1 <= max(counts) <= MAX_REPLICAS else None


def _fresh(make: Callable[[], nn.Module], tensors: Mapping[str, torch.Tensor], where: str) -> nn.Module:
    with torch.random.fork_rng(devices=[]):  # the weights it starts with are thrown away, the user's random state not
        module = make()
    return fill(module, tensors, name=where)
