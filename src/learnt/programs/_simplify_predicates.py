"""Predicates as rules: wherever another key value leads to the same output, the one that reads best is taken.

For each query value the key values are found that, put in its place, leave the output of the head as it is at every
position of the domain: query values that never occur may look for anything, those that never find anything for
anything else that is never there. Among all such predicates the one with the fewest branches is chosen.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from learnt.programs._simplify_edit import Draft
from learnt.programs._simplify_edits import Edit
from learnt.programs._simplify_size import predicate_branches, rules
from learnt.programs._simplify_view import View, chunks
from learnt.programs.evaluator import evaluate, nearest, sums
from learnt.programs.program import Head


def predicates(seen: View) -> list[Edit]:
    """One edit a head whose predicate can be written in fewer branches, or need not ask another module."""
    program = seen.program
    own = {module.name for _, _, module in program.modules()}
    edits = []
    for head, allowed in equivalent_keys(seen).items():
        module = program.module(head)
        if not isinstance(module, Head):
            continue
        old, n_keys = np.array(module.predicate), program.cardinality[module.key]
        new = best_predicate(allowed, old)
        change: dict[str, object] = {}
        if predicate_branches(new, n_keys) < predicate_branches(old, n_keys):
            change = {"predicate": tuple(new.tolist())}
        if module.query in own and len(set(new.tolist())) == 1:  # the same question everywhere asks nobody
            change = {"query": "positions", "predicate": (int(new[0]),) * program.cardinality["positions"]}
        if change:
            edits.append(Edit(f"the predicate of {head} has fewer branches", _exchange(head, change)))
    return edits


def equivalent_keys(seen: View) -> dict[str, np.ndarray]:
    """(query values, key values) bool by head: whether that query value may look for that key value instead."""
    program = seen.program
    heads = [m for _, _, m in program.modules() if isinstance(m, Head)]
    allowed = {h.name: np.ones((len(h.predicate), program.cardinality[h.key]), bool) for h in heads}
    for part in chunks(seen.batch):
        if not heads:
            break
        found = evaluate(program, part, keep=True)
        n = int(part.lengths.max())
        real = found.real[:, :n].T
        variables = {name: np.ascontiguousarray(values[:, :n].T) for name, values in found.variables.items()}
        column = np.arange(len(part))
        for head in heads:
            queries, keys, values = (variables[name] for name in (head.query, head.key, head.value))
            n_keys = program.cardinality[head.key]
            for key in range(n_keys):
                wanted = np.full_like(queries, key)
                if head.value in program.cardinality:
                    place = nearest(wanted, keys, real, n_keys=n_keys, causal=program.causal)
                    out = values.ravel().take(place * len(part) + column)
                else:
                    out = sums(wanted, keys, values, real, n_keys=n_keys, causal=program.causal)
                wrong = queries[(out != variables[head.name]) & real]
                allowed[head.name][wrong, key] = False
    return allowed


def best_predicate(allowed: np.ndarray, old: np.ndarray) -> np.ndarray:
    """The predicate with the fewest branches among those allowed; of several the first of `rules`."""
    best, fewest = old, predicate_branches(old, allowed.shape[1])
    queries = np.arange(len(allowed))
    for rule in rules(*allowed.shape):
        candidate, left = rule.copy(), set(queries[~allowed[queries, rule]].tolist())
        while left and fewest > 1:
            covered = allowed[sorted(left)].sum(0)
            key = int(covered.argmax())
            chosen = [q for q in left if allowed[q, key]]
            candidate[chosen] = key
            left -= set(chosen)
        if not left and predicate_branches(candidate, allowed.shape[1]) < fewest:
            best, fewest = candidate, predicate_branches(candidate, allowed.shape[1])
    return best


def _exchange(name: str, change: dict) -> Callable[[Draft], bool]:
    def exchange(draft: Draft) -> bool:
        module = draft.modules.get(name)
        if not isinstance(module, Head) or module != draft.program.module(name):
            return False  # changed by another edit: next time
        draft.modules[name] = replace(module, **change)
        return True

    return exchange
