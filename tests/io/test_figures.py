"""Figures without windows, and the page that shows them."""

import json
import re

import pytest

from learnt.core.errors import InputError
from learnt.io.figures import axes, png_uri, save, shown, titled
from learnt.io.pages import Figure, Table, page


def test_a_figure_is_written_in_every_format_in_any_order_and_twice_the_same(tmp_path):
    ax = axes()
    ax.plot([0, 1], [0, 1])
    titled(ax, "a $x_$ title " * 9)
    for suffix, start in ((".svg", b"<?xml"), (".png", b"\x89PNG"), (".pdf", b"%PDF"), (".png", b"\x89PNG")):
        first = save(ax.figure, tmp_path / f"a{suffix}").read_bytes()
        assert first.startswith(start) and save(ax.figure, tmp_path / f"b{suffix}").read_bytes() == first
    assert png_uri(ax).startswith("data:image/png;base64,")
    with pytest.raises(InputError, match=r"\.png, \.svg or \.pdf"):
        save(ax.figure, tmp_path / "a.gif")
    assert not (tmp_path / "a.gif").exists()


def test_a_page_shows_text_as_it_is_and_runs_nothing(tmp_path):
    hostile = "<script>alert(1)</script>\u202e"
    text = page(
        hostile, [hostile], [Figure(axes(), hostile)], [Table(hostile, [[hostile]])], {"x": hostile}, text=hostile
    )
    assert "<script>" not in text and "\u202e" not in text
    assert text.count("&lt;script&gt;") >= 6
    (held,) = re.findall(r'id="learnt-data">(.*?)</script>', text)
    assert json.loads(held) == {"x": hostile}


def test_characters_that_act_are_not_drawn():
    assert shown("a\nb\u202ec") == "a\ufffdb\ufffdc" and shown("x" * 30, 10) == "x" * 9 + "…"
