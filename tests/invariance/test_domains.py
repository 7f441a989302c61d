import numpy as np
import pytest
import torch
from torch import nn

from learnt.core.compare import compare
from learnt.core.errors import InputError, NotApplicable
from learnt.core.examples import Examples
from learnt.invariance.domains import DomainAgreement
from learnt.testing.conformance import check_measure

RNG = np.random.default_rng(0)


@pytest.fixture
def data(images):
    g = torch.Generator().manual_seed(1)
    noisy = Examples(inputs=images.inputs + 0.3 * torch.randn(images.inputs.shape, generator=g), labels=images.labels)
    sketch = Examples(inputs=torch.rand(35, 2, 10, 10, generator=g))
    return Examples(inputs=images.inputs, labels=images.labels, domains={"noisy": noisy, "sketch": sketch})


def ask(measure, one, two, data, **options):
    states = [measure.prepare(data.subject(x, name=n, **options), data, rng=RNG) for x, n in ((one, "A"), (two, "B"))]
    return measure.compare(*states, rng=RNG)


class Sure(nn.Module):
    def __init__(self, channel):
        super().__init__()
        self.channel = channel

    def forward(self, x):
        score = 10 * (x[:, self.channel].mean((1, 2)) - 0.5)
        return torch.stack([score, 0 * score, -score], 1)


def test_agreement_is_the_share_of_equal_answers_on_the_domain_and_rests_on_its_own_examples(data):
    evidence = ask(DomainAgreement(domain="sketch"), Sure(0), Sure(1), data)
    inputs = data.domains["sketch"].inputs
    same = Sure(0)(inputs).argmax(1) == Sure(1)(inputs).argmax(1)
    assert float(evidence.combine(evidence.columns.mean(0))) == pytest.approx(same.double().mean().item())
    assert (evidence.keys == data.domains["sketch"].keys).all()
    assert evidence.columns.shape == (35, 1)
    assert "accuracy_a" not in evidence.details


def test_accuracies_are_reported_where_the_domain_has_labels(data):
    evidence = ask(DomainAgreement(domain="noisy"), Sure(0), Sure(1), data)
    domain = data.domains["noisy"]
    right = (Sure(1)(domain.inputs).argmax(1) == domain.labels).double().mean().item()
    assert evidence.details["accuracy_b"] == pytest.approx(right)


def test_a_model_agrees_with_itself_everywhere(net, data):
    for measure in DomainAgreement().variants(data):
        evidence = ask(measure, net(1), net(1), data)
        assert float(evidence.combine(evidence.columns.mean(0))) == 1.0


def test_there_is_one_question_for_each_domain(data, images):
    assert [m.name for m in DomainAgreement().variants(data)] == ["domain_agreement[noisy]", "domain_agreement[sketch]"]
    assert DomainAgreement().variants(images) == ()
    assert len({m.question for m in DomainAgreement().variants(data)}) == 2


def test_order_batch_size_and_subsample_do_not_depend_on_positions(data):
    measure = DomainAgreement(domain="sketch", max_examples=11)
    evidence = ask(measure, Sure(0), Sure(1), data)
    order = np.random.default_rng(0).permutation(35)
    shuffled = Examples(inputs=data.inputs, domains={"sketch": data.domains["sketch"].take(order)})
    for other in (ask(measure, Sure(0), Sure(1), shuffled), ask(measure, Sure(0), Sure(1), data, batch_size=4)):
        assert sorted(zip(evidence.keys, evidence.columns[:, 0])) == sorted(zip(other.keys, other.columns[:, 0]))


def test_missing_domains_are_said(net, data, images):
    with pytest.raises(NotApplicable, match="domains"):
        DomainAgreement().prepare(images.subject(net(), name="m"), images, rng=RNG)
    with pytest.raises(InputError, match="noisy, sketch"):
        DomainAgreement(domain="cartoon").prepare(data.subject(net(), name="m"), data, rng=RNG)
    with pytest.raises(InputError, match="noisy, sketch"):
        DomainAgreement().prepare(data.subject(net(), name="m"), data, rng=RNG)


def test_a_copy_transfers_completely(data):
    answers = compare(Sure(0), Sure(0), data, measures=[DomainAgreement()], controls=[Sure(1)], resamples=200).answers
    assert [a.transfer.value for a in answers] == pytest.approx([1.0, 1.0])
    assert answers[0].chart.x == ["B", "control"]


def test_the_model_is_left_as_it_was(net, data, untouched):
    model = net(1)
    with untouched(model, data.domains["noisy"].inputs):
        DomainAgreement(domain="noisy").prepare(data.subject(model, name="m"), data, rng=RNG)


def test_every_claim_holds():
    check_measure(DomainAgreement())
