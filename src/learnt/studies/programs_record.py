"""What does a directory of the study hold? One record of all results so far, as JSON, text and markdown.

    programs.json    {"schema", "seed", "commands", "results": [{"item", "result"}]}
    record.txt, record.md    the tables of every experiment in it, published numbers beside ours
    programs/        every program, by item and seed

A later run in the same directory adds its results; nothing is lost by asking for less. Results are read from the
study's chunks, so that an interrupted run that went on leaves the same record as one that was left alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

from learnt.core.errors import InputError
from learnt.io.atomic import dump_json, write_json, write_text
from learnt.studies.kept_results import earlier, fields
from learnt.studies.programs_cells import finished_sheet
from learnt.studies.programs_plan import Entry
from learnt.studies.programs_tables import Sheet

SCHEMA = "learnt.programs-study/1"
NAME = "programs.json"


@final
@dataclass(frozen=True, eq=False, kw_only=True)
class ProgramsStudy:
    """What came out, of this run and earlier ones in the same directory.

    Attributes:
        directory: where programs.json, record.txt, record.md and programs/ are.
        seed: of the study.
        commands: what was typed.
        entries: (item, result) pairs.
        asked: those of this run.
    """

    directory: Path
    seed: int
    commands: tuple[str, ...]
    entries: tuple[Entry, ...]
    asked: tuple[Entry, ...]

    def __getitem__(self, experiment: str) -> tuple[Entry, ...]:
        """The entries of one experiment; raises InputError if there are none."""
        found = tuple(entry for entry in self.entries if entry[0]["experiment"] == experiment)
        if not found:
            known = dict.fromkeys(item["experiment"] for item, _ in self.entries)
            raise InputError("experiment", found=repr(experiment), expected=f"one of {', '.join(known)}")
        return found

    def sheets(self) -> list[Sheet]:
        """The tables of all experiments, and of what was corrected and simplified."""
        from learnt.studies.programs import EXPERIMENTS

        found: list[Sheet] = []
        for experiment in EXPERIMENTS:
            mine = [
                (item, result) for item, result in self.entries
                if item["experiment"] == experiment.name and item["work"] != "finish"
            ]  # fmt: skip
            found += experiment.sheets(mine) if mine else []
        finished = [(item, result) for item, result in self.entries if item["work"] == "finish"]
        return [*found, *([finished_sheet(finished)] if finished else [])]

    def markdown(self) -> str:
        """All tables as markdown, with the commands above them."""
        lines = ["Commands:", "", *[f"    {command}" for command in self.commands], "", f"Seed {self.seed}.", ""]
        return "\n".join([*lines, "\n\n".join(sheet.markdown() for sheet in self.sheets())]) + "\n"

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON data, without the programs, which are in files."""
        return fields(SCHEMA, self.seed, self.commands, self.entries)

    def __str__(self) -> str:
        return "\n\n\n".join(sheet.text() for sheet in self.sheets())


def recorded(directory: Path, seed: int, command: str, asked: Sequence[Entry]) -> ProgramsStudy:
    """Add results to the record of a directory, and write it.

    Raises:
        ResumeError: the file there is not a record of this study.
    """
    commands, entries = earlier(directory / NAME, SCHEMA)
    kept = {dump_json(item, name="item"): (item, result) for item, result in entries}
    kept |= {dump_json(item, name="item"): (item, result) for item, result in asked}
    found = ProgramsStudy(
        directory=directory, seed=seed, commands=tuple(dict.fromkeys((*commands, command))),
        entries=tuple(kept.values()), asked=tuple(asked),
    )  # fmt: skip
    write_json(directory / NAME, found.to_dict())
    write_text(directory / "record.txt", f"{found}\n")
    write_text(directory / "record.md", found.markdown())
    return found
