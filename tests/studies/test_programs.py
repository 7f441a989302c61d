"""The study of programs: published numbers beside ours, resuming, correction, the same numbers for any number of jobs."""

import json
import shutil

import pytest

from learnt.core.errors import InputError, ResumeError, StorageError
from learnt.programs import tasks
from learnt.programs.checking import check
from learnt.programs.library import known_size
from learnt.programs.program_json import load
from learnt.programs.training import fit
from learnt.studies.programs import EXPERIMENTS, planned, programs_study
from learnt.studies.programs_plan import Options, published, size_of_text
from learnt.studies.programs_tables import Sheet, fisher, per_cent, rate, spread
from learnt.studies.programs_tasks import config_of, recipe_from, task_of
from learnt.studies.programs_work import name_of, program_file

TINY = {"seeds": 2, "epochs": 1, "layers": 1, "heads": 2, "mlps": 0, "examples": 60, "restarts": 1, "steps": 1,
        "recipes": ("paper",)}  # fmt: skip
SMALL = ((5, 5),)  # 14 inputs: lengths 1 to 3 of two tokens


def plain(entries):
    """Items and results without what differs from run to run: times."""
    text = json.dumps([list(entry) for entry in entries], sort_keys=True)
    return json.loads(
        text, object_hook=lambda found: {k: v for k, v in found.items() if "seconds" not in k and k != "rounds"}
    )


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    return tmp_path_factory.mktemp("programs")


@pytest.fixture(scope="module")
def study(out):
    """Two tasks at N = V = 5, trained and grown, corrected and simplified."""
    options = Options(
        tasks=("sort", "reverse"), method="both", sizes=SMALL, correct=1, search_rounds=2, simplify=True, **TINY
    )
    return programs_study(out, only=("large",), options=options, quiet=True)


@pytest.fixture(scope="module")
def table1(tmp_path_factory):
    options = Options(tasks=("sort",), **TINY)
    return programs_study(tmp_path_factory.mktemp("table1"), options=options, quiet=True)


def test_each_task_is_trained_and_grown_and_then_corrected_and_simplified(study):
    works = [(item["work"], item["task"]) for item, _ in study["large"]]
    assert works == [
        ("train", "reverse"), ("grow", "reverse"), ("train", "sort"), ("grow", "sort"), *[("finish", "reverse")] * 2,
        *[("finish", "sort")] * 2,
    ]  # fmt: skip


def test_table_1_has_the_published_numbers_the_replications_and_the_size_by_hand_beside_ours(table1):
    [sheet] = table1.sheets()
    row = dict(zip(sheet.columns, sheet.rows[0], strict=True))
    assert (row["published"], row["A"], row["A, best"], row["B"]) == (
        "99.83", "100.00", "100 (L1 H8 M4)", "99.98 / 99.9",
    )  # fmt: skip
    [(item, result)] = table1["table1"]
    assert row["tokens"] == per_cent(result["seeds"][0]["test_tokens"])
    assert row["wrong inputs"] == f"{result['check']['wrong']:,} of 19,530"
    assert row["by hand"] == "4" == str(known_size(tasks.sort())) and row["modules"] == "2"
    assert row["L, H, M"] == "1, 1+1, 0+0" and item["config"]["num_heads"] == 1


def test_text_and_markdown_show_the_same_cells(table1):
    text, page = str(table1), table1.markdown()
    for cell in table1.sheets()[0].rows[0]:
        assert cell in text and cell in page
    assert page.count("| sort |") == 1 and "| --- |" in page
    assert "one thread a process" in text and "torch" in page  # where the numbers were made


def test_the_record_says_when_where_and_by_which_command(study, out):
    record = json.loads((out / "programs.json").read_text())
    assert record["schema"] == "learnt.programs-study/1" and record["commands"] and record["seed"] == 0
    for entry in record["results"]:
        made = entry["result"]["made"]
        assert made["cores"] >= 1 and made["processor"] and made["versions"]["numpy"] and len(made["date"]) == 10
        assert "programs" not in entry["result"]
    assert (out / "record.txt").read_text() == f"{study}\n" and (out / "record.md").read_text() == study.markdown()


def test_running_again_computes_nothing_and_leaves_the_same_record(study, out, listing, monkeypatch):
    before = listing(out)
    for name in ("programs.json", "record.txt", "record.md"):
        (out / name).unlink()
    shutil.rmtree(out / "programs")
    monkeypatch.setattr("learnt.studies.programs_work.task_of", lambda *_: 1 / 0)
    options = Options(
        tasks=("sort", "reverse"), method="both", sizes=SMALL, correct=1, search_rounds=2, simplify=True, **TINY
    )
    again = programs_study(out, only=("large",), options=options, quiet=True)
    assert listing(out) == before and again.to_dict() == study.to_dict()


def test_an_interrupted_study_goes_on_and_the_numbers_do_not_depend_on_the_number_of_jobs(tmp_path, monkeypatch):
    from learnt.studies import programs_work

    options = Options(tasks=("sort", "reverse"), sizes=SMALL, **TINY)
    real, calls = programs_work.task_of, []

    def once(item, data=None):
        calls.append(item)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return real(item, data)

    monkeypatch.setattr(programs_work, "task_of", once)
    from learnt.core.errors import Interrupted

    with pytest.raises(Interrupted, match="1 of 2"):
        programs_study(tmp_path / "b", only=("large",), options=options, quiet=True)
    assert not (tmp_path / "b" / "programs.json").exists()
    resumed = programs_study(tmp_path / "b", only=("large",), options=options, quiet=True)
    assert len(calls) == 3  # the finished one was not done again
    monkeypatch.undo()
    whole = programs_study(tmp_path / "a", only=("large",), options=options, jobs=2, quiet=True)
    assert plain(resumed.entries) == plain(whole.entries)


def test_an_item_says_all_that_is_needed_to_train_its_programs_again(study, out):
    item, _ = next(entry for entry in study["large"] if entry[0]["work"] == "train")
    again = fit(
        task_of(item), config_of(item["config"]), seeds=item["seeds"], epochs=item["epochs"],
        recipe=recipe_from(item["recipe"]), seed=item["seed"],
    )  # fmt: skip
    for seed in again.seeds:
        assert load(program_file(out, name_of(item), seed.seed)) == seed.program


def test_every_item_has_a_seed_of_its_own_that_the_study_s_seed_changes():
    items = planned(("table1", "recipes"), Options(recipes=("ours", "paper")))
    assert len({item["seed"] for item in items}) == len(items)
    others = planned(("table1", "recipes"), Options(recipes=("ours", "paper"), seed=1))
    assert not {item["seed"] for item in items} & {item["seed"] for item in others}


def test_correction_never_makes_more_inputs_wrong_and_its_program_is_the_one_that_was_counted(study, out):
    for item, result in study["large"]:
        if item["work"] == "finish":
            assert result["wrong"] <= result["wrong_before"] and result["n"] == 14 and result["exhaustive"]
            program = load(program_file(out, name_of(item), item["program"]))
            assert check(program, task_of(item)).score.wrong == result["wrong"] == result["check"]["wrong"]
            assert sum(1 for _ in program.modules()) == result["simplified"]["modules"] <= result["before"]["modules"]
    finished = study.sheets()[-1]
    assert finished.title.startswith("Corrected") and len(finished.rows) == 4


def test_another_run_in_the_directory_adds_to_the_record(tmp_path):
    first = Options(tasks=("sort",), sizes=SMALL, **TINY)
    programs_study(tmp_path, only=("large",), options=first, quiet=True)
    second = Options(tasks=("reverse",), sizes=SMALL, **TINY)
    both = programs_study(tmp_path, only=("large",), options=second, quiet=True)
    assert [item["task"] for item, _ in both.entries] == ["sort", "reverse"] and len(both.asked) == 1
    with pytest.raises(InputError, match="table1"):
        both["table1"]
    with pytest.raises(ResumeError, match="seed"):
        programs_study(tmp_path, only=("large",), options=Options(seed=3, **TINY), quiet=True)
    (tmp_path / "programs.json").write_text('{"schema": "other"}')
    with pytest.raises(ResumeError, match="another kind"):
        programs_study(tmp_path, only=("large",), options=second, quiet=True)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"scale": "huge"}, "scale"),
        ({"method": "evolve"}, "method"),
        ({"recipes": ("mine",)}, "recipes"),
        ({"recipes": ()}, "recipes"),
        ({"search": -1}, "search"),
        ({"seeds": 0}, "seeds"),
        ({"epochs": -1}, "epochs"),
        ({"epochs": True}, "epochs"),
        ({"examples": 2}, "examples"),
        ({"corrected": 0}, "corrected"),
        ({"sizes": ((3, 8),)}, "sizes"),
        ({"tasks": ("sort", "sort")}, "twice"),
    ],
)
def test_settings_without_meaning_are_refused(settings, words):
    with pytest.raises(InputError, match=words):
        Options(**settings)


@pytest.mark.parametrize(
    ("only", "settings", "words"),
    [
        ((), {}, "only"),
        (("table9",), {}, "table9"),
        (("table1", "table1"), {}, "twice"),
        (("table1",), {"tasks": ("chess",)}, "chess"),
        (("induction",), {"tasks": ("sort",)}, "sort"),
        (("recipes",), {"variants": ("magic",)}, "magic"),
    ],
)
def test_experiments_tasks_and_recipes_that_are_not_there_are_refused(tmp_path, only, settings, words):
    with pytest.raises(InputError, match=words):
        programs_study(tmp_path / "x", only=only, options=Options(**settings))
    assert not (tmp_path / "x").exists()


def test_text_needs_a_folder_with_the_corpora(tmp_path):
    with pytest.raises(InputError, match="--data"):
        programs_study(tmp_path / "x", only=("text",), options=Options(tasks=("trec",)))
    with pytest.raises(StorageError, match=r"TREC\.train"):
        programs_study(
            tmp_path / "x", only=("text",), options=Options(tasks=("trec",)), data=tmp_path, quiet=True
        )  # fmt: skip


def test_sizes_are_read_from_text():
    assert size_of_text("16x8") == (16, 8)
    for text in ("16", "x", "16x", "axb", "-4x8", "16x8x4", "4 x 4", "999999999999x8"):
        with pytest.raises(InputError, match="16x8"):
            size_of_text(text)


def test_scale_paper_has_the_published_sizes_seeds_and_epochs():
    for item in planned(("table1",), Options(scale="paper", recipes=("paper",))):
        known, c = published()["table1"][item["task"]], item["config"]
        assert c["layers"] == known["layers"] and c["cat_heads"] + c["num_heads"] == known["heads"]
        assert c["cat_mlps"] + c["num_mlps"] == known["mlps"] and (item["seeds"], item["epochs"]) == (5, 250)
        assert item["recipe"]["tie_bias"] == 1.0 and item["recipe"]["refit"] is False
    for item in planned(("table3",), Options()):
        assert item["config"]["num_heads"] == item["config"]["num_mlps"] == 0


def test_every_experiment_has_items_and_all_items_have_different_names():
    items = planned([experiment.name for experiment in EXPERIMENTS], Options(method="both"))
    assert {item["experiment"] for item in items} == {experiment.name for experiment in EXPERIMENTS}
    assert len({name_of(item) for item in items}) == len(items)


# -- tables ------------------------------------------------------------------------------------------------


def test_shares_are_never_rounded_up_to_everything():
    assert per_cent(1.0) == "100.00" and per_cent(0.99999) == "99.99" and per_cent(0.29) == "29.00"
    assert spread([0.5, 1.0, 0.75, 0.25]) == "62.5 (25.0 to 100.0)"


def test_fisher_and_wilson_give_the_numbers_of_the_specification():
    assert fisher(14, 22, 3, 22) == pytest.approx(0.0016, abs=5e-5)
    assert fisher(18, 38, 5, 46) == pytest.approx(0.0002, abs=1e-4)
    assert rate(14, 22) == "14 of 22, 63.6 % [43.0, 80.3]"


def test_a_sheet_is_aligned_as_text_and_escaped_as_markdown():
    sheet = Sheet(title="t", columns=("a", "bb"), rows=(("x|y", "1"), ("z", "22")), notes=("n",))
    assert sheet.text().splitlines() == ["t", "", "a    bb", "---  --", "x|y   1", "z    22", "n"]
    assert sheet.markdown().splitlines()[2:6] == ["| a | bb |", "| --- | --- |", "| x\\|y | 1 |", "| z | 22 |"]


# -- the command line --------------------------------------------------------------------------------------


def test_the_command_line_runs_resumes_and_refuses(learnt, tmp_path):
    words = (
        "study", "programs", "--out", tmp_path / "s", "--only", "large", "--tasks", "sort", "--sizes", "5x5",
        "--recipes", "paper", "--seeds", 1, "--epochs", 1, "--layers", 1, "--heads", 1, "--mlps", 0, "--examples", 60,
    )  # fmt: skip
    code, out, _ = learnt(*words)
    assert code == 0 and "of 14" in out and "replication" in out
    assert learnt(*words)[:2] == (0, out)
    code, _, err = learnt("study", "programs", "--out", tmp_path / "s", "--only", "table7")
    assert code == 2 and "table7" in err and "table1" in err
    code, _, err = learnt("study", "programs", "--out", tmp_path / "s", "--only", "large", "--sizes", "8")
    assert code == 2 and "16x8" in err
