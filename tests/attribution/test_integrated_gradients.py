import json
from pathlib import Path

import numpy as np
import pytest
import torch
from captum.attr import IntegratedGradients
from torch import nn

from learnt.attribution.integrated_gradients import IGSimilarity, baseline_of, integrated_gradients, quadrature
from learnt.core.compare import compare
from learnt.core.errors import InputError, NotApplicable, ShapeError
from learnt.core.examples import Examples
from learnt.core.measure import Undefined

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "attribution.json").read_text())["integrated_gradients"]
RNG = np.random.default_rng(0)


class Polynomial(nn.Module):
    """The golden function x0 x1 + 3 x2^2 as the score of class 0; the golden steps follow from it."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones((), dtype=torch.float64))

    def forward(self, x):
        score = self.scale * (x[:, 0] * x[:, 1] + 3 * x[:, 2] ** 2)
        return torch.stack([score, -score], 1)


@pytest.fixture
def golden():
    data = Examples(inputs=torch.tensor([GOLDEN["x"]], dtype=torch.float64), labels=torch.tensor([0]))
    return data.subject(Polynomial(), name="f"), data


def value(measure, one, two, data, batch_size=256):
    states = [
        measure.prepare(data.subject(x, name=str(i), batch_size=batch_size), data, rng=RNG)
        for i, x in enumerate((one, two))
    ]
    evidence = measure.compare(*states, rng=RNG)
    return evidence if isinstance(evidence, Undefined) else float(evidence.combine(evidence.columns.mean(0)))


@pytest.mark.parametrize(
    ("nodes", "steps", "expected"),
    [
        ("gauss-legendre", 64, "ig_exact"),
        ("gauss-legendre", 1, "ig_exact"),
        ("left", 4, "ig_left_riemann_4_steps"),
        ("midpoint", 4, "ig_midpoint_4_steps"),
    ],
)
def test_attributions_equal_the_golden_ones(golden, nodes, steps, expected):
    subject, data = golden
    values, gap = integrated_gradients(subject, data.inputs, data.labels, steps=steps, nodes=nodes)
    assert values[0] == pytest.approx(GOLDEN[expected], abs=1e-12)
    assert gap[0] == pytest.approx(sum(GOLDEN[expected]) - GOLDEN["completeness"], abs=1e-12)


def test_a_linear_score_is_attributed_exactly_with_any_number_of_nodes():
    model = nn.Linear(4, 3).double()
    data = Examples(inputs=torch.rand(5, 4, dtype=torch.float64), labels=torch.tensor([0, 1, 2, 1, 0]))
    values, _ = integrated_gradients(data.subject(model, name="m"), data.inputs, data.labels, steps=3)
    assert values == pytest.approx((model.weight[data.labels] * data.inputs).detach().numpy(), abs=1e-12)


def test_attributions_are_complete_with_64_nodes_on_a_two_layer_network():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(6, 16), nn.Tanh(), nn.Linear(16, 3)).double()
    data = Examples(inputs=torch.randn(20, 6, dtype=torch.float64), labels=torch.arange(20) % 3)
    _, gap = integrated_gradients(data.subject(model, name="m"), data.inputs, data.labels)
    assert np.abs(gap).max() < 1e-6


@pytest.mark.parametrize("batch_size", [3, 64, 1000])
def test_attributions_equal_captum(net, images, batch_size):
    model = net(1).eval().double()
    ours, _ = integrated_gradients(
        images.subject(model, name="m", batch_size=batch_size), images.inputs.double(), images.labels, steps=16
    )
    reference = IntegratedGradients(model).attribute(
        images.inputs.double(), 0.0, target=images.labels, n_steps=16, method="gausslegendre"
    )
    assert ours == pytest.approx(reference.numpy(), abs=1e-9)


def test_black_is_the_lowest_valid_value_and_blurring_keeps_the_mean_of_a_constant_image():
    x = torch.rand(2, 3, 8, 8)
    assert baseline_of(x, "black", -1.5).unique().tolist() == [-1.5]
    assert baseline_of(x, "black", None).unique().tolist() == [0.0]
    flat = torch.full((1, 2, 9, 6), 0.3)
    assert torch.allclose(baseline_of(flat, "blurred", None), flat)
    assert baseline_of(x, "blurred", None).std() < 0.5 * x.std()
    assert baseline_of(x, torch.rand(3, 1, 1), None).shape == x.shape


def test_baselines_and_rules_that_do_not_exist_are_refused():
    with pytest.raises(InputError):
        baseline_of(torch.rand(2, 3), "white", None)  # type: ignore[arg-type]
    with pytest.raises(InputError):
        baseline_of(torch.rand(2, 3), "blurred", None)
    with pytest.raises(ShapeError):
        baseline_of(torch.rand(2, 3), torch.rand(4), None)
    with pytest.raises(InputError):
        quadrature(0)
    with pytest.raises(InputError):
        quadrature(4, "simpson")  # type: ignore[arg-type]
    with pytest.raises(InputError):
        IGSimilarity(statistic="pearson")  # type: ignore[arg-type]


@pytest.mark.parametrize("statistic", ["cosine", "spearman"])
def test_identical_models_have_similarity_one_and_order_and_batches_do_not_matter(net, images, statistic):
    measure = IGSimilarity(steps=8, statistic=statistic, max_examples=9)
    assert value(measure, net(1), net(1), images) == pytest.approx(1.0, abs=1e-9)
    expected = value(measure, net(1), net(2), images)
    assert expected < 0.99
    shuffled = images.take(torch.randperm(20, generator=torch.Generator().manual_seed(0)))
    assert value(measure, net(1), net(2), shuffled) == pytest.approx(expected, abs=1e-6)
    assert value(measure, net(1), net(2), images, batch_size=5) == pytest.approx(expected, abs=2e-6)


def test_swapping_the_models_changes_nothing(net, images):
    measure = IGSimilarity(steps=8)
    assert value(measure, net(1), net(2), images) == pytest.approx(value(measure, net(2), net(1), images), abs=1e-12)


def test_class_names_do_not_matter(net, images):
    measure, order = IGSimilarity(steps=8), [1, 2, 0]
    renamed = Examples(inputs=images.inputs, labels=torch.argsort(torch.tensor(order))[images.labels])

    def rename(model):
        head = nn.Linear(3, 3, bias=False)
        head.weight.data.copy_(torch.eye(3)[order])
        return nn.Sequential(*model, head)

    expected = value(measure, net(1), net(2), images)
    assert value(measure, rename(net(1)), rename(net(2)), renamed) == pytest.approx(expected, abs=1e-6)


def test_tables_are_compared_feature_by_feature_and_have_no_gallery_maps():
    data = Examples(inputs=torch.rand(30, 5), labels=torch.arange(30) % 2)
    model, measure = nn.Linear(5, 2), IGSimilarity(steps=2)
    state = measure.prepare(data.subject(model, name="m"), data, rng=RNG)
    assert state.values.shape == (30, 5)
    assert measure.look(state, np.array([0, 1])) is None
    assert value(measure, model, model, data) == pytest.approx(1.0)


def test_a_dead_network_has_no_similarity_and_no_nan(net, images):
    dead = net(1)
    nn.init.zeros_(dead[-1].weight)
    assert isinstance(value(IGSimilarity(steps=2), net(1), dead, images), Undefined)


def test_the_completeness_error_is_reported(net, images):
    measure = IGSimilarity(steps=64)
    state = measure.prepare(images.subject(net(1), name="m"), images, rng=RNG)
    details = measure.compare(state, state, rng=RNG).details
    assert 0 < details["completeness_error_a"] < 0.05
    assert details["mean_map_b"].shape == (10, 10)


def test_functions_and_tokens_are_not_asked(images):
    with pytest.raises(NotApplicable, match="nn.Module"):
        IGSimilarity().prepare(images.subject(lambda x: x.flatten(1)[:, :3] + 2, name="f"), images, rng=RNG)
    tokens = Examples(inputs=torch.arange(12).reshape(4, 3), labels=torch.tensor([0, 1, 0, 1]))
    model = nn.Sequential(nn.Embedding(12, 2), nn.Flatten(), nn.Linear(6, 2))
    with pytest.raises(NotApplicable, match="floating point"):
        IGSimilarity().prepare(tokens.subject(model, name="m"), tokens, rng=RNG)


def test_the_model_is_left_as_it_was_also_when_something_fails_inside(net, images, untouched):
    class Failing(nn.Module):
        def forward(self, x):
            if torch.is_grad_enabled():
                raise RuntimeError("inside")
            return x

    model = net(3)
    with untouched(model, images.inputs):
        integrated_gradients(images.subject(model, name="m"), images.inputs, images.labels, steps=4)
    model = nn.Sequential(*net(3), Failing())
    with untouched(model, images.inputs), pytest.raises(RuntimeError, match="inside"):
        integrated_gradients(images.subject(model, name="m"), images.inputs, images.labels, steps=4)


def test_a_copy_transfers_completely(net, images):
    result = compare(
        net(1), net(1), images, measures=[IGSimilarity(steps=8)], controls=[net(i) for i in range(2, 7)], resamples=200
    )
    assert result.answers[0].transfer.value == pytest.approx(1.0, abs=1e-9)
