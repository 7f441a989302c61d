"""The file that machines run: tables indexed by integers, one pass along the input for each head.

Variables hold ids; `run(tokens, trace=True)` translates them back. A head remembers for each key value where it was
last seen, from the left and from the right, as `learnt.programs.evaluator` does. Numerical MLPs are nested tuples
where all their numbers are few enough, else a stored table with the network outside it, remembered by number.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from learnt.programs._python_shared import OUTSIDE as OUTSIDE_LINES
from learnt.programs._python_shared import RELU_NET, answerable, head, reader
from learnt.programs._python_text import literal, names, net_lines, network_lines, pieces, row, tuple_lines
from learnt.programs._python_values import combinations, numerical, possible
from learnt.programs._typed import kinds
from learnt.programs.program import NumMLP, Program, TableMLP

_TOGETHER = 6  # variables whose votes one expression adds
_WHOLE = 5_000  # entries of a numerical MLP that are tabulated whole although a network could answer


def fast(program: Program) -> list[str]:
    """The lines of the file, without examples and command line."""
    own = names(program)
    modules = [module for _, _, module in program.modules()]
    constants: list[str] = []
    nets = faults = False
    for module in modules:
        name = own[module.name]
        if isinstance(module, TableMLP):
            sizes = [program.cardinality[v] for v in module.inputs]
            constants += nested(f"{name}_table", np.array(module.table).reshape(sizes))
        elif isinstance(module, NumMLP):
            lines, net, fault = _numbers(program, module, own)
            constants, nets, faults = constants + lines, nets or net, faults or fault
        else:
            constants += tuple_lines(f"{name}_wanted = (", module.predicate)
    lines = head(program, possible(program), imports=["from functools import lru_cache"] if nets else [])
    lines += ["IDS = {token: i for i, token in enumerate(VOCABULARY)}"]
    cat, num = (any(getattr(layer, kind) for layer in program.layers) for kind in ("cat_heads", "num_heads"))
    for part in (
        _nearest(program) if cat else [],
        _totals(program) if num else [],
        RELU_NET * nets,
        OUTSIDE_LINES * faults,
    ):
        lines += ["", "", *part] if part else []
    lines += ["", "", *constants, "", "", *_votes(program), "", "", *reader(program)]
    return [*lines, "", "", *_run(program, own)]


def nested(name: str, table: np.ndarray) -> list[str]:
    """A table as nested tuples, None for entries below 0."""

    def lines(opening: str, part: np.ndarray, indent: int, end: str) -> list[str]:
        if part.ndim == 1:
            texts = [str(v) if v >= 0 else "None" for v in part.tolist()]
            return pieces(f"{opening}(", texts, f"{',' * (len(texts) == 1)}){end}", indent=indent)
        found = [f"{' ' * indent}{opening}("]
        for below in part:
            found += lines("", below, indent + 4, ",")
        return [*found, f"{' ' * indent}){end}"]

    return lines(f"{name} = ", table, 0, "")


def _numbers(program: Program, mlp: NumMLP, own: dict[str, str]) -> tuple[list[str], bool, bool]:
    """(constants and function of a numerical MLP, whether it calls the network, whether it can fail)."""
    name, inputs = own[mlp.name], tuple(dict.fromkeys(mlp.inputs))
    whole = [program.highest[v] + 1 for v in inputs]
    sizes = whole
    if math.prod(whole) > _WHOLE:
        stored: dict[str, int] = {}
        for variable, size in zip(mlp.inputs, mlp.sizes or (), strict=False):
            stored[variable] = min(stored.get(variable, program.highest[variable] + 1), size)
        sizes = [stored[v] for v in inputs] if stored else []
    lines: list[str] = []
    body: list[str] = []
    otherwise = [f"raise outside({literal(mlp.name)}, {', '.join(own[v] for v in inputs)})"]
    net = mlp.weights is not None and sizes != whole
    if net and mlp.weights is not None:
        lines += net_lines(name, mlp.weights)
        otherwise = network_lines(name, [own[v] for v in mlp.inputs], indent=0)
    if sizes:
        codes = numerical(mlp, inputs, combinations(map(range, sizes))).reshape(sizes)
        lines += nested(f"{name}_table", codes)
        entry = f"{name}_table" + "".join(f"[{own[v]}]" for v in inputs)
        limits = [f"{own[v]} < {size}" for v, size, full in zip(inputs, sizes, whole, strict=True) if size < full]
        body = [f"return {entry}"] if (codes >= 0).all() else [
            f"answer = {entry}",
            "if answer is not None:",
            "    return answer",
        ]  # fmt: skip
        if limits:
            body = [f"if {' and '.join(limits)}:", *(f"    {line}" for line in body)]
    complete = sizes == whole and body[-1].startswith("return ")
    body += [] if complete else otherwise
    lines += ["", "", *(["@lru_cache(maxsize=65536)"] if net else [])]
    lines += [*pieces(f"def {name}_value(", [own[v] for v in inputs], "):"), *(f"    {line}" for line in body), "", ""]
    return lines, net, not complete and not net


def _nearest(program: Program) -> list[str]:
    lines = [
        "def nearest(queries, keys, wanted):",
        '    """For each query the nearest wanted key, left before right, itself last; position 0 if none."""',
        "    found, seen = [], {}",
        "    for i, query in enumerate(queries):",
        "        key = keys[i]",
    ]
    if program.causal:
        return [
            *lines,
            "        found.append(seen.get(wanted[query], i if wanted[query] == key else 0))",
            "        seen[key] = i",
            "    return found",
        ]
    return [
        *lines,
        "        found.append(seen.get(wanted[query], -1))",
        "        seen[key] = i",
        "    seen = {}",
        "    for i in range(len(keys) - 1, -1, -1):",
        "        want, left = wanted[queries[i]], found[i]",
        "        right = seen.get(want, -1)",
        "        if right >= 0 and (left < 0 or right - i < i - left):",
        "            found[i] = right",
        "        elif left < 0:",
        "            found[i] = i if want == keys[i] else 0",
        "        seen[keys[i]] = i",
        "    return found",
    ]


def _totals(program: Program) -> list[str]:
    lines = [
        "def totals(queries, keys, values, wanted):",
        '    """For each query the sum of the values whose keys it wants."""',
    ]
    if program.causal:
        return [
            *lines,
            "    total, found = {}, []",
            "    for query, key, value in zip(queries, keys, values):",
            "        total[key] = total.get(key, 0) + value",
            "        found.append(total.get(wanted[query], 0))",
            "    return found",
        ]
    return [
        *lines,
        "    total = {}",
        "    for key, value in zip(keys, values):",
        "        total[key] = total.get(key, 0) + value",
        "    return [total.get(wanted[query], 0) for query in queries]",
    ]


def _votes(program: Program) -> list[str]:
    columns, lines = answerable(program), []
    for index, (name, votes) in enumerate(program.classifier.items()):
        if name in program.cardinality:
            lines += [f"VOTES_{index} = ("]
            for values in votes:
                lines += _row([values[c] for c in columns])
            lines += [")"]
        else:
            lines += tuple_lines(f"VOTES_{index} = (", [votes[c] for c in columns])
    return lines or ["# nothing votes"]


def _added(program: Program, own: dict[str, str], voters: list[tuple[int, str]]) -> list[str]:
    """The votes of some variables, added from left to right."""
    terms, cells = ["a"], ["_a"]
    for index, name in voters:
        categorical = name in program.cardinality
        terms.append(f"b{index}" if categorical else f"b{index} * _{index}")
        cells.append(f"VOTES_{index}[_{index}]" if categorical else f"VOTES_{index}")
    inner = ", ".join(["a", *(f"b{index}" for index, _ in voters)])
    outer = ", ".join(["_a", *(f"_{index}" for index, _ in voters)])
    return [
        "    sums = [",
        f"        [{' + '.join(terms)}",
        *pieces(f"for {inner} in zip(", cells, ")]", indent=9),
        *pieces(f"for {outer} in zip(", ["sums", *(own[name] for _, name in voters)], ")", indent=8),
        "    ]",
    ]


def _row(values: Sequence[float]) -> list[str]:
    line = f"    {row(values)},"
    return [line] if len(line) <= 100 else pieces("(", map(repr, values), "),", indent=4)


def _run(program: Program, own: dict[str, str]) -> list[str]:
    lines = [
        "def run(tokens, trace=False):",
        '    """The labels as a list; with trace=True (labels, variables by name, votes by label)."""',
        "    words = read(tokens)",
    ]
    if program.embeddings is None:
        lines += ["    tokens = [IDS[word] for word in words]"]
    else:
        lines += ["    rows = [EMBEDDINGS[word] for word in words]"]
        lines += [f"    {name} = [row[{e}] for row in rows]" for e, name in enumerate(program.input_variables)]
    lines += ["    positions = list(range(len(words)))", "    ones = [1] * len(words)"]
    for index, layer in enumerate(program.layers):
        if any((layer.cat_heads, layer.num_heads, layer.cat_mlps, layer.num_mlps)):
            lines += ["", f"    # layer {index}"]
        for h in layer.cat_heads:
            sides = f"{own[h.query]}, {own[h.key]}, {own[h.name]}_wanted"
            lines += [f"    {own[h.name]} = [{own[h.value]}[_j] for _j in nearest({sides})]"]
        for h in layer.num_heads:
            sides = f"{own[h.query]}, {own[h.key]}, {own[h.value]}, {own[h.name]}_wanted"
            lines += [f"    {own[h.name]} = totals({sides})"]
        for mlp in layer.cat_mlps:
            letters = [f"_{i}" for i in range(len(mlp.inputs))]
            entry = f"{own[mlp.name]}_table" + "".join(f"[{v}]" for v in letters)
            sides = ", ".join(own[v] for v in mlp.inputs)
            if len(letters) == 1:
                lines += [f"    {own[mlp.name]} = [{entry} for _0 in {sides}]"]
            else:
                lines += [f"    {own[mlp.name]} = [{entry} for {', '.join(letters)} in zip({sides})]"]
        for mlp in layer.num_mlps:
            inputs = [own[v] for v in dict.fromkeys(mlp.inputs)]
            lines += pieces(f"{own[mlp.name]} = list(map(", [f"{own[mlp.name]}_value", *inputs], "))", indent=4)
    lines += ["", "    sums = [[0.0] * len(LABELS) for _ in positions]"]
    voters = list(enumerate(program.classifier))
    for start in range(0, len(voters), _TOGETHER):
        lines += _added(program, own, voters[start : start + _TOGETHER])
    if program.pool:
        lines += [
            "    pooled = [0.0] * len(LABELS)",
            "    for s in sums:",
            "        pooled = [a + b for a, b in zip(pooled, s)]",
            "    sums = [[a / len(words) for a in pooled]]",
        ]
    lines += ["    labels = [LABELS[s.index(max(s))] for s in sums]", "    if not trace:", "        return labels"]
    kind = kinds(program)
    listed = [
        f"{literal(name)}: [VOCABULARY[_v] for _v in {own[name]}]"
        if kind[name] == "token"
        else f"{literal(name)}: {own[name]}"
        for name in (*program.categorical, *program.numerical)
    ]
    lines += pieces("variables = {", listed, "}", indent=4)
    return [*lines, "    return labels, variables, [dict(zip(LABELS, s)) for s in sums]"]
