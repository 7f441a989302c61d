"""JSON lines: one strict value a line, with the line of the file in every error, and without reading ahead."""

import gzip

import pytest

from learnt.core.errors import InputError, UntrustedFileError
from learnt.io.jsonl import read_jsonl


def test_each_line_is_a_value_with_its_number(tmp_path):
    path = tmp_path / "x.jsonl"
    path.write_text('{"a": 1}\n\n  \r\n[2]\n"three"')
    assert list(read_jsonl(path)) == [(1, {"a": 1}), (4, [2]), (5, "three")]


def test_a_gzipped_file_is_read_and_bounded(tmp_path):
    path = tmp_path / "x.jsonl"
    path.write_bytes(gzip.compress(b'{"a": 1}\n' * 1000))
    assert len(list(read_jsonl(path))) == 1000
    with pytest.raises(UntrustedFileError, match="raise max_bytes"):
        list(read_jsonl(path, max_bytes=100))


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ('{"a": NaN}', r"line 2, column 7.*NaN"),
        ('{"a": 1, "a": 2}', r"line 2, column 10.*duplicate key"),
        ("{'a': 1}", "line 2, column 2"),
        ('{"a": 1} {"b": 2}', "line 2, column 10"),
        ("[" * 200, "nesting"),
    ],
)
def test_a_line_that_is_not_strict_json_is_named(tmp_path, line, text):
    path = tmp_path / "x.jsonl"
    path.write_text('{"a": 1}\n' + line + '\n{"a": 3}\n')
    with pytest.raises(InputError, match=text):
        list(read_jsonl(path))


def test_lines_are_read_one_at_a_time(tmp_path):
    path = tmp_path / "x.jsonl"
    path.write_text('{"a": 1}\nnot json\n')
    found = read_jsonl(path)
    assert next(found) == (1, {"a": 1})
    with pytest.raises(InputError, match="line 2"):
        next(found)
