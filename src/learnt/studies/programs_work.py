"""What happens to one item of the study? It is trained, grown, corrected or counted, and comes back as plain JSON.

Every result says when and on what machine it came about. Programs come back too, as their JSON fields; the study
writes them to files. A training keeps its checkpoints in the study's directory, so that a killed one goes on; its
seconds are then those since it went on.
"""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np

from learnt.core.errors import LearntError
from learnt.programs.evaluator import evaluate
from learnt.programs.fitted import Part
from learnt.programs.program import Program
from learnt.programs.task import Task
from learnt.run.chunks import slug
from learnt.studies.programs_plan import Item
from learnt.studies.programs_tasks import config_of, recipe_from, task_of

LISTED = 400_000  # inputs of a domain that is checked whole: all of the eight tasks' but for dyck2 and N = 16
SAMPLED = 20_000
KINDS = ("tokens", "sequences")


def worked(item: Item, *, directory: str, data: str | None) -> dict[str, Any]:
    """The result of one item.

    Args:
        item: see `learnt.studies.programs_plan`.
        directory: of the study: checkpoints, and the programs that are to be corrected.
        data: the folder of the corpora.
    """
    began = time.perf_counter()
    task = task_of(item, data)
    if item["work"] == "train":
        found = _trained(item, task, directory)
    elif item["work"] == "grow":
        found = _grown(item, task)
    elif item["work"] == "standard":
        found = _standard(item, task, directory)
    elif item["work"] == "controls":
        from learnt.studies.programs_controls import controls

        found = controls(task)
    else:
        found = _finished(item, task, directory)
    parts = task.split()
    sizes = {"train": len(parts.train), "validation": len(parts.validation), "test": len(parts.test)}
    return {"seconds": time.perf_counter() - began, "examples": sizes, **found, "made": made()}


def name_of(item: Item) -> str:
    """A file name for what belongs to an item."""
    from learnt.io.atomic import dump_json

    stem = f"{item['experiment']}-{item['task']}-{item['label']}"
    return f"{slug(stem)[:-13]}-{slug(dump_json(item, name='item'))[-12:]}"


def checkpoints(directory: str | os.PathLike[str]) -> Path:
    """Where trainings keep their checkpoints, each in a folder of its own."""
    return Path(directory) / "checkpoints"


def program_file(directory: str | os.PathLike[str], name: str, seed: int | str) -> Path:
    """Where the program of one seed of an item lies; `name` is that of `name_of`."""
    return Path(directory) / "programs" / name / f"{int(seed):03d}.json"


def made() -> dict[str, Any]:
    """When and where: date (UTC), processor, cores that may be used, system, versions."""
    from learnt.io.atomic import read_bytes
    from learnt.io.manifest import provenance

    processor = platform.processor() or platform.machine()
    with suppress(LearntError, UnicodeDecodeError):  # Linux only
        lines = read_bytes("/proc/cpuinfo").decode("utf-8").splitlines()
        processor = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), processor)
    about = provenance(threads=1)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return {
        "date": time.strftime("%Y-%m-%d", time.gmtime()), "processor": processor, "cores": cores,
        "platform": about["platform"], "versions": about["versions"],
    }  # fmt: skip


def _trained(item: Item, task: Task, directory: str) -> dict[str, Any]:
    from learnt.programs.training import fit

    result = fit(
        task, config_of(item["config"]), seeds=item["seeds"], epochs=item["epochs"],
        recipe=recipe_from(item["recipe"]), seed=item["seed"], fixed=item.get("fixed"),
        checkpoint=checkpoints(directory) / name_of(item),
    )  # fmt: skip
    rows = []
    for entry, seed in zip(result.to_fields()["seeds"], result.seeds, strict=True):
        spans = _spans(task, _answers(seed.program)) if task.metric == "spans" else {}
        soft = entry["soft"] if isfinite(entry["soft"]) else None
        rows.append({**entry, "soft": soft, **spans})
    if task.metric == "spans":  # the published choice: F1 on the validation part
        rows.sort(key=lambda row: (-row["validation_spans"][2], row["seed"]))
    programs = {seed.seed: seed.program for seed in result.seeds}
    best = programs[rows[0]["seed"]]
    return {
        "training_seconds": result.seconds,
        "seeds": rows,
        "notes": [note for note in result.notes if not note.startswith("resumed")],
        **_about(best, task, item),
        "programs": {f"{number}": _fields(program) for number, program in sorted(programs.items())},
    }


def _grown(item: Item, task: Task) -> dict[str, Any]:
    from learnt.programs.search import grow

    found = grow(task, **item["config"], steps=item["steps"], restarts=item["restarts"], seed=item["seed"])
    parts = task.split()
    scores = {
        f"{name}_{what}": getattr(score, what)
        for name in ("train", "validation", "test")
        for score in (Part.of(task, getattr(parts, name)).score(found.program),)
        for what in KINDS
    }
    return {
        "training_seconds": found.seconds,
        "seeds": [{"seed": 0, **scores}],
        "restarts": list(found.restarts),
        "evaluations": found.evaluations,
        **_about(found.program, task, item),
        "programs": {"0": _fields(found.program)},
    }


def _finished(item: Item, task: Task, directory: str) -> dict[str, Any]:
    """Correct a program by counterexamples, then simplify it."""
    from learnt.programs.counterexamples import counterexample_guided
    from learnt.programs.program_json import load
    from learnt.programs.size import stats

    program = load(program_file(directory, item["of"], item["program"]))
    found: dict[str, Any] = {"before": _size(program)}
    if item["correct"]:
        guided = counterexample_guided(
            program, task, rounds=item["correct"], search_rounds=item["search_rounds"], search_seconds=1e9,
            samples=SAMPLED, seed=item["seed"],
        )  # fmt: skip
        program = guided.program
        found |= {
            "wrong_before": guided.rounds[0].wrong, "wrong": guided.wrong, "n": guided.n,
            "exhaustive": guided.exhaustive, "counterexamples": len(guided.counterexamples),
            "correction_seconds": guided.rounds[-1].seconds,
            "rounds": [[r.step, r.wrong, r.counterexamples, r.seconds] for r in guided.rounds],
        }  # fmt: skip
    if item["simplify"]:
        from learnt.programs.simplification import simplify

        began = time.perf_counter()
        shorter = simplify(program, task, task=task, most=LISTED, samples=SAMPLED, seed=item["seed"])
        program = shorter.program
        found |= {
            "simplified": {**_size(program), "inputs": shorter.inputs, "exhaustive": shorter.exhaustive},
            "simplify_seconds": time.perf_counter() - began, "stats": str(stats(program)),
        }  # fmt: skip
    return {
        **found,
        "check": _checked(program, task, item["seed"]),
        "programs": {f"{item['program']}": _fields(program)},
    }


def _standard(item: Item, task: Task, directory: str) -> dict[str, Any]:
    from learnt.programs.standard import train_standard

    network, record = train_standard(
        task, **item["config"], epochs=item["epochs"], seeds=item["seeds"], seed=item["seed"],
        checkpoint=str(checkpoints(directory) / name_of(item)),
    )  # fmt: skip
    rows = [
        {"seed": number, "epochs": score.epoch}
        | {f"{part}_{what}": getattr(score, f"{part}_{what}") for part in ("validation", "test") for what in KINDS}
        for number, score in enumerate(record.scores)
    ]
    rows.sort(key=lambda row: (-row["validation_tokens"], -row["validation_sequences"], row["seed"]))
    if task.metric == "spans":
        rows[0] |= _spans(task, lambda part: network.predict_ids(part.batch.ids, part.batch.lengths))
    return {"training_seconds": record.seconds, "parameters": record.parameters, "seeds": rows}


def _about(program: Program, task: Task, item: Item) -> dict[str, Any]:
    """Size of a program, and how many inputs of the whole domain it gets wrong."""
    found: dict[str, Any] = {"size": _size(program, lines=task.oracle is not None)}
    if task.oracle is not None:
        found["check"] = _checked(program, task, item["seed"])
    if item["experiment"] == "induction":
        found["circuit"] = _circuit(program, task)
    return found


def _circuit(program: Program, task: Task) -> list[str]:
    from learnt.programs.circuits import circuit

    return list(circuit(program, task, scored=task, samples=2_000).modules)


def _checked(program: Program, task: Task, seed: int) -> dict[str, Any]:
    from learnt.programs.checking import check

    found = check(program, task, most=LISTED, samples=SAMPLED, seed=seed, shown=5, parts=False)
    return {
        "kind": found.kind, **found.score.to_fields(), "counterexamples": [str(c) for c in found.counterexamples],
        "coverage": found.coverage.share,
    }  # fmt: skip


def _size(program: Program, *, lines: bool = True) -> dict[str, Any]:
    from learnt.programs.size import stats

    found = stats(program, lines=lines)
    return {
        "modules": found.total, "live": len(found.live), "branches": found.branches, "lines": found.lines,
        "layers": found.layers,
    }  # fmt: skip


def _answers(program: Program) -> Callable[[Part], np.ndarray]:
    return lambda part: np.asarray(evaluate(program, part.batch).predictions)


def _spans(task: Task, answers: Callable[[Part], np.ndarray]) -> dict[str, list[float]]:
    """Precision, recall and F1 of entities on validation and test part."""
    from learnt.programs.task_metrics import span_f1_of_ids

    parts = task.split()
    found = {}
    for name in ("validation", "test"):
        part = Part.of(task, getattr(parts, name))
        score = span_f1_of_ids(answers(part), part.targets, task.labels)
        found[f"{name}_spans"] = [score.precision, score.recall, score.f1]
    return found


def _fields(program: Program) -> Mapping[str, Any]:
    from learnt.programs.program_json import to_fields

    return to_fields(program)
