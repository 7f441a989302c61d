import gzip

import pytest

from learnt.core.errors import InputError, StorageError, UntrustedFileError
from learnt.io.textlines import read_lines, stream_lines


def test_text_is_read_in_the_encoding_it_is_in(tmp_path):
    file = tmp_path / "text"
    for data, expected in (
        ("caf\u00e9 \u2026".encode(), "caf\u00e9 \u2026"),
        (b"\xef\xbb\xbfcaf\xc3\xa9", "caf\u00e9"),
        (b"caf\xe9 \x85", "caf\u00e9 \u2026"),
        (b"\x81\xe9", "\x81\u00e9"),  # not a character of Windows-1252
    ):
        file.write_bytes(data + b"\r\nnext\n")
        assert read_lines(file) == [expected, "next"]
    file.write_bytes(gzip.compress(b"a\n\nb"))
    assert read_lines(file) == ["a", "", "b"]
    file.write_bytes(b"\xe9\n")
    with pytest.raises(InputError, match="another encoding"):
        read_lines(file, encodings=("utf-8",))


def test_files_that_are_not_text_are_refused(tmp_path):
    file = tmp_path / "text"
    file.write_bytes(b"a\0b")
    with pytest.raises(UntrustedFileError, match="NUL"):
        read_lines(file)
    file.write_bytes(gzip.compress(b"a\n" * 10_000))
    with pytest.raises(UntrustedFileError, match="max_bytes"):
        read_lines(file, max_bytes=1_000)
    with pytest.raises(StorageError, match="a directory"):
        read_lines(tmp_path)


def test_large_files_are_read_one_line_at_a_time(tmp_path):
    file = tmp_path / "text"
    file.write_bytes("a\r\n\ncaf\u00e9\x85b".encode())
    assert list(stream_lines(file)) == ["a", "", "caf\u00e9\x85b"]
    file.write_bytes(b"a\ncaf\xe9\n")
    lines = stream_lines(file)
    with pytest.raises(InputError, match="line 2, byte 4"):
        list(lines)
