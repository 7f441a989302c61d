"""Do these programs answer alike? The share of inputs to which both give the same labels.

    agreement(a, b) = mean over inputs of [a and b give the same label at every position that counts]

or, per token, the share of positions that count with equal labels. Things may be programs, functions from tokens to
labels, and networks, in any mixture; labels are compared by name. Where the data is a whole domain the number is exact;
otherwise whole inputs are resampled, because the tokens of one input are not independent. A high share of tokens hides
simple failures (the published programs for sorting and reversing are wrong on single tokens and on equal ones), so the
default counts inputs, and the shortest inputs answered differently come with the answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, final

import numpy as np

from learnt.core.errors import InputError
from learnt.core.measure import Evidence, Exact, Facts, Measure, Reference, Sums, Undefined, mean, ratio
from learnt.core.panels import Chart
from learnt.programs.answers import Aligned, Answerer, aligned, shortest
from learnt.programs.sequences import Sequences

SHOWN = 10  # shortest inputs answered differently that come with an answer
LABELS = 20  # pairs of labels
LONG = 40  # tokens of an input, and characters of a token, that details keep
BARS = 24  # lengths up to which the picture has bars

PROGRAMS = Reference(
    cite="Friedman, Wettig, Chen, Learning Transformer Programs, NeurIPS 2023",
    identifier="arXiv:2306.01128",
    where="Sections 3.1 to 3.3: what a program answers",
)
RENAMING = ("module names", "module order", "renumbered values", "vocabulary order", "unread modules")


@final
@dataclass(frozen=True, kw_only=True)
class ProgramAgreement(Measure[Answerer, Sequences]):
    """Share of inputs, or of tokens, that two programs answer alike.

    Attributes:
        per: ``"inputs"``: an input counts if all of its labels are equal; ``"tokens"``: each position counts.
    """

    per: Literal["inputs", "tokens"] = "inputs"

    facts: ClassVar[Facts] = Facts(
        name="program_agreement",
        family="programs",
        question="Do these programs answer alike?",
        unit="share answered alike",
        data=Sequences,
        low=0.0,
        high=1.0,
        identical=1.0,
        invariances=("example order", "class permutation", *RENAMING),
        references=(PROGRAMS,),
        how="The share of inputs to which both give the same label at every position that counts; for per='tokens', "
        "the share of such positions. On a whole domain the number is exact.",
        caveat="It holds for these inputs: of a whole domain most are long, of a task's draws many are short. Two "
        "programs that are right agree because both are right; the control says how much of it is more than that.",
        cost="one evaluation of each thing on the inputs",
    )

    def __post_init__(self) -> None:
        if self.per not in ("inputs", "tokens"):
            raise InputError("per", found=repr(self.per), expected='"inputs" or "tokens"')

    @property
    def name(self) -> str:
        """``program_agreement``, and how it counts if that is by tokens."""
        return self.facts.name if self.per == "inputs" else f"{self.facts.name}[tokens]"

    @property
    def question(self) -> str:
        """The question, and how it counts if that is by tokens."""
        return self.facts.question if self.per == "inputs" else "Do these programs answer alike, token by token?"

    def prepare(self, thing: Answerer, data: Sequences, *, rng: np.random.Generator) -> Answerer:
        """The thing itself, with its answers computed."""
        thing.answers  # noqa: B018 (computed here so that K things cost K evaluations)
        return thing

    def compare(self, a: Answerer, b: Answerer, *, rng: np.random.Generator) -> Evidence:
        """Mean of agreement by input, or the ratio of positions that agree; exact on a whole domain."""
        found = aligned(a.answers, b.answers, a.data, (a.name, b.name))
        alike = np.asarray(~found.apart.any(1))
        counted = found.counts.sum(1).astype(np.float64)
        equal = counted - found.apart.sum(1)
        details = _details(a, b, found, alike)
        if self.per == "inputs":
            if a.data.exhaustive:
                return Exact(value=float(alike.mean()), details=details)
            return mean(alike, details=details)
        if not counted.any():
            return Undefined(reason="no position of any input counts", details=details)
        if a.data.exhaustive:
            return Exact(value=float(equal.sum() / counted.sum()), details=details)
        share = np.divide(equal, counted, out=np.ones_like(equal), where=counted > 0)
        return Sums(columns=np.stack([equal, counted], 1), combine=ratio, per_example=share, details=details)

    def chart(self, details: Mapping[str, Mapping[str, Any]]) -> Chart | None:
        """Share of inputs answered alike by their length; the caption names the shortest one answered differently."""
        series = {side: np.ravel(details[side]["alike"]) for side in ("b", "control") if side in details}
        found = details.get("b")
        if not found or len(np.ravel(found["lengths"])) < 2:
            return None
        lengths = np.ravel(found["lengths"]).astype(np.int64)
        alt = "Share of inputs of each length that are answered as A answers them."
        if len(found["shortest"]):
            # dots, because reports take a lone A or B after a word for the name of a side
            tokens, says_a, says_b = (str(text).replace(" ", " \N{MIDDLE DOT} ") for text in found["shortest"][0])
            alt += f" The shortest answered differently: “{tokens}”; A says “{says_a}”, and B says “{says_b}”."
        few = len(lengths) <= BARS
        return Chart(
            kind="bars" if few else "lines", series=series,
            x=[f"{n} token{'' if n == 1 else 's'}" for n in lengths] if few else lengths,
            x_label="tokens of the input", y_label="share answered alike", low=0.0, high=1.0, alt=alt,
        )  # fmt: skip


def _details(a: Answerer, b: Answerer, found: Aligned, alike: np.ndarray) -> dict[str, Any]:
    data = a.data
    lengths, index = np.unique(data.lengths, return_inverse=True)
    total = np.bincount(index, minlength=len(lengths))
    return {
        "lengths": lengths,
        "inputs": total,
        "alike": np.bincount(index, weights=alike, minlength=len(lengths)) / total,
        "shortest": [
            [_shown(data.inputs[row]), *(_shown(_counted(x.answers.of(row), found.counts[row])) for x in (a, b))]
            for row in shortest(found.apart, data.inputs, SHOWN)
        ],
        "confusion": [[x[:LONG], y[:LONG], count] for x, y, count in found.confusion()[:LABELS]],
    }


def _counted(labels: tuple[str, ...], counts: np.ndarray) -> list[str]:
    """The labels of one input, with a dash where they do not count."""
    return [label if here else "-" for label, here in zip(labels, counts.tolist(), strict=False)]


def _shown(words: Any) -> str:
    """Tokens or labels as one text."""
    few = [word[:LONG] for word in words[:LONG]]
    return " ".join([*few, *(["..."] if len(words) > LONG else [])])
