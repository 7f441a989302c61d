"""What does a program answer, and why? The semantics in plain Python, one input at a time.

    matches(i) = {j allowed: predicate[query_i] = key_j}       allowed: every token of the input, or j <= i if causal
    attend(i)  = the nearest match other than i, left before right
                 i if it is the only match;  0 if there is none

arXiv 2306.01128, sections 3.1 to 3.3 and appendix A.1, as the authors' model behaves in argmax mode; the Python files
that their code prints rank self by the number of matches instead, and differ. Every sum of floats runs in stream
order from 0.0, so that `learnt.programs.evaluator` gets the same bits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, final

from learnt.programs._frozen import FrozenMap
from learnt.programs.program import Head, Program, TableMLP
from learnt.programs.tokens import token_ids

Reason = Literal["match", "nearest", "self", "default"]


class Attended(NamedTuple):
    """Where one position looks.

    Attributes:
        position: the position attended to.
        reason: ``"match"``: the only one beside itself; ``"nearest"``: of several; ``"self"``: only it matches itself;
            ``"default"``: nothing matches, so position 0.
        matches: all matching positions, itself included.
    """

    position: int
    reason: Reason
    matches: tuple[int, ...]


@final
@dataclass(frozen=True, kw_only=True)
class Run:
    """Everything one input leads to, for an input of n tokens.

    Attributes:
        tokens: as the program read them: unknown ones are `<unk>`, padding is gone.
        variables: n values of each variable, by name.
        attended: n `Attended` of each categorical head, by name.
        logits: (n, n_labels); one row if the program pools. Masked labels have theirs too.
        predictions: n labels; one if the program pools.
    """

    tokens: tuple[str, ...]
    variables: FrozenMap[tuple[int, ...]]
    attended: FrozenMap[tuple[Attended, ...]]
    logits: tuple[tuple[float, ...], ...]
    predictions: tuple[str, ...]

    def __str__(self) -> str:
        return f"{' '.join(self.tokens)}: {' '.join(self.predictions)}"

    def to_fields(self) -> dict[str, Any]:
        """Plain JSON data."""
        return {
            "tokens": list(self.tokens),
            "variables": {name: list(values) for name, values in self.variables.items()},
            "attended": {
                name: [{**look._asdict(), "matches": list(look.matches)} for look in looks]
                for name, looks in self.attended.items()
            },
            "logits": [list(row) for row in self.logits],
            "predictions": list(self.predictions),
        }


def attend(
    queries: Sequence[int], keys: Sequence[int], predicate: Sequence[int], *, causal: bool = False
) -> tuple[Attended, ...]:
    """Where each position of a categorical head looks.

    Args:
        queries, keys: n values each.
        predicate: the key value that each query value looks for.
        causal: whether position i sees j <= i only.
    """
    attended = []
    for i, query in enumerate(queries):
        matches = tuple(j for j in _allowed(i, len(keys), causal) if predicate[query] == keys[j])
        others = [j for j in matches if j != i]
        if others:
            nearest = min(others, key=lambda j: (abs(i - j), j))
            attended.append(Attended(nearest, "match" if len(others) == 1 else "nearest", matches))
        elif matches:
            attended.append(Attended(i, "self", matches))
        else:
            attended.append(Attended(0, "default", matches))
    return tuple(attended)


def count(
    queries: Sequence[int],
    keys: Sequence[int],
    values: Sequence[int],
    predicate: Sequence[int],
    *,
    causal: bool = False,
) -> tuple[int, ...]:
    """The output of a numerical head: at each position the sum of the values that match, itself included.

    Args:
        queries, keys, values: n integers each.
        predicate: the key value that each query value looks for.
        causal: whether position i sees j <= i only.
    """
    return tuple(
        sum(values[j] for j in _allowed(i, len(keys), causal) if predicate[query] == keys[j])
        for i, query in enumerate(queries)
    )


def run(program: Program, tokens: Sequence[str], *, unknown: str = "auto") -> Run:
    """Everything one input leads to.

    Args:
        program: to run.
        tokens: the input, beginning-of-sequence token included.
        unknown: what to do with a token outside the vocabulary; see `learnt.programs.tokens`.

    Raises:
        InputError: an input that the program cannot take, or numerical values that an MLP has no answer for.
    """
    ids = token_ids(program, tokens, unknown=unknown)
    n = len(ids)
    variables: dict[str, tuple[int, ...]] = {}
    if program.embeddings is None:
        variables["tokens"] = tuple(ids)
    else:
        for e, name in enumerate(program.input_variables):
            variables[name] = tuple(program.embeddings[i][e] for i in ids)
    variables["positions"] = tuple(range(n))
    variables["ones"] = (1,) * n

    attended: dict[str, tuple[Attended, ...]] = {}
    for layer in program.layers:
        written: dict[str, tuple[int, ...]] = {}  # heads of a layer do not see each other, nor do its MLPs
        for head in layer.cat_heads:
            attended[head.name] = attend(*_queries_and_keys(head, variables), head.predicate, causal=program.causal)
            written[head.name] = tuple(variables[head.value][a.position] for a in attended[head.name])
        for head in layer.num_heads:
            sides = _queries_and_keys(head, variables)
            written[head.name] = count(*sides, variables[head.value], head.predicate, causal=program.causal)
        variables |= written
        written = {}
        for mlp in layer.cat_mlps:
            written[mlp.name] = tuple(
                _look_up(mlp, values, program) for values in zip(*(variables[v] for v in mlp.inputs), strict=True)
            )
        for mlp in layer.num_mlps:
            written[mlp.name] = tuple(map(mlp, zip(*(variables[v] for v in mlp.inputs), strict=True)))
        variables |= written

    logits = tuple(_votes(program, variables, i) for i in range(n))
    if program.pool:
        logits = (_mean(logits),)
    return Run(
        tokens=tuple(program.vocab[i] for i in ids),
        variables=FrozenMap({name: variables[name] for name in (*program.categorical, *program.numerical)}),
        attended=FrozenMap(attended),
        logits=logits,
        predictions=tuple(program.labels[predicted(program, row)] for row in logits),
    )


def predicted(program: Program, logits: Sequence[float]) -> int:
    """The id of the label with most votes, the first of several; never a masked one.

    Args:
        program: whose labels these are.
        logits: (n_labels,).
    """
    allowed = [label for label in range(len(program.labels)) if label not in program.masked_labels]
    return max(allowed, key=lambda label: logits[label])  # max returns the first maximum


def _allowed(i: int, n: int, causal: bool) -> range:
    return range(i + 1) if causal else range(n)


def _queries_and_keys(head: Head, variables: dict[str, tuple[int, ...]]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    return variables[head.query], variables[head.key]


def _look_up(mlp: TableMLP, values: Sequence[int], program: Program) -> int:
    entry = 0
    for name, value in zip(mlp.inputs, values, strict=True):
        entry = entry * program.cardinality[name] + value
    return mlp.table[entry]


def _votes(program: Program, variables: dict[str, tuple[int, ...]], i: int) -> tuple[float, ...]:
    total = [0.0] * len(program.labels)
    for name, votes in program.classifier.items():
        value = variables[name][i]
        row = votes[value] if name in program.cardinality else [weight * value for weight in votes]
        total = [a + b for a, b in zip(total, row, strict=True)]
    return tuple(total)


def _mean(rows: Sequence[Sequence[float]]) -> tuple[float, ...]:
    total = [0.0] * len(rows[0])
    for row in rows:
        total = [a + b for a, b in zip(total, row, strict=True)]
    return tuple(t / len(rows) for t in total)
