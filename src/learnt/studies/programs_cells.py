"""What several tables of the study show alike: how a program did, and where and how it was made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from learnt.studies.programs_plan import Entry, Item
from learnt.studies.programs_tables import Sheet, per_cent, seconds, spread


def method(item: Item) -> str:
    """Label, seeds and epochs, such as "ours, 8 x 60"; or "grown, 5 restarts"."""
    if item["work"] == "grow":
        return f"grown, {item['restarts']} restart{'s' * (item['restarts'] != 1)}"
    return f"{item['label']}, {item['seeds']} x {item['epochs']}"


def outcome_cells(item: Item, result: Mapping[str, Any]) -> tuple[str, ...]:
    """Tokens, sequences, all seeds, wrong inputs, modules, live ones, by hand, time."""
    best, size = result["seeds"][0], result["size"]
    hand = by_hand(item)
    return (
        per_cent(best["test_tokens"]), per_cent(best["test_sequences"]),
        spread([seed["test_tokens"] for seed in result["seeds"]]), wrong_inputs(result), str(size["modules"]),
        str(size["live"]), "" if hand is None else str(hand), seconds(result["training_seconds"]),
    )  # fmt: skip


def wrong_inputs(result: Mapping[str, Any]) -> str:
    """How many inputs are wrong, such as "9 of 19,530", with ~ before a sample."""
    check = result.get("check")
    if check is None:
        return ""
    return f"{'' if check['kind'] == 'exhaustive' else '~'}{check['wrong']:,} of {check['n']:,}"


def by_hand(item: Item) -> int | None:
    """Modules of the exact program that the library has for a task of these sizes."""
    from learnt.programs.library import known_size
    from learnt.studies.programs_tasks import task_of

    return known_size(task_of(item))


def finished_sheet(entries: Sequence[Entry]) -> Sheet:
    """Programs corrected by counterexamples and simplified, in a table of their own."""
    rows = []
    for item, result in entries:
        before, after = result["before"], result.get("simplified")
        wrong = f"{result['wrong_before']:,} -> {result['wrong']:,} of {result['n']:,}" if item["correct"] else ""
        if item["correct"] and not result["exhaustive"]:
            wrong = f"~{wrong}"

        def change(name: str, old: Mapping[str, Any] = before, new: Mapping[str, Any] | None = after) -> str:
            return f"{old[name]:,}" + ("" if new is None else f" -> {new[name]:,}")

        rows.append(
            (
                item["task"], item["label"], f"{item['program']}", wrong,
                f"{result['counterexamples']}" if item["correct"] else "",
                seconds(result["correction_seconds"]) if item["correct"] else "",
                change("modules"), change("branches"), change("lines"),
                seconds(result["simplify_seconds"]) if after is not None else "",
            )
        )  # fmt: skip
    held = [result["wrong"] == 0 and result["exhaustive"] for item, result in entries if item["correct"]]
    notes = (f"Right on every input of the domain afterwards: {sum(held)} of {len(held)} seeds.",) if held else ()
    return Sheet(
        title="Corrected by counterexamples, and simplified",
        columns=(
            "task", "trained", "seed", "wrong inputs", "counterexamples", "correction", "modules", "branches", "lines",
            "simplification",
        ),
        rows=tuple(rows),
        notes=(
            *notes, "~: of a sample. Modules, branches, lines of Python: before and after.", *about_machine(entries),
        ),
    )  # fmt: skip


def grown_note(entries: Sequence[Entry]) -> tuple[str, ...]:
    """What "grown" means, if it occurs."""
    if not any(item["work"] == "grow" for item, _ in entries):
        return ()
    return ("Grown: built module by module by counting, without gradients (`learnt.programs.grow`).",)


def about_machine(entries: Sequence[Entry]) -> tuple[str, ...]:
    """Date, processor, cores and versions, once if they are the same everywhere."""
    seen: dict[str, list[str]] = {}
    for _, result in entries:
        made = result["made"]
        versions = ", ".join(
            f"{name} {made['versions'][name]}" for name in ("learnt", "torch", "numpy") if name in made["versions"]
        )
        where = f"{made['processor']}, {made['cores']} cores, one thread a process; {versions}"
        seen.setdefault(where, []).append(made["date"])
    return tuple(
        f"{min(dates)}{'' if min(dates) == max(dates) else f' to {max(dates)}'}; {where}."
        for where, dates in seen.items()
    )
