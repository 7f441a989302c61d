"""Modules with one output on the whole domain: their votes become a bias, their readers do without them."""

from __future__ import annotations

from learnt.programs._simplify_edit import Draft
from learnt.programs._simplify_edits import Edit
from learnt.programs._simplify_view import View


def constants(seen: View) -> list[Edit]:
    """One edit a module with a constant output, in stream order."""
    edits = []
    for _, _, module in seen.program.modules():
        values, _ = seen.occurring(module.name)
        if len(values) == 1:
            edits.append(Edit(f"{module.name} is always {values[0]}", _folding(module.name, int(values[0]))))
    return edits


def _folding(name: str, value: int):
    def fold(draft: Draft) -> bool:
        return name not in draft.modules or draft.fold(name, value)

    return fold
