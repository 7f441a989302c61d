"""A prediction in words: what may be claimed, the modes, the loss, and what was observed beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from learnt.gated.prediction import Prediction

_ROWS = 24  # of the table of modes


def text(found: Prediction) -> str:
    """What the command line prints."""
    t, r = found.trajectory, found.trajectory.reduction
    what = {"exact": "exact", "approximate": "approximate"}.get(found.claim, "an order of learning only")
    s = t.settings
    extra = "".join(f", {k.replace('_', ' ')} {s[k]:g}" for k in ("momentum", "weight_decay") if s.get(k))
    how = f"full-batch gradient descent, learning rate {s['lr']:g}{extra}" if "lr" in s else f"gradient flow{extra}"
    lines = [
        f"{found.task}",
        f"prediction: {what}, for decoupled weights of strength {found.init:.6g}"
        + (f" (calibrated on: {found.calibrated})" if found.calibrated else "")
        + f"; {how}",
        f"  data (A1): largest off-diagonal share {_tiny(r.defect)}"
        + (f", on path {r.stats.paths[r.worst]}" if r.worst is not None and r.defect >= r.tol else ""),
    ]
    if np.isfinite(found.start_defect):
        stands = (
            "the prediction stands for them only as calibrated" if found.calibrated else "calibrate to predict them"
        )
        lines.append(
            f"  start (A2): the simulated weights are random, off-diagonal share {_tiny(found.start_defect)}; {stands}"
        )
    else:
        lines.append("  start (A2): decoupled by construction")
    lines += _table(found)
    unit = "t" if t.steps is None else "step"
    end = f"{unit} {t.time[-1]:.6g}" if t.steps is None else f"{unit} {int(t.steps[-1]):,}"
    floor = f", of which {r.floor:.4g} no strengths remove" if r.floor > 1e-9 * max(r.stats.energy, 1e-300) else ""
    lines.append(
        f"loss 1/2 <|y - h|^2>, weights of samples sum to {r.stats.total:.6g}: {t.loss[0]:.6g} at the start, "
        f"{t.loss[-1]:.6g} at {end}{floor}"
    )
    if np.isfinite(found.half):
        lines.append(f"half of the loss that goes is gone at {unit} {found.half:.4g}")
    for name, o in found.observed.items():
        runs = f"mean of {o.losses.shape[1]} runs" if o.losses.shape[1] > 1 else "one run"
        when = f"{o.half:.4g}" if np.isfinite(o.half) else "never"
        lines.append(
            f"{name} ({runs}): at {unit} {when}; ends at {o.losses[-1].mean():.6g}; largest difference from the "
            f"prediction {o.error:.2g} of the loss at the start"
        )
    if np.isfinite(found.lr_max):
        lines.append(
            f"largest stable learning rate of these dynamics, an upper bound for the network: {found.lr_max:.4g}"
        )
    return "\n".join([*lines, *(f"note: {note}" for note in found.notes)])


def _table(found: Prediction) -> list[str]:
    t = found.trajectory
    scale = 1.0 if t.steps is None else 1.0 / float(t.settings["lr"])
    unit = "t" if t.steps is None else "step"
    heads = ("s", "best", "share", f"{unit} half", f"{unit} 90%", "regime")
    lines = ["mode".ljust(12) + "".join(h.rjust(11) for h in heads)]
    for k, row in enumerate(found.rows[:_ROWS], 1):
        name = f"{k}" + (f" (x{row.count})" if row.count > 1 else "")
        cells = [f"{row.strength:.4g}", f"{row.target:.4g}", f"{row.share:.1%}"]
        cells += [f"{v * scale:.4g}" if np.isfinite(v) else "never" for v in (row.half, row.most)]
        lines.append((name.ljust(12) + "".join(c.rjust(11) for c in [*cells, row.regime or "-"])).rstrip())
    if len(found.rows) > _ROWS:
        lines.append(f"... and {len(found.rows) - _ROWS} more")
    if not found.rows:
        lines.append("none: no pathway carries anything to learn")
    return lines


def _tiny(value: float) -> str:
    return "below 1e-8" if value < 1e-8 else f"{value:.3g}"
