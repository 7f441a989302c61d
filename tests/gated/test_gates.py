"""The question `gates`: its value against the path kernel, what it sees and what not, and its interval."""

import numpy as np
import pytest
import torch
from torch import nn

from learnt.core.compare import compare
from learnt.core.errors import InputError, NotApplicable
from learnt.core.examples import Examples
from learnt.core.measure import Groups, Undefined
from learnt.gated._alignment import alignment, gram, group_count, unit_centred
from learnt.gated._rectifiers import open_units
from learnt.gated.gates import Gates
from learnt.gated.path_kernels import path_kernel
from learnt.similarity.cka import linear_cka
from learnt.testing.conformance import check_measure

RNG = np.random.default_rng(0)


def net(seed, widths=(5, 20, 15, 3), act=nn.ReLU):
    layers = []
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for a, b in zip(widths, widths[1:], strict=False):
            layers += [nn.Linear(a, b), act()]
    return nn.Sequential(*layers[:-1])


def examples(n=80, d=5, seed=0):
    return Examples(inputs=torch.randn(n, d, generator=torch.Generator().manual_seed(seed)))


def ask(measure, a, b, data):
    states = [measure.prepare(data.subject(m, name=n), data, rng=RNG) for m, n in ((a, "a"), (b, "b"))]
    return measure.compare(*states, rng=RNG)


def factor(kernel):
    values, vectors = np.linalg.eigh(kernel)
    return torch.from_numpy(vectors * np.sqrt(np.maximum(values, 0)))


@pytest.mark.parametrize("measure", [Gates(), Gates(with_inputs=False, most_examples=20, most_layers=1)])
def test_it_keeps_every_law(measure):
    check_measure(measure)


def test_the_value_is_the_debiased_cka_of_the_two_path_kernels():
    data, a, b = examples(), net(0), net(1, (5, 30, 8, 3))
    found = ask(Gates(), a, b, data)
    kernels = [path_kernel(m, data.inputs) for m in (a, b)]
    assert isinstance(found, Groups)
    assert found.value == pytest.approx(linear_cka(*(factor(k) for k in kernels)), abs=1e-9)
    rank = np.argsort(np.argsort(data.keys, kind="stable"))
    for g in (0, 7):
        keep = np.flatnonzero(rank % 20 != g)
        part = [factor(k[np.ix_(keep, keep)]) for k in kernels]
        assert found.left_out[g] == pytest.approx(linear_cka(*part), abs=1e-9)
    assert found.details["grid"].shape == (2, 2) and "same_gates" not in found.details


def test_alignment_in_the_two_forms_and_of_constant_kernels():
    x, y = RNG.normal(size=(40, 6)), RNG.normal(size=(40, 3)) + 5
    k, l = x @ x.T, y @ y.T
    wanted = linear_cka(torch.from_numpy(x), torch.from_numpy(y))
    assert alignment(gram(k, 4), gram(l, 4))[0] == pytest.approx(wanted, abs=1e-10)
    assert alignment(gram(3 * k, 4), gram(l + 7, 4))[0] == pytest.approx(wanted, abs=1e-10)
    assert float(unit_centred(k) @ unit_centred(l)) == pytest.approx(wanted, abs=1e-5)
    assert np.isnan(alignment(gram(np.ones((40, 40)), 4), gram(l, 4))).all()
    assert not unit_centred(np.full((40, 40), 0.1)).any()
    assert group_count(1000, 20) == 20 and group_count(6, 2) == 3
    with pytest.raises(NotApplicable):
        group_count(4, 20)


def test_the_same_gates_with_other_weights_behind_them_are_the_same_pathways():
    data, a = examples(), net(0)
    b = net(0)
    with torch.no_grad():
        b[4].weight.copy_(torch.randn(3, 15))
        for layer, units in ((b[0], 20), (b[2], 15)):  # rescaled units, and in another order
            layer.weight.mul_(3.0), layer.bias.mul_(3.0 if units == 20 else 9.0)
        order = torch.randperm(20, generator=torch.Generator().manual_seed(0))
        b[0].weight.copy_(b[0].weight[order]), b[0].bias.copy_(b[0].bias[order])
        b[2].weight.copy_(b[2].weight[:, order])
    with torch.no_grad():
        b[2].bias.div_(3.0), b[2].weight.div_(3.0)
    found = ask(Gates(), a, b, data)
    assert found.value == pytest.approx(1.0, abs=1e-9)


def test_independent_networks_share_little_when_the_inputs_are_left_out():
    data = examples(300, 40)
    wide = (40, 100, 100, 3)
    with_inputs, without = (ask(Gates(with_inputs=w), net(0, wide), net(1, wide), data).value for w in (True, False))
    assert without < with_inputs < 1
    one = ask(Gates(), net(0, wide), net(0, wide), data)
    assert one.value == pytest.approx(1, abs=1e-12) and (one.details["same_gates"] == 1).all()


@pytest.mark.parametrize(
    ("rectify", "seen"),
    [
        (nn.ReLU(), 1), (nn.ReLU(inplace=True), 1), (nn.LeakyReLU(0.1), 1), (nn.PReLU(), 1), (nn.ReLU6(), 1),
        (lambda z: z.clamp(min=0), 1), (lambda z: torch.clamp_min(z, 0.0), 1), (nn.Threshold(0.0, 0.0), 1),
        (nn.GELU(), 0), (nn.Tanh(), 0), (lambda z: z.clamp(min=-1), 0), (lambda z: z.clamp(max=1.0), 0),
    ],
)  # fmt: skip
def test_rectifiers_are_seen_however_they_are_written(rectify, seen):
    z = torch.randn(6, 4, 3, generator=torch.Generator().manual_seed(0))
    wanted = (z > 0).flatten(1)
    with torch.no_grad():
        found = open_units(rectify, z.clone())
    assert len(found) == seen and all(torch.equal(on, wanted) for on in found)
    assert [on.shape for on in open_units(nn.ReLU(), torch.randn(4, 5000), 100)] == [(4, 100)]


def test_edges_are_reasons_and_not_numbers():
    data = examples()
    with pytest.raises(NotApplicable, match="rectifier"):
        ask(Gates(), net(0, act=nn.GELU), net(1), data)
    with pytest.raises(NotApplicable):
        ask(Gates(), lambda x: x[:, :3], net(1), data)
    with pytest.raises(NotApplicable, match="at least 5"):
        ask(Gates(), net(0), net(1), data.take(range(4)))
    dead = net(0)
    for p in dead.parameters():
        p.data.zero_()
    assert isinstance(ask(Gates(), dead, net(1), data), Undefined)
    for wrong in ({"most_examples": 4}, {"most_layers": 0}, {"groups": 1}):
        with pytest.raises(InputError):
            ask(Gates(**wrong), net(0), net(1), data)


def test_a_fine_tuned_network_keeps_the_pathways_and_an_independent_one_has_its_own():
    data, a, b = examples(200), net(0), net(0)
    with torch.no_grad():
        for p in b.parameters():
            p.add_(0.02 * torch.randn(p.shape, generator=torch.Generator().manual_seed(1)))
    found = compare(
        a, b, data, controls=[net(5), net(6), net(7), net(8)], measures=[Gates()], resamples=200, quiet=True
    )["gates"]
    assert found.verdict == "transferred" and found.value.value > 0.97 > found.control.value
    assert found.value.kind == "jackknife" and found.chart.kind == "heatmap"
