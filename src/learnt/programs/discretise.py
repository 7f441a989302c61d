"""Which program has a network become, and which network is a program?

    theta* = argmax of every gate, predicate row and embedding block; MLPs to tables; votes as they are

arXiv 2306.01128, section 3.2 and appendix A.3. A numerical MLP keeps its network, so that no value is ever outside a
table. The way back sets the logits of choices to +-B and writes a table as a network with one hidden unit for each
key: relu(sum of the key's one-hots - (inputs - 1)); a table over numbers becomes the piecewise linear function of
the key's number that takes the table's values at the integers.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product
from math import prod
from typing import Any

import numpy as np
import torch

from learnt.core.errors import NotApplicable
from learnt.programs.config import Shape
from learnt.programs.module import ProgramModule
from learnt.programs.program import Head, Layer, NumMLP, Program, ReluNet, TableMLP

CERTAIN = 1e4  # a logit that no noise and no temperature overturns
LARGEST_NET = 1 << 16  # hidden units of a compiled table


def discretised(tensors: Mapping[str, Any], shape: Shape, *, meta: Mapping[str, Any] | None = None) -> Program:
    """The program that a network's parameters have become.

    Args:
        tensors: parameters of one `ProgramModule` by name (tensors or arrays).
        shape: its sizes.
        meta: kept in the program.
    """
    p = {name: _array(value) for name, value in tensors.items()}
    layers = tuple(_layer(p, shape, layer) for layer in range(shape.layers))
    categorical, numerical = shape.names()
    classifier: dict[str, Any] = {name: p["votes"][:, i].T for i, name in enumerate(categorical)}
    classifier |= {name: p["num_votes"][:, i] for i, name in enumerate(numerical)}
    return Program(
        vocab=shape.vocab, labels=shape.labels, k=shape.k, n_ctx=shape.n_ctx, layers=layers, classifier=classifier,
        causal=shape.causal, embeddings=p["embedding"].argmax(1).T if shape.embeddings else None,
        masked_labels=shape.masked, pool=shape.pool, meta=meta or {},
    )  # fmt: skip


def _array(value: Any) -> np.ndarray:
    array = value.detach().cpu().numpy() if isinstance(value, torch.Tensor) else np.asarray(value)
    return array.astype(np.float64)


def _layer(p: Mapping[str, np.ndarray], shape: Shape, layer: int) -> Layer:
    names, numbers = shape.names(layer)
    seen, counted = shape.mlp_names(layer)
    heads, cat = shape.cat_heads + shape.num_heads, shape.cat_heads
    cat_heads, num_heads = [], []
    if heads:
        gates = p[f"head_gates_{layer}"].argmax(1)
        predicates = p[f"predicates_{layer}"].argmax(2)
        sources = p[f"value_gates_{layer}"].argmax(1) if shape.num_heads else []
        for h in range(heads):
            value = names[gates[2 * heads + h]] if h < cat else numbers[sources[h - cat]]
            head = Head(query=names[gates[h]], key=names[gates[heads + h]], value=value, predicate=predicates[h])
            (cat_heads if h < cat else num_heads).append(head)
    width = shape.mlp_inputs
    cat_mlps = []
    for i in range(shape.cat_mlps):
        chosen = p[f"mlp_gates_{layer}"][i * width : (i + 1) * width].argmax(1)
        cat_mlps.append(TableMLP(inputs=tuple(seen[c] for c in chosen), table=_table(p, layer, i, shape).tolist()))
    num_mlps = []
    for i in range(shape.num_mlps):
        chosen = p[f"num_mlp_gates_{layer}"][i * width : (i + 1) * width].argmax(1)
        net = ReluNet(
            W_in=p[f"num_mlp_in_{layer}"][i], b_in=p[f"num_mlp_in_bias_{layer}"][i],
            W_out=p[f"num_mlp_out_{layer}"][i], b_out=p[f"num_mlp_out_bias_{layer}"][i],
        )  # fmt: skip
        num_mlps.append(NumMLP(inputs=tuple(counted[c] for c in chosen), weights=net))
    return Layer(cat_heads=cat_heads, num_heads=num_heads, cat_mlps=cat_mlps, num_mlps=num_mlps)


def _table(p: Mapping[str, np.ndarray], layer: int, index: int, shape: Shape) -> np.ndarray:
    """(k ** inputs,) outputs of a categorical MLP, row-major."""
    k, width = shape.k, shape.mlp_inputs
    blocks = p[f"mlp_in_{layer}"][index].reshape(shape.hidden, width, k)  # (d, inputs, k)
    hidden = p[f"mlp_in_bias_{layer}"][index].reshape(1, -1)
    for i in range(width):
        hidden = (hidden[:, None] + blocks[:, i].T).reshape(-1, shape.hidden)
    out = np.maximum(hidden, 0) @ p[f"mlp_out_{layer}"][index].T + p[f"mlp_out_bias_{layer}"][index]
    return out.argmax(1)


def to_torch(program: Program) -> ProgramModule:
    """A `ProgramModule` whose discrete program is `program`, up to modules that do nothing.

    Args:
        program: to become a network.

    Raises:
        NotApplicable: an MLP whose table has more than 65,536 entries.
    """
    shape = shape_of(program)
    module = ProgramModule(shape)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.zero_()
        for name, values in compiled(program, shape).items():
            dict(module.named_parameters())[name].copy_(torch.as_tensor(values))
    return module.eval()


def shape_of(program: Program) -> Shape:
    """The smallest shape that holds a program: every layer as wide as its widest.

    Args:
        program: to be held.

    Raises:
        NotApplicable: an MLP whose table has more than 65,536 entries.
    """
    layers = program.layers
    mlps = [(m, program) for layer in layers for m in (*layer.cat_mlps, *layer.num_mlps)]
    width = max((len(m.inputs) for m, _ in mlps), default=1)
    k = max(*program.cardinality.values(), program.n_ctx)
    hidden = 1
    for layer in layers:
        if layer.cat_mlps:
            hidden = max(hidden, k**width)
        for mlp in layer.num_mlps:
            hidden = max(hidden, len(mlp.weights.b_in) if mlp.weights and not mlp.table else prod(_box(program, mlp)))
    if hidden > LARGEST_NET:
        raise NotApplicable(
            "program",
            found=f"a table of {hidden:,} entries as a network",
            expected=f"at most {LARGEST_NET:,}",
            remedy="Simplify the program first, or give its MLPs fewer inputs.",
        )
    return Shape(
        layers=max(len(layers), 1),
        cat_heads=max((len(x.cat_heads) for x in layers), default=0),
        num_heads=max((len(x.num_heads) for x in layers), default=0),
        cat_mlps=max((len(x.cat_mlps) for x in layers), default=0),
        num_mlps=max((len(x.num_mlps) for x in layers), default=0),
        k=k, n_ctx=program.n_ctx, mlp_inputs=width, hidden=hidden,
        embeddings=0 if program.embeddings is None else len(program.embeddings[0]),
        vocab=program.vocab, labels=program.labels, causal=program.causal, pool=program.pool,
        masked=tuple(program.masked_labels),
    )  # fmt: skip


def compiled(program: Program, shape: Shape) -> dict[str, np.ndarray]:
    """The parameters of a network of `shape` that is `program`; modules that the program lacks are 0 and do not vote.

    Args:
        program: whose variables have the names of `shape` in stream order, or names of their own.
        shape: at least as wide as the program, with k and the number of MLP inputs and hidden units large enough.
    """
    k, width = shape.k, shape.mlp_inputs
    place = _places(program, shape)
    categorical, numerical = shape.names()
    p: dict[str, np.ndarray] = {}
    if program.embeddings is not None:
        values = np.array(program.embeddings)  # (V, n)
        p["embedding"] = CERTAIN * (np.arange(k)[None, :, None] == values.T[:, None, :])
    for index, layer in enumerate(program.layers):
        seen, counted = shape.mlp_names(index)
        heads, cat = shape.cat_heads + shape.num_heads, shape.cat_heads
        if heads:
            gates = np.zeros((2 * heads + cat, shape.categorical(index)))
            predicates = np.zeros((heads, k, k))
            sources = np.zeros((shape.num_heads, shape.numerical(index)))
            rows = [*enumerate(layer.cat_heads), *((cat + i, head) for i, head in enumerate(layer.num_heads))]
            for h, head in rows:
                gates[h, categorical.index(place[head.query])] = CERTAIN
                gates[heads + h, categorical.index(place[head.key])] = CERTAIN
                if h < cat:
                    gates[2 * heads + h, categorical.index(place[head.value])] = CERTAIN
                else:
                    sources[h - cat, numerical.index(place[head.value])] = CERTAIN
                predicates[h, np.arange(len(head.predicate)), list(head.predicate)] = CERTAIN
            p[f"head_gates_{index}"], p[f"predicates_{index}"] = gates, predicates
            if shape.num_heads:
                p[f"value_gates_{index}"] = sources
        for kind, mlps, names in (("mlp", layer.cat_mlps, seen), ("num_mlp", layer.num_mlps, counted)):
            count = shape.cat_mlps if kind == "mlp" else shape.num_mlps
            if not count:
                continue
            wide = width * (k if kind == "mlp" else 1)
            nets = [np.zeros((count, shape.hidden, wide)), np.zeros((count, shape.hidden)),
                    np.zeros((count, k, shape.hidden)), np.zeros((count, k))]  # fmt: skip
            gates = np.zeros((count * width, len(names)))
            for i, mlp in enumerate(mlps):
                for j in range(width):
                    source = place[mlp.inputs[min(j, len(mlp.inputs) - 1)]]
                    gates[i * width + j, names.index(source)] = CERTAIN
                if isinstance(mlp, TableMLP):
                    parts = _table_net(program, mlp, k, width)
                else:
                    parts = _number_net(program, mlp, k, width)
                for whole, part in zip(nets, parts, strict=True):
                    whole[(i, *(slice(0, n) for n in part.shape))] = part
            p[f"{kind}_gates_{index}"] = gates
            for part, values in zip(("in", "in_bias", "out", "out_bias"), nets, strict=True):
                p[f"{kind}_{part}_{index}"] = values
    p["votes"] = np.zeros((len(shape.labels), len(categorical), k))
    p["num_votes"] = np.zeros((len(shape.labels), len(numerical)))
    for name, votes in program.classifier.items():
        table = np.array(votes)
        if name in program.cardinality:
            p["votes"][:, categorical.index(place[name]), : len(table)] = table.T
        else:
            p["num_votes"][:, numerical.index(place[name])] = table
    return p


def _places(program: Program, shape: Shape) -> dict[str, str]:
    """The name in the stream of the shape for each name of the program."""
    place = {name: name for name in (*program.input_variables, "positions", "ones")}
    for index, layer in enumerate(program.layers):
        kinds = {"attn": layer.cat_heads, "num_attn": layer.num_heads, "mlp": layer.cat_mlps, "num_mlp": layer.num_mlps}
        for kind, modules in kinds.items():
            place |= {module.name: f"{kind}_{index}_{i}" for i, module in enumerate(modules)}
    return place


def _table_net(program: Program, mlp: TableMLP, k: int, width: int) -> tuple[np.ndarray, ...]:
    """One hidden unit for each key; a program with fewer inputs reads its last one again."""
    sizes = [program.cardinality[name] for name in mlp.inputs]
    keys = [key for key in product(*(range(size) for size in sizes))]
    w_in = np.zeros((len(keys), width * k))
    w_out = np.zeros((k, len(keys)))
    for unit, key in enumerate(keys):
        for j in range(width):
            w_in[unit, j * k + key[min(j, len(key) - 1)]] = 1.0
        w_out[mlp.table[unit], unit] = CERTAIN
    return w_in, np.full(len(keys), 1.0 - width), w_out, np.zeros(k)


def _box(program: Program, mlp: NumMLP) -> list[int]:
    """How many values of each input a table must answer: its own, or with a network beside it all there can be."""
    if mlp.weights is None:
        return list(mlp.sizes or ())
    return [program.highest[name] + 1 for name in mlp.inputs]


def _number_net(program: Program, mlp: NumMLP, k: int, width: int) -> tuple[np.ndarray, ...]:
    """The stored network, or the piecewise linear one through the entries of the table."""
    extra = width - len(mlp.inputs)
    if mlp.weights is not None and mlp.table is None:
        w_in = np.pad(np.array(mlp.weights.W_in), ((0, 0), (0, extra)))
        out, bias = np.array(mlp.weights.W_out), np.array(mlp.weights.b_out)
        never = np.full(k - len(bias), -CERTAIN * CERTAIN)
        return w_in, np.array(mlp.weights.b_in), np.pad(out, ((0, k - len(out)), (0, 0))), np.append(bias, never)
    sizes = _box(program, mlp)
    table = np.array(mlp.table)
    if mlp.weights is not None:
        table = np.array([mlp(values) for values in product(*map(range, sizes))])
    strides = [prod(sizes[i + 1 :]) for i in range(len(sizes))]
    at = np.zeros((k, len(table)))
    at[np.where(table >= 0, table, 0), np.arange(len(table))] = CERTAIN
    slopes = np.diff(at, axis=1, prepend=at[:, :1])  # slope between entry t - 1 and t
    kinks = np.diff(slopes, axis=1, append=0.0)  # change of slope at entry t
    w_in = np.repeat(np.array([[*strides, *[0] * extra]], dtype=float), len(table), 0)
    return w_in, -np.arange(len(table), dtype=float), kinks, at[:, 0]
