"""`learnt gated relu|modes`: what a trained network is as a gated one, and which modes of a task it has learned."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from learnt.cli.gated_models import all_used, model_of, names_of, samples_of
from learnt.cli.gated_pairs import app
from learnt.cli.gated_words import Json, Picture, check_pictures, hand_over
from learnt.cli.outputs import check_limits, check_outputs, gate

if TYPE_CHECKING:
    from learnt.gated.linear_form import Fidelity
    from learnt.gated.rectified_gates import GatePatterns

_PATTERNS = 6  # of a layer, in the text
_DRAWN = 4  # layers in the picture


@app.command
def relu(
    model: str,
    data: str,
    /,
    *,
    weights: tuple[Path, ...] = (),
    threshold: float = 0.05,
    faint: float = 0.0,
    kind: Literal["exact", "effective"] = "exact",
    merge: Literal["none", "exact", "cluster"] = "exact",
    groups: int | None = None,
    root: str | None = None,
    split: Literal["train", "validation", "test", "all"] = "test",
    limit: int | None = None,
    max_error: float | None = None,
    picture: Picture = (),
    html: Path | None = None,
    json: Json = None,
    overwrite: bool = False,
    quiet: bool = False,
) -> int:
    """Read the gates of a ReLU network: which units form a pathway, how clearly, and which linear networks it is.

    Parameters
    ----------
    model
        run:PATH#NAME, FILE.py:factory, timm:NAME, torchvision:NAME, hf:ID; or a .safetensors or .pt file, whose linear
        layers are taken with ReLU between them.
    data
        A .npz with x, or data as in: learnt compare --on.
    weights
        A weights file for FILE.py:factory.
    threshold
        Least margin z / (|w| |x|) of an effective gate; margins within it are flagged.
    faint
        Leave units of less than this share of the largest strength |w_in| |w_out| out of the patterns.
    kind
        Gates of the linear networks: exact for identities, effective for interpretation.
    merge
        Units that become one node: none, those with exactly the same gates, or clusters of similar ones.
    groups
        With cluster: nodes of each layer.
    root
        Folder that holds the files of a named data set.
    split
        Which part of a named data set.
    limit
        Use at most this many samples.
    max_error
        Exit with 1 if the linear networks answer differently by more than this share of the size of the answers.
    picture
        Write gates and margins to this file, .png, .svg or .pdf; may be given several times.
    html
        Write a page with picture and numbers to this file.
    json
        Write the answer as JSON to this file; - writes it to standard output instead of the text.
    overwrite
        Replace existing output files.
    quiet
        Print nothing but errors.
    """
    from learnt.core.errors import InputError, NotApplicable
    from learnt.gated.linear_form import to_gdln
    from learnt.gated.rectified_gates import relu_gates

    check_outputs((*picture, html, json), overwrite)
    check_pictures(picture)
    check_limits((("--max-error", max_error),), most=float("inf"))
    if not 0 <= faint <= 1:
        raise InputError("--faint", found=f"{faint:g}", expected="a number from 0 to 1")
    files = iter(weights)
    network = model_of(model, files)
    all_used(files)
    samples = samples_of(data, root=root, split=split, limit=limit, target=None)
    exact = relu_gates(network, samples.x, "exact", threshold)
    effective = relu_gates(network, samples.x, "effective", threshold)
    report, refused = None, ""
    try:
        report = to_gdln(network, samples.x, merge, kind=kind, threshold=threshold, groups=groups).report
    except NotApplicable as error:
        refused = f"not written as gated linear networks: {error}"
        refused = refused.replace("merge='cluster' with few groups", "--merge cluster --groups 8")
    rows = [f"{model} on {samples.name}: {len(exact):,} samples"]
    rows += [_patterns(p, faint) for p in (exact, effective)]
    rows.append(refused if report is None else f"as gated linear networks\n{report}")
    record = {
        "schema": "learnt.gated.relu/1", "model": model, "data": samples.name, "samples": len(exact),
        "threshold": threshold, "faint": faint,
        "layers": [_layer(exact, effective, i, faint) for i in range(len(exact.on))],
        "linear": None if report is None else _fidelity(report), "refused": refused,
    }  # fmt: skip
    hand_over(
        record, "\n".join(rows), json=json, quiet=quiet, pictures=picture, html=html,
        draw=lambda: _picture(exact, effective), title=f"Which pathways does {model} open?",
        notes=[refused] if refused else [], alt="Exact and effective gates of each layer by sample; margins.",
    )  # fmt: skip
    error = None if report is None else report.relative_error
    return gate((("--max-error", "the error of the linear networks", error, max_error),))


@app.command
def modes(
    model: str,
    data: str,
    /,
    *,
    against: str | None = None,
    weights: tuple[Path, ...] = (),
    answers: Literal["logits", "probabilities"] = "logits",
    raw: bool = False,
    centre: bool = False,
    root: str | None = None,
    split: Literal["train", "validation", "test", "all"] = "test",
    limit: int | None = None,
    target: str | None = None,
    max_missing: float | None = None,
    max_distance: float | None = None,
    picture: Picture = (),
    html: Path | None = None,
    json: Json = None,
    overwrite: bool = False,
    quiet: bool = False,
) -> int:
    """Say how much of each mode of a task a model has learned, and where another differs.

    Parameters
    ----------
    model
        run:PATH#NAME, FILE.py:factory, timm:NAME, torchvision:NAME, hf:ID; or a .safetensors or .pt file, whose linear
        layers are taken with ReLU between them.
    data
        A .npz with x and y, (P, c) targets or (P,) classes; or data as in: learnt compare --on.
    against
        Another model on the same data.
    weights
        A weights file for each FILE.py:factory, in the order of the models.
    answers
        What stands for the answers: what the model returns, or the softmax of it.
    raw
        Modes of the covariance of y and x, without whitening the inputs.
    centre
        Take the means off inputs, targets and answers.
    root
        Folder that holds the files of a named data set.
    split
        Which part of a named data set.
    limit
        Use at most this many samples.
    target
        Column of the class, for .csv and .tsv.
    max_missing
        Exit with 1 if more than this of the modes is missing: 0 all learned, 1 none.
    max_distance
        Exit with 1 if the models differ by more than this, the same distance between them.
    picture
        Write bars to this file, .png, .svg or .pdf; may be given several times.
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
    from learnt.gated.curve_pictures import draw_profile
    from learnt.gated.mode_profiles import compare_profiles, mode_profile

    check_outputs((*picture, html, json), overwrite)
    check_pictures(picture)
    check_limits((("--max-missing", max_missing), ("--max-distance", max_distance)), most=float("inf"))
    if max_distance is not None and against is None:
        raise InputError("--max-distance", found="a limit, and one model", expected="--against MODEL beside it")
    files = iter(weights)
    networks = [model_of(word, files) for word in (model, *([against] if against else []))]
    all_used(files)
    samples = samples_of(data, root=root, split=split, limit=limit, target=target)
    if samples.y is None:
        raise InputError(data, found="inputs without targets", expected="x and y, or data with labels")
    given = [_softmax(n) if answers == "probabilities" else n for n in networks]
    found = [mode_profile(n, samples.x, samples.y, whiten=not raw, centre=centre) for n in given]
    names = names_of((model, *([against] if against else [])), weights)
    text = [
        f"{len(samples.x):,} samples of {samples.name}; modes of the {'covariance' if raw else 'regression'} of y on x"
    ]
    for name, profile in zip(names, found, strict=True):
        text += ["", name, str(profile), f"missing: {profile.missing:.4g} (0: all learned, 1: none)"]
    record: dict[str, Any] = {
        "schema": "learnt.gated.modes/1", "data": samples.name, "samples": len(samples.x),
        "models": [{"name": n, **p.to_fields()} for n, p in zip(names, found, strict=True)], "difference": None,
    }  # fmt: skip
    distance = None
    if against is not None:
        difference = compare_profiles(*found)
        distance = difference.distance
        record["difference"] = difference.to_fields()
        text += ["", f"{names[1]} beside {names[0]}", str(difference)]
    hand_over(
        record, "\n".join(text), json=json, quiet=quiet, pictures=picture, html=html,
        draw=lambda: draw_profile(dict(zip(names, found, strict=True))).figure,
        title="Which modes of the task has each learned?", alt="Learned fraction of each mode, the strongest first.",
    )  # fmt: skip
    return gate((
        ("--max-missing", "what is missing of the modes", found[0].missing, max_missing),
        ("--max-distance", "the distance between the models", distance, max_distance),
    ))  # fmt: skip


def _softmax(network: Any) -> Any:
    """The probabilities of a model, which keeps its mode and device."""
    import torch
    from torch import nn

    if isinstance(network, nn.Module):
        return nn.Sequential(network, nn.Softmax(1))

    def probabilities(x: Any) -> Any:
        return torch.as_tensor(network(x)).double().softmax(1)

    return probabilities


def _patterns(patterns: GatePatterns, faint: float) -> str:
    """The gates of each layer, and the patterns that hold most of its strength."""
    rows = [str(patterns)]
    for i in range(len(patterns.on)):
        table, which = patterns.patterns(i, faint)
        mass = patterns.strengths[i] / max(float(patterns.strengths[i].sum()), 1e-300)
        if len(patterns.on) > 1:
            rows.append(f"    of {patterns.layers[i]}:")
        shares = [(float(mass[which == k].sum()), k) for k in range(table.shape[1])]
        for share, k in sorted(shares, key=lambda s: (-s[0], s[1]))[:_PATTERNS]:
            units, on = int((which == k).sum()), f"{int(table[:, k].sum()):,} of {len(patterns):,}"
            many = f"{units} unit{'s' * (units != 1)}"
            rows.append(f"    on for {on} samples: {many}, {share:.1%} of |w_in| |w_out|")
        if (left := len(shares) - _PATTERNS) > 0:
            rows.append(f"    and {left:,} more patterns")
        if (quiet_units := int((which < 0).sum())) > 0:
            rows.append(f"    left out as faint: {quiet_units} units")
    return "\n".join(rows)


def _layer(exact: GatePatterns, effective: GatePatterns, i: int, faint: float) -> dict[str, Any]:
    def read(patterns: GatePatterns) -> dict[str, Any]:
        table, which = patterns.patterns(i, faint)
        return {
            "patterns": table.shape[1],
            "on": table.sum(0).tolist(),
            "units": [int((which == k).sum()) for k in range(table.shape[1])],
            "counts": patterns.counts[i].tolist(),
            "changed": float((patterns.on[i] != exact.on[i]).mean()),
        }

    return {
        "name": exact.layers[i], "units": exact.on[i].shape[1], "slope": exact.slopes[i],
        "flagged": exact.flagged_share[i], "exact": read(exact), "effective": read(effective),
    }  # fmt: skip


def _fidelity(report: Fidelity) -> dict[str, Any]:
    import math

    return {
        "merge": report.merge, "kind": report.kind, "nodes": list(report.nodes), "units": list(report.units),
        "dead": list(report.dead), "always_on": list(report.always_on), "max_error": report.max_error,
        "relative_error": report.relative_error, "changed": report.changed, "flagged": report.flagged,
        "same_answer": None if math.isnan(report.same_answer) else report.same_answer, "n_paths": report.n_paths,
        "truncated": report.truncated,
        "pathways": [{"nodes": list(p.nodes), "norm": p.norm, "open": p.open} for p in report.pathways[:100]],
    }  # fmt: skip


def _picture(exact: GatePatterns, effective: GatePatterns) -> Any:
    """Exact and effective gates side by side, a row for each layer, and the margins below."""
    from learnt.gated.graph_pictures import draw_margins, draw_patterns
    from learnt.io.figures import figure

    count = min(len(exact.on), _DRAWN)
    made = figure(11.0, 3.3 * count + 2.9)
    grid = made.add_gridspec(count + 1, 2, height_ratios=[1.0] * count + [0.8])
    for i in range(count):
        draw_patterns(exact, i, ax=made.add_subplot(grid[i, 0]))
        draw_patterns(effective, i, ax=made.add_subplot(grid[i, 1]))
    draw_margins(exact, ax=made.add_subplot(grid[count, :]))
    return made
