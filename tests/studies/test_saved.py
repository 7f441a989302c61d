"""What was saved is shown again: a run directory, a JSON file, an HTML report."""

import json
import shutil

import pytest

from learnt.core.errors import InputError, LearntError, StorageError
from learnt.studies.demo import run
from learnt.studies.saved import comparisons, models


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """A finished mini demo."""
    out = tmp_path_factory.mktemp("demo")
    return run(out, sets=("digits",), students=2, epochs=1, limit=60, quiet=True)


@pytest.fixture(scope="module")
def files(demo, tmp_path_factory):
    """The same comparison as the directory, the report in both formats, and alone as JSON and HTML."""
    alone = tmp_path_factory.mktemp("alone")
    demo.comparisons[0].to_json(alone / "c.json")
    demo.comparisons[0].to_html(alone / "c.html")
    return {
        "directory": demo.directory, "report.json": demo.json, "report.html": demo.html,
        "comparison.json": alone / "c.json", "comparison.html": alone / "c.html",
    }  # fmt: skip


KINDS = ("directory", "report.json", "report.html", "comparison.json", "comparison.html")


@pytest.mark.parametrize("kind", KINDS)
def test_every_form_gives_the_same_comparison_back(demo, files, kind):
    [found] = comparisons(files[kind])
    assert found.to_json() == demo.comparisons[0].to_json()


@pytest.mark.parametrize("kind", KINDS)
def test_every_form_is_shown_by_command(learnt, files, kind):
    code, out, err = learnt("show", files[kind])
    assert code == 0 and err == "" and "Do they give the same answer?" in out
    assert ("model  run:" in out) == (kind == "directory")


def test_a_run_names_its_models_and_each_can_be_opened(learnt, demo):
    import learnt as library

    assert models(demo.directory) == ("digits-distilled", "digits-independent", "digits-teacher")
    _, out, _ = learnt("show", demo.directory)
    specs = [line.split()[1] for line in out.splitlines() if line.startswith("model ")]
    assert [len(library.load(spec)) for spec in specs] == [2, 2, 1]


def test_show_as_json_is_json_and_nothing_else(learnt, demo):
    code, out, err = learnt("show", demo.directory, "--json")
    assert code == 0 and err == "" and json.loads(out) == json.loads(demo.json.read_text())


def test_a_report_is_written_again_to_html_and_never_over_a_file(learnt, demo, tmp_path):
    page = tmp_path / "again.html"
    assert learnt("show", demo.json, "--html", page)[0] == 0
    assert comparisons(page)[0].to_json() == demo.comparisons[0].to_json()
    before = page.read_bytes()
    code, _, err = learnt("show", demo.json, "--html", page)
    assert code == 2 and "--overwrite" in err and page.read_bytes() == before
    assert learnt("show", demo.json, "--html", page, "--overwrite")[0] == 0


def test_models_without_a_comparison_are_listed(learnt, demo, tmp_path):
    for name in ("models.json", "digits-teacher.safetensors"):
        shutil.copy(demo.directory / name, tmp_path / name)
    code, out, err = learnt("show", tmp_path)
    assert code == 0 and err == "" and out.count("model  run:") == 3 and "Do they" not in out
    code, _, err = learnt("show", tmp_path, "--html", tmp_path / "x.html")
    assert code == 2 and "no comparison" in err and not (tmp_path / "x.html").exists()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[]", "a list; expected a comparison or a report"),
        ("{}", "schema None"),
        ('{"schema": "learnt.report/1"}', "a report without comparisons"),
        ('{"schema": "learnt.report/1", "comparisons": 3}', "a report without comparisons"),
        ('{"schema": "learnt.report/1", "comparisons": [1]}', "schema 'int'"),
        ('{"schema": "learnt.comparison/1"}', "a damaged record"),
        ('{"schema": "learnt.comparison/9"}', "schema 'learnt.comparison/9'"),
        ('{"a": NaN}', "NaN"),
        ("nonsense", "line 1"),
        ("", "line 1"),
    ],
)
def test_a_file_that_is_not_ours_is_named(learnt, tmp_path, text, words):
    path = tmp_path / "x.json"
    path.write_text(text)
    with pytest.raises(InputError):
        comparisons(path)
    code, out, err = learnt("show", path)
    assert code == 2 and out == "" and words in err and err.count("\n") <= 2, err


def test_nothing_to_show_is_said(learnt, tmp_path):
    with pytest.raises(StorageError, match="nothing there"):
        comparisons(tmp_path / "missing.json")
    assert comparisons(tmp_path) == [] and models(tmp_path) == () == models(tmp_path / "missing")
    code, _, err = learnt("show", tmp_path)
    assert code == 2 and "no models and no comparison" in err


@pytest.mark.parametrize("content", ["<html></html>", "", "<script id=x>{}</script>"])
def test_a_page_that_is_not_a_report_is_named(tmp_path, content):
    page = tmp_path / "page.html"
    page.write_text(content)
    with pytest.raises(InputError, match="no embedded results"):
        comparisons(page)


@pytest.mark.parametrize("kind", ["report.json", "report.html"])
def test_a_truncated_file_is_an_error_and_never_an_internal_one(files, tmp_path, kind):
    data = files[kind].read_bytes()
    for share in (0.1, 0.5, 0.9, 0.999):
        cut = tmp_path / kind
        cut.write_bytes(data[: int(share * len(data))])
        try:
            found = comparisons(cut)
        except LearntError:
            continue
        assert kind == "report.html" and len(found) == 1  # only what follows the data was lost
