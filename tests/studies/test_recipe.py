"""Trainings as plain data: never run twice, never mistaken for one another, opened again as what they were."""

import dataclasses
import importlib
import json

import pytest
import torch

from learnt.adapters.run import load_run, model_names
from learnt.core.errors import InputError, ResumeError
from learnt.data.load import load
from learnt.studies import recipe as module
from learnt.studies.recipe import Recipe, train

SOURCE = {"name": "digits", "limit": 200}
DATA = load("digits", split="train", limit=200)
NET = {"inputs": 64, "classes": 10, "widths": [16]}
RECIPE = Recipe(name="one", net="mlp", arguments=NET, epochs=1, engine="loop")
DIGITS = ("--on", "digits", "--limit", "200", "--epochs", "1", "--width", "16", "--engine", "loop", "--quiet")


def go(recipe, directory, **options):
    return train(recipe, **{"data": DATA, "directory": directory, "source": SOURCE, **options})


def change(**fields):
    return dataclasses.replace(RECIPE, **fields)


def weights(models):
    return [{k: v.clone() for k, v in m.state_dict().items()} for m in models]


def equal(first, second):
    return len(first) == len(second) and all(
        torch.equal(a[k], b[k]) for a, b in zip(first, second, strict=True) for k in a
    )


@pytest.fixture
def trainings(monkeypatch):
    """How often `fit` has been called."""
    place = importlib.import_module("learnt.train.fit")  # the package has a function of this name
    calls, true = [], place.fit

    def counted(*arguments, **options):
        calls.append(1)
        return true(*arguments, **options)

    monkeypatch.setattr(place, "fit", counted)
    return calls


# -- kept and reused -----------------------------------------------------------------------------------


def test_a_finished_training_is_opened_and_not_run_again(tmp_path, trainings, listing):
    first = weights(go(change(replicas=2), tmp_path))
    assert len(trainings) == 1 and len(first) == 2
    before = listing(tmp_path)
    again = weights(go(change(replicas=2), tmp_path))
    assert len(trainings) == 1 and equal(first, again) and listing(tmp_path) == before
    assert equal(again, weights(go(change(replicas=2), tmp_path, data=None)))  # without loading the data


def test_replicas_differ_and_equal_seeds_give_equal_bits(tmp_path):
    for name in ("x", "y"):
        (tmp_path / name).mkdir()
    a, b = (weights(go(change(replicas=2), tmp_path / name)) for name in ("x", "y"))
    assert equal(a, b) and not equal(a[:1], a[1:])
    (tmp_path / "z").mkdir()
    assert not equal(a, weights(go(change(replicas=2, seed=1), tmp_path / "z")))


def test_the_directory_holds_weights_their_list_and_the_settings_and_nothing_else(tmp_path):
    go(RECIPE, tmp_path)
    found = sorted(p.name for p in tmp_path.rglob("*") if p.name != ".checkpoints")
    assert found == ["models.json", "one.recipe.json", "one.safetensors"]
    record = json.loads((tmp_path / "one.recipe.json").read_text())
    assert record["schema"] == "learnt.training/1" and record["settings"]["data"] == SOURCE
    assert len(record["history"]["losses"]) == 1


def test_what_a_killed_process_left_of_its_checkpoints_goes_when_the_training_is_reused(tmp_path):
    go(RECIPE, tmp_path)
    left = tmp_path / ".checkpoints" / "one"
    left.mkdir(parents=True)
    (left / "step-000000000001.json").write_text("{}")
    go(RECIPE, tmp_path)
    assert not left.exists()


def test_several_recipes_share_a_directory(tmp_path):
    go(RECIPE, tmp_path)
    go(change(name="two", replicas=2), tmp_path)
    assert model_names(tmp_path) == ("one", "two")
    assert len(load_run(tmp_path, "two")) == 2 and isinstance(load_run(tmp_path, "one"), list)


# -- other settings are refused ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "key"),
    [
        ({"epochs": 2}, "epochs"),
        ({"seed": 1}, "seed"),
        ({"replicas": 2}, "replicas"),
        ({"learning_rate": 1e-3}, "learning_rate"),
        ({"batch_size": 32}, "batch_size"),
        ({"arguments": {**NET, "widths": [8]}}, "arguments"),
        ({"engine": "vmap"}, "engine"),
    ],
)
def test_other_settings_under_the_same_name_are_refused_and_named(tmp_path, trainings, listing, fields, key):
    go(RECIPE, tmp_path)
    before = listing(tmp_path)
    with pytest.raises(ResumeError, match=rf"^one: found {key} = .*expected {key} = .*--overwrite"):
        go(change(**fields), tmp_path)
    assert listing(tmp_path) == before and len(trainings) == 1


def test_other_data_under_the_same_words_are_refused(tmp_path):
    go(RECIPE, tmp_path)
    with pytest.raises(ResumeError, match="examples ="):
        go(RECIPE, tmp_path, data=dataclasses.replace(DATA, labels=(DATA.labels + 1) % 10))
    with pytest.raises(ResumeError, match="data ="):
        go(RECIPE, tmp_path, source={**SOURCE, "limit": 100})


def test_a_student_of_a_teacher_trained_again_is_not_mistaken_for_its_student(tmp_path):
    student = change(name="student", objective="kd")
    first, second = (go(change(name=f"t{seed}", seed=seed), tmp_path)[0] for seed in (0, 1))
    go(student, tmp_path, teacher=first, teacher_name="run:x#t")
    go(student, tmp_path, teacher=first, teacher_name="run:x#t")
    with pytest.raises(ResumeError, match="teacher_weights ="):
        go(student, tmp_path, teacher=second, teacher_name="run:x#t")


def test_overwrite_trains_again(tmp_path, trainings):
    first = weights(go(RECIPE, tmp_path))
    second = weights(go(change(seed=1), tmp_path, overwrite=True))
    assert len(trainings) == 2 and not equal(first, second)
    assert equal(second, weights(go(change(seed=1), tmp_path)))


@pytest.mark.parametrize("text", ["[]", "{}", '{"schema": "learnt.training/1"}', '{"settings": {}}'])
def test_a_record_of_another_kind_is_refused(tmp_path, text):
    go(RECIPE, tmp_path)
    (tmp_path / "one.recipe.json").write_text(text)
    with pytest.raises(ResumeError, match="a file of another kind"):
        go(RECIPE, tmp_path)


# -- recipes that have no meaning ----------------------------------------------------------------------


def test_recipes_without_meaning_are_named(tmp_path):
    with pytest.raises(InputError, match="teacher: found none"):
        go(change(objective="kd"), tmp_path)
    with pytest.raises(InputError, match="net: found 'resnet'; expected one of mlp, small_cnn"):
        go(change(net="resnet"), tmp_path)
    with pytest.raises(InputError, match="options: .*warmth"):
        go(change(options={"warmth": 1}), tmp_path)
    with pytest.raises(InputError, match="data: found none"):
        go(RECIPE, tmp_path, data=None)
    assert not any(p.suffix in (".json", ".safetensors") for p in tmp_path.iterdir())


def test_colours_are_changed_from_the_given_generator_only():
    images = torch.rand(4, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    one, two, other = (module._colour(images, torch.Generator().manual_seed(s)) for s in (0, 0, 1))
    assert torch.equal(one, two) and not torch.equal(one, other) and not torch.equal(one, images)
    assert float(one.min()) >= 0 and float(one.max()) <= 1


# -- the same by command -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run directory with a teacher and two independent models, made by the command line."""
    from learnt.cli.main import run

    out = tmp_path_factory.mktemp("run")
    assert run(["train", "teacher", *DIGITS, "--out", str(out)]) == 0
    assert run(["train", "population", "--replicas", "2", *DIGITS, "--out", str(out)]) == 0
    return out


@pytest.mark.parametrize(
    ("objective", "options"),
    [
        ("kd", ("--temperature", "2", "--alpha", "0.5")),
        ("hint", ("--student-layer", "relu2", "--teacher-layer", "relu1")),
        ("crd", ("--negatives", "32")),
    ],
)
def test_students_of_every_objective_are_trained_and_compared_by_command(learnt, trained, tmp_path, objective, options):
    student = (
        "train", "student", "--teacher", f"run:{trained}#teacher", "--objective", objective, *options,
        "--replicas", "2", "--name", objective, "--out", trained, *DIGITS,
    )  # fmt: skip
    code, out, err = learnt(*student)
    assert (code, out, err) == (0, "", "")
    pages = (tmp_path / "c.json", tmp_path / "c.html")
    code, out, err = learnt(
        "compare", f"run:{trained}#teacher", f"run:{trained}#{objective}", "--control", f"run:{trained}#population",
        "--on", "digits", "--limit", "100", "--resamples", "200", "--measures", "agreement,kl,cka",
        "--json", pages[0], "--html", pages[1], "--quiet",
    )  # fmt: skip
    assert (code, out, err) == (0, "", "")
    found = json.loads(pages[0].read_text())
    assert found["b"] == {"label": objective, "replicas": 2} and found["control"]["replicas"] == 2
    assert {a["name"] for a in found["answers"]} == {"agreement", "kl", "cka"}
    assert all(a["value"]["value"] is not None for a in found["answers"])


def test_a_second_command_reuses_and_another_setting_needs_overwrite(learnt, trained, listing):
    before = listing(trained)
    again = ("train", "teacher", *DIGITS, "--out", trained)
    assert learnt(*again) == (0, "", "") and listing(trained) == before
    code, _, err = learnt(*again, "--seed", "5")
    assert code == 2 and "seed = 0; expected seed = 5" in err and "--overwrite" in err and listing(trained) == before


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("student", "--teacher", "run:OUT#teacher", "--negatives", "3"), "--negatives: found the objective kd"),
        (("student", "--teacher", "run:OUT#teecher"), "Nearest names: teacher"),
        (("student", "--teacher", "run:OUT#teacher", "--objective", "hint", "--student-layer", "rellu2"), "relu2"),
        (("student", "--teacher", "run:OUT#teacher", "--objective", "magic"), "magic"),
        (("teacher", "--on", "digitz"), "Did you mean digits"),
        (("teacher", "--on", "diabetes"), "no class labels"),
        (("teacher", "--net", "small_cnn", "--on", "wine"), "small_cnn for inputs"),
        (("teacher", "--name", "../up"), "'../up'"),
        (("population", "--replicas", "0"), "0"),
        (("teacher", "--epochs", "0"), "epochs: found 0"),
        (("teacher", "--width", "0"), "0"),
    ],
)
def test_commands_without_meaning_exit_with_two_and_write_nothing(learnt, trained, tmp_path, arguments, words):
    out = tmp_path / "new"
    arguments = [a.replace("OUT", str(trained)) for a in arguments]
    common = ("--limit", "100", "--quiet", "--out", out)
    on = () if "--on" in arguments else ("--on", "digits")
    epochs = () if "--epochs" in arguments else ("--epochs", "1")
    code, said, err = learnt("train", *arguments, *on, *epochs, *common)
    assert code == 2 and said == "" and words in err and err.count("\n") <= 2, err
    assert not any(out.rglob("*.safetensors")) and not any(out.rglob("*recipe*"))
