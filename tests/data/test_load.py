import numpy as np
import pytest
import torch

from learnt.core.errors import InputError, StorageError
from learnt.core.examples import Examples
from learnt.data import load
from learnt.data.load import NAMES


@pytest.mark.parametrize("name", ["digits", "wine"])
def test_the_seed_decides_the_parts(name):
    first, again, other = load(name, seed=1), load(name, seed=1), load(name, seed=2)
    assert torch.equal(first.inputs, again.inputs)
    assert set(first.keys.tolist()) != set(other.keys.tolist())


def test_shapes_parts_share_no_image():
    parts = {split: load("shapes", split=split, n=200) for split in ("train", "validation", "test")}
    keys = [set(piece.keys.tolist()) for piece in parts.values()]
    assert len(keys[0] | keys[1] | keys[2]) == 600
    assert len(load("shapes", n=7, classes=("disc", "star")).classes) == 2


def test_shapes_have_no_whole():
    with pytest.raises(InputError, match="no end"):
        load("shapes", split="all")


def test_a_torch_data_set_is_split_like_any_other():
    rows = torch.utils.data.TensorDataset(
        torch.randn(50, 4, generator=torch.Generator().manual_seed(0)), torch.arange(50) % 2
    )
    parts = [load(rows, split=split) for split in ("train", "validation", "test")]
    assert sum(map(len, parts)) == 50
    assert len(load(rows, split="all")) == 50


def test_arrays_and_pairs_are_taken_as_they_are():
    inputs, labels = np.random.default_rng(0).normal(size=(30, 2)), np.arange(30) % 2
    assert load((inputs, labels), split="all").labels.tolist() == labels.tolist()
    assert len(load(inputs, split="train")) + len(load(inputs, split="validation")) + len(load(inputs)) == 30


def test_examples_pass_through_and_keep_what_is_known():
    e = Examples(
        inputs=torch.rand(20, 1, 4, 4), labels=torch.arange(20) % 2, masks=torch.ones(20, 4, 4, dtype=torch.bool)
    )
    assert load(e, split="train").masks is not None
    assert load(e, split="all") is e


def test_a_limit_takes_the_same_examples_every_time():
    few = load("digits", split="train", limit=100)
    assert len(few) == 100
    assert torch.equal(few.inputs, load("digits", split="train", limit=100).inputs)
    assert set(few.keys.tolist()) < set(load("digits", split="train").keys.tolist())
    assert len(load("digits", limit=10_000)) == len(load("digits"))


def test_paths_are_relative_to_the_root(tmp_path):
    np.savez(tmp_path / "points.npz", inputs=np.random.default_rng(0).normal(size=(30, 2)), labels=np.arange(30) % 3)
    assert len(load("points.npz", root=tmp_path, split="all")) == 30
    assert len(load(tmp_path / "points.npz", split="all")) == 30


@pytest.mark.parametrize(
    ("given", "meant"), [("digit", "digits"), ("MNIST", "mnist"), ("cifar-10", "cifar10"), ("shape", "shapes")]
)
def test_an_unknown_name_is_met_with_the_nearest(given, meant):
    with pytest.raises(InputError) as error:
        load(given)
    assert f"Did you mean {meant}" in error.value.remedy
    assert all(name in error.value.expected for name in NAMES)


def test_a_hopeless_name_gets_no_suggestion():
    with pytest.raises(InputError) as error:
        load("qqqq")
    assert error.value.remedy == ""


def test_a_missing_file_names_itself_and_its_neighbours(tmp_path):
    (tmp_path / "table.csv").write_text("a,label\n1,2\n")
    with pytest.raises(StorageError, match="Did you mean table.csv") as error:
        load(tmp_path / "tabel.csv")
    assert str(tmp_path / "tabel.csv") == error.value.argument
    with pytest.raises(StorageError, match="no folder"):
        load(tmp_path / "nowhere" / "x.npz")


def test_a_file_of_another_kind_says_what_is_read(tmp_path):
    (tmp_path / "model.pkl").write_bytes(b"\x80\x04.")
    with pytest.raises(InputError, match="numpy.savez"):
        load(tmp_path / "model.pkl")


@pytest.mark.parametrize("name", ["digits", "wine", "shapes", "mnist"])
def test_an_option_the_source_lacks_is_refused(name, tmp_path):
    with pytest.raises(InputError) as error:
        load(name, root=tmp_path, colour="red")
    assert error.value.argument == "colour"


def test_a_misspelt_option_is_met_with_the_right_one():
    with pytest.raises(InputError, match="Did you mean standardise"):
        load("wine", standardize=False)


@pytest.mark.parametrize(
    ("options", "argument"),
    [({"split": "dev"}, "split"), ({"limit": 0}, "limit"), ({"test": 1.5}, "fraction"), ({"name": 3}, "data")],
)
def test_arguments_without_meaning_are_refused(options, argument):
    with pytest.raises(InputError) as error:
        load(**{"name": "digits", **options})
    assert error.value.argument == argument


def test_loading_does_not_import_scikit_learn_before_it_is_needed():
    import subprocess
    import sys

    code = "import sys, learnt.data; print(sorted({'sklearn', 'datasets', 'scipy.special', 'PIL'} & set(sys.modules)))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"
