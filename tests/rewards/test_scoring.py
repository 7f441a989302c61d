"""What a reward may be, and that it is left as it was."""

import numpy as np
import pytest
import torch
from torch import nn

from learnt.core.errors import InputError, NonFiniteError, ShapeError
from learnt.data.transitions import Transitions
from learnt.rewards import scoring
from learnt.rewards.scoring import SampleTable, gather, sample_table, score

RNG = np.random.default_rng(0)
DATA = Transitions(
    RNG.standard_normal((5, 3)), RNG.integers(0, 2, 5), RNG.standard_normal((5, 2, 3)), RNG.random((5, 2)) < 0.4
)


def plain(obs, act, next_obs, terminated):
    return obs[:, 0] + 10 * act + 100 * next_obs[:, 1] + 1000 * terminated


def expected():
    d = DATA
    return d.obs[:, :1] + 10 * d.act[:, None] + 100 * d.next_obs[:, :, 1] + 1000 * d.terminated


def test_a_function_sees_each_successor_with_its_own_point(monkeypatch):
    np.testing.assert_array_equal(score(plain, DATA), expected())
    monkeypatch.setattr(scoring, "ROWS", 3)
    np.testing.assert_array_equal(score(plain, DATA), expected())
    np.testing.assert_array_equal(score(lambda *x: torch.tensor(plain(*x))[:, None], DATA), expected())


class Net(nn.Module):
    def __init__(self, dtype):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1, dtype=dtype))
        self.noise = nn.Dropout(0.5)

    def forward(self, obs, act, next_obs, done):
        assert obs.dtype == next_obs.dtype == done.dtype == self.scale.dtype
        assert act.dtype == torch.int64
        assert not torch.is_grad_enabled()
        return self.noise(self.scale * (obs[:, 0] + 10 * act + 100 * next_obs[:, 1] + 1000 * done))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_module_is_evaluated_without_dropout_and_left_as_it_was(dtype):
    net = Net(dtype)
    net.noise.eval()
    net.train()
    net.noise.training = False
    before = torch.get_rng_state()
    np.testing.assert_allclose(score(net, DATA), expected(), rtol=1e-5)
    assert (net.training, net.noise.training) == (True, False)
    assert net.scale.grad is None
    assert torch.equal(torch.get_rng_state(), before)


def test_a_module_is_left_as_it_was_even_if_it_fails():
    class Broken(nn.Module):
        def forward(self, *_):
            raise RuntimeError("no")

    net = Broken()
    with pytest.raises(RuntimeError, match="no"):
        score(net, DATA)
    assert net.training


def test_a_reward_network_of_imitation_is_asked_through_predict():
    class RewardNet(nn.Module):
        def preprocess(self, *arrays):
            raise AssertionError("predict does that")

        def predict(self, state, action, next_state, done):
            assert not self.training
            return plain(state, action, next_state, done).astype(np.float32)

        def forward(self, *_):
            raise AssertionError("predict knows how to prepare actions")

    np.testing.assert_allclose(score(RewardNet(), DATA), expected(), rtol=1e-6)


def test_values_made_elsewhere_are_taken_as_they_are():
    np.testing.assert_array_equal(score(expected(), DATA), expected())
    np.testing.assert_array_equal(score(torch.tensor(expected()), DATA), expected())
    one = Transitions(DATA.obs, DATA.act, DATA.next_obs[:, :1])
    assert score(np.arange(5.0), one).shape == (5, 1)


@pytest.mark.parametrize(
    ("reward", "error", "text"),
    [
        ("R1", InputError, "function, an nn.Module or an array"),
        (lambda *x: "no", InputError, "not numeric"),
        (lambda *x: 1.0, ShapeError, "one number each"),
        (lambda o, a, n, t: n, ShapeError, "one number each"),
        (lambda o, a, n, t: n[:, 0] * np.nan, NonFiniteError, r"10 values.*\(0, 0\)"),
        (np.arange(5.0), ShapeError, r"\(5, 2\)"),
        (np.full((5, 2), np.inf), NonFiniteError, "R1"),
    ],
)
def test_what_is_no_reward_is_an_error_with_its_name(reward, error, text):
    with pytest.raises(error, match=text) as caught:
        score(reward, DATA, "R1")
    assert "R1" in str(caught.value)


def test_tables_of_several_makers_come_together_if_they_are_of_the_same_samples():
    first, second = sample_table({"a": plain}, DATA), sample_table({"b": expected() * 2}, DATA)
    names, values, elsewhere = gather([first, second], DATA, None)
    assert (names, elsewhere) == (("a", "b"), None)
    np.testing.assert_array_equal(values[1], 2 * values[0])
    assert gather(first, DATA, None)[0] == ("a",)


def test_values_on_other_samples_are_refused():
    other = Transitions(DATA.obs + 1, DATA.act, DATA.next_obs)
    first, second = sample_table({"a": plain}, DATA), sample_table({"b": plain}, other)
    with pytest.raises(InputError, match="values of all rewards on the same samples"):
        gather([first, second], DATA, None)
    with pytest.raises(InputError, match="evaluation"):
        gather(first, DATA, other)
    both = sample_table({"a": plain}, DATA, evaluation=other)
    assert gather(both, DATA, other)[2].shape == (1, 5, 2)
    half = SampleTable(fingerprint=DATA.fingerprint, values=both.values, evaluation_fingerprint=other.fingerprint)
    with pytest.raises(InputError, match="no values of 'a'"):
        gather(half, DATA, other)


def test_names_must_be_different_and_there_must_be_one():
    table = sample_table({"a": plain}, DATA)
    with pytest.raises(InputError, match="twice"):
        gather([table, table], DATA, None)
    with pytest.raises(InputError, match="at least one"):
        gather({}, DATA, None)
    with pytest.raises(InputError, match="mapping from names"):
        gather([plain], DATA, None)
