"""Which few modules of a program are enough, with the votes fitted again?

Forward: from no module, add the one (with all that it reads) that lowers the loss most for each module it brings, until
token accuracy is at the floor on training and on validation examples, each by itself. Backward: take modules out, those
first whose absence costs the fitted loss least, as long as accuracy stays there; from all modules if forward finds
nothing. Then simpler heads take the places of others. Forward runs over simpler heads alone, and over all modules
(`learnt.programs._simplify_pool`); the smallest result of all runs is taken. Nothing is drawn and no clock is read.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, final

import numpy as np

from learnt.programs._simplify_columns import Columns, Votes
from learnt.programs._simplify_edit import with_votes
from learnt.programs._simplify_pool import Pool, named, pool
from learnt.programs.program import Program

if TYPE_CHECKING:
    from learnt.programs._simplify_prune import Accuracy, Examples

_L2 = 1e-6
_CONFIRMED = 6  # candidates that are fitted, of all that are estimated
_SWAPPED = 2  # simpler heads that are tried in the place of one
_SHORT, _LONG = 20, 200  # steps of fits
_NEAR, _NEARER = 0.02, 0.003  # below the floor after a short fit on some examples, on all: not worth a long one
_PATIENCE = 5  # candidates in a row that fail before elimination ends
_LEAST = 1e-6  # loss that another module must save

Chosen = frozenset[str]


@final
@dataclass(frozen=True, kw_only=True)
class Selected:
    """A selection.

    Attributes:
        program: made of the modules selected.
        origins: which head of the original each head is made of that asks a simpler question.
    """

    program: Program
    origins: dict[str, str]

    def notes(self, original: Program) -> tuple[str, ...]:
        """What was taken."""
        kept = [m.name for _, _, m in self.program.modules() if m.name not in self.origins]
        total = sum(1 for _ in original.modules())
        stay = f"{len(kept)} of {total} modules stay" + (f": {', '.join(kept)}" if kept else "")
        return (stay, *(f"{name} is a simpler {origin}" for name, origin in self.origins.items()))


@final
class Selection:
    """Choices among the modules of a pool.

    Args:
        pool: the modules.
        known: training and validation examples.
        floor: the least accuracy.
    """

    def __init__(self, pool: Pool, known: Examples, floor: Accuracy) -> None:
        self.pool, self.floor, self._known = pool, floor, known
        self._enough: dict[Chosen, Votes | None] = {}

    @cached_property
    def _quick(self) -> Columns:
        return Columns(self.pool.program, self._known.quick)

    @cached_property
    def _train(self) -> Columns:
        return Columns(self.pool.program, self._known.train)

    @cached_property
    def _validation(self) -> Columns:
        return Columns(self.pool.program, self._known.validation)

    def program(self, votes: Votes) -> Selected:
        """The program with these votes."""
        program, origins = named(self.pool, with_votes(self.pool.program, votes))
        return Selected(program=program, origins=origins)

    def enough(self, chosen: Chosen, start: Votes) -> Votes | None:
        """The votes with which these modules reach the floor, as far as fits find them."""
        if chosen not in self._enough:
            self._enough[chosen] = self._fitted(chosen, start)
        return self._enough[chosen]

    def _fitted(self, chosen: Chosen, start: Votes) -> Votes | None:
        names = self.pool.voters(chosen)
        if self._quick.accuracy(self._quick.fit(names, start, l2=_L2, most=_SHORT)) < self.floor.train - _NEAR:
            return None
        votes = self._train.fit(names, start, l2=_L2, most=3 * _SHORT)
        if self._train.accuracy(votes) < self.floor.train - _NEARER:
            return None
        for l2 in (_L2, _L2 / 100):
            votes = self._train.fit(names, votes, l2=l2, most=_LONG)
            found = self._train.accuracy(votes)
            if found >= self.floor.train and self._validation.accuracy(votes) >= self.floor.validation:
                return votes
            if found < self.floor.train - _NEARER / 6:
                return None
        return None

    def forward(self, allowed: Iterable[str], most: int) -> Chosen | None:
        """Modules that are enough, fewer than `most` of them; None if that is not reached."""
        allowed = frozenset(allowed)
        chosen: Chosen = frozenset()
        votes = self._quick.fit(self.pool.voters(chosen), {}, l2=_L2, most=4 * _SHORT)
        loss = self._quick.loss(votes)
        while self.enough(chosen, votes) is None:
            gains = self._quick.gains(votes, sorted(allowed - chosen))
            found = []
            for name in gains:
                new = self.pool.closures[name] - chosen
                if len(chosen) + len(new) >= most or not new <= allowed:
                    continue
                price = sum(1.0 + self.pool.branches[other] / 1000 for other in new)
                found.append((-sum(gains[other] for other in new) / price, price, name))
            best: tuple[float, Chosen, Votes, float] | None = None
            for _, price, name in sorted(found)[:_CONFIRMED]:
                trial = chosen | self.pool.closures[name]
                tried = self._quick.fit(self.pool.voters(trial), votes, l2=_L2, most=_SHORT)
                now = self._quick.loss(tried)
                if best is None or (loss - now) / price > best[0]:
                    best = ((loss - now) / price, trial, tried, now)
            if best is None or best[0] < _LEAST:
                return None
            _, chosen, votes, loss = best
            votes = self._quick.fit(self.pool.voters(chosen), votes, l2=_L2, most=3 * _SHORT)
            loss = self._quick.loss(votes)
        return chosen

    def backward(self, chosen: Chosen, votes: Votes) -> tuple[Chosen, Votes]:
        """Fewer modules that are enough."""
        changed = True
        while changed and chosen:
            changed, failed = False, 0
            for trial in self._cheapest(chosen, votes):
                better = self.enough(trial, _of(votes, self.pool.voters(trial)))
                if better is not None:
                    chosen, votes, changed = trial, better, True
                    break
                failed += 1
                if failed == _PATIENCE:
                    break
        return chosen, votes

    def _cheapest(self, chosen: Chosen, votes: Votes) -> list[Chosen]:
        """The choices with one module less and all that need it, the least loss for each module saved first."""
        start = self._quick.loss(self._quick.fit(self.pool.voters(chosen), votes, l2=_L2, most=_SHORT))
        found = []
        for name in sorted(chosen):
            trial = self.pool.without(chosen, name)
            names = self.pool.voters(trial)
            loss = self._quick.loss(self._quick.fit(names, _of(votes, names), l2=_L2, most=_SHORT))
            saved = len(chosen) - len(trial)
            found.append(((loss - start) / (saved if loss > start else 1), name, trial))
        return [trial for *_, trial in sorted(found, key=lambda entry: entry[:2])]

    def simpler(self, chosen: Chosen, votes: Votes) -> tuple[Chosen, Votes]:
        """The same number of modules, with heads of fewer branches where that is enough."""
        for name in sorted(chosen, key=lambda name: (-self.pool.branches[name], name)):
            rest = self.pool.without(chosen, name)
            if len(rest) != len(chosen) - 1:
                continue
            least = [
                other
                for other in self.pool.modules
                if other not in chosen
                and self.pool.branches[other] < self.pool.branches[name]
                and self.pool.closures[other] <= rest | {other}
            ]
            names = self.pool.voters(rest)
            base = self._quick.fit(names, _of(votes, names), l2=_L2, most=_SHORT)
            gains = self._quick.gains(base, least)
            for other in sorted(least, key=lambda other: (-gains[other], other))[:_SWAPPED]:
                better = self.enough(rest | {other}, base)
                if better is not None:
                    chosen, votes = rest | {other}, better
                    break
        return chosen, votes


def selected(program: Program, known: Examples, floor: Accuracy, *, rewrite: bool) -> Selected | None:
    """The smallest program found that is enough; None if all modules with fitted votes are not.

    Args:
        program: whose modules are chosen among.
        known, floor: as `Selection`.
        rewrite: whether heads may ask simpler questions.
    """
    modules = pool(program, simpler=rewrite)
    selection = Selection(modules, known, floor)
    own = frozenset(modules.modules) - modules.simpler
    plain = frozenset(name for name in modules.simpler if modules.closures[name] <= modules.simpler)
    best: tuple[Chosen, Votes] | None = None
    for allowed, most in ((plain, len(own) // 2), (frozenset(modules.modules), len(own)))[0 if rewrite else 1 :]:
        chosen = selection.forward(allowed, most if best is None else len(best[0]))
        votes = None if chosen is None else selection.enough(chosen, {})
        if chosen is not None and votes is not None:
            best = selection.backward(chosen, votes)
    if best is None:
        start = {name: np.array(table) for name, table in program.classifier.items()}
        votes = selection.enough(own, start)
        if votes is None:
            return None
        best = selection.backward(own, votes)
    if rewrite:
        best = selection.simpler(*best)
    return selection.program(best[1])


def _of(votes: Votes, names: list[str]) -> Votes:
    return {name: votes[name] for name in names if name in votes}
