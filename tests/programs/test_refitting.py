"""The convex refit of the classifier, and the re-tabulation of an MLP."""

from dataclasses import replace

import numpy as np
import pytest

from learnt.core.errors import InputError, NotApplicable, ShapeError
from learnt.programs import TableMLP, evaluate, tasks
from learnt.programs._search_data import encoded
from learnt.programs._search_linear import Voter, fitted, logits_of, mean_loss
from learnt.programs.refitting import accuracy_of, loss_of, refit, retabulate, with_table
from learnt.programs.tasks import Pairs

from .made import golden, one_layer_sort, tiny


def data_of(program, pairs):
    return encoded(pairs, program.vocab, program.labels, program.n_ctx)


def test_check_24_refit_finds_the_classifier_of_the_one_layer_sort_from_nothing():
    task = tasks.sort(size=2_000)
    bare = replace(one_layer_sort(), classifier={})
    program = refit(bare, task)
    test = data_of(program, task.split().test)
    assert accuracy_of(bare, test) < 0.4
    assert accuracy_of(program, test) >= 0.999


def test_the_solution_has_no_gradient_left():
    rng = np.random.default_rng(0)
    x, count, y = rng.integers(0, 3, 200), rng.integers(0, 9, 200), rng.integers(0, 3, 200)
    voters = [
        Voter(name="x", values=x, size=3),
        Voter(name="count", values=count, size=None),
        Voter(name="ones", values=np.ones(200, dtype=int), size=None),
    ]
    weights = rng.random(200) + 0.1
    votes = fitted(voters, y, weights, n_labels=3, l2=0.0)
    z = logits_of(voters, votes, 3)
    p = np.exp(z) / np.exp(z).sum(1, keepdims=True)
    slope = weights[:, None] * (p - np.eye(3)[y])
    for direction in (*np.eye(3)[x].T, count, np.ones(200)):
        assert np.abs(direction @ slope).max() < 1e-3 * weights.sum()
    assert mean_loss(z, y, weights) < np.log(3)


def test_equal_rows_are_merged_without_loss():
    rng = np.random.default_rng(1)
    x, y = rng.integers(0, 4, 500), rng.integers(0, 2, 500)
    votes = fitted([Voter(name="x", values=x, size=4)], y, np.ones(500), n_labels=2, l2=0.0)
    for value in range(4):
        share = y[x == value].mean()
        logit = votes["x"][value, 1] - votes["x"][value, 0]
        assert abs(1 / (1 + np.exp(-logit)) - share) < 1e-3


def test_votes_of_numerical_variables_are_on_the_raw_scale():
    program = refit(replace(golden("hist"), classifier={}), tasks.hist(size=1_000))
    run = program.run(["<s>", "2", "5", "5"])
    assert run.predictions[1:] == ("1", "2", "2")


def test_weights_decide_between_contradicting_examples():
    program = one_layer_sort()
    pairs = Pairs(
        inputs=(("<s>", "1", "</s>"), ("<s>", "1", "</s>")), targets=(("<pad>", "2", "<pad>"), ("<pad>", "3", "<pad>"))
    )
    for weights, label in (((1.0, 5.0), "3"), ((5.0, 1.0), "2")):
        better = refit(program, pairs, weights=weights, l2=1e-3)
        assert better(["<s>", "1", "</s>"])[1] == label


def test_a_classifier_that_is_worse_in_validation_is_not_kept():
    program = one_layer_sort()
    wrong = Pairs(inputs=(("<s>", "1", "</s>"),), targets=(("<pad>", "2", "<pad>"),))
    right = Pairs(inputs=(("<s>", "1", "3", "</s>"),), targets=(("<pad>", "1", "3", "<pad>"),))
    assert refit(program, wrong, validation=right) == program
    assert refit(program, wrong) != program


def test_masked_labels_stay_masked_and_are_no_targets():
    program = golden("hist")
    masked = replace(program, masked_labels=[0])
    pairs = tasks.hist(size=300).split().train
    better = refit(masked, pairs) if masked.labels[0] == "<pad>" else masked
    assert better.masked_labels == (0,)
    blocked = replace(one_layer_sort(), masked_labels=[1])
    with pytest.raises(InputError, match="masked label"):
        refit(blocked, Pairs(inputs=(("<s>", "1", "</s>"),), targets=(("<pad>", "1", "<pad>"),)))


def test_only_what_votes_is_fitted_unless_voters_are_named():
    program = one_layer_sort()
    pairs = tasks.sort(size=300).split().train
    assert set(refit(program, pairs, weights=np.ones(len(pairs))).classifier) == set(program.classifier)
    named = refit(replace(program, classifier={}), pairs, voters=["positions", "ones"])
    assert set(named.classifier) == {"positions", "ones"}
    with pytest.raises(InputError, match="unknown|variables of the program"):
        refit(program, pairs, voters=["nothing"])
    with pytest.raises(NotApplicable):
        refit(program, pairs, voters=[])


def test_a_pooled_program_is_fitted_on_averages():
    program = golden("pool")
    words = [w for w in program.vocab if w not in ("<pad>", "<s>", "</s>")][:3]
    labels = [label for i, label in enumerate(program.labels) if i not in program.masked_labels][:2]
    inputs = tuple(("<s>", word, "</s>") for word in words)
    targets = tuple((labels[i % len(labels)], "<pad>", "<pad>") for i in range(len(words)))
    pairs = Pairs(inputs=inputs, targets=targets)
    better = refit(program, pairs)
    data = data_of(program, pairs)
    assert loss_of(evaluate(better, data.batch), data) <= loss_of(evaluate(program, data.batch), data)


def test_retabulation_restores_a_table_that_only_the_classifier_reads():
    from learnt.programs import from_fields

    program = from_fields(tiny(), schema=False)
    rng = np.random.default_rng(0)
    inputs = [("<s>", *rng.choice(["red", "blue"], n)) for n in (1, 2, 3) for _ in range(20)]
    pairs = Pairs(inputs=tuple(inputs), targets=tuple(program(list(tokens)) for tokens in inputs))
    data = data_of(program, pairs)
    broken = replace(
        program, layers=[replace(program.layers[0], cat_mlps=[replace(program.module("mlp_0_0"), table=[0] * 16)])]
    )
    fixed = retabulate(broken, "mlp_0_0", pairs)
    assert accuracy_of(broken, data) < 1.0
    assert loss_of(evaluate(fixed, data.batch), data) <= loss_of(evaluate(program, data.batch), data) + 1e-12


def test_retabulation_by_trial_repairs_a_table_that_a_head_reads():
    task = tasks.reverse(size=200)
    program = golden("reverse")
    mlp = next(module for _, _, module in program.modules() if isinstance(module, TableMLP))
    data = data_of(program, task.split().train)
    entry = mlp.table.index(max(mlp.table))
    broken = with_table(program, mlp.name, [0 if i == entry else value for i, value in enumerate(mlp.table)])
    fixed = retabulate(broken, mlp.name, task)
    assert loss_of(evaluate(broken, data.batch), data) >= loss_of(evaluate(fixed, data.batch), data)
    assert accuracy_of(fixed, data) == accuracy_of(program, data) == 1.0


def test_bad_requests_are_errors():
    program, pairs = one_layer_sort(), tasks.sort(size=100).split().train
    with pytest.raises(InputError, match="l2"):
        refit(program, pairs, l2=-1.0)
    with pytest.raises(ShapeError, match="weights"):
        refit(program, pairs, weights=[1.0])
    with pytest.raises(InputError, match="no table"):
        retabulate(program, "num_attn_0_0", pairs)
    with pytest.raises(NotApplicable, match="scored"):
        refit(program, Pairs(inputs=(("<s>", "1", "</s>"),), targets=(("<pad>",) * 3,)))
