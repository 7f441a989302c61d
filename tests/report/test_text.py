from hypothesis import given
from hypothesis import strategies as st

from learnt.report.text import counted, neutral


@given(st.text(max_size=200))
def test_nothing_that_acts_survives(text):
    shown = neutral(text)
    assert not any(
        ord(c) < 32 or 0x7F <= ord(c) < 0xA0 or 0x2028 <= ord(c) <= 0x202E or 0x2066 <= ord(c) <= 0x2069 for c in shown
    )
    shown.encode("utf-8")
    assert neutral(shown) == shown


def test_lone_surrogates_and_overrides_are_shown_as_replaced():
    assert neutral("a\ud800b\u202ec\x1b[31m") == "a�b�c�[31m"


def test_letters_of_every_script_stay():
    assert neutral("学生 مرحبا é 😀 na\u200dme") == "学生 مرحبا é 😀 na\u200dme"


def test_long_text_ends_with_an_ellipsis():
    assert neutral("x" * 50, 10) == "x" * 9 + "…"
    assert neutral("short", 10) == "short"


def test_counts_read_as_english():
    assert counted(1, "question") == "1 question"
    assert counted(1200, "question") == "1,200 questions"
    assert counted(2, "box", "boxes") == "2 boxes"
