"""`learnt programs train|simplify|export|compile`: the commands that make programs and what is made of them."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from learnt.cli.outputs import check_limits, check_outputs, gate, told
from learnt.cli.program_words import domain_of, fitting, inputs_of, program_of, task_of
from learnt.cli.programs import Json, app


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
    from learnt.core.errors import InputError
    from learnt.programs.program_json import save

    check_outputs((out,), overwrite)
    if budget and keep != "accuracy":
        raise InputError(
            "--budget", found=f"{budget:g}, and every prediction to keep", expected="--keep accuracy beside it"
        )
    before = program_of(program)
    asked = fitting(before, task_of(task, vocab_size=vocab_size, max_length=max_length))
    found = before.simplify(asked, keep=keep, budget=budget, task=asked)
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
        found.to_python(out, style=style, domain=inputs_of(found, task, None))
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
    from learnt.core.errors import InputError
    from learnt.io.weights import save_weights

    check_outputs((out, json), overwrite)
    check_limits((("--max-error", max_error),), most=float("inf"))
    if out.suffix != ".safetensors":
        raise InputError("--out", found=str(out), expected="a name that ends in .safetensors")
    found = program_of(program)
    domain = domain_of(found, task, inputs)
    network = found.to_transformer(scale=scale, domain=domain)
    answer = found.verify(network, domain, logits=True)
    save_weights(out, dict(network.state_dict()))
    told(out, quiet)
    give(answer, json, quiet)
    return gate((("--max-error", "the largest error of a logit", answer.largest_difference, max_error),))
