"""`learnt` tells you what a model has learnt, and how two learnt things differ.

    import learnt
    comparison = learnt.compare(teacher, student, data, controls=independent_students)
    print(comparison)
    comparison.to_html("report.html")

Names are imported on first use, so that `import learnt` is quick and does not load torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from learnt.adapters.open import load as load
    from learnt.core.compare import compare as compare
    from learnt.core.compare import pairwise as pairwise
    from learnt.core.comparison import Answer as Answer
    from learnt.core.comparison import Comparison as Comparison
    from learnt.core.errors import LearntError as LearntError
    from learnt.core.estimate import Estimate as Estimate
    from learnt.core.examples import Examples as Examples
    from learnt.core.matrix import ComparisonMatrix as ComparisonMatrix
    from learnt.core.measure import Facts as Facts
    from learnt.core.measure import Measure as Measure
    from learnt.train.fit import fit as fit
    from learnt.train.population import Population as Population

_WHERE = {
    "Answer": "learnt.core.comparison",
    "Comparison": "learnt.core.comparison",
    "ComparisonMatrix": "learnt.core.matrix",
    "Estimate": "learnt.core.estimate",
    "Examples": "learnt.core.examples",
    "Facts": "learnt.core.measure",
    "LearntError": "learnt.core.errors",
    "Measure": "learnt.core.measure",
    "Population": "learnt.train.population",
    "compare": "learnt.core.compare",
    "fit": "learnt.train.fit",
    "load": "learnt.adapters.open",
    "pairwise": "learnt.core.compare",
}

__version__ = "0.1.0"
__all__ = ["__version__", *_WHERE]


def __getattr__(name: str) -> Any:
    if name in _WHERE:
        return getattr(import_module(_WHERE[name]), name)
    raise AttributeError(f"module 'learnt' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_WHERE})
