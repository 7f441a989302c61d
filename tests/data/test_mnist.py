import gzip
import os
from pathlib import Path

import numpy as np
import pytest
import torch

from learnt.core.errors import InputError, ShapeError, StorageError, UntrustedFileError
from learnt.data import load

REAL = Path(os.environ.get("LEARNT_DATA", "unset")) / "mnist"


def idx(array):
    """The bytes of an IDX file of unsigned bytes."""
    return bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes() + array.astype(np.uint8).tobytes()


def write(folder, n=40, *, dotted=False, compress=False, prefixes=("train", "t10k")):
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    for prefix in prefixes:
        images = rng.integers(0, 256, (n, 28, 28))
        labels = np.arange(n) % 10
        for kind, axes, array in (("images", 3, images), ("labels", 1, labels)):
            name = f"{prefix}-{kind}{'.' if dotted else '-'}idx{axes}-ubyte"
            data = idx(array)
            (folder / (name + ".gz" if compress else name)).write_bytes(gzip.compress(data) if compress else data)
    return images, labels


@pytest.mark.parametrize("name", ["mnist", "fashion_mnist"])
@pytest.mark.parametrize("dotted", [False, True])
@pytest.mark.parametrize("compress", [False, True])
def test_the_official_files_are_read_plain_or_gzipped(tmp_path, name, dotted, compress):
    images, labels = write(tmp_path, dotted=dotted, compress=compress)
    test = load(name, root=tmp_path)
    assert test.inputs.shape == (40, 1, 28, 28)
    np.testing.assert_array_equal((test.inputs[:, 0] * 255).round().numpy(), images)
    np.testing.assert_array_equal(test.labels, labels)
    assert len(test.classes) == 10
    assert (test.low, test.high) == (0, 1)
    train, held_out = load(name, root=tmp_path, split="train"), load(name, root=tmp_path, split="validation")
    assert len(train) + len(held_out) == 40
    assert not set(train.keys.tolist()) & set(held_out.keys.tolist())


@pytest.mark.parametrize("layout", ["mnist", "MNIST/raw"])
def test_the_usual_sub_folders_are_searched(tmp_path, layout):
    write(tmp_path / layout)
    assert len(load("mnist", root=tmp_path, split="all")) == 80


def test_no_root_says_where_the_files_come_from():
    with pytest.raises(InputError, match="four .gz files") as error:
        load("mnist")
    assert error.value.argument == "root"


def test_a_root_that_is_not_there_is_named(tmp_path):
    with pytest.raises(StorageError, match="nothing at that path"):
        load("mnist", root=tmp_path / "absent")
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="a file"):
        load("mnist", root=tmp_path / "file")


def test_a_missing_file_is_named_with_how_to_get_it(tmp_path):
    write(tmp_path, prefixes=("train",))
    with pytest.raises(StorageError, match="t10k-images-idx3-ubyte") as error:
        load("mnist", root=tmp_path)
    assert "ossci-datasets" in error.value.remedy
    assert len(load("mnist", root=tmp_path, split="train")) == 30  # one of the four of each class is for validation


def test_a_file_of_another_format_is_refused(tmp_path):
    write(tmp_path)
    (tmp_path / "t10k-images-idx3-ubyte").write_bytes(b"<html>not found</html>")
    with pytest.raises(UntrustedFileError, match="IDX header"):
        load("mnist", root=tmp_path)


def test_labels_that_do_not_fit_the_images_are_refused(tmp_path):
    write(tmp_path)
    (tmp_path / "t10k-labels-idx1-ubyte").write_bytes(idx(np.zeros(39)))
    with pytest.raises(ShapeError, match="one an image"):
        load("mnist", root=tmp_path)


def test_images_of_another_rank_are_refused(tmp_path):
    write(tmp_path)
    (tmp_path / "t10k-images-idx3-ubyte").write_bytes(idx(np.zeros((40, 784))))
    with pytest.raises(ShapeError, match="height, width"):
        load("mnist", root=tmp_path)


@pytest.mark.skipif(not REAL.is_dir(), reason="the real MNIST is not in the folder that LEARNT_DATA names")
def test_the_real_set_has_its_published_counts():
    test = load("mnist", root=REAL)
    assert test.labels.bincount().tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    assert test.inputs.mean() == pytest.approx(0.1325, abs=1e-3)
    train = load("mnist", root=REAL, split="train", limit=2000)
    means = torch.stack([train.inputs[train.labels == k].mean(0).flatten() for k in range(10)])
    nearest = torch.cdist(test.inputs[:1000].flatten(1), means).argmin(1)
    assert (nearest == test.labels[:1000]).float().mean() > 0.7
