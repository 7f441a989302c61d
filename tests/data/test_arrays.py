import numpy as np
import pytest
import torch

from learnt.core.errors import InputError, NonFiniteError, ShapeError, UntrustedFileError
from learnt.data import load

RNG = np.random.default_rng(0)


def save(path, **arrays):
    np.savez(path / "set.npz", **arrays)
    return path / "set.npz"


@pytest.mark.parametrize(
    ("x", "y"), [("inputs", "labels"), ("x", "y"), ("X", "Y"), ("images", "targets"), ("data", "target")]
)
def test_the_usual_names_are_found(tmp_path, x, y):
    path = save(tmp_path, **{x: RNG.normal(size=(20, 4)), y: np.arange(20) % 2})
    whole = load(path, split="all")
    assert whole.inputs.shape == (20, 4)
    assert whole.inputs.dtype == torch.float32
    assert whole.labels.dtype == torch.int64
    assert whole.name == "set"


@pytest.mark.parametrize("form", ["{}_train {}_test", "train_{} test_{}"])
def test_arrays_for_training_and_test_are_official_parts(tmp_path, form):
    train, test = form.split()
    path = save(
        tmp_path,
        **{train.format("x"): RNG.normal(size=(30, 2)), train.format("y"): np.arange(30) % 3},
        **{test.format("x"): RNG.normal(size=(6, 2)), test.format("y"): np.arange(6) % 3},
    )
    assert [len(load(path, split=split)) for split in ("train", "validation", "test", "all")] == [27, 3, 6, 36]


def test_bytes_of_images_become_the_unit_interval_channel_first(tmp_path):
    pixels = RNG.integers(0, 256, (12, 9, 7, 3)).astype(np.uint8)
    images = load(save(tmp_path, images=pixels, labels=np.arange(12) % 2), split="all")
    assert images.inputs.shape == (12, 3, 9, 7)
    np.testing.assert_allclose(images.inputs[2, 1], pixels[2, :, :, 1] / 255, atol=1e-6)
    assert (images.low, images.high) == (0, 1)
    grey = load(save(tmp_path, images=pixels[..., 0]), split="all")
    assert grey.inputs.shape == (12, 1, 9, 7)


def test_channel_first_images_stay(tmp_path):
    assert load(save(tmp_path, x=RNG.random((5, 3, 8, 8))), split="all").inputs.shape == (5, 3, 8, 8)


def test_tokens_stay_whole_numbers(tmp_path):
    tokens = RNG.integers(0, 50, (10, 6))
    whole = load(save(tmp_path, x=tokens, y=np.arange(10) % 2), split="all")
    assert whole.inputs.dtype == torch.int64
    np.testing.assert_array_equal(whole.inputs, tokens)


def test_text_labels_become_classes_in_order(tmp_path):
    whole = load(save(tmp_path, x=RNG.normal(size=(3, 2)), y=np.array(["dog", "cat", "dog"])), split="all")
    assert whole.classes == ("cat", "dog")
    assert whole.labels.tolist() == [1, 0, 1]


def test_real_targets_are_regression_and_class_names_are_kept(tmp_path):
    real = load(save(tmp_path, x=RNG.normal(size=(4, 2)), y=RNG.normal(size=(4, 1))), split="all")
    assert real.labels.shape == (4,)
    assert real.labels.is_floating_point()
    named = load(
        save(tmp_path, x=RNG.normal(size=(4, 2)), y=np.array([0, 1, 1, 0]), classes=np.array(["no", "yes"])),
        split="all",
    )
    assert named.classes == ("no", "yes")


def test_masks_come_along_and_must_fit(tmp_path):
    images, masks = RNG.random((6, 1, 5, 5)), RNG.integers(0, 2, (6, 5, 5))
    whole = load(save(tmp_path, x=images, y=np.zeros(6, int), masks=masks), split="all")
    np.testing.assert_array_equal(whole.masks, masks != 0)
    with pytest.raises(ShapeError, match="masks"):
        load(save(tmp_path, x=images, masks=masks[:, :4]), split="all")


def test_missing_inputs_list_what_is_there(tmp_path):
    with pytest.raises(InputError, match="features, weights"):
        load(save(tmp_path, weights=np.zeros(3), features=np.zeros(3)), split="all")


@pytest.mark.parametrize(
    ("arrays", "error"),
    [
        ({"x": np.array([[1.0, np.nan]])}, NonFiniteError),
        ({"x": np.zeros((3, 2)), "y": np.zeros(2, int)}, ShapeError),
        ({"x": np.zeros(3)}, ShapeError),
        ({"x": np.zeros((0, 3))}, InputError),
        ({"x": np.zeros((2, 2), complex)}, InputError),
        ({"x": np.zeros((2, 2)), "y": np.zeros(2, complex)}, InputError),
        ({"x": np.zeros((2, 2)), "y": np.array([0, -1])}, InputError),
    ],
)
def test_arrays_without_meaning_are_refused(tmp_path, arrays, error):
    with pytest.raises(error):
        load(save(tmp_path, **arrays), split="all")


def test_objects_are_never_unpickled(tmp_path):
    path = tmp_path / "set.npz"
    np.savez(path, x=np.array([{}, {}], dtype=object))
    with pytest.raises(UntrustedFileError):
        load(path, split="all")
