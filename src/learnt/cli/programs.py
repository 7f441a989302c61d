"""`learnt programs run|trace|verify|check|diff`: ask a program; the commands that make one are in `programs_make`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, Parameter

from learnt.cli.outputs import check_limits, check_outputs, gate, told
from learnt.cli.program_words import (
    answerer_of,
    domain_of,
    fitting,
    lines_of,
    name_of,
    program_of,
    task_of,
    tokens_of,
    typed,
)

if TYPE_CHECKING:
    from learnt.programs.task import Task
    from learnt.programs.verification import Equivalence

app = App(
    name="programs", help="Train transformers that turn into readable Python, and prove that it is the same thing."
)

Json = Annotated[Path | None, Parameter(allow_leading_hyphen=True)]


@app.command
def run(program: str, /, *words: str, inputs: Path | None = None, quiet: bool = False) -> None:
    """Print the labels that a program gives to the tokens of an input.

    Parameters
    ----------
    program
        FILE.json, a directory that learnt programs train wrote, or library:NAME of a hand-written one.
    words
        The tokens; <s> and </s> are added where training had them, and their labels are shown only if you type them.
    inputs
        A file with one input a line, instead.
    quiet
        Print labels only, without tokens.
    """
    from learnt.core.errors import InputError

    found = program_of(program)
    if (not words) == (inputs is None):
        raise InputError(
            "words", found="tokens and a file" if words else "no tokens", expected="tokens, or --inputs FILE"
        )
    for line in [words] if inputs is None else lines_of(inputs):
        row = tokens_of(line, found)
        labels = found(row)
        if not found.pool:  # labels of marks that nobody typed mean nothing in most tasks
            row, labels = (x[typed(line, row)] for x in (row, labels))
        if quiet or found.pool:
            print(" ".join(labels) if quiet else f"{' '.join(row)}: {labels[0]}")
            continue
        widths = [max(len(t), len(label)) for t, label in zip(row, labels, strict=True)]
        print("  ".join(t.ljust(w) for t, w in zip(row, widths, strict=True)).rstrip())
        print("  ".join(label.ljust(w) for label, w in zip(labels, widths, strict=True)).rstrip())


@app.command
def trace(
    program: str,
    /,
    *words: str,
    why: int | None = None,
    instead: str | None = None,
    html: Path | None = None,
    width: int = 100,
    overwrite: bool = False,
    quiet: bool = False,
) -> None:
    """Show what every module of a program does with one input, and why.

    Parameters
    ----------
    program
        FILE.json, a directory that learnt programs train wrote, or library:NAME.
    words
        The tokens; <s> and </s> are added where training had them.
    why
        Explain the label at this position, counted from 0 with <s>: the votes for it and against the next best.
    instead
        With --why: against this label.
    html
        Write a page with arrows and votes to this file.
    width
        Columns of the text.
    overwrite
        Replace existing output files.
    quiet
        Print nothing but errors.
    """
    from learnt.core.errors import InputError

    check_outputs((html,), overwrite)
    if instead is not None and why is None:
        raise InputError("--instead", found="a label, and no position", expected="--why POSITION beside it")
    found = program_of(program)
    if not words:
        raise InputError("words", found="no tokens", expected="the tokens of one input")
    traced = found.trace(tokens_of(words, found))
    said = None if why is None else _why(traced, why, instead, pool=found.pool)
    if html is not None:
        traced.to_html(html)
        told(html, quiet)
    text = traced.text(width=width)
    if not quiet:
        print(text if said is None else f"{text}\n\n{said}")


@app.command
def verify(
    program: str,
    model: str,
    /,
    *,
    task: str | None = None,
    inputs: Path | None = None,
    scored: bool = False,
    samples: int = 10_000,
    seed: int = 0,
    max_disagreement: float | None = None,
    json: Json = None,
    overwrite: bool = False,
    quiet: bool = False,
) -> int:
    """Say whether a program and another thing answer alike: on all inputs where they can be listed, else on a sample.

    Parameters
    ----------
    program
        FILE.json, a directory that learnt programs train wrote, or library:NAME.
    model
        Another program, the Python file of an exported one, or FILE.py:function from a list of tokens to labels.
    task
        The inputs are those of this task, see: learnt programs check --help; all sequences over the vocabulary if
        neither this nor --inputs is given.
    inputs
        A file with one input a line.
    scored
        Compare only the labels that the task scores, not those of <s> and </s>.
    samples
        Inputs drawn from a domain that cannot be listed.
    seed
        Seed of the sample.
    max_disagreement
        Exit with 1 if a larger share of inputs is answered differently; of a sample, its upper bound counts.
    json
        Write the answer as JSON to this file; - writes it to standard output instead of the text.
    overwrite
        Replace existing output files.
    quiet
        Print nothing but errors.
    """
    from learnt.core.errors import InputError

    check_outputs((json,), overwrite)
    check_limits((("--max-disagreement", max_disagreement),))
    found = program_of(program)
    if scored and task is None:
        raise InputError("--scored", found="no task", expected="--task TASK beside it")
    domain = domain_of(found, task, inputs)
    asked = task_of(task) if task is not None else None
    answer = found.verify(answerer_of(model), domain, samples=samples, seed=seed, scored=asked if scored else None)
    hint = None if scored or asked is None else _unscored(answer, asked)
    give(answer, json, quiet, text=None if hint is None else f"{answer}\n{hint}")
    share = answer.share if answer.bound is None else answer.bound
    return gate((("--max-disagreement", "the share of inputs answered differently", share, max_disagreement),))


@app.command
def check(
    program: str,
    task: str,
    /,
    *,
    vocab_size: int | None = None,
    max_length: int | None = None,
    samples: int = 10_000,
    shown: int = 10,
    seed: int = 0,
    min_tokens: float | None = None,
    min_sequences: float | None = None,
    json: Json = None,
    overwrite: bool = False,
    quiet: bool = False,
) -> int:
    """Say how right a program is: accuracy, the shortest inputs that it gets wrong, branches that no input reaches.

    Parameters
    ----------
    program
        FILE.json, a directory that learnt programs train wrote, or library:NAME.
    task
        reverse, sort, hist, double_hist, most_freq, induction, dyck1, dyck2 or questions; NAME:FOLDER for conll,
        wikiann, trec, mr, subj, ag_news; FILE.jsonl with "input" and "target"; FILE.py:factory.
    vocab_size
        Size of the vocabulary of a synthetic or a language task.
    max_length
        Longest input, marks included.
    samples
        Inputs drawn where they cannot all be listed.
    shown
        Wrong inputs to show.
    seed
        Seed of the sample.
    min_tokens
        Exit with 1 if a smaller share of positions is right.
    min_sequences
        Exit with 1 if a smaller share of inputs is right throughout.
    json
        Write the answer as JSON to this file; - writes it to standard output instead of the text.
    overwrite
        Replace existing output files.
    quiet
        Print nothing but errors.
    """
    check_outputs((json,), overwrite)
    check_limits((("--min-tokens", min_tokens), ("--min-sequences", min_sequences)))
    found = program_of(program)
    asked = fitting(found, task_of(task, vocab_size=vocab_size, max_length=max_length))
    answer = found.check(asked, samples=samples, shown=shown, seed=seed)
    give(answer, json, quiet)
    score = answer.score
    return gate(
        (
            ("--min-tokens", "the share of right positions", score.token_accuracy, min_tokens),
            ("--min-sequences", "the share of inputs right throughout", score.sequence_accuracy, min_sequences),
        ),
        least=True,
    )


@app.command
def diff(
    a: str,
    b: str,
    /,
    *,
    task: str | None = None,
    inputs: Path | None = None,
    samples: int = 10_000,
    seed: int = 0,
    shown: int = 10,
    max_distance: float | None = None,
    json: Json = None,
    html: Path | None = None,
    control: tuple[str, ...] = (),
    overwrite: bool = False,
    quiet: bool = False,
) -> int:
    """Say how two programs differ: inputs answered differently, modules alike and changed, votes that decide.

    Parameters
    ----------
    a
        A program, see: learnt programs run --help.
    b
        Another, or FILE.py:function from a list of tokens to labels.
    task
        The inputs are those of this task, see: learnt programs check --help.
    inputs
        A file with one input a line.
    samples
        Inputs drawn from a domain that cannot be listed.
    seed
        Seed of the sample.
    shown
        Inputs to show.
    max_distance
        Exit with 1 if a larger share of inputs is answered differently.
    json
        Write the answer as JSON to this file; - writes it to standard output instead of the text.
    html
        Write a report to this file: both questions of learnt compare about programs, with intervals.
    control
        For the report, an independently made program of B's kind; give it several times.
    overwrite
        Replace existing output files.
    quiet
        Print nothing but errors.
    """
    from learnt.core.errors import InputError
    from learnt.programs.difference import diff as differ

    check_outputs((json, html), overwrite)
    check_limits((("--max-distance", max_distance),))
    if control and html is None:
        raise InputError("--control", found="a control, and no report", expected="--html FILE beside it")
    first, second = program_of(a), answerer_of(b)
    domain = domain_of(first, task, inputs)
    if html is not None and domain is None:
        raise InputError("--html", found="no inputs", expected="--task or --inputs beside it")
    names = (name_of(a), name_of(b)) if name_of(a) != name_of(b) else ("a", "b")
    answer = differ(first, second, domain, samples=samples, seed=seed, shown=shown, names=names)
    if html is not None:
        from learnt.core.compare import compare

        report = compare(
            first, second, domain, controls=[answerer_of(c) for c in control], rng=seed, quiet=True,
            labels=(*names, "control"),
        )  # fmt: skip
        report.to_html(html, title=f"Do {names[0]} and {names[1]} do the same?")
        told(html, quiet)
    give(answer, json, quiet, text=answer.explain())
    return gate((("--max-distance", "the share of inputs answered differently", answer.distance, max_distance),))


def _why(traced: Any, position: int, instead: str | None, *, pool: bool) -> str:
    from learnt.core.errors import InputError

    n, known = len(traced.run.tokens), traced.program.labels
    if not 0 <= position < n:
        raise InputError("--why", found=str(position), expected=f"a position from 0 to {n - 1}, the marks counted")
    if instead is not None and instead not in known:
        shown = ", ".join(known[:20]) + (", ..." if len(known) > 20 else "")
        raise InputError("--instead", found=repr(instead), expected=f"a label of the program: {shown}")
    return str(traced.why(None if pool else position, instead))


def _unscored(answer: Equivalence, task: Task) -> str | None:
    """A hint where all disagreements shown are at labels that the task does not score."""
    if task.oracle is None or not answer.examples:
        return None
    for example in answer.examples:
        target = task.oracle(example.tokens)
        if any(target[i] != "<pad>" for i in example.positions):
            return None
    return f"There it differs only at labels that {task.name} does not score; --scored leaves these out."


def give(answer: Any, json: Path | None, quiet: bool, *, text: str | None = None) -> None:
    """Print an answer, or write it as JSON."""
    from learnt.io.atomic import dump_json, write_json

    if json is not None and str(json) == "-":
        print(dump_json(answer.to_fields(), name="answer"))
        return
    if json is not None:
        write_json(json, answer.to_fields())
        told(json, quiet)
    if not quiet:
        print(text if text is not None else answer)
