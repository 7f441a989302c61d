"""Debiased CKA: golden numbers, the invariances it has and those it has not, its interval, and the measure on networks."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from torch import nn

from learnt.core.errors import InputError, NonFiniteError, NotApplicable, ShapeError
from learnt.core.examples import Examples
from learnt.core.measure import Groups, Undefined
from learnt.similarity.cka import CKA, jackknife_groups, linear_cka
from learnt.similarity.hsic import cka_of
from learnt.similarity.linear import linear_kernel

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "cka.json").read_text())
X, Y = (torch.tensor(GOLDEN[k], dtype=torch.float64) for k in "XY")
RNG = np.random.default_rng(0)


def pair(seed, n=40, p=6, q=5):
    g = torch.Generator().manual_seed(seed)
    x = torch.randn(n, p, generator=g, dtype=torch.float64)
    return x, x[:, :q] + 0.7 * torch.randn(n, q, generator=g, dtype=torch.float64)


# -- the pure function ------------------------------------------------------------------------------------


def test_golden_values_come_out():
    assert linear_cka(X, Y) == pytest.approx(0.8128331091, abs=1e-10)
    assert linear_cka(X, Y, debiased=False) == pytest.approx(0.8917777180, abs=1e-10)
    assert linear_cka(X, Y) == pytest.approx(GOLDEN["debiased_linear_cka"], abs=1e-12)


@given(seed=st.integers(0, 200), scale=st.floats(1e-6, 1e6), shift=st.floats(-1e3, 1e3), debiased=st.booleans())
@settings(max_examples=60, deadline=None)
def test_rotation_isotropic_scale_and_shift_change_nothing(seed, scale, shift, debiased):
    x, y = pair(seed)
    rotation = torch.linalg.qr(torch.randn(5, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))).Q
    assert linear_cka(x, scale * (y @ rotation + shift), debiased=debiased) == pytest.approx(
        linear_cka(x, y, debiased=debiased), abs=1e-10
    )


def test_an_invertible_linear_map_does_change_it():
    x, y = pair(0)
    stretched = y @ torch.diag(torch.tensor([30.0, 1.0, 1.0, 1.0, 0.1], dtype=torch.float64))
    assert abs(linear_cka(x, stretched) - linear_cka(x, y)) > 0.05


@given(seed=st.integers(0, 200), debiased=st.booleans())
@settings(max_examples=40, deadline=None)
def test_a_layer_is_itself_order_is_free_and_the_value_stays_in_range(seed, debiased):
    x, y = pair(seed, n=4 + seed % 30)
    assert linear_cka(x, x, debiased=debiased) == pytest.approx(1.0, abs=1e-12)
    assert linear_cka(x, y, debiased=debiased) == pytest.approx(linear_cka(y, x, debiased=debiased), abs=1e-12)
    assert -1.0 <= linear_cka(x, y, debiased=debiased) <= 1.0
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(seed))
    assert linear_cka(x[order], y[order], debiased=debiased) == pytest.approx(
        linear_cka(x, y, debiased=debiased), abs=1e-12
    )


def test_unrelated_features_score_zero_only_when_debiased():
    biased, debiased = [], []
    for seed in range(5):
        g = torch.Generator().manual_seed(seed)
        x, y = torch.randn(200, 1000, generator=g), torch.randn(200, 1000, generator=g)
        biased.append(linear_cka(x, y, debiased=False))
        debiased.append(linear_cka(x, y))
    assert all(0.832 < v < 0.837 for v in biased)
    assert all(abs(v) < 0.02 for v in debiased)


def test_shuffled_examples_score_zero():
    x, y = pair(0, n=2000)
    order = torch.randperm(2000, generator=torch.Generator().manual_seed(1))
    assert abs(linear_cka(x, y[order])) < 0.02 < linear_cka(x, y)


@pytest.mark.parametrize("scale", [1e-20, 1e20])
def test_extreme_scales_change_nothing(scale):
    assert linear_cka(X * scale, Y / scale) == pytest.approx(GOLDEN["debiased_linear_cka"], abs=1e-12)


def test_float32_and_non_contiguous_features_are_taken_as_they_are():
    assert linear_cka(X.float(), Y.float()) == pytest.approx(GOLDEN["debiased_linear_cka"], abs=1e-6)
    assert linear_cka(X.T.contiguous().T, Y.repeat(2, 1)[:6]) == pytest.approx(GOLDEN["debiased_linear_cka"], abs=1e-12)


def test_bad_input_is_an_error():
    with pytest.raises(InputError, match="at least 4"):
        linear_cka(X[:3], Y[:3])
    with pytest.raises(ValueError, match="at least 4"):
        linear_cka(X[:3], Y[:3])
    with pytest.raises(ShapeError):
        linear_cka(X, Y[:5])
    with pytest.raises(NonFiniteError):
        linear_cka(X, Y.masked_fill(Y == 3.0, torch.inf))


@pytest.mark.parametrize("value", [0.0, 0.1, 1e8])
def test_a_constant_layer_is_refused_with_the_reason(value):
    for dtype in (torch.float32, torch.float64):
        with pytest.raises(NotApplicable, match="layer constant"):
            linear_cka(torch.full((50, 3), value, dtype=dtype), torch.randn(50, 2))


def test_a_layer_that_varies_on_one_example_only_is_refused():
    x = torch.zeros(50, 3)
    x[7] = 1.0
    with pytest.raises(NotApplicable, match="at most one example"):
        linear_cka(x, torch.randn(50, 2, generator=torch.Generator().manual_seed(0)))


# -- the interval -----------------------------------------------------------------------------------------


def test_jackknife_intervals_cover_the_known_truth():
    """y = x A + noise, for which the CKA of the law itself is known; 95 % intervals must hold it in 90-98 %."""
    p, n, runs, groups = 4, 200, 300, 20
    a = torch.randn(p, p, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    own = a.T @ a + torch.eye(p)
    truth = float(a.square().sum() / np.sqrt(p) / own.square().sum().sqrt())
    half = stats.t.ppf(0.975, groups - 1)
    covered = 0
    for run in range(runs):
        g = torch.Generator().manual_seed(run + 1)
        x = torch.randn(n, p, generator=g, dtype=torch.float64)
        y = x @ a + torch.randn(n, p, generator=g, dtype=torch.float64)
        keys = np.arange(n, dtype=np.uint64)
        values = cka_of(*(linear_kernel(v, keys=keys, groups=groups) for v in (x, y)))
        left_out = values[1:]
        error = np.sqrt((groups - 1) / groups * np.square(left_out - left_out.mean()).sum())
        covered += abs(values[0] - truth) <= half * error
    assert 0.90 <= covered / runs <= 0.98


def test_a_naive_bootstrap_would_raise_the_value_which_is_why_there_is_none():
    x, y = pair(0, n=60, p=50, q=50)
    g = torch.Generator().manual_seed(0)
    draws = [torch.randint(0, 60, (60,), generator=g) for _ in range(40)]
    assert np.mean([linear_cka(x[i], y[i]) for i in draws]) > linear_cka(x, y) + 0.005


def test_groups_leave_at_least_four_examples():
    assert jackknife_groups(1000, 20) == 20
    assert jackknife_groups(7, 20) == 7
    assert jackknife_groups(6, 2) == 3
    for n in range(5, 60):
        g = jackknife_groups(n, 2)
        assert n - -(-n // g) >= 4
    with pytest.raises(NotApplicable, match="at least 5"):
        jackknife_groups(4, 20)
    with pytest.raises(InputError, match="at least 2"):
        jackknife_groups(100, 1)


# -- the measure ------------------------------------------------------------------------------------------


class Net(nn.Module):
    """Layers registered in another order than they run."""

    def __init__(self, seed, width=16):
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.head = nn.Linear(width, 3)
            self.second = nn.Linear(width, width)
            self.first = nn.Linear(8, width)

    def forward(self, x):
        return self.head(torch.relu(self.second(torch.relu(self.first(x)))))


def examples(n=120, seed=0):
    return Examples(inputs=torch.randn(n, 8, generator=torch.Generator().manual_seed(seed)))


def ask(measure, a, b, data, **options):
    states = [measure.prepare(data.subject(m, name=n, **options), data, rng=RNG) for m, n in ((a, "a"), (b, "b"))]
    return measure.compare(*states, rng=RNG)


def test_the_measure_compares_the_penultimate_layers_unless_told():
    data, a, b = examples(), Net(0), Net(1, width=24)
    evidence = ask(CKA(), a, b, data)
    assert isinstance(evidence, Groups)
    layers = [data.subject(m, name="m").features("second") for m in (a, b)]
    assert evidence.value == pytest.approx(linear_cka(*layers), abs=1e-12)
    assert (evidence.n, len(evidence.left_out)) == (120, 20)
    named = ask(CKA(layer_a="first", layer_b="head"), a, b, data)
    layers = [data.subject(a, name="a").features("first"), data.subject(b, name="b").features("head")]
    assert named.value == pytest.approx(linear_cka(*layers), abs=1e-12)


def test_a_network_is_like_itself_at_every_left_out_group():
    evidence = ask(CKA(), Net(0), Net(0), examples())
    assert evidence.value == pytest.approx(1.0, abs=1e-12)
    np.testing.assert_allclose(evidence.left_out, 1.0, atol=1e-12)
    np.testing.assert_allclose(np.diag(evidence.details["grid"]), 1.0, atol=1e-12)


def test_order_of_examples_and_batch_size_change_nothing():
    data, a, b = examples(), Net(0), Net(1)
    reference = ask(CKA(grid_examples=50), a, b, data)
    order = torch.randperm(120, generator=torch.Generator().manual_seed(5))
    for other in (
        ask(CKA(grid_examples=50), a, b, data.take(order)),
        ask(CKA(grid_examples=50), a, b, data, batch_size=7),
    ):
        assert other.value == pytest.approx(reference.value, abs=1e-6)
        np.testing.assert_allclose(other.left_out, reference.left_out, atol=1e-6)
        np.testing.assert_allclose(other.details["grid"], reference.details["grid"], atol=1e-6)


def test_grid_names_follow_the_users_list_whatever_the_forward_order():
    data, a, b = examples(), Net(0), Net(1)
    chosen = CKA(layers_a=("head", "first", "second"), layers_b=("second", "head"))
    details = ask(chosen, a, b, data).details
    assert (details["layers_a"], details["layers_b"]) == (["head", "first", "second"], ["second", "head"])
    subjects = [data.subject(m, name="m") for m in (a, b)]
    for i, row in enumerate(details["layers_a"]):
        for j, column in enumerate(details["layers_b"]):
            expected = linear_cka(subjects[0].features(row), subjects[1].features(column))
            assert details["grid"][i, j] == pytest.approx(expected, abs=1e-10)
    assert ask(CKA(), a, b, data).details["layers_a"] == ["first", "second", "head"]  # as they run


def test_an_unknown_layer_is_an_error_with_the_nearest_names():
    for measure in (CKA(layer_a="secnd"), CKA(layer_b="secnd"), CKA(layers_a=("secnd",)), CKA(layers_b=("secnd",))):
        with pytest.raises(InputError, match="'secnd'.*Nearest names: second"):
            ask(measure, Net(0), Net(1), examples())


def test_a_dead_layer_is_undefined_and_never_nan():
    dead = Net(1)
    with torch.no_grad():
        dead.second.weight.zero_()
    evidence = ask(CKA(), Net(0), dead, examples())
    assert isinstance(evidence, Undefined)
    assert "layer constant" in evidence.reason
    assert evidence.details["constant_b"] == ["second", "head"]
    assert evidence.details["layers_b"] == ["first"]
    assert np.isfinite(evidence.details["grid"]).all()


def test_a_layer_that_varies_in_one_group_only_is_undefined():
    data = examples(40)
    ranked = np.argsort(data.keys)
    marks = data.inputs[ranked[3::20].copy(), 0]  # the examples of group 3

    class Mostly(Net):
        def forward(self, x):
            return self.head(self.second(self.first(x) * torch.isin(x[:, :1], marks)))

    evidence = ask(CKA(), Net(0), Mostly(1), data)
    assert isinstance(evidence, Undefined)
    assert "without one group" in evidence.reason


def test_too_few_examples_and_things_without_layers_cannot_be_asked():
    with pytest.raises(NotApplicable, match="at least 5"):
        ask(CKA(), Net(0), Net(1), examples(4))
    with pytest.raises(NotApplicable, match="no layers"):
        ask(CKA(), lambda x: x[:, :3], Net(1), examples())
    assert isinstance(ask(CKA(), Net(0), Net(1), examples(5)), Groups)


def test_each_network_is_prepared_once_however_many_it_meets(monkeypatch):
    from learnt.similarity import cka

    made = []
    monkeypatch.setattr(cka, "linear_kernel", lambda *a, **k: made.append(k["name"]) or linear_kernel(*a, **k))
    data, measure = examples(), CKA()
    states = [measure.prepare(data.subject(Net(i), name=f"net {i}"), data, rng=RNG) for i in range(4)]
    for i in states:
        for j in states:
            measure.compare(i, j, rng=RNG)
    assert sorted(made) == [f"features of net {i} at second" for i in range(4)]


def test_the_name_tells_instances_apart():
    names = {CKA().name, CKA(debiased=False).name, CKA(layer_a="x").name, CKA(layer_a="x", layer_b="y").name}
    assert names == {"cka", "cka biased", "cka(x, penultimate)", "cka(x, y)"}


def test_the_chart_shows_b_and_the_control_side_by_side_on_common_layers():
    data, measure = examples(), CKA()
    b, control = ask(measure, Net(0), Net(1), data).details, ask(measure, Net(0), Net(2), data).details
    chart = measure.chart({"b": b, "control": control})
    assert chart.kind == "heatmap"
    assert list(chart.series) == ["B against A", "control against A"]
    np.testing.assert_array_equal(chart.series["control against A"], control["grid"])
    assert (list(chart.y), list(chart.x)) == (b["layers_a"], b["layers_b"])
    other = ask(measure, Net(0), nn.Sequential(nn.Linear(8, 5), nn.ReLU(), nn.Linear(5, 3)), data).details
    assert list(measure.chart({"b": b, "control": other}).series) == ["B against A"]
    assert measure.chart({"a": {}, "b": {}, "control": {}}) is None
