"""A trace as one self-contained HTML page: tokens, arrows to where heads look, every variable, every vote.

The page opens offline and asks nothing of any network. Its content security policy allows one style sheet and one
script, each by its hash, and nothing else: no image, no connection, no inline handler, no inline style. All text of
the program and its input is shown as `learnt.programs._typed.shown` writes it, escaped by Jinja in the page and kept
as JSON without <, > and & for the script, which only ever sets text and numbers. Without scripts the tables hold
everything except the arrows.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import json
import os
import re
from pathlib import Path
from typing import Any

from learnt.core.errors import InputError
from learnt.core.version import VERSION
from learnt.programs._trace_text import LEGEND, both, mark
from learnt.programs._typed import shown
from learnt.programs.tracing import Look, Trace, TracedVariable, sentence

_MOST = 2_000_000  # votes: some 20 MB
_NOTHING_ELSE = "base-uri 'none'; form-action 'none'"
_INKS = 6  # colours of heads in the style sheet


def write(trace: Trace, path: str | os.PathLike[str], *, title: str | None = None) -> Path:
    """Write the page, atomically, and return its path; a previous file is replaced only by the complete new one.

    Args:
        trace: to show.
        path: of the file.
        title: of the page; by default the input.

    Raises:
        InputError: more votes than a page can hold. StorageError: the file cannot be written.
    """
    from learnt.io.atomic import write_text

    return write_text(path, page(trace, title=title))


def page(trace: Trace, *, title: str | None = None) -> str:
    """The text of the page; equal traces, equal text. Arguments and errors as `write`.

    Args:
        trace: to show.
        title: of the page; by default the tokens.

    Raises:
        InputError: more votes than one page takes.
    """
    from markupsafe import Markup

    size = len(trace.votes.by_variable) * len(trace.tokens) * len(trace.program.labels)
    if size > _MOST:
        raise InputError("trace", found=f"{size:,} votes", expected=f"at most {_MOST:,} in one page")
    environment = _environment()
    css, script = _source("trace.css"), _source("trace.js")
    heading = _title(trace) if title is None else "".join(c if c.isprintable() else " " for c in title)
    return environment.get_template("trace.html.j2").render(
        title=heading,
        about=_about(trace),
        css=Markup(css),  # noqa: S704 (our own file)
        script=Markup(script),  # noqa: S704 (our own file)
        policy=f"default-src 'none'; script-src '{_hash(script)}'; style-src '{_hash(css)}'; {_NOTHING_ELSE}",
        version=VERSION,
        data=Markup(_json(_data(trace))),  # noqa: S704 (no <, > or & left)
        **_tables(trace),
    )


def _title(trace: Trace) -> str:
    words = " ".join(shown(token, 24) for token in trace.tokens)
    return words if len(words) <= 90 else words[:89].rstrip() + "…"


def _about(trace: Trace) -> str:
    program = trace.program
    modules = sum(1 for _ in program.modules())
    sees = "each position sees itself and what is before it" if program.causal else "each position sees all others"
    layers = f"{len(program.layers)} layer{'s' * (len(program.layers) != 1)}"
    return f"A program of {layers} and {modules} module{'s' * (modules != 1)}; {sees}. Positions count from 0."


def _tables(trace: Trace) -> dict[str, Any]:
    n = len(trace.tokens)
    two = all(len(answer.labels) > 1 for answer in trace.answers)
    labels = [tuple(shown(label) for label in answer.labels) for answer in trace.answers]
    inks = _inks(trace)
    rows = [_row(variable, index, inks[index]) for index, variable in enumerate(trace.variables)]
    layers = [None, *range(len(trace.program.layers))]
    groups = [
        {
            "title": "input" if layer is None else f"layer {layer}",
            "rows": [row for row, v in zip(rows, trace.variables, strict=True) if v.layer == layer],
        }
        for layer in layers
    ]
    columns = [
        {
            "index": i,
            "token": shown(trace.tokens[i]),
            "given": shown(trace.given[i]) if trace.given[i] != trace.tokens[i] else "",
            "words": [
                (rows[index], sentence(trace, v, i)) for index, v in enumerate(trace.variables) if v.layer is not None
            ],
        }
        for i in range(n)
    ]
    answers = trace.answers
    votes = [(name, [both(answer.votes[name]) for answer in answers]) for name in answers[0].votes]
    pool = trace.program.pool
    used = {look.reason for v in trace.variables for look in v.looks}
    return {
        "columns": columns,
        "groups": [group for group in groups if group["rows"]],
        "two": two,
        "answers": [] if pool else labels,
        "pooled": labels[0] if pool else (),
        "vote_columns": [("", "mean", labels[0])] if pool else [(i, columns[i]["token"], labels[i]) for i in range(n)],
        "vote_rows": [*votes, ("logit", [both(answer.logits) for answer in answers])],
        "legend": [tuple(text.split(maxsplit=1)) for reason, text in LEGEND.items() if reason in used],
    }


def _row(variable: TracedVariable, index: int, ink: str) -> dict[str, Any]:
    marks = [(mark(look), look.reason) for look in variable.looks] or [("", "")] * len(variable.values)
    return {
        "index": index,
        "name": variable.name,
        "kind": variable.kind,
        "type": variable.kind,
        "ink": ink,
        "cells": [(shown(value), *marked) for value, marked in zip(variable.values, marks, strict=True)],
    }


def _inks(trace: Trace) -> list[str]:
    """The colour class of each head, in turn; none for other variables."""
    found, heads = [], 0
    for variable in trace.variables:
        found.append(f"c{heads % _INKS}" if variable.looks else "")
        heads += bool(variable.looks)
    return found


def _data(trace: Trace) -> dict[str, Any]:
    """What the script needs beside what stands in the page."""
    program, ids = trace.program, {label: y for y, label in enumerate(trace.program.labels)}
    scored = [i for i, answer in enumerate(trace.answers) if answer.position is not None and i > 0]
    variables = []
    for variable, ink in zip(trace.variables, _inks(trace), strict=True):
        looks = [_look(look, i) for i, look in enumerate(variable.looks)]
        variables.append(
            {
                "name": variable.name,
                "reads": [list(pair) for pair in variable.reads],
                "values": [shown(value) for value in variable.values],
                "looks": looks or None,
                "votes": trace.votes.by_variable.get(variable.name),
                "ink": ink,
            }
        )
    return {
        "tokens": [shown(token) for token in trace.tokens],
        "labels": [shown(label) for label in program.labels],
        "masked": list(program.masked_labels),
        "pool": program.pool,
        "logits": trace.run.logits,
        "answers": [[ids[label] for label in answer.labels] for answer in trace.answers],
        "variables": variables,
        "start": scored[0] if scored else 0,
    }


def _look(look: Look, i: int) -> dict[str, Any]:
    """Where arrows point, and the matches that lost to a nearer one."""
    to = look.matches if look.position is None else (look.position,)
    others = [j for j in look.matches if j != i and j not in to]
    return {"to": to, "others": others, "reason": look.reason}


def _json(data: Any) -> str:
    text = json.dumps(data, allow_nan=False, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def _hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


@functools.cache
def _source(name: str) -> str:
    environment = _environment()
    text = environment.loader.get_source(environment, name)[0]
    return re.sub(r"\s*\n\s*", "\n", text).strip()


@functools.cache
def _environment() -> Any:
    import jinja2

    return jinja2.Environment(
        loader=jinja2.PackageLoader("learnt.programs"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
