"""Statistics within prompts: what is left of scores when everything that belongs to the prompt is taken away.

    c(x, y) = r(x, y) - sum_i p_i r(x, y_i),    Cov(r1, r2 | x) = sum_i p_i c1_i c2_i / (1 - sum_i p_i^2)

over the responses y_i of prompt x, p_i their shares (1/K unless they have weights of their own). With equal shares the
divisor turns the sum into the usual one over K - 1. With weights it is the U-statistic over pairs of responses,
sum_{i<j} p_i p_j (r1_i - r1_j)(r2_i - r2_j) / sum_{i<j} p_i p_j, so that both divisors are one formula. It is unbiased
for fixed weights; with density ratios as weights it is consistent in K, as all self-normalised estimates are.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from learnt.core.errors import InputError


@dataclass(frozen=True, eq=False, kw_only=True)
class Layout:
    """Rows of responses sorted by prompt; prompts with fewer than two responses are left out.

    Attributes:
        rows: (m,) positions of the kept rows in the data, those of one prompt next to each other.
        starts: (P,) where each prompt begins in `rows`.
        counts: (P,) responses K of each prompt.
        prompts: (P,) which prompt it is, as numbered by the data.
        share: (m,) p_i, sums to 1 in each prompt.
        spread: (P,) 1 / (1 - sum p_i^2).
        weight: (P,) weight of each prompt; their mean is 1.
        dropped: prompts left out.
    """

    rows: np.ndarray
    starts: np.ndarray
    counts: np.ndarray
    prompts: np.ndarray
    share: np.ndarray
    spread: np.ndarray
    weight: np.ndarray
    dropped: int

    @property
    def of_row(self) -> np.ndarray:
        """(m,) index of each row's prompt, 0 to P - 1."""
        return np.repeat(np.arange(len(self.starts)), self.counts)

    def total(self, values: np.ndarray) -> np.ndarray:
        """(P,) sums over the responses of each prompt of (m,) values."""
        return np.add.reduceat(values, self.starts)

    def centred(self, scores: np.ndarray) -> np.ndarray:
        """(m,) scores (n,) of the kept rows, minus the mean of their prompt."""
        values = scores[self.rows]
        values = values - np.repeat(values[self.starts], self.counts)  # takes a large offset away without rounding
        for _ in range(2):  # the second time removes what the first has rounded
            values = values - np.repeat(self.total(self.share * values), self.counts)
        return values

    def parts(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """(m,) what each response adds to the pooled covariance of two centred scores (m,), before the mean."""
        return self.share * first * second * np.repeat(self.spread * self.weight, self.counts)

    def moments(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """(P,) weighted unbiased covariances of two centred scores (m,), one a prompt."""
        return self.total(self.share * first * second) * self.spread * self.weight


def layout(codes: np.ndarray, count: int, reference: np.ndarray | None, weights: np.ndarray | None) -> Layout:
    """The layout of rows whose prompts are `codes` (n,), numbered 0 to count - 1.

    Args:
        codes: (n,) prompt of each row.
        count: number of prompts.
        reference: (n,) non-negative weights of the rows, or None for equal ones.
        weights: (count,) non-negative weights of the prompts, or None for equal ones.

    Raises:
        InputError: no prompt has two responses that count, or the prompts that have weigh nothing.
    """
    counting = np.ones(len(codes), dtype=bool) if reference is None else reference > 0
    kept = np.bincount(codes[counting], minlength=count) >= 2
    order = np.argsort(codes, kind="stable")
    rows = order[(kept[codes] & counting)[order]]
    if len(rows) == 0:
        raise InputError(
            "groups", found=f"{count} prompt(s), none with two responses",
            expected="at least one prompt with two or more responses",
            remedy="Prompts with one response say nothing: an offset of each prompt is not comparable between models.",
        )  # fmt: skip
    prompts, starts, counts = np.unique(codes[rows], return_index=True, return_counts=True)
    plain = np.ones(len(rows)) if reference is None else reference[rows] / reference[rows].max()
    share = plain / np.repeat(np.add.reduceat(plain, starts), counts)
    # 1 - sum p^2 = sum p (1 - p), which does not cancel when one response has nearly all the weight
    spread = 1.0 / np.add.reduceat(share * _without(share, starts, counts), starts)
    weight = np.ones(len(prompts)) if weights is None else weights[prompts]
    if not weight.any():
        raise InputError("weights", found="0 for every prompt with two responses", expected="at least one above 0")
    return Layout(
        rows=rows, starts=starts, counts=counts, prompts=prompts, share=share, spread=spread,
        weight=weight / weight.mean(), dropped=count - len(prompts),
    )  # fmt: skip


def _without(share: np.ndarray, starts: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """(m,) 1 - p_i, summed from the other responses where p_i is nearly 1."""
    rest = 1.0 - share
    for i in np.flatnonzero(share > 0.99):
        prompt = np.searchsorted(starts, i, side="right") - 1
        inside = np.arange(starts[prompt], starts[prompt] + counts[prompt])
        rest[i] = share[inside[inside != i]].sum()
    return rest
