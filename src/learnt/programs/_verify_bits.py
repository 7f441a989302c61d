"""How many bits does it take to write a program down? One stated code, so that programs can be compared.

    n(x) = 2 floor(log2(x + 1)) + 1                                a count x >= 0 (Elias gamma of x + 1)
    structure     n(layers), n(modules) of each kind and layer, n(inputs) and n(cardinality) of each MLP
    reads         log2(variables of the right kind that can be read there) for each
    function      of m possible points to K values, the cheapest of: every value, m log2 K; or a rule with e exceptions,
                  bits(rule) + n(e) + log2 C(m, e) + e log2 K; and the choice among these kinds
                  rules of a predicate: a constant, log2 K; a shift cut off at the ends, log2(Q + K - 1), Q query values
                  rule of a table: a constant, log2 K
    number        to d decimals: n(|x| 10^d), and a sign unless 0; 64 bits if no d up to 17 is exact
    network       n(width), n(d), its numbers, with the smallest exact d
    votes         n(v) + log2 C(variables, v) for the v variables that vote, n(d), one bit a possible row for whether
                  it is 0, the numbers of the others; labels that are never predicted are left out

Values that cannot occur (`learnt.programs._verify_possible`) cost nothing; names, the vocabulary and the label set are
not counted, being the task's.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import floor, lgamma, log, log2

import numpy as np

from learnt.programs._verify_possible import numerical_entries, possible_values, table_entries
from learnt.programs.program import KINDS, Head, NumMLP, Program, ReluNet, TableMLP

EXACT = 17  # decimals that write a float of ordinary size exactly
PARTS = ("structure", "reads", "predicates", "tables", "networks", "votes")


def bits(program: Program, digits: int | None = None) -> dict[str, float]:
    """The bits of each part.

    Args:
        program: the program.
        digits: decimals of the votes; None: as many as write them exactly.
    """
    values = possible_values(program)
    cost: dict[str, float] = {part: 0.0 for part in PARTS}
    cost["structure"] = count_bits(len(program.layers))
    categorical, numerical = len(program.input_variables) + 1, 1
    for layer in program.layers:
        cost["structure"] += sum(count_bits(len(getattr(layer, kind))) for kind in KINDS)
        for head in (*layer.cat_heads, *layer.num_heads):
            is_categorical = head.value in program.cardinality
            cost["reads"] += 2 * log2(categorical) + log2(categorical if is_categorical else numerical)
            cost["predicates"] += _predicate_bits(program, head, values)
        categorical, numerical = categorical + len(layer.cat_heads), numerical + len(layer.num_heads)
        for mlp in (*layer.cat_mlps, *layer.num_mlps):
            size = program.cardinality[mlp.name]
            cost["structure"] += count_bits(len(mlp.inputs)) + count_bits(size)
            cost["reads"] += len(mlp.inputs) * log2(categorical if isinstance(mlp, TableMLP) else numerical)
            if mlp.table is not None:
                entries = numerical_entries(program, mlp) if isinstance(mlp, NumMLP) else None
                entries = table_entries(program, mlp, values) if isinstance(mlp, TableMLP) else entries
                cost["tables"] += function_bits(np.array(mlp.table)[entries], size, [])
            if isinstance(mlp, NumMLP) and mlp.weights is not None:
                cost["networks"] += _network_bits(mlp.weights)
        categorical += len(layer.cat_mlps) + len(layer.num_mlps)
    cost["votes"] = _votes_bits(program, values, digits)
    return cost


def count_bits(count: float) -> float:
    """The bits of a count."""
    return 2 * floor(log2(count + 1)) + 1


def function_bits(outputs: np.ndarray, n_values: int, rules: Iterable[tuple[float, np.ndarray]]) -> float:
    """The bits of a function by its outputs at the possible points.

    Args:
        outputs: (m,) values.
        n_values: K.
        rules: (bits that name it, (m,) values) of each rule beside the constants.
    """
    m, each = len(outputs), log2(n_values)
    named = list(rules)
    most = int(np.bincount(outputs, minlength=1).max()) if m else 0
    ways = [m * each, each + _exceptions(m, m - most, each)]
    ways += [cost + _exceptions(m, int((outputs != rule).sum()), each) for cost, rule in named]
    return min(ways) + log2(3 if named else 2)


def number_bits(values: np.ndarray, digits: int) -> float:
    """The bits of some numbers, rounded to so many decimals."""
    counts = np.abs(np.round(values * 10.0**digits))
    return float(np.sum(2 * np.floor(np.log2(counts + 1)) + 1 + (counts > 0)))


def exact_digits(values: np.ndarray) -> int | None:
    """The fewest decimals that write some numbers exactly; None if that takes more than 17."""
    for digits in range(EXACT + 1):
        if (np.round(values, digits) == values).all():
            return digits
    return None


def _exceptions(m: int, e: int, each: float) -> float:
    choices = (lgamma(m + 1) - lgamma(e + 1) - lgamma(m - e + 1)) / log(2)
    return count_bits(e) + choices + e * each


def _predicate_bits(program: Program, head: Head, values: dict[str, np.ndarray]) -> float:
    queries, n_keys = values[head.query], program.cardinality[head.key]
    shifts = range(1 - len(head.predicate), n_keys)
    name = log2(len(shifts)) if len(shifts) else 0.0
    rules = ((name, np.clip(queries + shift, 0, n_keys - 1)) for shift in shifts)
    return function_bits(np.array(head.predicate)[queries], n_keys, rules)


def _network_bits(net: ReluNet) -> float:
    numbers = np.concatenate([np.ravel(part) for part in (net.W_in, net.b_in, net.W_out, net.b_out)])
    digits = exact_digits(numbers)
    head = count_bits(len(net.b_in)) + count_bits(EXACT + 1 if digits is None else digits)
    return head + (64.0 * len(numbers) if digits is None else number_bits(numbers, digits))


def _votes_bits(program: Program, values: dict[str, np.ndarray], digits: int | None) -> float:
    allowed = [label for label in range(len(program.labels)) if label not in program.masked_labels]
    tables = {}
    for name, votes in program.classifier.items():
        table = np.atleast_2d(np.array(votes)[..., allowed])
        table = table[values[name]] if name in program.cardinality else table
        if digits is not None:
            table = np.round(table, digits)
        if table.any():
            tables[name] = table
    variables = len(program.categorical) + len(program.numerical)
    total = _exceptions(variables, len(tables), 0.0)
    kept = np.concatenate([table[table.any(1)].ravel() for table in tables.values()]) if tables else np.zeros(0)
    decimals = exact_digits(kept)
    total += count_bits(EXACT + 1 if decimals is None else decimals) + sum(len(table) for table in tables.values())
    return total + (64.0 * len(kept) if decimals is None else number_bits(kept, decimals))
