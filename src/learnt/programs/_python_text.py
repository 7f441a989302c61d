"""Source text: names that Python can use, values as literals, and long lists in lines of at most 100 columns.

A literal is what `repr` says of a text, an integer or a finite float: no token can end a line, a string or a comment,
and a float comes back with the same bits.
"""

from __future__ import annotations

import builtins
import keyword
import re
import unicodedata
from collections.abc import Iterable, Sequence

from learnt.programs.program import Program, ReluNet

WIDTH = 100
SUFFIXES = ("matches", "value", "table", "wanted", "net", "bias")  # of what one module has beside its variable
OWN = frozenset(  # what the files call their own things, where a module's variable could hide it
    """
    VOCABULARY KNOWN LABELS LONGEST EMBEDDINGS BALLOTS VOTES VOTES_PER_UNIT EXAMPLES IDS
    select_closest aggregate aggregate_sum relu_net outside count_votes winner mean read run check lru_cache
    nearest totals tokens words rows sums pooled variables logits labels trace
    """.split()
)
_OWN_TOO = re.compile(r"_[a-z]?\d*|VOTES_\d+")


def names(program: Program) -> dict[str, str]:
    """The Python name of each variable: its own, unless that means something else in the file.

    Python reads identifiers in Unicode normal form KC, so two names of a program can be one name for Python; a name
    that is taken gets underscores at its end.
    """
    inputs = (*program.input_variables, "positions", "ones")
    taken = set(inputs) | OWN | set(dir(builtins)) | set(keyword.kwlist)
    found = {name: name for name in inputs}
    for _, _, module in program.modules():
        name = unicodedata.normalize("NFKC", module.name)
        while _OWN_TOO.fullmatch(name) or not taken.isdisjoint(
            everything := {name, *(f"{name}_{suffix}" for suffix in SUFFIXES)}
        ):
            name += "_"
        taken |= everything
        found[module.name] = name
    return found


def pieces(opening: str, items: Iterable[str], closing: str, *, indent: int = 0) -> list[str]:
    """`opening` items `closing` on one line, or with the items in lines of their own where that is too long."""
    items, margin = list(items), " " * indent
    line = f"{margin}{opening}{', '.join(items)}{closing}"
    if len(line) <= WIDTH or not items:
        return [line]
    lines, inner = [margin + opening], " " * (indent + 4)
    current = ""
    for item in items:
        longer = f"{current} {item}," if current else f"{inner}{item},"
        if current and len(longer) > WIDTH:
            lines.append(current)
            longer = f"{inner}{item},"
        current = longer
    return [*lines, current, margin + closing]


def literal(value: object) -> str:
    """A text, an integer or a float as source text; texts in double quotes where that needs no more escapes."""
    text = repr(value)
    return f'"{text[1:-1]}"' if isinstance(value, str) and '"' not in value and text[0] == "'" else text


def words(values: Sequence[object]) -> str:
    """A list as source text."""
    return "[" + ", ".join(map(literal, values)) + "]"


def row(values: Sequence[object]) -> str:
    """A tuple as source text."""
    return "(" + ", ".join(map(literal, values)) + ("," if len(values) == 1 else "") + ")"


def tuple_lines(opening: str, values: Sequence[object], closing: str = ")", *, indent: int = 0) -> list[str]:
    """A tuple in as many lines as it takes; `opening` ends with its parenthesis, `closing` begins with it."""
    end = "," if len(values) == 1 else ""
    one = f"{' ' * indent}{opening}{', '.join(map(literal, values))}{end}{closing}"
    return [one] if len(one) <= WIDTH else pieces(opening, map(literal, values), closing, indent=indent)


def comment(text: str, *, indent: int = 0) -> list[str]:
    """A comment in lines of at most 100 columns; the text is of words that hold no line end."""
    from textwrap import wrap

    margin = " " * indent + "# "
    return [margin + line for line in wrap(text, WIDTH - len(margin), break_long_words=False, break_on_hyphens=False)]


def net_lines(name: str, net: ReluNet) -> list[str]:
    """The network of a numerical MLP as two constants."""
    lines = [
        *comment(f"{name}_net: of each hidden unit the weights in, the bias and the weights out."),
        f"{name}_net = (",
    ]
    for unit, (inward, bias) in enumerate(zip(net.W_in, net.b_in, strict=True)):
        outward = [weights[unit] for weights in net.W_out]
        line = f"    ({row(inward)}, {bias!r}, {row(outward)}),"
        lines += [line] if len(line) <= WIDTH else [
            "    (",
            *tuple_lines("(", inward, "),", indent=8),
            f"        {bias!r},",
            *tuple_lines("(", outward, "),", indent=8),
            "    ),",
        ]  # fmt: skip
    return [*lines, ")", *tuple_lines(f"{name}_bias = (", net.b_out)]


def network_lines(name: str, inputs: Sequence[str], *, indent: int) -> list[str]:
    """The statement that returns what the network of a module answers."""
    values = f"({', '.join(inputs)}{',' * (len(inputs) == 1)})"
    return pieces("return relu_net(", [f"{name}_net", f"{name}_bias", values], ")", indent=indent)
