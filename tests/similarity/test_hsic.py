"""HSIC and its jackknife against golden numbers, direct formulae, and each other."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from learnt.core.errors import InputError, NonFiniteError, ShapeError
from learnt.similarity import hsic
from learnt.similarity.linear import linear_kernel

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "cka.json").read_text())
X, Y = (torch.tensor(GOLDEN[k], dtype=torch.float64) for k in "XY")


def sample(n, p, q, seed=0):
    g = torch.Generator().manual_seed(seed)
    x = torch.randn(n, p, generator=g, dtype=torch.float64)
    y = torch.randn(n, q, generator=g, dtype=torch.float64)
    m = min(p, q)
    y[:, :m] += x[:, :m]
    return x, y


def direct(k, l):
    """HSIC_u as Song et al. write it, on explicit matrices."""
    n = len(k)
    k, l = k - torch.diag(k.diagonal()), l - torch.diag(l.diagonal())
    one = torch.ones(n, dtype=k.dtype)
    total = (k * l).sum() + (one @ k @ one) * (one @ l @ one) / ((n - 1) * (n - 2)) - 2 / (n - 2) * one @ k @ l @ one
    return float(total / (n * (n - 3)))


def test_golden_values_come_out():
    for (a, b), key in (((X, Y), "XY"), ((X, X), "XX"), ((Y, Y), "YY")):
        assert hsic.hsic_unbiased(a, b) == pytest.approx(GOLDEN[f"hsic_unbiased_{key}"], rel=1e-12)
    assert hsic.hsic_biased(X, Y) == pytest.approx(GOLDEN["hsic_biased_XY"], rel=1e-12)


@pytest.mark.parametrize(("n", "p", "q"), [(4, 2, 3), (50, 4, 7), (9, 30, 40)])
def test_both_estimators_equal_their_definition_on_explicit_matrices(n, p, q):
    x, y = sample(n, p, q)
    k, l = x @ x.T, y @ y.T
    h = torch.eye(n, dtype=torch.float64) - 1 / n
    assert hsic.hsic_unbiased(x, y) == pytest.approx(direct(k, l), rel=1e-10)
    assert hsic.hsic_biased(x, y) == pytest.approx(float(torch.trace(k @ h @ l @ h)) / (n - 1) ** 2, rel=1e-10)


def test_the_unbiased_estimator_is_the_mean_over_all_quadruples():
    """A second, independent definition: the fourth-order U-statistic."""
    from itertools import permutations

    x, y = sample(6, 2, 2)
    k, l = x @ x.T, y @ y.T
    terms = [float(k[i, j] * (l[i, j] + l[q, r] - 2 * l[i, q])) for i, j, q, r in permutations(range(6), 4)]
    assert hsic.hsic_unbiased(x, y) == pytest.approx(np.mean(terms), rel=1e-10)


@given(
    n=st.integers(8, 40), p=st.integers(1, 9), q=st.integers(1, 9), groups=st.integers(2, 8), seed=st.integers(0, 99)
)
@settings(max_examples=40, deadline=None)
def test_feature_form_equals_gram_form_with_every_group_left_out(n, p, q, groups, seed):
    x, y = sample(n, p, q, seed)
    keys = np.random.default_rng(seed).integers(0, 2**63, n).astype(np.uint64)
    a, b = (linear_kernel(v, keys=keys, groups=groups) for v in (x, y))
    features, gram = hsic._feature_terms(a, b), hsic._gram_terms(a, b)
    for name in hsic.Terms.__dataclass_fields__:
        np.testing.assert_allclose(getattr(features, name), getattr(gram, name), rtol=1e-9, atol=1e-9)


def test_blocks_of_columns_change_nothing(monkeypatch):
    a, b = (linear_kernel(v, keys=np.arange(60, dtype=np.uint64), groups=5) for v in sample(60, 11, 7))
    whole, rows = hsic._feature_terms(a, b).unbiased, hsic._gram_terms(a, b).unbiased
    monkeypatch.setattr(hsic, "BLOCK", 1)
    np.testing.assert_allclose(hsic._feature_terms(a, b).unbiased, whole, rtol=1e-12)
    np.testing.assert_allclose(hsic._gram_terms(a, b).unbiased, rows, rtol=1e-12)


@pytest.mark.parametrize(("p", "q"), [(6, 4), (70, 90)])
@pytest.mark.parametrize("debiased", [True, False])
def test_jackknife_values_are_those_of_the_data_without_each_group(p, q, debiased):
    x, y = sample(57, p, q)
    keys = np.random.default_rng(3).permutation(57).astype(np.uint64)
    a, b = (linear_kernel(v, keys=keys, groups=7) for v in (x, y))
    left_out = hsic.cka_of(a, b, debiased=debiased)[1:]
    group = keys.astype(int) % 7  # the keys are a permutation of 0..56, so the rank of a key is the key
    for j in range(7):
        rest = [linear_kernel(v[group != j]) for v in (x, y)]
        assert left_out[j] == pytest.approx(hsic.cka_of(*rest, debiased=debiased)[0], abs=1e-12)


@pytest.mark.parametrize("n", [1, 63, 64, 65, 200, 701])
def test_products_from_the_upper_triangle_are_the_whole_products(n):
    x, _ = sample(n, 5, 2)
    torch.testing.assert_close(hsic._self_products(x), x @ x.T, rtol=1e-13, atol=1e-13)


def test_a_shift_of_either_side_leaves_the_unbiased_estimate_unchanged():
    x, y = sample(30, 4, 4)
    assert hsic.hsic_unbiased(x + 7, y - 3) == pytest.approx(hsic.hsic_unbiased(x, y), rel=1e-11)


def test_bad_input_is_an_error_that_names_it():
    x, y = sample(10, 3, 3)
    with pytest.raises(InputError, match="at least 4"):
        hsic.hsic_unbiased(x[:3], y[:3])
    with pytest.raises(ShapeError, match="10, as many as x has"):
        hsic.hsic_unbiased(x, y[:9])
    with pytest.raises(ShapeError, match="examples, features"):
        hsic.hsic_unbiased(x[:, 0], y)
    y[4, 1] = torch.nan
    with pytest.raises(NonFiniteError, match=r"first at index \(4, 1\)"):
        linear_kernel(y)
    with pytest.raises(ShapeError, match="same examples"):
        hsic.cross(linear_kernel(x), linear_kernel(x[:8]))
