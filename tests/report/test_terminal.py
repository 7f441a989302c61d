import io
import re

import pytest
from rich.cells import cell_len
from rich.console import Console

from learnt.report.terminal import WIDTH, table, to_text


def shown(comparison, *, colour: bool) -> str:
    buffer = io.StringIO()
    console = Console(
        file=buffer, width=WIDTH, force_terminal=colour, color_system="truecolor" if colour else None, _environ={}
    )
    console.print(table(comparison))
    return buffer.getvalue()


def test_text_fits_one_hundred_columns(make):
    for line in to_text(make.comparison()).splitlines():
        assert cell_len(line) <= WIDTH


def test_every_question_is_in_the_table(make):
    c = make.comparison()
    text = " ".join(to_text(c).split())
    for answer in c.answers:
        assert answer.question.split()[0] in text
    assert text.count("+ transferred") == sum(a.verdict == "transferred" for a in c.answers)
    assert "94.1 %" in text
    assert "not detected" in text


def test_str_and_rich_of_a_comparison_use_it(make):
    c = make.comparison()
    assert str(c) == to_text(c)
    assert c.__rich__().row_count == len(c.answers)


def test_reasons_for_missing_numbers_are_said(make):
    text = " ".join(to_text(make.comparison()).split())
    assert "Not measured: Is there a number at all? (all models are always right)" in text
    assert "Not measured: Do they look at the object?" in text


def test_sides_are_named_in_questions(make):
    c = make.comparison([make.answer(question="Does what fools A also fool B?")])
    assert "Does what fools teacher also fool KL students?" in " ".join(to_text(c).split())


def test_a_comparison_without_controls_has_no_transfer_column(make):
    c = make.comparison([make.answer(control=None, difference=None, verdict="no control")], control=None)
    assert "transfer " not in to_text(c)


@pytest.mark.parametrize("colour", [False, True])
def test_labels_never_act_on_the_terminal(make, colour):
    for payload in make.payloads:
        text = shown(make.hostile(payload), colour=colour)
        ours = re.sub(r"\x1b\[[0-9;]*m", "", text) if colour else text
        assert not any(
            (ord(c) < 32 and c != "\n") or 0x7F <= ord(c) < 0xA0 or 0x202A <= ord(c) <= 0x202E for c in ours
        ), repr(payload)


def test_markup_and_emoji_codes_are_text(make):
    for payload in ("[red]markup[/red]", "[/x]", ":smile:", "[link=https://evil.example]x[/link]"):
        assert payload[:8] in to_text(make.hostile(payload, deep=False))


def test_text_is_the_same_whatever_the_environment(make, monkeypatch):
    before = to_text(make.comparison())
    for key, value in {"COLUMNS": "40", "FORCE_COLOR": "1", "NO_COLOR": "", "TERM": "dumb"}.items():
        monkeypatch.setenv(key, value)
    assert to_text(make.comparison()) == before


@pytest.mark.parametrize("label", ["学生" * 40, "x" * 400, "e\u0301" * 60])
def test_long_and_wide_labels_still_fit(make, label):
    for line in to_text(make.hostile(label)).splitlines():
        assert cell_len(line) <= WIDTH
