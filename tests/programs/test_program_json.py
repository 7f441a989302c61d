"""Programs in files: an exact round trip, deterministic text, and an error with its place for everything else."""

import json
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from learnt.core.errors import InputError, LearntError, ShapeError, StorageError
from learnt.programs import Program, from_fields, from_json, load, to_fields, to_json

from .made import PROGRAMS, golden, random_inputs, random_program, tiny


@pytest.mark.parametrize("name", PROGRAMS)
def test_golden_programs_survive_a_file(name, tmp_path):
    program = golden(name)
    assert load(program.to_json(tmp_path / "program.json")) == program


@given(seed=st.integers(0, 2**32))
def test_check_12_random_programs_survive_text_to_the_last_bit(seed):
    program = random_program(seed)
    again = from_json(to_json(program))
    assert again == program
    assert to_json(again) == to_json(program)
    for tokens in random_inputs(program, seed, 3):
        assert again.run(tokens) == program.run(tokens)


@given(
    words=st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=4), min_size=1, max_size=6, unique=True)
)
def test_check_12_any_text_may_be_a_token_and_a_label(words):
    words = [w for w in words if w != "<pad>"] or ["a"]
    size = len(words)
    votes = [[float(i == j) for j in range(size)] for i in range(size)]
    program = Program(vocab=words, labels=words, k=size, n_ctx=size, layers=[], classifier={"tokens": votes})
    assert from_json(to_json(program)) == program
    assert program(words) == tuple(words)


def test_check_12_awkward_tokens_survive_a_file(tmp_path):
    words = ['"', "'", "\\", "\n", "None", "NA", "", "nan", "é", "名", "\u2028", "\x00"]
    votes = [[float(i == j) for j in range(12)] for i in range(12)]
    program = Program(vocab=words, labels=words, k=12, n_ctx=12, layers=[], classifier={"tokens": votes})
    assert load(program.to_json(tmp_path / "p.json"))(words) == tuple(words)


WRITE = """
import sys
from learnt.programs import from_json, to_json
sys.stdout.write(to_json(from_json(sys.stdin.read())))
"""


def test_check_12_the_text_does_not_depend_on_the_hash_seed():
    text = to_json(golden("random 3"))
    for seed in ("0", "1"):
        done = subprocess.run([sys.executable, "-c", WRITE], input=text, capture_output=True, text=True, check=True, env={"PYTHONHASHSEED": seed})  # fmt: skip
        assert done.stdout == text


def test_zeros_of_either_sign_are_written_alike():
    plus, minus = (from_fields(tiny(classifier={"ones": [0, zero, 1]})) for zero in (0.0, -0.0))
    assert plus == minus
    assert to_json(plus) == to_json(minus)


def test_default_names_are_not_written_and_others_are():
    program = golden("induction")
    assert '"name"' not in to_json(program)
    named = program.renamed({"attn_0_0": "prev_token"})
    assert to_fields(named)["layers"][0]["cat_heads"][0]["name"] == "prev_token"
    assert from_json(to_json(named)) == named


def test_fields_are_those_of_the_conventions():
    for entry in PROGRAMS.values():
        written = to_fields(from_fields(entry["program"], schema=False))
        given_ = entry["program"]
        for field in ("vocab", "labels", "k", "n_ctx", "causal", "embeddings", "classifier"):
            if field in given_:
                assert written[field] == given_[field]
        for mine, theirs in zip(written["layers"], given_["layers"], strict=True):
            for kind in ("cat_heads", "num_heads", "cat_mlps"):
                assert mine[kind] == theirs.get(kind, [])
        assert written["schema"] == "learnt.program/1"


def without(field):
    return {name: value for name, value in tiny().items() if name != field}


def layer(**changes):
    return tiny(layers=[tiny()["layers"][0] | changes])


HEAD = tiny()["layers"][0]["cat_heads"][0]
NET = {"W_in": [[1.0]], "b_in": [0.0], "W_out": [[1.0]] * 4, "b_out": [0.0] * 4}
BAD = {
    "not an object": ([1], r"found \[1\]; expected an object"),
    "no schema": (without("schema"), "schema: found none; expected 'learnt.program/1'"),
    "later schema": (tiny(schema="learnt.program/2"), "unknown version 'learnt.program/2'.*newer learnt"),
    "other schema": (tiny(schema=1), "unknown version 1"),
    **{f"no {field}": (without(field), f"no field '{field}'") for field in ("vocab", "labels", "k", "n_ctx", "causal", "layers", "classifier")},
    "unknown field": (tiny(weights=[]), "the unknown field 'weights'"),
    "embeddings null": (tiny(embeddings=None), "embeddings: found null"),
    "k text": (tiny(k="4"), "k: found '4'"),
    "k float": (tiny(k=4.0), "k: found 4.0"),
    "wrong k": (tiny(k=5), r"layers\[0\].cat_heads\[0\].predicate: found 4 entries; expected 5"),
    "causal text": (tiny(causal="no"), "causal: found 'no'"),
    "pool null": (tiny(pool=None), "pool: found None"),
    "layers object": (tiny(layers={}), "layers: found"),
    "layer list": (tiny(layers=[[]]), r"layers\[0\]: found \[\]; expected an object"),
    "layer field": (layer(heads=[]), r"layers\[0\]: found the unknown field 'heads'"),
    "heads null": (layer(cat_heads=None), r"layers\[0\].cat_heads: found None"),
    "head field missing": (layer(cat_heads=[{"query": "tokens"}]), r"layers\[0\].cat_heads\[0\]: found no field 'key'"),
    "head field unknown": (layer(cat_heads=[HEAD | {"bias": 1}]), r"layers\[0\].cat_heads\[0\]: found the unknown field 'bias'"),
    "head name empty": (layer(cat_heads=[HEAD | {"name": ""}]), r"cat_heads\[0\].name: found ''"),
    "head name number": (layer(cat_heads=[HEAD | {"name": 3}]), r"cat_heads\[0\].name: found 3"),
    "missing variable": (layer(cat_heads=[]), r"layers\[0\].cat_mlps\[0\].inputs\[0\]: found the unknown variable 'attn_0_0'"),
    "forward reference": (layer(cat_heads=[HEAD | {"key": "mlp_0_0"}]), "a forward reference"),
    "variable null": (layer(cat_heads=[HEAD | {"key": None}]), r"cat_heads\[0\].key: found None; expected text"),
    "MLP without sizes": (layer(num_mlps=[{"inputs": ["ones"], "table": [0, 1]}]), "table without sizes"),
    "net in part": (layer(num_mlps=[{"inputs": ["ones"], "W_in": [[1]], "b_in": [0]}]), "W_in, b_in without W_out, b_out"),
    "net null": (layer(num_mlps=[{"inputs": ["ones"], **NET, "b_in": None}]), "b_in: found null"),
    "MLP without function": (layer(num_mlps=[{"inputs": ["ones"]}]), "neither a table nor weights"),
    "votes missing row": (tiny(classifier={"mlp_0_0": [[0, 0, 0]]}), "classifier.mlp_0_0: found 1 rows"),
    "votes huge": (tiny(classifier={"ones": [0, 0, 10**350]}), r"classifier.ones\[2\]: found inf"),
}  # fmt: skip


@pytest.mark.parametrize(("fields", "message"), BAD.values(), ids=BAD)
def test_check_23_fields_that_are_no_program_are_refused_with_their_place(fields, message):
    for read in (from_fields, lambda fields: from_json(json.dumps(fields))):
        with pytest.raises(ValueError, match=message):
            read(fields)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "line 1, column 1"),
        ("{", "bad JSON"),
        ('{"schema": NaN}', "the constant NaN"),
        ('{"k": 1, "k": 2}', "duplicate key 'k'"),
        ("[" * 1000, "nesting deeper"),
        (b"\xff", "not UTF-8"),
    ],
)
def test_check_23_bad_json_is_refused_with_line_and_column(text, message, tmp_path):
    with pytest.raises(InputError, match=message):
        from_json(text)
    path = tmp_path / "bad.json"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(InputError, match=message) as caught:
        load(path)
    assert "bad.json" in str(caught.value)


def test_an_error_in_a_file_names_the_file_and_the_place(tmp_path):
    path = tmp_path / "wrong.json"
    path.write_text(json.dumps(tiny(k=5)), encoding="utf-8")
    with pytest.raises(ShapeError, match=r"wrong\.json, layers\[0\]\.cat_heads\[0\]\.predicate: found 4 entries"):
        load(path)


def test_a_missing_file_is_a_storage_error(tmp_path):
    with pytest.raises(StorageError):
        load(tmp_path / "none.json")


JSON = st.recursive(st.none() | st.booleans() | st.integers(-2, 9) | st.floats(allow_nan=False) | st.sampled_from(["tokens", "ones", "mlp_0_0", ""]), lambda x: st.lists(x, max_size=3) | st.dictionaries(st.sampled_from(["query", "k", "0"]), x, max_size=2), max_leaves=4)  # fmt: skip


@given(data=st.data(), junk=JSON)
def test_check_23_any_damage_to_any_place_is_an_error_of_ours_or_a_program_that_runs(data, junk):
    fields = json.loads(json.dumps(tiny(meta={"seed": 3})))
    place = fields
    while True:
        keys = list(place) if isinstance(place, dict) else list(range(len(place)))
        key = data.draw(st.sampled_from(keys))
        if not isinstance(place[key], dict | list) or not place[key] or data.draw(st.booleans()):
            break
        place = place[key]
    place[key] = junk
    try:
        program = from_fields(fields)
    except LearntError:
        return
    words = [w for w in program.vocab if w != "<pad>"][:1]
    outcomes = []
    for answer in (lambda: program(words), lambda: program.evaluate([words]).labels[0]):
        try:
            outcomes.append(answer())
        except InputError as error:  # a vocabulary of padding alone, or a cell without an answer
            outcomes.append(error.found)
    assert outcomes[0] == outcomes[1]
