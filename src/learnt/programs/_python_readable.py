"""The file that people read: rules for each module, and a `run` of one line a module."""

from __future__ import annotations

from learnt.programs._python_modules import Writer, Written
from learnt.programs._python_shared import OUTSIDE, RELU_NET, answerable, head, reader
from learnt.programs._python_text import comment, literal, names, pieces
from learnt.programs._python_values import Occurring, possible
from learnt.programs.program import Head, Program, TableMLP


def readable(program: Program, occurring: Occurring) -> list[str]:
    """The lines of the file, without examples and command line."""
    writer = Writer(program=program, names=names(program), occurring=occurring)
    modules = written(writer)
    nets, faults = any(m.net for m in modules.values()), any(m.faults for m in modules.values())
    strict = _beyond(program, occurring)
    votes, sparse = _votes(writer, strict)
    lines = head(program, occurring, imports=["from functools import lru_cache"] if nets else [])
    lines += ["", "", "# -- what all modules share", ""]
    for part in (_closest(program), _aggregate(program), _sums(program)):
        lines += ["", *part, ""] if part else []
    lines += ["", *RELU_NET, ""] if nets else []
    lines += ["", *OUTSIDE, ""] if faults or strict else []
    for index, layer in enumerate(program.layers):
        own = [m for kind in (layer.cat_heads, layer.num_heads, layer.cat_mlps, layer.num_mlps) for m in kind]
        lines += ["", f"# -- layer {index}", ""] if own else []
        for module in own:
            lines += ["", *modules[module.name].lines, ""]
    lines += ["", "# -- the answer", "", "", *votes, "", "", *_count_votes(votes, sparse, strict), "", ""]
    lines += [*_mean(), "", ""] if program.pool else []
    return [*lines, *reader(program), "", "", *_run(writer)]


def written(writer: Writer) -> dict[str, Written]:
    """Each module as text."""
    found = {}
    read = set(writer.program.classifier)
    for _, _, module in writer.program.modules():
        read |= {module.query, module.key, module.value} if isinstance(module, Head) else set(module.inputs)
    for _, _, module in writer.program.modules():
        unread = module.name not in read
        if isinstance(module, Head):
            found[module.name] = writer.head(module, unread)
        elif isinstance(module, TableMLP):
            found[module.name] = writer.table(module, unread)
        else:
            found[module.name] = writer.numbers(module, unread)
    return found


def _closest(program: Program) -> list[str]:
    if not any(layer.cat_heads for layer in program.layers):
        return []
    lines = [
        "def select_closest(queries, keys, predicate):",
        '    """For each query the position of the nearest key that matches it, left before right.',
        "",
        "    A position looks at itself only if nothing else matches, and at 0 if nothing matches at all.",
    ]
    scan = [
        '    """',
        "    chosen = []",
        "    for i, query in enumerate(queries):",
        "        found = i if predicate(query, keys[i]) else 0",
    ]
    if program.causal:
        return [
            *lines,
            "    It does not look at what comes after it.",
            *scan,
            "        for j in range(i - 1, -1, -1):",
            "            if predicate(query, keys[j]):",
            "                found = j",
            "                break",
            "        chosen.append(found)",
            "    return chosen",
        ]
    return [
        *lines,
        *scan,
        "        for distance in range(1, len(keys)):",
        "            left, right = i - distance, i + distance",
        "            if left >= 0 and predicate(query, keys[left]):",
        "                found = left",
        "                break",
        "            if right < len(keys) and predicate(query, keys[right]):",
        "                found = right",
        "                break",
        "        chosen.append(found)",
        "    return chosen",
    ]


def _aggregate(program: Program) -> list[str]:
    if not any(layer.cat_heads for layer in program.layers):
        return []
    return [
        "def aggregate(chosen, values):",
        '    """The value at each chosen position."""',
        "    return [values[j] for j in chosen]",
    ]


def _sums(program: Program) -> list[str]:
    if not any(layer.num_heads for layer in program.layers):
        return []
    seen = "keys[: i + 1]" if program.causal else "keys"
    each = "i, query in enumerate(queries)" if program.causal else "query in queries"
    which = "its own and earlier ones" if program.causal else "its own included"
    return [
        "def aggregate_sum(queries, keys, values, predicate):",
        f'    """The sum of the values whose keys match each query, {which}."""',
        "    return [",
        f"        sum(value for key, value in zip({seen}, values) if predicate(query, key))",
        f"        for {each}",
        "    ]",
    ]


def _beyond(program: Program, occurring: Occurring) -> bool:
    """Whether values that could occur, but not on the domain of the rules, have votes that the file leaves out."""
    if occurring.inputs is None:
        return False
    could, columns = possible(program).values, answerable(program)
    return any(
        any(program.classifier[name][value][c] for c in columns)
        for name in program.classifier
        if name in program.cardinality
        for value in set(could[name]) - set(occurring.values[name])
    )


def _votes(writer: Writer, strict: bool) -> tuple[list[str], bool]:
    """The tables of votes, and whether they name labels (most votes are 0) or have a column for each."""
    program, columns = writer.program, answerable(writer.program)
    tables: dict[str, dict[str, list[float]]] = {}
    for name, votes in program.classifier.items():
        if name not in program.cardinality:
            continue
        rows = {writer.text(name, v): [votes[v][c] for c in columns] for v in writer.occurring.values[name]}
        if not strict:
            rows = {text: row for text, row in rows.items() if any(row)}  # adding 0.0 changes nothing
        if any(any(row) for row in rows.values()):
            tables[name] = rows
    units = {} if strict else _linear(writer, tables)
    tables = {name: rows for name, rows in tables.items() if name not in units}
    for name in program.numerical:
        row = [program.classifier[name][c] for c in columns] if name in program.classifier else []
        units |= {name: row} if any(row) else {}
    entries = [v for rows in tables.values() for row in rows.values() for v in row] + [
        v for r in units.values() for v in r
    ]
    sparse = sum(1 for v in entries if v == 0) * 2 >= len(entries)
    labels = [program.labels[c] for c in columns]

    def row_lines(key: str, row: list[float], indent: int, end: str = "") -> list[str]:
        if sparse:
            listed = [f"{literal(label)}: {vote!r}" for label, vote in zip(labels, row, strict=True) if vote]
            return pieces(f"{key}{{", listed, f"}}{end},", indent=indent)
        return pieces(f"{key}(", map(repr, row), f"{',' * (len(row) == 1)}){end},", indent=indent)

    order = "." if sparse else ", in the order of LABELS."
    others = " Others than the ones listed do not occur." if strict else " Others vote for nothing."
    lines = comment(f"The votes of each value of a variable{order}{others}") if tables or not units else []
    alike = {name: _alike(rows) for name, rows in tables.items()}
    if sum(map(len, alike.values())) == sum(map(len, tables.values())):
        lines += ["VOTES = {"] if tables else ["VOTES = {}"] if not units else []
        for name, rows in tables.items():
            lines.append(f"    {literal(name)}: {{")
            for text, row in rows.items():
                lines += row_lines(f"{text}: ", row, 8)
            lines.append("    },")
        lines += ["}"] if tables else []
    else:
        lines += ["BALLOTS = {"]
        for name, rows in alike.items():
            lines.append(f"    {literal(name)}: [")
            for texts, row in rows:
                key = f"({_several(texts)}, "
                if len(key) < 70:
                    lines += row_lines(key, row, 8, ")")
                else:
                    lines += ["        (", *pieces("[", texts, "],", indent=12), *row_lines("", row, 12), "        ),"]
            lines.append("    ],")
        lines += [
            "}",
            "VOTES = {",
            "    name: {value: cast for values, cast in rows for value in values}",
            "    for name, rows in BALLOTS.items()",
            "}",
        ]
    if units:
        said = f"The votes of a number, for each unit{order if not tables else '.'}"
        lines += [*comment(said), "VOTES_PER_UNIT = {"]
        for name, row in units.items():
            lines += row_lines(f"{literal(name)}: ", row, 4)
        lines += ["}"]
    return lines, sparse


def _linear(writer: Writer, tables: dict[str, dict[str, list[float]]]) -> dict[str, list[float]]:
    """The votes of one unit of the last variables whose votes are value times that, to the last bit."""
    found: dict[str, list[float]] = {}
    program, could = writer.program, possible(writer.program).values
    for name, rows in reversed(tables.items()):  # numbers are added last, and no sum may change
        unit = rows.get("1")
        if writer.kind(name) == "token" or unit is None or len(rows) < 3:
            break
        votes, columns = program.classifier[name], answerable(program)
        if any([votes[v][c] for c in columns] != [vote * v for vote in unit] for v in could[name]):
            break
        found = {name: unit, **found}
    return found


def _alike(rows: dict[str, list[float]]) -> list[tuple[list[str], list[float]]]:
    """(values, their votes) with each row of votes once."""
    found: dict[tuple[float, ...], list[str]] = {}
    for text, votes in rows.items():
        found.setdefault(tuple(votes), []).append(text)
    return [(texts, list(votes)) for votes, texts in found.items()]


def _several(texts: list[str]) -> str:
    """Values as a list, or as a range if they are at least four numbers in a row."""
    if len(texts) > 3 and all(text.isdecimal() for text in texts):
        first, last = int(texts[0]), int(texts[-1])
        if texts == [str(value) for value in range(first, last + 1)]:
            return f"range({first}, {last + 1})"
    return f"[{', '.join(texts)}]"


def _count_votes(votes: list[str], sparse: bool, strict: bool) -> list[str]:
    lines = [
        "def count_votes(variables, i):",
        '    """The votes for each label at position i, summed in this order."""',
        "    total = dict.fromkeys(LABELS, 0.0)",
    ]
    cast = "cast.items()" if sparse else "zip(LABELS, cast)"
    if any(line.startswith("VOTES = ") for line in votes):
        lines += ["    for name, votes in VOTES.items():", "        value = variables[name][i]"]
        if not strict:
            lines += [f"        cast = votes.get(value, {'{}' if sparse else '()'})"]
        else:
            lines += [
                "        if value not in votes:",
                "            raise outside(name, value)",
                "        cast = votes[value]",
            ]
        lines += [f"        for label, vote in {cast}:", "            total[label] += vote"]
    if "VOTES_PER_UNIT = {" in votes:
        lines += [
            "    for name, cast in VOTES_PER_UNIT.items():",
            f"        for label, vote in {cast}:",
            "            total[label] += vote * variables[name][i]",
        ]
    return [
        *lines,
        "    return total",
        "",
        "",
        "def winner(total):",
        '    """The label with most votes, the first of several."""',
        "    return max(LABELS, key=total.__getitem__)",
    ]


def _mean() -> list[str]:
    return [
        "def mean(logits):",
        '    """The mean of the votes for each label."""',
        "    total = dict.fromkeys(LABELS, 0.0)",
        "    for votes in logits:",
        "        for label, vote in votes.items():",
        "            total[label] += vote",
        "    return {label: votes / len(logits) for label, votes in total.items()}",
    ]


def _run(writer: Writer) -> list[str]:
    program, own = writer.program, writer.names
    what = "The label of the input, in a list" if program.pool else "The label of each token, as a list"
    lines = [
        "def run(tokens, trace=False):",
        f'    """{what}; with trace=True (labels, variables, votes by label)."""',
        "    tokens = read(tokens)",
    ]
    for e, name in enumerate(program.input_variables if program.embeddings is not None else ()):
        lines += [f"    {name} = [EMBEDDINGS[token][{e}] for token in tokens]"]
    lines += ["    positions = list(range(len(tokens)))", "    ones = [1] * len(tokens)"]
    for index, layer in enumerate(program.layers):
        if any((layer.cat_heads, layer.num_heads, layer.cat_mlps, layer.num_mlps)):
            lines += ["", f"    # layer {index}"]
        for h in layer.cat_heads:
            select = f"select_closest({own[h.query]}, {own[h.key]}, {own[h.name]}_matches)"
            lines += pieces(f"{own[h.name]} = aggregate(", [select, own[h.value]], ")", indent=4)
        for h in layer.num_heads:
            sides = [own[h.query], own[h.key], own[h.value], f"{own[h.name]}_matches"]
            lines += pieces(f"{own[h.name]} = aggregate_sum(", sides, ")", indent=4)
        for mlp in (*layer.cat_mlps, *layer.num_mlps):
            inputs = [own[v] for v in dict.fromkeys(mlp.inputs)]
            lines += pieces(f"{own[mlp.name]} = list(map(", [f"{own[mlp.name]}_value", *inputs], "))", indent=4)
    listed = [f"{literal(name)}: {own[name]}" for name in (*program.categorical, *program.numerical)]
    lines += ["", *pieces("variables = {", listed, "}", indent=4)]
    lines += ["    logits = [count_votes(variables, i) for i in positions]"]
    lines += ["    logits = [mean(logits)]"] if program.pool else []
    lines += ["    labels = [winner(total) for total in logits]"]
    return [*lines, "    return (labels, variables, logits) if trace else labels"]
