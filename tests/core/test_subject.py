"""A model under question is left as it was, and bad models are named."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

from learnt.core.errors import InputError, NonFiniteError, NotApplicable, ShapeError
from learnt.core.examples import as_examples
from learnt.core.subject import Subject, tap

X = torch.rand(10, 4, generator=torch.Generator().manual_seed(0))
DATA = as_examples((X, torch.arange(10) % 3))


def net(seed=0):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.5), nn.Linear(8, 3))


def snapshot(m):
    flags = [x.training for x in m.modules()]
    hooks = sum(len(x._forward_hooks) + len(x._forward_pre_hooks) for x in m.modules())
    return copy.deepcopy(m.state_dict()), flags, hooks, [p.grad for p in m.parameters()], torch.get_rng_state()


def same(a, b):
    return all(torch.equal(a[0][k], b[0][k]) for k in a[0]) and a[1:4] == b[1:4] and torch.equal(a[4], b[4])


def test_a_model_in_training_mode_is_evaluated_and_left_as_it_was():
    m = net().train()
    m[2].eval()
    before = snapshot(m)
    subject = Subject(m, DATA, name="m")
    first = subject.logits.clone()
    subject.features("0")
    assert same(before, snapshot(m))
    assert torch.equal(first, Subject(m, DATA, name="m").logits)  # dropout was off, batch norm used its running values


@pytest.mark.parametrize("where", ["forward", "hook", "gradients"])
def test_a_model_is_restored_when_something_fails_inside(where):
    m = net().train()
    before = snapshot(m)
    subject = Subject(m, DATA, name="m")

    def fail():
        with subject.evaluating(gradients=where == "gradients") as model:
            if where == "hook":
                with tap(m, ["0"]):
                    model(X)
                    raise ZeroDivisionError
            model(X)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert same(before, snapshot(m))


def test_batch_size_changes_nothing_beyond_rounding():
    m = net()
    whole = Subject(m, DATA, name="m", batch_size=100)
    for size in (1, 3, 10):
        part = Subject(m, DATA, name="m", batch_size=size)
        torch.testing.assert_close(part.logits, whole.logits, atol=1e-6, rtol=1e-6)
        torch.testing.assert_close(part.features("1"), whole.features("1"), atol=1e-6, rtol=1e-6)
    with pytest.raises(InputError, match="batch_size"):
        Subject(m, DATA, name="m", batch_size=0)


@pytest.mark.parametrize(
    ("thing", "error", "words"),
    [
        (lambda x: x[:, 0], ShapeError, r"outputs of shape \(10,\)"),
        (lambda x: x[:5, :3], ShapeError, "for a batch of 10"),
        (lambda x: x[:, :1], ShapeError, "single logit"),
        (lambda x: x.log() * 0 / 0, NonFiniteError, "outputs of bad: found 40 values"),
        (lambda x: x.softmax(1), InputError, "look like probabilities"),
        (lambda x: "no", InputError, "outputs of type str"),
        (lambda x: x.to("meta"), InputError, "outputs on meta for inputs on cpu"),
        (nn.Linear(7, 3), ShapeError, "the model cannot take"),
        (42, InputError, "bad: found int"),
    ],
)
def test_bad_models_are_named_and_explained(thing, error, words):
    with pytest.raises(error, match=words):
        Subject(thing, DATA, name="bad").logits  # noqa: B018


def test_probabilities_can_be_declared():
    m = net().eval()
    declared = Subject(lambda x: m(x).softmax(1), DATA, name="p", outputs="probabilities")
    plain = Subject(m, DATA, name="m")
    torch.testing.assert_close(declared.log_probabilities, plain.log_probabilities, atol=1e-6, rtol=1e-5)


def test_outputs_may_carry_logits_as_an_attribute_a_key_or_numpy():
    m = net().eval()
    want = Subject(m, DATA, name="m").logits
    for f in (lambda x: {"logits": m(x)}, lambda x: m(x).numpy(), lambda x: type("Out", (), {"logits": m(x)})()):
        torch.testing.assert_close(Subject(f, DATA, name="f").logits, want)


def test_unknown_layers_get_the_nearest_names_and_functions_have_none():
    with pytest.raises(InputError, match="Nearest names: 4"):
        Subject(net(), DATA, name="m").features("44")
    with pytest.raises(NotApplicable, match="no layers or gradients"):
        Subject(lambda x: x, DATA, name="f").features("0")


def test_layers_come_in_the_order_they_run_and_repeats_get_numbers():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.last, self.first, self.act = nn.Linear(4, 3), nn.Linear(4, 4), nn.ReLU()

        def forward(self, x):
            return self.last(self.act(self.act(self.first(x)) - 0.5))

    subject = Subject(Twice(), DATA, name="t")
    assert list(subject.layers) == ["first", "act", "act#2", "last"]
    assert subject.penultimate == "act#2"
    assert not torch.equal(subject.features("act"), subject.features("act#2"))


def test_labels_beyond_the_outputs_are_an_error_that_names_both():
    data = as_examples((X, torch.full((10,), 7)))
    with pytest.raises(InputError, match="class index 7; expected indices below 3"):
        Subject(net(), data, name="m").correct  # noqa: B018
    with pytest.raises(NotApplicable, match="no class labels"):
        Subject(net(), as_examples(X), name="m").correct  # noqa: B018


def test_double_precision_models_get_double_inputs():
    m = net().double().eval()
    assert Subject(m, DATA, name="m").logits.dtype == torch.float64


def test_scikit_learn_classifiers_are_models():
    from sklearn.linear_model import LogisticRegression

    y = np.arange(10) % 3
    fitted = LogisticRegression().fit(X.numpy(), y)
    subject = Subject(fitted, DATA, name="logistic")
    assert (subject.predictions.numpy() == fitted.predict(X.numpy())).all()
