"""The question `modes`: its value against the formula, what it sees and what not, and distilled against independent."""

import numpy as np
import pytest
import torch
from torch import nn

from learnt.core.compare import compare
from learnt.core.errors import InputError, NotApplicable
from learnt.core.examples import Examples
from learnt.core.measure import Sums, Undefined
from learnt.gated._components import components
from learnt.gated.mode_profiles import mode_distance, mode_profile
from learnt.gated.modes import Modes
from learnt.testing.conformance import check_measure

RNG = np.random.default_rng(0)


def examples(n=200, d=6, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, d)) * np.arange(1, d + 1)
    labels = (x[:, :3] / np.arange(1, 4) + 0.5 * rng.normal(size=(n, 3))).argmax(1)
    return Examples(inputs=torch.from_numpy(x).float(), labels=torch.from_numpy(labels))


def net(seed, d=6, c=3):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return nn.Sequential(nn.Linear(d, 16), nn.ReLU(), nn.Linear(16, c))


def ask(measure, a, b, data):
    states = [measure.prepare(data.subject(m, name=n), data, rng=RNG) for m, n in ((a, "a"), (b, "b"))]
    return measure.compare(*states, rng=RNG)


def value(found):
    return float(found.combine(found.columns.mean(0)))


@pytest.mark.parametrize("measure", [Modes(), Modes(answers="logits", most_modes=1)])
def test_it_keeps_every_law(measure):
    check_measure(measure)


@pytest.mark.parametrize("answers", ["probabilities", "logits"])
def test_the_value_is_the_weighted_difference_of_the_fractions_of_two_mode_profiles(answers):
    data, a, b = examples(), net(0), net(1)
    found = ask(Modes(answers=answers), a, b, data)
    assert isinstance(found, Sums)
    profiles = []
    for model in (a, b):
        out = data.subject(model, name="m").logits
        out = out.softmax(1) if answers == "probabilities" else out
        profiles.append(mode_profile(out.numpy(), data.inputs.double(), data.labels, centre=True))
    p, q = profiles
    assert value(found) == pytest.approx(mode_distance(p.strength, p.learned, q.learned), abs=1e-6)
    np.testing.assert_allclose(found.details["strength"], p.strength, atol=1e-6)
    np.testing.assert_allclose(found.details["fraction_a"], p.fraction, atol=1e-5)
    np.testing.assert_allclose(found.details["cosine_b"], q.cosine, atol=1e-5)


def test_modes_that_one_model_lacks_are_the_difference():
    data = examples()
    x = data.inputs.double() - data.inputs.double().mean(0)
    y = torch.nn.functional.one_hot(data.labels, 3).double()
    w = torch.linalg.lstsq(x, y - y.mean(0)).solution.T
    values, vectors = torch.linalg.eigh(x.T @ x)
    root, colour = vectors * values.sqrt() @ vectors.T, vectors / values.sqrt() @ vectors.T
    u, s, vt = torch.linalg.svd(w @ root, full_matrices=False)
    first = (u[:, :1] * s[:1]) @ vt[:1] @ colour

    def linear(m):
        return lambda batch: batch.double() @ m.T

    found = ask(Modes(answers="logits"), linear(w), linear(first), data)
    np.testing.assert_allclose(found.details["fraction_a"], 1, atol=1e-5)
    np.testing.assert_allclose(found.details["fraction_b"], [1, 0], atol=1e-5)
    assert value(found) == pytest.approx(float(s[1] / s[:2].norm()), abs=1e-5)
    np.testing.assert_allclose(found.details["cosine"], [1, 0], atol=1e-5)


def test_what_is_not_linear_in_the_inputs_is_not_seen():
    x = torch.randn(400, 4, generator=torch.Generator().manual_seed(0))
    data = Examples(inputs=torch.cat([x, -x]), labels=torch.cat([x[:, 0] > 0, -x[:, 0] > 0]).long())

    def even(b):
        return torch.stack([b[:, 1] ** 2, -(b[:, 1] ** 2)], 1)

    def odd(b):
        return torch.stack([-b[:, 0], b[:, 0]], 1)

    found = ask(Modes(answers="logits"), odd, lambda b: odd(b) + even(b), data)
    assert value(found) == pytest.approx(0, abs=1e-6)


def test_inputs_of_many_numbers_give_the_same_components_by_examples_as_by_numbers(monkeypatch):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(120, 5)) @ rng.normal(size=(5, 40)) + 0.001 * rng.normal(size=(120, 40))
    data = Examples(inputs=torch.from_numpy(x).float())
    z = components(data, 5)
    monkeypatch.setattr("learnt.gated._components.SAMPLE", 30)  # now by examples, 30 of them
    other = components(data, 5)
    for found in (z, other):
        np.testing.assert_allclose(found.T @ found / 120, np.eye(5), atol=1e-9)
        np.testing.assert_allclose(found.mean(0), 0, atol=1e-9)
    assert np.linalg.svd(z.T @ other / 120)[1].min() > 0.999  # the same space
    assert components(Examples(inputs=torch.ones(20, 3)), 5).shape == (20, 0)


def test_edges_are_reasons_and_not_numbers():
    data = examples()
    with pytest.raises(NotApplicable):
        ask(Modes(), net(0), net(1), Examples(inputs=data.inputs))
    same = Examples(inputs=data.inputs[:1].expand(200, -1).clone(), labels=data.labels)
    assert isinstance(ask(Modes(), net(0), net(1), same), Undefined)
    for wrong in ({"answers": "words"}, {"components": 0}, {"most_modes": 0}, {"components": True}):
        with pytest.raises(InputError):
            Modes(**wrong)


def test_a_model_trained_a_little_less_has_learned_less_of_the_weak_modes_than_one_that_never_was_trained():
    data, rows = examples(200), []
    for steps in (60, 48, 0):
        model = net(5)
        optimiser = torch.optim.SGD(model.parameters(), lr=0.1)
        for _ in range(steps):
            loss = nn.functional.cross_entropy(model(data.inputs), data.labels)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        rows.append(model)
    found = compare(rows[0], rows[1], data, controls=[rows[2]], measures=[Modes()], resamples=200, quiet=True)["modes"]
    assert found.value.value < 0.1 < found.control.value
    assert found.transfer.low > 0.7 and found.chart is not None and set(found.chart.series) == {"A", "B", "control"}
