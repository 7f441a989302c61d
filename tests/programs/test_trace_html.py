"""The page of a trace: complete without scripts, alive with them, quiet on every network, unmoved by hostile tokens."""

import html.parser
import os
import re
import shutil
import stat
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from learnt.core.errors import InputError, StorageError
from learnt.programs import Head, Layer, Program, TableMLP
from learnt.programs._typed import shown
from learnt.programs.trace_html import page
from learnt.programs.tracing import trace

from .made import PROGRAMS, golden, large_program, one_layer_sort, random_inputs, random_program

QUIET = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip
SORT = ["<s>", "3", "1", "4", "1", "</s>"]
HOSTILE = (
    "<script>alert(1)</script>", "</script><script>alert(1)</script>", "<img src=x onerror=alert(1)>", '"><svg onload=alert(1)>', "' onmouseover='alert(1)",
    "</title></style>", "{{ 7 * 7 }}", "{% raw %}", "&lt;b&gt;", "\u202egnirts\u202c", "\u2066\u2067", "a\nb\r\tc", "\x00\x1b[31m", "", " ", "javascript:alert(1)",
    "W" * 300, "Z\u0300\u0301\u0302\u0303" * 40, "日本語" * 20, "עברית", "<!--", "]]>", "`${alert(1)}`", "__proto__", "constructor", "\u2028", "\ufeff",
)  # fmt: skip


def hostile() -> Program:
    """Hostile text wherever a program lets a user put text: tokens and labels. Names of modules are identifiers."""
    n = len(HOSTILE)
    back = [max(i - 1, 0) for i in range(n)]
    return Program(
        vocab=HOSTILE, labels=HOSTILE, k=n, n_ctx=n, masked_labels=[2],
        layers=[
            Layer(
                cat_heads=[Head(query="positions", key="positions", value="tokens", predicate=back, name="constructor")],
                num_heads=[Head(query="tokens", key="tokens", value="ones", predicate=list(range(n)))],
                cat_mlps=[TableMLP(inputs=["tokens", "constructor"], table=[0] * n * n)],
            )
        ],
        classifier={"constructor": [[float(a == b) for a in range(n)] for b in range(n)], "ones": [0.0] * n},
    )  # fmt: skip


class Static(html.parser.HTMLParser):
    """The text of elements that are shown, attributes, and the elements themselves."""

    def __init__(self) -> None:
        html.parser.HTMLParser.__init__(self)
        self.tags: list[str] = []
        self.attributes: set[str] = set()
        self.text: list[str] = []
        self._silent = False

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes |= {name for name, _ in attrs}
        self._silent = tag in ("script", "style")

    def handle_endtag(self, tag):
        self._silent = False

    def handle_data(self, data):
        if not self._silent:
            self.text.append(data)


def static(text: str) -> Static:
    parser = Static()
    parser.feed(text)
    return parser


@pytest.mark.parametrize("name", PROGRAMS)
def test_without_scripts_the_page_holds_every_value_step_and_vote(name):
    program = golden(name)
    traced = trace(program, PROGRAMS[name]["examples"][-1]["tokens"])
    text = " ".join("".join(static(page(traced)).text).split())
    for variable in traced.variables:
        assert variable.name in text
    for i, token in enumerate(traced.tokens):
        assert f"Position {i}: {shown(token)}" in text
        assert all(" ".join(sentence.split()) in text for sentence in traced.reasons(i))
    for answer in traced.answers:
        assert all(shown(label) in text for label in answer.labels)


def test_nothing_in_the_page_can_act_but_its_own_script_and_style():
    seen = static(page(trace(hostile(), HOSTILE)))
    assert seen.tags.count("script") == 2 and seen.tags.count("style") == 1
    assert not {"img", "iframe", "object", "embed", "link", "form", "base", "audio", "video"} & set(seen.tags)
    assert not {a for a in seen.attributes if a.startswith("on")} | (
        {"style", "src", "srcset", "action"} & seen.attributes
    )
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', page(trace(hostile(), HOSTILE)))[1]
    assert policy.startswith("default-src &#39;none&#39;; script-src &#39;sha256-")
    assert "unsafe" not in policy and "http" not in policy


def test_the_script_and_the_data_bear_no_address():
    text = page(trace(one_layer_sort(), SORT))
    assert set(re.findall(r"https?://[^\s\"'<]+", text)) == {"http://www.w3.org/2000/svg"}  # a name, not a place
    assert not re.search(
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|new Function|fetch\(|XMLHttp", text
    )


def test_characters_that_act_are_gone_from_the_page():
    text = page(trace(hostile(), HOSTILE), title="a\u202eb\x1b<b>")
    assert not re.search(
        "[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff]", text
    )
    assert "<title>a b &lt;b&gt;</title>" in text


def test_equal_traces_give_equal_pages():
    assert page(trace(large_program(), SORT)) == page(trace(large_program(), SORT))


def test_a_page_is_written_whole_or_not_at_all(tmp_path):
    path = tmp_path / "trace.html"
    path.write_text("before", encoding="utf-8")
    traced = trace(one_layer_sort(), SORT)
    assert traced.to_html(path, title="Sorting") == path
    assert "<h1><bdi>Sorting</bdi></h1>" in path.read_text(encoding="utf-8")
    assert [p.name for p in tmp_path.iterdir()] == ["trace.html"]
    with pytest.raises(StorageError):
        traced.to_html(tmp_path / "missing" / "trace.html")
    assert not path.stat().st_mode & stat.S_IXUSR


def test_a_page_that_no_browser_could_hold_is_refused(monkeypatch):
    monkeypatch.setattr("learnt.programs.trace_html._MOST", 10)
    with pytest.raises(InputError, match="votes"):
        page(trace(one_layer_sort(), SORT))


@pytest.mark.parametrize("seed", range(12))
def test_every_shape_of_program_has_a_page(seed):
    program = random_program(seed)
    text = page(trace(program, random_inputs(program, seed, 1)[0]))
    assert text.endswith("</html>") and "Undefined" not in text


# -- in a browser ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def browser():
    playwright = pytest.importorskip(
        "playwright.sync_api", reason="playwright is not installed: pip install playwright"
    )
    found = [
        os.environ.get("CHROMIUM"), "/usr/bin/chromium", *map(shutil.which, ("chromium", "chromium-browser", "google-chrome")),
    ]  # fmt: skip
    path = next((p for p in found if p and Path(p).exists()), None)
    if path is None:
        pytest.skip("no Chromium here: set CHROMIUM to its path")
    with playwright.sync_playwright() as p:
        opened = p.chromium.launch(executable_path=path, args=QUIET)
        yield opened
        opened.close()


@pytest.fixture
def see(browser, tmp_path):
    """Open the page of a trace; (page, everything it said, everything it asked for)."""
    contexts = []

    def opened(traced, **options):
        path = traced.to_html(tmp_path / "trace.html")
        contexts.append(browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **options}))
        shown_page, said, asked = contexts[-1].new_page(), [], []
        shown_page.on("console", lambda m: said.append(m.text))
        shown_page.on("pageerror", lambda e: said.append(str(e)))
        shown_page.on("dialog", lambda d: (said.append(d.message), d.dismiss()))
        shown_page.on("request", lambda r: asked.append(r.url))
        shown_page.goto(path.as_uri())
        return shown_page, said, asked

    yield opened
    for context in contexts:
        context.close()


def arrows(shown_page) -> int:
    return shown_page.locator(".arcs .arc").count()


@pytest.mark.browser
def test_pointing_at_a_token_a_module_or_a_cell_draws_its_arrows_and_says_why(see):
    shown_page, said, asked = see(trace(golden("induction"), ["<s>", "a", "1", "b", "2", "b"]))
    shown_page.hover("[data-token='5']")
    assert arrows(shown_page) == 2
    assert "looks for attn_0_0 = b: reads tokens = 2 at position 4 (the only match)" in shown_page.inner_text("#looks")
    assert shown_page.inner_text("#why-label") == "2"
    shown_page.hover("[data-module='4']")
    assert arrows(shown_page) == 6
    assert shown_page.locator(".arc.default").count() == 5
    shown_page.hover("tr[data-v='3'] td[data-i='2']")
    assert arrows(shown_page) == 1
    assert shown_page.locator("td.src").count() == 2  # the query here, and the token that was copied
    assert "attn_0_0 at position 2" in shown_page.inner_text("#looks-h")
    assert said == [] and len(asked) == 1


@pytest.mark.browser
def test_an_arrow_goes_from_the_token_to_the_attended_one(see):
    shown_page, *_ = see(trace(golden("reverse"), ["<s>", "4", "2", "0", "</s>"]))
    row = [v.name for v in trace(golden("reverse"), ["<s>"]).variables].index("attn_1_0")
    shown_page.hover(f"tr[data-v='{row}'] td[data-i='1']")
    path = shown_page.locator(".arcs .arc").get_attribute("d")
    start, end = float(re.match(r"M([-\d.]+)", path)[1]), float(re.findall(r"[-\d.]+", path)[-2])
    left = shown_page.locator(".arcs svg").bounding_box()["x"]
    for i, x in ((1, start), (3, end)):
        box = shown_page.locator(f"[data-token='{i}']").bounding_box()
        assert abs(left + x - box["x"] - box["width"] / 2) < 2


@pytest.mark.browser
def test_the_keyboard_moves_between_tokens_and_modules(see):
    shown_page, *_ = see(trace(golden("induction"), ["<s>", "a", "1", "b", "2", "b"]))
    shown_page.keyboard.press("Tab")
    assert shown_page.evaluate("document.activeElement.className") == "skip"
    for _ in range(4):
        shown_page.keyboard.press("Tab")
        if shown_page.evaluate("document.activeElement.dataset.token") is not None:
            break
    here = shown_page.evaluate("document.activeElement.dataset.token")
    shown_page.keyboard.press("ArrowRight")
    assert shown_page.evaluate("document.activeElement.dataset.token") == str(int(here) + 1)
    assert f"position {int(here) + 1}" in shown_page.inner_text("#looks-h")
    shown_page.keyboard.press("End")
    assert shown_page.evaluate("document.activeElement.dataset.token") == "5"
    shown_page.keyboard.press("Tab")
    assert shown_page.evaluate("document.activeElement.dataset.module") == "0"
    for _ in range(3):
        shown_page.keyboard.press("ArrowDown")
    assert "attn_0_0, everywhere" in shown_page.inner_text("#looks-h")
    assert arrows(shown_page) == 6
    assert "attn_0_0" in shown_page.inner_text("#said")
    shown_page.keyboard.press("Escape")
    assert "position 5" in shown_page.inner_text("#looks-h")


@pytest.mark.browser
def test_why_not_another_label_shows_its_votes_and_their_sum(see):
    traced = trace(one_layer_sort(), SORT)
    shown_page, said, _ = see(traced)
    shown_page.click("[data-token='3']")
    shown_page.select_option("#instead", label="0")
    asked = traced.why(3, "0")
    rows = [row.split() for row in shown_page.locator("#why .vote:not(.head)").all_inner_texts()]
    assert {row[0]: [float(x.replace("−", "-")) for x in row[-3:-1]] for row in rows[:-1]} == {
        part.variable: [part.label, part.instead] for part in asked.parts if part.label or part.instead
    }
    assert rows[-1][-1].startswith("+") and float(rows[-1][-1]) == asked.margin
    bars = shown_page.locator("#why rect").evaluate_all("all => all.map(r => Number(r.getAttribute('width')))")
    assert max(bars) > 50 and min(bars) >= 0
    assert said == []


@pytest.mark.browser
@pytest.mark.parametrize("size", [1e-9, 1e-4, 1.0, 1e4, 1e9])
def test_votes_of_every_size_stay_inside_their_panel(see, size):
    program = golden("double_hist")
    rng = np.random.default_rng(0)
    shapes = {name: (k, len(program.labels)) for name, k in program.cardinality.items()}
    votes = {name: rng.normal(size=s) * size * 10.0 ** rng.integers(-4, 1) for name, s in shapes.items()}
    shown_page, said, _ = see(trace(replace(program, classifier=votes), ["<s>", "1", "1", "2"]))
    out = shown_page.evaluate(
        "() => [...document.querySelectorAll('#why .vote .nums > *')].filter(e => e.getBoundingClientRect().right > "
        "e.closest('.panel').getBoundingClientRect().right - 8 || e.scrollWidth > e.clientWidth + 1).map(e => e.textContent)"
    )
    assert out == [] and said == []


@pytest.mark.browser
def test_a_pooled_program_explains_its_one_answer(see):
    shown_page, said, _ = see(trace(golden("pool"), ["where", "is"]))
    assert shown_page.inner_text(".lead") == "Answer for the whole input: LOC, before HUM."
    assert shown_page.locator("#why .vote.sum").inner_text().split()[-1] == "+0.810"
    assert "where" in shown_page.inner_text("#share")
    assert said == []


@pytest.mark.browser
@pytest.mark.parametrize("width", [320, 1280])
def test_the_page_never_scrolls_sideways_and_hostile_tokens_do_nothing(see, width):
    shown_page, said, asked = see(trace(hostile(), HOSTILE), viewport={"width": width, "height": 780})
    shown_page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
    shown_page.evaluate("document.querySelectorAll('.trace button').forEach(b => b.click())")
    shown_page.evaluate("document.querySelectorAll('.trace button').forEach(b => b.focus())")
    shown_page.evaluate(
        """() => { const select = document.getElementById("instead");
        for (const option of [...select.options]) { select.value = option.value; select.dispatchEvent(new Event("change")); } }"""
    )
    assert shown_page.evaluate("document.documentElement.scrollWidth") <= width
    assert said == [] and len(asked) == 1
    assert shown_page.evaluate("[document.scripts.length, document.images.length]") == [2, 0]


@pytest.mark.browser
def test_every_shape_of_program_is_alive_and_quiet(browser, tmp_path):
    shown_page, said = browser.new_page(), []
    shown_page.on("console", lambda m: said.append(m.text))
    shown_page.on("pageerror", lambda e: said.append(str(e)))
    for seed in range(8):
        program = random_program(seed)
        traced = trace(program, random_inputs(program, seed, 1)[0])
        shown_page.goto(traced.to_html(tmp_path / f"{seed}.html").as_uri())
        shown_page.evaluate("document.querySelectorAll('.trace button, .trace td').forEach(b => b.click())")
        shown_page.evaluate("document.querySelectorAll('[data-token]').forEach(b => b.click())")
        looks = [v.looks[-1] for v in traced.variables if v.looks]
        assert arrows(shown_page) == sum(len(x.matches) if x.position is None else 1 for x in looks)
    shown_page.close()
    assert said == []


@pytest.mark.browser
def test_no_script_from_elsewhere_runs_in_the_page(see):
    shown_page, said, _ = see(trace(one_layer_sort(), SORT))
    shown_page.evaluate(
        "document.body.append(Object.assign(document.createElement('script'), {textContent: 'window.bad = 1'}))"
    )
    shown_page.evaluate("document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=\"window.bad = 1\">')")
    assert shown_page.evaluate("window.bad") is None
    assert said and all("Content Security Policy" in text for text in said)


CONTRAST = """selector => {
    const rgb = text => text.match(/[0-9.]+/g).map(Number);
    const light = c => { const [r, g, b] = c.map(x => x / 255).map(x => x <= 0.04045 ? x / 12.92 : ((x + 0.055) / 1.055) ** 2.4);
        return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
    const element = document.querySelector(selector);
    let ground = element, colour = [0, 0, 0, 0];
    while (ground) { colour = rgb(getComputedStyle(ground).backgroundColor);
        if (colour.length < 4 || colour[3] > 0) break; ground = ground.parentElement; }
    const [a, b] = [light(rgb(getComputedStyle(element).color).slice(0, 3)), light(colour.slice(0, 3))];
    return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05); }"""


@pytest.mark.browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_is_legible_in_light_and_dark(see, scheme):
    shown_page, *_ = see(trace(golden("induction"), ["<s>", "a", "1", "a"]), color_scheme=scheme)
    ground = shown_page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (ground == "rgb(255, 255, 255)") == (scheme == "light")
    for selector in ("h1", ".soft", ".kind", ".from", "td .from.default", "tfoot .one", "tfoot .second td", ".at", ".tok", "#why-label b", ".vote .two", ".vote .val", "#margin", "summary", "select"):  # fmt: skip
        assert shown_page.evaluate(CONTRAST, selector) >= 4.5, selector


@pytest.mark.browser
def test_without_scripts_the_tables_are_there_and_nothing_pretends_to_be_alive(see):
    shown_page, said, _ = see(trace(golden("induction"), ["<s>", "a", "1", "a"]), java_script_enabled=False)
    assert shown_page.locator(".trace").is_visible()
    assert not shown_page.locator(".panels").is_visible()
    assert shown_page.locator("noscript p").is_visible()
    assert said == []


@pytest.mark.browser
def test_print_opens_what_is_folded(see):
    shown_page, *_ = see(trace(large_program(), SORT))
    shown_page.emulate_media(media="print")
    assert shown_page.locator("table.votes").is_visible()
    assert shown_page.locator(".words").first.is_visible()
    assert shown_page.evaluate("document.documentElement.scrollWidth") <= 1280
    assert shown_page.pdf(format="A4").startswith(b"%PDF")
