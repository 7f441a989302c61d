"""Strict JSON: every fault is an InputError with line and column, and no document brings the parser down."""

from __future__ import annotations

import json
import random
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from learnt.core.errors import InputError
from learnt.io.strict import MAX_DEPTH, decode, parse_json

FAULTS = {
    "duplicate key": (b'{"a": 1,\n  "a": 2}', "line 2, column 3", "duplicate key 'a'"),
    "duplicate key, written differently": (b'{"a": 1, "\\u0061": 2}', "line 1, column 10", "duplicate key 'a'"),
    "duplicate key, deep inside": (b'{"x": [{"b": {}, "c": 1,\n "b": 2}]}', "line 2, column 2", "duplicate key 'b'"),
    "NaN": (b"[1,\n NaN]", "line 2, column 2", "NaN"),
    "Infinity": (b'{"a": Infinity}', "line 1, column 7", "Infinity"),
    "-Infinity": (b"[-Infinity]", "line 1, column 2", "-Infinity"),
    "overflow": (b"[0, 1e999]", "line 1, column 5", "out of range"),
    "overflow below": (b"[0, -1e999]", "line 1, column 5", "out of range"),
    "byte order mark": (b"\xef\xbb\xbf{}", "line 1, column 1", "byte order mark"),
    "invalid UTF-8": (b'{\n"\xc3\xa9": "\xff"}', "line 2, column 7", "0xff"),
    "UTF-16": ('{"a": 1}'.encode("utf-16-le"), "line 1, column 2", "JSON"),
    "surrogate bytes": (b'["\xed\xa0\x80"]', "line 1, column 3", "0xed"),
    "lone surrogate": (b'["x",\n"\\ud800"]', "line 2, column 1", "surrogate"),
    "lone low surrogate in a key": (b'{"\\udfff": 1}', "line 1, column 2", "surrogate"),
    "too deep": (b"[" * 101 + b"]" * 101, "line 1, column 101", "nesting"),
    "bottomless": (b"[" * 100_000, "line 1, column 101", "nesting"),
    "bottomless objects": (b'{"a":' * 100_000, "line 1, column 501", "nesting"),
    "ten million digits": (b"[" + b"9" * 10_000_000 + b"]", "line 1, column 2", "digits"),
    "ten million decimals": (b"[0." + b"9" * 10_000_000 + b"]", "line 1, column 2", "characters"),
    "empty": (b"", "line 1, column 1", "Expecting value"),
    "two documents": (b"{} {}", "line 1, column 4", "Extra data"),
    "trailing comma": (b'{"a": 1,}', "line 1, column 9", "property name"),
    "single quotes": (b"{'a': 1}", "line 1, column 2", "property name"),
    "comment": (b"// hello\n{}", "line 1, column 1", "Expecting value"),
    "newline in text": (b'["a\nb"]', "line 1, column 4", "control character"),
    "NUL": (b'["a"]\x00', "line 1, column 6", "Extra data"),
    "unterminated": (b'{"a": "b', "line 1, column 7", "Unterminated"),
    "fault after CRLF": (b'{"a": 1,\r\n"a": 2}', "line 2, column 1", "duplicate"),
}


@pytest.mark.parametrize("case", FAULTS)
def test_each_fault_is_named_with_its_line_and_column(case):
    document, where, what = FAULTS[case]
    with pytest.raises(InputError) as caught:
        parse_json(document, name="results.json")
    assert f"results.json, {where}:" in str(caught.value)
    assert what in str(caught.value)
    assert len(str(caught.value)) < 300


def test_the_first_of_several_faults_is_the_one_reported():
    with pytest.raises(InputError, match="line 1, column 9.*duplicate"):
        parse_json(b'{"a":1, "a":2, "b": NaN, }', name="x")


def test_line_ends_of_windows_are_white_space():
    assert parse_json(b'{"a": 1,\r\n "b": [2]}\r\n', name="x") == {"a": 1, "b": [2]}


def test_the_deepest_allowed_document_is_read():
    assert json.dumps(parse_json(b"[" * MAX_DEPTH + b"]" * MAX_DEPTH, name="x")) == "[" * MAX_DEPTH + "]" * MAX_DEPTH


def test_brackets_inside_text_are_not_nesting():
    assert parse_json(json.dumps(["[{" * 5000, '\\"[' * 500]).encode(), name="x")[0] == "[{" * 5000


def test_a_pair_of_surrogates_is_a_character():
    assert parse_json(b'["\\ud83d\\ude00"]', name="x") == ["\U0001f600"]


@pytest.mark.parametrize(
    "document",
    [
        b'"' + b'\\"' * 2_000_000,
        b'["' * 400_000,
        b"\\" * 4_000_000,
        b'{"a"' * 500_000,
        b'"\\u' * 1_000_000,
        b"[" + b"1e" * 2_000_000,
    ],
    ids=["escaped quotes", "open texts", "backslashes", "open objects", "half escapes", "long word"],
)
def test_no_document_takes_more_than_linear_time(document):
    begin = time.perf_counter()
    with pytest.raises(InputError):
        parse_json(document, name="x")
    assert time.perf_counter() - begin < 5


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=30,
).filter(lambda value: "\\ud" not in json.dumps(value) or _encodable(value))


def _encodable(value):
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True


@given(VALUES, st.sampled_from([None, 1]), st.booleans())
def test_every_proper_document_is_read_as_json_reads_it(value, indent, ascii_only):
    assert parse_json(json.dumps(value, indent=indent, ensure_ascii=ascii_only), name="x") == value


@given(st.binary(max_size=200))
def test_arbitrary_bytes_are_a_value_or_an_input_error(data):
    try:
        found = parse_json(data, name="x")
    except InputError:
        return
    assert found == json.loads(data)


def test_fifty_thousand_mutated_manifests_are_values_or_located_errors():
    rng = random.Random(20261121)
    honest = json.dumps(
        {"schema": "learnt.run/1", "config": {"epochs": 10, "rate": 1e-3, "names": ["a", "b"], "é": None, "x": {"y": [[], {}]}},
         "provenance": {"versions": {"torch": "2.13.0"}, "threads": 1}, "config_hash": "0" * 64},
        indent=1, ensure_ascii=False,
    ).encode()  # fmt: skip
    pieces = [b"NaN", b"Infinity", b"-", b"1e400", b'"', b"\\ud800", b"{", b"[", b"]", b"}", b",", b":", b"\xff", b"\xef\xbb\xbf", b"\r", b"\\",
              b"9" * 500, b"[" * 200, b'{"a":' * 150, b'"a":1,"a":1,', b"\x00", b"\xed\xa0\x80", b"true", b"/*"]  # fmt: skip
    read = refused = located = 0
    for _ in range(50_000):
        data = bytearray(honest)
        for _ in range(rng.randint(1, 4)):
            at = rng.randrange(len(data)) if data else 0
            kind = rng.randrange(4)
            if kind == 0 and data:
                data[at] ^= 1 << rng.randrange(8)
            elif kind == 1:
                data[at:at] = rng.choice(pieces)
            elif kind == 2:
                del data[at : at + rng.randint(1, 30)]
            else:
                data[at:at] = data[at : at + rng.randint(1, 60)]
        try:
            value = parse_json(bytes(data), name="m.json")
        except InputError as error:
            located += str(error).startswith("m.json, line ")
            refused += 1
        else:
            json.dumps(value, allow_nan=False, ensure_ascii=False).encode()  # what is read can be written again
            read += 1
    assert read > 1000
    assert refused > 10_000
    assert located == refused


def test_text_is_decoded_or_its_first_bad_byte_is_named():
    assert decode("é\n".encode(), name="x") == "é\n"
    with pytest.raises(InputError, match="line 2, column 2: found the byte 0xfe"):
        decode(b"a\nb\xfe", name="x")
