"""Compressed reward networks: the nearer the copy, the smaller the distance, with an independent control."""

import json

import numpy as np
import pytest
import torch
from torch import nn

from learnt.core.errors import InputError
from learnt.studies.pendulum import CONTROL, ORIGINAL, TRUE, compression, pruned, quantised, true_reward


def test_pruning_removes_the_smallest_weights_and_leaves_the_original_alone():
    net = nn.Sequential(nn.Linear(10, 8), nn.ReLU(), nn.Linear(8, 1))
    before = [p.clone() for p in net.parameters()]
    made = pruned(net, 0.5)
    assert all(torch.equal(a, b) for a, b in zip(net.parameters(), before, strict=True))
    assert int((made[0].weight == 0).sum()) == 40
    assert made[0].weight.abs()[made[0].weight != 0].min() >= net[0].weight.abs().flatten().sort()[0][39]
    assert torch.equal(made[0].bias, net[0].bias)
    assert all(torch.equal(a, b) for a, b in zip(pruned(net, 0.0).parameters(), before, strict=True))
    with pytest.raises(InputError, match="share"):
        pruned(net, 1.0)


@pytest.mark.parametrize("bits", [2, 4, 8])
def test_quantised_parameters_take_few_values_and_are_near(bits):
    net = nn.Linear(50, 20)
    made = quantised(net, bits)
    assert len(made.weight.unique()) <= 2**bits - 1
    step = float(net.weight.detach().abs().max()) / (2 ** (bits - 1) - 1)
    assert float((made.weight - net.weight).detach().abs().max()) <= step / 2 * (1 + 1e-6)
    with pytest.raises(InputError, match="bits"):
        quantised(net, 1)


def test_the_true_reward_is_the_environments_own():
    gymnasium = pytest.importorskip("gymnasium", reason="the extra rl is not installed")
    env = gymnasium.make("Pendulum-v1")
    obs, _ = env.reset(seed=0)
    for step in range(50):
        action = np.array([2 * np.sin(step)], dtype=np.float32)
        after, reward, *_ = env.step(action)
        assert true_reward(obs[None], action[None], after[None], np.zeros(1, bool))[0] == pytest.approx(
            reward, abs=1e-4
        )
        obs = after
    env.close()


def test_copies_are_ordered_by_how_much_they_lost():
    pytest.importorskip("gymnasium", reason="the extra rl is not installed")
    result = compression(samples=4_000, epochs=40, widths=(32, 32), n_boot=100, shares=(0.0, 0.3, 0.9), bits=(8, 3))
    found = {c.name: c for c in result.copies}
    assert list(found)[0] == CONTROL
    assert found["0 % pruned"].distance.value < 1e-9
    d = {name: c.distance.value for name, c in found.items()}
    assert max(d["8 bits"], d[CONTROL]) < d["30 % pruned"] < d["90 % pruned"]
    assert d["8 bits"] < d["3 bits"]
    assert found["8 bits"].error < 1e-2 < found["90 % pruned"].error
    assert abs(found["8 bits"].from_true.value - result.found[TRUE, ORIGINAL].distance.value) < 0.05
    assert result.table().row_count == 6
    assert json.loads(json.dumps(result.to_dict(), allow_nan=False))["notes"] == []
