"""What is one piece of work of the study? Plain data: a task, a size, a recipe, numbers of seeds and epochs.

    {"work": "train", "experiment": "table1", "task": "sort", "arguments": {...}, "config": {...}, "label": "ours",
     "recipe": {...}, "seeds": 8, "epochs": 60, "seed": 123, ...}

An item says everything that its result depends on, so that it is also the name of that result in the journal. Each
has a seed of its own, derived from the study's seed, experiment, task and label; with it, `learnt.programs.fit` gives
the same programs again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal, final

from learnt.core.errors import InputError
from learnt.programs.config import Config
from learnt.programs.recipe import Recipe
from learnt.run.seeds import derive

Item = dict[str, Any]
Entry = tuple[Item, dict[str, Any]]  # an item and its result
DYCK = ("dyck1", "dyck2")
RECIPES = ("ours", "paper")
METHODS = ("train", "grow", "both")
SCALES = ("small", "paper")


@final
@dataclass(frozen=True, kw_only=True)
class Options:
    """What is asked of the experiments; None and () stand for each experiment's own.

    Attributes:
        tasks: names.
        seeds, epochs: of one training.
        scale: "small", minutes to an hour on two cores, or "paper", the published sizes.
        method: "train" (gradients), "grow" (search by counting), or "both".
        recipes: "ours", "paper".
        search: rounds of local search after training in our recipe, instead of its own number.
        variants: names of recipes in the experiment of that name.
        sizes: (N, V) of the tasks on sequences.
        layers, heads, mlps: instead of the experiment's; half of heads and MLPs numerical, but in table 3.
        restarts, steps: of `learnt.programs.grow`.
        correct: rounds of correction by counterexamples; 0: none.
        corrected: how many seeds are corrected, best validation first.
        search_rounds: of the local search in each round of correction.
        simplify: whether these are simplified too.
        examples: instead of 20,000 examples, or at most so many training sentences.
        seed: from which every item derives its own.
    """

    tasks: tuple[str, ...] = ()
    seeds: int | None = None
    epochs: int | None = None
    scale: Literal["small", "paper"] = "small"
    method: Literal["train", "grow", "both"] = "train"
    recipes: tuple[str, ...] = ("ours",)
    search: int | None = None
    variants: tuple[str, ...] = ()
    sizes: tuple[tuple[int, int], ...] = ()
    layers: int | None = None
    heads: int | None = None
    mlps: int | None = None
    restarts: int = 5
    steps: int | None = None
    correct: int = 0
    corrected: int = 1
    search_rounds: int = 30
    simplify: bool = False
    examples: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        for name, known in (("scale", SCALES), ("method", METHODS)):
            if getattr(self, name) not in known:
                raise InputError(name, found=repr(getattr(self, name)), expected=f"one of {', '.join(known)}")
        for recipe in self.recipes:
            if recipe not in RECIPES:
                raise InputError("recipes", found=repr(recipe), expected="ours, paper or both")
        if not self.recipes:
            raise InputError("recipes", found="none", expected="ours, paper or both")
        least = {
            "seeds": 1,
            "epochs": 1,
            "layers": 1,
            "heads": 0,
            "mlps": 0,
            "restarts": 1,
            "steps": 1,
            "correct": 0,
            "search": 0,
        }
        for name, low in {**least, "corrected": 1, "search_rounds": 1, "examples": 3}.items():
            value = getattr(self, name)
            if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < low):
                raise InputError(name, found=repr(value), expected=f"an integer of at least {low}")
        for name in ("tasks", "recipes", "variants", "sizes"):
            if len(set(getattr(self, name))) != len(getattr(self, name)):
                raise InputError(name, found="one of them twice", expected="different ones")
        for size in self.sizes:
            if len(size) != 2 or min(size) < 4:
                raise InputError("sizes", found=repr(size), expected="(N, V), both at least 4")

    @property
    def trains(self) -> bool:
        """Whether programs are trained by gradients."""
        return self.method in ("train", "both")

    @property
    def grows(self) -> bool:
        """Whether programs are grown."""
        return self.method in ("grow", "both")

    def of(self, known: Sequence[str], experiment: str) -> tuple[str, ...]:
        """The tasks asked for that an experiment has; all of them if none is named.

        Raises:
            InputError: an experiment that has none of those asked for.
        """
        chosen = tuple(task for task in known if task in self.tasks) if self.tasks else tuple(known)
        if not chosen:
            raise InputError(
                "tasks",
                found=f"{', '.join(self.tasks)}, none of them in {experiment}",
                expected=f"some of {', '.join(known)}",
            )
        return chosen


@cache
def published() -> Mapping[str, Any]:
    """The published numbers, in per cent; `programs_published.json` says whose they are."""
    from learnt.io.atomic import read_json

    return read_json(Path(__file__).with_name("programs_published.json"))


def arguments(task: str, options: Options, size: tuple[int, int] | None = None) -> dict[str, int]:
    """The arguments of a synthetic task: its own sizes, or (N, V)."""
    more = {} if options.examples is None else {"size": options.examples}
    if task in DYCK:
        return {"max_length": 16 if size is None else size[0], **more}
    if task == "induction":
        return more
    n, v = size or (8, 8)
    return {"vocab_size": v, "max_length": n, **more}


def halves(layers: int, heads: int, mlps: int) -> Config:
    """Layers with so many heads and MLPs each, half of them numerical, as in table 1 of the paper."""
    return Config(
        layers=layers, cat_heads=heads - heads // 2, num_heads=heads // 2, cat_mlps=mlps - mlps // 2,
        num_mlps=mlps // 2,
    )  # fmt: skip


def recipe_of(name: str, **changes: Any) -> Recipe:
    """The recipe of a name, with changes."""
    from dataclasses import replace

    return replace(Recipe.paper() if name == "paper" else Recipe(), **changes)


def recipes_of(options: Options) -> list[tuple[str, Recipe]]:
    """The recipes asked for, by name."""
    found = []
    for name in options.recipes:
        if name == "ours" and options.search is not None:
            found.append((f"ours, search {options.search}", recipe_of(name, search=options.search)))
        else:
            found.append((name, recipe_of(name)))
    return found


def training(
    options: Options, experiment: str, task: str, config: Config, recipe: Recipe, *, label: str, seeds: int,
    epochs: int, given: Mapping[str, Any] | None = None, **more: Any,
) -> Item:  # fmt: skip
    """The item of one training; `options` win over `seeds` and `epochs`."""
    given = arguments(task, options) if given is None else given
    return {
        "work": "train", "experiment": experiment, "task": task, "arguments": dict(given),
        "config": config.to_fields(), "label": label, "recipe": recipe.to_fields(),
        "seeds": options.seeds or seeds, "epochs": options.epochs or epochs,
        "seed": own_seed(options, experiment, task, given, label), **more,
    }  # fmt: skip


def growing(
    options: Options, experiment: str, task: str, config: Config, *, given: Mapping[str, Any] | None = None, **more: Any
) -> Item:
    """The item of one search that grows programs of at most this size."""
    given = arguments(task, options) if given is None else given
    limits = {
        name: value for name, value in config.to_fields().items()
        if name in ("layers", "cat_heads", "num_heads", "cat_mlps", "num_mlps")
    }  # fmt: skip
    return {
        "work": "grow", "experiment": experiment, "task": task, "arguments": dict(given), "config": limits,
        "label": "grown", "restarts": options.restarts, "steps": options.steps,
        "seed": own_seed(options, experiment, task, given, "grown"), **more,
    }  # fmt: skip


def own_seed(options: Options, experiment: str, task: str, given: Mapping[str, Any], label: str) -> int:
    """The seed of one item."""
    sizes = ",".join(f"{name}={given[name]}" for name in sorted(given) if name != "size")
    return derive(options.seed, "programs", experiment, task, sizes, label) % 2**31


def size_of_text(text: str) -> tuple[int, int]:
    """(N, V) of a text such as "16x8".

    Raises:
        InputError: another text.
    """
    n, cross, v = text.partition("x")
    if not (cross and n.isascii() and n.isdigit() and v.isascii() and v.isdigit() and len(text) < 12):
        raise InputError("sizes", found=repr(text[:40]), expected="longest input x vocabulary, such as 16x8")
    return int(n), int(v)


def size_name(item: Mapping[str, Any]) -> str:
    """N and V of a task on sequences, such as "8x8"."""
    return f"{item['arguments']['max_length']}x{item['arguments']['vocab_size']}"


def shape_name(item: Mapping[str, Any]) -> str:
    """Layers, categorical + numerical heads, categorical + numerical MLPs, such as "3, 4+4, 2+2"."""
    c = item["config"]
    return f"{c['layers']}, {c['cat_heads']}+{c['num_heads']}, {c['cat_mlps']}+{c['num_mlps']}"
