"""Which gating, or which architecture, learns the task first?

Every candidate is reduced to its modes and its loss followed by gradient flow from the same start. The goal is common:
the largest share of the target's energy that any of them explains in the end. With l(t) = L(t) / (<||y||^2> / 2),

    learned to f when   l(t) <= l_best + (1 - l_best) (1 - f)^2

that is, when the distance to the best map has shrunk to 1 - f of that of the zero map. For one mode it is a = f s/d.

    s1    the largest S(p) of any path and mode
    rate  the largest growth d ln|B_p| / dt of a path at the start, without feedback: sum over its edges of
          sum_q B_(q without e) S(q) / B_e. Two layers from a balanced start: 2 s, whatever the start

Candidates are solved side by side, each as if it were alone. In one network the first to explain a mode leaves no error
to the others, which keep the strength they have by then. Which gating wins, and which wins among those that a ReLU
can have, are two questions: `relu_feasible` is the answer of `learnt.gated.gate_feasibility` for each candidate, and
the race names both winners.

Source: the race among gatings is that of Saxe, Sodhani, Lewallen 2022 (arXiv 2207.10430), slides 16 and 17; the common
goal, the rate for any depth and the two winners are ours.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final

import numpy as np

from learnt.core.errors import InputError, MissingExtra, ShapeError
from learnt.core.panels import Chart
from learnt.gated import _engine
from learnt.gated._frozen import finite, flag, frozen
from learnt.gated.gated_task import GatedTask
from learnt.gated.path_stats import PathStats, correlations

if TYPE_CHECKING:
    import pandas

    from learnt.gated.gate_feasibility import ReluFeasibility
    from learnt.gated.reduction import Reduction

Candidate = Any  # GatedTask | PathStats | Reduction
_DONE = 1e-6  # share of what can be learned that may be missing at the end
_LONGER, _TRIES = 4.0, 7
_COLUMNS = ("name", "s1", "rate", "t_half", "t_90", "relu_feasible", "final_loss", "exact")


@final
@dataclass(frozen=True, eq=False, kw_only=True)
class Entrant:
    """One candidate.

    Attributes:
        name: as given.
        s1, rate, t_half, t_90: as above; times are inf if the goal is not reached.
        final_loss: at the end of the flow.
        energy: <||y||^2>, twice the loss of a network that answers 0.
        path, share: the pathway that explains most of the mode with the largest gain, and its part of it; "" if none.
        exact: whether the assumptions of the reduction hold.
        defect: by how much they fail, the largest off-diagonal share.
        relu_feasible: whether ReLU units could have these gates; None if not asked, or without data.
        relu: the answer node by node, or None.
        caveats: what is known against the numbers.
        curve: (T,) loss at `Race.time`.
    """

    name: str
    s1: float
    rate: float
    t_half: float
    t_90: float
    final_loss: float
    energy: float
    path: str
    share: float
    exact: bool
    defect: float
    relu_feasible: bool | None
    relu: ReluFeasibility | None
    caveats: tuple[str, ...]
    curve: np.ndarray

    def to_fields(self) -> dict[str, Any]:
        """Plain JSON data; times and rates without end are None."""
        return {
            "name": self.name,
            "s1": self.s1,
            **{name: _json(getattr(self, name)) for name in ("rate", "t_half", "t_90")},
            "final_loss": self.final_loss,
            "energy": self.energy,
            "path": self.path,
            "share": self.share,
            "exact": self.exact,
            "defect": self.defect,
            "relu_feasible": self.relu_feasible,
            "caveats": list(self.caveats),
        }


@final
@dataclass(frozen=True, eq=False, kw_only=True)
class Race:
    """Candidates, the first to learn first. Made by `race`.

    Attributes:
        entrants: by time to half, then to nine tenths, then final loss, then as given.
        winner: the first; None if none learns.
        relu_winner: the first of those that ReLU units could have; None if there is none or it was not asked.
        asked_relu: whether the second question was asked.
        goal: the best share of the energy that is left at the end, l_best.
        time: (T,) of the curves.
        notes: what to know of the whole.
    """

    entrants: tuple[Entrant, ...]
    winner: str | None
    relu_winner: str | None
    asked_relu: bool
    goal: float
    time: np.ndarray
    notes: tuple[str, ...]

    @property
    def order(self) -> tuple[str, ...]:
        """Names, the first to learn first."""
        return tuple(e.name for e in self.entrants)

    def __getitem__(self, name: str) -> Entrant:
        for e in self.entrants:
            if e.name == name:
                return e
        raise InputError("name", found=repr(name), expected=f"one of {', '.join(self.order)}")

    def __len__(self) -> int:
        return len(self.entrants)

    def __iter__(self):
        return iter(self.entrants)

    def to_fields(self) -> dict[str, Any]:
        """Plain JSON data."""
        return {
            "winner": self.winner,
            "relu_winner": self.relu_winner,
            "asked_relu": self.asked_relu,
            "goal": self.goal,
            "candidates": [e.to_fields() for e in self.entrants],
            "notes": list(self.notes),
        }

    def to_frame(self) -> pandas.DataFrame:
        """One row a candidate, the first to learn first; times are inf where the goal is never reached.

        Raises:
            MissingExtra: pandas is not installed.
        """
        try:
            import pandas
        except ImportError as error:
            raise MissingExtra(
                "pandas", found="a Python environment without it", expected="the package 'pandas'",
                remedy="Install it with: pip install pandas",
            ) from error  # fmt: skip
        rows = [{name: getattr(e, name) for name in _COLUMNS} for e in self.entrants]
        return pandas.DataFrame(rows, columns=list(_COLUMNS))

    def chart(self) -> Chart:
        """The losses over time, as shares of that of a network that answers 0."""
        series = {e.name: 2 * e.curve / e.energy for e in self.entrants}
        first = f"{self.winner} learns first" if self.winner else "none learns"
        return Chart(
            kind="lines", series=series, x=self.time, low=0.0,
            x_label="time (step size x steps)", y_label="loss / loss of no answer",
            alt=f"Loss over time of {len(self)} candidates; {first}.",
        )  # fmt: skip

    def __str__(self) -> str:
        width = max(9, *(len(e.name) for e in self.entrants)) + 2
        heads = ("s1", "rate", "t half", "t 90%", "final loss")
        lines = ["candidate".ljust(width) + "".join(h.rjust(11) for h in heads) + "   ReLU"]
        said = {None: "-", True: "yes", False: "no"}
        for e in self.entrants:
            left = e.final_loss if e.final_loss > 1e-12 * e.energy else 0.0
            numbers = (e.s1, e.rate, e.t_half, e.t_90, left)
            cells = "".join(
                (f"{v:.4g}" if np.isfinite(v) else "never" if k > 1 else "inf").rjust(11) for k, v in enumerate(numbers)
            )
            lines.append(e.name.ljust(width) + cells + "   " + said[e.relu_feasible])
        lines.append(f"first of all gatings: {self.winner or 'none learns'}")
        if self.asked_relu:
            lines.append(f"first of those that a ReLU can have: {self.relu_winner or 'none'}")
        return "\n".join([*lines, *self.notes])


def race(
    candidates: Mapping[str, Candidate] | Sequence[Candidate],
    init: Any = 0.1,
    *,
    relu_feasible: bool = True,
    t: float | None = None,
) -> Race:
    """Candidate gatings or architectures against each other.

    Args:
        candidates: tasks by name, whose graphs and gates differ; or their statistics, or reductions. A list gets
            numbers as names, from "1".
        init: the start of each, as `Reduction.solve` takes it; one number for all edges and modes, or by candidate.
        relu_feasible: whether to ask which gatings ReLU units could have.
        t: the time to stop at; None for as long as it takes.

    Raises:
        InputError, ShapeError, NonFiniteError: no candidates, or something else than those; a start that is none.

    Warns:
        RuntimeWarning: from its start a candidate can never learn some modes.
    """
    relu_feasible = flag(relu_feasible, "relu_feasible")
    if isinstance(candidates, list | tuple):
        candidates = {str(k): candidate for k, candidate in enumerate(candidates, 1)}
    if not isinstance(candidates, Mapping):
        raise InputError("candidates", found=type(candidates).__name__, expected="tasks by name, or a list of them")
    if not candidates:
        raise InputError("candidates", found="none", expected="at least one")
    starts = init if isinstance(init, Mapping) and set(init) == set(candidates) else dict.fromkeys(candidates, init)
    end = None if t is None else finite(t, "t")
    if end is not None and (end.shape != () or not end > 0):
        raise InputError("t", found=repr(t), expected="a time above 0")
    reduced = {str(name): _reduced(name, c) for name, c in candidates.items()}
    runs = {name: _run(r, starts[given], end) for (name, r), given in zip(reduced.items(), candidates, strict=True)}
    goal = min(_left(run) for run in runs.values())
    times = {name: [_time_to(run, goal, f) for f in (0.5, 0.9)] for name, run in runs.items()}
    known = [v for both in times.values() for v in both if np.isfinite(v)]
    grid = np.linspace(0.0, 1.25 * max(known) if any(known) else min(float(run.time[-1]) for run in runs.values()), 241)
    found = []
    for (name, given), start in zip(candidates.items(), starts.values(), strict=True):
        label = str(name)
        feasible = _feasible(given) if relu_feasible else None
        found.append(_entrant(label, reduced[label], runs[label], start, times[label], grid, feasible))
    found.sort(key=lambda e: (_to_digits(e.t_half), _to_digits(e.t_90), round(e.final_loss / e.energy, 6)))
    first = next((e.name for e in found if np.isfinite(e.t_half)), None)
    relu = next((e.name for e in found if e.relu_feasible and np.isfinite(e.t_half)), None)
    return Race(
        entrants=tuple(found), winner=first, relu_winner=relu, asked_relu=relu_feasible, goal=goal, time=frozen(grid),
        notes=_notes(found),
    )  # fmt: skip


def _reduced(name: Any, candidate: Candidate) -> Reduction:
    from learnt.gated.reduction import Reduction, reduce

    if isinstance(candidate, Reduction):
        out = candidate
    elif isinstance(candidate, GatedTask | PathStats):
        out = reduce(correlations(candidate) if isinstance(candidate, GatedTask) else candidate)
    else:
        raise InputError(
            f"candidates[{name!r}]",
            found=type(candidate).__name__,
            expected="a GatedTask, its statistics or a Reduction",
        )
    if not out.stats.energy > 0:
        raise ShapeError(f"candidates[{name!r}]", found="targets that are all 0", expected="something to learn")
    return out


def _run(reduction: Reduction, init: Any, end: Any) -> Any:
    """The flow, until all that can be learned has been or it has had its time."""
    if end is not None:
        return reduction.solve(init, t=float(end))
    size = float(np.abs(reduction.S).max(initial=0.0))
    least = 1e4 / max(float(np.abs(reduction.D.values).max(initial=0.0)), 1e-12)  # what is not taught fades slowly
    horizon = 32.0 / size if size > 0 else least
    enough = reduction.floor + _DONE * (0.5 * reduction.stats.energy - reduction.floor)
    run = None
    for _ in range(_TRIES):
        run = reduction.solve(init, t=horizon)
        if (
            run.loss[-1] <= enough
            or run.diverged is not None
            or reduction.floor >= 0.5 * reduction.stats.energy * (1 - 1e-12)
        ):
            break
        if np.array_equal(run.B[-1], run.B[0]):
            break  # a saddle: nothing moves
        horizon *= _LONGER
    return run


def _left(run: Any) -> float:
    """The share of the energy that is left at the end."""
    return max(float(run.loss[-1]) / (0.5 * run.reduction.stats.energy), 0.0)


def _time_to(run: Any, goal: float, fraction: float) -> float:
    if goal >= 1 - 1e-9:
        return float("inf")  # nobody learns
    level = goal + (1 - goal) * (1 - fraction) ** 2
    return run.time_to_loss(level * 0.5 * run.reduction.stats.energy)


def _entrant(
    name: str, reduction: Reduction, run: Any, init: Any, times: list[float], grid: np.ndarray, relu: Any
) -> Entrant:
    from learnt.gated._starts import started

    suited, b0 = started(reduction, init)
    leading = max(run.winner(), key=lambda w: suited.gain[w.class_, w.mode], default=None)
    return Entrant(
        name=name, s1=float(np.abs(suited.S).max(initial=0.0)), rate=growth(suited, b0), t_half=times[0], t_90=times[1],
        final_loss=max(float(run.loss[-1]), 0.0), energy=suited.stats.energy, path=leading.name if leading else "",
        share=leading.share if leading else 0.0, exact=run.exact, defect=max(suited.defect, suited.weight_defect),
        relu_feasible=None if relu is None else relu.feasible, relu=relu, caveats=run.caveats,
        curve=frozen(np.interp(grid, run.time, run.loss) if run._between is None else _curve(run, grid)),
    )  # fmt: skip


def _curve(run: Any, grid: np.ndarray) -> np.ndarray:
    return np.array([float(run._loss_at(run._between(float(t)))) for t in grid])


def growth(reduction: Reduction, b0: np.ndarray) -> float:
    """The largest d ln|B_p| / dt at strengths b0 (edges, N) of a path that has something to learn, without feedback.

    0 if there is none, or if nothing moves; inf if a path leaves 0.
    """
    number = {e: k for k, e in enumerate(reduction.edges)}
    paths = [tuple(number[e] for e in path.edges) for path in reduction.stats.paths]
    which = reduction.stats.open
    if not which or not reduction.N:
        return 0.0
    pairs = np.column_stack([reduction.D.j, reduction.D.p])
    e = _engine.engine(paths, which, pairs, reduction.S, np.zeros_like(reduction.D.values), b0, symmetric=False)
    start = b0[e.first]
    push = np.array(_engine.descent_direction(e)(start))
    with np.errstate(divide="ignore", invalid="ignore"):
        each = np.where(push == 0, 0.0, np.where(start == 0, np.inf, push / np.where(start == 0, 1.0, start)))
    extended = np.concatenate([each, np.zeros((1, each.shape[1]))])
    total = extended[e.index].sum(0)
    taught = np.abs(e.S) > reduction.tol * float(np.abs(e.S).max(initial=0.0))
    return float(total[taught].max(initial=0.0))


def _feasible(candidate: Candidate) -> Any:
    if not isinstance(candidate, GatedTask):
        return None
    from learnt.gated.gate_feasibility import relu_feasible

    return relu_feasible(candidate)


def _notes(found: list[Entrant]) -> tuple[str, ...]:
    notes = []
    energies = [e.energy for e in found]
    if max(energies) > min(energies) * (1 + 1e-9):
        notes.append(
            "targets differ in their energy: the goal is a share of each one's own, and times depend on the weights"
        )
    tied = [
        e.name for e in found if np.isfinite(e.t_half) and abs(e.t_half - found[0].t_half) <= 1e-6 * found[0].t_half
    ]
    if len(tied) > 1:
        notes.append(f"half is reached at the same time by: {', '.join(tied)}")
    rough = [e.name for e in found if not e.exact]
    if rough:
        notes.append(f"approximate, since the assumptions of the theory do not hold: {', '.join(rough)}")
    asked = [
        e.name for e in found if e.relu is not None and e.relu_feasible and any(not n.certain for n in e.relu.nodes)
    ]
    if asked:
        notes.append(f"ReLU: several pathways meet in a node, so that yes is necessary only: {', '.join(asked)}")
    return tuple(notes)


def _to_digits(time: float) -> float:
    """Nine digits, so that rounding errors order nothing; candidates that tie stay as they were given."""
    return float(f"{time:.8e}")


def _json(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
