"""How well do programs read? Text classes and named entities, beside transformers and bags of words.

Tables 2 and 6 of the paper: TREC, MR, Subj, AG news and CoNLL-2003, with four variables learnt for each word. Corpora
are local files. WikiANN stands for CoNLL-2003 where that is not at hand; the paper has no number for it. The paper
starts word variables from GloVe, here they start at random; nothing is searched after training, as there are too many
words. Sentences longer than the longest input are left out, in the test part too, as in the authors' code; so the
numbers are about short sentences.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from learnt.programs.config import Config, Factored
from learnt.studies.programs_cells import about_machine
from learnt.studies.programs_plan import Entry, Item, Options, own_seed, published, recipe_of, training
from learnt.studies.programs_tables import Sheet, number, per_cent, seconds, spread
from learnt.studies.programs_tasks import LANGUAGE, TAGGING

TASKS = LANGUAGE
CHOSEN = ("trec", "mr", "subj", "wikiann")  # unless others are asked for


def items(options: Options) -> list[Item]:
    """For each corpus: programs, the standard transformer, the controls."""
    found = []
    for task in options.of(TASKS, "text") if options.tasks else CHOSEN:
        given = _arguments(task, options)
        small, tagging = options.scale == "small", task in TAGGING
        longest = given["max_length"]
        layers, heads = options.layers or 2, options.heads or (8 if tagging else 4)
        size = Config(
            layers=layers, cat_heads=heads, num_heads=0, cat_mlps=1 if options.mlps is None else options.mlps,
            num_mlps=0, var_size=longest, embed=Factored(n=4),
        )  # fmt: skip
        if options.trains:
            for name in options.recipes:
                changes: dict[str, Any] = {
                    "search": 0,
                    **({"batch_size": 32, "lr": 0.01} if tagging else {"batch_size": 128}),
                }
                found.append(
                    training(
                        options, "text", task, size, recipe_of(name, **changes), label=name, seeds=3,
                        epochs=10 if small or not tagging else 50, given=given,
                    )
                )  # fmt: skip
        width, deep = (128, 3) if tagging else (256, 2)
        common = {"experiment": "text", "task": task, "arguments": given}
        found.append(
            {
                **common, "work": "standard", "label": "standard", "seeds": 1 if small else 3,
                "config": {"layers": deep, "heads": 4, "width": width}, "epochs": 5 if small else 30,
                "seed": own_seed(options, "text", task, given, "standard"),
            }
        )  # fmt: skip
        found.append({**common, "work": "controls", "label": "controls"})
    return found


def _arguments(task: str, options: Options) -> dict[str, int]:
    """Sizes of the paper; at scale "small" those of its script "short" (23 words, of 5,000)."""
    small, tagging = options.scale == "small", task in TAGGING
    given = {"vocab_size": 5_000 if small else 10_000, "max_length": 25 if small else 32 if tagging else 64}
    return given if options.examples is None else {**given, "examples": options.examples}


def sheets(entries: Sequence[Entry]) -> list[Sheet]:
    """Classes and entities, each with published numbers and controls."""
    classes = [(item, result) for item, result in entries if item["task"] not in TAGGING]
    tags = [(item, result) for item, result in entries if item["task"] in TAGGING]
    return [*([_classes(classes)] if classes else []), *([_entities(tags)] if tags else [])]


def _classes(entries: Sequence[Entry]) -> Sheet:
    rows = []
    for item, result in entries:
        known = published()["table6"].get(item["task"], {})
        sizes = _sizes(item, result)
        if item["work"] == "controls":
            there = {"naive Bayes": number(known.get("bag of words"))}
            rows += [
                (item["task"], name, sizes, there.get(name, ""), per_cent(share), "", "", "")
                for name, share in result["controls"].items()
            ]
            continue
        shares = [seed["test_tokens"] for seed in result["seeds"]]
        rows.append(
            (
                item["task"], _name(item), sizes, number(known.get("standard" if _standard(item) else "program")),
                per_cent(shares[0]), spread(shares), "" if _standard(item) else str(result["size"]["modules"]),
                seconds(result["training_seconds"]),
            )
        )  # fmt: skip
    return Sheet(
        title="Table 6: classes of text",
        columns=("corpus", "method", "trained on, tested on", "published", "accuracy", "all seeds", "modules", "time"),
        rows=tuple(rows),
        notes=(
            "Accuracy: test, %, of the seed chosen by validation. Published: programs with word variables from GloVe; "
            "standard transformer; bag of words (naive Bayes). Only sentences that fit are used and tested.",
            *about_machine(entries),
        ),
    )


def _entities(entries: Sequence[Entry]) -> Sheet:
    rows = []
    for item, result in entries:
        known = published()["table2"].get(item["task"], {})
        sizes = _sizes(item, result)
        if item["work"] == "controls":
            rows += [
                (item["task"], name, sizes, _three(known.get(name)), _three([100 * x for x in score]), "", "")
                for name, score in result["controls"].items()
            ]
            continue
        best = result["seeds"][0]
        others = [seed["test_spans"][2] for seed in result["seeds"] if "test_spans" in seed]
        there = known.get("standard" if _standard(item) else "program")
        rows.append(
            (
                item["task"], _name(item), sizes, _three(there), _three([100 * x for x in best["test_spans"]]),
                "" if _standard(item) else spread(others), seconds(result["training_seconds"]),
            )
        )  # fmt: skip
    return Sheet(
        title="Table 2: named entities",
        columns=(
            "corpus", "method", "trained on, tested on", "published P / R / F1", "P / R / F1", "F1, all seeds", "time",
        ),
        rows=tuple(rows),
        notes=(
            "Exact entities of the test part, strict IOB2, %; of the seed chosen by validation F1. Unigram: the most "
            "frequent tag of each word. The paper has CoNLL-2003 only; WikiANN has no published number here.",
            *about_machine(entries),
        ),
    )  # fmt: skip


def _standard(item: Item) -> bool:
    return item["work"] == "standard"


def _name(item: Item) -> str:
    what = "standard transformer" if _standard(item) else f"program, {item['label']}"
    return f"{what}, {item['seeds']} x {item['epochs']}"


def _sizes(item: Item, result: Any) -> str:
    sizes, longest = result["examples"], item["arguments"]["max_length"] - 2
    return f"{sizes['train']:,}, {sizes['test']:,} of <= {longest} words"


def _three(numbers: Sequence[float] | None) -> str:
    return "" if numbers is None else " / ".join(f"{value:.1f}" for value in numbers)
