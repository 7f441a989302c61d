"""`learnt gated pairs`: which pairs of domains to train so that the others come for free."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from learnt.cli.gated import app
from learnt.cli.gated_words import Json, Picture, check_pictures, hand_over, quietly
from learnt.cli.outputs import check_limits, check_outputs, gate, told

if TYPE_CHECKING:
    import numpy as np

_RANDOM = 20  # random designs to compare with
_PRINTED = 40  # domains up to which the matrix is printed


@app.command
def pairs(
    *,
    domains: int | None = None,
    k: int | None = None,
    design: Annotated[Path | None, Parameter(name="--gate")] = None,
    seed: int = 0,
    tries: int = 200,
    simulate: int = 0,
    max_ratio: float | None = None,
    csv: Path | None = None,
    picture: Picture = (),
    html: Path | None = None,
    json: Json = None,
    overwrite: bool = False,
    quiet: bool = False,
) -> int:
    """Design which pairs of an input and an output domain to train, or judge a given design.

    Parameters
    ----------
    domains
        Input domains, and output domains.
    k
        Trained outputs for each input.
    design
        Judge this one instead: a .csv with a header line, or .npy, of zeros and ones, rows input domains.
    seed
        Seed of the search and of what it is compared with.
    tries
        Random starts of the search.
    simulate
        Networks to train on the pairs, whose errors on all pairs are then measured.
    max_ratio
        Exit with 1 if the spectral ratio is larger.
    csv
        Write the design to this file.
    picture
        Write the matrix to this file, .png, .svg or .pdf; may be given several times.
    html
        Write a page with picture and numbers to this file.
    json
        Write the answer as JSON to this file; - writes it to standard output instead of the text.
    overwrite
        Replace existing output files.
    quiet
        Print nothing but errors.
    """
    from learnt.core.errors import InputError
    from learnt.gated.graph_pictures import draw_gate
    from learnt.gated.pair_design import design_pairs
    from learnt.gated.task_settings import read_gate
    from learnt.gated.zero_shot_risk import zero_shot

    check_outputs((*picture, html, json, csv), overwrite)
    check_pictures(picture)
    check_limits((("--max-ratio", max_ratio),))
    if csv is not None and csv.suffix.lower() != ".csv":
        raise InputError("--csv", found=str(csv), expected="a name that ends in .csv")
    if simulate < 0:
        raise InputError("--simulate", found=str(simulate), expected="a number of networks, or 0")
    if (design is None) == (domains is None) or (design is None) != (k is not None):
        raise InputError("--domains", found="not one question", expected="--domains M --k K, or --gate FILE")
    for name, value in (("--domains", domains), ("--k", k)):
        if value is not None and value > 1000:
            raise InputError(name, found=str(value), expected="at most 1,000")
    matrix = design_pairs(domains or 0, k or 0, seed, tries) if design is None else read_gate(design)
    with quietly():
        found = zero_shot(matrix)
        others = _others(found.gate, seed)
    text = [_drawn(found.gate)] if max(found.gate.shape) <= _PRINTED else []
    text += [str(found), "", _table(found, others)]
    record: dict[str, Any] = {"schema": "learnt.gated.pairs/1", **found.to_fields(), "others": others}
    if simulate:
        from learnt.gated.untrained_pairs import untrained_error

        errors = untrained_error(found.gate, list(range(seed, seed + simulate)))
        text += ["", f"simulated, linear networks on the tree of four items, squared error of a pair: {errors}"]
        free = bool((found.gate == 0).any())
        record["simulated"] = {
            "trained": errors.trained.tolist(), "untrained": errors.untrained.tolist() if free else [],
            "nothing": errors.nothing,
        }  # fmt: skip
    if csv is not None:
        from learnt.io.tables import write_csv

        header = [f"output_{j}" for j in range(found.gate.shape[1])]
        write_csv(csv, found.gate.astype(int).tolist(), header)
        told(csv, quiet)
    hand_over(
        record, "\n".join(text), json=json, quiet=quiet, pictures=picture, html=html,
        draw=lambda: draw_gate(found).figure, title="Which pairs of domains should be trained?",
        notes=[found.warning] if found.warning else [], alt="Trained pairs of input and output domains.",
    )  # fmt: skip
    return gate((("--max-ratio", "the spectral ratio", found.spectral_ratio, max_ratio),))


def _others(matrix: np.ndarray, seed: int) -> dict[str, dict[str, Any]]:
    """Usual designs with as many pairs: ratio (their mean, if several), components, risk."""
    import numpy as np

    from learnt.gated.gate_patterns import ahead, band, diagonal, random_regular
    from learnt.gated.zero_shot_risk import zero_shot
    from learnt.run.seeds import numpy_generator

    size = len(matrix)
    if matrix.shape != (size, size) or size < 2:
        return {}
    each = int(np.clip(round(float(matrix.sum()) / size), 1, size))
    rng = numpy_generator(seed, "random designs", size, each)
    designs = {
        f"band (K_plus_minus_mod), K = {each}": [band(size, each)],
        f"ahead (K_plus_mod), K = {each}": [ahead(size, each)],
        "diagonal (mod), K = 1": [diagonal(size)],
        f"random regular, K = {each}": [random_regular(size, each, rng) for _ in range(_RANDOM if size <= 200 else 3)],
    }
    out = {}
    for name, gates in designs.items():
        judged = [zero_shot(g) for g in gates]
        ratios = [z.spectral_ratio for z in judged]
        worst = max(judged, key=lambda z: z.spectral_ratio)
        out[name] = {
            "ratio": float(np.mean(ratios)), "best": min(ratios), "worst": max(ratios), "designs": len(gates),
            "components": worst.components, "risk": worst.risk,
        }  # fmt: skip
    return out


def _table(found: Any, others: dict[str, dict[str, Any]]) -> str:
    width = max([len("this design"), *map(len, others)]) + 2
    lines = ["design".ljust(width) + "ratio".rjust(8) + "parts".rjust(7) + "  risk"]
    lines.append(f"{'this design'.ljust(width)}{found.spectral_ratio:8.4f}{found.components:7d}  {found.risk}")
    for name, o in others.items():
        spread = f" ({o['best']:.4f} to {o['worst']:.4f} in {o['designs']})" if o["designs"] > 1 else ""
        worst = "the worst: " if o["designs"] > 1 else ""
        lines.append(f"{name.ljust(width)}{o['ratio']:8.4f}{o['components']:7d}  {worst}{o['risk']}{spread}")
    return "\n".join(lines)


def _drawn(matrix: np.ndarray) -> str:
    """The matrix as text: # for a trained pair."""
    rows, columns = matrix.shape
    wide = len(str(rows - 1))
    head = " " * (wide + 1) + " ".join(str(j % 10) for j in range(columns))
    lines = [head] + [
        f"{i:>{wide}} " + " ".join("#" if matrix[i, j] else "." for j in range(columns)) for i in range(rows)
    ]
    return "\n".join([*lines, "rows input domains, columns output domains, # trained", ""])
