"""Settings that people write by hand: three notations, one result, nothing that acts."""

import pytest

from learnt.core.errors import InputError, LearntError, StorageError, UntrustedFileError
from learnt.io.settings import read_settings

SAME = {"name": "xor", "nodes": {"x": 2}, "gates": [1, 0.5, True], "edges": {"a": ["x", "y"]}}
TEXTS = {
    ".toml": 'name = "xor"\ngates = [1, 0.5, true]\n[nodes]\nx = 2\n[edges]\na = ["x", "y"]\n',
    ".json": '{"name": "xor", "gates": [1, 0.5, true], "nodes": {"x": 2}, "edges": {"a": ["x", "y"]}}',
    ".yaml": "name: xor\ngates: [1, 0.5, true]\nnodes: {x: 2}\nedges:\n  a: [x, y]\n",
}


@pytest.mark.parametrize("suffix", TEXTS)
def test_three_notations_say_the_same(tmp_path, suffix):
    path = tmp_path / f"task{suffix}"
    path.write_text(TEXTS[suffix])
    assert read_settings(path) == SAME


@pytest.mark.parametrize(
    "text",
    [
        "a: !!python/object/apply:os.system ['true']\n",
        "a: !!int 3\n",
        "a: !mine 3\n",
        "a: &b [1]\nc: *b\n",
        "a: &a [*a]\n",
    ],
)
def test_yaml_with_tags_and_aliases_is_refused(tmp_path, text):
    (tmp_path / "x.yaml").write_text(text)
    with pytest.raises(UntrustedFileError, match="line 1"):
        read_settings(tmp_path / "x.yaml")


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("x.yaml", "a: 1\nb: 2\na: 3\n", "line 3"),
        ("x.yaml", "a: [1\nb: 2\n", "bad YAML"),
        ("x.yaml", "- 1\n- 2\n", "a mapping at the top"),
        ("x.yaml", "on: 1\n", "quotes"),
        ("x.yaml", "a: 2001-01-01\n", "date"),
        ("x.yaml", "a: 2001-99-99\n", "month|date"),
        ("x.yaml", "a: " + 2000 * "[" + 2000 * "]", "deep"),
        ("x.toml", "a = 1\na = 2\n", "overwrite"),
        ("x.toml", "a = \n", "line 1"),
        ("x.toml", "a = " + 5000 * "[" + 5000 * "]", "deep"),
        ("x.json", '{"a": NaN}', "NaN"),
        ("x.json", "[1]", "a mapping at the top"),
        ("x.txt", "a = 1", "suffix"),
    ],
)
def test_what_is_not_a_plain_mapping_is_an_error_that_says_where(tmp_path, name, text, said):
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=said):
        read_settings(tmp_path / name)


def test_files_that_are_missing_too_large_or_no_text_are_errors(tmp_path):
    (tmp_path / "big.toml").write_text("a = 1\n" + "#" * 200)
    (tmp_path / "bytes.toml").write_bytes(b"a = '\xff'\n")
    with pytest.raises(InputError, match="at most 100"):
        read_settings(tmp_path / "big.toml", max_bytes=100)
    with pytest.raises(InputError, match="UTF-8"):
        read_settings(tmp_path / "bytes.toml")
    with pytest.raises(StorageError, match=r"big\.toml"):
        read_settings(tmp_path / "bik.toml")
    with pytest.raises(LearntError):
        read_settings(tmp_path)
