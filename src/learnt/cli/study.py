"""`learnt study starc|reacher|pendulum|preferences`: experiments, with the published numbers beside ours."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, Parameter

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


def _show(found: Any, quiet: bool) -> None:
    if not quiet:
        import sys

        from rich.console import Console

        Console(width=None if sys.stdout.isatty() else 140).print(found)  # in a file no line needs to be cut
