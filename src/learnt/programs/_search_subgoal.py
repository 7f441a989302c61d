"""What should be marked, so that a head finds it? A target for positions, made from the targets of the task.

A head can copy the right value only if the key tells where it is. From the examples it is known where that would be:
the positions that hold the value which the label asks for. So the query value of a position that wants a value becomes
the target of the positions that hold it, and a smaller program is grown for this target, of counting heads only.
Its classifier is linear in counts, which a numerical MLP computes exactly (counts are not negative, so the ReLU does
nothing). This MLP is the key of the new head.
"""

from __future__ import annotations

from dataclasses import replace
from time import monotonic
from typing import Any

import numpy as np

from learnt.programs._search_data import Data
from learnt.programs._search_grow import measured, step
from learnt.programs._search_growth import Growth, inputs_of
from learnt.programs._search_proposals import Proposal
from learnt.programs._search_stream import Stream
from learnt.programs.program import Head, Module, NumMLP, ReluNet
from learnt.programs.task_encoding import UNSCORED


def value_asked(data: Data, values: np.ndarray, size: int, n_labels: int, *, least: float = 0.1) -> np.ndarray:
    """(C,) for each label the value that is present more often where the label is right; -1 where none is.

    Args:
        data: the examples.
        values: (N, B) a variable.
        size: its cardinality.
        n_labels: C.
        least: by how much more often, as a share of the places.
    """
    n, b = values.shape
    present = np.zeros((b, size + 1), dtype=bool)
    present[np.arange(b), np.where(data.real, values, size)] = True
    rows = present[data.places % b, :size].astype(float)
    base = rows.mean(0)
    asked = np.full(n_labels, -1)
    for label in range(n_labels):
        where = data.labels == label
        if where.any():
            lift = rows[where].mean(0) - base
            if lift.max() >= least:
                asked[label] = int(lift.argmax())
    return asked


def marks(data: Data, queries: np.ndarray, values: np.ndarray, asked: np.ndarray) -> np.ndarray:
    """(B, N) the query value of the nearest place that asks for what a position holds; -1 where nobody does."""
    n, b = values.shape
    out = np.full((b, n), UNSCORED)
    wanted = np.full((n, b), -2)
    wanted.ravel()[data.places] = asked[data.labels]
    wanted[wanted == -1] = -2
    for distance in range(n - 1, -1, -1):
        for i, j in ((j + d, j) for j in range(n) for d in (distance, -distance) if 0 <= j + d < n):  # left wins
            same = (wanted[i] == values[j]) & data.real[j]
            out[same, j] = queries[i, same]
    return out


def subgoal(growth: Growth, stream: Stream, query: str, value: str) -> Data | None:
    """The examples of a stream with marks as targets; None if labels ask for no value."""
    size, asks = int(stream.sizes[value] or 1), int(stream.sizes[query] or 1)
    asked = value_asked(growth.wide.data, growth.wide.array(value), size, len(growth.frame.labels))
    if (asked < 0).all():
        return None
    targets = marks(stream.data, stream.array(query), stream.array(value), asked)
    if not (targets != UNSCORED).any() or asks > growth.frame.k:
        return None
    return replace(stream.data, targets=targets)


def begin(growth: Growth, query: str, value: str) -> Growth | None:
    """A program for the marks, which has the modules of the other one up to the layer before the last."""
    wide, narrow = (subgoal(growth, stream, query, value) for stream in (growth.wide, growth.narrow))
    if wide is None or narrow is None or growth.shape.layers < 2:
        return None
    frame = replace(growth.frame, labels=tuple(str(i) for i in range(growth.frame.k)), masked=())
    shape = replace(growth.shape, limits=growth.shape.limits[:-1])
    sub = Growth(frame, shape, wide, narrow, l2=0.1 * growth.l2, numbers=True)
    kept = [name for name in growth.modules if growth.placed[name][0] < shape.layers]
    for name in kept:
        sub.modules[name], sub.sizes[name] = growth.modules[name], growth.sizes[name]
        sub.placed[name] = growth.placed[name]
        for stream in (sub.wide, sub.narrow):
            stream.declare(growth.modules[name], growth.sizes[name])
    sub.counter = growth.counter
    sub.refit()
    return sub


def marker(sub: Growth, name: str = "_mark") -> NumMLP | None:
    """The linear classifier of a program of counts, as a numerical MLP; None if nothing votes."""
    votes = {n: np.asarray(v, dtype=float) for n, v in sub.votes.items() if n != "ones" and np.abs(v).max() > 0}
    if not votes:
        return None
    names = tuple(votes)
    offset = np.asarray(sub.votes.get("ones", np.zeros(len(sub.frame.labels))), dtype=float)
    seen = np.bincount(sub.wide.data.labels, minlength=len(offset)) > 0
    offset = np.where(seen, offset, offset.min() - 1e3)
    net = ReluNet(
        W_in=np.eye(len(names)).tolist(), b_in=[0.0] * len(names),
        W_out=np.stack([votes[n] for n in names], 1).tolist(), b_out=offset.tolist(),
    )  # fmt: skip
    return NumMLP(inputs=names, weights=net, name=name)


def find_lookup(
    growth: Growth, rng: np.random.Generator, *, steps: int, tries: int, width: int, pool: int, adds: int, until: float
) -> Proposal | None:
    """The best head that looks for marks, with the counting program that makes them; None if no label asks for a value.

    All pairs of a query and a value among the input variables begin, and the one whose head gains most goes on. Which
    counts are found first decides how far it gets, so this is tried a few times, and the best goes on to the end.

    Args:
        growth: the program that lacks such a head; it stays as it is.
        rng: draws what is proposed.
        steps: screenings of the program for the marks; three in a row without effect end it earlier.
        tries: programs for the marks that are grown for a third of the steps.
        width, pool, adds, until: as `learnt.programs._search_grow.step`.
    """
    at = growth.slope(growth.wide)

    def go_on(sub: Growth, steps: int) -> None:
        failed, before = 0, sub.tried
        for _ in range(steps):
            added = step(sub, rng, width=width, pool=pool, dear=0.0, free=True, until=until, short=8, adds=adds)
            failed = 0 if added else failed + 1
            if failed == 3 or monotonic() > until:
                break
        growth.tried += sub.tried - before

    best: tuple[float, str, str] | None = None
    for query in growth.inputs:
        for value in growth.inputs:
            sub = begin(growth, query, value)
            if sub is None:
                continue
            go_on(sub, 1)
            found = lookup(growth, sub, query, value)
            if found is not None and growth.fit_in(found.modules) is not None:
                gain = measured(growth, found, at)
                if best is None or gain > best[0]:
                    best = (gain, query, value)
    if best is None:
        return None
    _, query, value = best
    rivals = [sub for sub in (begin(growth, query, value) for _ in range(tries)) if sub is not None]
    for sub in rivals:
        go_on(sub, -(-steps // 3))
    sub = min(rivals, key=lambda one: one.score()[0])
    go_on(sub, steps - -(-steps // 3))
    sub.refit(300)
    found = lookup(growth, sub, query, value)
    if found is None or growth.fit_in(found.modules) is None:
        return None
    gain = measured(growth, found, at)
    return replace(found, gain=gain) if gain > 2.0 * len(found.modules) else None


def lookup(growth: Growth, sub: Growth, query: str, value: str) -> Proposal | None:
    """The head that finds marked positions, with all modules that the marks need and the program does not have."""
    mlp = marker(sub)
    if mlp is None:
        return None
    needed: dict[str, tuple[Module, int | None]] = {}

    def need(module: Module) -> None:
        for name in inputs_of(module):
            if name in sub.modules and name not in growth.modules and name not in needed:
                need(sub.modules[name])
                needed[name] = (sub.modules[name], sub.sizes[name])

    need(mlp)
    k, asks = growth.frame.k, int(growth.wide.sizes[query] or 1)
    head = Head(query=query, key=mlp.name, value=value, predicate=tuple(range(asks)), name="_head")
    modules: tuple[tuple[Any, int | None], ...] = (*needed.values(), (mlp, k), (head, growth.wide.sizes[value]))
    return Proposal(kind="lookup", reads=(query, value), gain=0.0, modules=modules)
