"""Training finds programs, gives the same ones again, survives an interruption, and says what went wrong."""

import json
import os
import signal

import numpy as np
import pytest
import torch

from learnt.core.errors import DivergedError, InputError, Interrupted
from learnt.programs import Task, tasks, to_json
from learnt.programs.config import Config
from learnt.programs.recipe import Recipe
from learnt.programs.training import fit

ONE_HEAD = Config(layers=1, cat_heads=1, num_heads=0, cat_mlps=0, num_mlps=0)
MIXED = Config(layers=1, cat_heads=1, num_heads=1, cat_mlps=1, num_mlps=1, hidden=8)
QUICK = Recipe(batch_size=64, search=0)


def previous():
    """The label of a token is the token before it: one head that looks at position i - 1."""
    return Task.from_oracle(lambda t: ("<pad>", *t[:-1]), alphabet=("a", "b", "c"), longest=5, name="previous")


@pytest.fixture(scope="module")
def found():
    return fit(previous(), ONE_HEAD, seeds=16, epochs=25, recipe=QUICK, seed=3)


def test_training_finds_the_one_head_that_looks_back_and_an_untrained_network_does_not(found):
    head = found.best.layers[0].cat_heads[0]
    assert found.seeds[0].test.tokens == 1.0
    assert head.value == "tokens" and head.query == "positions" and head.key == "positions"
    assert [head.predicate[i] for i in (2, 3, 4, 5)] == [1, 2, 3, 4]
    untrained = fit(
        previous(), ONE_HEAD, seeds=16, epochs=1, recipe=Recipe(batch_size=64, lr=1e-9, refit=False, search=0), seed=3
    )
    assert max(s.test.tokens for s in untrained.seeds) < 0.8


def test_all_seeds_are_reported_and_validation_alone_chooses(found):
    assert sorted(s.seed for s in found.seeds) == list(range(16))
    keys = [(s.validation.tokens, s.validation.sequences) for s in found.seeds]
    assert keys == sorted(keys, reverse=True)
    assert found.best is found.seeds[0].program
    assert 0 < found.success(1.0) <= 1
    text = found.table()
    assert text.count("%") >= 16 * 6 and "chosen by validation" in text
    assert json.dumps(found.to_fields())


def test_the_curves_show_the_gap_between_soft_and_discrete_at_every_look(found):
    curves = found.curves
    assert curves["argmax"].shape == curves["soft"].shape == (len(curves["epoch"]), 16)
    assert curves["epoch"][-1] == 25
    assert np.isfinite(curves["argmax"]).all()
    assert curves["temperature"][-1] == pytest.approx(0.01)
    assert (np.diff(curves["temperature"]) <= 1e-12).all()


def test_check_16_the_reported_accuracy_is_that_of_the_program_measured_anew(found):
    task = previous()
    part = task.split().test
    right = total = 0
    for source, target in zip(part.inputs, part.targets, strict=True):
        for label, wanted in zip(found.best(source), target, strict=True):
            if wanted != "<pad>":
                right, total = right + (label == wanted), total + 1
    assert found.seeds[0].test.tokens == pytest.approx(right / total)


def test_check_18_the_same_seed_gives_the_same_programs_bit_for_bit():
    runs = [fit(previous(), MIXED, seeds=3, epochs=3, recipe=QUICK, seed=5) for _ in range(2)]
    assert [to_json(p) for p in runs[0].programs] == [to_json(p) for p in runs[1].programs]
    other = fit(previous(), MIXED, seeds=3, epochs=3, recipe=QUICK, seed=6)
    assert [to_json(p) for p in other.programs] != [to_json(p) for p in runs[0].programs]


def test_check_19_more_replicas_do_not_change_a_noiseless_one():
    quiet = Recipe(batch_size=64, sampler="softmax", refit=False, search=0)
    few = fit(previous(), MIXED, seeds=1, epochs=2, recipe=quiet, seed=1)
    many = fit(previous(), MIXED, seeds=4, epochs=2, recipe=quiet, seed=1)
    one = next(s for s in many.seeds if s.seed == 0)
    np.testing.assert_allclose(few.curves["loss"][:, 0], many.curves["loss"][:, 0], atol=1e-5)
    a, b = few.seeds[0].program.classifier, one.program.classifier
    for name in a:
        np.testing.assert_allclose(np.array(a[name]), np.array(b[name]), atol=1e-3)


def test_halving_gives_up_the_worse_half_and_still_reports_it():
    recipe = Recipe(batch_size=64, halving=(0.25, 0.5), refit=False, search=0)
    found = fit(previous(), ONE_HEAD, seeds=8, epochs=8, recipe=recipe, seed=0)
    assert sorted(s.epochs for s in found.seeds) == [2, 2, 2, 2, 4, 4, 8, 8]
    assert sorted(s.seed for s in found.seeds) == list(range(8))
    assert np.isnan(found.curves["loss"][-1]).sum() == 6


def test_fixed_choices_are_not_learnt():
    fixed = {
        "attn_0_0": {"query": "tokens", "key": "positions", "value": "tokens", "predicate": [5, 4, 3, 2, 1, 0]},
        "mlp_0_0": {"inputs": ("positions", "attn_0_0")},
        "num_attn_0_0": {"value": "ones"},
    }
    found = fit(previous(), MIXED, seeds=2, epochs=3, recipe=Recipe(batch_size=64), fixed=fixed)
    for program in found.programs:
        head = program.layers[0].cat_heads[0]
        assert (head.query, head.key, head.value) == ("tokens", "positions", "tokens")
        assert tuple(head.predicate) == (5, 4, 3, 2, 1, 0)
        assert tuple(program.layers[0].cat_mlps[0].inputs) == ("positions", "attn_0_0")


@pytest.mark.parametrize(
    "fixed",
    [
        {"attn_3_0": {"query": "tokens"}},
        {"nonsense": {"query": "tokens"}},
        {"attn_0_0": {"query": "mlp_0_0"}},
        {"attn_0_0": {"table": [0]}},
        {"attn_0_0": {"predicate": [0, 1]}},
        {"mlp_0_0": {"query": "tokens"}},
    ],
)
def test_fixed_choices_that_do_not_exist_are_refused(fixed):
    with pytest.raises(InputError, match="fixed"):
        fit(previous(), MIXED, seeds=1, epochs=1, fixed=fixed)


def test_a_program_is_a_warm_start_for_the_next_training(found):
    again = fit(
        previous(),
        MIXED,
        seeds=4,
        epochs=4,
        recipe=Recipe(batch_size=64, temperature=(0.3, 0.01), search=0),
        start=found.best,
    )
    cold = fit(previous(), MIXED, seeds=4, epochs=4, recipe=Recipe(batch_size=64, temperature=(0.3, 0.01), search=0))
    assert min(s.test.tokens for s in again.seeds) > 0.99
    assert np.median([s.test.tokens for s in cold.seeds]) < 0.99  # the control


def test_extra_examples_count_with_their_weight():
    task = previous()
    wrong = task.answer([("<s>", "a", "b")])
    lie = type(wrong)(inputs=wrong.inputs, targets=(("<pad>", "<pad>", "c"),))
    told = fit(task, MIXED, seeds=4, epochs=10, recipe=QUICK, extra=(lie, 1e4), seed=2)
    plain = fit(task, MIXED, seeds=4, epochs=10, recipe=QUICK, seed=2)
    assert sum(p(("<s>", "a", "b"))[2] == "c" for p in told.programs) > sum(
        p(("<s>", "a", "b"))[2] == "c" for p in plain.programs
    )


def test_an_interrupted_training_goes_on_to_the_same_programs(tmp_path):
    options = {"seeds": 4, "epochs": 6, "recipe": Recipe(batch_size=64, halving=(0.5,), search=3), "seed": 9}
    whole = fit(previous(), MIXED, **options)

    def stop_at(moment):
        def callback(event):
            if event.kind == "step" and event.step == moment:
                os.kill(os.getpid(), signal.SIGTERM)

        return callback

    for moment in (3, 9):
        with pytest.raises(Interrupted):
            fit(previous(), MIXED, checkpoint=tmp_path / "run", callbacks=[stop_at(moment)], **options)
    resumed = fit(previous(), MIXED, checkpoint=tmp_path / "run", **options)
    assert [to_json(p) for p in resumed.programs] == [to_json(p) for p in whole.programs]


def test_check_23_a_loss_that_is_not_finite_names_step_temperature_and_batch():
    with pytest.raises(DivergedError, match=r"step \d+.*temperature .*batches"):
        fit(previous(), MIXED, seeds=2, epochs=50, recipe=Recipe(batch_size=64, lr=1e30, search=0))


def test_check_23_a_label_that_training_never_shows_is_noted():
    inputs = [["<s>", "a"], ["<s>", "b"], ["<s>", "a", "a"], *[["<s>", "a", *("b" * i)] for i in range(1, 12)]]
    targets = [["<pad>", *["x"] * (len(i) - 1)] for i in inputs]
    for seed in range(20):
        task = Task.from_pairs(inputs, [*targets[:-1], ["<pad>", *["rare"] * (len(inputs[-1]) - 1)]])
        if "rare" not in {label for t in task.split(seed).train.targets for label in t}:
            break
    notes = fit(task, ONE_HEAD, seeds=1, epochs=1, recipe=QUICK, split=seed).notes
    assert any("'rare'" in note and "never" in note for note in notes)


@pytest.mark.parametrize(
    "wrong",
    [{"seeds": 0}, {"epochs": 0}, {"recipe": "best"}, {"recipe": {"lr": 1}}, {"seeds": True}],
)
def test_check_23_arguments_without_meaning_are_refused(wrong):
    with pytest.raises(InputError):
        fit(previous(), MIXED, **wrong)


@pytest.mark.parametrize(
    "wrong",
    [
        {"temperature": (3.0, 0.0)}, {"temperature": (0.01, 3.0)}, {"lr": 0.0}, {"lr": float("nan")},
        {"batch_size": 0}, {"tie_bias": -1.0}, {"straight_through": 1.5}, {"halving": (0.5, 0.2)}, {"sampler": "x"},
        {"dropout": 1.0}, {"complexity": -1.0}, {"aggregate": "sum"}, {"default": "first"}, {"calm": -0.1}, {"halving": (1.0,)},
    ],
)  # fmt: skip
def test_check_23_recipes_without_meaning_are_refused(wrong):
    with pytest.raises(InputError, match=next(iter(wrong))):
        Recipe(**wrong)


def test_the_global_flag_for_denormal_numbers_is_left_off():
    fit(previous(), ONE_HEAD, seeds=1, epochs=1, recipe=QUICK)
    assert float(torch.tensor([1e-39]) * 1) > 0


def test_search_makes_right_what_gradients_leave_wrong():
    config = Config(layers=2, cat_heads=1, num_heads=0, cat_mlps=1, num_mlps=0, hidden=16)
    trained, searched = (
        fit(tasks.reverse(), config, seeds=3, epochs=4, recipe=Recipe(search=rounds), seed=1) for rounds in (0, 60)
    )
    assert trained.seeds[0].test.tokens < 0.9  # the control: the same networks without a search
    assert searched.seeds[0].test.tokens == 1.0
    assert searched.seeds[0].searched and searched.seeds[0].trained < 0.9
