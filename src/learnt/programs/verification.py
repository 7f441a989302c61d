"""Does a model say what the program says? All inputs where they can be listed, else a sample and what it allows.

    exhaustive   every input of a finite domain: `equal` is a proof
    sampled      x of n independent draws disagree: with `confidence`, at most the share
                 p with P(Bin(n, p) <= x) = 1 - confidence of such inputs does; x = 0: 1 - (1 - confidence)^(1/n) ~ 3/n
    given        a list of inputs: the statement is about these

The bound is that of Clopper and Pearson (1934), one-sided, for inputs drawn as the domain draws them. The authors of
arXiv 2306.01128 state that their printed programs are the trained models; in four ways they are not (spec 3.2), which
is why it is measured here.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, final

import numpy as np

from learnt.core.errors import InputError, NotApplicable, ShapeError
from learnt.programs._frozen import integer, short
from learnt.programs._inputs import Inputs
from learnt.programs._verify_answers import (
    Given,
    Kind,
    Scored,
    answers,
    array_of,
    batch_for,
    given,
    pieces,
    predictions,
    scored_positions,
    shortest_first,
)
from learnt.programs._verify_bounds import percent, probability, upper
from learnt.programs.evaluator import evaluate
from learnt.programs.program import Program
from learnt.programs.task_domain import ENUMERABLE, Domain, large, number_of_words, words_over
from learnt.programs.task_encoding import Tokens
from learnt.run.seeds import numpy_generator


@final
@dataclass(frozen=True, kw_only=True)
class Disagreement:
    """An input with two answers.

    Attributes:
        tokens: the input.
        program, model: the labels of each: one a token, or one if the program pools.
        positions: where they differ, among the positions compared.
    """

    tokens: Tokens
    program: Tokens
    model: Tokens
    positions: tuple[int, ...]

    def __str__(self) -> str:
        return f"{' '.join(self.tokens)}: program {' '.join(self.program)}, model {' '.join(self.model)}"

    def to_fields(self) -> dict[str, Any]:
        """Plain JSON data."""
        return {
            "tokens": list(self.tokens),
            "program": list(self.program),
            "model": list(self.model),
            "positions": list(self.positions),
        }


@final
@dataclass(frozen=True, kw_only=True)
class Equivalence:
    """How far a program and a model give the same answers.

    Attributes:
        kind: ``"exhaustive"``: all inputs of the domain; ``"sampled"``: random ones; ``"given"``: a list.
        n: inputs compared.
        tokens: positions compared.
        disagreements: inputs with another answer at a compared position.
        disagreeing_tokens: such positions.
        examples: some of these inputs, without repetitions, shortest first, then in the order of the vocabulary.
        bound: the share of inputs that disagree: exact, or with `confidence` at most; None for a list of inputs.
        confidence: of the bound of a sample.
        largest_difference: of any two logits at a compared position; None if that was not asked.
    """

    kind: Kind
    n: int
    tokens: int
    disagreements: int
    disagreeing_tokens: int
    examples: tuple[Disagreement, ...]
    bound: float | None
    confidence: float
    largest_difference: float | None = None

    @property
    def equal(self) -> bool:
        """Whether no compared input disagrees; see `proved`."""
        return self.disagreements == 0

    @property
    def proved(self) -> bool:
        """Whether no input of the domain disagrees: `equal`, and none was left out."""
        return self.equal and self.kind == "exhaustive"

    @property
    def share(self) -> float:
        """The share of the compared inputs that disagree."""
        return self.disagreements / self.n

    def __str__(self) -> str:
        which = {
            "exhaustive": "all {} inputs of the domain",
            "sampled": "{} inputs drawn at random",
            "given": "the {} given inputs",
        }
        scope = which[self.kind].format(f"{self.n:,}")
        if self.equal:
            lines = [f"Same answers on {scope} ({self.tokens:,} labels compared)."]
        else:
            lines = [
                f"Different answers on {self.disagreements:,} ({percent(self.share)}) of {scope},",
                f"at {self.disagreeing_tokens:,} of {self.tokens:,} labels compared.",
            ]
        if self.kind == "sampled" and self.bound is not None:
            lines.append(
                f"With {percent(self.confidence)} confidence, at most {percent(self.bound)} of such inputs differ."
            )
        if self.largest_difference is not None:
            lines.append(f"Largest difference of logits: {self.largest_difference:.3g}.")
        if self.examples:
            lines.append(f"Shortest: {self.examples[0]}")
        return "\n".join(lines)

    def to_fields(self) -> dict[str, Any]:
        """Plain JSON data."""
        return {
            "kind": self.kind,
            "n": self.n,
            "tokens": self.tokens,
            "disagreements": self.disagreements,
            "disagreeing_tokens": self.disagreeing_tokens,
            "examples": [example.to_fields() for example in self.examples],
            "bound": self.bound,
            "confidence": self.confidence,
            "largest_difference": self.largest_difference,
        }


def verify(
    program: Program,
    model: Any,
    domain: Inputs | None = None,
    *,
    scored: Scored | None = None,
    most: int = ENUMERABLE,
    samples: int = 10_000,
    seed: int = 0,
    confidence: float = 0.95,
    shown: int = 10,
    logits: bool = False,
    unknown: str = "auto",
) -> Equivalence:
    """Whether a model answers as a program does.

    Args:
        program: the program.
        model: another `Program`; a function from one tuple of tokens to its labels, one a token (or one, if the program
            pools); a network that reads (B, N) ids of tokens and returns (B, N, n_labels) logits ((B, n_labels)); or
            anything with ``predict_ids(ids, lengths)``, which gets (B, N) ids and (B,) lengths and returns (B, N) ids
            of labels ((B,)). Ids are the program's, or those of the model's own ``vocab`` and ``labels``.
        domain: a domain, a task, token lists or a `Batch`. By default all sequences over the program's vocabulary, if
            there are at most `most`.
        scored: which positions count: all by default; those that a `Task` scores; or those for which a function from
            tokens to one flag a token says so.
        most: the largest domain that is taken whole.
        samples, seed: how many inputs are drawn from a larger one, and from which stream.
        confidence: of the bound that a sample gives.
        shown: how many disagreeing inputs to return.
        logits: whether to compare logits too: of a program with the same labels, or of an object with
            ``logits_ids(ids, lengths)``, (B, N, n_labels) or (B, n_labels).
        unknown: what to do with tokens outside the vocabulary; see `learnt.programs.tokens`.

    Raises:
        InputError, ShapeError: inputs, models or answers that do not fit, numbers out of range, a space of inputs that
            is too large and no domain. NotApplicable: nothing is scored; logits that the model does not give.
    """
    if not isinstance(program, Program):
        raise InputError("program", found=short(program), expected="a Program")
    confidence = probability(confidence, "confidence")
    shown, most, samples = integer(shown, "shown", 0), integer(most, "most", 0), integer(samples, "samples", 1)
    if domain is None:
        domain = all_inputs(program)
        if domain.size > most:
            raise InputError(
                "domain",
                found=f"none, and {large(domain.size)} sequences over the vocabulary",
                expected=f"at most {most:,} to compare all of them",
                remedy="Give a domain, a task, or a list of inputs.",
            )
    inputs = given(program, domain, most=most, samples=samples, seed=seed, unknown=unknown)
    ours = predictions(program, inputs.batch)
    names = list(program.labels)
    theirs = answers(model, inputs, names, unknown=unknown)
    counted = scored_positions(scored, inputs)
    differs = (ours != theirs) & counted
    rows = np.flatnonzero(differs.any(1))
    bound = None if inputs.kind == "given" else len(rows) / len(inputs)
    if inputs.kind == "sampled":
        bound = upper(len(rows), len(inputs), confidence)

    def labels(found: np.ndarray, row: int) -> Tokens:
        n = 1 if program.pool else int(inputs.batch.lengths[row])
        return tuple(names[i] for i in found[row, :n].tolist())

    return Equivalence(
        kind=inputs.kind,
        n=len(inputs),
        tokens=int(counted.sum()),
        disagreements=len(rows),
        disagreeing_tokens=int(differs.sum()),
        examples=tuple(
            Disagreement(
                tokens=inputs.rows[row],
                program=labels(ours, row),
                model=labels(theirs, row),
                positions=tuple(np.flatnonzero(differs[row]).tolist()),
            )
            for row in shortest_first(inputs.batch, rows)[:shown]
        ),
        bound=bound,
        confidence=confidence,
        largest_difference=_largest_difference(program, model, inputs, counted, unknown) if logits else None,
    )


def all_inputs(program: Program) -> Domain:
    """Every sequence of 1 to n_ctx tokens of the vocabulary, padding apart; drawn with lengths at equal odds.

    Args:
        program: whose vocabulary and n_ctx are meant.
    """
    words = program.vocab[1:] if program.padded else program.vocab

    def draw(count: int, seed: int) -> list[Tokens]:
        random = numpy_generator(seed, "all_inputs")
        lengths = random.integers(1, program.n_ctx + 1, size=count)
        return [tuple(words[i] for i in random.integers(len(words), size=n)) for n in lengths]

    return Domain(
        size=number_of_words(len(words), 1, program.n_ctx), walk=words_over(words, 1, program.n_ctx), draw=draw
    )


def _largest_difference(program: Program, model: Any, inputs: Given, counted: np.ndarray, unknown: str) -> float:
    worst = 0.0
    for rows, ours, theirs in _logits(program, model, inputs, unknown):
        if theirs.shape != ours.shape:
            raise ShapeError("model.logits_ids", found=f"shape {theirs.shape}", expected=f"{ours.shape}")
        gap = np.abs(ours - theirs)[counted[rows, 0] if program.pool else counted[rows]]
        worst = max(worst, float(gap.max(initial=0.0)))
    return worst


def _logits(
    program: Program, model: Any, inputs: Given, unknown: str
) -> Iterator[tuple[slice, np.ndarray, np.ndarray]]:
    """Logits of both, some inputs at a time, labels that are never predicted left out."""
    kept = [i for i in range(len(program.labels)) if i not in program.masked_labels]
    if isinstance(model, Program):
        if set(model.labels) != set(program.labels):
            raise NotApplicable("logits", found="programs with different labels", expected="the same labels")
        order = [model.labels.index(program.labels[i]) for i in kept]
        others = pieces(batch_for(model, inputs, unknown))
        for (rows, part), (_, other) in zip(pieces(inputs.batch), others, strict=True):
            yield rows, evaluate(program, part).logits[..., kept], evaluate(model, other).logits[..., order]
        return
    if not hasattr(model, "logits_ids"):
        raise NotApplicable("logits", found=f"a {type(model).__name__}", expected="a Program or logits_ids")
    for rows, part in pieces(inputs.batch):
        theirs = array_of(model.logits_ids(part.ids, part.lengths)).astype(float)
        if theirs.ndim and theirs.shape[-1] == len(program.labels):
            theirs = theirs[..., kept]
        yield rows, evaluate(program, part).logits[..., kept], theirs
