"""The site builds without a warning and without a network, asks no other machine for anything, and leads nowhere wrong."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest
from tests.docs.pages import DOCS, PAGES, ROOT, anchors, links, name

from learnt.catalogue import MEASURES

# Any connection that mkdocs or a plugin tries to make ends the build.
_BUILD = """
import socket, sys
def refuse(*_args, **_options):
    raise RuntimeError("the build reached for the network")
socket.socket.connect = socket.socket.connect_ex = refuse
socket.getaddrinfo = socket.create_connection = refuse
sys.argv = ["mkdocs", "build", "--strict", "--quiet", "--config-file", sys.argv[1], "--site-dir", sys.argv[2]]
from mkdocs.__main__ import cli
cli()
"""


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built site."""
    target = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-c", _BUILD, str(ROOT / "mkdocs.yml"), str(target)],
        cwd=ROOT, capture_output=True, text=True, timeout=240,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1", "PYTHONDONTWRITEBYTECODE": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return target


class _Requests(HTMLParser):
    """Collects what a browser would fetch to show the page."""

    def __init__(self) -> None:
        HTMLParser.__init__(self)
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {key: value or "" for key, value in attrs}
        if tag in ("script", "img", "iframe", "source", "video", "audio", "embed") and "src" in given:
            self.found.append(given["src"])
        if tag == "link" and given.get("rel") in ("stylesheet", "preload", "icon", "preconnect", "dns-prefetch"):
            self.found.append(given.get("href", ""))


def test_the_site_builds_strictly_without_a_network(site: Path) -> None:
    pages = {path.relative_to(site).with_suffix(".md") for path in site.rglob("*.html")} - {Path("404.md")}
    assert pages == {path.relative_to(DOCS) for path in DOCS.rglob("*.md")}
    assert not (site / "hooks").exists()


def test_no_page_asks_another_machine_for_anything(site: Path) -> None:
    for path in site.rglob("*.html"):
        parser = _Requests()
        parser.feed(path.read_text(encoding="utf-8"))
        assert parser.found  # its own style sheets
        assert [url for url in parser.found if re.match(r"(?:[a-z]+:)?//", url)] == [], path.name
    for path in site.rglob("*.css"):
        assert not re.search(r"@import|url\(\s*['\"]?(?:https?:)?//", path.read_text(encoding="utf-8")), path.name


def test_every_formula_is_drawn_and_described(site: Path) -> None:
    drawn = 0
    for path in site.rglob("*.html"):
        text = path.read_text(encoding="utf-8")
        assert "arithmatex" not in re.sub(r"<code.*?</code>", "", text, flags=re.DOTALL), path.name
        formulas = re.findall(r'<svg class="formula"[^>]*aria-label="([^"]*)"[^>]*><path d="([^"]*)"', text)
        assert all(label and outline.startswith("M") for label, outline in formulas), path.name
        drawn += len(formulas)
    assert drawn >= 30


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_link_inside_the_repository_resolves(page: Path) -> None:
    for link in links(page):
        if re.match(r"[a-z]+:", link):
            assert link.startswith("https://"), f"{link}: only https"
            continue
        target, _, anchor = link.partition("#")
        file = (page.parent / target).resolve() if target else page
        assert file.is_relative_to(ROOT), link
        assert file.exists(), link
        if DOCS in page.parents:
            assert DOCS in file.parents, f"{link}: leads out of the site"
        if anchor:
            assert anchor in anchors(file), link


def _rows(page: Path) -> dict[str, tuple[str, str]]:
    """Name of a question -> (its words, its page), from the table of questions."""
    found = re.findall(r"^\| ([^|]*\?) \| \[`(\w+)`\]\(([^)]+)\) \|", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {short: (words, link) for words, short, link in found}


@pytest.mark.parametrize("page", [ROOT / "README.md", DOCS / "choosing.md"], ids=name)
def test_every_measure_of_the_catalogue_is_in_the_table_with_its_question(page: Path) -> None:
    asked = {}
    for measure in MEASURES():
        asked.setdefault(measure.facts.name, measure.facts.question)
    assert {short: words for short, (words, _) in _rows(page).items()} == asked


@pytest.mark.parametrize("measure", MEASURES(), ids=lambda measure: measure.name)
def test_every_measure_has_a_page_with_its_question_sources_and_caveat(measure) -> None:
    words, link = _rows(DOCS / "choosing.md")[measure.facts.name]
    text = " ".join((DOCS / link).read_text(encoding="utf-8").split())
    assert f"`{measure.facts.name}" in text
    assert "Sources" in text
    assert "Caveat" in text or "Reading it" in text
    assert "Deviations" in text
    for reference in measure.facts.references:
        if reference.identifier.startswith("arXiv:"):
            assert reference.identifier.removeprefix("arXiv:") in text, reference.identifier


def test_files_that_pages_name_exist() -> None:
    for page in PAGES:
        for path in re.findall(r"`((?:tests|benchmarks|src)/[\w./-]*\w(?:/|\.\w+))`", page.read_text(encoding="utf-8")):
            if path in MADE_UP:
                continue
            assert (ROOT / path).exists(), f"{name(page)}: {path}"


MADE_UP = {"src/learnt/agreement/total_variation.py", "src/learnt/train/confidence.py"}
"""Files of the worked examples."""


def test_the_published_transfers_of_the_paper_index_are_those_of_the_golden_file() -> None:
    golden = json.loads((ROOT / "tests/golden/robustness.json").read_text(encoding="utf-8"))["published_colour"]
    (row,) = re.findall(
        r"^\| Transfer of colour .*$", (DOCS / "paper-index.md").read_text(encoding="utf-8"), re.MULTILINE
    )
    for value in golden["transfer"].values():
        assert f"{value:.3f}".removeprefix("0") in row
    for level in golden["levels"].values():
        assert f"{level:.2f}".removesuffix("0") in row
