"""`learnt programs train|simplify|export|compile`: the commands that make programs and what is made of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from learnt.cli.outputs import check_outputs, gate, told
from learnt.cli.program_words import inputs_of, program_of, task_of
from learnt.cli.programs import Json, app


@app.command
def train(
    task: str,
    /,
    *,
    out: Path,
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
    learning_rate: float | None = None,
    batch_size: int | None = None,
    correct: float | None = None,
    seed: int = 0,
    device: str | None = None,
    overwrite: bool = False,
    quiet: bool = False,
) -> None:
    """Train many programs on a task at once, choose one by validation, and check it on every input there is.

    Writes program.json, all seeds under seeds/ and result.json into OUT. If it is interrupted, the same command goes
    on where it was.

    Parameters
    ----------
    task
        What to learn, see: learnt programs check --help.
    out
        Directory of the result.
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
        Programs trained at once.
    epochs
        Passes over the training part.
    recipe
        Ours, or the paper's.
    learning_rate
        Of Adam; 0.05 if not given.
    batch_size
        Inputs a step; 512 if not given.
    correct
        Afterwards, spend up to so many seconds on the inputs that the program gets wrong (tasks with known answers).
    seed
        Seed of everything random.
    device
        Where to train; the processor if not given.
    overwrite
        Train again although OUT holds a result.
    quiet
        Print nothing but errors.
    """
    from learnt.core.errors import InputError
    from learnt.io.atomic import ensure_directory, write_json, write_text
    from learnt.programs.config import Config, Factored
    from learnt.programs.program_json import save
    from learnt.programs.training import fit
    from learnt.programs.word_vectors import read_vectors
    from learnt.train.progress import progress

    if (out / "result.json").exists() and not overwrite:
        raise InputError(
            str(out), found="a finished training", expected="a new directory", remedy="Pass --overwrite to replace it."
        )
    if vectors is not None and embeddings is None:
        raise InputError("--vectors", found="word vectors", expected="--embeddings N beside it")
    asked = task_of(task, vocab_size=vocab_size, max_length=max_length)
    embed: Any = "one_hot"
    if embeddings is not None:
        start = None if vectors is None else read_vectors(vectors, asked.vocab).values
        embed = Factored(n=embeddings, vectors=start)
    config = Config(
        layers=layers, cat_heads=cat_heads, num_heads=num_heads, cat_mlps=cat_mlps, num_mlps=num_mlps,
        var_size=var_size, embed=embed,
    )  # fmt: skip
    chosen = _recipe(recipe, learning_rate, batch_size)
    ensure_directory(out)
    if overwrite and (out / "result.json").exists():
        _forget(out)
    with progress(None, f"training {seeds} programs", quiet=quiet) as bar:
        result = fit(
            asked, config, seeds=seeds, epochs=epochs, recipe=chosen, seed=seed, device=device,
            checkpoint=out / "checkpoint", callbacks=[lambda event: bar.advance() if event.kind == "epoch" else None],
        )  # fmt: skip
    best, lines = result.best, [result.table()]
    if correct is not None:
        best, said = _corrected(best, asked, correct, seed)
        lines.append(said)
    ensure_directory(out / "seeds")
    for found in result.seeds:
        save(found.program, out / "seeds" / f"{found.seed:03d}.json")
    save(best, out / "program.json")
    checked = best.check(asked)
    lines.append(str(checked))
    write_text(out / "result.txt", "\n\n".join(lines) + "\n")
    write_json(out / "result.json", {**result.to_fields(), "check": checked.to_fields()})
    told(out / "program.json", quiet)
    if not quiet:
        print("\n\n".join(lines))


@app.command
def simplify(
    program: str,
    task: str,
    /,
    *,
    out: Path,
    keep: Literal["predictions", "accuracy"] = "predictions",
    budget: float = 0.0,
    vocab_size: int | None = None,
    max_length: int | None = None,
    overwrite: bool = False,
    quiet: bool = False,
) -> None:
    """Write a shorter program that answers alike on the inputs of a task; every step is verified.

    Parameters
    ----------
    program
        FILE.json, a directory that learnt programs train wrote, or library:NAME.
    task
        The inputs, see: learnt programs check --help.
    out
        File of the simplified program.
    keep
        Every prediction, or the accuracy, of which BUDGET may be lost.
    budget
        With accuracy: the share of positions of the training and validation parts that may become wrong.
    vocab_size
        Size of the vocabulary of a synthetic or a language task.
    max_length
        Longest input, marks included.
    overwrite
        Replace an existing file.
    quiet
        Print nothing but errors.
    """
    from learnt.programs.program_json import save

    check_outputs((out,), overwrite)
    asked = task_of(task, vocab_size=vocab_size, max_length=max_length)
    found = program_of(program).simplify(asked, keep=keep, budget=budget, task=asked)
    save(found.program, out)
    told(out, quiet)
    if not quiet:
        print(found)


@app.command
def export(
    program: str,
    /,
    *,
    out: Path,
    to: Literal["python", "smt"] = "python",
    style: Literal["readable", "fast"] = "readable",
    task: str | None = None,
    length: int | None = None,
    overwrite: bool = False,
    quiet: bool = False,
) -> None:
    """Write a program as one Python file that needs nothing, or as text for solvers.

    Parameters
    ----------
    program
        FILE.json, a directory that learnt programs train wrote, or library:NAME.
    out
        The file to write.
    to
        Python, or SMT-LIB 2.
    style
        Python to read, or tables.
    task
        Rules need to be exact only on the inputs of this task, see: learnt programs check --help; the file says so.
    length
        With smt: number of tokens of the inputs, marks included.
    overwrite
        Replace an existing file.
    quiet
        Print nothing but errors.
    """
    from learnt.core.errors import InputError

    check_outputs((out,), overwrite)
    found = program_of(program)
    if to == "smt":
        if length is None or task is not None:
            raise InputError(
                "--length", found="none" if length is None else "--task too", expected="--length N with smt"
            )
        found.to_smt(length, path=out)
    else:
        if length is not None:
            raise InputError("--length", found=str(length), expected="none with python")
        found.to_python(out, style=style, domain=None if task is None else task_of(task))
    told(out, quiet)


@app.command
def compile(
    program: str,
    /,
    *,
    out: Path,
    scale: float = 1000.0,
    task: str | None = None,
    inputs: Path | None = None,
    max_error: float | None = None,
    json: Json = None,
    overwrite: bool = False,
    quiet: bool = False,
) -> int:
    """Write the weights of an ordinary transformer that computes what a program computes, and how far it is off.

    Parameters
    ----------
    program
        FILE.json, a directory that learnt programs train wrote, or library:NAME.
    out
        The file of weights, .safetensors.
    scale
        Sharpness of attention: the least difference between the right score and any other.
    task
        The inputs that matter, on which it is checked, see: learnt programs check --help.
    inputs
        A file with one input a line, instead.
    max_error
        Exit with 1 if a logit is farther off.
    json
        Write the answer as JSON to this file; - writes it to standard output instead of the text.
    overwrite
        Replace existing output files.
    quiet
        Print nothing but errors.
    """
    from learnt.cli.programs import give
    from learnt.io.weights import save_weights

    check_outputs((out, json), overwrite)
    found = program_of(program)
    domain = inputs_of(found, task, inputs)
    network = found.to_transformer(scale=scale, domain=domain)
    answer = found.verify(network, domain, logits=True)
    save_weights(out, dict(network.state_dict()))
    told(out, quiet)
    give(answer, json, quiet)
    return gate((("--max-error", "the largest error of a logit", answer.largest_difference, max_error),))


def _recipe(name: str, learning_rate: float | None, batch_size: int | None) -> Any:
    from dataclasses import replace

    from learnt.programs.recipe import Recipe

    chosen = Recipe.paper() if name == "paper" else Recipe()
    changed = {k: v for k, v in (("lr", learning_rate), ("batch_size", batch_size)) if v is not None}
    return replace(chosen, **changed)


def _corrected(program: Any, task: Any, seconds: float, seed: int) -> tuple[Any, str]:
    from learnt.core.errors import InputError
    from learnt.programs.counterexamples import counterexample_guided

    if task.oracle is None:
        raise InputError(
            "--correct", found=f"{task.name}, known by examples only", expected="a task with known answers"
        )
    found = counterexample_guided(program, task, search_seconds=max(1.0, seconds / 6), seed=seed)
    return found.program, str(found)


def _forget(folder: Path) -> None:
    """Remove what an earlier training wrote: its checkpoints belong to other settings."""
    import shutil

    for name in ("checkpoint", "seeds"):
        shutil.rmtree(folder / name, ignore_errors=True)
    for name in ("result.json", "result.txt", "program.json"):
        (folder / name).unlink(missing_ok=True)
