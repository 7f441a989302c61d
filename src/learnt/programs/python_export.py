"""How is a program told to people and to other machines? As one Python file that needs nothing but Python.

The file has the vocabulary, a small function for each module, the votes, and `run(tokens)`, which answers exactly
what the program answers: the attention is `learnt.programs.interpreter.attend`, votes are added in the same order, so
that every sum has the same bits, and inputs that a program cannot take are ValueErrors. Importing it does nothing.

From arXiv 2306.01128 (section 3.2, appendix A.3) come the idea and the grouping of values that share an answer. The
files of the authors' code rank self by the number of matches, answer numbers beyond their tables by a default, lose
the labels `<unk>` and `<pad>`, stop on programs with one head a layer and on tokens that pandas reads as missing, and
read their weights from tables beside them; here nothing of that. Rules are exact for all that can occur (by interval
analysis), or on a domain for all that does; numbers outside go to the stored network or are an error.
"""

from __future__ import annotations

import ast
import io
import os
import tokenize
from collections.abc import Sequence
from typing import Literal

from learnt.core.errors import InputError
from learnt.programs._frozen import short
from learnt.programs._inputs import Inputs
from learnt.programs._python_shared import Example, tail
from learnt.programs._python_values import on_domain, possible
from learnt.programs.program import Program

Style = Literal["readable", "fast"]


def to_python(
    program: Program,
    path: str | os.PathLike[str] | None = None,
    *,
    domain: Inputs | None = None,
    style: Style = "readable",
    examples: Sequence[Sequence[str]] = (),
) -> str:
    """The program as the text of one Python file, standard library only; equal programs, equal text.

    Its `run(tokens, trace=False)` returns the labels as a list (with one entry if the program pools), and with
    trace=True also every variable by name and the votes. `python -I FILE TOKEN ...` prints the labels.

    Args:
        program: to write.
        path: where to write the text, atomically; None writes nothing.
        domain: inputs on which alone the rules must be exact, which makes them shorter: a domain, a task, token
            lists or a batch; the text says so. Only for the readable style.
        style: ``"readable"``: rules; ``"fast"``: tables indexed by integers.
        examples: inputs to put into the file with their labels; `check()` there compares.

    Raises:
        InputError: an unknown style, a domain with the fast style, or inputs that the program cannot take.
        StorageError: the file cannot be written.
    """
    if style not in ("readable", "fast"):
        raise InputError("style", found=short(style), expected='"readable" or "fast"')
    if style == "fast" and domain is not None:
        raise InputError("domain", found="a domain for style='fast'", expected="None: its tables are whole")
    shown: list[Example] = []
    for tokens in examples:
        found = program.run(tokens)
        shown.append((found.tokens, found.predictions))
    if style == "readable":
        from learnt.programs._python_readable import readable

        lines = readable(program, possible(program) if domain is None else on_domain(program, domain))
    else:
        from learnt.programs._python_fast import fast

        lines = fast(program)
    text = "\n".join([*lines, *tail(program, shown)]) + "\n"
    if path is not None:
        from learnt.io.atomic import write_text

        write_text(path, text)
    return text


def count_branches(program: Program, *, domain: Inputs | None = None) -> int:
    """How many places the rules of all modules have at which an answer is given: the cases a reader must know.

    Args:
        program: to count in.
        domain: as in `to_python`.
    """
    from learnt.programs._python_modules import Writer
    from learnt.programs._python_readable import written
    from learnt.programs._python_text import names

    occurring = possible(program) if domain is None else on_domain(program, domain)
    writer = Writer(program=program, names=names(program), occurring=occurring)
    return sum(module.branches for module in written(writer).values())


def count_lines(text: str) -> int:
    """Lines of code of a Python text: without blank lines, comments and docstrings.

    Args:
        text: of a Python file.

    Raises:
        InputError: the text is no Python.
    """
    try:
        tree = ast.parse(text)
        words = list(tokenize.generate_tokens(io.StringIO(text).readline))
    except (SyntaxError, ValueError, tokenize.TokenError) as error:
        raise InputError("text", found=f"{error}", expected="the text of a Python file") from None
    silent = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}
    code = {line for w in words if w.type not in silent for line in range(w.start[0], w.end[0] + 1)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and node.body:
            first = node.body[0]
            if (
                isinstance(first, ast.Expr)
                and isinstance(first.value, ast.Constant)
                and isinstance(first.value.value, str)
            ):
                code -= set(range(first.lineno, (first.end_lineno or first.lineno) + 1))
    return len(code)
