"""Domains: permutations that are random and different, rotations that are linear maps, and what is refused."""

import numpy as np
import pytest
import torch

from learnt.core.errors import InputError, NotApplicable, StorageError
from learnt.core.examples import Examples
from learnt.gated.routing_domains import routing_data


def test_names_of_classes_are_random_permutations_and_not_the_first_in_order():
    data = routing_data("digits", 20)
    labels = data.labels.numpy()
    assert (np.sort(labels, axis=1) == np.arange(10)).all()
    assert len(np.unique(labels, axis=0)) == 20
    fixed = (labels == np.arange(10)).mean(0)
    assert fixed.max() < 0.5  # in the reference, labels 0 to 4 never move
    y = torch.tensor([3, 0, 7])
    np.testing.assert_array_equal(data.targets(4, y).numpy(), labels[4][[3, 0, 7]])


def test_more_domains_leave_the_first_ones_as_they_are_and_seeds_differ():
    few, many, other = routing_data("digits", 3), routing_data("digits", 8), routing_data("digits", 3, seed=1)
    for name in ("labels", "pixels"):
        assert torch.equal(getattr(few, name), getattr(many, name)[:3])
        assert not torch.equal(getattr(few, name), getattr(other, name))


def test_every_permutation_of_few_classes_is_used_once():
    rng = np.random.default_rng(0)
    part = Examples(inputs=torch.tensor(rng.random((12, 4)), dtype=torch.float32), labels=torch.arange(12) % 3)
    labels = routing_data((part, part), 6).labels
    assert len(np.unique(labels.numpy(), axis=0)) == 6
    with pytest.raises(InputError, match="at most 6"):
        routing_data((part, part), 7)


def test_views_are_the_inputs_of_all_domains():
    for inputs in ("permute", "rotate", "same"):
        data = routing_data("digits", 4, inputs=inputs)
        x = data.train_x[:5]
        views = data.views(x)
        assert views.shape == (5, 4, 64)
        for i in range(4):
            torch.testing.assert_close(views[:, i], data.inputs(i, x))


def test_permuted_pixels_are_the_same_numbers_in_another_order():
    data = routing_data("digits", 3)
    x = data.test_x
    shown = data.inputs(1, x)
    torch.testing.assert_close(shown.sort(1).values, x.sort(1).values)
    assert not torch.equal(shown, x)


def test_a_turn_is_linear_and_a_quarter_turn_turns_the_image():
    data = routing_data("digits", 3, inputs="rotate", degrees=270.0)  # 0, 90 and 180 degrees
    x = data.test_x[:6]
    torch.testing.assert_close(data.inputs(0, x), x, atol=1e-5, rtol=0)
    image = data.inputs(1, x).reshape(6, 8, 8)
    torch.testing.assert_close(image, torch.rot90(x.reshape(6, 8, 8), 1, (1, 2)), atol=1e-4, rtol=0)
    torch.testing.assert_close(data.inputs(2, x), x.flip(1), atol=1e-4, rtol=0)


def test_training_and_test_images_share_nothing_and_limit_is_kept():
    data = routing_data("digits", 2)
    assert len(data.train_x) + len(data.test_x) == 1797
    both = {row.numpy().tobytes() for row in data.train_x} & {row.numpy().tobytes() for row in data.test_x}
    assert not both
    assert len(routing_data("digits", 2, limit=100).train_x) == 100


def test_mnist_comes_from_files(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (30, 28, 28), dtype=np.uint8)
    labels = (np.arange(30) % 10).astype(np.uint8)
    for prefix in ("train", "t10k"):
        header = bytes([0, 0, 8, 3]) + b"".join(n.to_bytes(4, "big") for n in images.shape)
        (tmp_path / f"{prefix}-images-idx3-ubyte").write_bytes(header + images.tobytes())
        header = bytes([0, 0, 8, 1]) + (30).to_bytes(4, "big")
        (tmp_path / f"{prefix}-labels-idx1-ubyte").write_bytes(header + labels.tobytes())
    data = routing_data("mnist", 2, root=tmp_path)
    assert data.train_x.shape == (30, 784)
    assert data.width == 784
    assert data.classes == 10
    with pytest.raises(StorageError, match="mnist"):
        routing_data("mnist", 2, root=tmp_path / "nowhere")


def test_check_23_what_are_no_domains_is_refused():
    with pytest.raises(InputError, match="domains"):
        routing_data("digits", 0)
    with pytest.raises(InputError, match="inputs"):
        routing_data("digits", 2, inputs="mirror")  # type: ignore[arg-type]
    with pytest.raises(NotApplicable, match="images"):
        routing_data("wine", 2, inputs="rotate")
    with pytest.raises(NotApplicable, match="classes"):
        routing_data("diabetes", 2)
    with pytest.raises(InputError, match="domain"):
        routing_data("digits", 2).inputs(2, torch.zeros(1, 64))


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("source", {"source": (1, 2)}),
        ("inputs", {"inputs": np.arange(3)}),
        ("outputs", {"outputs": np.arange(3)}),
    ],
)
def test_check_23_other_things_than_images_and_words_are_refused_by_name(name, arguments):
    with pytest.raises(InputError, match=name):
        routing_data(**arguments)
