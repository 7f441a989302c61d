"""How strongly does each expert pull on the task at first, and is that due to which tokens its router gives it?

    Sigma_yx(p) = sum_i w_i g_p(i) y_i x_i^T            strength_p = sigma_1(Sigma_yx(p))

A router whose decisions are frozen on a sample is a gate, and an expert behind it a pathway p: from small weights the
map W_p of a pathway of one layer grows by dW_p/dt = Sigma_yx(p), and both layers of a balanced pathway of two by the
factor exp(strength t) along its first mode, as long as none has learned anything. This is the first growth under the
loss 1/2 sum_i w_i |y_i - f(x_i)|^2 with w_i = 1/P (or `prob`), and no more: routers and hidden gates move, and experts
that share tokens compete. No trajectory follows from it. A large gain says that what the gate looks at matters for this
growth, not that experts have specialised: an untrained router can have one as well.

    load_p     share of the tokens for which the gate is open
    per token  strength_p / sum_i w_i g_p(i), so that busy and idle experts can be compared
    control    the strength with the rows of the gates permuted over the tokens: what a gate with the same loads has
               that does not look at its input; gain = strength / mean of the controls

The interval resamples tokens, or whole sequences of them, with the singular vectors held: sigma_1 = <g u^T y x^T v> is
then a mean, and to first order this is the bootstrap of sigma_1 (`learnt.core.statistics`). Few tokens push sigma_1
itself upwards, the control as well: read it against the control. Under cross-entropy the first gradient is that of the
squared loss towards y - 1/classes (all logits 0): loss="cross entropy".

Source: effective data sets of pathways, Saxe, Sodhani, Lewallen 2022 (arXiv 2207.10430); that top-k routers are read
as gates, the control and the interval are ours.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, final

import numpy as np

from learnt.core.errors import InputError, NotApplicable, ShapeError
from learnt.core.estimate import Estimate
from learnt.core.measure import Sums
from learnt.core.statistics import Resampler
from learnt.gated._frozen import finite, frozen, whole
from learnt.run.seeds import numpy_generator

Loss = Literal["squared", "cross entropy"]
MOST = 1 << 27  # numbers of one array: 1 GB
_CLOSE = 0.9  # of sigma_1: a second mode as strong as that makes the first a matter of the sample


@final
@dataclass(frozen=True, eq=False, kw_only=True)
class PathwayStrengths:
    """First growth rates of the pathways through a router. Made by `pathway_strengths`.

    Attributes:
        names: of the K pathways.
        strengths: with their intervals over tokens.
        shares: each strength as a share of their sum, with intervals; undefined if all are 0.
        second: (K,) the second singular value of Sigma_yx(p).
        load: (K,) share of the tokens for which the gate is open.
        mean_gate: (K,) the mean gate.
        controls: (permutations, K) strengths with the gates permuted over the tokens.
        outputs, inputs: (c, K) and (d, K) singular vectors of the first mode; zeros where there is none.
        tokens: P.
        loss: which loss the growth is of.
        notes: what to know of the whole.
    """

    names: tuple[str, ...]
    strengths: tuple[Estimate, ...]
    shares: tuple[Estimate, ...]
    second: np.ndarray
    load: np.ndarray
    mean_gate: np.ndarray
    controls: np.ndarray
    outputs: np.ndarray
    inputs: np.ndarray
    tokens: int
    loss: Loss
    notes: tuple[str, ...]

    @property
    def values(self) -> np.ndarray:
        """(K,) the strengths without their intervals."""
        return np.array([s.value for s in self.strengths])

    @property
    def per_token(self) -> np.ndarray:
        """(K,) strength over mean gate; NaN for a pathway that is never open."""
        with np.errstate(invalid="ignore"):
            return self.values / np.where(self.mean_gate > 0, self.mean_gate, np.nan)

    @property
    def gain(self) -> np.ndarray:
        """(K,) strength over the mean of its controls; NaN without controls, or if they are 0."""
        if not len(self.controls):
            return np.full(len(self.names), np.nan)
        below = self.controls.mean(0)
        return self.values / np.where(below > 0, below, np.nan)

    @property
    def p(self) -> np.ndarray:
        """(K,) one-sided p of "the gate does not depend on the input", not corrected for K; NaN without controls."""
        count = len(self.controls)
        if not count:
            return np.full(len(self.names), np.nan)
        reached = self.controls >= self.values * (1 - 1e-12)
        return (1 + reached.sum(0)) / (1 + count)

    @property
    def overlap(self) -> np.ndarray:
        """(K, K) |u_p . u_q| |v_p . v_q|: 1 for two pathways that grow towards the same mode, 0 for different ones."""
        return np.abs(self.outputs.T @ self.outputs) * np.abs(self.inputs.T @ self.inputs)

    def __len__(self) -> int:
        return len(self.names)

    def table(self) -> str:
        """All pathways as text, the strongest first."""
        width = max(7, *(len(name) for name in self.names)) + 2
        level = f"{100 * self.strengths[0].level:g} %"
        heads = ("load", "strength", level, "share", "per token", "control", "gain", "p")
        sizes = (8, 10, 21, 8, 11, 10, 7, 8)
        lines = ["pathway".ljust(width) + "".join(h.rjust(s) for h, s in zip(heads, sizes, strict=True))]
        below = self.controls.mean(0) if len(self.controls) else np.full(len(self), np.nan)
        per, gain, p = self.per_token, self.gain, self.p
        for k in np.argsort(-self.values, kind="stable").tolist():
            s, share = self.strengths[k], self.shares[k]
            cells = (
                f"{self.load[k]:.1%}", f"{s.value:.4g}", f"{s.low:.4g} to {s.high:.4g}",
                f"{share.value:.1%}" if share.defined else "-",
                *(_text(float(v[k]), form) for v, form in ((per, ".4g"), (below, ".4g"), (gain, ".2f"), (p, ".3f"))),
            )  # fmt: skip
            lines.append(self.names[k].ljust(width) + "".join(c.rjust(n) for c, n in zip(cells, sizes, strict=True)))
        return "\n".join(
            [*lines, f"first growth under the {self.loss} loss, mean over {self.tokens:,} tokens", *self.notes]
        )

    def __str__(self) -> str:
        return self.table()

    def to_fields(self) -> dict[str, Any]:
        """Plain JSON data; what is undefined is None."""
        per, gain, p = self.per_token, self.gain, self.p
        below = self.controls.mean(0) if len(self.controls) else np.full(len(self), np.nan)
        return {
            "tokens": self.tokens,
            "loss": self.loss,
            "permutations": len(self.controls),
            "pathways": [
                {
                    "name": name,
                    "strength": self.strengths[k].to_dict(),
                    "share": self.shares[k].to_dict(),
                    "second": float(self.second[k]),
                    "load": float(self.load[k]),
                    "mean_gate": float(self.mean_gate[k]),
                    "per_token": _json(per[k]),
                    "control": _json(below[k]),
                    "gain": _json(gain[k]),
                    "p": _json(p[k]),
                }
                for k, name in enumerate(self.names)
            ],
            "notes": list(self.notes),
        }


def pathway_strengths(
    gates: Any,
    x: Any,
    y: Any,
    *,
    names: Sequence[str] | None = None,
    loss: Loss = "squared",
    prob: Any = None,
    sequences: Any = None,
    permutations: int = 99,
    resamples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> PathwayStrengths:
    """Strengths of the pathways that a router opens, each with its load, an interval and a control.

    Args:
        gates: (P, K) gate of each token for each pathway, at least 0: 0/1 or the weights of a top-k router; those of
            `record_router`, or of `unit_pathways` for the units inside experts.
        x: (P, d) what the experts are given.
        y: (P, c) targets, or (P,) class indices (then one column for each class up to the largest). For what a trained
            network still misses, give its errors.
        names: of the pathways; "expert 0", ... if None.
        loss: "squared", or "cross entropy" (y - 1/c, the gradient where all logits are 0).
        prob: (P,) weights of the tokens; equal if None.
        sequences: (P,) integers: tokens of the same sequence are resampled together; each alone if None.
        permutations: of the control; 0 for none. The work is about permutations * open gates * c * d.
        resamples: of the interval, at least 100.
        level: of the interval.
        seed: of both.

    Raises:
        InputError, ShapeError, NonFiniteError: arrays that do not fit together, negative gates (logits?), NaN.
        NotApplicable: more output numbers than fit into memory.
    """
    g, x, y, weight, labels = _arrays(gates, x, y, names, loss, prob)
    permutations = whole(permutations, "permutations", 0)
    if isinstance(level, bool) or not isinstance(level, int | float) or not 0 < level < 1:
        raise InputError("level", found=repr(level), expected="a number above 0 and below 1")
    group = _groups(sequences, len(g))
    weighted = g * weight[:, None]
    values, second, u, v = _modes(weighted, x, y)
    strengths, shares = _intervals(weighted, x, y, u, v, group, weight, resamples, level, seed)
    controls = np.empty((permutations, g.shape[1]))
    rng = numpy_generator(seed, "pathway control")
    for row in controls:
        order = rng.permutation(len(g))
        row[:] = [_largest(g[order, k] * weight, x, y) for k in range(g.shape[1])]
    load = weight @ (g > 0)
    return PathwayStrengths(
        names=labels, strengths=strengths, shares=shares, second=frozen(second), load=frozen(load),
        mean_gate=frozen(weight @ g), controls=frozen(controls), outputs=frozen(u), inputs=frozen(v), tokens=len(g),
        loss=loss, notes=_notes(labels, load, values, second),
    )  # fmt: skip


def _arrays(
    gates: Any, x: Any, y: Any, names: Any, loss: Any, prob: Any
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, tuple[str, ...]]:
    """Gates, inputs, targets, weights that sum to 1, names; checked."""
    g, x = finite(gates, "gates"), finite(x, "x")
    if g.ndim != 2 or not g.size:
        raise ShapeError("gates", found=f"shape {g.shape}", expected="(tokens, pathways), at least one of each")
    if (g < 0).any():
        raise InputError(
            "gates", found=f"negative numbers, the least {g.min():.3g}", expected="gates of at least 0",
            remedy="If these are the logits of a router, `record_router` makes gates of them.",
        )  # fmt: skip
    n, count = g.shape
    if x.ndim != 2 or len(x) != n or not x.shape[1]:
        raise ShapeError("x", found=f"shape {x.shape}", expected=f"({n}, inputs), one row a token")
    if loss not in ("squared", "cross entropy"):
        raise InputError("loss", found=repr(loss), expected="'squared' or 'cross entropy'")
    target = _targets(y, n)
    if max(n * target.shape[1], x.shape[1] * target.shape[1]) > MOST:
        raise NotApplicable(
            "y", found=f"{target.shape[1]:,} outputs of {n:,} tokens and {x.shape[1]:,} inputs",
            expected=f"tables of at most {MOST:,} numbers", remedy="Group the classes, or take fewer tokens.",
        )  # fmt: skip
    if loss == "cross entropy":
        if target.shape[1] < 2:
            raise ShapeError("y", found="one output", expected="at least two classes for the cross-entropy loss")
        target = target - 1.0 / target.shape[1]
    weight = np.full(n, 1.0 / n) if prob is None else finite(prob, "prob")
    if weight.shape != (n,):
        raise ShapeError("prob", found=f"shape {weight.shape}", expected=f"({n},), one weight a token")
    if (weight < 0).any() or not weight.any():
        raise InputError("prob", found="a negative weight, or only zeros", expected="weights of at least 0")
    labels = tuple(f"expert {k}" for k in range(count)) if names is None else tuple(str(name) for name in names)
    if len(labels) != count or len(set(labels)) != count:
        raise InputError("names", found=f"{len(set(labels))} different names", expected=f"{count}, one a pathway")
    return g, x, target, weight / weight.sum(), labels


def _targets(y: Any, n: int) -> np.ndarray:
    found = np.asarray(y.detach().cpu() if hasattr(y, "detach") else y)
    if found.ndim == 1 and found.dtype.kind in "iu" and len(found) == n:
        if int(found.min()) < 0:
            raise InputError("y", found=f"the class {found.min()}", expected="class indices from 0")
        classes = int(found.max()) + 1
        if n * classes > MOST:
            raise NotApplicable("y", found=f"{classes:,} classes of {n:,} tokens", expected=f"at most {MOST:,} numbers")
        return np.eye(classes)[found] if classes <= 4096 else (found[:, None] == np.arange(classes)).astype(np.float64)
    target = finite(found, "y")
    target = target[:, None] if target.ndim == 1 else target
    if target.ndim != 2 or len(target) != n or not target.shape[1]:
        raise ShapeError("y", found=f"shape {np.shape(found)}", expected=f"({n}, outputs), or ({n},) class indices")
    return target


def _groups(sequences: Any, n: int) -> np.ndarray:
    """(P,) which sequence each token is of, numbered from 0."""
    if sequences is None:
        return np.arange(n)
    of = np.asarray(sequences.detach().cpu() if hasattr(sequences, "detach") else sequences)
    if of.shape != (n,) or of.dtype.kind not in "iu":
        raise ShapeError("sequences", found=f"{of.dtype} of shape {of.shape}", expected=f"({n},) integers, one a token")
    return np.unique(of, return_inverse=True)[1].reshape(-1)


def _correlation(weighted: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """(c, d) sum_i weighted_i y_i x_i^T, over the tokens that count."""
    on = np.flatnonzero(weighted)
    return (y[on] * weighted[on, None]).T @ x[on]


def _largest(weighted: np.ndarray, x: np.ndarray, y: np.ndarray) -> float:
    """The largest singular value alone, from the smaller of the two Gram matrices."""
    sigma = _correlation(weighted, x, y)
    gram = sigma @ sigma.T if len(sigma) <= sigma.shape[1] else sigma.T @ sigma
    return float(np.sqrt(max(0.0, np.linalg.eigvalsh(gram)[-1])))


def _modes(weighted: np.ndarray, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, ...]:
    """Values (K,), second ones (K,), u (c, K) and v (d, K) of the first mode of each pathway."""
    count = weighted.shape[1]
    values, second = np.zeros(count), np.zeros(count)
    u, v = np.zeros((y.shape[1], count)), np.zeros((x.shape[1], count))
    for k in range(count):
        left, s, right = np.linalg.svd(_correlation(weighted[:, k], x, y), full_matrices=False)
        if s[0] > 0:
            values[k], u[:, k], v[:, k] = s[0], left[:, 0], right[0]
            second[k] = s[1] if len(s) > 1 else 0.0
    return values, second, u, v


def _intervals(
    weighted: np.ndarray, x: np.ndarray, y: np.ndarray, u: np.ndarray, v: np.ndarray, group: np.ndarray,
    weight: np.ndarray, resamples: int, level: float, seed: int,
) -> tuple[tuple[Estimate, ...], tuple[Estimate, ...]]:  # fmt: skip
    """Strengths and shares with intervals: means over tokens of u^T y x^T v, sequences resampled."""
    count = int(group.max()) + 1
    parts = weighted * (y @ u) * (x @ v)
    columns = np.zeros((count, parts.shape[1] + 1))
    np.add.at(columns, group, np.column_stack([parts, weight]))
    which = range(parts.shape[1])
    evidence = [
        *(Sums(columns=columns[:, [k, -1]], combine=_ratio) for k in which),
        *(Sums(columns=np.column_stack([columns[:, k], columns[:, :-1].sum(1)]), combine=_ratio) for k in which),
    ]
    drawn = Resampler(resamples, seed).draws(evidence, np.arange(count))
    low_high = [(0.0, np.inf)] * len(which) + [(0.0, 1.0)] * len(which)
    found = [
        Estimate.from_draws(value, draws, level=level, n=count, low=low, high=high)
        for (value, draws), (low, high) in zip(drawn, low_high, strict=True)
    ]
    return tuple(found[: len(which)]), tuple(found[len(which) :])


def _ratio(means: np.ndarray) -> np.ndarray:
    return means[..., 0] / means[..., 1]


def _notes(names: tuple[str, ...], load: np.ndarray, values: np.ndarray, second: np.ndarray) -> tuple[str, ...]:
    notes = []
    idle = [name for name, share in zip(names, load, strict=True) if not share > 0]
    if idle:
        notes.append(f"never open, so never trained: {', '.join(idle)}")
    tied = [name for name, a, b in zip(names, values, second, strict=True) if a > 0 and b > _CLOSE * a]
    if tied:
        which = "all" if 1 < len(tied) == len(names) else ", ".join(tied)
        notes.append(f"a second mode is nearly as strong, intervals are too narrow: {which}")
    return tuple(notes)


def _text(value: float, form: str) -> str:
    return format(value, form) if np.isfinite(value) else "-"


def _json(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
