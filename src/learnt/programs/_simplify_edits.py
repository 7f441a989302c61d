"""Edits that should change no answer: all at once if that holds, else one by one, each checked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import final

from learnt.programs._simplify_edit import Draft
from learnt.programs._simplify_judge import Judge
from learnt.programs._simplify_size import size
from learnt.programs._simplify_view import View
from learnt.programs.program import Program


@final
@dataclass(frozen=True)
class Edit:
    """A change of a draft.

    Attributes:
        note: what it does, in words.
        change: does it, and says whether it could; if not, the draft is of no use any more.
    """

    note: str
    change: Callable[[Draft], bool]


def applied(seen: View, edits: Sequence[Edit], judge: Judge) -> tuple[Program, tuple[str, ...]]:
    """(program, notes) after all edits that can be made, make the program smaller, and change no answer."""
    draft, notes = Draft(seen.program, seen), []
    for edit in edits:
        trial = draft.copy()
        if edit.change(trial):
            draft = trial
            notes.append(edit.note)
    if not notes:
        return seen.program, ()
    together = draft.done()
    if size(together) < size(seen.program) and judge.keeps(together):
        return together, tuple(notes)
    draft, notes = Draft(seen.program, seen), []
    for edit in edits:
        trial = draft.copy()
        if edit.change(trial):
            candidate = trial.done()
            if size(candidate) < size(draft.done()) and judge.keeps(candidate):
                draft = trial
                notes.append(edit.note)
    return draft.done() if notes else seen.program, tuple(notes)
