import numpy as np
import pytest
import torch
from PIL import Image

from learnt.core.errors import InputError, ShapeError, UntrustedFileError
from learnt.data import load


def paint(path, colour, size=(12, 12)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).save(path)


@pytest.fixture
def photos(tmp_path):
    for i in range(10):
        paint(tmp_path / "photos" / "red" / f"{i}.png", (200 + i, 0, 0))
        paint(tmp_path / "photos" / "blue" / f"{i}.png", (0, 0, 200 + i))
    (tmp_path / "photos" / "red" / "notes.txt").write_text("not an image")
    (tmp_path / "photos" / ".cache").mkdir()
    return tmp_path / "photos"


def test_the_class_is_the_sub_folder_in_order_of_names(photos):
    whole = load(photos, split="all")
    assert whole.classes == ("blue", "red")
    assert whole.inputs.shape == (20, 3, 12, 12)
    np.testing.assert_array_equal(whole.labels, [0] * 10 + [1] * 10)
    np.testing.assert_allclose(whole.inputs[13, :, 0, 0], [203 / 255, 0, 0], atol=1e-6)
    assert (whole.low, whole.high) == (0, 1)
    assert sum(len(load(photos, split=split)) for split in ("train", "validation", "test")) == 20


def test_train_and_test_folders_are_official_parts(tmp_path):
    for part, n in (("train", 4), ("val", 2), ("test", 3)):
        for i in range(n):
            paint(tmp_path / part / "a" / f"{i}.png", (i, 0, 0))
            paint(tmp_path / part / "b" / f"{i}.png", (0, i, 0))
    assert [len(load(tmp_path, split=split)) for split in ("train", "validation", "test", "all")] == [8, 4, 6, 18]
    paint(tmp_path / "test" / "c" / "0.png", (9, 9, 9))
    with pytest.raises(InputError, match="without training images"):
        load(tmp_path)


def test_size_brings_all_images_to_one_shape(tmp_path):
    paint(tmp_path / "a" / "0.png", (10, 20, 30), (40, 20))
    paint(tmp_path / "a" / "1.png", (10, 20, 31), (8, 30))
    paint(tmp_path / "b" / "0.png", (10, 20, 32), (16, 16))
    whole = load(tmp_path, split="all", size=16)
    assert whole.inputs.shape == (3, 3, 16, 16)
    assert load(tmp_path, split="all", size=(6, 9)).inputs.shape == (3, 3, 6, 9)
    np.testing.assert_allclose(whole.inputs[0, :, 3, 3] * 255, [10, 20, 30], atol=0.01)


def test_the_crop_is_the_middle(tmp_path):
    stripe = np.zeros((10, 30, 3), np.uint8)
    stripe[:, 10:20] = 255
    (tmp_path / "a").mkdir()
    Image.fromarray(stripe).save(tmp_path / "a" / "0.png")
    paint(tmp_path / "b" / "0.png", (0, 0, 0), (10, 10))
    assert (load(tmp_path, split="all", size=10).inputs[0] == 1).all()


def test_grey_gives_one_channel(photos):
    grey = load(photos, split="all", grey=True)
    assert grey.inputs.shape == (20, 1, 12, 12)
    assert grey.inputs[10, 0, 0, 0] == pytest.approx(0.299 * 200 / 255, abs=1e-6)
    assert isinstance(grey.inputs, torch.Tensor)


def test_different_sizes_without_the_option_are_refused(tmp_path):
    paint(tmp_path / "a" / "0.png", (0, 0, 0), (4, 4))
    paint(tmp_path / "b" / "0.png", (0, 0, 0), (5, 4))
    with pytest.raises(ShapeError, match="size="):
        load(tmp_path, split="all")


def test_folders_without_classes_or_images_are_refused(tmp_path):
    with pytest.raises(InputError, match="one sub-folder"):
        load(tmp_path, split="all")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="no images"):
        load(tmp_path, split="all")


def test_a_broken_image_is_named(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n and then nothing")
    with pytest.raises(UntrustedFileError, match=r"broken\.png"):
        load(tmp_path, split="all")


@pytest.mark.parametrize("size", [0, (3,), (4, -1)])
def test_sizes_without_meaning_are_refused(photos, size):
    with pytest.raises(InputError) as error:
        load(photos, size=size)
    assert error.value.argument == "size"
