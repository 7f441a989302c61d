import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from learnt.core.comparison import Comparison, Side
from learnt.core.errors import InputError, StorageError
from learnt.report import html

VOID = {"meta", "img", "br", "hr", "link", "input"}
# What our templates and drawings consist of; a label that becomes an element or attribute outside this list is caught.
ELEMENTS = set(
    "html head meta title style body a header p h1 h2 h3 h4 nav ul li b main div section details summary table caption"
    " thead tbody tr th td article dl dt dd figure figcaption svg desc text line rect circle path code img script footer"
    " span bdi".split()
)
ATTRIBUTES = set(
    "lang charset http-equiv content name class href aria-label aria-labelledby aria-hidden id tabindex role scope rel"
    " src alt type data-label data-verdict xmlns width height font-family font-size font-weight fill fill-opacity stroke"
    " stroke-width stroke-opacity stroke-dasharray vector-effect x y x1 y1 x2 y2 cx cy r d viewbox preserveaspectratio"
    " overflow opacity text-anchor transform focusable".split()
)


class Page(HTMLParser):
    """The elements of a page, with their attributes, and the text of scripts and styles."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.open: list[str] = []
        self.raw: dict[str, list[str]] = {"script": [], "style": []}
        self.text: list[str] = []
        self.comments = 0
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        names = [key for key, _ in attrs]
        assert len(names) == len(set(names)), f"attribute twice in <{tag}>"
        self.elements.append((tag, {k: v or "" for k, v in attrs}))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, {k: v or "" for k, v in attrs}))

    def handle_endtag(self, tag):
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag, f"</{tag}> closes another element"

    def handle_data(self, data):
        if self.open and self.open[-1] in self.raw:
            self.raw[self.open[-1]].append(data)
        else:
            self.text.append(data)

    def handle_comment(self, data):
        self.comments += 1

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attrs for name, attrs in self.elements if name == tag]


def check_inert(text: str, payload: str = "") -> Page:
    page = Page(text)
    assert page.open == [], repr(payload)
    assert page.comments == 0, repr(payload)
    for tag, attrs in page.elements:
        assert tag in ELEMENTS, (tag, payload)
        assert set(attrs) <= ATTRIBUTES, (tag, set(attrs) - ATTRIBUTES, payload)
        assert "style" not in attrs
        if "src" in attrs:
            assert re.fullmatch(r"data:image/png;base64,[A-Za-z0-9+/=]+", attrs["src"]), payload
        if "href" in attrs:
            assert re.fullmatch(r"#[a-z0-9-]+|https://(arxiv\.org/abs|doi\.org)/[A-Za-z0-9._;()/:-]+", attrs["href"]), (
                payload
            )
    for script in page.all("script"):
        assert script == {"type": "application/json", "id": html.DATA_ID}
    return page


def test_the_page_is_whole_and_inert(make):
    page = check_inert(html.page([make.comparison()]))
    assert len(page.all("script")) == 1
    assert len(page.all("h1")) == 1
    ids = [attrs["id"] for _, attrs in page.elements if "id" in attrs]
    assert len(ids) == len(set(ids))
    for link in page.all("a"):
        if link["href"].startswith("#"):
            assert link["href"][1:] in ids


def test_the_first_screen_says_what_was_learnt(make):
    text = " ".join("".join(Page(html.page([make.comparison()])).text).split())
    assert "What did KL students learn from teacher?" in text
    first = text.index("KL students came closer to teacher than independent students did on")
    assert (
        first
        < text.index("KL students matched teacher on 94.1 % of examples [93.1, 95.1]")
        < text.index("All answers: digits")
    )


def test_a_page_for_thousands_of_questions_is_refused_with_advice(make):
    one = make.comparison()
    with pytest.raises(InputError, match=r"2,001 questions.*at most 2,000.*measures="):
        html.page([replace(one, answers=(one.answers[0],) * 2001)])


def test_every_answer_has_a_row_and_every_group_a_card(make):
    c = make.comparison()
    page = Page(html.page([c]))
    assert len(page.all("article")) == len({a.group for a in c.answers})
    assert len(page.all("tr")) - 1 >= len(c.answers)
    text = " ".join("".join(page.text).split())
    for answer in c.answers:
        assert answer.how in text
        assert answer.caveat in text
    assert "Stanton et al. 2021" in text
    assert "does not survive the correction" in text
    assert {"href": "https://arxiv.org/abs/2106.05945", "rel": "noopener noreferrer external"} in page.all("a")


def test_hostile_labels_stay_text_everywhere(make):
    for payload in make.payloads:
        check_inert(html.page([make.hostile(payload)], title=payload), payload)


def test_hostile_labels_stay_text_in_a_fragment(make):
    for payload in make.payloads:
        text = html.fragment(make.hostile(payload))
        page = check_inert(text, payload)
        assert not page.all("script")
        assert len(text.encode()) < 200_000


def test_template_braces_are_not_evaluated(make):
    text = "".join(Page(html.page([make.hostile("{{ 7*7 }}")])).text)
    assert "{{ 7*7 }}" in text
    assert "49" not in re.sub(r"[0-9.]+\s?%|\[[^]]*\]", "", text)


def test_the_reader_sees_the_true_label(make):
    text = "".join(Page(html.page([make.hostile("<script>alert(1)</script>")])).text)
    assert "<script>alert(1)</script>" in text


def test_links_are_made_only_of_known_identifiers(make):
    bad = ("javascript:alert(1)", "https://evil.example", '10.1/x" onclick="y', "2106.05945/../evil", "10.1000/<b>")
    answer = make.answer(references=tuple(("x", identifier, "") for identifier in bad))
    page = check_inert(html.page([make.comparison([answer], gallery=())]))
    assert not [a for a in page.all("a") if not a["href"].startswith("#")]


def test_the_policy_allows_nothing_but_our_style_and_data_images(make):
    import base64
    import hashlib

    page = Page(html.page([make.comparison()]))
    policy = next(m["content"] for m in page.all("meta") if m.get("http-equiv") == "Content-Security-Policy")
    digest = base64.b64encode(hashlib.sha256("".join(page.raw["style"]).encode()).digest()).decode()
    assert (
        policy == f"default-src 'none'; img-src data:; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    )


def test_the_sheet_loads_nothing(make):
    sheet = "".join(Page(html.page([make.comparison()])).raw["style"])
    assert "url(" not in sheet
    assert "@import" not in sheet
    assert "http" not in sheet


def test_embedded_results_read_back_equal(make, tmp_path):
    first, second = make.comparison(), make.hostile("<&>\u2028 '\"")
    found = html.read(html.write([first, second], tmp_path / "r.html"))
    assert [c.to_json() for c in found] == [first.to_json(), second.to_json()]


def test_embedded_json_of_every_payload_reads_back_equal(make, tmp_path):
    for payload in make.payloads:
        c = make.hostile(payload, deep=False)
        assert html.read(html.write([c], tmp_path / "r.html"))[0].to_json() == c.to_json(), repr(payload)


def test_embedded_json_cannot_end_its_element():
    text = str(html.embedded({"x": "</script><!-- & \u2028 é"}))
    assert not set(text) & set("<>&\u2028é")
    assert json.loads(text) == {"x": "</script><!-- & \u2028 é"}


def test_equal_comparisons_give_equal_bytes(make, tmp_path):
    one = html.write([make.comparison()], tmp_path / "1.html").read_bytes()
    two = html.write([make.comparison()], tmp_path / "2.html").read_bytes()
    assert one == two
    c = make.comparison()
    assert html.page([type(c).from_dict(json.loads(c.to_json()))]) == one.decode()


def test_two_comparisons_share_a_page_without_sharing_anchors(make):
    page = check_inert(html.page([make.comparison(), make.comparison(data="shapes")]))
    ids = [attrs["id"] for _, attrs in page.elements if "id" in attrs]
    assert len(ids) == len(set(ids))
    assert "".join(page.text).count("What did KL students learn from teacher?") == 2  # title and heading


def test_comparisons_on_the_same_data_are_told_apart_by_their_sides(make):
    other = make.comparison(b=Side(label="Hint students", replicas=5))
    text = " ".join("".join(Page(html.page([make.comparison(), other])).text).split())
    assert "All answers: Hint students and teacher on digits" in text
    assert "What was learnt from what?" in text


def test_a_report_of_nothing_is_an_error(tmp_path):
    with pytest.raises(InputError, match="at least one"):
        html.write([], tmp_path / "r.html")
    assert not list(tmp_path.iterdir())


def test_an_unwritable_place_is_an_error_and_leaves_nothing(make, tmp_path):
    with pytest.raises(StorageError):
        html.write([make.comparison()], tmp_path / "missing" / "r.html")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("text", ["", "<html></html>", "<script id=learnt-data>{}</script>", "<script id=learnt-data>[</script>", '<script id="learnt-data">{"schema": "learnt.report/1", "comparisons": [{}]}</script>'])  # fmt: skip
def test_reading_something_else_is_an_error(tmp_path, text):
    path = tmp_path / "r.html"
    path.write_text(text)
    with pytest.raises(InputError):
        html.read(path)


def test_a_title_of_ones_own_is_the_heading(make):
    page = html.page([make.comparison()], title="Our <b>study</b>")
    assert "<h1>Our &lt;b&gt;study&lt;/b&gt;</h1>" in page
    assert "<title>Our &lt;b&gt;study&lt;/b&gt;</title>" in page


def test_a_fragment_of_many_answers_stays_small(make):
    answers = [make.answer(f"q{i}", question="Long question " * 40) for i in range(300)]
    text = html.fragment(make.comparison(answers))
    assert len(text.encode()) < 200_000
    assert "240 more" in text
    assert "300 questions" in text


def test_a_notebook_shows_the_fragment(make):
    c = make.comparison()
    assert c._repr_html_() == html.fragment(c)


def test_two_comparisons_of_the_size_of_the_demo_are_below_three_megabytes(make, tmp_path):
    colour = make.gallery(32, colour=True)
    cards = tuple(replace(card, index=i) for i in range(6) for card in colour[:4])
    grid = np.random.default_rng(0).random((10, 10))
    chart = replace(
        make.every_kind()[0].chart,
        series={"b": grid, "control": grid},
        x=[str(i) for i in range(10)],
        y=[str(i) for i in range(10)],
    )
    answers = [make.answer(f"q{i}", chart=chart if i % 3 == 0 else None) for i in range(30)]
    c = make.comparison(answers, gallery=cards)
    size = html.write([c, c], tmp_path / "r.html").stat().st_size
    assert size < 3_000_000


def test_results_of_schema_one_read_and_render_forever():
    path = Path(__file__).parents[1] / "golden" / "comparison-1.json"
    data = json.loads(path.read_text(encoding="utf-8"))
    assert data["schema"] == "learnt.comparison/1"
    kept = Comparison.from_dict(data)
    assert json.loads(kept.to_json()) == data
    check_inert(html.page([kept]))


def test_the_documentation_names_every_field_of_the_format(make):
    text = (Path(__file__).parents[2] / "docs" / "json-schema.md").read_text(encoding="utf-8")
    data = make.comparison().to_dict()
    fields = {*data, *data["data"], *data["a"], *data["answers"][0], *data["answers"][0]["value"]}
    fields |= {*data["answers"][0]["chart"], *data["gallery"][0], *data["gallery"][0]["image"]}
    missing = [field for field in sorted(fields) if f"`{field}`" not in text]
    assert missing == []


def test_variants_get_one_card_with_what_sets_them_apart():
    from learnt.report.view_card import headings

    asked = [f"Are they unmoved by {x} on the same inputs?" for x in ("blur", "added noise")]
    assert headings(asked, ["i[blur]", "i[noise]"], "i") == (
        "Are they unmoved by … on the same inputs?",
        ["blur", "added noise"],
    )
    ends = [f"How often does it keep its answer under {x}?" for x in ("blur", "noise")]
    assert headings(ends, ["", ""], "i") == ("How often does it keep its answer under …?", ["blur", "noise"])
    assert headings(["Same?", "Same?"], ["cka[layer 1]", "cka(2)"], "cka") == ("Same?", ["layer 1", "2"])
    assert headings(["One thing?", "Another matter?"], ["a", "b"], "two_things") == (
        "Two things",
        ["One thing?", "Another matter?"],
    )
