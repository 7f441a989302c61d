"""`learnt programs train`: many programs trained at once, grown without training, or both, and one chosen."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path
from typing import Any, Literal

from learnt.cli.outputs import told
from learnt.cli.program_words import task_of
from learnt.cli.programs import app

SETTINGS = "settings.json"
WRITTEN = ("result.json", "result.txt", "program.json", "grown.json", SETTINGS)
SIZES = ("layers", "cat_heads", "num_heads", "cat_mlps", "num_mlps")


@app.command
def train(
    task: str,
    /,
    *,
    out: Path,
    method: Literal["fit", "grow", "both"] = "fit",
    layers: int = 2,
    cat_heads: int = 2,
    num_heads: int = 2,
    cat_mlps: int = 1,
    num_mlps: int = 1,
    var_size: int | None = None,
    embeddings: int | None = None,
    vectors: Path | None = None,
    vocab_size: int | None = None,
    max_length: int | None = None,
    seeds: int = 8,
    epochs: int = 60,
    recipe: Literal["ours", "paper"] = "ours",
    recipe_file: Path | None = None,
    learning_rate: float | None = None,
    batch_size: int | None = None,
    search: int | None = None,
    grow_seconds: float | None = None,
    correct: float | None = None,
    seed: int = 0,
    device: str | None = None,
    overwrite: bool = False,
    quiet: bool = False,
) -> None:
    """Train many programs on a task at once, choose one by validation, and check it on every input there is.

    Writes program.json, all seeds under seeds/, result.txt and result.json into OUT. If it is interrupted, the same
    command goes on where it was; if it is finished, the same command prints its result again.

    Parameters
    ----------
    task
        What to learn, see: learnt programs check --help.
    out
        Directory of the result.
    method
        Fit: gradients. Grow: a program is put together module by module, within the same sizes. Both: the better one
        by validation.
    layers
        Layers.
    cat_heads
        Heads in each layer that fetch a value.
    num_heads
        Heads in each layer that count.
    cat_mlps
        Lookup tables in each layer.
    num_mlps
        Functions of counts in each layer.
    var_size
        Values of each variable; the larger of vocabulary and longest input if not given.
    embeddings
        Learn so many variables a word instead of one variable with a value for each word.
    vectors
        Word vectors (a text file, GloVe's format) from which these start.
    vocab_size
        Size of the vocabulary of a synthetic or a language task.
    max_length
        Longest input, marks included.
    seeds
        Programs trained at once; of grown ones, at most so many, until one makes no error.
    epochs
        Passes over the training part.
    recipe
        Ours, or the paper's.
    recipe_file
        A JSON file with fields of learnt.programs.Recipe that replace the recipe's, such as {"complexity": 0.01,
        "halving": [0.2, 0.5], "straight_through": 0.3}.
    learning_rate
        Of Adam; 0.05 if not given.
    batch_size
        Inputs a step; 512 if not given.
    search
        Rounds of local search on the best programs after training; 40 with our recipe, 0 with the paper's.
    grow_seconds
        Time after which a growing program gets no further module. Without it, the result does not depend on the clock.
    correct
        Afterwards, spend up to so many seconds on the inputs that the program gets wrong (tasks with known answers).
    seed
        Seed of everything random.
    device
        Where to train; the processor if not given.
    overwrite
        Train again although OUT holds a result or another training.
    quiet
        Print nothing but errors.
    """
    from learnt.core.errors import InputError
    from learnt.io.atomic import ensure_directory, write_json, write_text
    from learnt.programs.config import Config, Factored
    from learnt.programs.program_json import save
    from learnt.programs.word_vectors import read_vectors

    if vectors is not None and embeddings is None:
        raise InputError("--vectors", found="word vectors", expected="--embeddings N beside it")
    asked = task_of(task, vocab_size=vocab_size, max_length=max_length)
    if method != "fit":
        _growable(asked, method, var_size=var_size, embeddings=embeddings)
    elif grow_seconds is not None:
        raise InputError("--grow-seconds", found=f"{grow_seconds:g}", expected="--method grow or both beside it")
    if correct is not None:
        _correctable(asked, correct)
    embed: Any = "one_hot"
    if embeddings is not None:
        start = None if vectors is None else read_vectors(vectors, asked.vocab).values
        embed = Factored(n=embeddings, vectors=start)
    config = Config(
        layers=layers, cat_heads=cat_heads, num_heads=num_heads, cat_mlps=cat_mlps, num_mlps=num_mlps,
        var_size=var_size, embed=embed,
    )  # fmt: skip
    chosen = _recipe(recipe, recipe_file, lr=learning_rate, batch_size=batch_size, search=search)
    if var_size is not None and embeddings is None and asked.max_length <= var_size < len(asked.vocab):
        raise InputError(
            "--var-size",
            found=f"{var_size} values for {len(asked.vocab)} tokens",
            expected=f"at least {len(asked.vocab)}",
            remedy="Or learn several variables a word: --embeddings 4.",
        )
    config.shape(asked)  # a size that does not fit is said before anything is written
    _usable(device)
    for name, count in (("--seeds", seeds), ("--epochs", epochs)):
        if count < 1:
            raise InputError(name, found=str(count), expected="at least 1")
    settings = {
        "task": task, "vocab_size": vocab_size, "max_length": max_length, "method": method, "seeds": seeds,
        "epochs": epochs, "seed": seed, "config": config.to_fields(), "recipe": chosen.to_fields(),
        "vectors": None if vectors is None else str(vectors), "grow_seconds": grow_seconds, "correct": correct,
    }  # fmt: skip
    if _finished(out, settings, overwrite=overwrite, quiet=quiet):
        return
    ensure_directory(out)
    write_json(out / SETTINGS, settings)

    lines: list[str] = []
    record: dict[str, Any] = {"method": method}
    found: list[tuple[tuple[float, float], Any]] = []
    if method != "grow":
        result = _fitted(asked, config, chosen, out, seeds=seeds, epochs=epochs, seed=seed, device=device, quiet=quiet)
        ensure_directory(out / "seeds")
        for one in result.seeds:
            save(one.program, out / "seeds" / f"{one.seed:03d}.json")
        lines.append(result.table())
        record |= result.to_fields()
        found.append(((result.seeds[0].validation.tokens, result.seeds[0].validation.sequences), result.best))
    if method != "fit":
        grown, score, fields_of = _grown(asked, config, seeds=seeds, seconds=grow_seconds, seed=seed, quiet=quiet)
        save(grown.program, out / "grown.json")
        lines.append(
            f"{asked.name}: grown in {grown.seconds:.0f} s, {fields_of['modules']} modules; validation: tokens "
            f"{score[0]:.2%}, sequences {score[1]:.2%}"
        )
        record["grown"] = fields_of
        found.append((score, grown.program))
    best = max(found, key=lambda one: one[0])[1]  # the fitted one of equals
    if method == "both":
        record["chosen"] = "grow" if best is found[1][1] else "fit"
        lines.append(f"chosen by validation: the {'grown' if record['chosen'] == 'grow' else 'fitted'} program")
    if correct is not None:
        best, said = _corrected(best, asked, correct, seed)
        lines.append(said)
    save(best, out / "program.json")
    checked = best.check(asked)
    lines.append(str(checked))
    write_text(out / "result.txt", "\n\n".join(lines) + "\n")
    write_json(out / "result.json", {"task": asked.name, **record, "check": checked.to_fields()})
    told(out / "program.json", quiet)
    if not quiet:
        print("\n\n".join(lines))


def _fitted(
    asked: Any, config: Any, chosen: Any, out: Path, *, seeds: int, epochs: int, seed: int, device: str | None,
    quiet: bool,
) -> Any:  # fmt: skip
    from learnt.programs.training import fit
    from learnt.train.progress import progress

    with progress(epochs, f"training {seeds} programs", quiet=quiet) as bar:
        return fit(
            asked, config, seeds=seeds, epochs=epochs, recipe=chosen, seed=seed, device=device,
            checkpoint=out / "checkpoint", callbacks=[_follow(bar, epochs)],
        )  # fmt: skip


def _follow(bar: Any, epochs: int) -> Any:
    """A callback that moves the bar."""

    def follow(event: Any) -> None:
        if event.kind == "start":  # of each phase; some of its epochs may have been made before
            bar.advance(event.epoch)
        elif event.kind == "epoch":
            bar.advance()
        if event.kind in ("epoch", "end") and bar.done >= epochs:
            bar.advance(0, description="fitting classifiers and searching on from the best programs")

    return follow


def _grown(
    asked: Any, config: Any, *, seeds: int, seconds: float | None, seed: int, quiet: bool
) -> tuple[Any, tuple[float, float], dict[str, Any]]:
    """What growing found, its validation accuracy (positions, sequences), and the record of it."""
    from learnt.programs.fitted import Part
    from learnt.programs.search import grow
    from learnt.train.progress import progress

    sizes = {name: getattr(config, name) for name in SIZES}
    with progress(None, "growing a program: modules added", quiet=quiet) as bar:
        found = grow(asked, **sizes, restarts=seeds, seconds=seconds, seed=seed, progress=lambda _: bar.advance())
    score = Part.of(asked, asked.split().validation).score(found.program)
    record = {
        "modules": sum(1 for _ in found.program.modules()),
        "seconds": found.seconds,
        "restarts": list(found.restarts),
        "validation_tokens": score.tokens,
        "validation_sequences": score.sequences,
        "steps": [{"what": step.what, "loss": step.loss, "accuracy": step.accuracy} for step in found.history],
    }
    return found, (score.tokens, score.sequences), record


def _usable(device: str | None) -> None:
    import torch

    from learnt.core.errors import InputError

    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError):  # an unknown name; a torch built without it
        raise InputError("--device", found=repr(device), expected="a device of this machine, such as 'cpu'") from None


def _growable(asked: Any, method: str, **given: Any) -> None:
    from learnt.core.errors import InputError

    for name, value in given.items():
        if value is not None:
            raise InputError(
                f"--{name.replace('_', '-')}",
                found=f"{value}, and --method {method}",
                expected="--method fit beside it",
            )
    if asked.pool:
        raise InputError(
            "--method", found=f"{method}, and {asked.name} with one label an input", expected="--method fit"
        )


def _correctable(asked: Any, seconds: float) -> None:
    from learnt.core.errors import InputError

    if not seconds > 0 or seconds == float("inf"):
        raise InputError("--correct", found=f"{seconds:g}", expected="a positive number of seconds")
    if asked.oracle is None:
        raise InputError(
            "--correct", found=f"{asked.name}, known by examples only", expected="a task with known answers"
        )
    if asked.pool:
        raise InputError("--correct", found=f"{asked.name} with one label an input", expected="one label a token")


def _recipe(name: str, file: Path | None, **given: Any) -> Any:
    """The recipe, with the fields of a file and those of options in place of its own."""
    from difflib import get_close_matches

    from learnt.core.errors import InputError
    from learnt.io.atomic import read_json
    from learnt.programs.recipe import Recipe

    chosen = Recipe.paper() if name == "paper" else Recipe()
    changed: dict[str, Any] = {}
    if file is not None:
        read = read_json(file)
        known = [field.name for field in fields(Recipe)]
        if not isinstance(read, dict):
            raise InputError(str(file), found="no object", expected='fields of a recipe, such as {"complexity": 0.01}')
        for field in read:
            if field not in known:
                near = get_close_matches(field, known, n=3, cutoff=0.3)
                raise InputError(
                    str(file), found=f"the field {field!r}", expected=f"some of {', '.join(known)}",
                    remedy=f"Nearest: {', '.join(near)}." if near else "",
                )  # fmt: skip
        changed = {field: tuple(value) if isinstance(value, list) else value for field, value in read.items()}
    try:
        chosen = replace(chosen, **changed)
    except TypeError:  # a number where a list is expected, text where a number is
        raise InputError(
            str(file), found=f"{changed}", expected="values of the types of learnt.programs.Recipe"
        ) from None
    return replace(chosen, **{field: value for field, value in given.items() if value is not None})


def _finished(out: Path, settings: dict[str, Any], *, overwrite: bool, quiet: bool) -> bool:
    """Whether there is nothing to do: OUT holds the result of these settings.

    An unfinished training of other settings is refused, and with `overwrite` removed; one of the same settings goes on.
    """
    import sys

    from learnt.core.errors import InputError
    from learnt.io.atomic import read_json, read_text

    done = (out / "result.json").exists()
    before = read_json(out / SETTINGS) if (out / SETTINGS).exists() else None
    now = {**settings}
    changed = [] if before is None else [k for k in now if not isinstance(before, dict) or before.get(k) != now[k]]
    if overwrite:
        if done or changed:
            _forget(out)
        return False
    if done and not changed and before is not None:
        if not quiet:
            print(
                f"{out} holds this training, finished. Ask its program: learnt programs run {out} TOKENS; "
                "train again: --overwrite.",
                file=sys.stderr,
            )
            print(read_text(out / "result.txt").rstrip())
        return True
    if done or changed:
        what = "a finished training" if done else "an interrupted training"
        raise InputError(
            str(out), found=f"{what} with {_differences(before, now, changed)}", expected="a new directory",
            remedy="Pass --overwrite to replace it.",
        )  # fmt: skip
    return False


def _differences(before: Any, now: dict[str, Any], changed: list[str]) -> str:
    if not isinstance(before, dict):
        return "other settings"
    said: list[str] = []
    for name in changed:
        old, new = before.get(name), now[name]
        if isinstance(old, dict) and isinstance(new, dict):
            said += [f"{k} {old.get(k)}, not {v}" for k, v in new.items() if old.get(k) != v]
        else:
            said.append(f"{name} {old}, not {new}")
    return "other settings (" + "; ".join(said[:4]) + ("; ..." if len(said) > 4 else "") + ")"


def _corrected(program: Any, task: Any, seconds: float, seed: int) -> tuple[Any, str]:
    from learnt.programs.counterexamples import counterexample_guided

    found = counterexample_guided(program, task, search_seconds=max(1.0, seconds / 6), seed=seed)
    return found.program, str(found)


def _forget(folder: Path) -> None:
    """Remove what an earlier training wrote: its checkpoints belong to other settings."""
    import shutil

    for name in ("checkpoint", "seeds"):
        shutil.rmtree(folder / name, ignore_errors=True)
    for name in WRITTEN:
        (folder / name).unlink(missing_ok=True)
