"""A difference of two programs as text and as plain data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from learnt.core.estimate import Estimate
from learnt.io.reading import printable
from learnt.programs._edits import Edits

if TYPE_CHECKING:
    from learnt.programs.difference import ModuleDiff, ProgramDiff

SCHEMA = "learnt.program-diff/1"
_LINES = 8  # edits, labels and votes that a text lists


def summary(diff: ProgramDiff) -> list[str]:
    """What differs, in a few lines."""
    a, b = (printable(name, 40) for name in diff.names)
    if diff.scope == "structure":
        return [f"{b} against {a}: equal up to renaming (decided from their structure, without inputs)"]
    on = {"exhaustive": f"all {diff.inputs:,} inputs", "given": f"{diff.inputs:,} inputs"}
    where = on.get(diff.scope, f"a sample of {diff.inputs:,} inputs")
    lines = [f"{b} against {a} on {where}"]
    if diff.left_out:
        lines.append(f"  left out: {diff.left_out:,} inputs that one of the two cannot take")
    lines.append(f"  answered differently: {_share(diff.sequences)} of inputs, {_share(diff.tokens)} of tokens")
    if diff.equal:
        lines.append("  structure: equal up to renaming")
    elif diff.equal is not None:
        counts = [f"{diff.count(s)} {s}" for s in ("same", "changed", "added", "removed")]
        votes = diff.votes.reached
        lines.append(f"  structure: modules {', '.join(counts)}; {votes:,} vote{'' if votes == 1 else 's'} changed")
    return lines


def explanation(diff: ProgramDiff) -> str:
    """Everything that a person needs to see where two programs part."""
    lines = summary(diff)
    a, b = (printable(name, 40) for name in diff.names)
    if diff.examples:
        lines += ["", "Shortest inputs answered differently"]
    for example in diff.examples:
        where = ", ".join(
            f"position {i}: {a} {printable(example.a[i], 20)!r}, {b} {printable(example.b[i], 20)!r}"
            for i in example.positions[:4]
        )
        rest = len(example.positions) - 4
        lines.append(f"  {_tokens(example.tokens)}   {where}{f', and {rest} more' if rest > 0 else ''}")
    if diff.confusion:
        lines += ["", "Labels"]
        lines += [
            f"  {count:,} times {a} says {printable(x, 20)!r} and {b} says {printable(y, 20)!r}"
            for x, y, count in diff.confusion[:_LINES]
        ]
        lines += _more(len(diff.confusion), "pairs of labels")
    if diff.modules and diff.scope != "structure":
        lines += ["", "Modules (likeness: of what they write, 0 to 1)"]
        for module in diff.modules:
            lines += _module(module)
    if diff.votes.reached:
        lines += ["", "Votes", *_edits(diff.votes)]
    if diff.swings:
        total = sum(swing.total for swing in diff.swings)
        lines += [
            "",
            f"Whose votes moved the decision, over {diff.swing_positions:,} positions (margins moved by {total:.4g})",
        ]
        for swing in diff.swings[:_LINES]:
            lines.append(f"  {100 * swing.share:6.1f} %  {swing.total:+.4g}  {_both(swing.a, swing.b)}")
        lines += _more(len(diff.swings), "variables")
    return "\n".join(lines)


def fields(diff: ProgramDiff) -> dict[str, Any]:
    """Plain JSON data."""
    return {
        "schema": SCHEMA,
        "names": list(diff.names),
        "inputs": diff.inputs,
        "scope": diff.scope,
        "left_out": diff.left_out,
        "distance": diff.distance,
        "sequences": diff.sequences.to_dict(),
        "tokens": diff.tokens.to_dict(),
        "apart": diff.apart,
        "examples": [
            {"tokens": list(e.tokens), "a": list(e.a), "b": list(e.b), "positions": list(e.positions)}
            for e in diff.examples
        ],
        "confusion": [[x, y, count] for x, y, count in diff.confusion],
        "equal": diff.equal,
        "modules": [
            {"status": m.status, "a": m.a, "b": m.b, "likeness": m.likeness, "edits": _edit_fields(m.edits)}
            for m in diff.modules
        ],
        "votes": _edit_fields(diff.votes),
        "swings": [s._asdict() for s in diff.swings],
        "swing_positions": diff.swing_positions,
    }


def _edit_fields(edits: Edits) -> dict[str, Any]:
    listed = [edit._asdict() for edit in edits.listed]
    return {"listed": listed, "reached": edits.reached, "unreached": edits.unreached}


def _module(module: ModuleDiff) -> list[str]:
    if module.a is None or module.b is None:
        return [f"  {module.status:<8} {module.a or module.b}"]
    return [f"  {module.status:<8} {_both(module.a, module.b)}   {module.likeness:.3f}", *_edits(module.edits)]


def _edits(edits: Edits) -> list[str]:
    lines = [f"           {printable(edit, 200)}" for edit in edits.listed[:_LINES] if edit.reached]
    hidden = edits.reached - len(lines)
    if hidden > 0:
        lines.append(f"           and {hidden:,} more")
    if edits.unreached:
        lines.append(f"           {edits.unreached:,} differ at values that never occur")
    return lines


def _both(a: str | None, b: str | None) -> str:
    if a is None or b is None:
        return f"{a or b} (only in {'b' if a is None else 'a'})"
    return a if a == b else f"{a} ~ {b}"


def _tokens(tokens: tuple[str, ...]) -> str:
    return " ".join(printable(token, 20) for token in tokens)


def _more(count: int, what: str) -> list[str]:
    return [f"  and {count - _LINES:,} more {what}"] if count > _LINES else []


def _share(estimate: Estimate) -> str:
    if estimate.kind == "exact":
        return f"{100 * estimate.value:.4g} %"
    return f"{100 * estimate.value:.4g} % [{100 * estimate.low:.4g}, {100 * estimate.high:.4g}]"
