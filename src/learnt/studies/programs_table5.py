"""What can gradients not find? Reverse with parts of a known solution fixed: table 5 of the paper.

The solution (appendix C.3) has two layers of one categorical head and one categorical MLP: attend to `</s>` and take
its position; compute the mirrored position; read the token there. Any of its five choices may be fixed or left free;
MLPs and classifier are always trained. With nothing fixed, our recipe also searches after training, and programs of
the same size are grown.

Paper: N = V = 16, 100 epochs, three seeds. Mini: N = V = 8, 30 epochs, four seeds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from learnt.programs.config import Config
from learnt.programs.task_encoding import END
from learnt.studies.programs_cells import about_machine, grown_note, wrong_inputs
from learnt.studies.programs_plan import (
    Entry,
    Item,
    Options,
    arguments,
    growing,
    published,
    recipes_of,
    size_name,
    training,
)
from learnt.studies.programs_tables import Sheet, number, per_cent, seconds
from learnt.studies.programs_tasks import task_of

TASKS = ("reverse",)
SIZE = Config(layers=2, cat_heads=1, num_heads=0, cat_mlps=1, num_mlps=0)
CASES = (
    "all fixed", "attention-1 read free", "attention-1 predicate free", "MLP read free", "attention-2 read free",
    "attention-2 predicate free", "nothing fixed",
)  # fmt: skip


def items(options: Options) -> list[Item]:
    """One training for each case and recipe, and one search."""
    small, found = options.scale == "small", []
    for task in options.of(TASKS, "table5"):
        for size in options.sizes or (((8, 8),) if small else ((16, 16),)):
            given = arguments(task, options, size)
            for label, recipe in recipes_of(options):
                plain = replace(recipe, search=0)  # a search would change what is fixed
                cases = [(case, label, plain) for case in CASES]
                if recipe.search:
                    cases.append(("nothing fixed", f"{label}, with search", recipe))
                found += [
                    training(
                        options, "table5", task, SIZE, chosen, label=f"{case}, {name}", seeds=4 if small else 3,
                        epochs=30 if small else 100, given=given, case=case, how=name, fixed=solution(given, case),
                    )
                    for case, name, chosen in cases
                ]  # fmt: skip
            found.append(growing(options, "table5", task, SIZE, given=given, case="nothing fixed", how="grown"))
    return found


def solution(given: Mapping[str, int], case: str) -> dict[str, dict[str, Any]]:
    """What is fixed in a case, as `learnt.programs.fit` takes it.

    Args:
        given: arguments of the task.
        case: one of `CASES`.
    """
    if case == "nothing fixed":
        return {}
    task = task_of({"task": "reverse", "arguments": given})
    k = SIZE.shape(task).k
    parts: dict[str, tuple[str, dict[str, Any]]] = {
        "attention-1 read": ("attn_0_0", {"query": "tokens", "key": "tokens", "value": "positions"}),
        "attention-1 predicate": ("attn_0_0", {"predicate": [task.vocab.index(END)] * k}),
        "MLP read": ("mlp_0_0", {"inputs": ["attn_0_0", "positions"]}),
        "attention-2 read": ("attn_1_0", {"query": "mlp_0_0", "key": "positions", "value": "tokens"}),
        "attention-2 predicate": ("attn_1_0", {"predicate": list(range(k))}),
    }
    fixed: dict[str, dict[str, Any]] = {}
    for name, (module, choices) in parts.items():
        if case != f"{name} free":
            fixed.setdefault(module, {}).update(choices)
    return fixed


def sheets(entries: Sequence[Entry]) -> list[Sheet]:
    """All seeds of every case, beside the published ones."""
    rows = []
    for item, result in entries:
        there = published()["table5"].get(size_name(item), {}).get(item["case"], ())
        shares = [seed["test_tokens"] for seed in sorted(result["seeds"], key=lambda seed: seed["seed"])]
        grown = item["work"] == "grow"
        rows.append(
            (
                item["case"], size_name(item), item["how"],
                f"{item['restarts']} restarts" if grown else f"{item['seeds']} x {item['epochs']}",
                "" if grown else " / ".join(map(number, there)), " / ".join(per_cent(share) for share in shares),
                wrong_inputs(result), seconds(result["training_seconds"]),
            )
        )  # fmt: skip
    return [
        Sheet(
            title="Table 5: reverse with parts of the solution fixed",
            columns=(
                "case", "N x V", "recipe", "seeds x epochs", "published", "test tokens, all seeds",
                "wrong inputs, chosen seed", "time",
            ),
            rows=tuple(rows),
            notes=(
                "Published: 16x16 the paper's three seeds of 100 epochs; 8x8 the prototype of the specification, four "
                "seeds of 30 epochs.",
                "Recipe ours: without its search after training, which would change what is fixed, unless a row says "
                "so.",
                *grown_note(entries),
                *about_machine(entries),
            ),
        )
    ]  # fmt: skip
