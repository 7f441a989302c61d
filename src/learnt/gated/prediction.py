"""What will this network learn, how fast, and was it so? A prediction from a task, with what was observed beside it.

The task is reduced to its modes and the reduced dynamics are solved from a decoupled start of one strength b0. What
was observed may be losses from anywhere, or those of real networks trained here: from decoupled weights of strength b0
or, with a gain, from random orthogonal ones, which are not of that form; `calibrate` then fits b0 to the first drop.

What may be claimed is said in words: exact only where both assumptions hold and training is flow or full-batch descent;
approximate; or, beyond a defect of 5 %, an order of learning only (`learnt.gated.reduction`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, final

import numpy as np

from learnt.core.errors import InputError, NotApplicable
from learnt.gated._frozen import frozen, number, whole
from learnt.gated.curve_pictures import mode_groups, observed_losses
from learnt.gated.gated_task import GatedTask
from learnt.gated.reduction import LEAKY, Reduction, reduce
from learnt.gated.trajectory import Trajectory


class ModeRow(NamedTuple):
    """Modes that are learned alike.

    Attributes:
        count: how many they are.
        class_, mode: the first of them.
        strength: s, the largest of its paths.
        target: the best strength of that path, s / d if it is alone.
        share: of what can be learned, all of them together.
        half, most: time to one half and to nine tenths; inf if not in this time.
        regime: "rich", "between", "lazy", or "" if not known.
    """

    count: int
    class_: int
    mode: int
    strength: float
    target: float
    share: float
    half: float
    most: float
    regime: str


class Observed(NamedTuple):
    """A loss that was observed.

    Attributes:
        steps: (T,) of descent, or times of flow.
        losses: (T, R) of R runs.
        error: the largest difference of their mean from the prediction, as a share of the predicted loss at the start.
        half: when the mean has lost half of what the prediction loses in all; inf if it does not.
    """

    steps: np.ndarray
    losses: np.ndarray
    error: float
    half: float


@final
@dataclass(frozen=True, eq=False, kw_only=True)
class Prediction:
    """A prediction. Made by `predict`.

    Attributes:
        task: what is to be learned.
        trajectory: the solution of the reduced dynamics.
        init: b0.
        calibrated: what b0 was fitted to; "" if it was given.
        rows: the modes, soonest first.
        observed: by name.
        half: when half of what is lost in all is lost, in steps or time; inf if nothing is.
        lr_max: the largest stable step of the reduced dynamics; nan if not known.
        start_defect: of the weights that simulations started from; nan if there were none or they were decoupled.
        notes: what to know.
    """

    task: GatedTask
    trajectory: Trajectory
    init: float
    calibrated: str
    rows: tuple[ModeRow, ...]
    observed: Mapping[str, Observed]
    half: float
    lr_max: float
    start_defect: float
    notes: tuple[str, ...]

    @property
    def claim(self) -> str:
        """What the prediction is: exact, approximate, or an order of learning only."""
        r = self.trajectory.reduction
        if self.trajectory.exact:
            return "exact"
        return "order of learning only" if r.defect > LEAKY else "approximate"

    def to_fields(self) -> dict[str, Any]:
        """Plain JSON data; what has no end or is not known is None."""
        t, r = self.trajectory, self.trajectory.reduction
        return {
            "schema": "learnt.gated.prediction/1",
            "claim": self.claim,
            "exact": t.exact,
            "defect": r.defect,
            "worst_path": "" if r.worst is None else str(r.stats.paths[r.worst]),
            "start_defect": _json(self.start_defect),
            "weights_sum_to": r.stats.total,
            "method": t.method,
            "settings": dict(t.settings),
            "init": self.init,
            "calibrated": self.calibrated,
            "lr_max": _json(self.lr_max),
            "floor": r.floor,
            "half": _json(self.half),
            "diverged": t.diverged,
            "steps": None if t.steps is None else t.steps.tolist(),
            "time": t.time.tolist(),
            "loss": t.loss.tolist(),
            "modes": [{k: _json(v) for k, v in row._asdict().items()} for row in self.rows],
            "edges": {e: float(np.linalg.norm(b[-1])) for e, b in t.strength.items()},
            "observed": {
                name: {"error": o.error, "half": _json(o.half), "runs": o.losses.shape[1],
                       "final": o.losses[-1].tolist()}
                for name, o in self.observed.items()
            },
            "notes": list(self.notes),
        }  # fmt: skip

    def draw(self) -> Any:
        """A new figure: losses, the graph with its strengths, modes as they are learned, pathways."""
        from learnt.gated.curve_pictures import draw_modes, draw_trajectory
        from learnt.gated.graph_pictures import MOST_EDGES, draw_graph, draw_pathways
        from learnt.io.figures import figure

        made = figure(12.4, 8.4)
        (a, b), (c, d) = made.subplots(2, 2, width_ratios=(1.0, 1.1))
        draw_trajectory(self.trajectory, observed={n: (o.steps, o.losses) for n, o in self.observed.items()}, ax=a)
        draw_modes(self.trajectory, ax=c)
        if len(self.task.graph.edges) <= MOST_EDGES:
            draw_graph(self.task, strengths=self.trajectory, ax=b)
        else:
            b.set_axis_off()
        draw_pathways(self.trajectory, ax=d)
        return made

    def __str__(self) -> str:
        from learnt.gated._prediction_text import text

        return text(self)


def predict(
    task: GatedTask,
    init: float = 0.1,
    *,
    lr: float | None = None,
    steps: int | None = None,
    momentum: float = 0.0,
    weight_decay: float = 0.0,
    optimizer: str = "sgd",
    t: float | None = None,
    observed: Mapping[str, Any] | None = None,
    calibrate: bool = False,
    simulate: int = 0,
    gain: float | None = None,
    seed: int = 0,
    require_exact: bool = False,
) -> Prediction:
    """Predict how a task is learned.

    Args:
        task: data, gates and graph.
        init: b0, the strength of every edge and mode at the start.
        lr, steps, momentum, weight_decay: of full-batch gradient descent, torch.optim.SGD; or
        t: the time of gradient flow.
        optimizer: "sgd"; those under which modes do not stay apart are refused.
        observed: losses by name, (T,) or (T, runs), before training and after each step; or pairs of steps and losses.
        calibrate: fit b0 to the first drop of the first of them, or of the simulation, instead of `init`.
        simulate: real networks to train (descent only).
        gain: they start from random orthogonal weights of this gain; None for decoupled ones of strength b0.
        seed: of their starts.
        require_exact: refuse where the assumptions do not hold.

    Raises:
        AssumptionError: `require_exact`, and an assumption does not hold.
        UnsupportedOptimizer: an optimiser whose steps depend on the coordinates.
        InputError, ShapeError, NonFiniteError: settings that have no meaning.
        NotApplicable: nothing to calibrate with, or a graph with a hidden node too narrow for its modes.
    """
    from learnt.gated.solving import _known_optimiser

    flow = t is not None
    _known_optimiser("flow" if flow else "gd", optimizer)
    if flow == (lr is not None):
        raise InputError(
            "lr", found="a time of flow too" if flow else "nothing", expected="a learning rate, or a time of flow",
            remedy="Descent takes lr and steps, flow a time.",
        )  # fmt: skip
    count = whole(simulate, "simulate", 0)
    if flow and (count or calibrate):
        raise InputError("t", found="flow with a simulation", expected="descent: lr and steps")
    gain = None if gain is None else number(gain, "gain", above=0.0)
    if gain is not None and not count:
        raise InputError("gain", found=f"{gain:g}", expected="a simulation that starts from it")
    if calibrate and not (observed or (count and gain is not None)):
        raise InputError(
            "calibrate", found="nothing to fit", expected="observed losses, or a simulation with a gain",
            remedy="Decoupled simulations have the start of the prediction already.",
        )  # fmt: skip
    reduction = reduce(task)
    if require_exact:
        reduction.require_exact()
    kept: dict[str, Any] = {"momentum": momentum, "weight_decay": weight_decay}
    losses = observed_losses(observed)
    defect = float("nan")
    if count and gain is not None:
        losses[f"simulated, gain {gain:g}"], defect = _trained(task, reduction, lr, steps, kept, (count, seed), gain)
    start, fitted = number(init, "init"), ""
    if calibrate:
        fitted, (at, curve) = next(iter(losses.items()))
        if not np.array_equal(at, np.arange(len(at))):
            raise InputError("observed", found="losses of some steps only", expected="every step from 0, to calibrate")
        start = reduction.calibrate(curve.mean(1), float(lr or 0), **kept)
    if flow:
        run = reduction.solve(start, "flow", t=t, weight_decay=weight_decay)
        if momentum:
            raise InputError("momentum", found=f"{momentum:g}", expected="none with flow")
    else:
        run = reduction.solve(start, "gd", lr=lr, steps=500 if steps is None else steps, **kept)
    if count and gain is None:
        losses["simulated"], _ = _trained(task, reduction, lr, steps, kept, (count, seed), None, start)
    notes = list(run.caveats)
    if observed:
        notes.append("observed losses: the start of their weights is not known to be decoupled")
    try:
        top = reduction.lr_max(**kept)
    except NotApplicable as error:
        top = float("nan")
        notes.append(f"largest stable learning rate not known: {error.found}")
    if lr is not None and np.isfinite(top) and lr > top:
        notes.append(f"the learning rate {lr:g} is above the largest stable one, {top:.4g}")
    return Prediction(
        task=task, trajectory=run, init=start, calibrated=fitted, rows=_rows(run, start),
        observed={name: _compared(run, *pair) for name, pair in losses.items()}, half=_half(run),
        lr_max=top, start_defect=defect, notes=tuple(notes),
    )  # fmt: skip


def _trained(
    task: GatedTask, reduction: Reduction, lr: Any, steps: Any, kept: Mapping[str, Any], runs: tuple[int, int],
    gain: float | None, start: float = 0.0,
) -> tuple[tuple[np.ndarray, np.ndarray], float]:  # fmt: skip
    """Losses of real networks, and how far the first start is from decoupled form."""
    from learnt.gated.gdln import orthogonal
    from learnt.gated.gdln_training import train_gdln

    (count, seed), graph = runs, task.graph
    if gain is not None and not gain > 0:
        raise InputError("gain", found=f"{gain:g}", expected="a number above 0")
    initial: Any = gain if gain is not None else (lambda s: reduction.weights(start, s % (1 << 31)))
    total = 500 if steps is None else steps
    run = train_gdln(task, steps=total, lr=lr, initial=initial, seeds=count, seed=seed, **kept)
    defect = float("nan")
    if gain is not None:
        from learnt.run.seeds import derive

        defect = reduction.with_weights(orthogonal(graph, gain, derive(seed, "gated", 0))).weight_defect
    return (np.arange(total + 1, dtype=np.float64), run.losses), defect


def _compared(run: Trajectory, at: np.ndarray, losses: np.ndarray) -> Observed:
    x = run.time if run.steps is None else run.steps
    mean = losses.mean(1)
    inside = at <= x[-1]
    error = float("nan")
    if inside.any():
        error = float(np.abs(mean[inside] - np.interp(at[inside], x, run.loss)).max()) / max(float(run.loss[0]), 1e-300)
    level = 0.5 * float(run.loss[0] + run.loss[-1])
    return Observed(frozen(at), frozen(losses), error, _crossed(at, mean, level))


def _half(run: Trajectory) -> float:
    x = run.time if run.steps is None else run.steps
    if run.loss[0] - run.loss[-1] < 1e-3 * 0.5 * run.reduction.stats.energy:
        return float("inf")
    return _crossed(x, run.loss, 0.5 * float(run.loss[0] + run.loss[-1]))


def _crossed(x: np.ndarray, curve: np.ndarray, level: float) -> float:
    """When a curve first falls below a level, linear between points."""
    below = np.flatnonzero(curve < level)
    if not len(below):
        return float("inf")
    k = int(below[0])
    if k == 0:
        return float(x[0])
    return float(x[k - 1] + (x[k] - x[k - 1]) * (curve[k - 1] - level) / (curve[k - 1] - curve[k]))


def _rows(run: Trajectory, start: float) -> tuple[ModeRow, ...]:
    r = run.reduction
    half, most = run.time_to(0.5), run.time_to(0.9)
    words: Any = None
    if start > 0:
        try:
            words = r.regime(start).words
        except NotApplicable:
            words = None
    total = max(float(r.gain.sum()), 1e-300)
    rows = []
    for group in mode_groups(run):
        c, n = group[0]
        some = np.array(r.classes[c])
        best = int(some[np.abs(r.S[some, n]).argmax()])
        rows.append(ModeRow(
            count=len(group), class_=c, mode=n, strength=abs(float(r.S[best, n])), target=float(r.target[best, n]),
            share=float(sum(r.gain[k] for k in group)) / total, half=float(half[c, n]), most=float(most[c, n]),
            regime="" if words is None else str(words[c, n]),
        ))  # fmt: skip
    return tuple(rows)


def _json(value: Any) -> Any:
    return (float(value) if np.isfinite(value) else None) if isinstance(value, float | np.floating) else value
