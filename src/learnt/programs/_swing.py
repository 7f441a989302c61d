"""Whose votes make two programs disagree? The change of the margin, variable by variable.

Where a says y and b says z, let m(p) = logit_y - logit_z in program p: at least 0 in a, at most 0 in b. Logits are sums
of votes, so

    m(b) - m(a) = sum over matched variables of (their votes for y minus z in b, less those in a)

exactly, up to rounding. Summed over all positions that disagree, the terms say which modules moved the decision.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from learnt.programs._match import Match
from learnt.programs.evaluator import Evaluation


class Swing(NamedTuple):
    """What one variable, or two matched ones, contributed to the change of the margins.

    Attributes:
        a, b: names of the variables, None where only one program has one.
        total: sum over the disagreeing positions; negative: towards the answers of b.
        share: of the sum over all variables.
    """

    a: str | None
    b: str | None
    total: float
    share: float


def swings(a: Evaluation, b: Evaluation, match: Match, apart: np.ndarray) -> tuple[tuple[Swing, ...], int]:
    """(contributions, largest first, and at how many positions), where two programs disagree.

    Args:
        a, b: both evaluated on the same inputs, with their variables.
        match: what corresponds to what.
        apart: (n, N) bool, where they disagree; (n, 1) if they pool.

    Positions where one program does not know, or never gives, the label of the other have no margin and do not count.
    """
    rows, columns = np.nonzero(apart)
    says_a, says_b = (_at(x, rows, columns) for x in (a, b))
    in_b, in_a = (_translated(x.program.labels, y.program.labels) for x, y in ((a, b), (b, a)))
    known = (in_b[says_a] >= 0) & (in_a[says_b] >= 0)
    known &= ~np.isin(in_b[says_a], b.program.masked_labels) & ~np.isin(in_a[says_b], a.program.masked_labels)
    rows, columns, says_a, says_b = rows[known], columns[known], says_a[known], says_b[known]
    if not len(rows):
        return (), 0
    mine = _margins(a, rows, columns, says_a, in_a[says_b])
    theirs = _margins(b, rows, columns, in_b[says_a], says_b)
    found: list[tuple[str | None, str | None, float]] = []
    used = set()
    for name, value in mine.items():
        other = match.partner.get(name)
        used.add(other)
        found.append((name, other if other in theirs else None, theirs.get(other or "", 0.0) - value))
    found += [(_back(match, name), name, value) for name, value in theirs.items() if name not in used]
    total = sum(value for _, _, value in found)
    listed = [Swing(x, y, value, value / total if total else 0.0) for x, y, value in found if value]
    return tuple(sorted(listed, key=lambda swing: -abs(swing.total))), len(rows)


def _back(match: Match, name: str) -> str | None:
    return next((mine for mine, other in match.partner.items() if other == name), None)


def _at(found: Evaluation, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    return found.predictions[rows] if found.program.pool else found.predictions[rows, columns]


def _translated(labels: tuple[str, ...], others: tuple[str, ...]) -> np.ndarray:
    """(labels,) index among other labels, -1 where there is none."""
    place = {label: i for i, label in enumerate(others)}
    return np.array([place.get(label, -1) for label in labels])


def _margins(
    found: Evaluation, rows: np.ndarray, columns: np.ndarray, up: np.ndarray, down: np.ndarray
) -> dict[str, float]:
    """Votes of each variable for labels `up` minus `down`, summed over positions (or means over pooled inputs)."""
    margins = {}
    for name, votes in found.program.classifier.items():
        table = np.array(votes)
        values = found.variables[name]
        if found.program.pool:
            total = 0.0
            for row, y, z in zip(rows.tolist(), up.tolist(), down.tolist(), strict=True):
                at = values[row, : found.batch.lengths[row]]
                difference = table[..., y] - table[..., z]
                total += float(np.mean(difference[at] if table.ndim == 2 else difference * at))
            margins[name] = total
            continue
        at = values[rows, columns]
        picked = table[at] if table.ndim == 2 else table * at[:, None]
        index = np.arange(len(rows))
        margins[name] = float((picked[index, up] - picked[index, down]).sum())
    return margins
