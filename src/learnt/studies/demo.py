"""The main job, end to end: what did students learn from their teacher, and what did they not?

For each set: one teacher, J students trained without it (the controls), K students distilled from it with KL; then
every question of the catalogue, and one report. Everything finished is kept and reused; an interrupted run goes on
where it was.

* `digits` (scikit-learn): 259 training and 1,528 test images. Few training images, so that independent models
  disagree often enough for agreement to mean something.
* `shapes` (generated): the teacher is trained with random colours, the students never are. Whatever indifference to
  colour distilled students show beyond the controls' came through the teacher's answers alone (arXiv 2205.16004,
  section 4.3).
* `mnist`, `fashion_mnist`, `cifar10` ...: any set of `learnt.data.load`, from local files.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from learnt.core.comparison import Comparison
from learnt.core.errors import InputError, NotApplicable
from learnt.core.examples import Examples
from learnt.run.seeds import derive
from learnt.studies.recipe import Recipe, train

LABELS = ("teacher", "KL students", "independent students")
SETS = ("digits", "shapes")
MOST = 512 * 2**20  # bytes of a saved comparison; galleries of large images are large


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What the demo does on one set: how to load it and the three recipes."""

    source: Mapping[str, Any]
    test: Mapping[str, Any]
    teacher: Recipe
    independent: Recipe
    distilled: Recipe


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """Where the demo put its results, and the comparisons themselves."""

    directory: Path
    html: Path
    json: Path
    comparisons: tuple[Comparison, ...]


def plan(
    name: str,
    *,
    root: str | None = None,
    students: int = 5,
    seed: int = 0,
    epochs: int | None = None,
    limit: int | None = None,
) -> Plan:
    """The plan of the demo for one set.

    Args:
        name: a name or path that `learnt.data.load` takes.
        root: folder of the files of sets that are not bundled.
        students: replicas of the controls and of the distilled students.
        seed: from which every other seed is derived.
        epochs: instead of the set's own number.
        limit: at most this many training examples and as many test examples.

    Raises:
        InputError: a count below 1.
    """
    from learnt.data.load import load

    for what, count in (("students", students), ("epochs", epochs), ("limit", limit)):
        if count is not None and count < 1:
            raise InputError(what, found=str(count), expected="at least 1")
    extra: dict[str, Any] = {"name": name, "root": root, "seed": seed}
    if name == "digits":
        source = {**extra, "test": 0.85, "validation": 0.05, "limit": limit}
        base = Recipe(
            name="",
            net="mlp",
            arguments={"inputs": 64, "classes": 10, "widths": [128, 128]},
            epochs=100,
            learning_rate=1e-2,
            engine="vmap",
        )
        bigger, test = base, dict(source)
    elif name == "shapes":
        source = {**extra, "n": min(1500, limit or 1500)}
        base = Recipe(
            name="",
            net="small_cnn",
            arguments={"channels": 3, "classes": 8, "width": 16, "size": 32},
            epochs=40,
            engine="loop",
        )
        bigger = replace(base, arguments={**base.arguments, "width": 24}, augmentation="colour")
        test = {
            **extra,
            "n": min(1000, limit or 1000),
            "domains": ["recoloured", "retextured", "noise", "blur", "background", "sketch"],
            "conflict": True,
        }
    else:
        source = {**extra, "limit": min(10_000, limit or 10_000)}
        test = {**extra, "limit": min(2_000, limit or 2_000)}
        sample = load(**source, split="train")  # whole, because a part might not show every class
        base = Recipe(
            name="",
            net=net_for(sample)[0],
            arguments=net_for(sample)[1],
            epochs=10,
            engine="loop" if sample.is_images else "vmap",
        )
        bigger = base
    base, bigger = (replace(r, epochs=epochs or r.epochs) for r in (base, bigger))
    seeds = {role: derive("demo", name, role, seed) for role in ("teacher", "independent", "distilled")}
    return Plan(
        source=source,
        test=test,
        teacher=replace(bigger, name=f"{slug(name)}-teacher", seed=seeds["teacher"]),
        independent=replace(base, name=f"{slug(name)}-independent", seed=seeds["independent"], replicas=students),
        distilled=replace(
            base, name=f"{slug(name)}-distilled", seed=seeds["distilled"], replicas=students, objective="kd",
            options={"temperature": 4.0, "alpha": 0.9, "gamma": 0.1},
        ),
    )  # fmt: skip


def run(
    directory: Path,
    *,
    sets: tuple[str, ...] = SETS,
    root: str | None = None,
    students: int = 5,
    seed: int = 0,
    epochs: int | None = None,
    limit: int | None = None,
    quiet: bool = False,
    say: Callable[[str], None] = lambda _text: None,
) -> Outcome:
    """Run the demo in `directory`; finished parts are reused and an interrupted run is resumed.

    Raises:
        ResumeError: the directory holds parts made with other settings. BusyError: another run holds it.
    """
    from learnt.io.atomic import sweep_temporaries, write_json
    from learnt.io.lock import run_lock
    from learnt.report.html import write
    from learnt.train.progress import progress

    plans = [plan(n, root=root, students=students, seed=seed, epochs=epochs, limit=limit) for n in sets]
    with run_lock(directory), progress(4 * len(sets), "demo", quiet=quiet) as bar:
        sweep_temporaries(directory)
        found = [_one_set(directory, p, bar, say) for p in plans]
        html, record = directory / "report.html", directory / "report.json"
        write_json(record, {"schema": "learnt.report/1", "comparisons": [c.to_dict() for c in found]})
        write(found, html, title="What did the students learn from the teacher?")
    return Outcome(directory=directory, html=html, json=record, comparisons=tuple(found))


def _one_set(directory: Path, p: Plan, bar: Any, say: Callable[[str], None]) -> Comparison:
    from learnt.data.load import load
    from learnt.io.atomic import read_json, write_json
    from learnt.train.progress import progress

    name, data = str(p.source["name"]), None
    kept = directory / f"{slug(name)}-comparison.json"
    identity = _identity(p)
    done = all((directory / f"{r.name}.recipe.json").exists() for r in (p.teacher, p.independent, p.distilled))
    if not done:
        data = load(**p.source, split="train")
    models: dict[str, Any] = {}
    for role, recipe in (("teacher", p.teacher), ("independent", p.independent), ("distilled", p.distilled)):
        from_teacher = recipe.objective != "labels"
        with (
            progress(recipe.epochs, f"{name}: training {role}", inside=bar)
            if data is not None
            else nullcontext() as part
        ):
            models[role] = train(
                recipe, data, directory, source=p.source,
                teacher=models["teacher"][0] if from_teacher else None,
                teacher_name=p.teacher.name if from_teacher else "",
                callbacks=(_ticks(part),) if part is not None else (),
            )  # fmt: skip
        bar.advance(1)
    if kept.exists():
        record = read_json(kept, max_bytes=MOST)
        if isinstance(record, dict) and record.get("identity") == identity:
            bar.advance(1)
            say(f"{name}: reused what was there")
            return Comparison.from_dict(record["comparison"])
    comparison = ask(models, load(**p.test, split="test"), seed=p.teacher.seed, bar=bar)
    write_json(kept, {"identity": identity, "comparison": comparison.to_dict()})
    bar.advance(1)
    return comparison


def ask(models: Mapping[str, Any], test: Examples, *, seed: int, bar: Any = None) -> Comparison:
    """Every question of the catalogue about distilled students and their teacher; independent ones are the controls."""
    from learnt.core.compare import compare

    return compare(
        models["teacher"][0], models["distilled"], test, controls=models["independent"], rng=seed, labels=LABELS,
        inside=bar,
    )  # fmt: skip


def net_for(sample: Examples, net: str = "") -> tuple[str, dict[str, Any]]:
    """A small network that fits the data: (name of the function, arguments); `net` fixes which one.

    Raises:
        NotApplicable: data without class labels.
        InputError: one class only, or a convolutional network for data that are not images.
    """
    if not sample.is_classification or sample.labels is None:
        raise NotApplicable(sample.name, found="no class labels", expected="integer labels to train a classifier on")
    if len(sample.labels.unique()) < 2:
        raise InputError(f"{sample.name}.labels", found="one class only", expected="at least two classes")
    classes = len(sample.classes) or int(sample.labels.max()) + 1
    if not net:
        net = "small_cnn" if sample.is_images and min(sample.inputs.shape[2:]) >= 16 else "mlp"
    if net == "mlp":
        return net, {"inputs": sample.inputs[0].numel(), "classes": classes, "widths": [128, 128]}
    if not sample.is_images:
        raise InputError("net", found=f"{net} for inputs of shape {tuple(sample.inputs.shape[1:])}", expected="mlp")
    return net, {"channels": sample.inputs.shape[1], "classes": classes, "width": 16, "size": sample.inputs.shape[2]}


def slug(name: str) -> str:
    """A file name for a set."""
    kept = "".join(c if c.isascii() and c.isalnum() else "-" for c in Path(name).name.lower()).strip("-")
    return kept[:60] or "data"


def _identity(p: Plan) -> dict[str, Any]:
    from learnt.core.comparison import plain
    from learnt.core.version import VERSION

    return plain({"learnt": VERSION, **asdict(p)})


def _ticks(part: Any) -> Callable[[Any], None]:
    return lambda event: part.advance(1) if event.kind == "epoch" else None
