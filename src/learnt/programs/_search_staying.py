"""What if an answer, once given, stays for good? Learn when it comes first, and look back for that.

In a causal task a label may stay: F, once it occurred, at every later position (a string that is broken stays broken).
A program that learns all positions at once must know the first F from far away, and modules that compute it are only
right before it. So first a program is grown on the positions up to the first such label. Then tables, the flags, say
where it comes first, and a head for each flag looks for it at any earlier position. What modules say after the first
such label no longer matters.

A flag is the linear classifier of a few categorical variables, as one table: entries that no example shows get the
sum of the votes of their parts, and are not guessed. The threshold weighs false flags much more than missed ones.
"""

from __future__ import annotations

from dataclasses import replace
from math import prod

import numpy as np

from learnt.programs._search_data import Data
from learnt.programs._search_gain import RIDGE, added, gain_of_votes, slope
from learnt.programs._search_growth import Growth, Shape
from learnt.programs._search_linear import Voter, fitted, logits_of
from learnt.programs._search_stream import Stream
from learnt.programs.program import Head, TableMLP
from learnt.programs.task_encoding import UNSCORED

CELLS = 70_000  # entries of a flag
FALSE = 30.0  # a false flag costs as much as so many missed ones: it spoils all that follows


def staying_label(data: Data, *, least: int = 20) -> int | None:
    """The label that is never followed by another one; None if there is none.

    Args:
        data: the examples.
        least: later positions that must show it, and positions before it that show another label.

    Returns:
        Of several the one with most later positions.
    """
    best: tuple[int, int] | None = None
    scored = data.targets != UNSCORED
    for label in np.unique(data.labels):
        after = _after_first(data, int(label)) & scored
        others = scored & ~after & (data.targets != label)
        if after.sum() >= least and others.sum() >= least and (data.targets[after] == label).all():
            best = max(best or (0, 0), (int(after.sum()), int(label)))
    return None if best is None else best[1]


def until_first(data: Data, label: int) -> Data:
    """The same examples, with nothing scored after the first position with a label."""
    return replace(data, targets=np.where(_after_first(data, label), UNSCORED, data.targets))


def first_growth(growth: Growth, label: int) -> Growth | None:
    """A program to be grown on positions up to the first such label, two layers smaller; None if there is no room."""
    if growth.shape.layers < 3:
        return None
    shape = Shape(limits=growth.shape.limits[:-2])
    return Growth(
        growth.frame, shape, *(until_first(s.data, label) for s in (growth.wide, growth.narrow)), l2=growth.l2
    )


def flag(
    stream: Stream, names: list[str], places: np.ndarray, wanted: np.ndarray, left: np.ndarray, *, most: int = 4
) -> tuple[TableMLP, int]:
    """The table that says where a label comes first, and what it gets right less what it gets wrong.

    Args:
        stream: examples.
        names: categorical variables that it may read.
        places: (R,) flat places in arrays (N, B) where it must be right.
        wanted: (R,) bool, whether the label comes first there.
        left: (R,) bool, those of them that should be flagged; other wanted ones may be.
        most: variables that it may read; each is the one that helps most beside those before it.
    """
    kept = np.flatnonzero(~wanted | left)
    places, target = places[kept], left[kept].astype(np.int64)
    weights = stream.data.weights[places % len(stream.data)]
    ones = Voter(name="ones", values=np.ones(len(kept), dtype=np.int64), size=None)
    chosen: list[Voter] = []
    votes = fitted([ones], target, weights, n_labels=2, l2=1e-6, most=30)
    while len(chosen) < most:
        at = slope(logits_of([*chosen, ones], votes, 2), target, weights)
        taken, room = {v.name for v in chosen}, CELLS // prod(v.size or 1 for v in chosen)
        options = [
            Voter(name=n, values=stream.array(n).ravel()[places], size=stream.sizes[n])
            for n in names if n not in taken and int(stream.sizes[n] or 1) <= room
        ]  # fmt: skip
        gains = [_gain(v, at.both) for v in options]
        if not gains:
            break
        near = [options[i] for i in np.argsort(gains)[::-1][:6]]
        exact = [gain_of_votes(v.values, v.size or 1, at) for v in near]
        if max(exact) < 5.0:
            break
        chosen.append(near[int(np.argmax(exact))])
        votes = fitted([*chosen, ones], target, weights, n_labels=2, l2=1e-6, start=votes, most=60)
    if not chosen:
        return TableMLP(inputs=(names[0],), table=(0,) * int(stream.sizes[names[0]] or 1), name="_flag"), 0
    parts = [np.asarray(votes[v.name]) @ np.array([-1.0, 1.0]) for v in chosen]
    total = parts[0]
    for part in parts[1:]:
        total = (total[:, None] + part).ravel()
    entry = chosen[0].values
    for voter in chosen[1:]:
        entry = entry * voter.size + voter.values
    score = total[entry]
    order = np.argsort(-score, kind="stable")
    worth = np.cumsum(np.where(target[order] == 1, 1.0, -FALSE))
    ends = np.r_[np.flatnonzero(np.diff(score[order]) != 0), len(order) - 1]  # equal scores stay together
    end = int(ends[worth[ends].argmax()])
    if worth[end] <= 0:
        return TableMLP(inputs=(names[0],), table=(0,) * int(stream.sizes[names[0]] or 1), name="_flag"), 0
    below = score[order[end + 1]] if end + 1 < len(order) else score[order[end]] - 1.0
    table = total > 0.5 * (score[order[end]] + below)
    inputs = tuple(v.name for v in chosen)
    return TableMLP(inputs=inputs, table=tuple(table.astype(int).tolist()), name="_flag"), int(worth[end])


def with_flags(growth: Growth, first: Growth, label: int, *, most: int = 4) -> list[TableMLP]:
    """Put what was grown first into a program, and flags with the heads that look back for them; fit the classifier.

    Args:
        growth: the program for all positions, still empty.
        first: of `first_growth`, grown.
        label: the label that stays.
        most: flags; each is made for those first occurrences that the others missed.
    """
    for name in sorted(first.modules, key=lambda n: int(n[1:])):
        growth.modules[name], growth.sizes[name] = first.modules[name], first.sizes[name]
        growth.placed[name] = first.placed[name]
        for stream in (growth.wide, growth.narrow):
            stream.declare(first.modules[name], first.sizes[name])
    growth.counter = first.counter
    places, wanted = _judged(growth.wide.data, label)
    left = wanted.copy()
    made: list[TableMLP] = []
    query = growth.inputs[0]
    for _ in range(most):
        if not left.any():
            break
        table, worth = flag(first.wide, first.categorical(), places, wanted, left)
        if worth < max(3, 0.001 * left.sum()):
            break
        head = Head(query=query, key="_flag", value="_flag", predicate=(1,) * int(growth.wide.sizes[query] or 1))
        chain = [(table, 2), (replace(head, name="_before"), 2)]
        room = growth.fit_in(chain)
        if room is None:
            break
        growth.add(chain, room)
        made.append(table)
        left = left & ~np.array(table.table, dtype=bool)[first.wide.entries(table.inputs).ravel()[places]]
    growth.refit()
    return made


def _judged(data: Data, label: int) -> tuple[np.ndarray, np.ndarray]:
    """Flat places in arrays (N, B) up to the first one with a label, and whether that is it.

    Positions without a score are among them: a head that finds no flag reads position 0, which must not have one.
    """
    places = np.flatnonzero(data.real & ~_after_first(data, label).T)
    return places, (data.targets == label).T.ravel()[places]


def _after_first(data: Data, label: int) -> np.ndarray:
    """(B, N) bool: positions after the first one with a label."""
    here = data.targets == label
    return np.cumsum(here, 1) - here > 0


def _gain(voter: Voter, both: np.ndarray) -> float:
    sums = added(voter.values, int(voter.size or 1), both)
    half = both.shape[1] // 2
    return float((sums[:, :half] ** 2 / (sums[:, half:] + RIDGE)).sum())
