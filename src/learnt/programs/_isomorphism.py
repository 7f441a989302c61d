"""Are two programs the same up to the names and the order of modules? Decided exactly, without running anything.

Colour refinement: a module starts with the colour of what it holds (layer, kind, predicate or table, votes) and takes
up, again and again, the colours of what it reads and of its readers. Modules that no colour tells apart are tried one
against the other. Votes of 0 are no votes. The order of tokens in the vocabulary is only numbering; that of labels is
not, because it decides ties.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from learnt.programs.program import Head, Layer, Module, NumMLP, Program, TableMLP

Node = tuple[str, str]  # (side, name)


def renaming(a: Program, b: Program) -> dict[str, str] | None:
    """Names of b's modules by names of a's if the two are the same program otherwise; None if they are not.

    The order of modules inside a layer may differ too, and that of tokens in the vocabulary. Sums of votes may then
    run in another order, so that logits are equal up to rounding.
    """
    if set(a.vocab) != set(b.vocab):
        return None
    if a.vocab != b.vocab:
        if a.cardinality.get("tokens") != b.cardinality.get("tokens"):
            return None
        b = with_vocab(b, a.vocab)
    if _frame(a) != _frame(b):
        return None
    sides = {"a": a, "b": b}
    colours: dict[Node, Any] = {
        (side, module.name): (layer, kind, _content(module), _votes(program, module.name))
        for side, program in sides.items()
        for layer, kind, module in program.modules()
    }
    return _search(sides, _numbered(colours))


def with_vocab(program: Program, vocab: Sequence[str]) -> Program:
    """The same program with its tokens in another order; `<pad>` stays where it is."""
    place = {token: i for i, token in enumerate(vocab)}
    order = np.array([place[token] for token in program.vocab])
    if program.embeddings is not None:
        rows: list[Any] = [None] * len(order)
        for old, new in enumerate(order.tolist()):
            rows[new] = program.embeddings[old]
        return replace(program, vocab=tuple(vocab), embeddings=rows)
    spare = np.arange(len(order), program.cardinality["tokens"])
    return renumbered(replace(program, vocab=tuple(vocab)), {"tokens": np.concatenate([order, spare])})


def renumbered(program: Program, changes: Mapping[str, np.ndarray]) -> Program:
    """The same program with other numbers for the values of some variables, in all that read them.

    Args:
        program: to change; its vocabulary stays as it is.
        changes: (cardinality,) new value of each old one, by variable: an input variable or the output of an MLP with
            a table. Heads take over the numbers of the variable that they copy.
    """
    new: dict[str, np.ndarray] = {
        name: np.asarray(changes.get(name, np.arange(size))) for name, size in program.cardinality.items()
    }

    def head(h: Head) -> Head:
        found = np.array(h.predicate)
        found[new[h.query]] = new[h.key][np.array(h.predicate)]
        return replace(h, predicate=found.tolist())

    def table_mlp(m: TableMLP) -> TableMLP:
        table = np.array(m.table).reshape([program.cardinality[v] for v in m.inputs])
        for axis, name in enumerate(m.inputs):
            table = table.take(np.argsort(new[name]), axis)
        return replace(m, table=new[m.name][table].ravel().tolist())

    def num_mlp(m: NumMLP) -> NumMLP:
        if m.name not in changes or m.table is None:
            return m
        return replace(m, table=[v if v < 0 else int(new[m.name][v]) for v in m.table])

    layers = []
    for layer in program.layers:
        for h in layer.cat_heads:
            new[h.name] = new[h.value]
        layers.append(
            Layer(
                cat_heads=tuple(map(head, layer.cat_heads)),
                num_heads=tuple(map(head, layer.num_heads)),
                cat_mlps=tuple(map(table_mlp, layer.cat_mlps)),
                num_mlps=tuple(map(num_mlp, layer.num_mlps)),
            )
        )
    votes = {}
    for name, rows in program.classifier.items():
        votes[name] = np.array(rows)[np.argsort(new[name])] if name in program.cardinality else rows
    embeddings = program.embeddings
    if embeddings is not None:
        embeddings = [[int(new[f"emb_{e}"][v]) for e, v in enumerate(row)] for row in embeddings]
    return replace(program, layers=tuple(layers), classifier=votes, embeddings=embeddings)


def reads(module: Module) -> tuple[str, ...]:
    """Names of the variables that a module reads, in their roles."""
    return (module.query, module.key, module.value) if isinstance(module, Head) else tuple(module.inputs)


def _frame(program: Program) -> tuple[Any, ...]:
    """What two equal programs share apart from modules: the frame, and votes of input variables."""
    inputs = (*program.input_variables, "positions", "ones")
    return (
        program.labels, program.n_ctx, program.causal, program.embeddings, program.masked_labels, program.pool,
        tuple(_votes(program, name) for name in inputs),
        tuple(program.cardinality.get(name) for name in inputs),
        tuple(tuple(len(getattr(layer, kind)) for kind in vars(layer)) for layer in program.layers),
    )  # fmt: skip


def _votes(program: Program, name: str) -> Any:
    votes = program.classifier.get(name)
    return None if votes is None or not np.any(votes) else votes


def _content(module: Module) -> Any:
    if isinstance(module, Head):
        return module.predicate
    if isinstance(module, TableMLP):
        return module.table
    return module.sizes, module.table, module.weights


def _numbered(colours: Mapping[Node, Any]) -> dict[Node, int]:
    numbers: dict[Any, int] = {}
    return {node: numbers.setdefault(colour, len(numbers)) for node, colour in colours.items()}


def _refined(sides: Mapping[str, Program], colours: dict[Node, int]) -> dict[Node, int]:
    """Colours that tell apart whatever reads, or is read by, different colours."""
    while True:
        readers: dict[Node, list[tuple[int, int]]] = {node: [] for node in colours}
        read: dict[Node, tuple[Any, ...]] = {}
        for side, program in sides.items():
            for _, _, module in program.modules():
                me = (side, module.name)
                sources = reads(module)
                read[me] = tuple(colours.get((side, name), name) for name in sources)
                for role, name in enumerate(sources):
                    if (side, name) in colours:
                        readers[side, name].append((colours[me], role))
        finer = _numbered({node: (old, read[node], tuple(sorted(readers[node]))) for node, old in colours.items()})
        if len(set(finer.values())) == len(set(colours.values())):
            return finer
        colours = finer


def _search(sides: Mapping[str, Program], colours: dict[Node, int]) -> dict[str, str] | None:
    colours = _refined(sides, colours)
    classes: dict[int, dict[str, list[str]]] = {}
    for (side, name), colour in colours.items():
        classes.setdefault(colour, {"a": [], "b": []})[side].append(name)
    if any(len(found["a"]) != len(found["b"]) for found in classes.values()):
        return None
    alike = [found for found in classes.values() if len(found["a"]) > 1]
    if not alike:
        names = {found["a"][0]: found["b"][0] for found in classes.values()}
        return names if _fits(sides["a"], sides["b"], names) else None
    chosen = min(alike, key=lambda found: len(found["a"]))
    fresh = max(colours.values()) + 1
    for other in chosen["b"]:
        found = _search(sides, colours | {("a", chosen["a"][0]): fresh, ("b", other): fresh})
        if found is not None:
            return found
    return None


def _fits(a: Program, b: Program, names: Mapping[str, str]) -> bool:
    """Whether a with these names has the very modules and votes of b, whatever their order."""

    def contents(program: Program, rename: Mapping[str, str]) -> Counter[Any]:
        return Counter(
            (
                layer, kind, rename.get(module.name, module.name), _content(module),
                tuple(rename.get(name, name) for name in reads(module)), _votes(program, module.name),
            )
            for layer, kind, module in program.modules()
        )  # fmt: skip

    return contents(a, names) == contents(b, {})
