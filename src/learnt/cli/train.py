"""`learnt train teacher|student|population`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import App, Parameter

app = App(name="train", help="Train a teacher, a student of a teacher, or a population of independent models.")


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Settings:
    """What every training has.

    Attributes
    ----------
    on
        Training data: a name such as digits, shapes, mnist, or a path.
    out
        Run directory; several models can share it.
    root
        Folder that holds the files of a named data set.
    limit
        Use at most this many training examples.
    target
        Column of the class, for .csv and .tsv; "label" if not given.
    name
        Name of the models in the run directory.
    net
        Architecture: mlp, small_cnn; chosen for the data if not given.
    width
        Units of the hidden layers (mlp: two layers) or channels of the first stage (small_cnn).
    epochs
        Passes over the data.
    learning_rate
        Peak of the one-cycle schedule of Adam.
    batch_size
        Examples a step.
    augmentation
        Random colours of every image at every step, or none.
    engine
        How replicas are moved: all at once, one by one, or by a short trial.
    seed
        Seed of everything random.
    overwrite
        Train again although models of this name are there.
    quiet
        Print nothing but errors.
    """

    on: str
    out: Path
    root: str | None = None
    limit: int | None = None
    target: str | None = None
    name: str = ""
    net: Literal["", "mlp", "small_cnn"] = ""
    width: int | None = None
    epochs: int = 20
    learning_rate: float = 3e-3
    batch_size: int = 64
    augmentation: Literal["none", "colour"] = "none"
    engine: Literal["auto", "vmap", "loop"] = "auto"
    seed: int = 0
    overwrite: bool = False
    quiet: bool = False


@app.command
def teacher(settings: Settings) -> None:
    """Train one model on labels."""
    _train(settings, "teacher", replicas=1)


@app.command
def population(settings: Settings, *, replicas: int = 5) -> None:
    """Train independent models on labels: the controls of a comparison, or a deep ensemble.

    Parameters
    ----------
    replicas
        How many.
    """
    _train(settings, "population", replicas=replicas)


@app.command
def student(
    settings: Settings,
    *,
    teacher: Annotated[str, Parameter(name="--teacher")],
    teacher_weights: Path | None = None,
    replicas: int = 5,
    objective: Literal["kd", "hint", "crd"] = "kd",
    temperature: float | None = None,
    alpha: float | None = None,
    beta: float | None = None,
    gamma: float | None = None,
    negatives: int | None = None,
    student_layer: str | None = None,
    teacher_layer: str | None = None,
) -> None:
    """Distil students from a teacher.

    Parameters
    ----------
    teacher
        The teacher, as a model spec such as run:runs/mine#teacher.
    teacher_weights
        Weights file, for FILE.py:factory.
    replicas
        How many students.
    objective
        kd: the teacher's softened probabilities; hint: its features at a layer; crd: contrastive.
    temperature
        Of kd (4) and crd (0.07).
    alpha
        Weight of the teacher's probabilities in kd (0.9).
    beta
        Weight of hint (1) or crd (0.8).
    gamma
        Weight of the labels (kd 0.1, others 1).
    negatives
        Negatives an example in crd (16384, at most what the data has).
    student_layer
        Layer of the student for hint and crd; its last hidden layer if not given.
    teacher_layer
        Layer of the teacher for hint and crd; its last hidden layer if not given.
    """
    from learnt.adapters.open import load
    from learnt.core.errors import InputError

    given = {"temperature": temperature, "alpha": alpha, "beta": beta, "gamma": gamma, "negatives": negatives}
    options: dict[str, Any] = {k: v for k, v in given.items() if v is not None}
    allowed = {
        "kd": {"temperature", "alpha", "gamma"},
        "hint": {"beta", "gamma"},
        "crd": {"temperature", "beta", "gamma", "negatives"},
    }
    if extra := sorted(set(options) - allowed[objective]):
        raise InputError(
            f"--{extra[0]}", found=f"the objective {objective}", expected=f"an objective that has it, not {objective}"
        )
    model = load(teacher, weights=teacher_weights)
    _train(
        settings, "student", replicas=replicas, objective=objective, options=options,
        teacher=model, teacher_name=teacher, layers=(student_layer, teacher_layer),
    )  # fmt: skip


def _train(
    settings: Settings,
    role: str,
    *,
    replicas: int,
    objective: Any = "labels",
    options: dict[str, Any] | None = None,
    teacher: Any = None,
    teacher_name: str = "",
    layers: tuple[str | None, str | None] = (None, None),
) -> None:
    from learnt.core.subject import Subject
    from learnt.data.load import load
    from learnt.io.atomic import sweep_temporaries
    from learnt.io.lock import run_lock
    from learnt.studies.demo import net_for
    from learnt.studies.recipe import Recipe, maker, train
    from learnt.train.progress import progress

    s = settings
    column: dict[str, Any] = {} if s.target is None else {"target": s.target}
    source = {"name": s.on, "root": s.root, "limit": s.limit, **column}
    data = load(s.on, root=s.root, split="train", limit=s.limit, **column)
    net, arguments = net_for(data, s.net)
    if s.width is not None:
        arguments |= {"widths": [s.width, s.width]} if net == "mlp" else {"width": s.width}
    recipe = Recipe(
        name=s.name or role, net=net, arguments=arguments, replicas=replicas,
        objective=objective, options=dict(options or {}), epochs=s.epochs, learning_rate=s.learning_rate,
        batch_size=s.batch_size, augmentation=s.augmentation, seed=s.seed, engine=s.engine,
    )  # fmt: skip
    if objective in ("hint", "crd"):
        one = teacher[0] if isinstance(teacher, list) else teacher
        found = (Subject(maker(recipe)(), data, name="the student"), Subject(one, data, name="the teacher"))
        for key, given, subject in zip(("student_layer", "teacher_layer"), layers, found, strict=True):
            recipe.options[key] = given or subject.penultimate  # type: ignore[index]
            subject.require_layers([recipe.options[key]])
    with run_lock(s.out), progress(recipe.epochs, f"training {recipe.name}", quiet=s.quiet) as bar:
        sweep_temporaries(s.out)
        train(
            recipe, data, s.out, source=source, teacher=teacher, teacher_name=teacher_name, overwrite=s.overwrite,
            callbacks=(lambda event: bar.advance(1) if event.kind == "epoch" else None,),
        )  # fmt: skip
    if not s.quiet:
        print(f"run:{s.out}#{recipe.name}")
