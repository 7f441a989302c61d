"""Counting over relations, and heads that look for what a program of counts has marked."""

from dataclasses import replace

import numpy as np

from learnt.programs import Head, tasks
from learnt.programs._search_data import encoded
from learnt.programs._search_gain import slope
from learnt.programs._search_growth import Frame, Growth, Shape, start
from learnt.programs._search_relation import blocks, relation
from learnt.programs._search_subgoal import begin, marker, marks, value_asked
from learnt.programs.refitting import accuracy_of
from learnt.programs.search import grow


def frame_of(task):
    k = max(len(task.vocab), task.max_length)
    return Frame(vocab=task.vocab, labels=task.labels, k=k, n_ctx=task.max_length, causal=task.causal)


def data_of(task, count):
    pairs = task.split().train.take(range(count))
    return encoded(pairs, task.vocab, task.labels, task.max_length)


def test_blocks_of_a_comparison_of_bits_are_found():
    number = np.arange(8)
    higher = number[:, None] >> 2 > number >> 2  # the highest bit decides
    choice, block = blocks(np.where(higher, 1.0, -1.0), 8)
    assert ((choice[:, None] == block) == higher).all()


def test_a_block_never_counts_what_costs_more_than_it_gives():
    score = np.random.default_rng(0).normal(size=(12, 9))
    choice, block = blocks(score, 5)
    counted = choice[:, None] == block
    assert (score * counted).sum() >= 0
    assert all(score[q][counted[q]].sum() >= 0 for q in range(12))
    assert not blocks(-np.abs(score), 5)[1].tolist() == [0] * 9


def test_the_gain_of_a_relation_is_that_of_the_head_it_builds():
    task = tasks.most_freq(size=600)
    stream = start(frame_of(task), data_of(task, 80))
    labels = stream.data.labels
    z = np.random.default_rng(0).normal(size=(len(labels), len(task.labels)))
    at = slope(z, labels, np.ones(len(labels)))
    found = relation(stream, at, ("tokens", "positions", "tokens", "tokens"), outputs=8)
    assert found is not None and [size for _, size in found.modules] == [8, 8, None]
    for module, size in found.modules:
        stream.declare(module, size)
    number = stream.rows("_count").astype(float)
    centred = number - number.mean()
    c = at.n_labels
    gain = 0.5 * ((centred @ at.both[:, :c]) ** 2 / (centred**2 @ at.both[:, c:] + 1.0)).sum()
    assert np.isclose(found.gain, gain)
    assert relation(stream, at, ("tokens", "positions") * 2, outputs=2) is None  # no value left to look for


def test_marks_are_the_places_that_ask_for_what_a_position_holds():
    task = tasks.reverse(size=500)
    stream = start(frame_of(task), data_of(task, 50))
    tokens = stream.array("tokens")
    asked = value_asked(stream.data, tokens, 8, len(task.labels))
    for label, value in enumerate(asked):
        assert task.vocab[value] == task.labels[label]
    found = marks(stream.data, stream.array("positions"), tokens, asked)
    pairs = task.split().train.take(range(50))
    for row, (words, answers) in enumerate(zip(pairs.inputs, pairs.targets, strict=True)):
        for j, word in enumerate(words):
            places = [i for i, answer in enumerate(answers) if answer == word]
            nearest = min(places, key=lambda i: (abs(i - j), i), default=-1)
            assert found[row, j] == nearest
    assert (found[:, 0] == -1).all()  # nobody asks for the start


def test_a_classifier_of_counts_is_a_numerical_mlp():
    task = tasks.most_freq(size=1_000)
    limits = {"cat_heads": 1, "num_heads": 2, "cat_mlps": 2, "num_mlps": 2}
    data = data_of(task, 300)
    sub = begin(Growth(frame_of(task), Shape(limits=(limits,) * 3), data, data, l2=1e-4), "positions", "tokens")
    assert sub is not None and sub.shape.layers == 2 and marker(sub) is None
    same = Head(query="tokens", key="tokens", value="ones", predicate=tuple(range(8)), name="c")
    first = replace(same, query="positions", key="positions")
    sub.add([(same, None), (first, None)], [(0, "num_heads"), (0, "num_heads")])
    sub.refit()
    mlp = marker(sub)
    assert mlp is not None
    predicted = sub.wide.output(mlp).ravel()[sub.wide.data.places]
    assert (predicted == sub.logits(sub.wide).argmax(1)).all()


def test_check_24_a_head_that_looks_for_marks_is_found_with_all_that_the_marks_need():
    task = tasks.most_freq(vocab_size=6, max_length=6, size=1_500)
    size = {"layers": 4, "cat_heads": 3, "num_heads": 8, "cat_mlps": 4, "num_mlps": 4}
    rest = {"examples": 500, "screened": 200, "width": 60, "pool": 30, "l2": 1e-4, "final_l2": 1e-4, "final_rounds": 60}
    found = grow(task, **size, **rest, lookups=1, lookup_steps=8, lookup_tries=1, adds=2, steps=1)
    assert found.history[0].what.startswith("lookup(positions, tokens)")
    (head,) = [m for layer in found.program.layers[-1:] for m in layer.cat_heads]
    assert (head.query, head.value) == ("positions", "tokens")
    assert len(getattr(found.program.module(head.key), "inputs", ())) > 2  # a classifier of counts
    alone = replace(found.program, classifier={k: v for k, v in found.program.classifier.items() if k == head.name})
    test = encoded(task.split().test, alone.vocab, alone.labels, alone.n_ctx)
    assert accuracy_of(found.program, test) > 0.8
    assert accuracy_of(alone, test) > 0.7  # what it copies is nearly the answer
