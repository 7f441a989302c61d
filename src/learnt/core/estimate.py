"""A number with its interval and how both were obtained."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any, Literal

import numpy as np

Kind = Literal["exact", "bootstrap", "jackknife", "undefined"]


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A value with an interval; or the reason why there is none.

    Attributes:
        value: the number; NaN only when `kind` is ``"undefined"``.
        low, high: ends of the interval at `level`; equal to `value` when exact.
        level: coverage the interval aims at, e.g. 0.95.
        n: number of examples behind the number, 0 if none are involved.
        kind: how the interval was obtained.
        reason: why the number is undefined, in words; empty otherwise.
    """

    value: float
    low: float
    high: float
    level: float = 0.95
    n: int = 0
    kind: Kind = "bootstrap"
    reason: str = ""

    @staticmethod
    def exact(value: float, *, n: int = 0, level: float = 0.95) -> Estimate:
        """A number without sampling error."""
        return Estimate(value=float(value), low=float(value), high=float(value), level=level, n=n, kind="exact")

    @staticmethod
    def undefined(reason: str, *, n: int = 0, level: float = 0.95) -> Estimate:
        """No number, and the reason."""
        nan = math.nan
        return Estimate(value=nan, low=nan, high=nan, level=level, n=n, kind="undefined", reason=reason)

    @staticmethod
    def from_draws(
        value: float,
        draws: np.ndarray,
        *,
        level: float,
        n: int,
        kind: Kind = "bootstrap",
        low: float = -np.inf,
        high: float = np.inf,
    ) -> Estimate:
        """Percentile interval of resampled values (B,), clipped to the range [low, high] of the quantity.

        Undefined if the value is NaN or more than a tenth of the resamples are. Examples that all lie at one end of the
        range leave nothing to resample; how large the share of others may still be is Wilson's score interval (1927).
        """
        lost = float(np.mean(np.isnan(draws))) if len(draws) else 0.0
        if math.isnan(value):
            return Estimate.undefined("the number does not exist on these examples", n=n, level=level)
        if lost > 0.1:
            return Estimate.undefined(
                f"in {100 * lost:.0f} % of resamples the number does not exist: too few examples count",
                n=n,
                level=level,
            )
        tail = 100 * (1 - level) / 2
        ends = np.nanpercentile(draws, [tail, 100 - tail]) if len(draws) else (value, value)
        lo, hi = (float(np.clip(end, low, high)) for end in ends)
        if kind == "bootstrap" and n and math.isfinite(high - low):
            rounding, unseen = 1e-12 * (high - low), (high - low) * _wilson(n, level)
            if max(hi, value) <= low + rounding:
                hi = low + unseen
            elif min(lo, value) >= high - rounding:
                lo = high - unseen
        return Estimate(value=float(value), low=min(lo, value), high=max(hi, value), level=level, n=n, kind=kind)

    @property
    def defined(self) -> bool:
        """Whether there is a number."""
        return self.kind != "undefined"

    def __str__(self) -> str:
        if not self.defined:
            return f"undefined ({self.reason})"
        if self.kind == "exact":
            return f"{self.value:.4g} (exact)"
        return f"{self.value:.4g} [{self.low:.4g}, {self.high:.4g}]"

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON data; an undefined number is null, never NaN."""
        return {
            "value": _or_none(self.value),
            "low": _or_none(self.low),
            "high": _or_none(self.high),
            "level": self.level,
            "n": self.n,
            "kind": self.kind,
            "reason": self.reason,
        }

    @staticmethod
    def from_dict(data: dict[str, Any]) -> Estimate:
        """The inverse of `to_dict`."""
        numbers = {k: math.nan if data[k] is None else float(data[k]) for k in ("value", "low", "high")}
        rest = {k: data[k] for k in ("level", "n", "kind", "reason")}
        return Estimate(**numbers, **rest)


def _wilson(n: int, level: float) -> float:
    """Upper end of Wilson's interval of a share of which 0 of n were seen."""
    square = NormalDist().inv_cdf(0.5 + level / 2) ** 2
    return square / (n + square)


def _or_none(value: float) -> float | None:
    return None if not math.isfinite(value) else value
