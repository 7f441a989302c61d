"""`learnt study starc|reacher|pendulum|preferences|programs|gated`: experiments, published numbers beside ours."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import App, Parameter

_Words = Annotated[tuple[str, ...], Parameter(consume_multiple=True)]
app = App(name="study", help="Run a paper's experiment: published numbers beside ours.")


@app.command
def starc(
    *,
    out: Path = Path("runs/starc"),
    environments: int = 20,
    pairs: int = 4,
    steps: int = 16,
    states: int = 32,
    actions: int = 4,
    discount: Annotated[tuple[float, ...], Parameter(consume_multiple=True)] = (0.95,),
    jobs: int = 1,
    seed: int = 0,
    quiet: bool = False,
) -> None:
    """Which reward metric follows regret? Random decision processes, every metric of arXiv 2309.15257 and ours.

    Parameters
    ----------
    out
        Directory of the study; run the same command again to go on or to see the result.
    environments
        Random processes; the paper has 128.
    pairs
        Pairs of rewards in each; the paper has 8.
    steps
        Rewards on the way from the first to the second of a pair.
    states
        States of a process.
    actions
        Actions of a process.
    discount
        One discount, or several to see what it changes.
    jobs
        Processes to run at once; the numbers do not depend on it.
    seed
        Seed of everything random.
    quiet
        Print nothing but errors.
    """
    from learnt.studies.starc import starc_study

    found = starc_study(
        out, environments=environments, pairs=pairs, steps=steps, states=states, actions=actions, discounts=discount,
        jobs=jobs, seed=seed, quiet=quiet,
    )  # fmt: skip
    _show(found.table(), quiet)


@app.command
def reacher(
    *,
    samples: int = 20_000,
    seeds: Annotated[tuple[int, ...], Parameter(consume_multiple=True)] = (0, 1),
    json: Path | None = None,
    quiet: bool = False,
) -> None:
    """Rewards of a robot arm from samples: what the reference got wrong, and what comes out right (needs learnt[rl]).

    Parameters
    ----------
    samples
        Steps of the walk.
    seeds
        Seeds of walks.
    json
        Write the numbers as JSON to this file.
    quiet
        Print nothing but errors.
    """
    from learnt.io.atomic import write_json
    from learnt.studies.reacher import reacher as run

    found = run(samples=samples, seeds=seeds, quiet=quiet)
    if json is not None:
        write_json(json, found.to_dict())
    _show(found.table(), quiet)


@app.command
def pendulum(*, json: Path | None = None, quiet: bool = False) -> None:
    """What does compressing a reward network cost? Pruned and quantised copies on Pendulum-v1 (needs learnt[rl]).

    Parameters
    ----------
    json
        Write the numbers as JSON to this file.
    quiet
        Print nothing but errors.
    """
    from learnt.io.atomic import write_json
    from learnt.studies.pendulum import compression

    found = compression()
    if json is not None:
        write_json(json, found.to_dict())
    _show(found.table(), quiet)


@app.command
def preferences(
    *,
    states: int = 16,
    actions: int = 4,
    comparisons: Annotated[tuple[int, ...], Parameter(consume_multiple=True)] = (100, 1_000, 10_000),
    seeds: Annotated[tuple[int, ...], Parameter(consume_multiple=True)] = (0, 1, 2),
    discount: float = 0.9,
    json: Path | None = None,
    quiet: bool = False,
) -> None:
    """How good is a reward learnt from N preferences? Distance and worst-case regret against N, with a control.

    Parameters
    ----------
    states
        States of the random process.
    actions
        Actions of the random process.
    comparisons
        Numbers N of labelled pairs of trajectories.
    seeds
        Seeds of process, true reward, trajectories and labels.
    discount
        Discount of the process.
    json
        Write the numbers as JSON to this file.
    quiet
        Print nothing but errors.
    """
    from learnt.io.atomic import write_json
    from learnt.rewards.mdp import TabularMDP
    from learnt.run.seeds import numpy_generator
    from learnt.studies.rewards import preference_learning

    mdp = TabularMDP.random(states, actions, discount=discount, seed=0)
    true = numpy_generator("preferences", "true").standard_normal((states, actions))
    found = preference_learning(true, mdp, comparisons=comparisons, seeds=seeds)
    if json is not None:
        write_json(json, found.to_dict())
    _show(found, quiet)


@app.command
def programs(
    *,
    out: Path = Path("runs/programs"),
    only: _Words = ("table1",),
    tasks: _Words = (),
    seeds: int | None = None,
    epochs: int | None = None,
    scale: Literal["small", "paper"] = "small",
    method: Literal["train", "grow", "both"] = "train",
    recipes: _Words = ("ours",),
    search: int | None = None,
    variants: _Words = (),
    sizes: _Words = (),
    layers: int | None = None,
    heads: int | None = None,
    mlps: int | None = None,
    restarts: int = 5,
    steps: int | None = None,
    correct: int = 0,
    corrected: int = 1,
    search_rounds: int = 30,
    simplify: bool = False,
    examples: int | None = None,
    data: Path | None = None,
    jobs: int = 1,
    seed: int = 0,
    quiet: bool = False,
) -> None:
    """Transformers that turn into programs: the experiments of arXiv 2306.01128, its numbers beside ours.

    Adds to what OUT holds; run the same command again to go on or to see the result. Writes programs.json, record.txt,
    record.md and all programs into OUT.

    Parameters
    ----------
    out
        Directory of the study.
    only
        Experiments: table1, table3, induction, large, table5, recipes, text, standard.
    tasks
        Some of their tasks; all if not given (large: reverse and sort).
    seeds
        Seeds of each training, instead of the experiment's number.
    epochs
        Epochs of each training, instead of the experiment's number.
    scale
        Smaller programs and fewer epochs, or the published sizes.
    method
        Train by gradients, grow by search, or both.
    recipes
        Ours, paper, or both: ours paper.
    search
        Rounds of local search after training in our recipe, instead of its own number; 0 for none.
    variants
        Some of the recipes of the experiment of that name.
    sizes
        Longest input and vocabulary of the tasks on sequences, such as 16x8 16x16.
    layers
        Layers, instead of the experiment's number.
    heads
        Heads in each layer; half of them count, but in table3 and text.
    mlps
        Lookup tables in each layer; half of them of counts, but in table3 and text.
    restarts
        Programs grown by one search.
    steps
        Additions in one of them at most.
    correct
        Rounds of correction by the inputs that a program gets wrong; 0 for none.
    corrected
        How many seeds are corrected and simplified, best validation first.
    search_rounds
        Rounds of local search in each round of correction.
    simplify
        Simplify programs too, and count modules, branches and lines before and after.
    examples
        Fewer examples of each task; of text, at most so many training sentences.
    data
        Folder of the corpora, for the experiment on text.
    jobs
        Processes to run at once; the numbers do not depend on it.
    seed
        Seed of everything random.
    quiet
        Print nothing but errors.
    """
    from learnt.studies.programs import programs_study
    from learnt.studies.programs_plan import Options, size_of_text

    options = Options(
        tasks=tasks, seeds=seeds, epochs=epochs, scale=scale, method=method, recipes=recipes, search=search,
        variants=variants, sizes=tuple(size_of_text(text) for text in sizes), layers=layers, heads=heads, mlps=mlps,
        restarts=restarts, steps=steps, correct=correct, corrected=corrected, search_rounds=search_rounds,
        simplify=simplify, examples=examples, seed=seed,
    )  # fmt: skip
    found = programs_study(out, only=only, options=options, data=data, jobs=jobs, quiet=quiet)
    if not quiet:
        print(found)


def _show(found: Any, quiet: bool) -> None:
    if not quiet:
        import sys

        from rich.console import Console

        Console(width=None if sys.stdout.isatty() else 140).print(found)  # in a file no line needs to be cut
