"""One training as plain data: what the command line and the demo ask for, run it, keep it, and never run it twice.

A run directory holds `NAME.safetensors` (N replicas stacked), `models.json` (how to rebuild them) and
`NAME.recipe.json` (the settings and what happened). A recipe whose settings are already there is not run again; one
with other settings under the same name is refused. While it runs, its checkpoints live in `.checkpoints/NAME`.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from torch import nn

from learnt.adapters.run import load_run, require_name, write_model
from learnt.core.errors import InputError, ResumeError
from learnt.core.examples import Examples
from learnt.io.atomic import read_json, write_json
from learnt.train.checkpoint import Checkpoint, describe
from learnt.train.history import Callback

Objective = Literal["labels", "kd", "hint", "crd"]
SCHEMA = "learnt.training/1"


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Settings of one training; every field is a JSON value.

    Attributes:
        name: of the models in the run directory.
        net: name of a function in `learnt.train.nets.NETS`, and its arguments.
        replicas: how many independent seeds.
        objective: "labels" (cross-entropy), or "kd", "hint", "crd" with a teacher.
        options: of the objective (temperature, alpha, gamma, beta, layers ...).
        epochs, learning_rate, batch_size: Adam with a one-cycle schedule.
        augmentation: "none" or "colour" (random brightness, contrast, saturation and hue of every image, every step).
        seed: of weights, order and augmentation.
        engine: "auto", "vmap" or "loop"; fix it where equal seeds must give equal bits.
    """

    name: str
    net: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    replicas: int = 1
    objective: Objective = "labels"
    options: Mapping[str, Any] = field(default_factory=dict)
    epochs: int = 20
    learning_rate: float = 3e-3
    batch_size: int = 64
    augmentation: Literal["none", "colour"] = "none"
    seed: int = 0
    engine: Literal["auto", "vmap", "loop"] = "auto"


def train(
    recipe: Recipe,
    data: Examples | None,
    directory: Path,
    *,
    source: Mapping[str, Any],
    teacher: Any = None,
    teacher_name: str = "",
    overwrite: bool = False,
    callbacks: tuple[Callback, ...] = (),
) -> list[nn.Module]:
    """The trained replicas of a recipe: from the run directory if they are there, else trained now and kept.

    Args:
        data: training examples; None if the training is known to be finished, and they would only be loaded in vain.
        directory: an existing run directory, locked by the caller.
        source: how `data` was loaded, JSON values; part of the identity of the training, as is what was loaded.
        teacher: a model or list of models, for the objectives that have one.
        teacher_name: how the teacher was named; part of the identity of the training, as are its weights.

    Raises:
        InputError: no file name, an objective without a teacher, no data. ResumeError: other settings under this name.
    """
    require_name(recipe.name)
    if recipe.objective != "labels" and teacher is None:
        raise InputError("teacher", found="none", expected=f"a teacher for the objective {recipe.objective!r}")
    record = directory / f"{recipe.name}.recipe.json"
    identity = {
        **asdict(recipe), "data": dict(source), "examples": describe(data),
        "teacher": teacher_name, "teacher_weights": None if recipe.objective == "labels" else describe(teacher),
    }  # fmt: skip
    if record.exists() and not overwrite:
        _same(_settings(record), identity, recipe.name, ignore=("examples",) if data is None else ())
        models = load_run(directory, recipe.name)
        shutil.rmtree(directory / ".checkpoints" / recipe.name, ignore_errors=True)  # left if killed at the very end
        return models if isinstance(models, list) else [models]
    if data is None:
        raise InputError("data", found=f"none, and no finished training {recipe.name!r}", expected="examples")
    from learnt.train.fit import fit
    from learnt.train.population import Population

    make = maker(recipe)
    population = Population(make, recipe.replicas, seed=recipe.seed)
    checkpoints = directory / ".checkpoints" / recipe.name
    if overwrite:
        shutil.rmtree(checkpoints, ignore_errors=True)
    history = fit(
        population,
        data,
        objective(recipe, teacher),
        epochs=recipe.epochs,
        optimizer=_Adam(recipe.learning_rate),
        schedule=_OneCycle(recipe.learning_rate),
        batch_size=recipe.batch_size,
        augment=_colour if recipe.augmentation == "colour" else None,
        engine=recipe.engine,
        seed=recipe.seed,
        checkpoint=Checkpoint(directory=checkpoints, every_seconds=5.0),
        callbacks=callbacks,
    )
    models = list(population)
    write_model(directory, recipe.name, models, factory=recipe.net, arguments=recipe.arguments)
    write_json(record, {"schema": SCHEMA, "settings": identity, "history": history.to_dict()})
    shutil.rmtree(checkpoints, ignore_errors=True)
    return models


def maker(recipe: Recipe) -> Callable[[], nn.Module]:
    """The function that makes one network of a recipe; raises InputError for an unknown one."""
    from learnt.train.nets import NETS

    known = {net.__name__: net for net in NETS}
    if recipe.net not in known:
        raise InputError("net", found=repr(recipe.net), expected=f"one of {', '.join(sorted(known))}")
    return lambda: known[recipe.net](**recipe.arguments)


def objective(recipe: Recipe, teacher: Any) -> Any:
    """The objective of a recipe for `fit`; raises InputError for options it does not have."""
    from learnt.distill.crd import CRD
    from learnt.distill.hint import Hint
    from learnt.distill.kd import KD
    from learnt.train.objectives import CrossEntropy

    live = {"live": True} if recipe.augmentation != "none" else {}
    try:
        if recipe.objective == "labels":
            return CrossEntropy(**recipe.options)
        if recipe.objective == "kd":
            return KD(teacher, **live, **recipe.options)
        return {"hint": Hint, "crd": CRD}[recipe.objective](_one(teacher), **live, **recipe.options)
    except TypeError as error:
        raise InputError(
            "options", found=str(error), expected=f"options of the objective {recipe.objective!r}"
        ) from error


def _one(teacher: Any) -> Any:
    return teacher[0] if isinstance(teacher, list) and len(teacher) == 1 else teacher


def _settings(path: Path) -> Mapping[str, Any]:
    record = read_json(path)
    if not isinstance(record, dict) or record.get("schema") != SCHEMA or not isinstance(record.get("settings"), dict):
        raise ResumeError(
            str(path), found="a file of another kind", expected=f"settings in format {SCHEMA}",
            remedy="Choose another name or directory, or pass --overwrite.",
        )  # fmt: skip
    return record["settings"]


def _same(found: Mapping[str, Any], wanted: Mapping[str, Any], name: str, *, ignore: tuple[str, ...] = ()) -> None:
    from learnt.core.comparison import plain

    wanted = plain(wanted)
    keys = sorted(k for k in {*found, *wanted} - {*ignore} if found.get(k) != wanted.get(k))
    if keys:
        raise ResumeError(
            name,
            found=", ".join(f"{k} = {found.get(k)!r}" for k in keys),
            expected=", ".join(f"{k} = {wanted.get(k)!r}" for k in keys),
            remedy="Choose another name or directory, or pass --overwrite.",
        )


@dataclass(frozen=True)
class _Adam:
    learning_rate: float

    def __call__(self, parameters: Any) -> Any:
        import torch

        return torch.optim.Adam(parameters, self.learning_rate)


@dataclass(frozen=True)
class _OneCycle:
    learning_rate: float

    def __call__(self, optimizer: Any, steps: int) -> Any:
        from torch.optim.lr_scheduler import OneCycleLR

        return OneCycleLR(optimizer, self.learning_rate, total_steps=max(steps, 1))


def _colour(inputs: Any, generator: Any) -> Any:
    import torch

    from learnt.data.transforms import ColourJitter

    keys = torch.randint(0, 2**62, (len(inputs),), generator=generator, device=generator.device)
    return ColourJitter(strength=0.4, hue=0.2)(inputs, keys.cpu().numpy().astype("uint64"))
