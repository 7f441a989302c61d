"""Programs are grown and improved by counting, without gradients through the program."""

from dataclasses import replace

import numpy as np
import pytest

from learnt.core.errors import InputError, NotApplicable
from learnt.programs import Head, Layer, Program, TableMLP, evaluate, tasks
from learnt.programs._search_data import encoded
from learnt.programs._search_gain import (
    added,
    best_predicate,
    best_table,
    gain_of_votes,
    slope,
    structured,
    table_of_sums,
)
from learnt.programs._search_growth import Frame, start
from learnt.programs._search_proposals import filled
from learnt.programs.evaluator import encode
from learnt.programs.refitting import accuracy_of
from learnt.programs.search import grow, local_search

from .made import golden, one_layer_sort


def exact(program: Program, task) -> bool:
    inputs = list(task.domain())
    answers = task.answer(inputs)
    data = encoded(answers, program.vocab, program.labels, program.n_ctx)
    where = data.targets >= 0
    return bool((evaluate(program, data.batch).predictions[where] == data.targets[where]).all())


def stream_of(task, count=60):
    pairs = task.split().train.take(range(count))
    k = max(len(task.vocab), task.max_length)
    frame = Frame(vocab=task.vocab, labels=task.labels, k=k, n_ctx=task.max_length, causal=task.causal)
    return start(frame, encoded(pairs, task.vocab, task.labels, task.max_length))


# -- what a stream knows about all predicates at once ----------------------------------------------------


@pytest.mark.parametrize("causal", [False, True])
def test_columns_of_a_head_are_what_the_evaluator_gives_for_constant_predicates(causal):
    task = tasks.reverse(size=100)
    stream = stream_of(task)
    stream.causal = causal
    for key, value in (("tokens", "positions"), ("positions", "tokens"), ("tokens", "tokens")):
        seen, counted = stream.seen(key, value), stream.counted(key, "ones")
        for constant in range(8):
            head = Head(query="tokens", key=key, value=value, predicate=(constant,) * 8, name="h")
            count = replace(head, value="ones")
            assert (seen[:, constant] == stream.output(head).ravel()[stream.data.places]).all()
            assert (counted[:, constant] == stream.output(count).ravel()[stream.data.places]).all()


def test_a_stream_computes_what_the_evaluator_computes():
    program, task = golden("reverse"), tasks.reverse(size=100)
    stream = stream_of(task)
    for _, _, module in program.modules():
        stream.declare(module, program.cardinality[module.name])
    evaluation = evaluate(program, encode(program, task.split().train.inputs[:60]), keep=True)
    real = evaluation.real
    for _, _, module in program.modules():
        assert (stream.array(module.name).T[:, : real.shape[1]][real] == evaluation.variables[module.name][real]).all()


# -- gains ------------------------------------------------------------------------------------------------


def test_sums_of_a_predicate_are_the_sums_of_its_variable():
    rng = np.random.default_rng(0)
    q, seen, y = rng.integers(0, 3, 90), rng.integers(0, 4, (90, 5)), rng.integers(0, 2, 90)
    at = slope(rng.normal(size=(90, 2)), y, np.ones(90))
    gradient, curvature = table_of_sums(q, 3, seen, 4, at)
    predicate = np.array([4, 0, 2])
    direct = added(seen[np.arange(90), predicate[q]], 4, at.both)
    assert np.allclose(gradient[predicate, range(3)].sum(0), direct[:, :2])
    assert np.allclose(curvature[predicate, range(3)].sum(0), direct[:, 2:])


def test_the_best_predicate_is_the_best_of_all():
    rng = np.random.default_rng(1)
    hits = 0
    for _ in range(20):
        gradient, curvature = rng.normal(size=(3, 3, 2, 2)), rng.random((3, 3, 2, 2)) + 0.5
        gain, predicate = best_predicate(gradient, curvature, structured(3, 3))
        rows = np.stack(np.meshgrid(*[range(3)] * 3, indexing="ij"), -1).reshape(-1, 3)
        g, h = gradient[rows, range(3)].sum(1), curvature[rows, range(3)].sum(1)
        everything = 0.5 * (g**2 / (h + 1)).sum((1, 2))
        own = (rows == predicate).all(1).argmax()
        assert np.isclose(gain, everything[own]) and gain <= everything.max() + 1e-9
        hits += gain >= everything.max() - 1e-9
    assert hits >= 12  # an alternation, not a proof


def test_a_table_with_enough_outputs_loses_nothing():
    rng = np.random.default_rng(2)
    gradient, curvature = rng.normal(size=(6, 3)), rng.random((6, 3)) + 0.1
    whole, table = best_table(gradient, curvature, 6)
    assert len(set(table.tolist())) == 6
    assert np.isclose(whole, 0.5 * (gradient**2 / (curvature + 1)).sum())
    part, _ = best_table(gradient, curvature, 2)
    assert 0 < part < whole


def test_votes_of_a_variable_that_knows_the_answer_gain_nearly_all_the_loss():
    y = np.random.default_rng(3).integers(0, 3, 300)
    at = slope(np.zeros((300, 3)), y, np.ones(300))
    assert 0.8 * 300 * np.log(3) < gain_of_votes(y, 3, at, steps=8) <= 300 * np.log(3)
    assert gain_of_votes(np.zeros(300, dtype=int), 3, at) < 5


def test_a_numerical_table_answers_every_value_there_can_be():
    mlp = filled(("a", "b"), [np.array([0, 1, 3]), np.array([0, 2, 1])], [4, 3], np.arange(12), [8, 5])
    assert mlp is not None and mlp.sizes == (9, 6)
    assert min(mlp.table or (-1,)) >= 0
    assert mlp((1, 2)) == 5 and mlp((3, 1)) == 10
    assert mlp((8, 1)) == 10  # the nearest that was seen


# -- exact programs are found -------------------------------------------------------------------------


def test_check_24_reverse_is_grown_exactly_with_one_head_a_layer_and_one_mlp():
    task = tasks.reverse(vocab_size=6, max_length=6)
    found = grow(task, layers=2, num_heads=0, num_mlps=0, restarts=3)
    assert found.validation == 1.0
    assert exact(found.program, task)
    assert sum(1 for _ in found.program.modules()) <= 4


def test_induction_is_grown_as_two_heads_of_which_the_first_alone_explains_nothing():
    task = tasks.induction(size=4_000)
    found = grow(task, num_heads=0, num_mlps=0, cat_mlps=0, restarts=3)
    assert found.validation == 1.0
    first, second = (module for _, _, module in found.program.modules())
    assert isinstance(first, Head) and isinstance(second, Head)
    assert first.name in (second.query, second.key, second.value)  # two heads that only help together
    more = encoded(
        task.answer(task.domain().sample(1_000)), found.program.vocab, found.program.labels, found.program.n_ctx
    )
    assert accuracy_of(found.program, more) == 1.0


def test_histograms_are_grown_exactly():
    for make, size in ((tasks.hist, (1, 1, 0)), (tasks.double_hist, (2, 1, 1))):
        task = make(vocab_size=6, max_length=6, size=1_500)
        layers, heads, mlps = size
        found = grow(task, layers=layers, cat_heads=0, num_heads=heads, cat_mlps=0, num_mlps=mlps, restarts=2)
        assert found.validation == 1.0
        assert exact(found.program, task)


def test_a_broken_program_is_repaired_and_never_grows():
    task = tasks.reverse(vocab_size=6, max_length=6)
    rng = np.random.default_rng(0)
    broken = Program(
        vocab=task.vocab, labels=task.labels, k=6, n_ctx=6, classifier={},
        layers=[
            Layer(
                cat_heads=[Head(query="tokens", key="tokens", value="tokens", predicate=rng.integers(0, 6, 6).tolist())],
                cat_mlps=[TableMLP(inputs=["tokens", "positions"], table=rng.integers(0, 6, 36).tolist())],
            ),
            Layer(cat_heads=[Head(query="mlp_0_0", key="tokens", value="positions", predicate=rng.integers(0, 6, 6).tolist())]),
        ],
    )  # fmt: skip
    found = local_search(broken, task, rounds=40, seed=1)
    assert found.validation > 0.95
    assert found.history and found.history[-1].loss < found.history[0].loss
    sizes = [(len(layer.cat_heads), len(layer.cat_mlps)) for layer in found.program.layers]
    assert all(a <= b for a, b in zip(sizes, [(1, 1), (1, 0)], strict=False))


def test_single_changes_never_raise_the_loss_and_the_same_seed_gives_the_same_program():
    task = tasks.sort(size=1_000)
    heads = [replace(h, predicate=[1] * 8) for h in one_layer_sort().layers[0].num_heads]
    worse = replace(one_layer_sort(), layers=[Layer(num_heads=heads)])
    first = local_search(worse, task, moves=("gates", "predicates", "tables"), rounds=25, seed=3)
    again = local_search(worse, task, moves=("gates", "predicates", "tables"), rounds=25, seed=3)
    assert first.program == again.program
    losses = [step.loss for step in first.history]
    assert losses == sorted(losses, reverse=True) and losses
    assert first.validation > 0.6


def test_counterexamples_are_learnt():
    task = tasks.hist(vocab_size=6, max_length=6, size=30)
    rare = [("<s>", "0", "0", "0", "0", "0")]
    found = grow(task, layers=1, cat_heads=0, num_heads=1, cat_mlps=0, num_mlps=0, inputs=rare, restarts=2)
    assert found.program(rare[0])[1:] == ("5",) * 5


def test_a_sample_keeps_every_length_and_every_counterexample():
    task = tasks.hist(size=400)
    pairs = task.split().train
    weights = np.ones(len(pairs))
    weights[[5, 17]] = 10.0
    data = encoded(pairs, task.vocab, task.labels, task.max_length, weights=weights)
    part = data.part(60, np.random.default_rng(0))
    assert 60 <= len(part) < len(data)
    assert set(part.lengths) == set(data.lengths)
    assert (part.weights == 10.0).sum() == 2


def test_bad_requests_are_errors():
    task = tasks.hist(vocab_size=6, max_length=6, size=100)
    with pytest.raises(InputError, match="layers"):
        grow(task, layers=0)
    with pytest.raises(InputError, match="num_heads"):
        grow(task, num_heads=-1)
    with pytest.raises(InputError, match="moves"):
        local_search(golden("hist"), task, moves=("luck",))
    with pytest.raises(InputError, match="moves"):
        local_search(golden("hist"), task, moves=())
    with pytest.raises(NotApplicable, match="one label a position"):
        grow(tasks.questions())
