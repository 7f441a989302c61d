"""Is a program right? Against the oracle on the task's whole domain where it can be listed, and on the split.

    token accuracy      right scored positions / scored positions
    sequence accuracy   inputs without a wrong scored position / inputs with one     [spec 2.1, 2.4]

A headline of 99.8 % of tokens hides simple failures (the shipped sort of arXiv 2306.01128 turns 000000 into 000001),
so wrong inputs are counted exactly and shown shortest first. On a sample of a larger domain, the sequence accuracy has
the interval of Clopper and Pearson (1934), and the token accuracy that of a bootstrap over inputs, whose tokens are
not independent. Every label counts, also one that the program cannot give; the reference code drops those.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, final

import numpy as np

from learnt.core.errors import InputError, NotApplicable
from learnt.core.estimate import Estimate
from learnt.programs._frozen import integer, short
from learnt.programs._inputs import Inputs
from learnt.programs._verify_answers import Given, given, predictions, shortest_first
from learnt.programs._verify_bounds import interval, percent, probability
from learnt.programs.coverage import Coverage, coverage_of
from learnt.programs.program import PAD, Program
from learnt.programs.task import Task
from learnt.programs.task_domain import ENUMERABLE
from learnt.programs.task_encoding import UNSCORED, Tokens, encode_targets
from learnt.programs.task_metrics import SpanScore, sequence_accuracy, span_f1_of_ids, token_accuracy
from learnt.programs.task_split import Pairs
from learnt.run.seeds import numpy_generator

PARTS = ("train", "validation", "test")
_RESAMPLES = 2_000


@final
@dataclass(frozen=True, kw_only=True)
class Counterexample:
    """An input with a wrong answer.

    Attributes:
        tokens: the input.
        expected: the target, `<pad>` where nothing is scored; one label if the program pools.
        found: the program's labels.
        positions: where they differ.
    """

    tokens: Tokens
    expected: Tokens
    found: Tokens
    positions: tuple[int, ...]

    def __str__(self) -> str:
        shown = [label for label in self.expected if label != PAD]
        got = [label for label, right in zip(self.found, self.expected, strict=True) if right != PAD]
        return f"{' '.join(self.tokens)}: expected {' '.join(shown)}, found {' '.join(got)}"


@final
@dataclass(frozen=True, kw_only=True)
class Score:
    """How right a program is on some inputs.

    Attributes:
        n: inputs with a scored position.
        wrong: those with a wrong one.
        tokens: scored positions.
        wrong_tokens: wrong ones.
        token_accuracy, sequence_accuracy: shares of what is right.
        token_interval, sequence_interval: for a random sample, of the shares on all inputs; else None.
        spans: precision, recall and F1 of entities, for tasks whose metric they are; else None.
    """

    n: int
    wrong: int
    tokens: int
    wrong_tokens: int
    token_accuracy: float
    sequence_accuracy: float
    token_interval: tuple[float, float] | None = None
    sequence_interval: tuple[float, float] | None = None
    spans: SpanScore | None = None

    def __str__(self) -> str:
        def text(value: float, ends: tuple[float, float] | None) -> str:
            between = "" if ends is None else f" [{100 * ends[0]:.2f}, {100 * ends[1]:.2f}]"
            return f"{_floor(value)} %{between}"

        spans = "" if self.spans is None else f", entities F1 {100 * self.spans.f1:.2f} %"
        return (
            f"tokens {text(self.token_accuracy, self.token_interval)}, "
            f"sequences {text(self.sequence_accuracy, self.sequence_interval)}{spans}; "
            f"{self.wrong:,} of {self.n:,} inputs wrong"
        )

    def to_fields(self) -> dict[str, Any]:
        """Plain JSON data."""
        return {
            "n": self.n,
            "wrong": self.wrong,
            "tokens": self.tokens,
            "wrong_tokens": self.wrong_tokens,
            "token_accuracy": self.token_accuracy,
            "sequence_accuracy": self.sequence_accuracy,
            "token_interval": None if self.token_interval is None else list(self.token_interval),
            "sequence_interval": None if self.sequence_interval is None else list(self.sequence_interval),
            "spans": None if self.spans is None else self.spans._asdict(),
        }


class LengthScore(NamedTuple):
    """Inputs of one length: how many, how many wrong, scored positions, wrong ones."""

    length: int
    n: int
    wrong: int
    tokens: int
    wrong_tokens: int


@final
@dataclass(frozen=True, kw_only=True)
class Check:
    """How right a program is.

    Attributes:
        task: its name.
        kind: on which inputs counterexamples, confusion, lengths and branches were looked for: ``"exhaustive"``: the
            whole domain; ``"sampled"``: random inputs of it; ``"given"``: a list; ``"examples"``: the split, for a
            task without an oracle.
        score: on these inputs.
        parts: the scores on training, validation and test examples; empty if that was not asked.
        counterexamples: wrong inputs, without repetitions, shortest first, then in the order of the vocabulary; at
            most as many as asked for. `score.wrong` counts all.
        confusion: how often (expected, found) occurs at wrong positions, most frequent first.
        lengths: scores by the number of tokens of the input.
        coverage: the branches that these inputs reach.
        confidence: of intervals.
    """

    task: str
    kind: Literal["exhaustive", "sampled", "given", "examples"]
    score: Score
    parts: Mapping[str, Score]
    counterexamples: tuple[Counterexample, ...]
    confusion: tuple[tuple[str, str, int], ...]
    lengths: tuple[LengthScore, ...]
    coverage: Coverage
    confidence: float

    @property
    def right(self) -> bool:
        """Whether no input that was looked at is wrong; see `proved`."""
        return self.score.wrong == 0

    @property
    def proved(self) -> bool:
        """Whether no input of the domain is wrong: `right`, and none was left out."""
        return self.right and self.kind == "exhaustive"

    def __str__(self) -> str:
        which = {
            "exhaustive": "all inputs",
            "sampled": "random inputs",
            "given": "given inputs",
            "examples": "all examples",
        }[self.kind]
        lines = [f"{self.task}, {which}: {self.score}"]
        lines += [f"  {name:<10} {score}" for name, score in self.parts.items()]
        if self.kind == "sampled":
            lines.append(f"  in brackets: {percent(self.confidence)} intervals for inputs drawn alike")
        if self.counterexamples:
            lines.append("  shortest wrong inputs:")
            lines += [f"    {example}" for example in self.counterexamples[:5]]
            some = ", ".join(f"{found} for {wanted} ({n:,})" for wanted, found, n in self.confusion[:5])
            lines.append(f"  wrong labels: {some}")
            lines.append("  wrong by length: " + ", ".join(f"{s.length}: {s.wrong:,}/{s.n:,}" for s in self.lengths))
        lines.append(
            f"  branches reached: {self.coverage.reached:,} of {self.coverage.possible:,} "
            f"({percent(self.coverage.share)})"
        )
        return "\n".join(lines)

    def to_fields(self) -> dict[str, Any]:
        """Plain JSON data."""
        return {
            "task": self.task,
            "kind": self.kind,
            "score": self.score.to_fields(),
            "parts": {name: score.to_fields() for name, score in self.parts.items()},
            "counterexamples": [
                {
                    "tokens": list(c.tokens),
                    "expected": list(c.expected),
                    "found": list(c.found),
                    "positions": list(c.positions),
                }
                for c in self.counterexamples
            ],
            "confusion": [list(entry) for entry in self.confusion],
            "lengths": [s._asdict() for s in self.lengths],
            "coverage": self.coverage.to_fields(),
            "confidence": self.confidence,
        }


def check(
    program: Program,
    task: Task,
    *,
    domain: Inputs | None = None,
    most: int = ENUMERABLE,
    samples: int = 10_000,
    seed: int = 0,
    confidence: float = 0.95,
    shown: int = 10,
    parts: bool = True,
    split_seed: int = 0,
    unknown: str = "auto",
) -> Check:
    """How right a program is.

    Args:
        program: the program.
        task: has the oracle, the domain and the split. Without an oracle, all examples of the split are looked at.
        domain: other inputs to ask the oracle about: a domain, token lists, a `Batch`.
        most: the largest domain that is taken whole.
        samples, seed: how many inputs are drawn from a larger one, and from which stream.
        confidence: of intervals.
        shown: how many wrong inputs to return.
        parts: whether to score training, validation and test examples too.
        split_seed: of the split; the program's own, so that `test` is what it never saw.
        unknown: what to do with tokens outside the vocabulary; see `learnt.programs.tokens`.

    Raises:
        InputError, ShapeError: a program and a task that do not fit together, numbers out of range, a wrong domain.
        NotApplicable: a domain and no oracle; nothing to score.
    """
    for value, name, kind in ((program, "program", Program), (task, "task", Task)):
        if not isinstance(value, kind):
            raise InputError(name, found=short(value), expected=f"a {kind.__name__}")
    if program.pool != task.pool:
        one, other = ("one label an input", "one a token")[:: 1 if program.pool else -1]
        raise InputError("program", found=f"a program that gives {one}", expected=f"{other}, as the task")
    confidence = probability(confidence, "confidence")
    shown, most, samples = integer(shown, "shown", 0), integer(most, "most", 0), integer(samples, "samples", 1)
    options = {"most": most, "samples": samples, "seed": seed, "unknown": unknown}
    examples = task.split(split_seed) if parts or (task.oracle is None and domain is None) else None
    if task.oracle is None and domain is None and examples is not None:
        pairs = tuple(getattr(examples, name) for name in PARTS)
        everything = Pairs(
            inputs=sum((part.inputs for part in pairs), ()), targets=sum((part.targets for part in pairs), ())
        )
        asked = _Asked(program, task, given(program, everything.inputs, **options), everything)
        kind = "examples"
    else:
        inputs = given(program, task if domain is None else domain, **options)
        asked = _Asked(program, task, inputs, task.answer(inputs.rows))
        kind = inputs.kind
    scores = {}
    if parts and examples is not None:
        for name in PARTS:
            part: Pairs = getattr(examples, name)
            if len(part):
                scores[name] = _Asked(program, task, given(program, part.inputs, **options), part).score()
    return Check(
        task=task.name,
        kind=kind,
        score=asked.score(confidence, seed) if kind == "sampled" else asked.score(),
        parts=scores,
        counterexamples=asked.counterexamples(shown),
        confusion=asked.confusion(),
        lengths=asked.lengths(),
        coverage=coverage_of(program, asked.inputs.batch),
        confidence=confidence,
    )


class _Asked:
    """What a program answers to inputs with targets: (B, N) ids of labels each, (B, 1) if it pools."""

    def __init__(self, program: Program, task: Task, inputs: Given, pairs: Pairs) -> None:
        self.task, self.inputs, self.pairs = task, inputs, pairs
        self.names = list(dict.fromkeys((*program.labels, *task.labels)))
        self.found = predictions(program, inputs.batch)
        targets = encode_targets(pairs.targets, self.names, inputs.batch.ids.shape[1])
        self.targets = targets[:, :1] if program.pool else targets
        if not (self.targets != UNSCORED).any():
            raise NotApplicable("domain", found="no scored position", expected="at least one label")
        self.scored = self.targets != UNSCORED
        self.differs = self.scored & (self.found != self.targets)

    def score(self, confidence: float | None = None, seed: int = 0) -> Score:
        scored, wrong = self.scored.sum(1), self.differs.sum(1)
        n, failed = int((scored > 0).sum()), int((wrong > 0).sum())
        accuracy = token_accuracy(self.found, self.targets)
        ends = None
        if confidence is not None:
            kinds, counts = np.unique(np.stack([scored - wrong, scored], 1)[scored > 0], axis=0, return_counts=True)
            drawn = numpy_generator(seed, "check", "tokens").multinomial(n, counts / n, size=_RESAMPLES) @ kinds
            shares = drawn[:, 0] / drawn[:, 1]
            found = Estimate.from_draws(accuracy, shares, level=confidence, n=n, low=0.0, high=1.0)
            ends = found.low, found.high
        return Score(
            n=n,
            wrong=failed,
            tokens=int(scored.sum()),
            wrong_tokens=int(wrong.sum()),
            token_accuracy=accuracy,
            sequence_accuracy=sequence_accuracy(self.found, self.targets),
            token_interval=ends,
            sequence_interval=None if confidence is None else interval(n - failed, n, confidence),
            spans=span_f1_of_ids(self.found, self.targets, self.names) if self.task.metric == "spans" else None,
        )

    def counterexamples(self, shown: int) -> tuple[Counterexample, ...]:
        rows = np.flatnonzero(self.differs.any(1))
        return tuple(
            Counterexample(
                tokens=self.inputs.rows[row],
                expected=self.pairs.targets[row][: self._width(row)],
                found=tuple(self.names[i] for i in self.found[row, : self._width(row)].tolist()),
                positions=tuple(np.flatnonzero(self.differs[row]).tolist()),
            )
            for row in shortest_first(self.inputs.batch, rows)[:shown]
        )

    def _width(self, row: int) -> int:
        return 1 if self.task.pool else int(self.inputs.batch.lengths[row])

    def confusion(self) -> tuple[tuple[str, str, int], ...]:
        pairs = Counter(zip(self.targets[self.differs].tolist(), self.found[self.differs].tolist(), strict=True))
        ordered = sorted(pairs.items(), key=lambda item: (-item[1], item[0]))
        return tuple((self.names[wanted], self.names[found], n) for (wanted, found), n in ordered)

    def lengths(self) -> tuple[LengthScore, ...]:
        lengths, scored, wrong = self.inputs.batch.lengths, self.scored.sum(1), self.differs.sum(1)
        return tuple(
            LengthScore(
                length=n,
                n=int((rows & (scored > 0)).sum()),
                wrong=int((wrong[rows] > 0).sum()),
                tokens=int(scored[rows].sum()),
                wrong_tokens=int(wrong[rows].sum()),
            )
            for n in np.unique(lengths).tolist()
            for rows in (lengths == n,)
        )


def _floor(share: float) -> str:
    """A share in per cent that is 100.00 only if nothing is wrong."""
    return "100" if share == 1 else f"{min(np.floor(1e4 * share) / 100, 99.99):.2f}"
