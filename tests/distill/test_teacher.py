"""Claims about asking a teacher: any kind, evaluation mode, own number format, restored even after an error."""

import numpy as np
import pytest
import torch
from torch import nn

from learnt.core.errors import InputError, NotApplicable, ShapeError
from learnt.core.examples import Examples
from learnt.distill._teacher import (
    as_taken,
    class_logits,
    evaluating,
    layer_output,
    live_outputs,
    members_of,
    plain_outputs,
    require_layer,
    stored_features,
)
from learnt.distill.kd import KD, LOGITS
from learnt.train import Population


def net(classes=3):
    return nn.Sequential(nn.Linear(5, 8), nn.Sequential(nn.ReLU(), nn.Dropout(0.5)), nn.Linear(8, classes))


def data(n=9):
    return Examples(inputs=torch.randn(n, 5, generator=torch.Generator().manual_seed(0)), labels=torch.arange(n) % 3)


def test_flags_are_restored_after_an_error_too():
    model = net()
    model[1].eval()
    modes = [m.training for m in model.modules()]

    def ask():
        with evaluating([model, "a callable has no flags"]):
            assert not any(m.training for m in model.modules())
            assert not torch.is_grad_enabled()
            raise KeyError

    with pytest.raises(KeyError):
        ask()
    assert [m.training for m in model.modules()] == modes
    assert torch.is_grad_enabled()


def test_one_model_is_one_member_and_a_population_or_list_is_many():
    model, population = net(), Population(net, 3, seed=0)
    assert members_of(model) == [model]
    assert members_of(len) == [len]
    assert len(members_of(population)) == len(members_of([model, model, model])) == 3
    assert len(members_of(nn.Sequential(net(), net()))) == 1
    for nothing in ([], 3, None):
        with pytest.raises(InputError, match="teacher"):
            members_of(nothing)


def test_a_population_teaches_with_the_mean_probability_of_its_replicas():
    population, examples = Population(net, 3, seed=0), data()
    taught = KD(population).prepare(examples)[LOGITS]
    with torch.no_grad():
        mean = torch.stack([m(examples.inputs).softmax(1) for m in population]).mean(0)
    assert (taught.exp() - mean).abs().max() < 1e-6


def test_a_scikit_learn_classifier_teaches_once_but_not_live():
    from sklearn.linear_model import LogisticRegression

    examples = data(30)
    classifier = LogisticRegression().fit(examples.inputs.numpy(), examples.labels.numpy())
    taught = KD(classifier).prepare(examples)[LOGITS].softmax(1).numpy()
    assert np.abs(taught - classifier.predict_proba(examples.inputs.numpy())).max() < 1e-5
    with pytest.raises(InputError, match="live=False"):
        live_outputs(members_of(classifier), examples.inputs)


def test_members_with_other_numbers_of_outputs_are_refused():
    with pytest.raises(ShapeError, match=r"teacher\[1\]"):
        class_logits([net(3), net(4)], data(), outputs="auto", batch_size=4)


def test_a_teacher_gets_inputs_in_its_own_number_format():
    inputs = torch.randn(4, 5)
    assert as_taken(net().double(), inputs).dtype == torch.float64
    assert as_taken(net(), torch.zeros(2, dtype=torch.int64)).dtype == torch.int64
    assert as_taken(len, inputs) is inputs
    assert live_outputs([net().double()], inputs)[0].dtype == torch.float64
    assert layer_output(net().double(), "1", inputs).shape == (4, 8)
    assert plain_outputs(net(), Examples(inputs=inputs), batch_size=3).shape == (4, 3)


def test_a_whole_stage_can_be_named_and_features_do_not_depend_on_the_batch_size():
    model, examples = net(), data()
    whole = stored_features(model, "1", examples, view=None, batch_size=100)
    with torch.no_grad():
        assert torch.allclose(whole, model[0](examples.inputs).relu(), atol=1e-6)
    assert torch.allclose(whole, stored_features(model, "1", examples, view=None, batch_size=2), atol=1e-6)


def test_a_layer_that_does_not_run_is_refused():
    class Idle(nn.Module):
        def __init__(self):
            super().__init__()
            self.used, self.idle = nn.Linear(5, 3), nn.Linear(5, 3)

        def forward(self, x):
            return self.used(x)

    model = Idle()
    require_layer(model, "idle", "teacher_layer")
    with pytest.raises(InputError, match="'idle', which gives no tensor"):
        layer_output(model, "idle", data().inputs)
    with pytest.raises(InputError, match="Nearest names: used"):
        require_layer(model, "usd", "teacher_layer")
    with pytest.raises(NotApplicable, match="Population"):
        require_layer(Population(net, 2, seed=0), "0", "teacher_layer")
