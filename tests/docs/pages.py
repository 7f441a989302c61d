"""The pages of the documentation as data: blocks of code, headings, links."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
TOP = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md")
PAGES = (*(ROOT / name for name in TOP), *sorted(DOCS.rglob("*.md")))

_FENCE = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```\s*$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)|!\[[^\]]*\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#{1,6}\s+(.*?)\s*$", re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """One fenced block: its language, text, and first line in the page."""

    language: str
    text: str
    line: int


def name(page: Path) -> str:
    """The page relative to the repository."""
    return page.relative_to(ROOT).as_posix()


def blocks(page: Path, *languages: str) -> list[Block]:
    """The fenced blocks of a page in these languages."""
    text = page.read_text(encoding="utf-8")
    found = [Block(m[1], m[2], text[: m.start(2)].count("\n") + 1) for m in _FENCE.finditer(text)]
    return [block for block in found if block.language in languages]


def commands(page: Path, program: str) -> Iterator[tuple[str, list[str]]]:
    """(line, words after the program) of each command line of `program` in the shell blocks of a page."""
    for block in blocks(page, "sh", "bash", "console"):
        for line in block.text.replace("\\\n", " ").splitlines():
            words = shlex.split(re.sub(r"\s#\s.*", "", line.removeprefix("$ ")))
            if words and words[0] == program:
                yield line, words[1:]
    for block in blocks(page, "yaml"):
        for line in block.text.splitlines():
            command = line.partition("run:")[2].strip()
            if command.startswith(program + " "):
                yield command, shlex.split(command)[1:]


def mentions(page: Path, program: str) -> list[list[str]]:
    """The words after `program` of each mention of a command in the text of a page."""
    found = re.findall(rf"`{program} ([a-z][^`\n]*)`", prose(page))
    return [inline.split() for inline in found]


def prose(page: Path) -> str:
    """The page without its fenced blocks."""
    return _FENCE.sub("", page.read_text(encoding="utf-8"))


def links(page: Path) -> list[str]:
    """Targets of all links and pictures of a page."""
    return [a or b for a, b in _LINK.findall(prose(page))]


def anchors(page: Path) -> set[str]:
    """Anchors that mkdocs (and the repository's host) make of the headings of a page."""
    from markdown.extensions.toc import slugify

    plain = [re.sub(r"`|\[([^\]]*)\]\([^)]*\)", r"\1", heading) for heading in _HEADING.findall(prose(page))]
    return {slugify(heading, "-") for heading in plain}
