"""How far apart are two rewards where only samples of the process are to be had? A paired, unbiased estimate.

    delta_ik = R(s_i, a_i, s'_ik) + gamma V(s'_ik) - V(s_i)        for every reward on the same samples
    G_uv     = mean_i [K^2 mean_k(u) mean_k(v) - sum_k delta_u delta_v] / (K (K - 1))        (K = 1: the plain mean)
    rho      = G_12 / sqrt(G_11 G_22),   d = sqrt(2 - 2 rho),   angle = arccos rho

c(s, a) = E[delta | s, a] is the canonical form, with V the value of a fixed policy ("val", Skalse et al. 2024,
Proposition 2) or the potential that makes c smallest ("minimal"); d is the STARC distance for the L2 norm over the
coverage points. G is unbiased for the inner products <c_u, c_v>: the noise of successors enters neither norms nor
cross terms. Because all rewards share the samples, d is exactly 0 for rewards that differ by scale and a potential in
the span of the features, at any sample size.

Intervals: percentile bootstrap over points, or over episodes where they are given, of all of G at once. Weights of an
estimated V move along, to first order, with the transitions they were estimated from, so that their sampling error is
in the interval too; a bias of V (features that cannot express it) is not.

Differences from the authors' code: there the two norms and the distance come from three independent sets of samples,
which puts a floor of about N^(-1/4) under small distances, and one successor is taken for stochastic dynamics too.
The largest value over all states (the norm "linf") cannot be estimated from samples, only bounded from below.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, get_args

import numpy as np
from jaxtyping import Float

from learnt.core.errors import InputError, NonFiniteError, NotApplicable, ShapeError
from learnt.data.transitions import Transitions
from learnt.rewards.bootstrap import part_of
from learnt.rewards.gram import Forms, bands_of
from learnt.rewards.lstd import LSTD, Design, fit_minimal, fit_value, unbiased
from learnt.rewards.sampled_result import SampledDistances
from learnt.rewards.scoring import SampleTable, gather

Method = Literal["val", "minimal"]
Value = Callable[[np.ndarray], Any]
TRIVIAL = 1e-10  # a canonical form this small beside its reward and its value is rounding noise


def estimate_distance(
    rewards: Mapping[str, Any] | SampleTable | Sequence[SampleTable],
    batch: Transitions,
    discount: float,
    *,
    value: LSTD | Value | Mapping[str, Value] | None = None,
    evaluation: Transitions | None = None,
    method: Method = "val",
    norm: Literal["l2"] = "l2",
    stochastic: bool | None = None,
    n_boot: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> SampledDistances:
    """STARC distances between all pairs of M rewards, from samples.

    Args:
        rewards: by name: functions (obs, act, next_obs, terminated) -> (n,), modules, arrays of values (see
            `learnt.rewards.scoring`); or one or more tables of `sample_table`.
        batch: the points where rewards are compared, with K >= 1 successors each.
        discount: gamma, at least 0 and below 1.
        value: `LSTD(...)` (the default) estimates V; a function from observations (n, ...) to (n,) is V of every
            reward; a mapping from names of rewards to functions gives each its own.
        evaluation: transitions under the fixed policy that V is of; the batch itself if None.
        method: "val", or "minimal": the potential is fitted to make the canonical form smallest on the batch.
        norm: only "l2".
        stochastic: whether the same state and action can lead to different successors; what the batch says if None.
        n_boot: bootstrap repetitions, at least 100.
        level: coverage of the intervals.
        seed: of the bootstrap.

    Raises:
        InputError: settings without meaning, rewards given on other samples. ShapeError, NonFiniteError: rewards or
        values of the wrong shape, NaN. NotApplicable: a norm that samples cannot give.

    Warns:
        RuntimeWarning: one successor where the dynamics are stochastic; a norm that cannot be told from 0; nearly
        collinear or too many features.
    """
    _check(discount, method, norm, n_boot, level)
    value = LSTD() if value is None else value
    if method == "minimal" and (evaluation is not None or not isinstance(value, LSTD)):
        raise InputError(
            "evaluation" if evaluation is not None else "value", found="values of a policy",
            expected="none with method='minimal', whose potential is fitted to the batch itself (value=LSTD(...))",
        )  # fmt: skip
    names, scores, elsewhere = gather(rewards, batch, evaluation if isinstance(value, LSTD) else None)
    chance = batch.stochastic if stochastic is None else stochastic
    made = _canonical(names, scores, elsewhere, batch, evaluation, discount, value, method)
    points = part_of(batch, "points", seed, n_boot)
    moved = points if made.other is None else part_of(made.other, "evaluation", seed, n_boot)
    trivial = np.sqrt(np.square(made.delta).mean((1, 2))) <= TRIVIAL * made.top
    bands, gram, uncertain = bands_of(made, trivial, points, moved, level)
    notes = [*_one_successor(batch, chance), *made.notes]
    for name in (name for name, u in zip(names, uncertain) if u):
        notes.append(
            f"the norm of {name!r} cannot be told from 0 with these samples: nothing but shaping and noise may be in "
            "it. More points or episodes, more successors, or fewer features would tell."
        )
    for note in notes:
        warnings.warn(note, RuntimeWarning, stacklevel=2)
    norms = bands["norm"].value
    usable = ~trivial & (norms > 0)
    scale = np.where(usable, 1.0 / np.where(usable, norms, 1.0), 0.0)
    return SampledDistances(
        names=names, **bands, trivial=trivial, uncertain=uncertain, gram=gram,
        forms=made.delta.mean(2) * scale[:, None],
        points=len(batch), successors=batch.successors, clusters=points.count,
        method=method, value=made.how, discount=float(discount), level=level, rank=made.rank, condition=made.condition,
        notes=tuple(notes),
        provenance={
            "seed": seed, "n_boot": n_boot, "batch": batch.fingerprint,
            "evaluation": "" if evaluation is None else evaluation.fingerprint,
        },
    )  # fmt: skip


def hoeffding_samples(bound: float, error: float, probability: float, *, rewards: int = 2) -> int:
    """Points N that give every entry of the Gram matrix to within `error`, whatever the distribution.

        N >= (2 B^4 / error^2) ln(M (M + 1) / probability)        Hoeffding's inequality and a union bound

    Args:
        bound: B with |delta| <= B for all rewards and samples.
        error: largest error of any entry.
        probability: of a larger one; above 0 and below 1.
        rewards: M.

    Raises:
        InputError: a number out of range.
    """
    for name, number in (("bound", bound), ("error", error)):
        if not 0 < number < math.inf:
            raise InputError(name, found=str(number), expected="a positive number")
    if not 0 < probability < 1:
        raise InputError("probability", found=str(probability), expected="a number above 0 and below 1")
    if rewards < 1:
        raise InputError("rewards", found=str(rewards), expected="1 or more")
    return math.ceil(2 * bound**4 / error**2 * math.log(rewards * (rewards + 1) / probability))


def _check(discount: float, method: str, norm: str, n_boot: int, level: float) -> None:
    if not isinstance(discount, int | float | np.number) or not 0 <= discount < 1:
        raise InputError("discount", found=repr(discount), expected="a number of at least 0 and below 1")
    if method not in get_args(Method):
        raise InputError("method", found=repr(method), expected="'val' or 'minimal'")
    if norm in ("linf", "inf", "max", math.inf):
        raise NotApplicable(
            "norm", found=repr(norm), expected="'l2'",
            remedy="The largest value over all states cannot be estimated from samples: it is only bounded from below "
            "by the largest one seen, however many are drawn.",
        )  # fmt: skip
    if norm in ("l1", 1):
        raise NotApplicable(
            "norm", found=repr(norm), expected="'l2'",
            remedy="A mean of absolute values of noisy forms is biased upwards, and no number of points removes that.",
        )  # fmt: skip
    if norm != "l2":
        raise InputError("norm", found=repr(norm), expected="'l2'")
    if n_boot < 100:
        raise InputError("n_boot", found=str(n_boot), expected="at least 100")
    if not 0 < level < 1:
        raise InputError("level", found=str(level), expected="a number above 0 and below 1")


def _one_successor(batch: Transitions, chance: bool | None) -> list[str]:
    if batch.successors > 1 or chance is False:
        return []
    if chance is None and not batch.shows_chance:
        return []
    return [
        "the dynamics are stochastic, and there is one successor for each point: noise of successors enters the norms "
        "and the distance, which are biased. Draw two or more successors (Transitions with K >= 2)."
    ]


def _canonical(
    names: tuple[str, ...],
    scores: np.ndarray,
    elsewhere: np.ndarray | None,
    batch: Transitions,
    evaluation: Transitions | None,
    discount: float,
    value: LSTD | Value | Mapping[str, Value],
    method: str,
) -> Forms:
    weight = _unit(batch)
    top = np.abs(scores).max((1, 2))
    if not isinstance(value, LSTD):
        delta = scores.copy()
        for u, function in enumerate(_functions(value, names)):
            here = _values(function, batch.obs, names[u])
            ahead = _values(function, batch.next_obs.reshape(-1, *batch.obs.shape[1:]), names[u])
            delta[u] += discount * np.where(batch.terminated, 0.0, ahead.reshape(scores.shape[1:])) - here[:, None]
            top[u] = max(top[u], np.abs(here).max())
        return Forms(delta, top, None, None, None, None, "values given by the user", ())
    source = batch if evaluation is None else evaluation
    features = value.fit(source.obs)
    design = Design(features, batch, discount)
    if method == "minimal":
        fitted, learnt_on, seen = fit_minimal(design, scores, weight, cut=value.cut), design, scores
    else:
        learnt_on = design if evaluation is None else Design(features, source, discount)
        seen = scores if elsewhere is None else elsewhere
        fitted = fit_value(learnt_on, seen, _unit(source), cut=value.cut)
    delta, slope = scores.copy(), np.zeros_like(fitted.weights)
    for part, phi, y in design:
        delta[:, part] -= np.moveaxis(y @ fitted.weights, 2, 0)
        top = np.maximum(top, np.abs(phi @ fitted.weights).max(0))
        slope -= _mixed(y, np.moveaxis(delta[:, part], 0, 2), weight[part])
    how = f"{'LSTD' if method == 'val' else 'least squares'} on {fitted.rank} features"
    moves = None
    if method == "val":
        z, along, rest = fitted.influence(slope), np.empty(seen.shape[:2]), seen.mean(2)
        for part, phi, y in learnt_on:
            along[:, part] = (phi @ z).T
            rest[:, part] -= (y.mean(1) @ fitted.weights).T
        moves = (along, rest)
    return Forms(delta, top, moves, evaluation if moves else None, fitted.rank, fitted.condition, how, fitted.notes)


def _mixed(x: np.ndarray, y: np.ndarray, weight: Float[np.ndarray, "n"]) -> np.ndarray:
    """sum_i v_i E[x | i] E[y | i]', without bias where there are two successors or more."""
    if x.shape[1] > 1:
        return unbiased(x, y, weight)
    return (x[:, 0] * weight[:, None]).T @ y[:, 0]


def _functions(value: Value | Mapping[str, Value], names: tuple[str, ...]) -> list[Value]:
    if not isinstance(value, Mapping):
        if not callable(value):
            raise InputError("value", found=type(value).__name__, expected="LSTD(...), a function or a mapping of them")
        return [value] * len(names)
    missing = [name for name in names if name not in value]
    if missing:
        raise InputError("value", found=f"no function for {missing[0]!r}", expected="one for every reward")
    return [value[name] for name in names]


def _values(function: Value, obs: np.ndarray, name: str) -> np.ndarray:
    out = function(obs)
    out = np.asarray(out.detach().cpu() if hasattr(out, "detach") else out, dtype=np.float64)
    if out.shape != (len(obs),):
        raise ShapeError(f"value of {name}", found=f"shape {out.shape}", expected=f"({len(obs)},)")
    if not np.isfinite(out).all():
        raise NonFiniteError(f"value of {name}", found="NaN or infinity", expected="numbers")
    return out


def _unit(data: Transitions) -> np.ndarray:
    weight = np.ones(len(data)) if data.weight is None else data.weight
    return weight / weight.sum()
