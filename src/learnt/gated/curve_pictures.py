"""Curves of a gated network on matplotlib axes: losses predicted and observed, modes as they are learned, races.

Each function takes axes, or makes new ones, and returns them. What is predicted is blue and dark, what was observed is
vermillion and dashed, so that they are told apart without colour; a prediction that is not exact says so in its name.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from learnt.core.errors import InputError, ShapeError
from learnt.gated._frozen import finite
from learnt.io.figures import axes, shown, titled

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from learnt.gated.mode_profiles import ModeProfile
    from learnt.gated.racing import Race
    from learnt.gated.reduction import Reduction
    from learnt.gated.trajectory import Trajectory

# Okabe and Ito: told apart without seeing red or green; each with a dash of its own
INKS = (
    ("#0072B2", "-"), ("#D55E00", (0, (6, 3))), ("#009E73", (0, (2, 2))), ("#CC79A7", (0, (8, 3, 2, 3))),
    ("#E69F00", (0, (4, 4))), ("#56B4E9", (0, (1, 2))), ("#222222", (0, (5, 2, 1, 2, 1, 2))),
)  # fmt: skip
GREY = "#767676"
ABOVE: dict[str, Any] = {  # a legend at the right of the title, where no bar is
    "frameon": False, "fontsize": "x-small", "loc": "lower right", "bbox_to_anchor": (1.0, 1.0), "ncols": 3,
}  # fmt: skip
_POINTS = 2000  # of a curve: more cannot be seen
_MODES = 12  # curves of modes in one picture
_RUNS = 20  # curves of runs in one picture


def kind_of(reduction: Reduction, *, exact: bool | None = None) -> str:
    """What may be claimed of a prediction: exact, approximate, or no more than an order of learning."""
    from learnt.gated.reduction import LEAKY

    if reduction.exact if exact is None else exact:
        return "exact from a decoupled start"
    return "order of learning only" if reduction.defect > LEAKY else "approximate"


def draw_trajectory(trajectory: Trajectory, *, observed: Any = None, ax: Axes | None = None) -> Axes:
    """The predicted loss, and observed ones over it.

    Args:
        trajectory: made by `Reduction.solve`.
        observed: (T,) a loss before training and after each step, or (T, R) of R runs; of several kinds by name; each
            may be a pair of steps (T,) and losses. For flow, steps are times.
        ax: axes to draw on.

    Raises:
        InputError, ShapeError, NonFiniteError: losses that are none.
    """
    ax = axes(6.4, 3.8) if ax is None else ax
    reduction = trajectory.reduction
    x = trajectory.time if trajectory.steps is None else trajectory.steps
    few = _few(len(x))
    kind = kind_of(reduction, exact=trajectory.exact)
    runs = observed_losses(observed)
    for k, (name, (at, losses)) in enumerate(runs.items()):
        colour, dash = INKS[1 + k % (len(INKS) - 1)]
        count = losses.shape[1]
        some = _few(len(at))
        for r in range(min(count, _RUNS) if count > 1 else 0):
            ax.plot(at[some], losses[some, r], color=colour, linewidth=0.8, alpha=0.35)
        label = f"{shown(name, 30)}, mean of {count} runs" if count > 1 else shown(name, 30)
        ax.plot(at[some], losses[some].mean(1), color=colour, linestyle=dash, linewidth=2.2, label=label, zorder=4)
    ax.plot(x[few], trajectory.loss[few], color=INKS[0][0], linewidth=2, label=f"predicted ({kind})", zorder=3)
    if reduction.floor > 1e-9 * reduction.stats.energy:
        ax.axhline(reduction.floor, color=GREY, linestyle=":", linewidth=1.2, label="what no strengths remove")
    if trajectory.diverged is not None:
        ax.axvline(float(x[-1]), color=GREY, linestyle="--", linewidth=1.2, label="diverges")
    rate = trajectory.settings.get("lr")
    ax.set_xlabel("time (step size × steps)" if trajectory.steps is None else f"step (learning rate {rate:g})")
    ax.set_ylabel(f"loss ½⟨‖y − h‖²⟩, weights sum to {reduction.stats.total:.4g}")
    top = max([float(trajectory.loss[0]), *(float(losses[0].mean()) for _, losses in runs.values())])
    highest = max([float(trajectory.loss.max()), *(float(losses.mean(1).max()) for _, losses in runs.values())])
    ax.set_ylim(0.0, 1.6 * top if highest > 1.6 * top else 1.05 * highest or 1.0)
    ax.set_xlim(float(x[0]), max([float(x[-1]), *(float(at[-1]) for at, _ in runs.values())]) or 1.0)
    _legend(ax)
    _bare(ax)
    titled(ax, "Loss: predicted and observed" if runs else "Loss, as predicted")
    return ax


def draw_modes(trajectory: Trajectory, *, ax: Axes | None = None) -> Axes:
    """How much of each mode is learned over time; modes that run alike share a curve."""
    ax = axes(6.4, 3.8) if ax is None else ax
    x = trajectory.time if trajectory.steps is None else trajectory.steps
    few = _few(len(x))
    groups = mode_groups(trajectory)
    for k, group in enumerate(groups[:_MODES]):
        colour, dash = INKS[k % len(INKS)]
        c, n = group[0]
        times = f" (×{len(group)})" if len(group) > 1 else ""
        some = list(trajectory.reduction.classes[c])
        strength = float(np.abs(trajectory.reduction.S[some, n]).max())
        ax.plot(
            x[few], trajectory.fraction[few, c, n], color=colour, linestyle=dash, linewidth=2,
            label=f"mode {k + 1}{times}: s = {strength:.4g}",
        )  # fmt: skip
    for level in (0.5, 0.9):
        ax.axhline(level, color="0.8", linewidth=0.8, zorder=0)
    if len(groups) > _MODES:
        ax.plot([], [], " ", label=f"and {len(groups) - _MODES} more")
    ax.set_ylim(min(0.0, ax.get_ylim()[0]), 1.05)
    ax.set_xlim(float(x[0]), float(x[-1]) or 1.0)
    ax.set_xlabel("time (step size × steps)" if trajectory.steps is None else "step")
    ax.set_ylabel("learned fraction of the mode")
    if groups:
        _legend(ax)
    else:
        ax.text(0.5, 0.5, "no pathway carries anything to learn", transform=ax.transAxes, ha="center", fontsize="small")
    _bare(ax)
    titled(ax, "When each mode of the task is learned")
    return ax


def draw_race(race: Race, *, ax: Axes | None = None) -> Axes:
    """The losses of candidates over time, as shares of that of no answer; a mark where each is half way."""
    ax = axes(6.4, 3.8) if ax is None else ax
    for k, entrant in enumerate(race):
        colour, dash = INKS[k % len(INKS)]
        curve = 2 * entrant.curve / entrant.energy
        when = f"half at {entrant.t_half:.3g}" if np.isfinite(entrant.t_half) else "never half"
        label = f"{shown(entrant.name, 26)}: {when}" + ("" if entrant.exact else ", approximate")
        ax.plot(race.time, curve, color=colour, linestyle=dash, linewidth=2, label=label)
        if np.isfinite(entrant.t_half) and entrant.t_half <= race.time[-1]:
            ax.plot(entrant.t_half, np.interp(entrant.t_half, race.time, curve), "o", color=colour, markersize=6)
    ax.set_ylim(0.0, 1.05)
    ax.set_xlim(0.0, float(race.time[-1]) or 1.0)
    ax.set_xlabel("time (step size × steps)")
    ax.set_ylabel("loss / loss of no answer")
    _legend(ax)
    _bare(ax)
    titled(ax, f"{shown(race.winner, 30)} learns first" if race.winner else "None learns")
    return ax


def draw_profile(profiles: ModeProfile | Mapping[str, ModeProfile], *, ax: Axes | None = None) -> Axes:
    """Learned fraction of each mode of a task, by model: bars, the strongest mode at the top.

    Raises:
        InputError: profiles of different tasks, or none.
    """
    named = dict(profiles) if isinstance(profiles, Mapping) else {"model": profiles}
    if not named:
        raise InputError("profiles", found="none", expected="at least one")
    first = next(iter(named.values()))
    if any(len(p) != len(first) or not np.allclose(p.strength, first.strength) for p in named.values()):
        raise InputError("profiles", found="modes of different tasks", expected="profiles on the same data")
    count = min(len(first), 3 * _MODES)
    ax = axes(6.4, 1.4 + (0.16 + 0.2 * len(named)) * count) if ax is None else ax
    thick = 0.8 / len(named)
    for k, (name, profile) in enumerate(named.items()):
        places = np.arange(count) + (k - (len(named) - 1) / 2) * thick
        colour = INKS[k % len(INKS)][0]
        look: dict[str, Any] = (
            {"color": colour} if k == 0 else {"facecolor": "none", "edgecolor": colour, "hatch": "//"}
        )
        ax.barh(places, profile.fraction[:count], height=0.9 * thick, label=_label(name), **look)
    ax.axvline(1.0, color=GREY, linestyle=":", linewidth=1.2)
    ax.axvline(0.0, color="0.4", linewidth=0.8)
    named_modes = [f"{a + 1} (s = {s:.3g})" for a, s in enumerate(first.strength[:count])]
    ax.set_yticks(range(count), named_modes, fontsize="small")
    ax.invert_yaxis()
    ax.set_ylabel("mode of the task, strongest first")
    part = f"; {count} of {len(first)} modes" if count < len(first) else ""
    ax.set_xlabel(f"learned fraction (1: as the linear regression){part}")
    if len(named) > 1:
        for text in ax.legend(**ABOVE).get_texts():
            text.set_parse_math(False)
    _bare(ax)
    titled(ax, "How much of each mode is learned")
    return ax


def mode_groups(trajectory: Trajectory) -> list[list[tuple[int, int]]]:
    """(class, mode) of modes with a target, those with equal curves together, soonest first."""
    r = trajectory.reduction
    groups: dict[tuple[str, ...], list[tuple[int, int]]] = {}
    half = trajectory.time_to(0.5)
    for c, some in enumerate(r.classes):
        for n in range(r.N):
            curve = trajectory.fraction[:, c, n]
            if np.isnan(curve).any():
                continue
            top = float(np.abs(r.S[list(some), n]).max(initial=0.0))
            looks = curve[np.linspace(0, len(curve) - 1, 9).astype(int)]
            key = (f"{top:.6e}", f"{r.gain[c, n]:.6e}", *(f"{v + 0.0:.6f}" for v in looks))
            groups.setdefault(key, []).append((c, n))
    return sorted(groups.values(), key=lambda g: (half[g[0]], -r.gain[g[0]], g[0]))


def observed_losses(given: Any) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """(T,) steps and (T, R) losses, by name; see `draw_trajectory` for what they may be."""
    if given is None:
        return {}
    out = {}
    for name, values in (given if isinstance(given, Mapping) else {"observed": given}).items():
        pair = isinstance(values, tuple) and len(values) == 2
        losses = finite(values[1] if pair else values, f"observed[{name!r}]")
        losses = losses[:, None] if losses.ndim == 1 else losses
        if losses.ndim != 2 or len(losses) < 2 or not losses.shape[1]:
            raise ShapeError(f"observed[{name!r}]", found=f"shape {losses.shape}", expected="(T,) or (T, runs), T >= 2")
        at = finite(values[0], f"observed[{name!r}]") if pair else np.arange(len(losses), dtype=np.float64)
        if at.shape != (len(losses),):
            raise ShapeError(f"observed[{name!r}]", found=f"{at.shape} steps", expected=f"({len(losses)},)")
        out[str(name)] = (at, losses)
    return out


def _few(count: int) -> np.ndarray:
    return np.unique(np.linspace(0, count - 1, min(count, _POINTS)).round().astype(int))


def _label(name: str) -> str:
    """A label that a legend neither drops (a leading underscore) nor leaves out."""
    text = shown(name, 40)
    return f" {text}" if text.startswith("_") or not text else text


def _legend(ax: Axes) -> None:
    for text in ax.legend(edgecolor="none", framealpha=0.8, fontsize="small").get_texts():
        text.set_parse_math(False)


def _bare(ax: Axes) -> None:
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)
