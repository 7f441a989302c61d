"""`learnt rewards` and `learnt study`: what a person types, what comes back, and the gates for CI."""

import json

import numpy as np
import pytest

from learnt.rewards.files import save_mdp
from learnt.rewards.gridworld import hand_picked_rewards, hand_picked_world


@pytest.fixture(scope="session")
def grid(tmp_path_factory):
    """The worked grid world of the EPIC paper with its rewards, in one file; beside it one reward as .npy."""
    folder = tmp_path_factory.mktemp("grid")
    world = hand_picked_world()
    rewards = hand_picked_rewards(world)
    save_mdp(world, folder / "grid.npz", rewards=rewards)
    np.save(folder / "mine.npy", rewards["path"])
    (folder / "reward.py").write_text("def make():\n    return lambda s, a, k: float(k == 8)\n")
    return folder / "grid.npz"


def test_two_rewards_are_compared_with_the_golden_numbers(learnt, grid):
    code, out, err = learnt("rewards", "compare", grid, "path", "cliff")
    assert (code, err) == (0, "")
    assert "distance 0.70576" in out and "0.381054 of path's range" in out and "1,0" in out
    code, out, _ = learnt("rewards", "compare", grid, "path", "cliff", "--json", "-")
    found = json.loads(out)
    assert code == 0 and found["distance"] == pytest.approx(0.705760, abs=1e-6)


@pytest.mark.parametrize(
    ("metric", "distance"), [("val-2-2", 0.705760), ("val", 0.705760), ("minimal-w2", None), ("val-range", None)]
)
def test_metrics_are_named_in_short(learnt, grid, metric, distance):
    code, out, _ = learnt("rewards", "compare", grid, "path", "cliff", "--metric", metric, "--json", "-")
    found = json.loads(out)["distance"]
    assert code == 0 and 0.1 < found < 2
    assert distance is None or found == pytest.approx(distance, abs=1e-6)


def test_the_gates_exit_with_one_and_say_why(learnt, grid):
    passed = learnt("rewards", "compare", grid, "path", "cliff", "--max-distance", 0.8, "--max-regret", 0.4, "--quiet")
    assert passed == (0, "", "")
    code, _, err = learnt("rewards", "compare", grid, "path", "cliff", "--max-distance", 0.7, "--max-regret", 0.3)
    assert code == 1
    assert "--max-distance 0.7: distance is 0.70576" in err and "--max-regret 0.3: worst-case regret is 0.381054" in err
    code, _, err = learnt("rewards", "pairwise", grid, "path", "cliff", "--max-distance", 0.7, "--quiet")
    assert code == 1 and "largest distance is 0.70576" in err


def test_rewards_come_from_files_functions_and_the_environment_itself(learnt, grid):
    code, out, _ = learnt("rewards", "compare", grid, "path", grid.parent / "mine.npy")
    assert code == 0 and "distance 0," in out
    code, out, _ = learnt(
        "rewards", "compare", grid, f"{grid}#path", f"{grid.parent / 'reward.py'}:make", "--skip-regret"
    )
    assert code == 0 and "worst-case regret" not in out
    pytest.importorskip("gymnasium")
    code, out, _ = learnt("rewards", "compare", "gym:FrozenLake-v1", "env", "env", "--discount", 0.9)
    assert code == 0 and "distance 0," in out


def test_a_policy_for_the_canonical_form_comes_from_a_file(learnt, grid, tmp_path):
    policy = np.random.default_rng(0).dirichlet(np.ones(5), 9)
    np.save(tmp_path / "pi.npy", policy)
    _, uniform, _ = learnt("rewards", "compare", grid, "path", "cliff", "--json", "-")
    _, other, _ = learnt("rewards", "compare", grid, "path", "cliff", "--policy", tmp_path / "pi.npy", "--json", "-")
    assert json.loads(uniform)["distance"] != json.loads(other)["distance"]


def test_outputs_are_written_and_not_overwritten_unasked(learnt, grid, tmp_path):
    page, data = tmp_path / "r.html", tmp_path / "r.json"
    words = ("rewards", "compare", grid, "path", "cliff", "--control", "sparse", "--control", "center",
             "--html", page, "--json", data)  # fmt: skip
    code, _, err = learnt(*words)
    assert code == 0 and f"wrote {page}" in err and json.loads(data.read_text())["distance"] > 0.7
    assert "Would optimising cliff be safe for path?" in page.read_text()
    code, _, err = learnt(*words)
    assert code == 2 and "--overwrite" in err
    assert learnt(*words, "--overwrite", "--quiet")[0] == 0


def test_all_rewards_of_a_world_are_laid_out(learnt, grid, tmp_path):
    code, out, err = learnt("rewards", "pairwise", grid, "--picture", tmp_path / "p.png", "--json", tmp_path / "p.json")
    assert code == 0 and "penalty" in out and (tmp_path / "p.png").stat().st_size > 10_000
    found = json.loads((tmp_path / "p.json").read_text())
    assert np.allclose(np.array(found["distances"])[0, 1], 0, atol=1e-9)  # sparse and dense are one


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("path", "pth"), "Rewards there: path"),
        (("path", "cliff", "--metric", "val-l7"), "one of l1, l2"),
        (("path", "cliff", "--metric", "vall"), "Did you mean"),
        (("path", "cliff", "--metric", "val-2-2-2"), "CANONICALISATION-NORMALISATION-METRIC"),
        (("path", "cliff", "--metric", "epic", "--policy", "mine.npy"), "no file at mine.npy"),
        (("path", "cliff", "--skip-regret", "--max-regret", "1"), "one of the two"),
        (("path", "cliff", "--discount", "0.9"), "the file has its own"),
        (("path", "cliff", "--json", "nowhere/x.json"), "no directory"),
        (("path",), "requires an argument"),
    ],
)
def test_mistakes_exit_with_two_and_one_or_two_lines(learnt, grid, words, text):
    code, out, err = learnt("rewards", "compare", grid, *words)
    assert code == 2 and text in err and "Traceback" not in err and out == ""


def test_worlds_that_are_none_say_so(learnt, grid, tmp_path):
    assert "a file .npz or gym:ID" in learnt("rewards", "compare", "grid", "a", "b")[2]
    assert "--discount" in learnt("rewards", "compare", "gym:FrozenLake-v1", "env", "env")[2]
    assert learnt("rewards", "compare", tmp_path / "no.npz", "a", "b")[0] == 2
    pytest.importorskip("gymnasium")
    code, _, err = learnt("rewards", "compare", "gym:Nowhere-v0", "env", "env", "--discount", 0.9)
    assert code == 2 and "Nowhere" in err


# -- scores of reward models --------------------------------------------------------------------------------


@pytest.fixture
def scored(tmp_path):
    rng = np.random.default_rng(0)
    true = rng.standard_normal((30, 6))
    near, far = (
        true + 0.3 * rng.standard_normal((30, 6)) + 7 * rng.standard_normal((30, 1)),
        rng.standard_normal((30, 6)),
    )
    files = []
    for name, values in (("true", true), ("near", 3 * near), ("far", far)):
        path = tmp_path / f"{name}.jsonl"
        rows = [
            {"prompt_id": f"p{i}", "response_id": f"r{j}", "score": float(values[i, j])}
            for i in range(30)
            for j in range(6)
        ]
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        files.append(path)
    return files


def test_reward_models_are_compared_by_their_scores(learnt, scored, tmp_path):
    true, near, far = scored
    code, out, _ = learnt("rewards", "score", "--scores", true, near, "--group", "prompt_id", "--json", "-")
    found = json.loads(out)
    close = found["distances"]["pairs"][0]["distance"]
    assert code == 0 and close["low"] < close["value"] < close["high"] < 0.6 and len(found["best_of_n"]) == 1
    code, out, _ = learnt("rewards", "score", "--scores", true, near, far)
    assert code == 0 and "near" in out and "far" in out
    code, _, err = learnt(
        "rewards", "score", "--scores", true, far, "--max-distance", 0.6, "--max-regret", 0.5, "--quiet"
    )
    assert code == 1 and "--max-distance" in err and "--max-regret" in err  # the control of the next line
    assert (
        learnt("rewards", "score", "--scores", true, near, "--max-distance", 0.6, "--max-regret", 0.5, "--quiet")[0]
        == 0
    )
    page = tmp_path / "scores.html"
    assert learnt("rewards", "score", "--scores", true, near, far, "--html", page, "--quiet")[0] == 0
    assert "Would near prefer the same responses as true?" in page.read_text()


def test_a_regret_that_cannot_be_measured_does_not_pass_its_gate(learnt, scored):
    true, near, _ = scored
    rows = [json.loads(line) | {"score": 1.0} for line in true.read_text().splitlines()]
    true.write_text("".join(json.dumps(row) + "\n" for row in rows))  # a model without preferences
    code, _, err = learnt("rewards", "score", "--scores", true, near, "--max-regret", 0.5, "--quiet")
    assert code == 1 and "best-of-N regret is not known" in err
    assert learnt("rewards", "score", "--scores", true, near, "--quiet")[0] == 0


def test_scores_that_cannot_be_joined_are_an_error(learnt, scored):
    true, near, _ = scored
    near.write_text("\n".join(near.read_text().splitlines()[1:]) + "\n")
    code, _, err = learnt("rewards", "score", "--scores", true, near)
    assert code == 2 and "p0" in err and "r0" in err


# -- studies -------------------------------------------------------------------------------------------------


def test_the_study_of_random_processes_runs_resumes_and_prints_the_published_numbers(learnt, tmp_path):
    words = ("study", "starc", "--out", tmp_path / "s", "--environments", 2, "--pairs", 1, "--steps", 4, "--states", 8)
    code, out, _ = learnt(*words)
    assert code == 0 and "VAL-2-2" in out and "paper" in out
    again = learnt(*words)
    assert again[0] == 0 and again[1] == out


def test_preferences_are_studied_from_the_command_line(learnt, tmp_path):
    code, out, _ = learnt(
        "study", "preferences", "--states", 5, "--comparisons", 50, 500, "--seeds", 0, "--json", tmp_path / "p.json"
    )
    assert code == 0 and "500" in out
    assert len(json.loads((tmp_path / "p.json").read_text())["rows"]) == 4


def test_files_are_written_before_anything_is_printed(grid, tmp_path):
    """A reader such as `head` may close the pipe: the report must be there by then."""
    import subprocess
    import sys

    words = [sys.executable, "-c", "import sys; from learnt.cli.main import run; sys.exit(run(sys.argv[1:]))"]
    words += ["rewards", "compare", str(grid), "path", "cliff", "--html", str(tmp_path / "r.html")]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        process.stdout.close()
        process.wait(60)
    assert (tmp_path / "r.html").exists()
