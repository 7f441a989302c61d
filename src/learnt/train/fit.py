"""Move a population, or a single module, by the gradients of an objective.

    theta_i  <-  flow( theta_i, grad loss_i(theta_i), ... )        for all replicas i at once, each on its own batches

One replica is ordinary training, N independent ones are a deep ensemble, and replicas that repel each other under
noise sample a posterior (arXiv 2305.15027). Nothing about a method lives here: losses are objectives, motion is a
flow. Given the same arguments, library versions, device and number of threads, a run gives the same bits, whether or
not it was interrupted.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Callable, Sequence
from typing import Any, Literal

import torch
from torch import nn
from torch.func import functional_call

from learnt.core.errors import InputError, LearntError, ShapeError
from learnt.core.examples import Examples, as_examples, check_finite
from learnt.train._bundle import Stack, assemble, disband
from learnt.train._engines import Choice, build, choose
from learnt.train._feed import Augment, Feeder
from learnt.train._files import digest
from learnt.train._optimise import Optimisation, OptimizerFactory, ScheduleFactory, adam
from learnt.train._random import fenced
from learnt.train._signals import listening
from learnt.train._stopping import Stopping
from learnt.train._training import Training
from learnt.train.checkpoint import Checkpoint, Keeper, describe, opened
from learnt.train.flows import Flow, Independent
from learnt.train.history import Callback, History
from learnt.train.objectives import CrossEntropy, Objective, SquaredError, check_classes, unwrap
from learnt.train.population import Population


def fit(
    thing: Population | nn.Module,
    data: Examples | Any,
    objective: Objective,
    *,
    epochs: int | None = None,
    steps: int | None = None,
    flow: Flow = Independent(),  # noqa: B008  (frozen)
    optimizer: OptimizerFactory | None = None,
    schedule: ScheduleFactory | None = None,
    schedule_every: Literal["step", "epoch"] = "step",
    batch_size: int = 128,
    order: Literal["own", "shared"] = "own",
    augment: Augment | None = None,
    clip_norm: float | None = None,
    validation: Examples | Any | None = None,
    validation_objective: Objective | None = None,
    patience: int | None = None,
    engine: Choice = "auto",
    device: str | torch.device | None = None,
    seed: int = 0,
    checkpoint: Checkpoint | str | os.PathLike[str] | None = None,
    callbacks: Sequence[Callback] = (),
) -> History:
    """Train `thing` in place and return what happened.

    Args:
        thing: a Population of N replicas, or one module (N = 1).
        data: Examples, or what `as_examples` takes.
        objective: loss of one replica on one batch; see `learnt.train.objectives`.
        epochs, steps: how long; exactly one of them. The last batch of an epoch may be smaller; none is dropped.
        flow: how replicas move. `Independent` uses the optimiser; any other flow has its own step size.
        optimizer: a class of `torch.optim` or a function from the list of stacked parameters (N, ...) to an
            optimiser; Adam with learning rate 1e-3 if None. Weight decay is the optimiser's.
        schedule: `(optimizer, count) -> scheduler`, stepped `count` times in all, after each step or epoch.
        schedule_every: "step" or "epoch".
        batch_size: examples a step and replica; at most all of them.
        order: "own", each replica in its own order, or "shared", all replicas see the same batches.
        augment: `(inputs (b, ...), generator) -> inputs` for each replica and step.
        clip_norm: largest global norm of each replica's gradient, companion included.
        validation: examples to judge by after each epoch.
        validation_objective: their loss; by default cross-entropy, or squared error for real-valued labels.
        patience: stop a replica after so many epochs without improvement; each ends with its best weights.
        engine: "auto", "vmap" (all at once) or "loop" (one by one); see `learnt.train._engines`.
        device: where to train; None stays where the parameters are. They come back to where they were.
        seed: from which orders, augmentations, dropout and noise are derived.
        checkpoint: a directory or a `Checkpoint`; run again with the same arguments to resume.
        callbacks: functions of an `Event`.

    Raises:
        InputError, ShapeError, NonFiniteError, NotApplicable: arguments that have no meaning together.
        DivergedError: NaN or infinity; names step, replica and the last good checkpoint.
        Interrupted: SIGINT or SIGTERM. ResumeError, BusyError, StorageError: see `checkpoint`.
    """
    examples = as_examples(data)
    judged = None if validation is None else as_examples(validation, name="validation")
    _check_arguments(thing, objective, flow, locals())
    place = _place(thing, device)
    if judged is not None:
        _check_validation(judged)
    with fenced(place), opened(checkpoint) as keeper:
        stack = assemble(thing, objective, examples, seed, place)
        _check_model(stack, objective, examples)
        verdict = validation_objective or _default_judge(judged)
        if judged is not None:
            _check_model(stack, verdict, judged)
        prepare = getattr(objective, "prepare", None)
        common: dict[str, Any] = {"size": stack.size, "seed": seed, "device": place, "dtype": stack.dtype}
        feeder = Feeder(
            examples, {} if prepare is None else prepare(examples), batch_size=batch_size,
            shared=order == "shared", augment=augment, **common,
        )  # fmt: skip
        total = steps if steps is not None else (epochs or 0) * feeder.per_epoch
        optimisation = None
        if isinstance(flow, Independent):
            count = total if schedule_every == "step" else -(-total // feeder.per_epoch)
            optimisation = Optimisation(stack, optimizer or adam, schedule, count)
        settings = {} if keeper is None else _settings(stack, examples, judged, locals())
        name, reason = _engine(keeper, settings, lambda: choose(engine, stack, objective, feeder.at(0), seed))
        training = Training(
            stack=stack,
            engine=build(name, stack, seed),
            feeder=feeder,
            loss=objective,
            steps=total,
            seed=seed,
            flow=flow,
            optimisation=optimisation,
            schedule_every=schedule_every,
            clip_norm=clip_norm,
            judge=None
            if judged is None
            else Feeder(judged, {}, batch_size=max(256, batch_size), shared=True, shuffle=False, **common),  # fmt: skip
            verdict=verdict,
            stopping=None if patience is None else Stopping(stack, patience),
            keeper=keeper,
            callbacks=callbacks,
            notes=[reason],
        )
        _resume(training, keeper)
        try:
            with listening() as request:
                return training.run(request)
        finally:
            disband(stack, thing)


def _engine(keeper: Keeper | None, settings: dict[str, Any], decide: Callable[[], tuple[str, str]]) -> tuple[str, str]:
    if keeper is None:
        return decide()
    keeper.compare(settings)
    noted = keeper.engine()
    if noted is None:
        noted = decide()
        keeper.begin(settings, *noted)
    return noted


def _resume(training: Training, keeper: Keeper | None) -> None:
    found = None if keeper is None else keeper.resume()
    if found is not None:
        tensors, record, notes = found
        training.notes.extend(notes)
        if record:
            training.take(tensors, record)


def _settings(stack: Stack, data: Examples, judged: Examples | None, given: dict[str, Any]) -> dict[str, Any]:
    plain = ("epochs", "steps", "schedule_every", "batch_size", "order", "clip_norm", "patience", "engine", "seed")
    described = ("flow", "objective", "schedule", "augment", "validation_objective")
    optimisation = given["optimisation"]
    return {
        **{name: describe(given[name]) for name in (*plain, *described)},
        "data": describe(data),
        "validation": describe(judged),
        "optimizer": None if optimisation is None else optimisation.describe(),
        "replicas": stack.size,
        "device": stack.device.type,
        "initial weights": digest(stack.tensors())[:16],
    }


def _default_judge(judged: Examples | None) -> Objective:
    return CrossEntropy() if judged is None or judged.is_classification else SquaredError()


# -- refusing what has no meaning ----------------------------------------------------------------------


def _check_arguments(thing: Any, objective: Any, flow: Any, given: dict[str, Any]) -> None:
    if not isinstance(thing, (Population, nn.Module)):
        raise InputError("thing", found=f"a {type(thing).__name__}", expected="a Population or an nn.Module")
    if not callable(objective):
        raise InputError(
            "objective", found=f"a {type(objective).__name__}", expected="a function (model, batch) -> loss"
        )
    if isinstance(objective, type):
        raise InputError("objective", found=f"the class {objective.__name__}", expected="an object", remedy="Call it.")
    if (given["epochs"] is None) == (given["steps"] is None):
        found = "neither" if given["epochs"] is None else "both"
        raise InputError("epochs, steps", found=found, expected="exactly one of epochs= and steps=")
    for name, least in (("epochs", 1), ("steps", 1), ("batch_size", 1), ("patience", 1)):
        value = given[name]
        if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < least):
            raise InputError(name, found=repr(value), expected="a positive integer")
    if given["clip_norm"] is not None and not 0 < given["clip_norm"] < float("inf"):
        raise InputError("clip_norm", found=repr(given["clip_norm"]), expected="a positive number or None")
    for name, values in (("order", ("own", "shared")), ("schedule_every", ("step", "epoch"))):
        if given[name] not in values:
            raise InputError(name, found=repr(given[name]), expected=" or ".join(map(repr, values)))
    if given["patience"] is not None and given["validation"] is None:
        raise InputError("patience", found="no validation set", expected="validation= examples to judge by")
    if not isinstance(flow, Independent):
        if not callable(flow):
            raise InputError("flow", found=repr(flow)[:60], expected="a flow such as Independent()")
        for name in ("optimizer", "schedule"):
            if given[name] is not None:
                raise InputError(
                    name, found=f"one beside {type(flow).__name__}", expected="None, as this flow has its own step size"
                )


def _check_validation(judged: Examples) -> None:
    if judged.labels is None:
        raise InputError("validation", found="examples without labels", expected="labels to judge by")


def _place(thing: Population | nn.Module, device: str | torch.device | None) -> torch.device:
    if device is None:
        tensors = (*thing.parameters.values(),) if isinstance(thing, Population) else (*thing.parameters(),)
        places = {t.device for t in tensors} or {torch.device("cpu")}
        if len(places) > 1 or torch.device("meta") in places:
            found = "weights on " + " and ".join(sorted(str(p) for p in places))
            raise InputError("thing", found=found, expected="all weights on one device that holds values")
        return places.pop()
    try:
        place = torch.device(device)
        torch.empty(0, device=place)
    except (RuntimeError, AssertionError) as error:
        raise InputError("device", found=repr(str(device)), expected="a device that this machine has") from error
    return place


def _check_model(stack: Stack, objective: Any, data: Examples) -> None:
    """Finite weights, and one forward pass of replica 0 on two examples: faults are told before any training."""
    for name, parameter in stack.parameters.items():
        check_finite(parameter.detach(), f"parameter {name.removeprefix('model.')}")
    state = {k: v.detach()[0].clone() for k, v in stack.tensors().items()}
    inputs = data.inputs[:2].to(stack.device, stack.dtype if data.inputs.is_floating_point() else None)
    bundle = copy.deepcopy(stack.bundle).eval()  # functional_call may break ties between weights
    try:
        with torch.no_grad():
            outputs = functional_call(bundle, state, (lambda model: model(inputs),))
    except LearntError:
        raise
    except (RuntimeError, ValueError, IndexError, TypeError) as error:
        raise ShapeError(
            f"{data.name}.inputs",
            found=f"shape {tuple(data.inputs.shape[1:])} an example, which the model cannot take "
            f"({str(error).strip().splitlines()[0][:160]})",
            expected="inputs of the shape the model was made for",
        ) from error
    if not isinstance(outputs, torch.Tensor):
        outputs = unwrap(outputs)
    check = getattr(objective, "check", None)
    if check is not None:
        check(outputs, data)
    elif data.is_classification and outputs.ndim == 2:
        check_classes(outputs, data)
