"""Honest files read back exactly; dishonest ones are refused before they grow."""

from __future__ import annotations

import gzip
import resource
import struct
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from learnt.core.errors import InputError, ShapeError, StorageError, UntrustedFileError
from learnt.io.formats import read_cifar, read_csv, read_idx, read_image, read_npy, read_npz, write_csv
from learnt.io.tables import neutral
from learnt.testing._assemble import zeros_deflated
from learnt.testing.malicious import mutated

DTYPES = st.sampled_from(["<f4", ">f8", "<i8", ">i2", "|u1", "|b1", "<c8", "<U3", "|S2"]).map(np.dtype)
ARRAYS = DTYPES.flatmap(lambda d: arrays(d, array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4)))


@given(ARRAYS, st.booleans())
def test_an_array_survives_the_round_trip(tmp_path_factory, values: np.ndarray, fortran: bool) -> None:
    folder = tmp_path_factory.mktemp("arrays")
    values = np.asfortranarray(values) if fortran and values.ndim else values
    np.save(folder / "x.npy", values)
    np.savez(folder / "x.npz", a=values, b=np.arange(3))
    np.savez_compressed(folder / "y.npz", a=values)
    for found in (read_npy(folder / "x.npy"), read_npz(folder / "x.npz")["a"], read_npz(folder / "y.npz")["a"]):
        assert found.dtype == values.dtype
        np.testing.assert_array_equal(found, values)
        assert found.flags.writeable


def test_names_of_an_npz_file_are_kept(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", inputs=np.zeros(2), labels=np.ones(2, dtype=np.int64))
    assert sorted(read_npz(tmp_path / "x.npz")) == ["inputs", "labels"]


def test_a_bomb_of_four_megabytes_is_refused_in_under_a_second(tmp_path: Path) -> None:
    from learnt.testing.malicious import hostile_arrays

    bomb = next(case for case in hostile_arrays() if case.name == "bomb").make()
    assert 3_000_000 < len(bomb) < 5_000_000
    (tmp_path / "x.npz").write_bytes(bomb)
    start, before = time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(UntrustedFileError, match="4,194,304,000 bytes after inflating"):
        read_npz(tmp_path / "x.npz")
    assert time.process_time() - start < 1
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300 * 1024


def test_max_bytes_sets_the_bound_of_an_npz_file(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "x.npz", a=np.zeros(1000))
    with pytest.raises(UntrustedFileError, match="at most 100"):
        read_npz(tmp_path / "x.npz", max_bytes=100)
    assert read_npz(tmp_path / "x.npz", max_bytes=10_000)["a"].shape == (1000,)


def test_damaged_arrays_are_arrays_or_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.arange(6.0).reshape(2, 3))
    np.savez_compressed(tmp_path / "x.npz", a=np.arange(6), b=np.zeros((2, 2)))
    for name, read in (("x.npy", read_npy), ("x.npz", read_npz)):
        refusals = 0
        for i, data in enumerate(mutated((tmp_path / name).read_bytes(), 400, seed=3)):
            path = tmp_path / f"{i}-{name}"
            path.write_bytes(data)
            try:
                found = read(path)
            except UntrustedFileError:
                refusals += 1
                continue
            whole = [found] if name == "x.npy" else list(found.values())
            assert all(isinstance(a, np.ndarray) and not a.dtype.hasobject for a in whole)
        assert refusals > 0, f"no damage to {name} was noticed"


# -- IDX and CIFAR --------------------------------------------------------------------------------------


def idx(values: np.ndarray, code: int) -> bytes:
    head = bytes([0, 0, code, values.ndim]) + struct.pack(f">{values.ndim}I", *values.shape)
    return head + values.astype(values.dtype.newbyteorder(">")).tobytes()


@pytest.mark.parametrize(("code", "dtype"), [(8, "u1"), (9, "i1"), (11, "i2"), (12, "i4"), (13, "f4"), (14, "f8")])
@pytest.mark.parametrize("packed", [False, True])
def test_an_idx_file_is_read_exactly(code: int, dtype: str, packed: bool, tmp_path: Path) -> None:
    values = np.arange(24).reshape(2, 3, 4).astype(dtype)
    data = idx(values, code)
    (tmp_path / "x").write_bytes(gzip.compress(data) if packed else data)
    found = read_idx(tmp_path / "x")
    np.testing.assert_array_equal(found, values)
    assert found.dtype == np.dtype(dtype)


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(
    "change",
    [
        lambda d: d[:-1],
        lambda d: d + b"x",
        lambda d: d[:6],
        lambda d: b"",
        lambda d: b"\x01" + d[1:],
        lambda d: d[:2] + b"\x07" + d[3:],
        lambda d: d[:3] + b"\x00",
        lambda d: d[:4] + b"\xff" * 12 + d[16:],
    ],
)
def test_an_idx_file_of_another_size_than_declared_is_refused(change, packed: bool, tmp_path: Path) -> None:
    data = change(idx(np.zeros((2, 3, 4), np.uint8), 8))
    (tmp_path / "x").write_bytes(gzip.compress(data) if packed else data)
    with pytest.raises(UntrustedFileError):
        read_idx(tmp_path / "x")


def gzip_bomb(prefix: bytes, size: int) -> bytes:
    """A gzip file of `prefix` and `size` zero bytes, made without inflating it (its checksum is wrong, at the end)."""
    length = len(prefix).to_bytes(2, "little")
    stored = b"\x00" + length + bytes(255 - b for b in length) + prefix
    return b"\x1f\x8b\x08\0\0\0\0\0\0\x03" + stored + zeros_deflated(size) + bytes(8)


def test_gzip_bombs_stay_small(tmp_path: Path) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    huge = bytes([0, 0, 8, 1]) + struct.pack(">I", 4_000_000_000)
    (tmp_path / "idx").write_bytes(gzip_bomb(huge, 4000 << 20))
    with pytest.raises(UntrustedFileError, match="declares 4,000,000,000 bytes"):
        read_idx(tmp_path / "idx")
    (tmp_path / "csv").write_bytes(gzip_bomb(b"a,b\n", 4000 << 20))
    with pytest.raises(UntrustedFileError, match="line"):
        read_csv(tmp_path / "csv")
    (tmp_path / "cifar").write_bytes(gzip_bomb(b"", 400 << 20))
    with pytest.raises(UntrustedFileError, match="at most 5,000,000"):
        read_cifar(tmp_path / "cifar", max_bytes=5_000_000)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300 * 1024


@pytest.mark.parametrize("packed", [False, True])
def test_cifar_records_are_read_channel_first(packed: bool, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    images, labels = rng.integers(0, 256, (5, 3, 32, 32), dtype=np.uint8), np.array([3, 0, 9, 9, 1], np.uint8)
    ten = np.concatenate([labels[:, None], images.reshape(5, -1)], 1).tobytes()
    hundred = np.concatenate([labels[:, None], labels[:, None] * 11, images.reshape(5, -1)], 1).tobytes()
    (tmp_path / "10").write_bytes(gzip.compress(ten) if packed else ten)
    (tmp_path / "100").write_bytes(gzip.compress(hundred) if packed else hundred)
    for found, expected in (
        (read_cifar(tmp_path / "10"), labels),
        (read_cifar(tmp_path / "100", kind="cifar100", coarse=True), labels),
        (read_cifar(tmp_path / "100", kind="cifar100"), labels * 11),
    ):
        np.testing.assert_array_equal(found[0], images)
        np.testing.assert_array_equal(found[1], expected)
        assert found[1].dtype == np.int64


def test_cifar_files_of_the_wrong_kind_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(bytes(3073 * 2))
    with pytest.raises(UntrustedFileError, match="whole records"):
        read_cifar(path, kind="cifar100")
    path.write_bytes(b"\x0b" + bytes(3072))
    with pytest.raises(InputError, match="label 11 in record 0"):
        read_cifar(path)
    with pytest.raises(InputError, match="cifar10"):
        read_cifar(path, coarse=True)
    path.write_bytes(b"")
    with pytest.raises(UntrustedFileError):
        read_cifar(path)
    with pytest.raises(StorageError):
        read_cifar(tmp_path / "none")


# -- tables ---------------------------------------------------------------------------------------------


def table(tmp_path: Path, data: bytes, **options):
    (tmp_path / "x.csv").write_bytes(data)
    return read_csv(tmp_path / "x.csv", **options)


@pytest.mark.parametrize(
    "data", [b"a,b\n1,2\n3,4\n", b"a,b\r\n1,2\r\n3,4", b"\xef\xbb\xbfa,b\n1,2\n\n3,4\n", b'"a",b\n"1", 2\n3,4e0\n']
)
def test_a_table_is_read_whatever_its_line_ends(data: bytes, tmp_path: Path) -> None:
    for raw in (data, gzip.compress(data)):
        found = table(tmp_path, raw)
        assert found.columns == ("a", "b")
        np.testing.assert_array_equal(found.values, [[1, 2], [3, 4]])
        np.testing.assert_array_equal(found.column("b"), [2, 4])


def test_columns_of_words_are_kept_apart(tmp_path: Path) -> None:
    found = table(tmp_path, b'x,kind,y\n1,Katze,2\n3,"a,b",4\n', words=["kind"])
    assert found.columns == ("x", "y")
    assert found.words == {"kind": ("Katze", "a,b")}
    np.testing.assert_array_equal(found.values, [[1, 2], [3, 4]])
    only = table(tmp_path, b"kind\ncat\ndog\n", words=["kind"])
    assert only.values.shape == (2, 0)
    assert only.words["kind"] == ("cat", "dog")


@pytest.mark.parametrize(
    ("data", "error", "text"),
    [
        (b"", InputError, "a header line"),
        (b"a,b\n", InputError, "no rows"),
        (b"1,2\n3,4\n", InputError, "names of the columns"),
        (b"a,a\n1,2\n", InputError, "'a' twice"),
        (b"a,b\n1,x\n", InputError, "line 2, column 'b': found 'x'"),
        (b"a,b\n1,2\n1,\n", InputError, "line 3, column 'b': found an empty cell"),
        (b"a,b\n1,nan\n", InputError, "found 'nan'"),
        (b"a,b\n1,inf\n", InputError, "found 'inf'"),
        (b"a,b\n1,2,3\n", ShapeError, "line 2: found 3 cells; expected 2"),
        (b"a,b\n1\n", ShapeError, "line 2: found 1 cells"),
        (b"a\n\xff\n", InputError, "line 2, byte 1: found the byte 0xff"),
        (b'a,b\n1,"2\n', InputError, "line 2"),
        (b"a\0b\n1\n", UntrustedFileError, "not text"),
        (b"a,b\n1,1" + b"9" * 200_000 + b"\n", InputError, "line 2"),
        (b"a,b\n1,\x1b[2J\n", InputError, "\ufffd"),
    ],
)
def test_a_faulty_table_is_reported_with_line_and_column(data: bytes, error, text: str, tmp_path: Path) -> None:
    with pytest.raises(error) as caught:
        table(tmp_path, data)
    assert text in str(caught.value)
    assert str(caught.value).isprintable()


def test_an_unknown_column_is_reported(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="columns of the table: a, b"):
        table(tmp_path, b"a,b\n1,2\n", words=["c"])
    with pytest.raises(InputError, match="one of a, b"):
        table(tmp_path, b"a,b\n1,2\n").column("c")


@given(st.lists(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=2, max_size=2), min_size=1))
def test_numbers_survive_the_round_trip_through_csv(tmp_path_factory, rows) -> None:
    path = tmp_path_factory.mktemp("tables") / "x.csv"
    write_csv(path, rows, ["a", "b"])
    np.testing.assert_array_equal(read_csv(path).values, np.asarray(rows))


FORMULAS = [
    f"{blank}{start}{rest}"
    for start in ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
    for rest in ("cmd|' /C calc'!A0", "1+1", 'HYPERLINK("http://x","y")')
    for blank in ("", " ")
]


@pytest.mark.parametrize("text", FORMULAS)
def test_a_cell_of_text_is_never_a_formula(text: str) -> None:
    assert neutral(text)[0] == "'"


@pytest.mark.parametrize(
    "text", ["-inf", "-1", "=", "\x1b[2J", "plain", "", "a=b", None, True, 3, -3, -0.5, 1e-300, np.float32(0.1)]
)
def test_finite_numbers_and_plain_text_stay_what_they_are(text) -> None:
    expected = {"-inf": "'-inf", "-1": "'-1", "=": "'=", "\x1b[2J": "\ufffd[2J", None: "", True: "True"}
    found = neutral(text)
    if isinstance(text, (float, np.floating)):
        assert float(found) == float(text)
    else:
        assert found == expected.get(text, str(text))


def test_rows_of_another_length_are_refused_and_nothing_is_written(tmp_path: Path) -> None:
    with pytest.raises(ShapeError, match=r"rows\[1\]"):
        write_csv(tmp_path / "x.csv", [(1, 2), (3,)], ["a", "b"])
    assert list(tmp_path.iterdir()) == []


# -- images ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["png", "bmp", "gif", "webp"])
@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA", "P", "1"])
def test_an_image_is_read_as_rgb(kind: str, mode: str, tmp_path: Path) -> None:
    from PIL import Image

    pixels = np.zeros((6, 9, 3), np.uint8)
    pixels[2:4] = 255
    options = {"lossless": True} if kind == "webp" else {}
    Image.fromarray(pixels).convert(mode).save(tmp_path / "x.bin", format=kind, **options)
    np.testing.assert_array_equal(read_image(tmp_path / "x.bin"), pixels)


def test_an_image_of_too_many_pixels_is_refused_before_decoding(tmp_path: Path) -> None:
    from PIL import Image

    Image.new("1", (20_000, 20_000)).save(tmp_path / "x.png")
    Image.new("RGB", (30, 30)).save(tmp_path / "y.png")
    start = time.process_time()
    with pytest.raises(UntrustedFileError, match="pixels"):
        read_image(tmp_path / "x.png")
    assert time.process_time() - start < 0.5
    with pytest.raises(UntrustedFileError, match="at most 800 pixels"):
        read_image(tmp_path / "y.png", max_pixels=800)


def test_what_is_not_a_picture_is_refused(tmp_path: Path) -> None:
    from PIL import Image

    path = tmp_path / "x.png"
    for data in (b"", b"<svg onload='x'/>", b"%!PS-Adobe-3.0 EPSF-3.0\n", b"\x89PNG\r\n\x1a\n" + bytes(30)):
        path.write_bytes(data)
        with pytest.raises(UntrustedFileError):
            read_image(path)
    Image.fromarray(np.zeros((4, 4), np.uint16)).save(path)
    with pytest.raises(InputError, match="8 bits"):
        read_image(path)
    Image.new("RGB", (3, 3)).save(tmp_path / "x.tiff")
    with pytest.raises(UntrustedFileError, match="PNG, JPEG"):
        read_image(tmp_path / "x.tiff")


def test_damaged_pictures_are_pictures_or_refused(tmp_path: Path) -> None:
    from PIL import Image

    rng = np.random.default_rng(0)
    for kind in ("png", "jpeg", "gif", "bmp", "webp"):
        Image.fromarray(rng.integers(0, 256, (12, 10, 3), dtype=np.uint8)).save(tmp_path / "x", format=kind)
        for i, data in enumerate(mutated((tmp_path / "x").read_bytes(), 150, seed=5)):
            path = tmp_path / f"{kind}{i}"
            path.write_bytes(data)
            try:
                assert read_image(path).dtype == np.uint8
            except (UntrustedFileError, InputError):
                pass
