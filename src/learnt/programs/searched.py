"""What did a search find? The program, and how it came about (`learnt.programs.search`)."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, final

from learnt.programs.program import Program


@final
@dataclass(frozen=True, kw_only=True)
class Step:
    """One accepted change.

    Attributes:
        seconds: since the search began.
        what: was changed.
        loss, accuracy: mean cross-entropy and token accuracy on the examples searched on, after it.
    """

    seconds: float
    what: str
    loss: float
    accuracy: float


@final
@dataclass(frozen=True, kw_only=True)
class Searched:
    """What a search found.

    Attributes:
        program: the best by validation.
        history: the accepted changes that led to it.
        evaluations: proposals and changes that were tried, in all restarts.
        validation: its token accuracy in validation.
        seconds: of the whole search.
        restarts: the validation accuracy of every restart, in order.
    """

    program: Program
    history: tuple[Step, ...]
    evaluations: int
    validation: float
    seconds: float
    restarts: tuple[float, ...] = ()

    def __str__(self) -> str:
        n = sum(1 for _ in self.program.modules())
        tried = f"best of {len(self.restarts)} restarts ({', '.join(f'{r:.2%}' for r in self.restarts)})"
        lines = [
            f"{n} module{'s' * (n != 1)}, validation {self.validation:.2%} of tokens; "
            + (f"{tried}, " if len(self.restarts) > 1 else "")
            + f"{self.evaluations:,} changes tried in {self.seconds:.1f} s"
        ]
        lines += [
            f"  {s.seconds:6.1f} s  accuracy {s.accuracy:7.2%}  loss {s.loss:.4f}  {s.what}" for s in self.history
        ]
        return "\n".join(lines)

    def to_fields(self) -> dict[str, Any]:
        """Everything but the program, as JSON can hold it."""
        return {
            "modules": sum(1 for _ in self.program.modules()),
            "validation": self.validation,
            "evaluations": self.evaluations,
            "seconds": self.seconds,
            "restarts": list(self.restarts),
            "history": [asdict(step) for step in self.history],
        }
