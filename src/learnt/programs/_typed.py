"""What does the integer in a variable stand for? A token, a position, or a number; and how is it shown to people.

A head's output is of the type of the variable that it copies; outputs of MLPs and of numerical heads are integers.
Shown text holds no character that acts on a terminal, a page or the order of reading, and two tokens never look alike.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from typing import Literal

from learnt.programs.program import Head, Program

Kind = Literal["token", "position", "embedding", "value", "number"]


def kinds(program: Program) -> dict[str, Kind]:
    """What the values of each variable stand for, in stream order.

    ``"token"`` and ``"position"``: of the input; ``"embedding"``: a value of `emb_e`; ``"value"``: an output of an
    MLP; ``"number"``: an integer that is counted with. A categorical head has the kind of its value variable.
    """
    own: Kind = "token" if program.embeddings is None else "embedding"
    found: dict[str, Kind] = {**dict.fromkeys(program.input_variables, own), "positions": "position"}
    for layer in program.layers:
        found |= {head.name: found[head.value] for head in layer.cat_heads}
        for mlp in (*layer.cat_mlps, *layer.num_mlps):
            found[mlp.name] = "value"
    for name in program.numerical:
        found[name] = "number"
    return found


def spelled(program: Program, kind: Kind, value: int) -> str | int:
    """The token that a value stands for, or the integer; an integer also for a value that is no token's."""
    return program.vocab[value] if kind == "token" and value < len(program.vocab) else value


def shown(value: str | int, limit: int | None = None) -> str:
    """One line of text for a value, at most `limit` characters.

    Tokens are themselves if they are plain, and otherwise in quotes with escapes, as Python would write them: the
    empty one, blanks at an end, quotes, line ends, characters without a shape, overrides of direction.
    """
    if isinstance(value, int):
        return str(value)
    plain = value.isprintable() and value == value.strip() and value and value[0] not in "\"'"
    text = value if plain else '"' + "".join(map(_escaped, value)) + '"'
    return text if limit is None or len(text) <= limit else text[: limit - 1] + "…"


def columns(text: str) -> int:
    """How many columns of a terminal a text takes."""
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def number(value: float, *, signed: bool = False) -> str:
    """A vote as people read it: three digits, integers whole, a true minus sign, no negative zero."""
    size = abs(value)
    if value == 0:
        text = "0"
    elif size >= 1e6 or size < 5e-5:
        text = f"{value:.2e}"
    elif size >= 1000:
        text = f"{value:.0f}"
    else:
        text = f"{float(f'{value:.3g}'):g}"
    return ("+" if signed and value > 0 else "") + text.replace("-", "\N{MINUS SIGN}")


def reads(program: Program) -> Mapping[str, tuple[tuple[str, str], ...]]:
    """What each module reads: (role, variable); the roles are query, key and value, or input."""
    found: dict[str, tuple[tuple[str, str], ...]] = {}
    for _, _, module in program.modules():
        if isinstance(module, Head):
            found[module.name] = (("query", module.query), ("key", module.key), ("value", module.value))
        else:
            found[module.name] = tuple(("input", name) for name in module.inputs)
    return found


def _escaped(character: str) -> str:
    if character in '"\\':
        return "\\" + character
    return character if character.isprintable() else character.encode("unicode_escape").decode("ascii")
