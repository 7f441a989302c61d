"""Canonical, standardised scores of a reward model, and what is computed from two of them.

    c = r - E[r | x] under pi_ref,   s = c / n(c),   n(c)^2 = sum_x w_x Var(r|x)

See `learnt.rewards.responses` for the question that they answer.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from learnt.core.measure import Sums
from learnt.rewards.scores import Responses, ScoreView

SHOWN = 10  # places named where two models differ most


@dataclass(frozen=True, eq=False, kw_only=True)
class Canonical:
    """A model made ready: its scores without what belongs to the prompt, and their size.

    Attributes:
        name: how reports call it.
        form: (m,) c(x, y) / n(c) on the rows of the layout; zeros for a trivial model.
        size: n(c), in units of the scores.
        trivial: whether all responses of a prompt have the same score, up to rounding.
        data: the responses.
    """

    name: str
    form: np.ndarray
    size: float
    trivial: bool
    data: Responses


def canonical_scores(view: ScoreView, data: Responses) -> Canonical:
    """The canonical and standardised scores of one model."""
    inside = data.layout
    form = inside.centred(view.scores)
    top = float(np.abs(form).max())
    if top <= 0.0:
        return Canonical(name=view.name, form=np.zeros_like(form), size=0.0, trivial=True, data=data)
    form = form / top  # squares of tiny and huge scores stay in range
    size = math.sqrt(float(inside.moments(form, form).mean()))
    if size * top <= view.resolution * float(np.abs(view.scores[inside.rows]).max()):
        return Canonical(name=view.name, form=np.zeros_like(form), size=size * top, trivial=True, data=data)
    return Canonical(name=view.name, form=form / size, size=size * top, trivial=False, data=data)


def distance_sums(a: Canonical, b: Canonical) -> Sums:
    """The distance as a function of means over prompts."""
    inside, gap = a.data.layout, a.form - b.form
    pairs = ((a.form, a.form), (gap, gap), (b.form, b.form))
    return Sums(columns=np.stack([inside.moments(x, y) for x, y in pairs], 1), combine=_distance)


def _distance(means: np.ndarray) -> np.ndarray:
    """D from the means of |s1|^2, |s1 - s2|^2 and |s2|^2, which are 1, d^2 and 1 on the full data."""
    first, gap, second = (means[..., i] for i in range(3))
    roots = np.sqrt(first), np.sqrt(second)
    product = roots[0] * roots[1]
    with np.errstate(divide="ignore", invalid="ignore"):
        squared = (gap - np.square(roots[0] - roots[1])) / product
    one = np.where((first > 0) | (second > 0), 1.0, 0.0)  # a trivial model is 1 from others and 0 from its like
    return np.where(product > 0, np.sqrt(np.clip(np.where(product > 0, squared, 0.0), 0.0, 4.0)), one)


def length_sums(a: Canonical, b: Canonical) -> Sums | None:
    """The cosine with length projected out of both; None without lengths or if they do not vary within prompts."""
    if a.data.length is None:
        return None
    longer = canonical_scores(ScoreView(name="length", scores=a.data.length, resolution=1e-10), a.data)
    if longer.trivial:
        return None
    forms = (a.form, b.form, longer.form)
    columns = [a.data.layout.moments(forms[i], forms[j]) for i, j in ((0, 0), (1, 1), (0, 1), (0, 2), (1, 2), (2, 2))]
    return Sums(columns=np.stack(columns, 1), combine=_partial)


def _partial(means: np.ndarray) -> np.ndarray:
    aa, bb, ab, al, bl, ll = (means[..., i] for i in range(6))
    with np.errstate(divide="ignore", invalid="ignore"):
        left = [x - np.square(y) / ll for x, y in ((aa, al), (bb, bl))]
        cosine = (ab - al * bl / ll) / np.sqrt(left[0] * left[1])
    enough = (left[0] > 1e-12 * aa) & (left[1] > 1e-12 * bb) & (ll > 0)  # else length explains a model entirely
    return np.where(enough, np.clip(cosine, -1.0, 1.0), np.nan)


@dataclass(frozen=True, eq=False, kw_only=True)
class Witness:
    """One place where two models differ: its standardised scores, and its share of the squared distance.

    Attributes:
        prompt, response: identifiers; `response` is empty for a whole prompt.
        a, b: standardised scores of a response (standard deviations above the prompt's mean); 0 for a whole prompt.
        share: of the squared distance, 0 to 1.
    """

    prompt: str
    response: str
    a: float
    b: float
    share: float


def witnesses(a: Canonical, b: Canonical, shown: int = SHOWN) -> tuple[tuple[Witness, ...], tuple[Witness, ...]]:
    """(prompts, responses) with the largest shares of ||s1 - s2||^2, largest first; none for equal models."""
    inside, gap, data = a.data.layout, a.form - b.form, a.data
    parts = inside.parts(gap, gap)
    total = float(parts.sum())
    if total <= 1e-18 * len(inside.starts):
        return (), ()
    prompts = inside.total(parts) / total
    at = inside.of_row
    top = np.argsort(-prompts, kind="stable")[:shown]
    rows = np.argsort(-parts, kind="stable")[:shown]
    return (
        tuple(Witness(prompt=data.prompt(int(i)), response="", a=0.0, b=0.0, share=float(prompts[i])) for i in top),
        tuple(
            Witness(
                prompt=data.prompt(int(at[i])), response=data.response(int(inside.rows[i])), a=float(a.form[i]),
                b=float(b.form[i]), share=float(parts[i] / total),
            )
            for i in rows
        ),
    )  # fmt: skip


def length_cosines(ready: Mapping[str, Canonical]) -> dict[str, float]:
    """Cosine of each model with length, pooled within prompts; empty without lengths that vary."""
    data = next(iter(ready.values())).data
    if data.length is None:
        return {}
    longer = canonical_scores(ScoreView(name="length", scores=data.length, resolution=1e-10), data)
    if longer.trivial:
        return {}
    return {name: float(data.layout.moments(c.form, longer.form).mean()) for name, c in ready.items()}
