"""What the words on the command line mean: programs, tasks, inputs, and other things that answer for tokens."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from learnt.programs.program import Program
    from learnt.programs.task import Task

FOLDERS = ("conll", "wikiann", "trec", "mr", "subj", "ag_news")
LISTED = 20_000  # examples of a task without a space of inputs that are all compared


def program_of(spec: str) -> Program:
    """A program: FILE.json, a directory that `learnt programs train` wrote, or library:NAME."""
    from learnt.core.errors import InputError
    from learnt.programs import library
    from learnt.programs.program_json import load

    if spec.startswith("library:"):
        name = spec.removeprefix("library:")
        found = library.known_program(name)
        if found is None:
            names = [f.__name__ for f in _synthetic() if library.known_program(f.__name__) is not None]
            raise InputError("program", found=repr(spec), expected=f"library: and one of {', '.join(names)}")
        return found
    path = Path(spec)
    return load(path / "program.json" if path.is_dir() else path)


def task_of(spec: str, *, vocab_size: int | None = None, max_length: int | None = None) -> Task:
    """A task: a name such as sort, NAME:FOLDER of a language task, FILE.jsonl with pairs, or FILE.py:factory."""
    from difflib import get_close_matches

    from learnt.core.errors import InputError
    from learnt.programs import tasks
    from learnt.programs.task import Task

    options = {k: v for k, v in (("vocab_size", vocab_size), ("max_length", max_length)) if v is not None}
    named: dict[str, Any] = {task.__name__: task for task in (*_synthetic(), tasks.questions)}
    name, _, rest = spec.partition(":")
    if name in FOLDERS and rest:
        return getattr(tasks, name)(Path(rest), **options)
    if spec.endswith(".jsonl"):
        return _pairs(Path(spec), max_length)
    file, _, function = spec.rpartition(":")
    if file.endswith(".py"):
        from learnt.adapters.python_file import make

        found = make(Path(file), function)
        if not isinstance(found, Task):
            raise InputError(
                "task", found=f"an object of type {type(found).__name__} from {spec}", expected="a learnt.programs.Task"
            )
        return found
    if spec in named:
        known = inspect.signature(named[spec]).parameters
        for option in options:
            if option not in known:
                raise InputError(f"--{option.replace('_', '-')}", found=f"one for {spec}", expected="none")
        return named[spec](**options)
    if name in FOLDERS:
        raise InputError(
            "task", found=f"{name} without its files", expected=f"{name}:FOLDER, the folder with the files"
        )
    near = get_close_matches(spec, [*named, *FOLDERS], n=3, cutoff=0.3)
    raise InputError(
        "task",
        found=repr(spec),
        expected=f"{', '.join(named)}, {':FOLDER, '.join(FOLDERS)}:FOLDER, FILE.jsonl or FILE.py:factory",
        remedy=f"Nearest: {', '.join(near)}." if near else "",
    )


def answerer_of(spec: str) -> Any:
    """Something that answers for tokens: a program, FILE.py:function from tokens to labels, or an exported FILE.py."""
    file, _, name = spec.rpartition(":")
    if file.endswith(".py") or spec.endswith(".py"):
        from learnt.adapters.python_file import function

        found = function(Path(file or spec), name) if file.endswith(".py") else function(Path(spec), "run")
        return _asked(found, Path(file if file.endswith(".py") else spec))
    return program_of(spec)


def _asked(function: Any, path: Path) -> Any:
    """The user's function; an error in it is an error of that file, with its line."""
    from learnt.core.errors import InputError, LearntError
    from learnt.io.reading import printable

    def answer(tokens: tuple[str, ...]) -> Any:
        try:
            return function(list(tokens))
        except LearntError:
            raise
        except Exception as error:
            line, trace = 0, error.__traceback__
            while trace is not None:  # the deepest line that lies in the user's own file
                line = trace.tb_lineno if trace.tb_frame.f_code.co_filename == str(path) else line
                trace = trace.tb_next
            where = f" (line {line})" if line else ""
            raise InputError(
                str(path),
                found=f"{type(error).__name__} for {printable(' '.join(tokens), 60)!r}{where}: {printable(error, 200)}",
                expected="labels",
            ) from error

    return answer


def name_of(spec: str) -> str:
    """A short name of a program for texts."""
    if spec.startswith("library:"):
        return f"hand-written {spec.removeprefix('library:')}"
    file, _, function = spec.rpartition(":")
    return function if file.endswith(".py") else Path(spec).stem


def tokens_of(words: tuple[str, ...], program: Program) -> list[str]:
    """The tokens of one input, the marks that training put around it added where they are missing."""
    from learnt.core.errors import InputError

    vocab = program.vocab
    tokens = _apart(words)
    if not tokens:
        raise InputError("words", found="blanks", expected="the tokens of one input")
    if "<s>" in vocab and tokens[:1] != ["<s>"]:
        tokens.insert(0, "<s>")
        if "</s>" in vocab and tokens[-1] != "</s>":
            tokens.append("</s>")
    return tokens


def typed(words: tuple[str, ...], tokens: list[str]) -> slice:
    """Where the words stand among the tokens of their input."""
    own = _apart(words)
    first = int(len(tokens) > len(own) and own[:1] != tokens[:1])
    return slice(first, first + len(own))


def _apart(words: tuple[str, ...]) -> list[str]:
    return words[0].split() if len(words) == 1 and " " in words[0] else list(words)


def lines_of(file: Path) -> list[tuple[str, ...]]:
    """The inputs of a file, one a line, tokens between blanks."""
    from learnt.core.errors import InputError
    from learnt.io.textlines import read_lines

    rows = [tuple(line.split()) for line in read_lines(file) if line.strip()]
    if not rows:
        raise InputError(str(file), found="no line with tokens", expected="one input a line, tokens between blanks")
    return rows


def inputs_of(program: Program, task: str | None, file: Path | None) -> Any:
    """A task, the lines of a file as token lists, or None."""
    from learnt.core.errors import InputError

    if task is not None and file is not None:
        raise InputError("--inputs", found="a file, and --task", expected="one of the two")
    if file is not None:
        return [tokens_of(line, program) for line in lines_of(file)]
    if task is None:
        return None
    found = fitting(program, task_of(task))
    if found.space is None and found.domain().size <= LISTED:  # known by examples: they are the claim, not a sample
        return list(found.domain().walk())
    return found


def domain_of(program: Program, task: str | None, file: Path | None) -> Any:
    """As `inputs_of`; without either, None if all sequences over the vocabulary can be compared, else an error."""
    from learnt.core.errors import InputError
    from learnt.programs.task_domain import ENUMERABLE, large
    from learnt.programs.verification import all_inputs

    found = inputs_of(program, task, file)
    if found is None and all_inputs(program).size > ENUMERABLE:
        raise InputError(
            "inputs",
            found=f"{large(all_inputs(program).size)} sequences over the vocabulary",
            expected=f"at most {ENUMERABLE:,} to compare them all",
            remedy="Say which inputs matter: --task TASK, or --inputs FILE.",
        )
    return found


def fitting(program: Program, task: Task) -> Task:
    """The task, if the program can read its tokens."""
    from learnt.core.errors import InputError
    from learnt.programs.program import PAD, UNKNOWN

    foreign = [] if UNKNOWN in program.vocab else [t for t in task.vocab if t not in program.vocab and t != PAD]
    if foreign:
        shown = ", ".join(map(repr, foreign[:5])) + (", ..." if len(foreign) > 5 else "")
        known = [t for t in program.vocab if t != PAD]
        raise InputError(
            "task",
            found=f"{task.name} with tokens that the program does not know ({shown})",
            expected=f"tokens of the program: {' '.join(known[:20])}{' ...' if len(known) > 20 else ''}",
            remedy="Is it the program's task, with its --vocab-size?",
        )
    if task.max_length > program.n_ctx:
        raise InputError(
            "task",
            found=f"{task.name} with inputs of up to {task.max_length} tokens",
            expected=f"at most {program.n_ctx}, the program's longest input",
            remedy="Is it the program's task, with its --max-length?",
        )
    return task


def _synthetic() -> tuple[Any, ...]:
    from learnt.programs import tasks

    return tasks.SYNTHETIC


def _pairs(path: Path, max_length: int | None) -> Task:
    from learnt.core.errors import InputError
    from learnt.io.jsonl import read_jsonl
    from learnt.programs.task import Task

    inputs, targets = [], []
    for number, record in read_jsonl(path):
        if not isinstance(record, dict) or not {"input", "target"} <= set(record):
            raise InputError(f"{path}, line {number}", found="other fields", expected='"input" and "target"')
        inputs.append(record["input"])
        targets.append(record["target"])
    pool = bool(targets) and all(isinstance(target, str) for target in targets)
    return Task.from_pairs(inputs, targets, name=path.stem, pool=pool, max_length=max_length)
