"""A comparison as a table for other programs: records, pandas, CSV, Markdown."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from learnt.core.comparison import Comparison
from learnt.core.errors import MissingExtra
from learnt.core.matrix import ComparisonMatrix
from learnt.report.numbers import MISSING, scale_of, transfer_text
from learnt.report.text import neutral

if TYPE_CHECKING:
    import pandas

_WORDS = ("name", "group", "family", "question", "unit", "kind", "closer", "verdict")
_NUMBERS = ("p", "p_adjusted", "seeds_p", "seeds_p_smallest")
_ESTIMATES = ("value", "reference", "control", "difference", "gap", "transfer")
COLUMNS = (
    *_WORDS,
    *(f"{estimate}{end}" for estimate in _ESTIMATES for end in ("", "_low", "_high")),
    *_NUMBERS,
    "n",
    "how_obtained",
    "reason",
)


def records(comparison: Comparison) -> list[dict[str, Any]]:
    """One flat record a question, with the keys `COLUMNS`; what is undefined or was not asked is None."""
    made = []
    for answer in comparison.answers:
        record: dict[str, Any] = {key: getattr(answer, key) for key in _WORDS}
        for key in _ESTIMATES:
            estimate = getattr(answer, key)
            known = estimate is not None and estimate.defined
            for end, field in (("", "value"), ("_low", "low"), ("_high", "high")):
                record[key + end] = _finite(getattr(estimate, field)) if known else None
        record |= {key: getattr(answer, key) for key in _NUMBERS}
        record |= {"n": answer.value.n, "how_obtained": answer.value.kind}
        record["reason"] = answer.value.reason or (answer.transfer.reason if not answer.transfer.defined else "")
        made.append({key: record[key] for key in COLUMNS})
    return made


def _finite(x: float) -> float | None:
    return float(x) if math.isfinite(x) else None


def frame(comparison: Comparison) -> pandas.DataFrame:
    """One row a question; MissingExtra without pandas."""
    data = records(comparison)
    made = _pandas().DataFrame(data, columns=list(COLUMNS))
    numeric = [key for key in COLUMNS if key.split("_")[0] in _ESTIMATES or key in _NUMBERS]
    made[numeric] = made[numeric].astype("float64")
    return made


def matrix_frame(matrix: ComparisonMatrix) -> pandas.DataFrame:
    """The values of a matrix: rows are references, columns what is compared with them; MissingExtra without pandas."""
    names = list(matrix.names)
    return _pandas().DataFrame(matrix.values, index=names, columns=names)


def _pandas() -> Any:
    try:
        import pandas
    except ImportError as error:
        raise MissingExtra(
            "pandas",
            found="a Python environment without it",
            expected="the package 'pandas'",
            remedy="Install it with: pip install pandas",
        ) from error
    return pandas


def to_csv(comparison: Comparison, path: str | Path) -> Path:
    """Write one line a question, atomically; text that a spreadsheet would take for a formula is neutralised."""
    from learnt.io.tables import write_csv

    rows = [[record[key] for key in COLUMNS] for record in records(comparison)]
    return write_csv(path, rows, COLUMNS)


def markdown(comparison: Comparison) -> str:
    """The table of all questions as GitHub-flavoured Markdown; text from users is inert there."""
    c = comparison
    head = ["Question", inert(c.b.label)]
    if c.control is not None:
        head += [inert(c.control.label), "Transfer", "Verdict"]
    rows = [head, ["---"] + ["---:"] * (len(head) - 1)]
    if c.control is not None:
        rows[1][-1] = "---"
    for answer in c.answers:
        scale = scale_of(answer)
        row = [inert(answer.question), scale.full(answer.value)]
        if c.control is not None:
            control = answer.control
            shown = scale.text(control.value) if control is not None and control.defined else MISSING
            row += [shown, transfer_text(answer.transfer), answer.verdict]
        rows.append(row)
    return "\n".join("| " + " | ".join(row) + " |" for row in rows) + "\n"


def inert(text: str) -> str:
    r"""Text that Markdown shows as it is: no markup, no HTML, no links made of bare addresses."""
    escaped = re.sub(r"([\\`*_{}\[\]<>#|~!&$@])", r"\\\1", neutral(text))
    return re.sub(r"(?i)(https?|ftp|mailto|xmpp)(:)|(www)(\.)", lambda m: f"{m[1] or m[3]}\\{m[2] or m[4]}", escaped)
