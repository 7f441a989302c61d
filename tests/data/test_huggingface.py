import sys

import numpy as np
import pytest
import torch

from learnt.core.errors import InputError, MissingExtra, NotApplicable, ShapeError, StorageError
from learnt.data import load


def test_without_the_package_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(MissingExtra, match=r"learnt\[hf\]"):
        load("hf:anything")


@pytest.fixture
def hf(monkeypatch, tmp_path):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
    return pytest.importorskip("datasets", reason="the extra hf is not installed")


def images(hf, n, size=(8, 8), mode="RGB"):
    from PIL import Image

    rng = np.random.default_rng(0)
    pictures = [Image.fromarray(rng.integers(0, 256, (*size, 3)).astype(np.uint8)).convert(mode) for _ in range(n)]
    features = hf.Features({"image": hf.Image(), "label": hf.ClassLabel(names=["cat", "dog"])})
    return hf.Dataset.from_dict({"image": pictures, "label": [i % 2 for i in range(n)]}, features=features)


def test_saved_images_keep_their_parts_and_names(hf, tmp_path):
    hf.DatasetDict({"train": images(hf, 20), "test": images(hf, 4)}).save_to_disk(tmp_path / "pets")
    test = load(f"hf:{tmp_path / 'pets'}")
    assert test.inputs.shape == (4, 3, 8, 8)
    assert test.classes == ("cat", "dog")
    assert (test.low, test.high) == (0, 1)
    assert [len(load("hf:pets", root=tmp_path, split=split)) for split in ("train", "validation", "all")] == [18, 2, 24]


def test_grey_images_have_one_channel(hf, tmp_path):
    images(hf, 6, mode="L").save_to_disk(tmp_path / "grey")
    assert load(f"hf:{tmp_path / 'grey'}", split="all").inputs.shape == (6, 1, 8, 8)


def test_number_columns_become_a_table(hf, tmp_path):
    columns = {"a": [1.0, 2.0, 3.0], "b": [4, 5, 6], "vector": [[0.0, 1.0]] * 3, "kind": ["x", "z", "x"]}
    hf.Dataset.from_dict(columns).save_to_disk(tmp_path / "table")
    whole = load(f"hf:{tmp_path / 'table'}", split="all", target="kind")
    np.testing.assert_array_equal(whole.inputs, [[1, 4, 0, 1], [2, 5, 0, 1], [3, 6, 0, 1]])
    assert whole.classes == ("x", "z")
    one = load(f"hf:{tmp_path / 'table'}", split="all", inputs="b", target="a")
    assert one.labels.tolist() == [1.0, 2.0, 3.0]
    assert isinstance(one.inputs, torch.Tensor)


def test_text_columns_are_not_guessed_at(hf, tmp_path):
    hf.Dataset.from_dict({"text": ["a", "b"], "y": ["p", "q"]}).save_to_disk(tmp_path / "text")
    with pytest.raises(NotApplicable, match="embeddings"):
        load(f"hf:{tmp_path / 'text'}", split="all", target="y")
    with pytest.raises(InputError) as error:
        load(f"hf:{tmp_path / 'text'}", split="all", target="z")
    assert error.value.argument == "target"
    with pytest.raises(InputError) as error:
        load(f"hf:{tmp_path / 'text'}", split="all", inputs="z", target="y")
    assert error.value.argument == "inputs"


def test_images_of_several_sizes_and_hidden_labels_are_refused(hf, tmp_path):
    both = hf.concatenate_datasets([images(hf, 2), images(hf, 2, size=(9, 8))])
    both.save_to_disk(tmp_path / "sizes")
    with pytest.raises(ShapeError, match="one size"):
        load(f"hf:{tmp_path / 'sizes'}", split="all")
    hidden = hf.Dataset.from_dict(
        {"a": [1.0, 2.0], "label": [-1, -1]},
        features=hf.Features({"a": hf.Value("float32"), "label": hf.ClassLabel(names=["n", "y"])}),
    )
    hidden.save_to_disk(tmp_path / "hidden")
    with pytest.raises(InputError, match="hidden labels"):
        load(f"hf:{tmp_path / 'hidden'}", split="all")


def test_a_set_that_is_nowhere_is_a_storage_error_without_a_network(hf, tmp_path, monkeypatch):
    def unreachable(*_, **__):
        raise ConnectionError("could not reach the hub")

    monkeypatch.setattr(hf, "load_dataset", unreachable)
    with pytest.raises(StorageError, match="could not reach"):
        load("hf:nobody/nothing")
