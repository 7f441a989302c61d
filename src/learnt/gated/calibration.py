"""Which decoupled start stands for a random one? The one that makes the first drop of the loss come when it came.

A random start is not of decoupled form, but after a short alignment it learns nearly like one. Its one number b0 is
fitted to the step at which the loss has made half of its first drop,

    level = L(0) - 1/2 (what the modes that are learned first take off the loss)

and the rest of the run is then a prediction. The notebook of the paper divides the gain of its orthogonal start by 2.5
without a reason; this is the number that 2.5 stands for. Later starts are later everywhere, so that the root is unique.

Source: derived for the specification (2.2); measured there on ten random starts of the paper's routing network.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from learnt.core.errors import InputError, NotApplicable, ShapeError
from learnt.gated._frozen import finite, number
from learnt.gated.reduction import Reduction
from learnt.gated.solving import solve
from learnt.gated.trajectory import Trajectory

_TOGETHER = 0.02  # modes learned within this share of the first one's time belong to the first drop


def first_drop(reduction: Reduction, init: float, lr: float, *, steps: int = 4096, **settings: Any) -> float:
    """The loss in the middle of the first drop that a start at `init` predicts.

    Args:
        reduction: of the task.
        init: one strength of all edges and modes.
        lr, steps, settings: of the descent.

    Raises:
        NotApplicable: no mode is learned in this many steps.
    """
    path = solve(reduction, init, "gd", lr=lr, steps=steps, **settings)
    times = path.time_to(0.5)
    soonest = float(times.min(initial=np.inf))
    if not np.isfinite(soonest):
        raise NotApplicable(
            "lr", found=f"no mode learned in {steps} steps of {lr:g} from strengths of {init:g}",
            expected="at least one",
            remedy="Use the step size of the observed run, and one at which it does not diverge.",
        )  # fmt: skip
    first = times <= soonest * (1 + _TOGETHER)
    return float(path.loss[0] - 0.5 * reduction.gain[first].sum())


def calibrate(
    reduction: Reduction, observed_loss: Any, lr: float, *, level: float | None = None, low: float = 1e-8,
    high: float | None = None, **settings: Any,
) -> float:  # fmt: skip
    """Fits one strength b0 for all edges and modes to the first drop of an observed loss.

    Args:
        reduction: of the task.
        observed_loss: (T,) the loss before training and after each step; only its first drop is used.
        lr: the step size of that run.
        level: the loss whose first crossing is fitted; the middle of the first drop if None.
        low, high: the range in which b0 is looked for; above, by default, half of the strength at which training ends.
        settings: momentum, weight_decay, nesterov of that run.

    Returns:
        b0, to be given to `Reduction.solve`.

    Raises:
        NotApplicable: the observed loss does not cross the level, or no start in the range crosses it then.
        InputError, ShapeError, NonFiniteError: no curve, or settings that have no meaning.
    """
    if not isinstance(reduction, Reduction):
        raise InputError("reduction", found=type(reduction).__name__, expected="a Reduction, made by reduce")
    curve = finite(observed_loss, "observed_loss")
    if curve.ndim != 1 or len(curve) < 2:
        raise ShapeError(
            "observed_loss", found=f"shape {curve.shape}", expected="(T,), the loss before each step, T >= 2"
        )
    number(lr, "lr", above=0.0)
    top = _largest(reduction) if high is None else number(high, "high")
    low = number(low, "low")
    if not 0 < low < top:
        raise InputError("low, high", found=f"{low:g}, {top:g}", expected="0 < low < high")
    level = first_drop(reduction, 0.2 * top, lr, **settings) if level is None else number(level, "level")
    wanted = crossing(curve, level)
    if wanted is None or wanted == 0:
        raise NotApplicable(
            "observed_loss", found=f"a loss from {curve[0]:g} to {curve[-1]:g} in {len(curve) - 1} steps",
            expected=f"one that falls below {level:g}, the middle of its first drop",
            remedy="Observe the run for longer.",
        )  # fmt: skip
    steps = int(np.ceil(wanted)) + 1

    def late(log: float) -> float:
        """How much later than observed a start crosses the level, in steps; far later counts as by its loss."""
        run: Trajectory = solve(reduction, float(np.exp(log)), "gd", lr=lr, steps=steps, **settings)
        at = crossing(run.loss, level)
        if at is None:
            return 1.0 + (0.0 if run.diverged is not None else float(run.loss[-1] - level) / abs(level or 1.0))
        return at - wanted

    from scipy.optimize import brentq

    ends = np.log(low), np.log(top)
    if late(ends[0]) < 0 or late(ends[1]) > 0:
        raise NotApplicable(
            "observed_loss", found=f"a first drop after {wanted:.4g} steps",
            expected=f"one that a start between {low:g} and {top:g} explains",
            remedy="Check lr and the weights of the loss, or widen the range.",
        )  # fmt: skip
    root: Any = brentq(late, ends[0], ends[1], xtol=1e-10)
    return float(np.exp(root))


def crossing(loss: np.ndarray, level: float) -> float | None:
    """When a curve first falls below a level, in steps, linear between them; None if it does not.

    Args:
        loss: (T,) before training and after each step.
        level: a loss.
    """
    below = np.flatnonzero(loss < level)
    if not len(below):
        return None
    k = int(below[0])
    if k == 0:
        return 0.0
    return k - 1 + float((loss[k - 1] - level) / (loss[k - 1] - loss[k]))


def _largest(reduction: Reduction) -> float:
    """Half of the equal strength at which the strongest path explains its strongest mode."""
    size = np.abs(reduction.target)
    p, n = np.unravel_index(int(size.argmax()), size.shape)
    if size[p, n] == 0:
        raise NotApplicable("reduction", found="no mode with a target", expected="at least one: there is no first drop")
    return 0.5 * float(size[p, n] ** (1 / len(reduction.stats.paths[int(p)].edges)))
