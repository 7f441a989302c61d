"""Programs for tests: the golden ones, random ones with every kind of module, and inputs for both."""

import json
from pathlib import Path

import numpy as np

from learnt.programs import Head, Layer, NumMLP, Program, ReluNet, TableMLP, from_fields

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "programs_ir.json").read_text(encoding="utf-8"))
CASES = {case["name"]: case for case in GOLDEN["attention_cases"]}
PROGRAMS = {
    entry["name"]: entry
    for entry in (*GOLDEN["hand_programs"], *GOLDEN["random_programs"], {"name": "pool", **GOLDEN["factored_embedding_pooling"]})
}  # fmt: skip


def golden(name: str) -> Program:
    return from_fields(PROGRAMS[name]["program"], schema=False)


def random_program(seed: int) -> Program:
    """Any shape a program can have: mixed cardinalities, 1 to 3 MLP inputs, tables with gaps, names, pooling, masks."""
    rng = np.random.default_rng(seed)
    k, n_ctx, padded = int(rng.integers(4, 7)), int(rng.integers(1, 10)), bool(rng.random() < 0.5)
    vocab = [*(["<pad>"] if padded else []), "<s>", "a", "b", "c"][:k]
    if rng.random() < 0.3:
        vocab.append("<unk>")
    labels = ["<pad>", "x", "y", "z"][: int(rng.integers(1, 5))]
    embeddings, sizes = None, {"positions": max(k, n_ctx), "tokens": max(k, len(vocab))}
    if rng.random() < 0.3:
        embeddings = rng.integers(0, k, (len(vocab), int(rng.integers(1, 3)))).tolist()
        del sizes["tokens"]
    categorical = {f"emb_{e}": k for e in range(len(embeddings[0]))} if embeddings else {"tokens": sizes["tokens"]}
    categorical["positions"] = sizes["positions"]
    numerical, layers = {"ones": 1}, []

    def pick(names):
        return str(rng.choice(list(names)))

    def head(value, name):
        query, key = pick(categorical), pick(categorical)
        predicate = rng.integers(0, categorical[key], categorical[query])
        return Head(query=query, key=key, value=value, predicate=predicate, name=name)

    def net(n_in, k_out):
        d = int(rng.integers(1, 9))
        return ReluNet(W_in=rng.normal(size=(d, n_in)), b_in=rng.normal(size=d), W_out=rng.normal(size=(k_out, d)), b_out=rng.normal(size=k_out))  # fmt: skip

    for layer in range(int(rng.integers(0, 4))):
        cat = [
            head(pick(categorical), "" if rng.random() < 0.8 else f"look_{layer}_{h}")
            for h in range(rng.integers(0, 3))
        ]
        num = [head(pick(numerical), "") for _ in range(rng.integers(0, 3))]
        categorical |= {h.name or f"attn_{layer}_{i}": categorical[h.value] for i, h in enumerate(cat)}
        numerical |= {f"num_attn_{layer}_{i}": n_ctx * numerical[h.value] for i, h in enumerate(num)}
        mlps, nums, written = [], [], {}
        for i in range(rng.integers(0, 3)):
            name = f"mlp_{layer}_{i}"
            sizes[name] = written[name] = int(rng.integers(1, 6))
            inputs = [pick(categorical) for _ in range(rng.integers(1, 4))]
            entries = int(np.prod([categorical[v] for v in inputs]))
            mlps.append(TableMLP(inputs=inputs, table=rng.integers(0, written[name], entries)))
        for i in range(rng.integers(0, 3)):
            name = f"num_mlp_{layer}_{i}"
            sizes[name] = written[name] = int(rng.integers(1, 6))
            inputs = [pick(numerical) for _ in range(rng.integers(1, 4))]
            box = rng.integers(1, 4, len(inputs))
            form = rng.random()
            table = rng.integers(-1, written[name], int(np.prod(box)))
            if form < 0.4:
                nums.append(NumMLP(inputs=inputs, weights=net(len(inputs), written[name])))
            else:
                nums.append(NumMLP(inputs=inputs, sizes=box, table=table, weights=net(len(inputs), written[name])))
        categorical |= written
        layers.append(Layer(cat_heads=cat, num_heads=num, cat_mlps=mlps, num_mlps=nums))
    voters = [v for v in (*categorical, *numerical) if rng.random() < 0.8]
    rng.shuffle(voters)
    classifier = {
        v: rng.normal(size=(categorical[v], len(labels)) if v in categorical else len(labels)) for v in voters
    }
    masked = [0] if len(labels) > 1 and rng.random() < 0.5 else []
    return Program(
        vocab=vocab, labels=labels, k=k, n_ctx=n_ctx, layers=layers, classifier=classifier, causal=bool(rng.random() < 0.5), embeddings=embeddings,
        masked_labels=masked, pool=bool(rng.random() < 0.3), cardinalities=sizes, meta={"seed": seed, "note": ["x", 0.5, None]},
    )  # fmt: skip


def random_inputs(program: Program, seed: int, count: int = 12) -> list[list[str]]:
    rng = np.random.default_rng(seed)
    words = [w for w in program.vocab if w != "<pad>"]
    lengths = rng.integers(1, program.n_ctx + 1, count)
    return [[str(w) for w in rng.choice(words, n)] for n in lengths]


def tiny(**changes) -> dict:
    """The fields of a small program with one module of each kind; `changes` replace some."""
    fields = {
        "schema": "learnt.program/1", "vocab": ["<pad>", "<s>", "red", "blue"], "labels": ["<pad>", "no", "yes"], "k": 4, "n_ctx": 4, "causal": False,
        "layers": [
            {
                "cat_heads": [{"query": "positions", "key": "positions", "value": "tokens", "predicate": [0, 0, 1, 2]}],
                "num_heads": [{"query": "tokens", "key": "tokens", "value": "ones", "predicate": [0, 1, 2, 3]}],
                "cat_mlps": [{"inputs": ["attn_0_0", "tokens"], "table": [0, 1, 2, 3] * 4}],
                "num_mlps": [{"inputs": ["num_attn_0_0"], "sizes": [5], "table": [0, 1, 2, 3, 0]}],
            }
        ],
        "classifier": {"mlp_0_0": [[0, 0, 0], [0, 0, 1], [0, 1, 0], [0, 1, 1]], "ones": [0, 0.5, 0]},
        "masked_labels": [0],
    }  # fmt: skip
    return fields | changes


def large_program(seed: int = 0) -> Program:
    """Three layers of 4 + 4 heads and 2 + 2 MLPs, k = 8: the size of the learned sort, 36 modules."""
    rng = np.random.default_rng(seed)
    categorical, numerical, layers = ["tokens", "positions"], ["ones"], []

    def head(values):
        query, key, value = (str(rng.choice(names)) for names in (categorical, categorical, values))
        return Head(query=query, key=key, value=value, predicate=rng.integers(0, 8, 8))

    def net():
        return ReluNet(W_in=rng.normal(size=(64, 2)), b_in=rng.normal(size=64), W_out=rng.normal(size=(8, 64)), b_out=rng.normal(size=8))  # fmt: skip

    for layer in range(3):
        cat, num = [head(categorical) for _ in range(4)], [head(numerical) for _ in range(4)]
        categorical += [f"attn_{layer}_{h}" for h in range(4)]
        numerical += [f"num_attn_{layer}_{h}" for h in range(4)]
        mlps = [TableMLP(inputs=rng.choice(categorical, 2), table=rng.integers(0, 8, 64)) for _ in range(2)]
        nums = [NumMLP(inputs=rng.choice(numerical, 2), weights=net()) for _ in range(2)]
        categorical += [f"{stem}_{layer}_{m}" for stem in ("mlp", "num_mlp") for m in range(2)]
        layers.append(Layer(cat_heads=cat, num_heads=num, cat_mlps=mlps, num_mlps=nums))
    votes = {v: rng.normal(size=(8, 5)) for v in categorical} | {v: rng.normal(size=5) for v in numerical}
    vocab = ["<pad>", *"01234", "<s>", "</s>"]
    return Program(vocab=vocab, labels=list("01234"), k=8, n_ctx=8, layers=layers, classifier=votes)


def one_layer_sort() -> Program:
    """Spec 2.5: logit_y(p) = y p - y / 2 - sum_v n_v max(0, y - v), from counts of four tokens and the position."""
    heads = [Head(query="positions", key="tokens", value="ones", predicate=[v + 1] * 8) for v in range(4)]
    votes = {f"num_attn_0_{v}": [-max(0.0, y - v) for y in range(5)] for v in range(4)}
    votes |= {"positions": [[float(y * p) for y in range(5)] for p in range(8)], "ones": [-y / 2 for y in range(5)]}
    vocab = ["<pad>", "0", "1", "2", "3", "4", "<s>", "</s>"]
    return Program(vocab=vocab, labels=list("01234"), k=8, n_ctx=8, layers=[Layer(num_heads=heads)], classifier=votes)
