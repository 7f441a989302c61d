"""Demonstration (c) of the specification: two reward heads on the same embeddings, and a control.

Heads are trained by Bradley-Terry on the same pairs, judged by one taste with noise, from seeds of their own; the
controls learnt the preferences of other tastes on the same pairs. Their distance, its interval and the regret of picking
the best of N responses by one instead of the other must tell the two cases apart.
"""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch
from torch.nn.functional import logsigmoid

import learnt
from learnt.core.examples import Examples
from learnt.rewards.best_of_n import best_of_n_regret, expected_maximum
from learnt.rewards.best_of_n_measure import BestOfNRegret
from learnt.rewards.response_measure import ResponseDistance
from learnt.rewards.responses import response_distance
from learnt.rewards.scores import Responses
from learnt.train import Population, fit

PROMPTS, K, WIDTH = 80, 12, 24


def bradley_terry(model, batch):
    """Minus the log-likelihood that the first response of each pair (b, 2, d) is preferred."""
    scores = model(batch.inputs.flatten(0, 1)).reshape(-1, 2)
    return -logsigmoid(scores[:, 0] - scores[:, 1]).mean()


def head():
    return torch.nn.Linear(WIDTH, 1)


def preferences(taste, seed, noise):
    """1,500 pairs (n, 2, d) of embeddings, the preferred one first, judged with noise by a taste (d,)."""
    rng = np.random.default_rng(seed)
    pairs = np.random.default_rng(99).standard_normal((1500, 2, WIDTH))  # the same pairs for everybody
    value = pairs @ taste
    prefers = value[:, 0] - value[:, 1] + noise * rng.logistic(size=1500) > 0
    pairs[~prefers] = pairs[~prefers][:, ::-1]
    return Examples(inputs=torch.tensor(pairs, dtype=torch.float32))


def trained(taste, seed, noise):
    heads = Population(head, 1, seed=seed)
    data = preferences(taste, seed, noise)
    fit(heads, data, bradley_terry, epochs=10, batch_size=100, seed=seed, optimizer=partial(torch.optim.Adam, lr=0.03))
    return heads[0]


@pytest.fixture(scope="module")
def heads():
    """(a head, three noisy heads of the same taste, three heads of others, the responses, the true reward)."""
    rng = np.random.default_rng(0)
    taste, *others = (x / np.linalg.norm(x) * 2 for x in rng.standard_normal((4, WIDTH)))
    embeddings = rng.standard_normal((PROMPTS, K, WIDTH)) + rng.standard_normal((PROMPTS, 1, WIDTH))  # prompts differ
    flat = torch.tensor(embeddings.reshape(-1, WIDTH), dtype=torch.float32)
    data = Responses(np.repeat(np.arange(PROMPTS), K), features=flat, name="responses of 80 prompts")
    noisy = [trained(taste, 2 + i, 1.0) for i in range(3)]
    control = [trained(other, 10 + i, 1.0) for i, other in enumerate(others)]
    return trained(taste, 1, 0.2), noisy, control, data, (embeddings @ taste).ravel()


def test_heads_of_one_taste_are_close_and_the_control_is_not(heads):
    a, noisy, control, data, _ = heads
    found = learnt.compare(
        a, noisy, data, controls=control, measures=[ResponseDistance(), BestOfNRegret()], quiet=True, resamples=500
    )
    distance, regret = found.answers
    assert distance.value.high < 0.5 < 1.0 < distance.control.value
    assert regret.name == f"best_of_n_regret({K})" and regret.value.high < 0.3 < 0.8 < regret.control.value
    for answer in (distance, regret):
        assert answer.verdict == "transferred" and answer.difference.high < 0
        assert answer.transfer.value > 0.6
        assert answer.chart is not None


def test_the_regret_grows_with_n_less_than_certified_and_as_normal_scores_would(heads):
    a, [b, *_], control, data, _ = heads
    near, far = (best_of_n_regret(a, x, data, n_boot=200) for x in (b, control[0]))
    for found in (near, far):
        relative = np.array([e.value for e in found.relative])
        assert (relative <= found.certificate).all() and relative[0] == 0.0 and relative[-1] > relative[1]
        assert all(e.low - 0.1 <= x <= e.high + 0.1 for e, x in zip(found.relative, found.normal, strict=True))
    assert all(x.high < y.low for x, y in zip(near.regret[1:], far.regret[1:], strict=True))
    assert near.by_proxy[-1] > near.by_proxy[0]


def test_both_heads_are_measured_against_the_true_reward_without_offsets_of_prompts(heads):
    a, [b, *_], _, data, true = heads
    scores = {"true": true, "a": data.subject(a, name="a").scores, "b": data.subject(b, name="b").scores}
    found = response_distance(scores, data, n_boot=200)
    assert found["true", "a"].distance.value < found["true", "b"].distance.value < 0.6
    offsets = np.random.default_rng(1).standard_normal(PROMPTS)[np.repeat(np.arange(PROMPTS), K)] * 50
    moved = response_distance(scores | {"b": scores["b"] + offsets}, data, n_boot=200)
    assert moved["true", "b"].distance.value == pytest.approx(found["true", "b"].distance.value, abs=1e-10)
    picked = best_of_n_regret(true, b, data, n_boot=200)
    assert picked.relative[-1].value < 0.5 * expected_maximum(K)[0]


def test_pruning_a_head_is_visible_before_anyone_trains_on_it(heads):
    """The gate of a swap of reward models: a rounded head is as good, one that lost most weights is not."""
    a, _, _, data, _ = heads
    rounded, pruned = head(), head()
    rounded.load_state_dict({k: (v * 64).round() / 64 for k, v in a.state_dict().items()})
    pruned.load_state_dict({k: v * (v.abs() > v.abs().quantile(0.8)) for k, v in a.state_dict().items()})
    found = response_distance(
        {n: data.subject(m, name=n).scores for n, m in (("a", a), ("r", rounded), ("p", pruned))}, data
    )
    assert found["a", "r"].distance.high < 0.05 < 0.2 < found["a", "p"].distance.low
