from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from tests.train.worlds import blobs, convolutional, difference, pictures, with_batch_norm, with_dropout
from torch import optim

from learnt.core.errors import BusyError, DivergedError, InputError, ResumeError, StorageError
from learnt.train import Checkpoint, CrossEntropy, Langevin, Population, fit
from learnt.train.checkpoint import describe

SGD = lambda p: optim.SGD(p, lr=0.1, momentum=0.9)  # noqa: E731
LOSS = CrossEntropy()


class Stop(Exception):
    pass


def stop_at(step: int):
    def callback(event):
        if event.kind == "step" and event.step == step:
            raise Stop

    return callback


CASES = {
    "momentum": {"optimizer": SGD},
    "adam with cosine": {
        "optimizer": lambda p: optim.Adam(p, lr=0.01, amsgrad=True),
        "schedule": lambda o, n: optim.lr_scheduler.CosineAnnealingLR(o, n),
    },
    "two schedules in sequence": {
        "optimizer": SGD,
        "schedule": lambda o, n: optim.lr_scheduler.SequentialLR(
            o, [optim.lr_scheduler.LinearLR(o, 0.1), optim.lr_scheduler.ExponentialLR(o, 0.9)], [4]
        ),
    },
    "one cycle": {"optimizer": SGD, "schedule": lambda o, n: optim.lr_scheduler.OneCycleLR(o, 0.2, total_steps=n)},
    "one optimiser a replica": {"optimizer": lambda p: optim.Adafactor(p, lr=0.01)},
    "early stopping": {"optimizer": SGD, "validation": blobs(30, seed=1), "patience": 2},
    "noise": {"flow": Langevin(step_size=0.05, temperature=0.01)},
    "augmentation": {"augment": lambda x, g: x + 0.1 * torch.randn(x.shape, generator=g), "clip_norm": 0.5},
    "loop": {"engine": "loop", "optimizer": SGD},
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("make", [with_dropout, with_batch_norm])
def test_a_run_that_was_stopped_and_resumed_has_the_same_bits(case, make, tmp_path):
    options = {"epochs": 4, "batch_size": 16, **CASES[case]}  # 20 steps, 5 an epoch
    undisturbed = Population(make, 2, seed=0)
    first = fit(undisturbed, blobs(), LOSS, **options)
    where = Checkpoint(directory=tmp_path, every_steps=3)
    for stop in (8, 17):
        with pytest.raises(Stop):
            fit(Population(make, 2, seed=0), blobs(), LOSS, checkpoint=where, callbacks=[stop_at(stop)], **options)
    population = Population(make, 2, seed=0)
    second = fit(population, blobs(), LOSS, checkpoint=where, **options)
    assert "resumed after step 15" in second.notes
    assert all(difference(population[i], undisturbed[i]) == 0 for i in range(2))
    assert torch.equal(first.losses.nan_to_num(), second.losses.nan_to_num())
    if first.validation is not None:
        assert torch.equal(first.validation.nan_to_num(), second.validation.nan_to_num())
        assert torch.equal(first.best_epoch, second.best_epoch)


def test_a_finished_run_is_not_repeated(tmp_path):
    fit(Population(with_batch_norm, 2, seed=0), blobs(), LOSS, epochs=3, checkpoint=tmp_path)
    again, steps = Population(with_batch_norm, 2, seed=0), []
    history = fit(again, blobs(), LOSS, epochs=3, checkpoint=tmp_path, callbacks=[lambda e: steps.append(e.kind)])
    assert "step" not in steps
    assert history.losses.shape == (3, 2)
    assert difference(again[0], Population(with_batch_norm, 2, seed=0)[0]) > 1e-4


def test_the_engine_chosen_at_the_start_is_kept(tmp_path):
    where = Checkpoint(directory=tmp_path, every_steps=1)
    with pytest.raises(Stop):
        fit(Population(convolutional, 2, seed=0), pictures(), LOSS, epochs=2, checkpoint=where, callbacks=[stop_at(1)])
    noted = json.loads((tmp_path / "fit.json").read_text())
    noted["engine"], noted["reason"] = "vmap", "engine vmap: the clock said so on another day"
    (tmp_path / "fit.json").write_text(json.dumps(noted))
    history = fit(Population(convolutional, 2, seed=0), pictures(), LOSS, epochs=2, checkpoint=where)
    assert history.engine == "vmap"
    assert "another day" in history.notes[0]


def test_only_the_last_checkpoints_are_kept(tmp_path):
    where = Checkpoint(directory=tmp_path, every_steps=2, keep=2)
    fit(Population(with_batch_norm, 2, seed=0), blobs(), LOSS, epochs=4, batch_size=16, checkpoint=where)
    names = sorted(p.name for p in tmp_path.iterdir() if p.suffix == ".json")
    assert names == ["fit.json", "step-000000000018.json", "step-000000000020.json"]
    assert len(list(tmp_path.glob("*.safetensors"))) == 2


@pytest.mark.parametrize("damage", ["flip", "cut", "remove"])
def test_a_damaged_newest_checkpoint_is_passed_over_with_a_note(tmp_path, damage):
    where = Checkpoint(directory=tmp_path, every_steps=2)
    undisturbed = Population(with_batch_norm, 2, seed=0)
    options = {"epochs": 4, "batch_size": 16, "optimizer": SGD}
    fit(undisturbed, blobs(), LOSS, **options)
    with pytest.raises(Stop):
        fit(Population(with_batch_norm, 2, seed=0), blobs(), LOSS, checkpoint=where, callbacks=[stop_at(7)], **options)
    newest = max(tmp_path.glob("step-*.safetensors"))
    data = bytearray(newest.read_bytes())
    if damage == "flip":
        data[-5] ^= 4
        newest.write_bytes(data)
    elif damage == "cut":
        newest.write_bytes(data[: len(data) // 2])
    else:
        newest.unlink()
    population = Population(with_batch_norm, 2, seed=0)
    history = fit(population, blobs(), LOSS, checkpoint=where, **options)
    assert any("step 6 is damaged" in note for note in history.notes)
    assert "resumed after step 4" in history.notes
    assert difference(population[1], undisturbed[1]) == 0


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"batch_size": 32}, "batch_size: 16 before, 32 now"),
        ({"seed": 1}, "seed: 0 before, 1 now"),
        ({"optimizer": lambda p: optim.SGD(p, lr=0.2)}, "optimizer"),
        ({"flow": Langevin(step_size=0.1, temperature=0.1), "optimizer": None}, "flow"),
        ({"clip_norm": 1.0}, "clip_norm"),
        ({"epochs": 3}, "epochs: 2 before, 3 now"),
    ],
)
def test_a_checkpoint_of_other_settings_is_refused_and_the_differences_named(changes, name, tmp_path):
    options = {"epochs": 2, "batch_size": 16, "optimizer": SGD, "checkpoint": tmp_path}
    fit(Population(with_batch_norm, 2, seed=0), blobs(), LOSS, **options)
    with pytest.raises(ResumeError, match=name):
        fit(Population(with_batch_norm, 2, seed=0), blobs(), LOSS, **{**options, **changes})


def test_other_data_other_weights_and_another_objective_are_noticed_too(tmp_path):
    options = {"epochs": 1, "checkpoint": tmp_path}
    fit(Population(with_batch_norm, 2, seed=0), blobs(), LOSS, **options)
    with pytest.raises(ResumeError, match="initial weights"):
        fit(Population(with_batch_norm, 2, seed=1), blobs(), LOSS, **options)
    with pytest.raises(ResumeError, match="replicas: 2 before, 3 now"):
        fit(Population(with_batch_norm, 3, seed=0), blobs(), LOSS, **options)
    with pytest.raises(ResumeError, match="data"):
        fit(Population(with_batch_norm, 2, seed=0), blobs(seed=5), LOSS, **options)
    with pytest.raises(ResumeError, match="objective"):
        fit(Population(with_batch_norm, 2, seed=0), blobs(), CrossEntropy(0.1), **options)


def test_two_runs_in_one_directory_are_refused(tmp_path):
    def second(event):
        if event.kind == "step":
            fit(Population(with_batch_norm, 2, seed=0), blobs(), LOSS, epochs=1, checkpoint=tmp_path)

    with pytest.raises(BusyError):
        fit(Population(with_batch_norm, 2, seed=0), blobs(), LOSS, epochs=1, checkpoint=tmp_path, callbacks=[second])


def test_a_diverged_run_names_its_last_good_checkpoint(tmp_path):
    def loss(model, batch):
        return LOSS(model, batch) / (1 - (counter["step"] >= 5))

    counter = {"step": 0}
    count = lambda e: counter.update(step=e.step) if e.kind == "step" else None  # noqa: E731
    where = Checkpoint(directory=tmp_path, every_steps=2)
    with pytest.raises(DivergedError, match=r"step 6.*last good checkpoint is .*step-000000000004\.json"):
        fit(with_batch_norm(), blobs(), _safe(loss), epochs=4, batch_size=16, checkpoint=where, callbacks=[count])
    assert (tmp_path / "step-000000000004.json").exists()


def _safe(loss):
    def guarded(model, batch):
        try:
            return loss(model, batch)
        except ZeroDivisionError:
            return LOSS(model, batch) * torch.inf

    return guarded


def test_a_directory_that_cannot_be_written_is_refused_before_training(tmp_path):
    (tmp_path / "file").write_text("not a directory")
    steps = []
    with pytest.raises(StorageError):
        fit(with_batch_norm(), blobs(), LOSS, epochs=1, checkpoint=tmp_path / "file", callbacks=[steps.append])
    assert not steps


def test_a_full_disk_leaves_the_earlier_checkpoint(tmp_path, monkeypatch):
    where = Checkpoint(directory=tmp_path, every_steps=2)
    options = {"epochs": 4, "batch_size": 16, "checkpoint": where}
    import learnt.train._files as files

    true = files.write_tensors

    def full(path, *rest):
        if "step-000000000006" in str(path):
            raise StorageError(str(path), found="no space left on the disk", expected="room for 9,000 bytes")
        return true(path, *rest)

    monkeypatch.setattr(files, "write_tensors", full)
    with pytest.raises(StorageError, match="no space"):
        fit(Population(with_batch_norm, 2, seed=0), blobs(), LOSS, **options)
    monkeypatch.undo()
    assert "resumed after step 4" in fit(Population(with_batch_norm, 2, seed=0), blobs(), LOSS, **options).notes


@pytest.mark.parametrize("bad", [{"every_steps": 0}, {"every_seconds": 0.0}, {"keep": 0}])
def test_values_out_of_range_are_refused(bad, tmp_path):
    with pytest.raises(InputError):
        Checkpoint(directory=tmp_path, **bad)


def test_time_decides_when_no_steps_are_given(tmp_path):
    kinds = []
    where = Checkpoint(directory=tmp_path, every_seconds=1e-9)
    fit(
        with_batch_norm(),
        blobs(),
        LOSS,
        epochs=1,
        batch_size=35,
        checkpoint=where,
        callbacks=[lambda e: kinds.append(e.kind)],
    )
    assert kinds.count("checkpoint") == 2


def test_settings_are_described_without_their_addresses():
    assert describe(lambda x: x).endswith("<lambda>")
    assert describe(CrossEntropy(0.5)) == {"class": "CrossEntropy", "label_smoothing": "0.5"}
    assert describe({"a": (1, None, 2.5)}) == {"a": [1, None, "2.5"]}
    module = with_batch_norm()
    before = describe(module)
    assert before == describe(module)
    with torch.no_grad():
        module[0].weight.add_(1)
    assert before != describe(module)
    assert describe(torch.zeros(2)) != describe(torch.ones(2))


KILLS = 20


def life(folder: Path) -> str:
    """Train in this process; the digest of the result."""
    from learnt.train._files import digest

    torch.set_num_threads(1)
    population = Population(with_dropout, 3, seed=0)
    fit(
        population, blobs(160), LOSS, epochs=8, batch_size=16, checkpoint=Checkpoint(directory=folder, every_steps=4),
        optimizer=lambda p: optim.Adam(p, lr=0.01), validation=blobs(30, seed=1), patience=6,
    )  # fmt: skip
    return digest({**population.parameters, **population.buffers})


NURSERY = """
import os, sys, time, random, signal
from pathlib import Path
from tests.train.test_checkpoint import KILLS, life
root, chance = Path(sys.argv[1]), random.Random(int(sys.argv[2]))
calm = life(root / "calm")  # also imports what torch imports at its first step, which no later life pays for
start = time.monotonic()
assert life(root / "again") == calm
whole = time.monotonic() - start
kills = done = runs = 0
while kills < KILLS:
    child = os.fork()
    if child == 0:
        result = life(root / f"run{runs}")
        (root / f"result{runs}").write_text(result)
        os._exit(0)
    time.sleep(chance.random() * whole * 0.8)
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        kills += 1
    if (root / f"result{runs}").exists():
        runs += 1
last = life(root / f"run{runs}")
results = [(root / f"result{k}").read_text() for k in range(runs)] + [last]
print(calm, kills, *results)
"""


@pytest.mark.slow
def test_a_run_killed_twenty_times_at_random_moments_ends_with_the_same_bits(tmp_path):
    root = Path(__file__).parents[2]
    env = dict(os.environ, PYTHONPATH=os.pathsep.join([str(root), str(root / "src")]), OMP_NUM_THREADS="1")
    # one interpreter forks a child for each life: importing torch twenty times would take longer than the training
    answer = subprocess.run(
        [sys.executable, "-c", NURSERY, str(tmp_path), "0"], env=env, capture_output=True, text=True, timeout=250
    )
    assert answer.returncode == 0, answer.stderr[-2000:]
    calm, kills, *results = answer.stdout.split()
    assert int(kills) == KILLS
    assert set(results) == {calm}
    assert not [p for p in tmp_path.rglob("*") if "tmp" in p.name and p.is_file() and p.suffix != ".json"]
