import base64
import io

import numpy as np
import pytest
from PIL import Image

from learnt.report import pictures


def decoded(uri: str) -> np.ndarray:
    assert uri.startswith("data:image/png;base64,")
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.split(",", 1)[1]))).convert("RGB"))


@pytest.mark.parametrize("shape", [(8, 8), (5, 9, 3), (1, 1), (96, 96, 3)])
def test_pixels_survive_the_encoder(shape):
    image = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    shown = decoded(pictures.data_uri(image))
    expected = image if image.ndim == 3 else np.repeat(image[..., None], 3, axis=2)
    np.testing.assert_array_equal(shown, expected)


def test_large_images_are_averaged_down():
    image = np.zeros((300, 200), dtype=np.uint8)
    image[:, 100:] = 200
    shown = decoded(pictures.data_uri(image))
    assert max(shown.shape) <= pictures.LARGEST
    assert shown[0, 0, 0] == 0
    assert shown[0, -1, 0] == 200


def test_a_map_is_brighter_where_a_side_looks():
    weights = np.linspace(0, 1, 16).reshape(4, 4)
    light = decoded(pictures.look_uri(None, weights)).mean(-1).ravel()
    assert (np.diff(light) > 0).all()


def test_a_map_of_another_size_than_its_image_fits():
    shown = decoded(pictures.look_uri(np.full((8, 8, 3), 255, dtype=np.uint8), np.ones((2, 2))))
    assert shown.shape == (2, 2, 3)


def test_undefined_weights_are_dark_not_an_error():
    assert decoded(pictures.look_uri(None, np.full((3, 3), np.nan))).max() < 90


def test_equal_pixels_give_equal_bytes():
    weights = np.random.default_rng(1).random((8, 8))
    assert pictures.look_uri(None, weights) == pictures.look_uri(None, weights.copy())
