"""Which modules can a prediction depend on at all? The read graph is part of the text, so the slice is exact.

A variable decides if its votes, seen as leads of one label over another, depend on its value; a module is live if a
variable that decides is its output, or if a live module reads it.
"""

from __future__ import annotations

import numpy as np

from learnt.programs._verify_possible import possible_values
from learnt.programs.program import Head, Module, Program


def reads(module: Module) -> tuple[str, ...]:
    """The variables that a module reads, in its own order."""
    return (module.query, module.key, module.value) if isinstance(module, Head) else tuple(module.inputs)


def deciding(program: Program) -> tuple[str, ...]:
    """The variables whose votes can turn a prediction, in stream order."""
    allowed = [label for label in range(len(program.labels)) if label not in program.masked_labels]
    values = possible_values(program)
    found = []
    for name, votes in program.classifier.items():
        table = np.array(votes)[..., allowed]
        leads = table - table[..., :1]
        if name in program.cardinality:
            leads = leads[values[name]]
            turns = len(leads) > 1 and bool((leads != leads[0]).any())
        else:
            turns = name != "ones" and bool(leads.any())
        if turns:
            found.append(name)
    return tuple(found)


def upstream(program: Program, variables: tuple[str, ...], *, cut: frozenset[str] = frozenset()) -> tuple[str, ...]:
    """The modules that these variables depend on, in stream order; what is in `cut` depends on nothing."""
    needed = set(variables) - cut
    found = []
    for _, _, module in reversed(list(program.modules())):
        if module.name in needed:
            found.append(module.name)
            needed |= set(reads(module)) - cut
    return tuple(reversed(found))


def live(program: Program) -> tuple[str, ...]:
    """The modules that a prediction can depend on, in stream order."""
    return upstream(program, deciding(program))
