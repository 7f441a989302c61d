"""Tasks in files: they come back as they went, and files that are none are errors that say why."""

import json
import zipfile

import numpy as np
import pytest
from tests.gated.made import random_task

from learnt.core.errors import InputError, LearntError, NonFiniteError, ShapeError, StorageError, UntrustedFileError
from learnt.gated import GatedTask, correlations, reduce, tasks
from learnt.gated.task_files import load_task, save_task

EXAMPLE = """
[nodes]
x = 2
a = 2
b = 2
y = 1
[edges]
in_a = ["x", "a"]
out_a = ["a", "y"]
in_b = ["x", "b"]
out_b = ["b", "y"]
[x]
x = [[1, 1], [-1, -1], [1, -1], [-1, 1]]
[y]
y = [[1], [1], [-1], [-1]]
[gates]
a = [1, 0, 1, 0]
b = [0, 1, 0, 1]
"""


def same(a: GatedTask, b: GatedTask) -> None:
    assert dict(a.graph.nodes) == dict(b.graph.nodes) and list(a.graph.nodes) == list(b.graph.nodes)
    assert dict(a.graph.edges) == dict(b.graph.edges) and list(a.graph.edges) == list(b.graph.edges)
    for left, right in ((a.x, b.x), (a.y, b.y), (a.gates or {}, b.gates or {})):
        assert set(left) == set(right)
        for name in left:
            assert np.array_equal(left[name], right[name])
    assert np.array_equal(a.prob, b.prob)
    assert a.n_contexts == b.n_contexts


@pytest.mark.parametrize("suffix", [".npz", ".json"])
@pytest.mark.parametrize(
    "task",
    [tasks.xor(), tasks.hierarchy(), tasks.routing(4, 2, weight="notebook"), tasks.random_dag(3), random_task(1),
     random_task(2, kind="real")],
    ids=["xor", "hierarchy", "routing", "dag", "mixed", "real"],
)  # fmt: skip
def test_a_task_comes_back_from_its_file_as_it_was(tmp_path, task, suffix):
    path = save_task(task, tmp_path / f"task{suffix}")
    same(load_task(path), task)


def test_single_precision_and_rows_that_repeat_stay_so_in_arrays(tmp_path):
    task = tasks.routing(20, 5)
    whole = sum(task.x[v].nbytes for v in task.x)
    assert save_task(task, tmp_path / "task.npz").stat().st_size < whole / 8
    half = GatedTask(tasks.xor("single").graph, {"x": np.eye(2, dtype=np.float32)}, {"y": np.ones((2, 1), np.float32)})
    assert load_task(save_task(half, tmp_path / "half.npz")).x["x"].dtype == np.float32


def test_equal_tasks_give_equal_files(tmp_path):
    a, b = (save_task(tasks.xor(), tmp_path / name) for name in ("a.json", "b.json"))
    assert a.read_bytes() == b.read_bytes()


def test_a_person_can_write_a_task(tmp_path):
    (tmp_path / "xor.toml").write_text(EXAMPLE)
    task = load_task(tmp_path / "xor.toml")
    assert reduce(task).exact
    assert correlations(task).energy == pytest.approx(1.0)
    (tmp_path / "named.toml").write_text('task = "xor"\ngating = "halves"\n')
    same(load_task(tmp_path / "named.toml"), tasks.xor("halves"))
    (tmp_path / "own.toml").write_text('task = "xor"\ngating = [[1, 0, 1, 0], [0, 1, 0, 1]]\n')
    same(load_task(tmp_path / "own.toml"), tasks.xor("halves"))
    pytest.importorskip("yaml")
    (tmp_path / "named.yaml").write_text("task: routing\nM: 4\nK: 2\nweight: notebook\n")
    same(load_task(tmp_path / "named.yaml"), tasks.routing(4, 2, weight="notebook"))


def test_contexts_show_every_item_and_arrays_lie_beside_the_file(tmp_path):
    items, targets = np.random.default_rng(0).normal(size=(2, 5, 3))
    np.savez(tmp_path / "data.npz", items=items, targets=targets)
    (tmp_path / "task.toml").write_text(
        'arrays = "data.npz"\ncontexts = [{a = 1, b = 0}, {a = 0.5}]\ncontext_prob = [1, 3]\nprob_sums_to = 2\n'
        '[nodes]\nx = 3\na = 3\nb = 3\ny = 3\n[edges]\np = ["x", "a"]\nq = ["a", "y"]\nr = ["x", "b"]\ns = ["b", "y"]\n'
        '[x]\nx = "items"\n[y]\ny = "targets"\n'
    )
    task = load_task(tmp_path / "task.toml")
    assert (len(task), task.n_contexts, task.total) == (10, 2, pytest.approx(2.0))
    assert np.array_equal(task.x["x"][5:], items) and task.gates["b"][5] == 1.0
    assert task.prob[9] == pytest.approx(3 * task.prob[0])


def test_trained_pairs_may_come_from_a_table(tmp_path):
    (tmp_path / "gate.csv").write_text("a,b,c\n1,1,0\n0,1,1\n1,0,1\n")
    (tmp_path / "task.toml").write_text('task = "routing"\ngate = "gate.csv"\n')
    same(load_task(tmp_path / "task.toml"), tasks.routing(gate=[[1, 1, 0], [0, 1, 1], [1, 0, 1]]))


@pytest.mark.parametrize(
    ("old", "new", "kind", "said"),
    [
        ('["x", "a"]', '["a", "a"]', InputError, "cycle"),
        ('["x", "a"]', '["x", "z"]', InputError, "unknown node 'z'"),
        ("a = [1, 0, 1, 0]", "a = [1, 0, 1]", ShapeError, r"gates\['a'\]"),
        ("a = [1, 0, 1, 0]", "a = [1, 0, nan, 0]", NonFiniteError, r"gates\['a'\]"),
        ("[1, 1], [-1, -1]", "[1, nan], [-1, -1]", NonFiniteError, r"x\['x'\]"),
        ("[1, 1], [-1, -1]", "[1], [-1, -1]", InputError, r"x\['x'\]"),
        ("[nodes]", "prob = [1, 1, -1, 1]\n[nodes]", InputError, "prob"),
        ("[nodes]", "extra = 1\n[nodes]", InputError, "extra"),
        ("[nodes]", 'schema = "learnt.gated.task/2"\n[nodes]', InputError, "task/2"),
        ("[nodes]", 'arrays = "../data.npz"\n[nodes]', InputError, "beside this one"),
        ("[nodes]", 'arrays = "/etc/data.npz"\n[nodes]', InputError, "beside this one"),
        ("y = [[1], [1], [-1], [-1]]", 'y = "nothing"', InputError, "nothing"),
        ("a = 2", "a = 0", InputError, r"nodes\['a'\]"),
        ("a = 2", "a = 100000000", InputError, "100,000,000"),
        ("a = 2", "a = 1.5", InputError, r"nodes\['a'\]"),
        ('out_b = ["b", "y"]', "", InputError, "'b'"),
        ("[y]", "[z]", InputError, "'z'"),
    ],
)
def test_a_description_that_is_no_task_says_why(tmp_path, old, new, kind, said):
    assert old in EXAMPLE
    (tmp_path / "t.toml").write_text(EXAMPLE.replace(old, new, 1))
    with pytest.raises(kind, match=said):
        load_task(tmp_path / "t.toml")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('task = "xorr"', "Nearest: xor"),
        ("task = 3", "one of xor"),
        ('task = "xor"\ncolour = 1', "colour"),
        ('task = "xor"\ngating = "some"', "single"),
        ('task = "routing"\nM = 4\nK = 5', "K"),
        ('task = "routing"\nM = 100000\nK = 5', "at most 1,000"),
        ('task = "routing"\nM = 1000\nK = 900', "fewer domains"),
        ('task = "hierarchy"\nlevels = 40', "at most 12"),
        ('task = "routing"\ngate = "gate.txt"', "csv"),
    ],
)
def test_a_named_task_with_wrong_arguments_says_why(tmp_path, text, said):
    (tmp_path / "t.toml").write_text(text)
    with pytest.raises(InputError, match=said):
        load_task(tmp_path / "t.toml")


def changed(tmp_path, **arrays):
    """The file of a task with some arrays replaced, or left out where None is given."""
    path = save_task(tasks.random_dag(1), tmp_path / "t.npz")
    with np.load(path) as old:
        kept = {**old, **arrays}
    np.savez(path, **{k: v for k, v in kept.items() if v is not None})
    return path


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        ({"units": None}, "units"),
        ({"schema": np.array("learnt.gated.task/9")}, "task/9"),
        ({"strange": np.ones(3)}, "strange"),
        ({"units": np.ones(7)}, "whole numbers"),
        ({"nodes": np.arange(7)}, "names"),
        ({"ends": np.array([["a", "b"]])}, "ends"),
        ({"context_of": np.full(32, 99)}, "context_of"),
        ({"context_of": np.full(32, -1)}, "context_of"),
        ({"x_row.x0": np.full(32, 8)}, "x_row.x0"),
        ({"x_row.x0": np.full(32, 0.5)}, "x_row.x0"),
        ({"x_row.nothing": np.zeros(32, int)}, "nothing"),
        ({"x.x0": np.full((8, 3), np.nan)}, r"x\.x0"),
        ({"x.x0": np.ones(8)}, r"x\.x0"),
        ({"x.x0": None, "x_row.x0": None}, "x0"),
        ({"x.x0": np.ones((8, 2))}, "x0"),
        ({"prob": -np.ones(32)}, "prob"),
        ({"prob": np.ones(31)}, "prob"),
    ],
)
def test_arrays_that_are_no_task_say_why(tmp_path, arrays, said):
    path = changed(tmp_path, **arrays)
    with pytest.raises(LearntError, match=said):
        load_task(path)


def test_a_file_cut_short_anywhere_is_refused(tmp_path):
    path = save_task(tasks.xor(), tmp_path / "t.npz")
    data = path.read_bytes()
    for length in range(0, len(data), max(1, len(data) // 40)):
        path.write_bytes(data[:length])
        with pytest.raises(LearntError):
            load_task(path)


def test_objects_are_never_unpickled_and_bombs_not_inflated(tmp_path):
    np.savez(tmp_path / "objects.npz", nodes=np.array([{"x": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(UntrustedFileError, match="objects"):
        load_task(tmp_path / "objects.npz")
    with zipfile.ZipFile(tmp_path / "bomb.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        head = b"\x93NUMPY\x01\x00v\x00" + b"{'descr': '|u1', 'fortran_order': False, 'shape': (400000000,), }".ljust(
            117
        )
        archive.writestr("x.x.npy", head + b"\n" + bytes(400_000_000))
    with pytest.raises(UntrustedFileError, match="after inflating"):
        load_task(tmp_path / "bomb.npz")


def test_tags_are_refused_and_other_files_are_not_tasks(tmp_path):
    pytest.importorskip("yaml")
    (tmp_path / "t.yaml").write_text("task: !!python/object/apply:os.system ['true']\n")
    with pytest.raises(UntrustedFileError, match="tag"):
        load_task(tmp_path / "t.yaml")
    with pytest.raises(InputError, match=r"\.npz"):
        load_task(tmp_path / "t.txt")
    with pytest.raises(StorageError, match="missing"):
        load_task(tmp_path / "missing.npz")
    with pytest.raises(InputError, match=r"\.npz or \.json"):
        save_task(tasks.xor(), tmp_path / "t.toml")
    (tmp_path / "t.json").write_text(json.dumps([1]))
    with pytest.raises(InputError, match="mapping"):
        load_task(tmp_path / "t.json")
