"""Does a measure keep its promises? `check_measure` holds it to every law and every claim in its facts.

    from learnt.testing import check_measure
    check_measure(MyMeasure())            # raises ConformanceError that names the broken laws

Use it in your own test suite for your own measures; the library holds its whole catalogue to it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from learnt.core.errors import InputError
from learnt.core.examples import Examples
from learnt.core.measure import Measure
from learnt.testing import laws
from learnt.testing._asking import Broken
from learnt.testing.worlds import Models, World


class ConformanceError(AssertionError):
    """A measure breaks laws; `broken` maps the name of each law to what happened."""

    def __init__(self, measure: str, broken: dict[str, str]) -> None:
        self.broken = broken
        lines = "\n".join(f"  {law}: {what}" for law, what in broken.items())
        super().__init__(f"{measure} breaks {len(broken)} law(s):\n{lines}")


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """One law, tried: its name, and what happened if it was broken."""

    law: str
    broken: str = ""


def world_for(measure: Measure[Any, Any]) -> World:
    """The shipped world for the data a measure asks for."""
    if measure.facts.data is Examples:
        return Models()
    from learnt.rewards.mdp import TabularMDP

    if measure.facts.data is TabularMDP:
        from learnt.testing.rewards import Rewards

        return Rewards()
    from learnt.rewards.scores import Responses

    if measure.facts.data is Responses:
        from learnt.testing.responses import ScoredResponses

        return ScoredResponses()
    from learnt.programs.sequences import Sequences

    if measure.facts.data is Sequences:
        from learnt.testing.programs import Programs

        return Programs()
    raise InputError(
        "world", found=f"none for data of type {measure.facts.data.__name__}", expected="a World",
        remedy="Pass world=..., an object with the methods of learnt.testing.World.",
    )  # fmt: skip


def try_laws(
    measure: Measure[Any, Any], *, world: World | None = None, only: Sequence[str] | None = None
) -> list[Verdict]:
    """Try every law (or those named) and report each; an unexpected exception counts as broken."""
    world = world if world is not None else world_for(measure)
    verdicts = []
    for law in laws.LAWS:
        if only is not None and law.__name__ not in only:
            continue
        what = ""
        try:
            law(measure, world)
        except Broken as broken:
            what = str(broken)
        except Exception as error:  # the kit reports whatever a foreign measure throws
            what = f"{type(error).__name__}: {error}"
        verdicts.append(Verdict(law=law.__name__, broken=what))
    return verdicts


def check_measure(measure: Measure[Any, Any], *, world: World | None = None) -> None:
    """Raise ConformanceError unless the measure (and each of its variants on a small data set) keeps every law."""
    world = world if world is not None else world_for(measure)
    for variant in measure.variants(world.case(0).data):
        broken = {v.law: v.broken for v in try_laws(variant, world=world) if v.broken}
        if broken:
            raise ConformanceError(variant.name, broken)
