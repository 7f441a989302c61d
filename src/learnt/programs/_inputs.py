"""On which inputs is a claim about programs made? One way to say it, for every function that asks.

A `Task` or a `Domain` stands for all its inputs where they can be listed, and for a sample elsewhere; a list of
token lists or a `Batch` stands for itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

from learnt.programs.evaluator import Batch, encode
from learnt.programs.program import Program
from learnt.programs.task import Task
from learnt.programs.task_domain import ENUMERABLE, Domain

Inputs = Domain | Task | Batch | Sequence[Sequence[str]]


@final
@dataclass(frozen=True, eq=False, kw_only=True)
class Asked:
    """Inputs as ids of one program's vocabulary.

    Attributes:
        batch: the inputs.
        exhaustive: whether they are all the inputs there are (of the domain that was given).
        sampled: whether they were drawn at random, so that a rate on them estimates a rate.
    """

    batch: Batch
    exhaustive: bool
    sampled: bool

    def __len__(self) -> int:
        return len(self.batch)


def asked(
    program: Program,
    inputs: Inputs,
    *,
    most: int = ENUMERABLE,
    samples: int = 10_000,
    seed: int = 0,
    unknown: str = "auto",
) -> Asked:
    """The inputs that `inputs` stands for.

    Args:
        program: whose vocabulary gives the ids.
        inputs: a domain, a task, token lists or a batch.
        most: the largest domain that is taken whole.
        samples, seed: how many inputs are drawn from a larger one, and from which stream.
        unknown: what to do with tokens outside the vocabulary; see `learnt.programs.tokens`.

    Raises:
        InputError: no input, or one that the program cannot take.
    """
    if isinstance(inputs, Batch):
        return Asked(batch=inputs, exhaustive=False, sampled=False)
    if isinstance(inputs, Task):
        inputs = inputs.domain()
    if isinstance(inputs, Domain):
        rows, whole = inputs.cover(most, samples=samples, seed=seed)
        return Asked(batch=encode(program, rows, unknown=unknown), exhaustive=whole, sampled=not whole)
    return Asked(batch=encode(program, inputs, unknown=unknown), exhaustive=False, sampled=False)


def tokens_of(program: Program, batch: Batch, row: int) -> tuple[str, ...]:
    """The tokens of one input."""
    return tuple(program.vocab[i] for i in batch.ids[row, : batch.lengths[row]])
