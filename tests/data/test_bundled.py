"""The sets that come with scikit-learn."""

import pytest
import torch

from learnt.data import load


@pytest.mark.parametrize(
    ("name", "shape", "classes", "total"),
    [
        ("digits", (1, 8, 8), 10, 1797),
        ("wine", (13,), 3, 178),
        ("breast_cancer", (30,), 2, 569),
        ("diabetes", (10,), 0, 442),
    ],
)
def test_bundled_sets_have_their_published_sizes(name, shape, classes, total):
    whole = load(name, split="all")
    assert whole.inputs.shape == (total, *shape)
    assert len(whole.classes) == classes
    assert whole.inputs.dtype == torch.float32
    parts = [load(name, split=split) for split in ("train", "validation", "test")]
    assert sum(map(len, parts)) == total
    assert len(parts[2]) == pytest.approx(0.2 * total, abs=6)


def test_digits_are_in_the_unit_interval_and_look_like_digits():
    digits = load("digits", split="all")
    assert (digits.low, digits.high) == (0.0, 1.0)
    assert digits.inputs.min() == 0
    assert digits.inputs.max() == 1
    means = torch.stack([digits.inputs[digits.labels == k].mean(0).flatten() for k in range(10)])
    nearest = torch.cdist(digits.inputs.flatten(1), means).argmin(1)
    assert (nearest == digits.labels).float().mean() > 0.85


def test_digits_parts_contain_every_class_in_proportion():
    for split in ("train", "validation", "test"):
        counts = load("digits", split=split).labels.bincount(minlength=10)
        assert counts.min() > 0.9 * counts.float().mean()


def test_the_regression_table_has_real_targets_and_raw_columns_before_scaling():
    diabetes = load("diabetes", split="all", standardise=False)
    assert diabetes.labels.is_floating_point()
    assert (float(diabetes.labels.min()), float(diabetes.labels.max())) == (25.0, 346.0)
    assert diabetes.inputs[:, 0].min() >= 18  # age in years, not scikit-learn's scaled column


def test_the_cancer_table_keeps_its_class_names():
    assert load("breast_cancer").classes == ("malignant", "benign")
