"""The world of transformer programs on token sequences, where every change that must not matter is known exactly."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from learnt.programs._isomorphism import renumbered, with_vocab
from learnt.programs.program import Head, Layer, NumMLP, Program, TableMLP
from learnt.programs.program_json import to_fields
from learnt.programs.sequences import Sequences
from learnt.testing.worlds import Case

VOCAB, LABELS = ("<s>", "a", "b", "c", "d"), ("x", "y", "z")


@dataclass(frozen=True, kw_only=True)
class Programs:
    """Random programs of two layers with every kind of module, on random inputs.

    Args:
        inputs: number of inputs.
        longest: tokens of the longest input.
    """

    inputs: int = 80
    longest: int = 6

    def case(self, seed: int) -> Case:
        """Two programs that share most of their predicates, tables and votes."""
        rng = np.random.default_rng([seed, 21])
        a = self._program(rng)
        rows = [["<s>", *rng.choice(VOCAB[1:], rng.integers(1, self.longest))] for _ in range(self.inputs)]
        data = Sequences([[str(token) for token in row] for row in rows], name="tiny sequences")
        return Case(a=a, b=_disturbed(a, 0.15, rng), data=data)

    def transformations(self) -> Mapping[str, Callable[[Case, int], Case]]:
        """What leaves the answers and the work of the modules unchanged."""
        return {
            "example order": _reordered,
            "class permutation": lambda case, seed: replace(
                case, a=_relabelled(case.a, seed), b=_relabelled(case.b, seed)
            ),
            "module names": lambda case, seed: replace(case, b=_renamed(case.b)),
            "module order": lambda case, seed: replace(case, b=_shuffled(case.b, seed)),
            "renumbered values": lambda case, seed: replace(case, b=_renumbered(case.b, seed)),
            "vocabulary order": lambda case, seed: replace(case, b=with_vocab(case.b, case.b.vocab[::-1])),
            "unread modules": lambda case, seed: replace(case, b=_padded(case.b)),
        }

    def drift(self, case: Case, level: float, seed: int) -> Any:
        """The reference with other entries in its predicates and tables."""
        return _disturbed(case.a, 0.5 * level, np.random.default_rng([seed, 22]))

    def without(self, case: Case, capability: str) -> Case | None:
        """Programs have none of the capabilities of models to take away."""
        return None

    def degenerate(self, seed: int) -> Mapping[str, Case]:
        """Programs without modules or votes, one input, one token, equal inputs, no position that counts, pooling."""
        case = self.case(seed)
        rows = case.data.inputs
        bare, silent = replace(case.a, layers=(), classifier={}), replace(case.a, classifier={})
        pooled = {"a": replace(case.a, pool=True), "b": replace(case.b, pool=True)}
        unscored = [[False] * len(row) for row in rows]
        return {
            "no modules": replace(case, a=bare),
            "both without modules": replace(case, a=bare, b=bare),
            "no votes": replace(case, b=silent),
            "both without votes": replace(case, a=silent, b=silent),
            "pooled": replace(case, **pooled),
            "pooled against tokens": replace(case, b=pooled["b"]),
            "a function": replace(case, b=lambda tokens: ["x"] * len(tokens)),
            "both functions": replace(case, a=lambda tokens: tokens, b=lambda tokens: ["x"] * len(tokens)),
            "one input": replace(case, data=case.data.take([0])),
            "two inputs": replace(case, data=case.data.take([0, 1])),
            "equal inputs": replace(case, data=case.data.take([0] * 9)),
            "one token": replace(case, data=Sequences([["<s>"], ["<s>"], ["<s>"]])),
            "nothing counts": replace(case, data=Sequences(rows, scored=unscored)),
            "a whole domain": replace(case, data=Sequences(rows, exhaustive=True)),
            "other labels": replace(case, b=replace(case.b, labels=("u", "v", "w"))),
            "one thing twice": replace(case, b=case.a),
        }

    def fingerprint(self, case: Case) -> bytes:
        """Both programs and the inputs."""
        things = [json.dumps(to_fields(x), sort_keys=True) if isinstance(x, Program) else "" for x in (case.a, case.b)]
        return repr((things, case.data.inputs, case.data.scored)).encode()

    def _program(self, rng: np.random.Generator) -> Program:
        k, categorical, numerical, layers = 6, ["tokens", "positions"], ["ones"], []

        def head(values: list[str], name: str) -> Head:
            query, key, value = (str(rng.choice(names)) for names in (categorical, categorical, values))
            return Head(query=query, key=key, value=value, predicate=rng.integers(0, k, k).tolist(), name=name)

        for i in range(2):
            cat = [head(categorical, f"look_{i}_{h}") for h in range(2)]
            num = [head(numerical, f"count_{i}_{h}") for h in range(2)]
            categorical += [h.name for h in cat]
            numerical += [h.name for h in num]
            table = TableMLP(
                inputs=[str(v) for v in rng.choice(categorical, 2)], table=rng.integers(0, k, k * k).tolist(),
                name=f"table_{i}",
            )  # fmt: skip
            sizes = [1 + self.longest if i == 0 else 1 + self.longest**2] * 2
            of_numbers = NumMLP(
                inputs=[h.name for h in num], sizes=sizes, table=rng.integers(0, k, sizes[0] * sizes[1]).tolist(),
                name=f"size_{i}",
            )  # fmt: skip
            categorical += [table.name, of_numbers.name]
            layers.append(Layer(cat_heads=cat, num_heads=num, cat_mlps=[table], num_mlps=[of_numbers]))
        votes: dict[str, Any] = {v: rng.standard_normal((k, len(LABELS))) for v in categorical}
        votes |= {v: rng.standard_normal(len(LABELS)) for v in numerical}
        return Program(
            vocab=VOCAB, labels=LABELS, k=k, n_ctx=self.longest, layers=layers, classifier=votes, causal=False
        )  # fmt: skip


def _changed(values: Any, share: float, high: int, rng: np.random.Generator) -> list[int]:
    old = np.array(values)
    return np.where(rng.random(len(old)) < share, rng.integers(0, high, len(old)), old).tolist()


def _disturbed(program: Program, share: float, rng: np.random.Generator) -> Program:
    def head(h: Head) -> Head:
        return replace(h, predicate=_changed(h.predicate, share, program.cardinality[h.key], rng))

    def table(m: Any) -> Any:
        return replace(m, table=_changed(m.table, share, program.cardinality[m.name], rng))

    layers = tuple(
        Layer(
            cat_heads=tuple(map(head, layer.cat_heads)), num_heads=tuple(map(head, layer.num_heads)),
            cat_mlps=tuple(map(table, layer.cat_mlps)), num_mlps=tuple(map(table, layer.num_mlps)),
        )
        for layer in program.layers
    )  # fmt: skip
    return replace(program, layers=layers)


def _reordered(case: Case, seed: int) -> Case:
    order = np.random.default_rng([seed, 23]).permutation(len(case.data))
    return replace(case, data=case.data.take(order))


def _relabelled(program: Program, seed: int) -> Program:
    order = np.random.default_rng([seed, 24]).permutation(len(program.labels))
    votes = {name: np.array(rows)[..., order] for name, rows in program.classifier.items()}
    return replace(program, labels=tuple(program.labels[i] for i in order), classifier=votes)


def _renamed(program: Program) -> Program:
    return program.renamed({m.name: f"module_{i}" for i, (_, _, m) in enumerate(program.modules())})


def _shuffled(program: Program, seed: int) -> Program:
    rng = np.random.default_rng([seed, 25])

    def mixed(modules: Any) -> tuple[Any, ...]:
        return tuple(modules[i] for i in rng.permutation(len(modules)))

    layers = tuple(
        replace(layer, cat_heads=mixed(layer.cat_heads), num_heads=mixed(layer.num_heads)) for layer in program.layers
    )
    return replace(program, layers=layers)


def _renumbered(program: Program, seed: int) -> Program:
    rng = np.random.default_rng([seed, 26])
    mlps = [m.name for layer in program.layers for m in (*layer.cat_mlps, *layer.num_mlps)]
    return renumbered(program, {name: rng.permutation(program.cardinality[name]) for name in mlps})


def _padded(program: Program) -> Program:
    extra = Head(query="tokens", key="tokens", value="positions", predicate=[0] * program.k, name="nobody_reads")
    first, *rest = program.layers
    return replace(program, layers=(replace(first, cat_heads=(*first.cat_heads, extra)), *rest))
