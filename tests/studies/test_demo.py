"""The demo: reused when finished, resumed when stopped, alone in its directory, silent when told so."""

import importlib
import json
import random
import signal
import time

import pytest
import torch

from learnt.core.comparison import Comparison
from learnt.core.errors import InputError, NotApplicable, ResumeError
from learnt.core.examples import as_examples
from learnt.data.load import load
from learnt.studies.demo import LABELS, net_for, plan, run, slug

MINI = {"students": 2, "epochs": 40, "limit": 150, "quiet": True}
COMMAND = ("demo", "--data", "digits", "--students", "2", "--epochs", "40", "--limit", "150")
FILES = {
    "report.html", "report.json", "models.json", "lock", ".checkpoints", "digits-comparison.json",
    *(f"digits-{role}.{end}" for role in ("teacher", "independent", "distilled") for end in ("safetensors", "recipe.json")),
}  # fmt: skip


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """The mini demo on digits, run once without disturbance in this process."""
    return run(tmp_path_factory.mktemp("undisturbed"), sets=("digits",), **MINI)


@pytest.fixture
def work(monkeypatch):
    """What is done: "fit" for a training, "compare" for a comparison."""
    done = []

    def note(place, name):
        module = importlib.import_module(place)  # some packages have a function of the module's name
        true = getattr(module, name)

        def noted(*arguments, **options):
            done.append(name)
            return true(*arguments, **options)

        monkeypatch.setattr(module, name, noted)

    note("learnt.train.fit", "fit")
    note("learnt.core.compare", "compare")
    return done


def wait_for(path, process, seconds=60):
    """Until `path` exists or the process has ended; whether it still runs."""
    end = time.monotonic() + seconds
    while not path.exists() and process.poll() is None:
        assert time.monotonic() < end, f"{path} never came"
        time.sleep(0.005)
    return process.poll() is None


# -- what it makes -------------------------------------------------------------------------------------


def test_the_demo_writes_models_comparison_and_report(undisturbed):
    assert {p.name for p in undisturbed.directory.iterdir()} == FILES
    assert not any((undisturbed.directory / ".checkpoints").iterdir())
    [comparison] = undisturbed.comparisons
    assert (comparison.a.label, comparison.b.label, comparison.control.label) == LABELS
    assert (comparison.a.replicas, comparison.b.replicas, comparison.control.replicas) == (1, 2, 2)
    assert comparison.n == 150 and comparison["agreement"].value.defined and comparison["cka"].transfer.level == 0.95
    record = json.loads(undisturbed.json.read_text())
    assert record["schema"] == "learnt.report/1"
    assert Comparison.from_dict(record["comparisons"][0]).to_json() == comparison.to_json()
    page = undisturbed.html.read_text()
    assert page.lower().startswith("<!doctype html>") and "What did the students learn from the teacher?" in page


def test_a_second_run_trains_nothing_asks_nothing_and_writes_the_same_bytes(undisturbed, work, listing):
    before = listing(undisturbed.directory)
    said = []
    again = run(undisturbed.directory, sets=("digits",), **MINI, say=said.append)
    assert work == [] and listing(undisturbed.directory) == before and said == ["digits: reused what was there"]
    assert again.comparisons[0].to_json() == undisturbed.comparisons[0].to_json()


def test_shapes_are_asked_about_with_shifts_masks_and_conflicts(tmp_path, work, listing):
    small = {"sets": ("shapes",), "students": 2, "epochs": 1, "limit": 40, "quiet": True}
    found = run(tmp_path, **small)
    assert work == ["fit"] * 3 + ["compare"]
    names = {a.name for a in found.comparisons[0].answers}
    assert {"localisation", "gradcam", "shape_preference", "domain_agreement[sketch]"} <= names
    assert {"adversarial_transfer[a->b, pgd]", "invariance[colour jitter]"} <= names
    assert found.comparisons[0].left_out == ()
    before = listing(tmp_path)
    run(tmp_path, **small)
    assert work == ["fit"] * 3 + ["compare"] and listing(tmp_path) == before


def test_a_lost_comparison_is_asked_again_without_training(undisturbed, work, listing):
    before = listing(undisturbed.directory)
    (undisturbed.directory / "digits-comparison.json").unlink()
    run(undisturbed.directory, sets=("digits",), **MINI)
    assert work == ["compare"] and listing(undisturbed.directory) == before


def test_other_settings_in_the_same_directory_are_refused(undisturbed, listing):
    before = listing(undisturbed.directory)
    for change, key in (({"epochs": 2}, "epochs"), ({"students": 3}, "replicas"), ({"seed": 1}, "seed")):
        with pytest.raises(ResumeError, match=f"{key} = .*another name or directory"):
            run(undisturbed.directory, sets=("digits",), **{**MINI, **change})
    assert listing(undisturbed.directory) == before


def test_an_own_data_set_with_a_rare_class_gets_a_network_that_knows_it(tmp_path):
    import numpy as np

    inputs = np.random.default_rng(0).normal(size=(1200, 3)).astype(np.float32)
    labels = (inputs[:, 0] > 0).astype(np.int64)
    labels[::120] = 2
    np.savez(tmp_path / "rare.npz", inputs=inputs, labels=labels)
    assert plan(str(tmp_path / "rare.npz")).independent.arguments["classes"] == 3


# -- plans ---------------------------------------------------------------------------------------------


def test_the_teacher_of_shapes_sees_random_colours_and_its_students_never_do():
    p = plan("shapes")
    assert p.teacher.augmentation == "colour"
    assert p.independent.augmentation == p.distilled.augmentation == "none"
    assert len({p.teacher.seed, p.independent.seed, p.distilled.seed}) == 3
    assert (p.independent.replicas, p.distilled.replicas, p.distilled.objective) == (5, 5, "kd")


def test_students_and_controls_differ_in_objective_name_and_seed_only():
    for name in ("digits", "shapes"):
        p = plan(name)
        same = {"name", "seed", "objective", "options"}
        one, two = (vars(r) for r in (p.independent, p.distilled))
        assert {k for k in one if one[k] != two[k]} == same


def test_students_and_their_test_images_never_meet():
    for name in ("digits", "shapes"):
        p = plan(name, limit=300)
        train, test = load(**p.source, split="train"), load(**p.test, split="test")
        assert not set(train.keys.tolist()) & set(test.keys.tolist())


@pytest.mark.parametrize("wrong", [{"students": 0}, {"epochs": 0}, {"limit": 0}])
def test_counts_below_one_are_refused_before_anything_is_made(tmp_path, wrong):
    with pytest.raises(InputError, match=f"{next(iter(wrong))}: found 0"):
        run(tmp_path / "new", sets=("digits",), **{**MINI, **wrong})
    with pytest.raises(InputError, match="Did you mean digits"):
        run(tmp_path / "new", sets=("digitz",), **MINI)
    assert not (tmp_path / "new").exists()


def test_a_network_is_chosen_that_fits_the_data():
    images = as_examples((torch.rand(6, 3, 16, 16), torch.tensor([0, 1, 2, 0, 1, 2])))
    assert net_for(images) == ("small_cnn", {"channels": 3, "classes": 3, "width": 16, "size": 16})
    assert net_for(images, "mlp")[1]["inputs"] == 768
    with pytest.raises(InputError, match="small_cnn for inputs"):
        net_for(as_examples((torch.rand(4, 5), torch.tensor([0, 1, 0, 1]))), "small_cnn")
    with pytest.raises(NotApplicable, match="no class labels"):
        net_for(as_examples(torch.rand(4, 5)))


@pytest.mark.parametrize(
    ("name", "expected"),
    [("digits", "digits"), ("../../etc/passwd", "passwd"), ("a b/Ünï.csv", "n--csv"), ("..", "data"), ("x" * 200, "x" * 60)],
)  # fmt: skip
def test_a_slug_is_a_file_name(name, expected):
    assert slug(name) == expected


# -- as a process --------------------------------------------------------------------------------------


def test_without_a_terminal_it_prints_the_table_and_the_paths(launch, tmp_path, undisturbed):
    process = launch(*COMMAND, "--out", tmp_path)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert "Do they give the same answer?" in out and f"report   {tmp_path}/report.html" in out
    assert "\x1b" not in out + err and "Traceback" not in err
    assert (tmp_path / "report.json").read_bytes() == undisturbed.json.read_bytes()  # another process, the same bytes
    assert (tmp_path / "report.html").read_bytes() == undisturbed.html.read_bytes()


def test_quiet_prints_nothing(learnt, undisturbed):
    assert learnt(*COMMAND, "--out", undisturbed.directory, "--quiet") == (0, "", "")
    code, out, err = learnt(*COMMAND, "--out", undisturbed.directory)  # control
    assert code == 0 and "reused" in out and err == ""


@pytest.mark.slow
def test_killed_at_random_moments_and_run_again_it_writes_the_same_bytes(launch, tmp_path, undisturbed):
    moments = random.Random(20261121)  # noqa: S311
    marks = (
        ".checkpoints",
        "digits-teacher.safetensors",
        "digits-independent.safetensors",
        "digits-distilled.safetensors",
    )
    killed = 0
    for mark in marks:
        process = launch(*COMMAND, "--out", tmp_path, "--quiet")
        if wait_for(tmp_path / mark, process):
            time.sleep(moments.uniform(0.0, 0.3))
            process.kill()
        killed += process.wait(timeout=60) == -signal.SIGKILL
    assert killed >= 3
    process = launch(*COMMAND, "--out", tmp_path)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert (tmp_path / "report.json").read_bytes() == undisturbed.json.read_bytes()
    assert (tmp_path / "report.html").read_bytes() == undisturbed.html.read_bytes()
    assert {p.name for p in tmp_path.iterdir()} == FILES and not any((tmp_path / ".checkpoints").iterdir())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_told_to_stop_while_training_it_exits_with_four_and_says_how_to_go_on(launch, tmp_path, number):
    long = ("demo", "--data", "digits", "--students", "2", "--epochs", "20000", "--limit", "150", "--out", tmp_path)
    process = launch(*long)
    assert wait_for(tmp_path / ".checkpoints" / "digits-teacher" / "fit.json", process)
    time.sleep(0.3)
    process.send_signal(number)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 4 and out == "", err
    assert err.count("\n") <= 2 and "run the same command again" in err and "Traceback" not in err
    assert any((tmp_path / ".checkpoints" / "digits-teacher").glob("step-*.json"))
    assert not list(tmp_path.rglob("*.part-*")) and not (tmp_path / "report.json").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_told_to_stop_while_asking_it_exits_with_four_and_goes_on(launch, tmp_path, undisturbed, work, number):
    process = launch(*COMMAND, "--out", tmp_path)
    if wait_for(tmp_path / "digits-distilled.recipe.json", process):
        process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 4, err
    assert err.count("\n") <= 2 and "run the same command again" in err and "Traceback" not in err
    assert not list(tmp_path.rglob("*.part-*")) and not (tmp_path / "report.json").exists()
    again = run(tmp_path, sets=("digits",), **MINI)
    assert work == ["compare"] and again.json.read_bytes() == undisturbed.json.read_bytes()


def test_a_second_demo_in_the_same_directory_is_refused_at_once_and_harms_nothing(
    launch, learnt, tmp_path, undisturbed, listing
):
    process = launch(*COMMAND, "--out", tmp_path, "--quiet")
    assert wait_for(tmp_path / ".checkpoints", process)
    began = time.monotonic()
    code, out, err = learnt(*COMMAND, "--out", tmp_path)
    assert process.poll() is None, "the first one ended before the second began"
    assert code == 2 and out == "" and f"process {process.pid} at work in it" in err and err.count("\n") <= 2
    assert time.monotonic() - began < 10
    _, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert (tmp_path / "report.json").read_bytes() == undisturbed.json.read_bytes()
