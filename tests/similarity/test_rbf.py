"""RBF CKA: golden numbers of both medians, invariances, its jackknife, and the measure."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from learnt.core.errors import InputError, NonFiniteError, NotApplicable
from learnt.core.examples import Examples
from learnt.core.measure import Groups, Undefined
from learnt.similarity.cka import linear_cka
from learnt.similarity.hsic import cka_of
from learnt.similarity.rbf import RBFCKA, rbf_cka, rbf_kernel

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "cka.json").read_text())
X, Y = (torch.tensor(GOLDEN[k], dtype=torch.float64) for k in "XY")
RNG = np.random.default_rng(0)


def test_golden_values_come_out():
    assert rbf_cka(X, Y, median="kornblith", debiased=False) == pytest.approx(0.8969206114, abs=1e-10)
    assert rbf_cka(X, Y, median="off-diagonal", debiased=False) == pytest.approx(0.8933986651, abs=1e-10)
    narrow = rbf_cka(X, Y, bandwidth=0.5, median="kornblith", debiased=False)
    assert narrow == pytest.approx(GOLDEN["rbf_cka_thr0p5_incl_diag"], abs=1e-10)


def test_debiased_value_equals_the_formula_on_explicit_matrices():
    kernels = []
    for v in (X, Y):
        d = torch.cdist(v, v).square()
        kernels.append(torch.exp(-d / (2 * d[~torch.eye(6, dtype=torch.bool)].median())))  # 30 entries: see below
    n, one = 6, torch.ones(6, dtype=torch.float64)

    def hsic(k, l):
        k, l = k - torch.diag(k.diagonal()), l - torch.diag(l.diagonal())
        return (k * l).sum() + (one @ k @ one) * (one @ l @ one) / ((n - 1) * (n - 2)) - 2 / (n - 2) * one @ k @ l @ one

    k, l = kernels
    expected = float(hsic(k, l) / (hsic(k, k) * hsic(l, l)).sqrt())
    assert rbf_cka(X, Y) == pytest.approx(expected, abs=1e-10)  # 15 distinct distances: both medians are the middle one


@given(seed=st.integers(0, 100), scale=st.sampled_from([1e-20, 0.3, 1e20]), debiased=st.booleans())
@settings(max_examples=30, deadline=None)
def test_rotation_isotropic_scale_shift_and_order_change_nothing(seed, scale, debiased):
    g = torch.Generator().manual_seed(seed)
    x, y = torch.randn(25, 4, generator=g, dtype=torch.float64), torch.randn(25, 3, generator=g, dtype=torch.float64)
    y += x[:, :3]
    rotation, order = (
        torch.linalg.qr(torch.randn(3, 3, generator=g, dtype=torch.float64)).Q,
        torch.randperm(25, generator=g),
    )
    value = rbf_cka(x, y, debiased=debiased)
    assert rbf_cka(x[order], scale * (y[order] @ rotation + 3.0), debiased=debiased) == pytest.approx(value, abs=1e-9)
    assert rbf_cka(x, x, debiased=debiased) == pytest.approx(1.0, abs=1e-12)
    assert rbf_cka(y, x, debiased=debiased) == pytest.approx(value, abs=1e-12)


def test_a_very_wide_kernel_is_the_linear_one():
    g = torch.Generator().manual_seed(0)
    x = torch.randn(60, 4, generator=g, dtype=torch.float64)
    y = x[:, :3].square() + x[:, :3]
    assert rbf_cka(x, y, bandwidth=1e3) == pytest.approx(linear_cka(x, y), abs=1e-5)
    assert abs(rbf_cka(x, y) - linear_cka(x, y)) > 0.01


def test_jackknife_values_are_those_of_the_data_without_each_group_at_the_same_bandwidth():
    g = torch.Generator().manual_seed(0)
    x, y = torch.randn(40, 4, generator=g).double(), torch.randn(40, 4, generator=g).double()
    keys = np.arange(40, dtype=np.uint64)
    a, b = (rbf_kernel(v, keys=keys, groups=5) for v in (x, y))
    values = cka_of(a, b)
    for j in range(5):
        rest = torch.as_tensor(np.arange(40)[np.arange(40) % 5 != j])
        kernels = []
        for v in (x, y):
            d = torch.cdist(v, v).square()
            middle = np.median(d.numpy()[~np.eye(40, dtype=bool)])
            k = torch.exp(-d / (2 * middle))[rest][:, rest]
            kernels.append(k - torch.diag(k.diagonal()))
        n = len(rest)

        def hsic(k, l, n=n):
            return (k * l).sum() + k.sum() * l.sum() / ((n - 1) * (n - 2)) - 2 / (n - 2) * k.sum(1) @ l.sum(1)

        k, l = kernels
        assert values[j + 1] == pytest.approx(float(hsic(k, l) / (hsic(k, k) * hsic(l, l)).sqrt()), abs=1e-10)


def test_bad_input_is_an_error():
    with pytest.raises(InputError, match="bandwidth"):
        rbf_cka(X, Y, bandwidth=0.0)
    with pytest.raises(InputError, match="'off-diagonal' or 'kornblith'"):
        rbf_cka(X, Y, median="all")
    with pytest.raises(InputError, match="at least 4"):
        rbf_cka(X[:3], Y[:3])
    with pytest.raises(NonFiniteError):
        rbf_cka(X * torch.nan, Y)
    with pytest.raises(NotApplicable, match="layer constant"):
        rbf_cka(torch.full((20, 2), 0.1), torch.randn(20, 2))
    mostly = torch.zeros(20, 2)
    mostly[:2] = torch.eye(2)
    with pytest.raises(NotApplicable, match="constant for most examples"):
        rbf_cka(mostly, torch.randn(20, 2))


def make(seed):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return nn.Sequential(nn.Linear(5, 12), nn.ReLU(), nn.Linear(12, 3))


def ask(measure, a, b, data):
    states = [measure.prepare(data.subject(m, name=n), data, rng=RNG) for m, n in ((a, "a"), (b, "b"))]
    return measure.compare(*states, rng=RNG)


def test_the_measure_uses_the_same_examples_whatever_their_order():
    data = Examples(inputs=torch.randn(90, 5, generator=torch.Generator().manual_seed(0)))
    measure = RBFCKA(examples=60, groups=10)
    evidence = ask(measure, make(0), make(1), data)
    assert isinstance(evidence, Groups)
    assert (evidence.n, len(evidence.left_out)) == (60, 10)
    keep = torch.from_numpy(data.subset(60))
    layers = [data.subject(make(i), name="m").features("1")[keep] for i in (0, 1)]
    assert evidence.value == pytest.approx(rbf_cka(*layers), abs=1e-10)
    shuffled = ask(measure, make(0), make(1), data.take(torch.randperm(90, generator=torch.Generator().manual_seed(1))))
    assert shuffled.value == pytest.approx(evidence.value, abs=1e-9)
    np.testing.assert_allclose(shuffled.left_out, evidence.left_out, atol=1e-9)
    assert ask(measure, make(0), make(0), data).value == pytest.approx(1.0, abs=1e-12)


def test_a_dead_layer_is_undefined_and_an_unknown_one_an_error():
    data = Examples(inputs=torch.randn(30, 5, generator=torch.Generator().manual_seed(0)))
    dead = make(1)
    with torch.no_grad():
        dead[0].weight.zero_()
    evidence = ask(RBFCKA(), make(0), dead, data)
    assert isinstance(evidence, Undefined)
    assert "layer constant" in evidence.reason
    with pytest.raises(InputError, match="Nearest names"):
        ask(RBFCKA(layer_a="0", layer_b="01"), make(0), make(1), data)
    with pytest.raises(NotApplicable, match="at least 5"):
        ask(RBFCKA(), make(0), make(1), data.take([0, 1, 2]))


def test_the_name_tells_instances_apart():
    assert RBFCKA().name == "rbf_cka"
    assert RBFCKA(layer_a="0").name == "rbf_cka(0, penultimate)"
    assert RBFCKA(bandwidth=0.5, debiased=False).name == "rbf_cka biased(bandwidth 0.5 off-diagonal)"
