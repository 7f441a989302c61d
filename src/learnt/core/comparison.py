"""What a comparison returns: answers with intervals, controls and pictures, as frozen data.

Nothing is recomputed on access, and everything round-trips through JSON (schema below). Renderers live in
`learnt.report`; the methods here call them lazily.

JSON schema, version 1: an object with ``schema`` ("learnt.comparison/1"), ``a``, ``b``, ``control`` (label and
number of replicas), ``data`` (name, n), ``answers``, ``left_out``, ``gallery``, ``provenance``. Undefined numbers are
null with a ``reason``. See docs/json-schema.md.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from learnt.core.errors import InputError
from learnt.core.estimate import Estimate
from learnt.core.gallery import Card
from learnt.core.panels import Chart

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SCHEMA = "learnt.comparison/1"
Verdict = Literal["transferred", "not detected", "reversed", "not measurable", "no control"]


@dataclass(frozen=True, eq=False, kw_only=True)
class Answer:
    """One question, answered.

    Attributes:
        name: identifier of the question, unique within a comparison.
        group: name shared by the variants of one question (one card in a report).
        family, question, unit, kind, closer, how, caveat, cost, references, params: from the measure and its facts.
        value: of b: its likeness to a (pairwise), or its own property.
        reference: the value that means "identical": exact for pairwise measures, the property of a otherwise.
        control: the same as `value` for the independent controls; None without controls.
        difference: value minus control, paired over examples; None without controls.
        gap: for properties, b minus a; None for pairwise measures.
        transfer: (value - control) / (reference - control): 0 as the controls, 1 as a itself.
        p: two-sided, of "difference is 0", from the same resamples as the interval; None if nothing varies.
        p_adjusted: after Holm's correction over all answers of the comparison.
        seeds_p, seeds_p_smallest: exact permutation test over seeds alone, and the smallest value it can reach.
        verdict: in words.
        replicas: the value of each replica, by side ("a" only for properties).
        chart: the picture; None for the default one (replicas against controls).
        notes: what a reader must know about this number.
    """

    name: str
    group: str
    family: str
    question: str
    unit: str
    kind: Literal["pairwise", "property"]
    closer: Literal["higher", "lower"]
    low: float
    high: float
    value: Estimate
    reference: Estimate
    control: Estimate | None
    difference: Estimate | None
    gap: Estimate | None
    transfer: Estimate
    verdict: Verdict
    p: float | None = None
    p_adjusted: float | None = None
    seeds_p: float | None = None
    seeds_p_smallest: float | None = None
    replicas: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    chart: Chart | None = None
    how: str = ""
    caveat: str = ""
    cost: str = ""
    references: tuple[tuple[str, str, str], ...] = ()
    params: Mapping[str, Any] = field(default_factory=dict)
    details: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON data."""
        data = {k: getattr(self, k) for k in _PLAIN}
        data["low"], data["high"] = (None if not np.isfinite(x) else float(x) for x in (self.low, self.high))
        for k in _ESTIMATES:
            estimate = getattr(self, k)
            data[k] = None if estimate is None else estimate.to_dict()
        data["replicas"] = {k: [_number(x) for x in v] for k, v in self.replicas.items()}
        data["chart"] = None if self.chart is None else _chart_to_dict(self.chart)
        data["params"] = plain(self.params)
        data["details"] = plain(self.details)
        data["references"] = [list(r) for r in self.references]
        data["notes"] = list(self.notes)
        return data

    @staticmethod
    def from_dict(data: Mapping[str, Any]) -> Answer:
        """The inverse of `to_dict`."""
        fields: dict[str, Any] = {k: data[k] for k in _PLAIN}
        fields["low"] = -np.inf if data["low"] is None else data["low"]
        fields["high"] = np.inf if data["high"] is None else data["high"]
        for k in _ESTIMATES:
            fields[k] = None if data[k] is None else Estimate.from_dict(data[k])
        fields["replicas"] = {k: tuple(np.nan if x is None else x for x in v) for k, v in data["replicas"].items()}
        fields["chart"] = None if data["chart"] is None else _chart_from_dict(data["chart"])
        fields["params"], fields["details"] = data["params"], data["details"]
        fields["references"] = tuple((r[0], r[1], r[2]) for r in data["references"])
        fields["notes"] = tuple(data["notes"])
        return Answer(**fields)


_PLAIN = (
    "name", "group", "family", "question", "unit", "kind", "closer", "verdict",
    "p", "p_adjusted", "seeds_p", "seeds_p_smallest", "how", "caveat", "cost",
)  # fmt: skip
_ESTIMATES = ("value", "reference", "control", "difference", "gap", "transfer")


@dataclass(frozen=True, kw_only=True)
class Side:
    """One side of a comparison: how it is called and how many replicas it has."""

    label: str
    replicas: int


@dataclass(frozen=True, eq=False, kw_only=True)
class Comparison:
    """Many answers about the same two things on the same data.

    Attributes:
        a: the reference (the teacher, the old model, the true reward).
        b: what is compared with it.
        control: independently made things of b's kind, or None.
        data: name of the data; n: number of examples (0 where none are involved).
        answers: one entry a question.
        left_out: (question, reason) of default questions that could not be asked here.
        gallery: examples worth looking at.
        provenance: versions, seed, threads, resamples; no times, so that equal work gives equal bytes.
    """

    a: Side
    b: Side
    control: Side | None
    data: str
    n: int
    confidence: float
    answers: tuple[Answer, ...]
    left_out: tuple[tuple[str, str], ...] = ()
    gallery: tuple[Card, ...] = ()
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Answer:
        for answer in self.answers:
            if answer.name == name:
                return answer
        from difflib import get_close_matches

        names = [answer.name for answer in self.answers]
        near = get_close_matches(name, names, n=3, cutoff=0.3) or names
        raise InputError(
            "question",
            found=repr(name),
            expected=f"one of the {len(names)} questions asked",
            remedy=f"Nearest: {', '.join(near)}.",
        )

    def __repr__(self) -> str:
        control = f" against {self.control.label}" if self.control else ""
        return f"Comparison({self.b.label} with {self.a.label}{control} on {self.data}, {len(self.answers)} answers)"

    def __str__(self) -> str:
        from learnt.report.terminal import to_text

        return to_text(self)

    def __rich__(self) -> Any:
        from learnt.report.terminal import table

        return table(self)

    def _repr_html_(self) -> str:
        from learnt.report.html import fragment

        return fragment(self)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON data, schema version 1."""
        return {
            "schema": SCHEMA,
            "a": vars(self.a).copy(),
            "b": vars(self.b).copy(),
            "control": None if self.control is None else vars(self.control).copy(),
            "data": {"name": self.data, "n": self.n},
            "confidence": self.confidence,
            "answers": [answer.to_dict() for answer in self.answers],
            "left_out": [list(item) for item in self.left_out],
            "gallery": [card.to_dict() for card in self.gallery],
            "provenance": plain(self.provenance),
        }

    @staticmethod
    def from_dict(data: Mapping[str, Any]) -> Comparison:
        """The inverse of `to_dict`; raises InputError for another schema or missing parts."""
        found = data.get("schema") if isinstance(data, Mapping) else type(data).__name__
        if found != SCHEMA:
            raise InputError("comparison", found=f"schema {found!r}", expected=f"schema {SCHEMA!r}")
        try:
            return Comparison(
                a=Side(**data["a"]),
                b=Side(**data["b"]),
                control=None if data["control"] is None else Side(**data["control"]),
                data=data["data"]["name"],
                n=data["data"]["n"],
                confidence=data["confidence"],
                answers=tuple(Answer.from_dict(x) for x in data["answers"]),
                left_out=tuple((q, r) for q, r in data["left_out"]),
                gallery=tuple(Card.from_dict(x) for x in data["gallery"]),
                provenance=data["provenance"],
            )
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise InputError(
                "comparison", found=f"a damaged record ({error!r})", expected="the fields of schema 1"
            ) from error

    def to_json(self, path: str | Path | None = None) -> str:
        """The comparison as JSON text; written to `path` (atomically) if one is given."""
        text = json.dumps(self.to_dict(), allow_nan=False, sort_keys=True, ensure_ascii=False) + "\n"
        if path is not None:
            from learnt.io.atomic import write_text

            write_text(Path(path), text)
        return text

    def to_frame(self) -> Any:
        """One row a question as a pandas DataFrame; raises MissingExtra without pandas."""
        from learnt.report.tables import frame

        return frame(self)

    def plot(self, question: str, ax: Axes | None = None) -> Axes:
        """Draw the picture of one question on matplotlib axes (new ones unless given)."""
        from learnt.report.charts import draw

        return draw(self[question], self, ax)

    def to_html(self, path: str | Path, *, title: str | None = None) -> Path:
        """Write one self-contained HTML file that opens offline; returns its path."""
        from learnt.report.html import write

        return write([self], Path(path), title=title)

    def examples(self, kind: str = "disagree", k: int = 12) -> tuple[Card, ...]:
        """Up to k examples of a kind: ``"disagree"``, ``"follows_mistake"`` or ``"shared_mistake"``."""
        return tuple(card for card in self.gallery if card.kind == kind)[:k]


def plain(value: Any) -> Any:
    """JSON data from arrays, tuples, numbers and mappings; NaN and infinity become None."""
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    if isinstance(value, (bool, str, int)) or value is None:
        return value
    if isinstance(value, (float, np.floating)):
        return _number(float(value))
    if isinstance(value, np.integer):
        return int(value)
    if isinstance(value, np.bool_):
        return bool(value)
    return str(value)


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _chart_to_dict(chart: Chart) -> dict[str, Any]:
    data = {k: getattr(chart, k) for k in ("kind", "x_label", "y_label", "low", "high", "alt")}
    data["series"] = [[label, plain(np.asarray(values))] for label, values in chart.series.items()]
    data["x"], data["y"] = plain(chart.x if isinstance(chart.x, np.ndarray) else list(chart.x)), list(chart.y)
    return data


def _chart_from_dict(data: Mapping[str, Any]) -> Chart:
    fields = dict(data)
    fields["series"] = {label: np.asarray(values, dtype=np.float64) for label, values in data["series"]}
    x: Sequence[Any] = data["x"]
    fields["x"] = x if x and isinstance(x[0], str) else np.asarray(x, dtype=np.float64)
    return Chart(**fields)
