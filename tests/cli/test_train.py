"""`learnt train` and `learnt compare` on a table of the user's own."""

import numpy as np
import pytest


@pytest.fixture
def table(tmp_path):
    """A csv with two informative columns and the class in a column of its own name."""
    rng = np.random.default_rng(0)
    kind = rng.integers(0, 2, 200)
    x = rng.normal(kind[:, None] * 2.0, 1.0, (200, 2))
    lines = ["height,weight,species"] + [
        f"{a:.4f},{b:.4f},{'cat' if k else 'dog'}" for (a, b), k in zip(x, kind, strict=True)
    ]
    path = tmp_path / "animals.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def test_a_table_is_trained_on_and_compared_on_by_its_target_column(learnt, table, tmp_path):
    out = ("--out", tmp_path / "run", "--epochs", "5", "--quiet")
    where = ("--on", table, "--target", "species")
    assert learnt("train", "teacher", *where, *out)[0] == 0
    assert learnt("train", "population", *where, *out, "--replicas", "2")[0] == 0
    specs = (f"run:{tmp_path}/run#teacher", f"run:{tmp_path}/run#population")
    code, text, err = learnt("compare", *specs, *where, "--resamples", "200", "--measures", "accuracy,agreement")
    assert code == 0 and "animals" in text, err


def test_a_target_that_is_no_column_is_named(learnt, table, tmp_path):
    code, _, err = learnt("train", "teacher", "--on", table, "--target", "kind", "--out", tmp_path / "run")
    assert code == 2 and "kind" in err and "species" in err
    code, _, err = learnt("train", "teacher", "--on", "digits", "--target", "kind", "--out", tmp_path / "run")
    assert code == 2 and "target" in err and not (tmp_path / "run").exists()


def test_a_gate_on_a_part_of_an_answer_names_the_part(learnt, net):
    code, _, err = learnt(
        "compare", f"{net}:make", f"{net}:other", "--control", f"{net}:other", "--on", "digits", "--limit", "80",
        "--resamples", "200", "--measures", "agreement", "--quiet", "--fail-if", "agreement.transfer>=0",
    )  # fmt: skip
    assert code == 1 and "agreement.transfer is" in err
