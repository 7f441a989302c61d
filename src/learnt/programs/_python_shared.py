"""The parts that every exported file has: the head, reading the input, the votes, the examples, the command line."""

from __future__ import annotations

from collections.abc import Sequence

from learnt.programs._python_text import comment, literal, pieces, row, tuple_lines, words
from learnt.programs._python_values import Occurring
from learnt.programs.program import PAD, UNKNOWN, Program
from learnt.programs.task_encoding import END, START

Example = tuple[tuple[str, ...], tuple[str, ...]]


def answerable(program: Program) -> list[int]:
    """The ids of the labels that can be predicted."""
    return [label for label in range(len(program.labels)) if label not in program.masked_labels]


def head(program: Program, occurring: Occurring, *, imports: Sequence[str]) -> list[str]:
    """The docstring, the imports, the vocabulary and the labels."""
    count = sum(1 for _ in program.modules())
    lines = [
        f'"""A transformer program: {_counted(count, "module")} in {_counted(len(program.layers), "layer")}, '
        f"inputs of 1 to {_counted(program.n_ctx, 'token')}.",
        "",
        "run(tokens) returns "
        + ("a list with the label of the input" if program.pool else "a list with the label of each token")
        + ";",
        "run(tokens, trace=True) returns (labels, variables by name, votes by label).",
        *_marks(program),
        f"From a shell: python FILE {_call(program)}",
        "Written by learnt; needs the standard library only.",
    ]
    if occurring.inputs is not None:
        whole = "the whole domain" if occurring.exhaustive else "not all inputs there are"
        lines += [
            "",
            f"The rules below are exact on the {occurring.inputs:,} inputs for which they were shortened ({whole}).",
            "On other inputs they may answer differently from the program, or raise ValueError.",
        ]
    lines += ['"""', "", *imports, *([""] if imports else [])]
    if program.embeddings is None:
        lines += tuple_lines("VOCABULARY = (", program.vocab)
    else:
        entries = [
            f"{literal(word)}: {row(values)}" for word, values in zip(program.vocab, program.embeddings, strict=True)
        ]
        named = ", ".join(program.input_variables)
        lines += [*comment(f"The values of {named} for each token."), *pieces("EMBEDDINGS = {", entries, "}")]
        lines += ["VOCABULARY = tuple(EMBEDDINGS)"]
    lines += ["KNOWN = frozenset(VOCABULARY)"]
    lines += tuple_lines("LABELS = (", [program.labels[label] for label in answerable(program)])
    return [*lines, f"LONGEST = {program.n_ctx}  # tokens"]


def reader(program: Program) -> list[str]:
    """`read(tokens)`: the input as the program knows it, or the error for one that it cannot take."""
    lines = [
        "def read(tokens):",
        '    """The input as the program knows it; ValueError for one that it cannot take."""',
        "    if isinstance(tokens, str):",
        '        raise ValueError(f"tokens: found the text {tokens!r}; expected a list of tokens")',
        "    words = list(tokens)",
        "    for i, word in enumerate(words):",
        "        if not isinstance(word, str):",
        '            raise ValueError(f"tokens[{i}]: found {word!r}; expected text")',
        "        if word not in KNOWN:",
    ]
    if UNKNOWN in program.vocab:
        lines += [f"            words[i] = {literal(UNKNOWN)}"]
    else:
        lines += [
            "            from difflib import get_close_matches",
            "",
            "            near = get_close_matches(word[:60], VOCABULARY, n=3, cutoff=0.0)",
            "            raise ValueError(",
            '                f"tokens[{i}]: found the unknown token {word!r}; "',
            "                f\"expected a token of the vocabulary, nearest {', '.join(map(repr, near))}\"",
            "            )",
        ]
    if program.padded:
        lines += [
            f"    while words and words[-1] == {literal(PAD)}:",
            "        words.pop()",
            f"    if {literal(PAD)} in words:",
            f"        i = words.index({literal(PAD)})",
            f'        raise ValueError(f"tokens[{{i}}]: found {PAD!r} before a token; expected padding at the end")',
        ]
    return [
        *lines,
        "    if not words:",
        '        raise ValueError("tokens: found an empty input; expected at least one token")',
        "    if len(words) > LONGEST:",
        '        raise ValueError(f"tokens: found {len(words)} tokens; expected at most {LONGEST}")',
        "    return words",
    ]


OUTSIDE = [
    "def outside(name, *values):",
    '    """The error for values of which the program says nothing."""',
    "    found = ', '.join(map(str, values))".replace("'", '"'),
    '    return ValueError(f"{name}: found inputs ({found}); expected values that it has an answer for")',
]

RELU_NET = [
    "def relu_net(units, bias, values):",
    '    """The output with the highest score: W_out relu(W_in x + b_in) + b_out, first maximum."""',
    "    scores = [0.0] * len(bias)",
    "    for inward, offset, outward in units:",
    "        total = 0.0",
    "        for weight, value in zip(inward, values):",
    "            total += weight * value",
    "        total = max(total + offset, 0.0)",
    "        if total > 0.0:",
    "            for out, weight in enumerate(outward):",
    "                scores[out] += weight * total",
    "    scores = [score + more for score, more in zip(scores, bias)]",
    "    return scores.index(max(scores))",
]


def tail(program: Program, examples: Sequence[Example]) -> list[str]:
    """The examples with their check, and the command line."""
    lines: list[str] = []
    if examples:
        lines += ["", "", "EXAMPLES = ("]
        for tokens, labels in examples:
            entry = f"    ({words(tokens)}, {words(labels)}),"
            both = [f"        {words(tokens)},", f"        {words(labels)},"]
            lines += [entry] if len(entry) <= 100 else ["    (", *both, "    ),"]
        lines += [
            ")",
            "",
            "",
            "def check():",
            '    """Whether the examples still have their labels."""',
            "    return all(run(tokens) == labels for tokens, labels in EXAMPLES)",
        ]
    what = "the input" if program.pool else "each token"
    return [
        *lines,
        "",
        "",
        'if __name__ == "__main__":',
        "    import sys",
        "",
        "    if len(sys.argv) == 1:",
        f'        sys.exit("usage: python FILE {_call(program)}: prints the label of {what}")',
        '    sys.stdout.reconfigure(errors="backslashreplace")',
        "    try:",
        "        print(*run(sys.argv[1:]))",
        "    except ValueError as error:",
        '        sys.exit(f"error: {error}")',
    ]


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}{'s' * (count != 1)}"


def _call(program: Program) -> str:
    words = ["TOKEN ..."]
    if START in program.vocab:
        words = [f"'{START}'", *words, *([f"'{END}'"] if END in program.vocab else [])]
    return " ".join(words)


def _marks(program: Program) -> list[str]:
    if START not in program.vocab:
        return []
    return [f"An input begins with {START}" + (f" and ends with {END}." if END in program.vocab else ".")]
