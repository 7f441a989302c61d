"""Modules that say what an earlier variable already says: their readers read that one instead.

If x = f(y) on the domain, then queries, table inputs and votes of x can be written in terms of y, whatever f is; keys
can if f is a bijection; a head that carries x carries y instead, and its own readers are rewritten in turn. Two
modules with the same partition are the case where f is a bijection.
"""

from __future__ import annotations

from learnt.programs._simplify_edit import Draft
from learnt.programs._simplify_edits import Edit
from learnt.programs._simplify_view import View


def merges(seen: View) -> list[Edit]:
    """One edit a module whose output is a function of an earlier variable, last modules first."""
    program = seen.program
    draft = Draft(program)
    stages = {name: draft.stage(name) for name in seen.variables}
    edits = []
    for group, edit_of in ((program.categorical, _categorical), (program.numerical, _numerical)):
        for index in range(len(group) - 1, -1, -1):
            name = group[index]
            if name not in draft.modules or len(seen.occurring(name)[0]) == 1:
                continue
            earlier = [other for other in group if other != name and stages[other] <= stages[name]]
            earlier = [o for o in earlier if stages[o] < stages[name] or group.index(o) < index]
            edits.append(edit_of(seen, name, earlier))
    return [edit for edit in edits if edit is not None]


def _categorical(seen: View, name: str, earlier: list[str]) -> Edit | None:
    functions = {other: seen.function(name, of=other) for other in earlier}
    found = {other: function for other, function in functions.items() if function is not None}
    if not found:
        return None

    def change(draft: Draft) -> bool:
        before = draft.copy()
        for other, function in found.items():
            trial = before.copy()
            if trial.substitute(name, other, function):
                draft.modules, draft.votes, draft._changed = trial.modules, trial.votes, trial._changed
                return True
        return False

    return Edit(f"{name} is a function of {' and of '.join(list(found)[:3])}", change)


def _numerical(seen: View, name: str, earlier: list[str]) -> Edit | None:
    for other in earlier:
        if (seen.variables[name] == seen.variables[other]).all():

            def change(draft: Draft, by: str = other) -> bool:
                if by not in draft.modules and by != "ones":
                    return False
                draft.substitute_number(name, by)
                return True

            return Edit(f"{name} equals {other}", change)
    return None
