"""Every example of the documentation runs, and every command line in it is one that the program takes."""

from __future__ import annotations

import sys
import types
from pathlib import Path

import pytest
from tests.docs.pages import PAGES, ROOT, blocks, commands, mentions, name

# What a page takes for granted, where it shows one step of a longer work.
STUDENTS = """
from learnt.data import load
from learnt.train import CrossEntropy, Population, fit
from learnt.train.nets import mlp
train = load("digits", split="train", limit=300)
def make_student():
    return mlp(64, 10, widths=(16, 16))
teacher = make_student()
fit(teacher, train, CrossEntropy(), steps=5)
students = Population(make_student, 2, seed=1)
"""
BEFORE = {f"docs/methods/{page}.md": STUDENTS for page in ("kd", "hint", "crd")}

# Long enough for a reader, shorter for a test: the same calls with the same arguments but for the duration.
SHORTER = {
    "docs/methods/kd.md": (("epochs=30", "epochs=1"),),
    "docs/methods/hint.md": (("epochs=30", "epochs=1"),),
    "docs/tutorial-programs.md": (("epochs=15", "epochs=2"), ("epochs=20", "epochs=4")),
    "docs/programs-training.md": (("seeds=4,\n    epochs=6", "seeds=2,\n    epochs=2"),),
    "docs/methods/crd.md": (("epochs=30", "epochs=1"), ("negatives=1024", "negatives=64")),
    "README.md": (('"epochs": 80', '"epochs": 8'), ('split="test", **parts)', 'split="test", **parts, limit=120)')),
}
RUNNABLE = [page for page in PAGES if blocks(page, "python", "py", "pycon")]


@pytest.mark.parametrize("page", RUNNABLE, ids=name)
def test_every_python_block_of_a_page_runs(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    module = types.ModuleType("page_" + "".join(c if c.isalnum() else "_" for c in name(page)))
    monkeypatch.setitem(sys.modules, module.__name__, module)  # data classes look their module up there
    exec(BEFORE.get(name(page), ""), vars(module))
    for block in blocks(page, "python"):
        text = block.text
        for long, short in SHORTER.get(name(page), ()):
            text = text.replace(long, short)
        code = compile("\n" * (block.line - 1) + text, str(page), "exec")  # so that errors name the page's line
        exec(code, vars(module))


def test_the_durations_that_are_shortened_are_in_the_pages() -> None:
    for page, changes in SHORTER.items():
        text = "".join(block.text for block in blocks(ROOT / page, "python"))
        assert all(long in text for long, _ in changes), page


def test_the_pages_that_must_have_examples_have_them() -> None:
    names = {name(page) for page in RUNNABLE}
    assert {"README.md", "docs/index.md", "docs/tutorial.md", "docs/training.md", "docs/extending.md"} <= names
    methods = {name(page) for page in PAGES if page.parent.name == "methods"}
    assert methods <= names


LINES = [(name(page), line, words) for page in PAGES for line, words in commands(page, "learnt")]


def test_the_pages_hold_command_lines() -> None:
    shown = {words[0] for _, _, words in LINES}
    assert {"demo", "train", "compare", "show", "measures", "convert"} <= shown


@pytest.mark.parametrize(("page", "line", "words"), LINES, ids=[f"{page}: {line[:60]}" for page, line, _ in LINES])
def test_every_command_line_is_one_that_learnt_takes(page: str, line: str, words: list[str]) -> None:
    from learnt.cli import ask
    from learnt.cli.main import app

    function, bound, _ = app.parse_args(words, exit_on_error=False, print_error=False)
    if function is ask.compare:
        for condition in bound.arguments.get("fail_if", ()):
            ask._parsed(condition)
        ask._chosen(tuple(bound.arguments.get("measures", ())))


def test_every_command_that_the_text_mentions_exists() -> None:
    from learnt.cli.main import app

    for page in PAGES:
        for words in mentions(page, "learnt"):
            assert words[0] in list(app), f"{name(page)}: learnt {' '.join(words)}"
            if words[0] == "train" and len(words) > 1:
                assert words[1] in list(app["train"]), f"{name(page)}: learnt {' '.join(words)}"


def test_a_wrong_option_would_be_noticed() -> None:
    import cyclopts

    from learnt.cli.main import app

    with pytest.raises(cyclopts.CycloptsError):
        app.parse_args(["show", "runs/demo", "--colour"], exit_on_error=False, print_error=False)


def test_every_make_command_has_its_target() -> None:
    import re

    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    shown = {words[0] for page in PAGES for _, words in commands(page, "make") if words}
    assert {"demo", "test"} <= shown
    assert shown <= targets
