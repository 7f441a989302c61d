"""The examples shown first are the most telling ones, whatever the number of replicas and the order of the data."""

import numpy as np
import torch

from learnt.core.examples import Examples
from learnt.core.gallery import cards, choose

N, CLASSES, K = 60, 5, 20
G = torch.Generator().manual_seed(0)
DATA = Examples(inputs=torch.randn(N, 3, generator=G), labels=torch.randint(0, CLASSES, (N,), generator=G))
SAYS = torch.randint(0, CLASSES, (N,), generator=G)


def subject(answers, data=DATA, name="m"):
    """A thing that answers as told, example by example."""
    logits = 5.0 * torch.nn.functional.one_hot(answers, CLASSES).float()
    by_key = {int(k): row for k, row in zip(DATA.keys, logits)}
    wrapped = Examples(inputs=data.inputs).keys
    return data.subject(lambda x: torch.stack([by_key[int(k)] for k in wrapped[: len(x)]]), name=name)


def replicas(share, data=DATA):
    """K replicas; on example i, round(K share[i]) of them answer as the reference does."""
    count = torch.round(K * share)
    return [subject(torch.where(j < count, SAYS, (SAYS + 1) % CLASSES), data, f"m[{j}]") for j in range(K)]


SHARE = torch.rand(N, generator=G)


def test_examples_come_in_the_order_of_their_score_for_many_replicas():
    a, bs, controls = subject(SAYS, name="a"), replicas(SHARE), replicas(torch.rand(N, generator=G))
    follows = np.mean([(b.predictions == a.predictions).numpy() for b in bs], axis=0)
    alone = np.mean([(c.predictions == a.predictions).numpy() for c in controls], axis=0)
    wrong = ~a.correct.numpy()
    scores = {
        "disagree": 1 - follows,
        "follows_mistake": wrong * np.clip(follows - alone, 0, 1),
        "shared_mistake": wrong * follows * alone,
    }
    for kind, index in choose(a, bs, controls, 10).items():
        best = np.sort(scores[kind])[::-1][: len(index)]
        assert len(index) == 10 and np.array_equal(scores[kind][index], best), kind


def test_the_order_of_the_data_changes_no_choice():
    order = torch.randperm(N, generator=torch.Generator().manual_seed(1))
    moved = DATA.take(order)
    one = choose(subject(SAYS), replicas(SHARE), [], 10)
    two = choose(subject(SAYS, moved), replicas(SHARE, moved), [], 10)
    for kind in one:
        assert np.array_equal(one[kind], order.numpy()[two[kind]])


def test_nothing_is_shown_where_all_agree():
    a = subject(SAYS, name="a")
    found = choose(a, [subject(SAYS)], [], 5)
    assert len(found["disagree"]) == 0
    kinds = {card.kind for card in cards(a, [subject(SAYS)], [], {"a": "a", "b": "b"}, {}, 5)}
    assert kinds == {"shared_mistake"} and len(cards(a, [subject(SAYS)], [], {"a": "a", "b": "b"}, {}, 0)) == 0
