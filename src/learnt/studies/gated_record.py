"""What does the study of gated networks leave behind? All results, the tables, the pictures, and one page of all.

A run adds to what the directory holds: the results of a figure that is asked for replace its earlier ones, those of
other figures stay. Everything is made from the record's JSON, so that equal results give equal pictures to the byte.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

from learnt.core.errors import InputError
from learnt.io.atomic import ensure_directory, read_bytes, write_json, write_text
from learnt.studies.gated_page import claims_sheet, page
from learnt.studies.gated_plan import Claim, Entry, Figure
from learnt.studies.kept_results import earlier, fields
from learnt.studies.programs_cells import about_machine
from learnt.studies.programs_tables import Sheet, seconds

SCHEMA = "learnt.gated-study/1"
NAME = "gated.json"
TITLE = "Gated networks: predicted and simulated"


@final
@dataclass(frozen=True, eq=False, kw_only=True)
class GatedStudy:
    """What came out, of this run and earlier ones in the same directory.

    Attributes:
        directory: where gated.json, record.txt, record.md, figures.html and figures/ are.
        seed: of the study.
        commands: what was typed.
        entries: (item, result) pairs.
        figures: those that there are results for.
    """

    directory: Path
    seed: int
    commands: tuple[str, ...]
    entries: tuple[Entry, ...]
    figures: tuple[Figure, ...]

    def __getitem__(self, figure: str) -> tuple[Entry, ...]:
        """The entries of one figure; raises InputError if there are none."""
        found = tuple(entry for entry in self.entries if entry[0]["figure"] == figure)
        if not found:
            known = ", ".join(f.name for f in self.figures)
            raise InputError("figure", found=repr(figure), expected=f"one of {known}")
        return found

    def claims(self, figure: str | None = None) -> list[Claim]:
        """What must hold of one figure, or of all."""
        return [c for f in self.figures if figure in (None, f.name) for c in f.claims(self[f.name])]

    def sheets(self, figure: str) -> list[Sheet]:
        """The tables of one figure, what must hold first."""
        shown = next(f for f in self.figures if f.name == self[figure][0][0]["figure"])
        entries = self[figure]
        return [claims_sheet("What must hold", shown.claims(entries)), *shown.sheets(entries)]

    def about(self) -> list[str]:
        """When, where, and by which commands."""
        taken = sum(result["seconds"] for _, result in self.entries)
        return [
            f"Seed {self.seed}; {seconds(taken)} of work in {len(self.entries)} items.",
            *about_machine(self.entries),
            "Commands: " + "; ".join(self.commands),
        ]

    def markdown(self) -> str:
        """Everything as markdown, with the pictures as links."""
        lines = [f"# {TITLE}", "", *[line for text in self.about() for line in (text, "")]]
        for figure in self.figures:
            entries = self[figure.name]
            lines += [f"## {figure.title}", "", f"![{figure.title}](figures/{figure.name}.svg)", ""]
            lines += [figure.caption(entries), ""]
            for sheet in self.sheets(figure.name):
                lines += [sheet.markdown(), ""]
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON data."""
        return fields(SCHEMA, self.seed, self.commands, self.entries)

    def __str__(self) -> str:
        pieces = []
        for figure in self.figures:
            tables = "\n\n".join(sheet.text() for sheet in self.sheets(figure.name))
            pieces.append(f"{figure.title}\n{'=' * len(figure.title)}\n\n{tables}")
        return "\n\n\n".join([*pieces, "\n".join(self.about())])


def recorded(directory: Path, seed: int, command: str, asked: Sequence[Entry], figures: Sequence[Figure]) -> GatedStudy:
    """Add results to the record of a directory, and write it with its pictures.

    Raises:
        ResumeError: the file there is not a record of this study.
    """
    commands, entries = earlier(directory / NAME, SCHEMA)
    new = {item["figure"] for item, _ in asked}
    kept = [entry for entry in entries if entry[0]["figure"] not in new] + list(asked)
    order = {figure.name: k for k, figure in enumerate(figures)}
    kept.sort(key=lambda entry: order.get(entry[0]["figure"], len(order)))
    names = {item["figure"] for item, _ in kept}
    found = GatedStudy(
        directory=directory, seed=seed, commands=tuple(dict.fromkeys((*commands, command))), entries=tuple(kept),
        figures=tuple(figure for figure in figures if figure.name in names),
    )  # fmt: skip
    write_json(directory / NAME, found.to_dict())
    pictures(found, new)
    write_text(directory / "record.txt", f"{found}\n")
    write_text(directory / "record.md", found.markdown())
    shown = [
        (f.title, f.caption(found[f.name]), read_bytes(directory / "figures" / f"{f.name}.svg"), found.sheets(f.name))
        for f in found.figures
    ]
    write_text(directory / "figures.html", page(TITLE, found.about(), shown))
    return found


def pictures(study: GatedStudy, names: set[str]) -> None:
    """Draw these figures, and those whose file is missing, as SVG and PNG, each written in one piece."""
    from learnt.io.figures import save

    folder = ensure_directory(study.directory / "figures")
    for figure in study.figures:
        files = [folder / f"{figure.name}.{kind}" for kind in ("png", "svg")]  # that order: see `save`
        if figure.name in names or not all(path.exists() for path in files):
            made = figure.draw(study[figure.name])
            made.set_dpi(110)
            for path in files:
                save(made, path)
