"""How is a program searched for? The published recipe, and what was measured to find better programs.

Published (arXiv 2306.01128, appendix B.2): Adam at 0.05, batches of 512, 250 epochs, one sample of every choice a
step, temperature 3 to 0.01, last weights kept. `docs/programs-training.md` reports what each change below did.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any, Literal, final

from learnt.core.errors import InputError


@final
@dataclass(frozen=True, kw_only=True)
class Recipe:
    """The settings of a training.

    Args:
        temperature: first and last; geometric in between, step by step.
        lr: learning rate of Adam.
        batch_size: sequences a step.
        tie_bias: c, the factor of the bias that orders tied matches (1 in the paper).
        sampler: "gumbel", one sample of every choice a step, or "softmax", none.
        attention_noise, mlp_noise: whether attention and MLP outputs are sampled, for every token anew.
        default: "reference" or "max"; see `learnt.programs.soft.attention`.
        straight_through: share of the epochs, at the end, with one-hot choices and the gradient of soft ones.
        dropout: probability that the classifier does not see a variable at a position, in training. The paper names it
            for entities; its code does not pass it on, so its programs are trained without.
        calm: share of the epochs, at the end, without noise.
        complexity: factor of the relaxed number of modules that matter, in nats a sequence.
        halving: shares of the epochs after each of which the worse half of the replicas, by the validation accuracy
            of their discrete programs, is given up.
        aggregate: "per_token", the mean over the positions of a sequence, or "per_seq", their sum.
        refit: whether each discrete program gets the best linear classifier for its variables, where that is better
            on the validation part.
        search: rounds of `local_search` on discrete programs after training; 0 for none. It sees the training part.
        searched: how many programs are searched from, best validation first.
    """

    temperature: tuple[float, float] = (3.0, 0.01)
    lr: float = 0.05
    batch_size: int = 512
    tie_bias: float = 8.0
    sampler: Literal["gumbel", "softmax"] = "gumbel"
    attention_noise: bool = True
    mlp_noise: bool = True
    default: Literal["reference", "max"] = "reference"
    straight_through: float = 0.0
    calm: float = 0.0
    dropout: float = 0.0
    complexity: float = 0.0
    halving: tuple[float, ...] = ()
    aggregate: Literal["per_token", "per_seq"] = "per_token"
    refit: bool = True
    search: int = 40
    searched: int = 4

    def __post_init__(self) -> None:
        if len(self.temperature) != 2:
            raise InputError("temperature", found=repr(self.temperature), expected="two numbers, first and last")
        for name, value in (("temperature", t) for t in self.temperature):
            if not (isinstance(value, (int, float)) and value > 0 and math.isfinite(value)):
                raise InputError(name, found=repr(value), expected="positive numbers")
        if self.temperature[0] < self.temperature[1]:
            raise InputError("temperature", found=f"{self.temperature}", expected="a schedule that does not rise")
        for name, low in (("lr", 0.0), ("tie_bias", -1.0), ("complexity", -1.0)):
            value = getattr(self, name)
            if not (isinstance(value, (int, float)) and math.isfinite(value) and value > low and value >= 0):
                raise InputError(
                    name, found=repr(value), expected="a finite number above 0" if not low else "at least 0"
                )
        if isinstance(self.batch_size, bool) or not isinstance(self.batch_size, int) or self.batch_size < 1:
            raise InputError("batch_size", found=repr(self.batch_size), expected="a positive number of sequences")
        for name in ("search", "searched"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 0:
                raise InputError(name, found=repr(value), expected="an integer of at least 0")
        for name in ("straight_through", "calm"):
            if not 0 <= getattr(self, name) <= 1:
                raise InputError(name, found=repr(getattr(self, name)), expected="a share of the epochs, 0 to 1")
        if not 0 <= self.dropout < 1:
            raise InputError("dropout", found=repr(self.dropout), expected="a probability below 1")
        if any(not 0 < share < 1 for share in self.halving) or list(self.halving) != sorted(set(self.halving)):
            raise InputError("halving", found=repr(self.halving), expected="rising shares between 0 and 1")
        for name, known in (
            ("sampler", ("gumbel", "softmax")),
            ("default", ("reference", "max")),
            ("aggregate", ("per_token", "per_seq")),
        ):
            if getattr(self, name) not in known:
                raise InputError(name, found=repr(getattr(self, name)), expected=" or ".join(map(repr, known)))

    @staticmethod
    def paper() -> Recipe:
        """The recipe of the paper and its code."""
        return Recipe(tie_bias=1.0, refit=False, search=0)

    def to_fields(self) -> dict[str, Any]:
        """The recipe as JSON can hold it."""
        fields = asdict(self)
        return {**fields, "temperature": list(self.temperature), "halving": list(self.halving)}
