"""The report in a real browser: it renders, runs nothing, asks for nothing, fits a phone, prints, and obeys the keyboard."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from learnt.report import html

pytestmark = pytest.mark.browser

QUIET = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip


@pytest.fixture(scope="module")
def browser():
    playwright = pytest.importorskip(
        "playwright.sync_api", reason="playwright is not installed: pip install playwright"
    )
    found = [
        os.environ.get("CHROMIUM"),
        "/usr/bin/chromium",
        *map(shutil.which, ("chromium", "chromium-browser", "google-chrome")),
    ]
    path = next((p for p in found if p and Path(p).exists()), None)
    if path is None:
        pytest.skip("no Chromium here: set CHROMIUM to its path")
    with playwright.sync_playwright() as p:
        opened = p.chromium.launch(executable_path=path, args=QUIET)
        yield opened
        opened.close()


class Seen:
    """A page with everything it said, asked for and opened."""

    def __init__(self, browser, path: Path, **options) -> None:
        self.context = browser.new_context(**options)
        self.page = self.context.new_page()
        self.messages: list[str] = []
        self.requests: list[str] = []
        self.page.on("console", lambda m: self.messages.append(m.text))
        self.page.on("pageerror", lambda e: self.messages.append(str(e)))
        self.page.on("dialog", lambda d: (self.messages.append(f"dialog {d.message}"), d.dismiss()))
        self.page.on("request", lambda r: self.requests.append(r.url))
        self.page.goto(path.as_uri())
        self.page.wait_for_load_state("load")


@pytest.fixture
def see(browser):
    seen: list[Seen] = []

    def opened(path: Path, **options) -> Seen:
        seen.append(Seen(browser, path, **options))
        return seen[-1]

    yield opened
    for one in seen:
        one.context.close()


@pytest.fixture(scope="module")
def report(make, tmp_path_factory):
    return html.write(
        [make.comparison(), make.comparison(data="shapes")], tmp_path_factory.mktemp("report") / "report.html"
    )


def outside(requests: list[str]) -> list[str]:
    return [url for url in requests if not url.startswith("data:")]


def test_it_renders_without_errors_and_asks_for_nothing(see, report):
    seen = see(report)
    assert seen.messages == []
    assert outside(seen.requests) == [report.as_uri()]
    assert seen.page.title() == "What did KL students learn from teacher?"
    assert seen.page.locator("article.card").count() > 10
    assert seen.page.locator("svg").first.bounding_box()["height"] > 10
    broken = seen.page.evaluate("[...document.images].filter(i => !i.complete || !i.naturalWidth).length")
    assert broken == 0


def test_the_answer_is_on_the_first_screen(see, report):
    page = see(report, viewport={"width": 1280, "height": 900}).page
    for selector in ("h1", ".lead", ".findings li"):
        box = page.locator(selector).first.bounding_box()
        assert box["y"] + box["height"] < 900


@pytest.mark.parametrize("width", [320, 360, 768, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_never_scrolls_sideways(see, report, width, scheme):
    page = see(report, viewport={"width": width, "height": 780}, color_scheme=scheme).page
    page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_hostile_labels_do_nothing_in_a_browser(see, make, tmp_path):
    together = [make.hostile(p) for p in make.payloads if len(p) < 400][:60]
    seen = see(html.write(together, tmp_path / "hostile.html"), viewport={"width": 360, "height": 780})
    assert seen.messages == []
    assert len(outside(seen.requests)) == 1
    assert seen.page.evaluate("document.scripts.length") == 1
    assert seen.page.evaluate("document.documentElement.scrollWidth") <= 360


def contrast(page, selector: str) -> float:
    """WCAG contrast of an element's text with the ground below it."""
    return page.evaluate(
        """selector => {
        const rgb = text => text.match(/[0-9.]+/g).map(Number);
        const light = c => { const [r, g, b] = c.map(x => x / 255).map(x => x <= 0.04045 ? x / 12.92 : ((x + 0.055) / 1.055) ** 2.4);
            return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
        const element = document.querySelector(selector);
        let ground = element, colour = [0, 0, 0, 0];
        while (ground) { colour = rgb(getComputedStyle(ground).backgroundColor);
            if (colour.length < 4 || colour[3] > 0) break; ground = ground.parentElement; }
        const [a, b] = [light(rgb(getComputedStyle(element).color).slice(0, 3)), light(colour.slice(0, 3))];
        return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05); }""",
        selector,
    )


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_is_legible_in_light_and_dark(see, report, scheme):
    page = see(report, color_scheme=scheme).page
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (ground == "rgb(255, 255, 255)") == (scheme == "light")
    for selector in ("h1", ".lead", ".setting", "nav a", ".faint", '[data-verdict="transferred"]', '[data-verdict="reversed"]', ".kicker", ".right", ".wrong", ".all .span"):  # fmt: skip
        assert contrast(page, selector) >= 4.5, selector


def test_the_keyboard_reaches_findings_cards_and_method(see, report):
    page = see(report, reduced_motion="reduce").page  # no smooth scrolling: it is where it goes at once
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    assert page.evaluate("document.activeElement.getBoundingClientRect().left") >= 0
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    page.keyboard.press("Tab")
    focus = page.evaluate(
        "(e => [e.tagName, e.getAttribute('href'), getComputedStyle(e).outlineStyle])(document.activeElement)"
    )
    assert focus[0] == "A"
    assert focus[2] == "solid"
    page.keyboard.press("Enter")
    assert page.evaluate("location.hash") == focus[1]
    assert page.evaluate("document.querySelector(location.hash).getBoundingClientRect().top") < 200
    for _ in range(3):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.tagName") == "SUMMARY":
            break
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.parentElement.open")


def test_print_opens_what_is_folded_and_hides_navigation(see, report):
    seen = see(report)
    seen.page.emulate_media(media="print")
    assert not seen.page.locator("nav").is_visible()
    assert seen.page.locator("details dl.cells").first.is_visible()
    assert seen.page.pdf(format="A4").startswith(b"%PDF")


def test_pictures_have_names_for_people_who_cannot_see_them(see, report):
    page = see(report).page
    assert page.evaluate("[...document.images].every(i => i.alt.length > 5)")
    assert page.evaluate("[...document.querySelectorAll('svg[role=img]')].every(s => s.querySelector('title') && s.querySelector('desc').textContent.length > 5)")  # fmt: skip


def test_a_fragment_renders_inside_a_notebook_page(see, make, tmp_path):
    path = tmp_path / "notebook.html"
    path.write_text(
        f"<!DOCTYPE html><meta charset=utf-8><body>{make.comparison()._repr_html_()}</body>", encoding="utf-8"
    )
    seen = see(path, viewport={"width": 700, "height": 700})
    assert seen.messages == []
    assert seen.page.locator("table.all tbody tr").count() == len(make.comparison().answers)
