"""The representation itself: immutable, comparable, checked at every place, renameable."""

import math
import pickle
from dataclasses import FrozenInstanceError, replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from learnt.core.errors import InputError, NonFiniteError, ShapeError
from learnt.programs import Head, Layer, NumMLP, Program, ReluNet, TableMLP, from_fields

from .made import golden, random_inputs, random_program, tiny


def small(**changes) -> Program:
    fields = {
        "vocab": ["a", "b"], "labels": ["x", "y"], "k": 3, "n_ctx": 3, "classifier": {"tokens": np.eye(3, 2)},
        "layers": [Layer(cat_heads=[Head(query="tokens", key="tokens", value="positions", predicate=[0, 1, 2])])],
    }  # fmt: skip
    return Program(**fields | changes)


def test_a_program_cannot_be_changed():
    predicate = np.array([0, 1, 2])
    program = small(layers=[Layer(cat_heads=[Head(query="tokens", key="tokens", value="tokens", predicate=predicate)])])
    predicate[0] = 2
    assert program.layers[0].cat_heads[0].predicate == (0, 1, 2)
    with pytest.raises(FrozenInstanceError):
        program.k = 4
    with pytest.raises(TypeError):
        program.classifier["tokens"] = ()


def test_equal_programs_are_equal_whatever_they_were_made_from():
    a = small(classifier={"tokens": np.eye(3, 2), "ones": [0.5, 1]}, meta={"seed": 1, "list": [1, 2]})
    b = small(
        classifier={"ones": torch.tensor([0.5, 1.0]), "tokens": torch.eye(3, 2)}, meta={"list": (1, 2), "seed": 1}
    )
    assert a == b
    assert hash(a) == hash(b)
    assert list(b.classifier) == ["tokens", "ones"]  # stream order: sums of floats depend on it
    assert pickle.loads(pickle.dumps(a)) == a
    assert a != small()


def test_the_stream_has_the_order_of_the_paper():
    program = golden("random 3")
    assert program.categorical[:8] == (
        "tokens", "positions", "attn_0_0", "attn_0_1", "attn_0_2", "mlp_0_0", "mlp_0_1", "num_mlp_0_0",
    )  # fmt: skip
    assert program.numerical[:4] == ("ones", "num_attn_0_0", "num_attn_0_1", "num_attn_1_0")
    assert [module.name for _, _, module in program.modules()][:4] == [
        "attn_0_0",
        "attn_0_1",
        "attn_0_2",
        "num_attn_0_0",
    ]
    assert program.module("mlp_1_1").name == "mlp_1_1"
    with pytest.raises(InputError, match="'attn_9_9'; expected one of attn_0_0"):
        program.module("attn_9_9")


def test_the_largest_value_of_a_numerical_head_multiplies_with_every_layer():
    count = Head(query="tokens", key="tokens", value="ones", predicate=[0, 1, 2])
    deeper = replace(count, value="num_attn_0_0")
    program = small(layers=[Layer(num_heads=[count]), Layer(num_heads=[deeper, count])])
    assert dict(program.highest) == {"ones": 1, "num_attn_0_0": 3, "num_attn_1_0": 9, "num_attn_1_1": 3}


@given(seed=st.integers(0, 10_000))
def test_no_numerical_value_is_beyond_its_bound_and_no_other_beyond_its_cardinality(seed):
    program = random_program(seed)
    for tokens in random_inputs(program, seed, 3):
        for name, values in program.run(tokens).variables.items():
            assert 0 <= min(values)
            limit = program.highest[name] if name in program.highest else program.cardinality[name] - 1
            assert max(values) <= limit


def test_cardinalities_may_differ_and_heads_have_that_of_their_value():
    program = small(
        vocab=list("abcdefgh"), cardinalities={"tokens": 8, "positions": 5, "mlp_0_0": 2},
        layers=[
            Layer(
                cat_heads=[Head(query="positions", key="tokens", value="positions", predicate=[7] * 5)],
                cat_mlps=[TableMLP(inputs=["attn_0_0", "tokens"], table=[1] * 40)],
            )
        ],
        classifier={"mlp_0_0": [[0, 0], [1, 2]]},
    )  # fmt: skip
    assert dict(program.cardinality) == {"tokens": 8, "positions": 5, "attn_0_0": 5, "mlp_0_0": 2}
    assert program(["a", "h"]) == ("y", "y")


def test_names_survive_and_follow_their_module():
    program = golden("induction")
    named = program.renamed({"attn_0_0": "prev_token", "attn_1_0": "match"})
    assert named.layers[1].cat_heads[0].key == "prev_token"
    assert "match" in named.classifier
    tokens = "<s> a 1 b 2 b 2 a".split()
    assert named(tokens) == program(tokens)
    assert named != program
    assert named.renamed({"prev_token": "attn_0_0", "match": "attn_1_0"}) == program
    removed = golden("random 2")
    layer = removed.layers[2]
    kept = replace(removed, layers=(*removed.layers[:2], replace(layer, cat_heads=layer.cat_heads[1:])), classifier={})
    assert kept.layers[2].cat_heads[0].name == "attn_2_1"  # not renumbered


@given(seed=st.integers(0, 10_000))
def test_check_14_heads_of_a_layer_in_another_order_are_the_same_function(seed):
    program = random_program(seed)
    order = np.random.default_rng(seed)
    layers = []
    for layer in program.layers:
        parts = {kind: getattr(layer, kind) for kind in ("cat_heads", "num_heads", "cat_mlps", "num_mlps")}
        layers.append(Layer(**{kind: [part[i] for i in order.permutation(len(part))] for kind, part in parts.items()}))
    shuffled = replace(program, layers=layers)
    for tokens in random_inputs(program, seed, 4):
        one, two = program.run(tokens), shuffled.run(tokens)
        assert one.variables == two.variables
        np.testing.assert_allclose(one.logits, two.logits, atol=1e-12)  # votes are added in another order


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("tokens", "a free name"),
        ("emb_3", "a free name"),
        ("class", "a free name"),
        ("two words", "a free name"),
        ("attn_1_0", "a second time"),
    ],
)
def test_names_must_be_free_names_of_python_variables(name, message):
    with pytest.raises(InputError, match=message):
        golden("induction").renamed({"attn_0_0": name})
    with pytest.raises(InputError, match="names of modules"):
        golden("induction").renamed({"tokens": "words"})


def head(**changes):
    return [Layer(cat_heads=[Head(**{"query": "tokens", "key": "tokens", "value": "tokens", "predicate": [0, 1, 2]} | changes)])]  # fmt: skip


def mlp(**changes):
    return [Layer(num_mlps=[NumMLP(**{"inputs": ["ones"], "sizes": [2], "table": [0, 1]} | changes)])]


def net(**changes):
    fields = {"W_in": [[1.0]], "b_in": [0.0], "W_out": [[1.0]] * 3, "b_out": [0.0] * 3}
    return mlp(weights=ReluNet(**fields | changes))


BAD = {
    "k below the vocabulary": ({"vocab": list("abcd")}, InputError, "k: found 3 values for 4 tokens"),
    "n_ctx above k": ({"n_ctx": 4}, InputError, "k: found 3 values for 4 positions"),
    "tokens of their own size": ({"cardinalities": {"tokens": 1}}, InputError, r"cardinalities\.tokens"),
    "positions of their own size": ({"cardinalities": {"positions": 2}}, InputError, r"cardinalities\.positions"),
    "size of a head": ({"cardinalities": {"attn_0_0": 3}}, InputError, "an attention head"),
    "size of nothing": ({"cardinalities": {"mlp_7_0": 3}}, InputError, "no such variable"),
    "sizes as a list": ({"cardinalities": [3]}, InputError, "sizes by variable"),
    "k of 0": ({"k": 0}, InputError, "k: found 0"),
    "k as text": ({"k": "3"}, InputError, "k: found '3'"),
    "k true": ({"k": True}, InputError, "k: found True"),
    "n_ctx of 0": ({"n_ctx": 0}, InputError, "n_ctx: found 0"),
    "empty vocabulary": ({"vocab": []}, InputError, "vocab: found an empty list"),
    "token twice": ({"vocab": ["a", "a"]}, InputError, r"vocab\[1\]: found 'a' a second time"),
    "token that is no text": ({"vocab": ["a", 1]}, InputError, r"vocab\[1\]: found 1"),
    "lone surrogate": ({"vocab": ["a", "\ud800"]}, InputError, "surrogate"),
    "padding not first": ({"vocab": ["a", "<pad>"]}, InputError, "id 0 for padding"),
    "label twice": ({"labels": ["x", "x"]}, InputError, r"labels\[1\]"),
    "all labels masked": ({"masked_labels": [0, 1]}, InputError, "every label"),
    "masked label twice": ({"masked_labels": [1, 1], "labels": list("xyz"), "classifier": {}}, InputError, "a label twice"),
    "masked label unknown": ({"masked_labels": [2]}, InputError, r"masked_labels\[0\]: found 2"),
    "causal 1": ({"causal": 1}, InputError, "causal: found 1"),
    "layers no list": ({"layers": 3}, InputError, "layers: found 3"),
    "layer no layer": ({"layers": [{}]}, InputError, r"layers\[0\]: found \{\}"),
    "wrong module": ({"layers": [Layer(cat_mlps=[3])]}, InputError, r"layers\[0\].cat_mlps\[0\]: found 3; expected a TableMLP"),
    "unknown variable": ({"layers": head(key="colour")}, InputError, r"layers\[0\].cat_heads\[0\].key: found the unknown variable 'colour'"),
    "forward reference": ({"layers": head(query="attn_0_0")}, InputError, "forward reference"),
    "wrong kind": ({"layers": head(value="ones")}, InputError, "'ones', which is not categorical"),
    "predicate short": ({"layers": head(predicate=[0])}, ShapeError, r"predicate: found 1 entries; expected 3"),
    "predicate out of range": ({"layers": head(predicate=[0, 1, 3])}, InputError, r"predicate\[2\]: found 3; expected an integer from 0 to 2"),
    "predicate of floats": ({"layers": head(predicate=[0, 1.0, 2])}, InputError, r"predicate\[1\]: found 1.0"),
    "MLP without inputs": ({"layers": mlp(inputs=[])}, InputError, "at least one variable"),
    "numerical MLP of tokens": ({"layers": mlp(inputs=["tokens"])}, InputError, "not numerical"),
    "table short": ({"layers": mlp(table=[0])}, ShapeError, "table: found 1 entries; expected 2"),
    "table below -1": ({"layers": mlp(table=[0, -2])}, InputError, r"table\[1\]: found -2"),
    "sizes of another number": ({"layers": mlp(sizes=[1, 2])}, ShapeError, "one an input"),
    "sizes alone": ({"layers": mlp(table=None)}, InputError, "only one of table and sizes"),
    "neither table nor net": ({"layers": mlp(table=None, sizes=None)}, InputError, "neither"),
    "net NaN": ({"layers": net(b_in=[math.nan])}, NonFiniteError, r"layers\[0\].num_mlps\[0\].b_in\[0\]: found nan"),
    "net too large": ({"layers": net(b_in=[1e200])}, InputError, "1e\\+200"),
    "net of another width": ({"layers": net(W_in=[[1.0, 2.0]])}, ShapeError, r"W_in\[0\]: found 2 numbers; expected 1"),
    "net of other outputs": ({"layers": net(b_out=[0.0])}, ShapeError, "b_out"),
    "categorical table short": ({"layers": [Layer(cat_mlps=[TableMLP(inputs=["tokens", "tokens"], table=[0] * 8)])]}, ShapeError, "8 entries; expected 9"),
    "categorical table out of range": ({"layers": [Layer(cat_mlps=[TableMLP(inputs=["tokens"], table=[0, 1, 3])])]}, InputError, r"table\[2\]: found 3"),
    "votes of nothing": ({"classifier": {"mlp_0_0": [0, 0]}}, InputError, "unknown variable 'mlp_0_0'"),
    "votes missing": ({"classifier": {"tokens": [[0, 0]]}}, ShapeError, r"classifier.tokens: found 1 rows; expected 3"),
    "votes too wide": ({"classifier": {"ones": [0, 0, 0]}}, ShapeError, r"classifier.ones: found 3 numbers; expected 2"),
    "votes infinite": ({"classifier": {"ones": [0, math.inf]}}, NonFiniteError, r"classifier.ones\[1\]"),
    "votes of text": ({"classifier": {"ones": [0, "1"]}}, InputError, r"classifier.ones\[1\]: found '1'"),
    "classifier a list": ({"classifier": [0]}, InputError, "votes by variable"),
    "embeddings short": ({"embeddings": [[0]]}, ShapeError, "1 rows; expected 2, one a token"),
    "embeddings ragged": ({"embeddings": [[0], [0, 1]]}, ShapeError, r"embeddings\[1\]: found 2 values"),
    "embeddings empty": ({"embeddings": [[], []]}, ShapeError, r"embeddings\[0\]: found no value"),
    "embeddings out of range": ({"embeddings": [[0], [3]]}, InputError, r"embeddings\[1\]\[0\]: found 3"),
    "tokens beside embeddings": ({"embeddings": [[0], [1]]}, InputError, "unknown variable 'tokens'"),
    "meta a list": ({"meta": [1]}, InputError, "meta: found"),
    "meta NaN": ({"meta": {"loss": math.nan}}, NonFiniteError, "meta.loss"),
}  # fmt: skip


@pytest.mark.parametrize(("changes", "error", "message"), BAD.values(), ids=BAD)
def test_check_23_what_is_no_program_is_refused_with_its_place(changes, error, message):
    with pytest.raises(error, match=message):
        small(**changes)


def test_an_entry_that_is_no_value_of_the_output_is_an_unanswered_cell():
    fields = tiny()
    fields["layers"][0]["num_mlps"] = [{"inputs": ["num_attn_0_0"], "sizes": [3], "table": [0, 1, 9]}]
    program = from_fields(fields)
    assert program.module("num_mlp_0_0").table == (0, 1, -1)
    assert program(["<s>", "red"])
    with pytest.raises(InputError, match=r"num_mlp_0_0: found inputs \(2\)"):
        program(["red", "red"])
