"""`learnt gated predict|race`; the other commands of the room are in `gated_pairs` and `gated_networks`."""

from __future__ import annotations

from pathlib import Path

from cyclopts import App

from learnt.cli.gated_words import (
    Json,
    Picture,
    candidates_of,
    check_pictures,
    hand_over,
    losses_of,
    quietly,
    task_of_word,
)
from learnt.cli.outputs import check_limits, check_outputs, gate

app = App(name="gated", help="What will an architecture learn, how fast, and what does it share? Gated networks.")


@app.command
def predict(
    task: str,
    /,
    *,
    lr: float | None = None,
    steps: int | None = None,
    init: float = 0.1,
    momentum: float = 0.0,
    weight_decay: float = 0.0,
    optimizer: str = "sgd",
    flow: bool = False,
    time: float | None = None,
    observed: Path | None = None,
    simulate: int = 0,
    gain: float | None = None,
    calibrate: bool = False,
    seed: int = 0,
    require_exact: bool = False,
    max_loss: float | None = None,
    max_error: float | None = None,
    picture: Picture = (),
    html: Path | None = None,
    json: Json = None,
    overwrite: bool = False,
    quiet: bool = False,
) -> int:
    """Predict how a gated network learns a task: its modes, when each is learned, the loss; exact, or how far from it.

    Parameters
    ----------
    task
        A file .npz, .toml, .json or .yaml (learnt.gated.task_files); a name with arguments, such as xor,
        xor:gating=halves, hierarchy, routing:M=7,K=4,weight=notebook, routing:gate=gate.csv; or FILE.py:factory.
    lr
        Learning rate of full-batch gradient descent.
    steps
        Its steps; 500 if not given.
    init
        Strength of every edge and mode at the start, b0.
    momentum
        As in torch.optim.SGD.
    weight_decay
        As in torch.optim.SGD.
    optimizer
        sgd; others are refused: their steps depend on the coordinates, and modes do not stay apart.
    flow
        Gradient flow instead of descent.
    time
        The time at which flow ends; lr times steps if not given.
    observed
        Losses of a real run, before training and after each step: .csv with a column loss (and step), .npz or .npy.
    simulate
        Real networks to train, whose losses are laid over the prediction.
    gain
        They start from random orthogonal weights of this gain; if not given from decoupled ones of strength b0.
    calibrate
        Fit b0 to the first drop of the observed, or the simulated, loss.
    seed
        Seed of their starts.
    require_exact
        Refuse to predict where an assumption of the theory does not hold.
    max_loss
        Exit with 1 if the loss ends above this.
    max_error
        Exit with 1 if an observed or simulated loss is farther off, as a share of the loss at the start.
    picture
        Write losses, graph, modes and pathways to this file, .png, .svg or .pdf; may be given several times.
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
    from learnt.gated.prediction import predict as ask

    check_outputs((*picture, html, json), overwrite)
    check_pictures(picture)
    check_limits((("--max-loss", max_loss), ("--max-error", max_error)), most=float("inf"))
    if time is not None and not flow:
        raise InputError("--time", found=f"{time:g}", expected="--flow beside it; descent takes --lr and --steps")
    if flow and time is None:
        if lr is None:
            raise InputError("--flow", found="no time", expected="--time T, or --lr and --steps, whose product it is")
        time = lr * (500 if steps is None else steps)
    if not flow and lr is None:
        raise InputError("--lr", found="none", expected="a learning rate, or --flow with --time")
    for name, value, most in (("--steps", steps, 1_000_000), ("--simulate", simulate, 1_000)):
        if value is not None and value > most:
            raise InputError(name, found=f"{value:,}", expected=f"at most {most:,}")
    given, seen = task_of_word(task), None if observed is None else {"observed": losses_of(observed)}
    with quietly():
        found = ask(
            given, init, lr=None if flow else lr, steps=None if flow else steps, momentum=momentum,
            weight_decay=weight_decay, optimizer=optimizer, t=time, observed=seen,
            calibrate=calibrate, simulate=simulate, gain=gain, seed=seed, require_exact=require_exact,
        )  # fmt: skip
    hand_over(
        {**found.to_fields(), "task": task}, str(found), json=json, quiet=quiet, pictures=picture, html=html,
        draw=found.draw, title=f"How will {task} be learned?", notes=found.notes,
        alt="Losses predicted and observed; the graph with its strengths and gates; modes over time; pathways.",
    )  # fmt: skip
    worst = max((o.error for o in found.observed.values()), default=None)
    return gate((
        ("--max-loss", "the loss at the end", float(found.trajectory.loss[-1]), max_loss),
        ("--max-error", "the largest difference from the prediction", worst, max_error),
    ))  # fmt: skip


@app.command
def race(
    *tasks: str,
    init: float = 0.1,
    time: float | None = None,
    skip_relu: bool = False,
    expect: str | None = None,
    picture: Picture = (),
    html: Path | None = None,
    json: Json = None,
    overwrite: bool = False,
    quiet: bool = False,
) -> int:
    """Race gatings or architectures: which learns first, and which first of those that ReLU units could have.

    Parameters
    ----------
    tasks
        Candidates, see: learnt gated predict --help; NAME=TASK gives one a name, else it has that of its file.
    init
        Strength of every edge and mode at the start.
    time
        The time of gradient flow to stop at; as long as it takes if not given.
    skip_relu
        Do not ask which gatings ReLU units could have.
    expect
        Exit with 1 if another candidate learns first.
    picture
        Write the curves to this file, .png, .svg or .pdf; may be given several times.
    html
        Write a page with picture and numbers to this file.
    json
        Write the answer as JSON to this file; - writes it to standard output instead of the text.
    overwrite
        Replace existing output files.
    quiet
        Print nothing but errors.
    """
    import sys

    from learnt.core.errors import InputError
    from learnt.gated.curve_pictures import draw_race
    from learnt.gated.racing import race as ask

    check_outputs((*picture, html, json), overwrite)
    check_pictures(picture)
    if not tasks:
        raise InputError("tasks", found="none", expected="one task or more, such as xor:gating=halves xor")
    candidates = candidates_of(tasks)
    if expect is not None and expect not in candidates:
        raise InputError("--expect", found=repr(expect), expected=f"one of {', '.join(candidates)}")
    with quietly():
        found = ask(candidates, init, relu_feasible=not skip_relu, t=time)
    hand_over(
        {"schema": "learnt.gated.race/1", **found.to_fields()}, str(found), json=json, quiet=quiet, pictures=picture,
        html=html, draw=lambda: draw_race(found).figure, title="Which learns first?", notes=found.notes,
        alt="Losses of the candidates over time, as shares of the loss of no answer.",
    )  # fmt: skip
    if expect is not None and found.winner != expect:
        print(f"learnt: --expect {expect}: first is {found.winner or 'none'}", file=sys.stderr)
        return 1
    return 0
