"""The weights of a program as a transformer: where each value stands in the residual stream, and what reads it.

    stream   one direction a value of each categorical variable, one a numerical variable, and marks:
             start:u=v is 1 at position 0 if u = v there, else 0
    score    s_ij = scale (M [pred(q_i) = k_j] - N [pred(q_i) = k_0, j = 0] + N [j = 0] - r_ij)        M = 2 N
             r_ij: the rank of j by distance from i, left first, i itself last: 0 .. N - 1
    table    one hidden unit a tuple of values: relu(sum of their directions - (n_in - 1))
    number   steps in an integer code of the inputs: relu(c - t + 1) - relu(c - t) is 0 below t and 1 from t on

A match scores at least N + 1 and position 0 without a match 1 to N, other positions at most 0: so the differences
that matter are `scale` or more. No score that is linear in key and in position can do without the marks: among
matches position 0 takes its turn by distance, among the others it comes first, so the bonus of position 0 must
depend on its key.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, final

import numpy as np

from learnt.core.errors import NotApplicable
from learnt.programs._transformer_tuples import number_steps, table_entries
from learnt.programs.program import Head, NumMLP, Program, TableMLP

Tuples = Mapping[str, np.ndarray]  # by MLP: the (T, n_in) tuples of values that occur


@final
@dataclass(frozen=True, eq=False, kw_only=True)
class Layout:
    """Where each variable stands.

    Attributes:
        where: by variable; one direction a value for a categorical variable, one for a numerical one.
        names: of all directions.
    """

    where: dict[str, slice]
    names: tuple[str, ...]

    @property
    def width(self) -> int:
        """The number of directions."""
        return len(self.names)

    def at(self, variable: str, value: int = 0) -> int:
        """The direction of a value of a categorical variable, or of a numerical variable."""
        return self.where[variable].start + value


@final
@dataclass(frozen=True, eq=False, kw_only=True)
class HeadWeights:
    """One head: (d, d_head) twice, (d, d_value), (d_value, d)."""

    name: str
    softmax: bool
    query: np.ndarray
    key: np.ndarray
    value: np.ndarray
    out: np.ndarray


@final
@dataclass(eq=False, kw_only=True)
class Units:
    """The hidden units of one MLP, as they are collected: sparse rows, each a list of (direction, weight)."""

    inward: list[list[tuple[int, float]]] = field(default_factory=list)
    bias: list[float] = field(default_factory=list)
    outward: list[list[tuple[int, float]]] = field(default_factory=list)
    constant: list[tuple[int, float]] = field(default_factory=list)

    def add(self, inward: list[tuple[int, float]], bias: float, outward: list[tuple[int, float]]) -> None:
        """One hidden unit relu(sum of inward + bias), written to `outward`."""
        self.inward.append(inward)
        self.bias.append(bias)
        self.outward.append(outward)

    def dense(self, width: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """W_in (d, units), b_in (units,), W_out (units, d), b_out (d,)."""
        w_in, w_out = np.zeros((width, len(self.bias))), np.zeros((len(self.bias), width))
        constant = np.zeros(width)
        for unit, (inward, outward) in enumerate(zip(self.inward, self.outward, strict=True)):
            for direction, weight in inward:
                w_in[direction, unit] += weight
            for direction, weight in outward:
                w_out[unit, direction] += weight
        for direction, weight in self.constant:
            constant[direction] += weight
        return w_in, np.array(self.bias), w_out, constant


@final
@dataclass(eq=False, kw_only=True)
class BlockWeights:
    """One block: heads, then an MLP; `written` are the variables that the MLP writes."""

    heads: list[HeadWeights] = field(default_factory=list)
    units: Units = field(default_factory=Units)
    written: set[str] = field(default_factory=set)


def layout(program: Program) -> Layout:
    """All directions: variables in stream order, then the marks that heads of this program need."""
    where: dict[str, slice] = {}
    names: list[str] = []
    texts = _texts(program)

    def add(variable: str, values: Sequence[str]) -> None:
        where[variable] = slice(len(names), len(names) + len(values))
        names.extend(values)

    for variable, size in program.cardinality.items():
        add(variable, [f"{variable}={texts[variable].get(v, v)}" for v in range(size)])
    for variable in program.numerical:
        add(variable, [variable])
    for variable in _marked(program):
        values = range(program.cardinality[variable])
        add(mark(variable), [f"{mark(variable)}={texts[variable].get(v, v)}" for v in values])
    return Layout(where=where, names=tuple(names))


def mark(variable: str) -> str:
    """What the copy of a variable that is kept at position 0 only is called."""
    return f"start:{variable}"


def blocks(program: Program, space: Layout, scale: float, tuples: Tuples | None) -> list[BlockWeights]:
    """The blocks of the transformer: one a layer, and one more wherever a mark has no other place."""
    made: list[BlockWeights] = []
    marked: set[str] = {"positions"}  # position 0 has the value 0: known without a mark
    for layer in program.layers:
        for variable in dict.fromkeys(head.key for head in layer.cat_heads):
            if variable in marked:
                continue
            if not made or variable in made[-1].written:  # an MLP cannot read what it writes
                made.append(BlockWeights())
            for value in range(program.cardinality[variable]):
                inward = [(space.at("positions"), 1.0), (space.at(variable, value), 1.0)]
                made[-1].units.add(inward, -1.0, [(space.at(mark(variable), value), 1.0)])
            marked.add(variable)
        block = BlockWeights()
        block.heads += [_cat_head(program, head, space, scale) for head in layer.cat_heads]
        block.heads += [_num_head(program, head, space) for head in layer.num_heads]
        for mlp in (*layer.cat_mlps, *layer.num_mlps):
            given = None if tuples is None else tuples[mlp.name]
            _mlp(program, mlp, space, block.units, given)
            block.written.add(mlp.name)
        made.append(block)
    return made


def embeddings(program: Program, space: Layout) -> tuple[np.ndarray, np.ndarray]:
    """(vocab, d) and (n_ctx, d): what a token and a position write at first."""
    token, position = np.zeros((len(program.vocab), space.width)), np.zeros((program.n_ctx, space.width))
    for i in range(len(program.vocab)):
        values = (i,) if program.embeddings is None else program.embeddings[i]
        for variable, value in zip(program.input_variables, values, strict=True):
            token[i, space.at(variable, value)] = 1.0
    for i in range(program.n_ctx):
        position[i, [space.at("positions", i), space.at("ones")]] = 1.0
    return token, position


def unembedding(program: Program, space: Layout) -> np.ndarray:
    """(d, labels): the classifier."""
    votes = np.zeros((space.width, len(program.labels)))
    for variable, rows in program.classifier.items():
        votes[space.where[variable]] = np.array(rows).reshape(-1, len(program.labels))
    return votes


def ranks(n: int) -> np.ndarray:
    """(n, n): the place of j when positions are sorted by distance from i, left first, i itself last."""
    here = np.arange(n)
    distance = np.abs(here[:, None] - here).astype(float)
    distance[here, here] = n
    return (2 * distance + (here > here[:, None])).argsort(1, kind="stable").argsort(1, kind="stable")


def _cat_head(program: Program, head: Head, space: Layout, scale: float) -> HeadWeights:
    n, size = program.n_ctx, program.cardinality[head.key]
    query, key = np.zeros((space.width, size + n)), np.zeros((space.width, size + n))
    query[np.arange(len(head.predicate)) + space.at(head.query), head.predicate] = scale
    values = np.arange(size)
    key[space.at(head.key) + values, values] = 2.0 * n
    if head.key == "positions":
        key[space.at("positions"), 0] -= n
    else:
        key[space.at(mark(head.key)) + values, values] = -n
    places = np.arange(n)
    order = -ranks(n).astype(float)
    order[:, 0] += n
    query[(space.at("positions") + places)[:, None], size + places] += scale * order
    key[space.at("positions") + places, size + places] = 1.0
    return _head(program, head, space, query, key, softmax=True)


def _num_head(program: Program, head: Head, space: Layout) -> HeadWeights:
    size = program.cardinality[head.key]
    query, key = np.zeros((space.width, size)), np.zeros((space.width, size))
    query[np.arange(len(head.predicate)) + space.at(head.query), head.predicate] = 1.0
    key[space.at(head.key) + np.arange(size), np.arange(size)] = 1.0
    return _head(program, head, space, query, key, softmax=False)


def _head(
    program: Program, head: Head, space: Layout, query: np.ndarray, key: np.ndarray, *, softmax: bool
) -> HeadWeights:
    size = program.cardinality.get(head.value, 1)
    value, out = np.zeros((space.width, size)), np.zeros((size, space.width))
    value[space.at(head.value) + np.arange(size), np.arange(size)] = 1.0
    out[np.arange(size), space.at(head.name) + np.arange(size)] = 1.0
    return HeadWeights(name=head.name, softmax=softmax, query=query, key=key, value=value, out=out)


def _mlp(program: Program, mlp: TableMLP | NumMLP, space: Layout, units: Units, given: np.ndarray | None) -> None:
    """The units of one MLP; the output that is most common, or the first, needs none: it is the bias."""
    if isinstance(mlp, TableMLP):
        values, outputs = table_entries(program, mlp, given)
        rest = int(np.bincount(outputs).argmax())
        units.constant.append((space.at(mlp.name, rest), 1.0))
        for row, output in zip(values.tolist(), outputs.tolist(), strict=True):
            if output != rest:
                inward = [(space.at(v, x), 1.0) for v, x in zip(mlp.inputs, row, strict=True)]
                change = [(space.at(mlp.name, output), 1.0), (space.at(mlp.name, rest), -1.0)]
                units.add(inward, 1.0 - len(row), change)
        return
    weights, first, steps = number_steps(program, mlp, given)
    units.constant.append((space.at(mlp.name, first), 1.0))
    inward = [(space.at(v), float(w)) for v, w in zip(mlp.inputs, weights, strict=True)]
    for threshold, old, new in steps:
        up = [(space.at(mlp.name, new), 1.0), (space.at(mlp.name, old), -1.0)]
        units.add(inward, 1.0 - threshold, up)
        units.add(inward, -float(threshold), [(direction, -weight) for direction, weight in up])


def _marked(program: Program) -> list[str]:
    keys = (head.key for layer in program.layers for head in layer.cat_heads)
    return [key for key in dict.fromkeys(keys) if key != "positions"]


def _texts(program: Program) -> dict[str, dict[int, str]]:
    """The tokens that values stand for, by variable; for `tokens` and heads that read them."""
    words = dict(enumerate(program.vocab))
    texts: dict[str, Any] = {variable: {} for variable in program.cardinality}
    if "tokens" in texts:
        texts["tokens"] = words
    for layer in program.layers:
        for head in layer.cat_heads:
            texts[head.name] = texts[head.value]
    return texts


def check_least(program: Program, width: int, most: int) -> None:
    """Refuse what cannot fit before anything is made: matrices of queries and keys, embeddings, the classifier.

    Raises:
        NotApplicable: more than `most` parameters.
    """
    total = (len(program.vocab) + program.n_ctx + len(program.labels)) * width
    for layer in program.layers:
        total += sum(2 * width * (program.cardinality[head.key] + program.n_ctx) for head in layer.cat_heads)
        total += sum(2 * width * program.cardinality[head.key] for head in layer.num_heads)
    if total > most:
        raise NotApplicable(
            "program",
            found=f"at least {total:,} parameters ({width:,} directions)",
            expected=f"at most {most:,}",
            remedy="Use a program for shorter inputs whose variables have fewer values.",
        )


def check_size(program: Program, made: list[BlockWeights], width: int, most: int) -> None:
    """Refuse what would not fit.

    Raises:
        NotApplicable: more than `most` parameters.
    """
    n_heads = [len(block.heads) for block in made]
    keys = [max((h.query.shape[1] for h in b.heads), default=0) for b in made]
    values = [max((h.value.shape[1] for h in b.heads), default=0) for b in made]
    heads = sum(2 * h * width * (k + v) for h, k, v in zip(n_heads, keys, values, strict=True))
    rows = len(program.vocab) + program.n_ctx + len(program.labels) + sum(2 * len(b.units.bias) for b in made)
    total = heads + rows * width
    if total > most:
        raise NotApplicable(
            "program",
            found=f"{total:,} parameters ({width:,} directions, {sum(len(b.units.bias) for b in made):,} hidden units)",
            expected=f"at most {most:,}",
            remedy="Simplify the program, or give a domain, so that only what occurs on it is compiled.",
        )
