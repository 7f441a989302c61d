"""Is this a program? Every field copied into immutable values and checked against the stream, errors by their place.

One walk along the stream knows at each module what may be read: a name that comes later is a forward reference, one
of the other kind (categorical, numerical) is a wrong kind, any other an unknown variable.
"""

from __future__ import annotations

import keyword
import re
from collections.abc import Mapping
from dataclasses import replace
from math import prod
from typing import Any

from learnt.core.errors import InputError, ShapeError
from learnt.programs._frozen import (
    FrozenMap,
    flag,
    frozen,
    integer,
    integers,
    matrix,
    reals,
    sequence,
    short,
    text,
    texts,
)
from learnt.programs.program import KINDS, PAD, UNANSWERED, Head, Layer, NumMLP, Program, ReluNet, TableMLP

MOST = 1 << 20  # values of a variable, and tokens of an input: a number in a file must not ask for all the memory
_RESERVED = re.compile(r"tokens|positions|ones|emb_\d+")
_TYPES: dict[str, type] = {"cat_heads": Head, "num_heads": Head, "cat_mlps": TableMLP, "num_mlps": NumMLP}


def checked_fields(program: Program) -> dict[str, Any]:
    """The fields of a program, immutable and checked; see `Program` for what is raised."""
    vocab, labels = texts(program.vocab, "vocab"), texts(program.labels, "labels")
    if PAD in vocab[1:]:
        raise InputError("vocab", found=f"{PAD!r} with id {vocab.index(PAD)}", expected="id 0 for padding")
    k, n_ctx = integer(program.k, "k", 1, MOST), integer(program.n_ctx, "n_ctx", 1, MOST)
    sizes = _cardinalities(program.cardinalities)
    stream = _Stream(k, n_ctx, sizes)
    embeddings = None
    if program.embeddings is None:
        if stream.size("tokens") < len(vocab):
            raise InputError(
                "cardinalities.tokens" if "tokens" in sizes else "k",
                found=f"{stream.size('tokens')} values for {len(vocab)} tokens",
                expected=f"at least {len(vocab)}, one a token",
                remedy="Use a larger k, a cardinality of its own for tokens, or embeddings.",
            )
        stream.add("tokens", "tokens", size=stream.size("tokens"))
    else:
        embeddings = _embeddings(program.embeddings, vocab, stream)
    if stream.size("positions") < n_ctx:
        raise InputError(
            "cardinalities.positions" if "positions" in sizes else "k",
            found=f"{stream.size('positions')} values for {n_ctx} positions",
            expected=f"at least n_ctx = {n_ctx}",
        )
    stream.add("positions", "positions", size=stream.size("positions"))
    stream.add("ones", "ones")
    layers = _layers(program.layers, stream)
    for name in sizes:
        if name not in stream.sized:
            where = f"cardinalities.{name}"
            if name in stream.categorical:
                raise InputError(where, found="an attention head", expected="none: it has that of its value variable")
            raise InputError(where, found="no such variable", expected="tokens, emb_e, positions or an MLP's output")
    masked = integers(program.masked_labels, "masked_labels", None, len(labels) - 1)
    if len(set(masked)) < len(masked) or len(masked) == len(labels):
        fault = "every label" if len(masked) == len(labels) else "a label twice"
        raise InputError("masked_labels", found=fault, expected="each label at most once, and one left to predict")
    if not isinstance(program.meta, Mapping):
        raise InputError("meta", found=short(program.meta), expected="an object")
    return {
        "vocab": vocab,
        "labels": labels,
        "k": k,
        "n_ctx": n_ctx,
        "layers": layers,
        "classifier": _classifier(program.classifier, stream, len(labels)),
        "causal": flag(program.causal, "causal"),
        "embeddings": embeddings,
        "masked_labels": tuple(sorted(masked)),
        "pool": flag(program.pool, "pool"),
        "cardinalities": FrozenMap({name: size for name, size in sizes.items() if size != k}),
        "meta": frozen(program.meta, "meta"),
    }


class _Stream:
    """The variables written so far: what a module at this point may read."""

    def __init__(self, k: int, n_ctx: int, sizes: Mapping[str, int]) -> None:
        self.k, self.n_ctx, self._sizes = k, n_ctx, sizes
        self.categorical: dict[str, int] = {}
        self.numerical: dict[str, None] = {}  # in stream order
        self.sized: set[str] = set()  # whose cardinality is their own
        self.later: set[str] = set()

    def size(self, name: str) -> int:
        return self._sizes.get(name, self.k)

    def add(self, name: str, where: str, size: int | None = None, *, derived: bool = False) -> None:
        if name in self.categorical or name in self.numerical:
            raise InputError(where, found=f"{name!r} a second time", expected="a name of its own for each variable")
        if size is None:
            self.numerical[name] = None
        else:
            self.categorical[name] = size
            if not derived:
                self.sized.add(name)

    def read(self, name: Any, where: str, kind: str) -> str:
        name = text(name, where)
        mine, other = (
            (self.categorical, self.numerical) if kind == "categorical" else (self.numerical, self.categorical)
        )
        if name in mine:
            return name
        readable = ", ".join(mine) or "none"
        found = f"the unknown variable {name!r}"
        if name in other:
            found = f"{name!r}, which is not {kind}"
        elif name in self.later:
            found = f"{name!r}, a forward reference: it is written only later"
        raise InputError(where, found=found, expected=f"a {kind} variable that can be read here ({readable})")


def _cardinalities(given: Any) -> dict[str, int]:
    if not isinstance(given, Mapping):
        raise InputError("cardinalities", found=short(given), expected="sizes by variable")
    return {text(name, "cardinalities"): integer(v, f"cardinalities.{name}", 1, MOST) for name, v in given.items()}


def _embeddings(given: Any, vocab: tuple[str, ...], stream: _Stream) -> tuple[tuple[int, ...], ...]:
    rows = sequence(given, "embeddings", "lists of values, one a token")
    if len(rows) != len(vocab):
        raise ShapeError("embeddings", found=f"{len(rows)} rows", expected=f"{len(vocab)}, one a token")
    width = len(sequence(rows[0], "embeddings[0]", "values"))
    if not width:
        raise ShapeError("embeddings[0]", found="no value", expected="at least one")
    limits = [stream.size(f"emb_{e}") for e in range(width)]
    table = []
    for w, row in enumerate(rows):
        where = f"embeddings[{w}]"
        listed = sequence(row, where, "values")
        if len(listed) != width:
            raise ShapeError(where, found=f"{len(listed)} values", expected=f"{width}, as in the first row")
        table.append(tuple(integer(v, f"{where}[{e}]", 0, limits[e] - 1) for e, v in enumerate(listed)))
    for e in range(width):
        stream.add(f"emb_{e}", "embeddings", size=limits[e])
    return tuple(table)


def _layers(given: Any, stream: _Stream) -> tuple[Layer, ...]:
    named = [_named(layer, index) for index, layer in enumerate(sequence(given, "layers", "layers"))]
    stream.later = {module.name for layer in named for kind in KINDS for module in getattr(layer, kind)}
    layers = []
    for index, layer in enumerate(named):
        place = f"layers[{index}]"
        cat = [_head(h, f"{place}.cat_heads[{i}]", "categorical", stream) for i, h in enumerate(layer.cat_heads)]
        num = [_head(h, f"{place}.num_heads[{i}]", "numerical", stream) for i, h in enumerate(layer.num_heads)]
        for i, head in enumerate(cat):
            stream.add(head.name, f"{place}.cat_heads[{i}]", stream.categorical[head.value], derived=True)
        for i, head in enumerate(num):
            stream.add(head.name, f"{place}.num_heads[{i}]")
        tables = [_table_mlp(m, f"{place}.cat_mlps[{i}]", stream) for i, m in enumerate(layer.cat_mlps)]
        nets = [_num_mlp(m, f"{place}.num_mlps[{i}]", stream) for i, m in enumerate(layer.num_mlps)]
        for kind, mlps in (("cat_mlps", tables), ("num_mlps", nets)):
            for i, mlp in enumerate(mlps):
                stream.add(mlp.name, f"{place}.{kind}[{i}]", stream.size(mlp.name))
        layers.append(Layer(cat_heads=tuple(cat), num_heads=tuple(num), cat_mlps=tuple(tables), num_mlps=tuple(nets)))
    return tuple(layers)


def _named(layer: Any, index: int) -> Layer:
    """A layer whose modules all have names: their own, or the ones of their places."""
    if not isinstance(layer, Layer):
        raise InputError(f"layers[{index}]", found=short(layer), expected="a Layer")
    parts: dict[str, Any] = {}
    for kind, stem in KINDS.items():
        modules = []
        for i, module in enumerate(sequence(getattr(layer, kind), f"layers[{index}].{kind}", "modules")):
            where = f"layers[{index}].{kind}[{i}]"
            if not isinstance(module, _TYPES[kind]):
                raise InputError(where, found=short(module), expected=f"a {_TYPES[kind].__name__}")
            name = text(module.name, f"{where}.name") or f"{stem}_{index}_{i}"
            if not name.isidentifier() or keyword.iskeyword(name) or _RESERVED.fullmatch(name):
                raise InputError(f"{where}.name", found=repr(name), expected="a free name of a Python variable")
            modules.append(replace(module, name=name))
        parts[kind] = tuple(modules)
    return Layer(**parts)


def _head(head: Head, where: str, kind: str, stream: _Stream) -> Head:
    query = stream.read(head.query, f"{where}.query", "categorical")
    key = stream.read(head.key, f"{where}.key", "categorical")
    value = stream.read(head.value, f"{where}.value", kind)
    limits = stream.categorical[query], stream.categorical[key] - 1
    return Head(
        query=query,
        key=key,
        value=value,
        predicate=integers(head.predicate, f"{where}.predicate", *limits),
        name=head.name,
    )


def _inputs(given: Any, where: str, kind: str, stream: _Stream) -> tuple[str, ...]:
    names = sequence(given, f"{where}.inputs", "names of variables")
    if not names:
        raise InputError(f"{where}.inputs", found="an empty list", expected="at least one variable")
    return tuple(stream.read(name, f"{where}.inputs[{i}]", kind) for i, name in enumerate(names))


def _table_mlp(mlp: TableMLP, where: str, stream: _Stream) -> TableMLP:
    inputs = _inputs(mlp.inputs, where, "categorical", stream)
    entries = prod(stream.categorical[name] for name in inputs)
    table = integers(mlp.table, f"{where}.table", entries, stream.size(mlp.name) - 1)
    return TableMLP(inputs=inputs, table=table, name=mlp.name)


def _num_mlp(mlp: NumMLP, where: str, stream: _Stream) -> NumMLP:
    inputs = _inputs(mlp.inputs, where, "numerical", stream)
    size = stream.size(mlp.name)
    if (mlp.table is None) != (mlp.sizes is None):
        raise InputError(where, found="only one of table and sizes", expected="both or none")
    if mlp.table is None and mlp.weights is None:
        raise InputError(where, found="neither a table nor weights", expected="at least one of them")
    sizes = table = weights = None
    if mlp.table is not None:
        listed = sequence(mlp.sizes, f"{where}.sizes", "integers")
        if len(listed) != len(inputs):
            raise ShapeError(f"{where}.sizes", found=f"{len(listed)} entries", expected=f"{len(inputs)}, one an input")
        sizes = tuple(integer(v, f"{where}.sizes[{i}]", 1) for i, v in enumerate(listed))
        listed = sequence(mlp.table, f"{where}.table", "integers")
        if len(listed) != prod(sizes):
            raise ShapeError(f"{where}.table", found=f"{len(listed)} entries", expected=f"{prod(sizes)}")
        found = (integer(v, f"{where}.table[{i}]", UNANSWERED) for i, v in enumerate(listed))
        table = tuple(v if v < size else UNANSWERED for v in found)
    if mlp.weights is not None:
        weights = _net(mlp.weights, f"{where}", len(inputs), size)
    return NumMLP(inputs=inputs, sizes=sizes, table=table, weights=weights, name=mlp.name)


def _net(net: Any, where: str, n_in: int, size: int) -> ReluNet:
    if not isinstance(net, ReluNet):
        raise InputError(f"{where}.weights", found=short(net), expected="a ReluNet")
    b_in = reals(net.b_in, f"{where}.b_in", None)
    return ReluNet(
        W_in=matrix(net.W_in, f"{where}.W_in", len(b_in), n_in),
        b_in=b_in,
        W_out=matrix(net.W_out, f"{where}.W_out", size, len(b_in)),
        b_out=reals(net.b_out, f"{where}.b_out", size),
    )


def _classifier(given: Any, stream: _Stream, n_labels: int) -> FrozenMap[Any]:
    if not isinstance(given, Mapping):
        raise InputError("classifier", found=short(given), expected="votes by variable")
    for name in given:
        if name not in stream.categorical and name not in stream.numerical:
            raise InputError(
                "classifier",
                found=f"the unknown variable {short(name)}",
                expected=f"variables of the program ({', '.join((*stream.categorical, *stream.numerical))})",
            )
    # In stream order, because sums of floats depend on the order: all evaluators add alike.
    votes: dict[str, Any] = {}
    for name, size in stream.categorical.items():
        if name in given:
            votes[name] = matrix(given[name], f"classifier.{name}", size, n_labels)
    for name in stream.numerical:
        if name in given:
            votes[name] = reals(given[name], f"classifier.{name}", n_labels)
    return FrozenMap(votes)
