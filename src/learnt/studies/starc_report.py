"""The random-MDP experiment in words, as a table and as a picture."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from learnt.report.palette import BLUE, GREEN, GREY, ORANGE, PURPLE, SKY, VERMILLION
from learnt.run.seeds import numpy_generator
from learnt.studies.random_pairs import METRICS

if TYPE_CHECKING:
    from rich.table import Table

    from learnt.studies.starc import StarcStudy

WIDTH = 110
SHOWN = (
    "VALPotential-1-weighted_1", "VAL-1-1", "VAL-1-2", "VAL-2-inf", "VAL-2-2", "VAL-inf-inf", "VAL-0-2",
    "Minimal-2-2", "MinimalL2-2-2", "ReturnRange", "MinimalPotential-2-2",
    "EPIC-weighted_1-weighted_1", "EPIC-weighted_2-weighted_2", "EPIC-1-1", "EPIC-2-2",
    "DARD-1-weighted_1", "DARD-2-2", "None-1-1", "None-2-2", "None-0-2",
)  # fmt: skip
INKS = {
    "VAL": BLUE, "Minimal": SKY, "MinimalL2": SKY, "ReturnRange": GREY, "VALPotential": GREEN, "EPIC": VERMILLION,
    "DARD": ORANGE, "MinimalPotential": PURPLE, "None": GREY,
}  # fmt: skip
DOTS = 6000  # of a scatter; more only darken it


def table(study: StarcStudy, metrics: Sequence[str] | None = None) -> Table:
    """Correlation with regret by metric: published, ours with an interval, and with the exact worst case."""
    from rich import box
    from rich.table import Table

    s = study.settings
    made = Table(
        title=f"{study.rows:,} rows: {s['environments']} environments of {s['states']} states and {s['actions']} "
        f"actions, {s['pairs']} pairs of rewards, {s['steps']} steps; seed {s['seed']}",
        caption="Pearson's correlation of each metric (form-normalisation-metric; w: weighted) with the regret of best "
        "policies (95 % intervals over environments) and with the worst case; rank: Spearman's. "
        f"{study.trivial:,} rows with a trivial reward are left out. Best-policy regret is on average "
        f"{100 * study.share_of_worst:.0f} % of the worst case.",
        box=box.SIMPLE_HEAD,
        title_justify="left",
        caption_justify="left",
        pad_edge=False,
        padding=(0, 1, 0, 0),
    )
    several = len(s["discounts"]) > 1
    made.add_column("metric", no_wrap=True)
    if several:
        made.add_column("discount", justify="right")
    for column in ("paper", "best-policy regret", "rank", "worst case", "rank"):
        made.add_column(column, justify="right", no_wrap=True)
    for gamma in s["discounts"]:
        for name in SHOWN if metrics is None else metrics:
            e = study.at(name, gamma)
            made.add_row(
                name.replace("weighted_", "w"),  # the table has to fit 80 columns
                *([f"{gamma:g}"] if several else []),
                _number(e.published),
                _interval(e.pearson, e.low, e.high),
                _number(e.spearman),
                _number(e.worst_pearson),
                _number(e.worst_spearman),
            )
    return made


def text(study: StarcStudy) -> str:
    """The table and the facts as plain text, without a newline at the end."""
    from rich.console import Console

    out = io.StringIO()
    Console(file=out, width=WIDTH, color_system=None, force_terminal=False).print(table(study))
    lines = [out.getvalue().rstrip(), ""]
    for fact in study.facts:
        there = "" if fact.published is None else f" (published {_plain(fact.published)})"
        lines.append(
            f"{'holds' if fact.holds else 'FAILS'}  {fact.claim}: {_plain(fact.value)}{there}; expected {fact.bound}"
        )
    means = (
        f"{form} {here:.3f}" + ("" if there is None else f" ({there:.3f})")
        for form, (there, here) in study.means.items()
    )
    lines.append(f"mean over normalised metrics (published): {', '.join(means)}")
    return "\n".join(lines)


def figure(study: StarcStudy) -> Any:
    """Three panels: VAL-2-2 and EPIC-2-2 against regret, and our correlations against the published ones."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    made = Figure(figsize=(12.6, 4.2), layout="constrained")
    FigureCanvasAgg(made)
    left, middle, right = made.subplots(1, 3)
    gamma = study.settings["discounts"][0]
    here = (study.data["discount"] == gamma) & ~study.data["trivial"].astype(bool).any(1)
    rows = numpy_generator("starc picture").permutation(np.flatnonzero(here))[:DOTS]  # a stride would favour some steps
    best, worst = (study.data[kind][rows].mean(1) for kind in ("optimal", "worst"))
    for axes, name in ((left, "VAL-2-2"), (middle, "EPIC-2-2")):
        distance = study.data["values"][rows, METRICS.index(name)]
        axes.scatter(distance, worst, s=5, color=GREY, alpha=0.35, linewidths=0, label="exact worst case")
        axes.scatter(
            distance, best, s=5, color=INKS[name.split("-")[0]], alpha=0.5, linewidths=0, label="best policies"
        )
        e = study[name]
        axes.set_title(f"{name}\ncorrelation {e.pearson:.2f}, with the worst case {e.worst_pearson:.2f}", loc="left")
        axes.set_xlabel("distance of the two rewards")
        axes.set_ylabel("mean regret of both directions, share of the range")
        axes.set_ylim(-0.03, 1.03)
        axes.legend(loc="upper left", frameon=False, markerscale=3)
    _beside(study, right, gamma)
    for axes in (left, middle, right):
        for side in ("top", "right"):
            axes.spines[side].set_visible(False)
    return made


def picture(study: StarcStudy) -> bytes:
    """The figure as a PNG file."""
    made, out = figure(study), io.BytesIO()
    made.canvas.print_png(out)
    return out.getvalue()


def _beside(study: StarcStudy, axes: Any, gamma: float) -> None:
    known = [e for e in study.followed if e.discount == gamma and e.published is not None]
    if known:
        for form in dict.fromkeys(e.metric.split("-")[0] for e in known):
            mine = [e for e in known if e.metric.split("-")[0] == form]
            axes.scatter(
                [e.published for e in mine], [e.pearson for e in mine], s=14, color=INKS[form], alpha=0.8, label=form
            )
        axes.plot([0, 1], [0, 1], color=GREY, linewidth=1, linestyle=(0, (2, 3)))
        axes.set_xlabel("published correlation with regret")
        axes.set_ylabel("correlation with regret here")
        axes.set_title(f"{len(known)} metrics, published and here", loc="left")
        axes.legend(loc="lower right", frameon=False, fontsize="small")
        return
    gammas = study.settings["discounts"]
    for name in ("VAL-2-2", "Minimal-2-2", "EPIC-2-2", "DARD-2-2", "None-2-2"):
        line = [study.at(name, g).pearson for g in gammas]
        axes.plot(gammas, line, marker="o", color=INKS[name.split("-")[0]], label=name)
    axes.set_xlabel("discount")
    axes.set_ylabel("correlation with regret")
    axes.set_title("no published numbers for these settings", loc="left")
    axes.legend(loc="lower left", frameon=False, fontsize="small")


def _number(value: float | None) -> str:
    return "" if value is None else "undefined" if not np.isfinite(value) else f"{value:.3f}"


def _interval(value: float, low: float, high: float) -> str:
    ends = f" [{low:.2f}, {high:.2f}]" if np.isfinite(low) else ""
    return f"{_number(value)}{ends}"


def _plain(value: float) -> str:
    return f"{value:.0f}" if value == int(value) and abs(value) >= 1 else f"{value:.3g}"
