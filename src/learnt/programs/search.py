"""Which program is right? A search among programs, by counting, without gradients through the program.

Gradient descent finds the classifier and the tables, and not what to attend to (arXiv 2306.01128, table 5). The
space of heads is finite, and one pass over the examples says how much each predicate of a head could explain
(`learnt.programs._search_gain`): so programs can be grown module by module (`grow`), and any program can be improved by
taking parts out and growing them again, and by changing single gates, predicates and tables (`local_search`).

Both look at the training part of a task only, choose among restarts by validation, and never see the test part.
The same seed gives the same program, as long as `steps` or `rounds` end the search and not the clock.

Spec 6.4, items 4 to 7; not in the paper.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from time import monotonic
from typing import Any

import numpy as np

from learnt.core.errors import InputError, NotApplicable
from learnt.programs import _search_moves as moves_
from learnt.programs._search_data import Data, encoded, joined
from learnt.programs._search_grow import step as grown
from learnt.programs._search_growth import KINDS, Frame, Growth, Shape
from learnt.programs._search_proposals import Proposal
from learnt.programs._search_staying import first_growth, staying_label, with_flags
from learnt.programs._search_subgoal import find_lookup
from learnt.programs.program import Program
from learnt.programs.refitting import accuracy_of
from learnt.programs.searched import Searched as Searched
from learnt.programs.searched import Step as Step
from learnt.programs.task import Task
from learnt.programs.task_split import Pairs
from learnt.run.seeds import numpy_generator

MOVES = ("rebuild", "gates", "predicates", "tables")


def grow(
    task: Task,
    *,
    layers: int = 2,
    cat_heads: int = 1,
    num_heads: int = 1,
    cat_mlps: int = 1,
    num_mlps: int = 1,
    steps: int | None = None,
    seconds: float | None = None,
    restarts: int = 1,
    seed: int = 0,
    examples: int = 2_000,
    screened: int = 400,
    width: int = 600,
    pool: int = 60,
    adds: int = 1,
    lookups: int = 0,
    lookup_steps: int = 15,
    lookup_tries: int = 4,
    walks: bool = False,
    staying: bool = False,
    l2: float = 1e-5,
    final_l2: float = 1e-7,
    final_rounds: int = 400,
    inputs: Sequence[Sequence[str]] = (),
    weight: float = 10.0,
    split_seed: int = 0,
    progress: Callable[[Step], None] | None = None,
) -> Searched:
    """Grow a program for a task, module by module.

    Args:
        task: what to compute; one prediction a position.
        layers, cat_heads, num_heads, cat_mlps, num_mlps: limits; modules are counted in each layer.
        steps: additions in one restart at most (each adds one to four modules).
        seconds: after which no further addition begins.
        restarts: programs grown, with different draws and preferences; stops at one without an error in validation
            and training.
        seed: of all draws.
        examples, screened: training examples that additions are measured on, and screened on.
        width: proposals of each kind in one step.
        pool: simple variables, not in the program, that proposals may bring along.
        adds: additions after one screening at most; more is faster, and finds a little less.
        lookups: heads that look for marks, before anything else: each comes with a program of counting heads that
            computes, by one numerical MLP over all of them, who is to be found (`learnt.programs._search_subgoal`).
        lookup_steps, lookup_tries: screenings for each of these programs, and how many are begun.
        walks: whether heights of walks are proposed (how many of one set of values less how many of another), and
            heads that look for the last time a walk stood here (`learnt.programs._search_walk`).
        staying: in a causal task whose training examples show a label that stays once it occurred, first grow a
            program for the positions up to it, in all layers but two, then look back for it
            (`learnt.programs._search_staying`). Without such a label it changes nothing.
        l2, final_l2: penalty of the classifier while growing, and of the last one, fitted on all training pairs.
        final_rounds: iterations of L-BFGS for the last classifier.
        inputs: more inputs to be right on (counterexamples); the task's oracle gives their targets.
        weight: of each of them.
        split_seed: of the task's split.
        progress: called with each accepted step.

    Raises:
        InputError: limits below 0, no layer, no restart.
        NotApplicable: a task with one label a sequence, counterexamples without an oracle.
    """
    counts = {"cat_heads": cat_heads, "num_heads": num_heads, "cat_mlps": cat_mlps, "num_mlps": num_mlps}
    for name, value, least in (
        ("layers", layers, 1),
        ("restarts", restarts, 1),
        *((n, c, 0) for n, c in counts.items()),
    ):
        if value < least:
            raise InputError(name, found=str(value), expected=f"at least {least}")
    _positions_only(task.pool)
    began = monotonic()
    until = began + (float("inf") if seconds is None else seconds)
    k = max(len(task.vocab), task.max_length)
    frame = Frame(vocab=task.vocab, labels=task.labels, k=k, n_ctx=task.max_length, causal=task.causal)
    shape = Shape(limits=(counts,) * layers)
    train, validation = _data(task, split_seed, frame.vocab, frame.labels, frame.n_ctx, inputs, weight)
    best: tuple[float, Program, tuple[Step, ...]] | None = None
    tried, results = 0, []
    for restart in range(restarts):
        rng = numpy_generator(seed, "grow", restart)
        free, dear = ((True, 0.5), (False, 0.5), (True, 1.0), (False, 1.0), (True, 0.0))[restart % 5]
        growth = Growth(frame, shape, train.part(examples, rng), train.part(screened, rng), l2=l2)
        history: list[Step] = []
        options: dict[str, Any] = {"width": width, "pool": pool, "adds": adds, "until": until}
        more = {**options, "dear": dear, "free": free, "walks": walks}
        label = staying_label(train) if staying and task.causal else None
        first = None if label is None else first_growth(growth, label)
        for one in (growth,) if first is None else (first, growth):
            if label is not None and first is not None and one is growth:
                flags = with_flags(growth, first, label)
                what = f"{len(flags)} flags that say where {task.labels[label]} comes first"
                _note(history, began, what, growth.score(), progress)
            before = one.tried
            while (steps is None or len(history) < steps) and monotonic() < until and not _right(history):
                if one is growth and len(history) < lookups:
                    added = _with_lookup(one, rng, steps=lookup_steps, tries=lookup_tries, **options)
                else:
                    added = grown(one, rng, **more)
                if not added:
                    break
                what = "; ".join(f"{a.kind}({', '.join(map(one.shown, a.reads))})" for a in added)
                _note(history, began, what, one.score(), progress)
            tried += one.tried - before
        program = _finished(
            growth.program({"search": {"grow": seed, "restart": restart}}), train, validation, final_l2, final_rounds
        )
        right = accuracy_of(program, validation)
        results.append(right)
        if best is None or right > best[0]:
            best = (right, program, tuple(history))
        if (right == 1.0 and accuracy_of(program, train) == 1.0) or monotonic() > until:
            break
    if best is None:
        raise NotApplicable("seconds", found=f"{seconds}", expected="time for one restart")
    return Searched(
        program=best[1], history=best[2], evaluations=tried, validation=best[0], seconds=monotonic() - began,
        restarts=tuple(results),
    )  # fmt: skip


def local_search(
    program: Program,
    task: Task,
    *,
    moves: Sequence[str] = MOVES,
    seconds: float | None = None,
    rounds: int | None = None,
    seed: int = 0,
    inputs: Sequence[Sequence[str]] = (),
    weights: float = 10.0,
    temperature: float = 0.0,
    examples: int = 2_000,
    screened: int = 400,
    width: int = 600,
    pool: int = 60,
    l2: float = 1e-5,
    final_l2: float = 1e-7,
    final_rounds: int = 400,
    split_seed: int = 0,
    progress: Callable[[Step], None] | None = None,
) -> Searched:
    """Improve a program by changes of its modules; it never gets larger than it is, layer by layer and kind by kind.

    Args:
        program: where to begin.
        task: what it should compute.
        moves: any of ``"rebuild"`` (take one to three modules and their readers out, and grow again), ``"gates"``,
            ``"predicates"``, ``"tables"``.
        seconds, rounds: when to stop; one round without ``"rebuild"`` is one changed module, tried once. By default
            100 rounds.
        seed: of all draws.
        inputs: more inputs to be right on (counterexamples); the task's oracle gives their targets.
        weights: of each of them.
        temperature: of simulated annealing, in units of the mean loss, falling to 0 with the rounds; 0: improvements
            only.
        examples, screened: training examples that changes are confirmed on, and screened on.
        width, pool: as `grow`.
        l2, final_l2, final_rounds: as `grow`.
        split_seed: of the task's split.
        progress: called with each accepted change.

    Raises:
        InputError: an unknown move, a program for another vocabulary or other labels.
        NotApplicable: a program that pools.
    """
    for move in moves:
        if move not in MOVES:
            raise InputError("moves", found=repr(move), expected=f"some of {', '.join(MOVES)}")
    if not moves:
        raise InputError("moves", found="none", expected=f"some of {', '.join(MOVES)}")
    _positions_only(program.pool)
    began = monotonic()
    until = began + (float("inf") if seconds is None else seconds)
    rounds = (100 if seconds is None else 1 << 30) if rounds is None else rounds
    train, validation = _data(task, split_seed, program.vocab, program.labels, program.n_ctx, inputs, weights)
    rng = numpy_generator(seed, "local search")
    growth = _growth_of(program, train.part(examples, rng), train.part(screened, rng), l2)
    loss, accuracy = growth.score()
    best, best_state = loss, growth.snapshot()
    history: list[Step] = []
    tried = turn = 0
    while turn < rounds and monotonic() < until and not (accuracy == 1.0 and loss < 0.01):
        heat = temperature * max(0.0, 1.0 - turn / rounds)
        turn += 1
        move = moves[int(rng.integers(len(moves)))]
        before = growth.snapshot()
        what = _moved(growth, move, rng, heat, width, pool, until)
        tried += 1
        if what is None:
            growth.restore(before)
            continue
        now, right = growth.score()
        if now >= loss - 1e-9 and not (heat > 0 and rng.random() < np.exp(-(now - loss) / heat)):
            growth.restore(before)
            continue
        loss, accuracy = now, right
        _note(history, began, what, (loss, accuracy), progress)
        if loss < best:
            best, best_state = loss, growth.snapshot()
    growth.restore(best_state)
    found = _finished(growth.program(program.meta), train, validation, final_l2, final_rounds)
    right = accuracy_of(found, validation)
    old = accuracy_of(program, validation)
    if old > right:
        found, right = program, old
    return Searched(
        program=found, history=tuple(history), evaluations=tried + growth.tried, validation=right,
        seconds=monotonic() - began,
    )  # fmt: skip


def _note(
    history: list[Step], began: float, what: str, score: tuple[float, float],
    progress: Callable[[Step], None] | None,
) -> None:  # fmt: skip
    history.append(Step(seconds=monotonic() - began, what=what, loss=score[0], accuracy=score[1]))
    if progress is not None:
        progress(history[-1])


def _right(history: Sequence[Step]) -> bool:
    """Whether the last step left nothing to explain."""
    return bool(history) and history[-1].accuracy == 1.0 and history[-1].loss < 0.01


def _moved(
    growth: Growth, move: str, rng: np.random.Generator, heat: float, width: int, pool: int, until: float
) -> str | None:
    """Make one change and fit the classifier; None if there was nothing to change or it looks no better."""
    if move == "rebuild":
        removed = moves_.parts_to_rebuild(growth, rng) if growth.modules else []
        growth.remove(removed)
        growth.refit()
        free, dear = bool(rng.random() < 0.6), float(rng.choice([0.0, 0.5, 1.0]))
        added = 0
        while grown(growth, rng, width=width, pool=pool, dear=dear, free=free, until=until):
            added += 1
        return f"rebuild: {len(removed)} out, {added} additions" if removed or added else None
    if not growth.modules:
        return None
    change = {
        "gates": moves_.changed_gate, "predicates": moves_.changed_predicate, "tables": moves_.changed_table,
    }[move](growth, rng)  # fmt: skip
    if change is None:
        return None
    loss = moves_.quick_loss(growth)
    growth.change(change)
    if moves_.quick_loss(growth) >= loss - 1e-9 + heat:
        return None
    growth.refit()
    return f"{move}: {growth.shown(change.name)}"


def _with_lookup(growth: Growth, rng: np.random.Generator, **options: Any) -> list[Proposal]:
    """Add a head that looks for marks; else, where there is none to add, what helps most."""
    found = find_lookup(growth, rng, **options)
    if found is not None:
        places = growth.fit_in(found.modules)
        if places is not None:
            growth.add(found.modules, places)
            growth.refit()
            return [found]
    rest = {name: value for name, value in options.items() if name not in ("steps", "tries")}
    return grown(growth, rng, dear=0.5, free=True, **rest)


def _finished(program: Program, train: Data, validation: Data, l2: float, rounds: int) -> Program:
    """The classifier fitted on all training examples, kept if validation agrees."""
    from learnt.programs.evaluator import evaluate
    from learnt.programs.refitting import votes_for

    names = [*program.categorical, *program.numerical]
    evaluation = evaluate(program, train.batch, keep=True)
    better = replace(program, classifier=votes_for(program, evaluation, train, names, l2=l2, most=rounds))
    return better if accuracy_of(better, validation) >= accuracy_of(program, validation) else program


def _growth_of(program: Program, data: Data, small: Data, l2: float) -> Growth:
    """A program as something that can grow."""
    own = {n: s for n, s in program.cardinality.items() if n in (*program.input_variables, "positions")}
    embeddings = None if program.embeddings is None else tuple(map(tuple, program.embeddings))
    frame = Frame(
        vocab=program.vocab, labels=program.labels, k=program.k, n_ctx=program.n_ctx, causal=program.causal,
        embeddings=embeddings, masked=tuple(program.masked_labels),
        sizes=own,
    )  # fmt: skip
    limits = tuple({kind: len(getattr(layer, kind)) for kind in KINDS} for layer in program.layers)
    growth = Growth(frame, Shape(limits=limits), data, small, l2=l2)
    names: dict[str, str] = {}
    for layer, kind, module in program.modules():
        size = program.cardinality.get(module.name)
        new = growth.add([(growth.known(module, names), size)], [(layer, kind)])
        names[module.name] = new[0]
    growth.votes = {}
    growth.refit()
    return growth


def _data(
    task: Task,
    seed: int,
    vocab: Sequence[str],
    labels: Sequence[str],
    length: int,
    inputs: Sequence[Sequence[str]],
    weight: float,
) -> tuple[Data, Data]:
    split = task.split(seed)
    train = encoded(split.train, vocab, labels, length)
    if len(inputs):
        more: Pairs = task.answer(inputs)
        train = joined(train, encoded(more, vocab, labels, length, weights=np.full(len(more), weight)))
    return train, encoded(split.validation, vocab, labels, length)


def _positions_only(pool: bool) -> None:
    if pool:
        raise NotApplicable("task", found="one label a sequence", expected="one label a position")
