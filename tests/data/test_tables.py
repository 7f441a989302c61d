import gzip

import numpy as np
import pytest

from learnt.core.errors import InputError, ShapeError
from learnt.data import load


def table(path, lines, name="t.csv"):
    (path / name).write_text("\n".join(lines) + "\n")
    return path / name


@pytest.fixture
def people(tmp_path):
    rows = [f"{20 + i},{i % 3},{'north' if i % 2 else 'south'},{'yes' if i % 4 else 'no'},id{i}" for i in range(40)]
    return table(tmp_path, ["age,children,region,label,key", *rows])


def test_text_targets_are_classes_and_categories_become_columns(people):
    whole = load(people, split="all", categories=["region"], ignore=["key"], standardise=False)
    assert whole.classes == ("no", "yes")
    assert whole.inputs.shape == (40, 4)
    np.testing.assert_array_equal(whole.inputs[:2], [[20, 0, 0, 1], [21, 1, 1, 0]])  # north, south
    np.testing.assert_array_equal(whole.labels[:5], [0, 1, 1, 1, 0])


def test_columns_are_standardised_on_the_training_part(people):
    train = load(people, split="train", categories=["region"], ignore=["key"])
    assert train.inputs.mean(0).abs().max() < 1e-6
    parts = [load(people, split=split, categories=["region"], ignore=["key"]) for split in ("validation", "test")]
    assert len(train) + sum(map(len, parts)) == 40


def test_whole_numbers_are_classes_and_fractions_regression(tmp_path):
    path = table(tmp_path, ["a,b,y", "1,2,7", "2,3,5", "3,1,7"])
    whole = load(path, split="all", standardise=False, target="y")
    assert whole.classes == ("5", "7")
    assert whole.labels.tolist() == [1, 0, 1]
    assert load(path, split="all", standardise=False, target="y", task="regression").labels.tolist() == [7.0, 5.0, 7.0]
    real = load(table(tmp_path, ["a,y", "1,0.5", "2,3"]), split="all", standardise=False, target="y")
    assert real.labels.tolist() == [0.5, 3.0]
    assert real.classes == ()
    forced = load(
        table(tmp_path, ["a,y", "1,0.5", "2,3"]), split="all", standardise=False, target="y", task="classification"
    )
    assert forced.classes == ("0.5", "3")


def test_more_than_a_hundred_different_whole_numbers_are_regression(tmp_path):
    path = table(tmp_path, ["a,label", *(f"{i % 7},{i}" for i in range(150))])
    assert load(path, split="all").labels.is_floating_point()


def test_tabs_and_gzip_are_understood(tmp_path):
    (tmp_path / "t.tsv.gz").write_bytes(gzip.compress(b"a\tlabel\n1\tx\n2\tz\n"))
    assert load(tmp_path / "t.tsv.gz", split="all", standardise=False).classes == ("x", "z")
    path = table(tmp_path, ["a;label", "1;0", "2;1"])
    assert len(load(path, split="all", delimiter=";", standardise=False)) == 2


def test_an_unknown_target_lists_the_columns(people):
    with pytest.raises(InputError, match="age, children") as error:
        load(people, target="income")
    assert error.value.argument == "target"
    with pytest.raises(InputError) as error:
        load(people, categories=["town"])
    assert error.value.argument == "categories"


@pytest.mark.parametrize(
    ("lines", "options", "error"),
    [
        (["a,label", "1,0", "word,1"], {}, InputError),
        (["a,label", "nan,0", "1,1"], {}, InputError),
        (["a,label", "1,", "1,1"], {"task": "classification"}, InputError),
        (["a,label", "1,x", "1,2"], {"task": "regression"}, InputError),
        (["a,label", "1,0,5", "1,1"], {}, ShapeError),
        (["label", "1", "0"], {}, InputError),
        (["a,label"], {}, InputError),
        (["a,label", "1,0"], {"task": "ranking"}, InputError),
        (["a,label", "1,0"], {"categories": ["label"]}, InputError),
        (["a,b,label", "1,2,0"], {"categories": ["a"], "ignore": ["a"]}, InputError),
    ],
)
def test_tables_without_meaning_are_refused(tmp_path, lines, options, error):
    with pytest.raises(error):
        load(table(tmp_path, lines), split="all", **options)
