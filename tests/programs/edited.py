"""Edits of programs for tests: other orders, other names, single entries changed."""

from dataclasses import replace

import numpy as np

from learnt.programs import Layer, Program


def with_layers(program: Program, layers) -> Program:
    return replace(program, layers=tuple(layers))


def mutilated(program: Program, *, head: int = 0, query: int = 2, key: int | None = None) -> Program:
    """The program with one entry of the predicate of a numerical head of its first layer changed."""
    first, *rest = program.layers
    heads = list(first.num_heads)
    predicate = list(heads[head].predicate)
    predicate[query] = (predicate[query] + 1) % program.cardinality[heads[head].key] if key is None else key
    heads[head] = replace(heads[head], predicate=predicate)
    return with_layers(program, [replace(first, num_heads=tuple(heads)), *rest])


def permuted(program: Program, seed: int) -> Program:
    """The program with the modules of each kind and layer in another order, and with other names."""
    rng = np.random.default_rng(seed)

    def mixed(modules):
        return tuple(modules[i] for i in rng.permutation(len(modules)))

    layers = [
        Layer(cat_heads=mixed(x.cat_heads), num_heads=mixed(x.num_heads), cat_mlps=mixed(x.cat_mlps), num_mlps=mixed(x.num_mlps))
        for x in program.layers
    ]  # fmt: skip
    names = [m.name for _, _, m in program.modules()]
    order = rng.permutation(len(names))
    return with_layers(program, layers).renamed({name: f"unit_{order[i]}" for i, name in enumerate(names)})
