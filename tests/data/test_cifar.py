import gzip
import os
from pathlib import Path

import numpy as np
import pytest

from learnt.core.errors import InputError, StorageError, UntrustedFileError
from learnt.data import load
from learnt.data.cifar import CIFAR10, CIFAR100, CIFAR100_COARSE

REAL = Path(os.environ.get("LEARNT_DATA", "unset")) / "cifar10-subset"


def records(n, seed, *, label_bytes=1, classes=10):
    rng = np.random.default_rng(seed)
    labels = np.stack([np.arange(n) % (20 if label_bytes == 2 and j == 0 else classes) for j in range(label_bytes)], 1)
    images = rng.integers(0, 256, (n, 3072))
    return np.concatenate([labels, images], 1).astype(np.uint8).tobytes(), images.reshape(n, 3, 32, 32)


def test_batches_are_read_in_order_whichever_are_there(tmp_path):
    wanted = []
    for i in (4, 2):
        data, images = records(20, i)
        (tmp_path / f"data_batch_{i}.bin").write_bytes(data)
        wanted.insert(0, images)
    (tmp_path / "test_batch.bin.gz").write_bytes(gzip.compress(records(30, 9)[0]))
    whole = load("cifar10", root=tmp_path, split="all")
    assert len(whole) == 70
    np.testing.assert_array_equal((whole.inputs[:40] * 255).round().numpy(), np.concatenate(wanted))
    assert whole.classes == CIFAR10
    assert len(load("cifar10", root=tmp_path)) == 30
    train, held_out = (load("cifar10", root=tmp_path, split=split) for split in ("train", "validation"))
    assert not set(train.keys.tolist()) & set(held_out.keys.tolist())


def test_the_unpacked_archive_is_found_below_the_root(tmp_path):
    (tmp_path / "cifar-10-batches-bin").mkdir()
    (tmp_path / "cifar-10-batches-bin" / "test_batch.bin").write_bytes(records(10, 0)[0])
    assert load("cifar10", root=tmp_path).inputs.shape == (10, 3, 32, 32)


def test_fine_and_coarse_labels_of_the_hundred_classes(tmp_path):
    (tmp_path / "test.bin").write_bytes(records(200, 0, label_bytes=2, classes=100)[0])
    fine, coarse = load("cifar100", root=tmp_path), load("cifar100", root=tmp_path, coarse=True)
    np.testing.assert_array_equal(fine.labels, np.arange(200) % 100)
    np.testing.assert_array_equal(coarse.labels, np.arange(200) % 20)
    assert (len(fine.classes), len(coarse.classes)) == (100, 20)


def test_class_names_are_sorted_and_unique():
    assert list(CIFAR100) == sorted(set(CIFAR100))
    assert len(CIFAR100) == 100
    assert len(set(CIFAR100_COARSE)) == 20


def test_missing_batches_say_what_was_looked_for(tmp_path):
    with pytest.raises(StorageError, match=r"data_batch_1\.bin") as error:
        load("cifar10", root=tmp_path, split="train")
    assert "cs.toronto.edu" in error.value.remedy
    with pytest.raises(StorageError, match=r"test\.bin"):
        load("cifar100", root=tmp_path)
    with pytest.raises(InputError, match="root"):
        load("cifar10")


@pytest.mark.parametrize(
    ("name", "file", "split"),
    [("cifar10", "data_batch_1", "train"), ("cifar10", "test_batch", "test"), ("cifar100", "train", "train")],
)
def test_the_pickled_version_is_refused_and_never_opened(tmp_path, name, file, split):
    (tmp_path / file).write_bytes(b"\x80\x02cos\nsystem\nX\x04\x00\x00\x00true\x85R.")
    with pytest.raises(UntrustedFileError, match="pickled"):
        load(name, root=tmp_path, split=split)


def test_a_file_cut_short_is_refused(tmp_path):
    (tmp_path / "test_batch.bin").write_bytes(records(10, 0)[0][:-5])
    with pytest.raises(UntrustedFileError):
        load("cifar10", root=tmp_path)


@pytest.mark.skipif(not REAL.is_dir(), reason="the CIFAR-10 subset is not in the folder that LEARNT_DATA names")
def test_the_real_subset_is_balanced():
    train = load("cifar10", root=REAL, split="all")
    assert train.labels.bincount().tolist() == [2000] * 10
    assert train.inputs.mean((0, 2, 3)).tolist() == pytest.approx([0.491, 0.482, 0.447], abs=0.01)
