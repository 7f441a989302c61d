"""Given its variables, what should a program answer? The best linear classifier, found exactly.

A trained classifier fitted the relaxed variables of training; the program has discrete ones. Multinomial logistic
regression on the discrete variables is convex, so its optimum is found whatever came before
(`learnt.programs._search_linear`). With a task, the new classifier is kept only if it is no worse in validation.

`retabulate` does the same for the table of one categorical MLP: each entry in turn takes the value that costs the
least. If only the classifier reads the MLP, entries are independent, and one pass over the examples is exact.

Spec 6.4, item 4; not in arXiv 2306.01128.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from learnt.core.errors import InputError, NotApplicable
from learnt.programs._search_data import Data, encoded
from learnt.programs._search_linear import Voter, fitted, mean_loss
from learnt.programs.evaluator import Evaluation, evaluate
from learnt.programs.program import Program, TableMLP
from learnt.programs.task import Task
from learnt.programs.task_encoding import UNSCORED
from learnt.programs.task_split import Pairs


def refit(
    program: Program,
    task: Task | Pairs,
    *,
    l2: float = 1e-6,
    weights: Sequence[float] | np.ndarray | None = None,
    voters: Sequence[str] | None = None,
    validation: Pairs | None = None,
    seed: int = 0,
    most: int = 300,
) -> Program:
    """The program with the best classifier on its own variables; the program itself if that is no better.

    Args:
        program: to improve; only its classifier changes.
        task: a task (training part fitted, validation part decides), or training pairs.
        l2: penalty on squared votes, on the scale of the mean loss; 0 lets votes grow without bound.
        weights: one for each training pair.
        voters: variables that vote; by default those that do, and `ones`; all if none does.
        validation: pairs that decide; without any, the loss in training decides.
        seed: of the task's split.
        most: iterations of L-BFGS.

    Raises:
        InputError: a negative `l2`, an unknown voter, a target that is a masked label.
        ShapeError: another number of weights than pairs.
        NotApplicable: nothing is scored.
    """
    if not 0 <= l2 < float("inf"):
        raise InputError("l2", found=f"{l2}", expected="a number of at least 0")
    train, decide = _parts(program, task, validation, weights, seed)
    names = _voters(program, voters)
    before = evaluate(program, train.batch, keep=True)
    votes = votes_for(program, before, train, names, l2=l2, most=most)
    better = replace(program, classifier=votes)
    if decide is None:
        worse = loss_of(evaluate(better, train.batch), train) > loss_of(before, train)
    else:
        worse = accuracy_of(better, decide) < accuracy_of(program, decide)
    return program if worse else better


def votes_for(
    program: Program, evaluation: Evaluation, data: Data, names: Sequence[str], *, l2: float, most: int
) -> dict[str, np.ndarray]:
    """The best votes of these variables on examples that were evaluated with `keep=True`.

    Args:
        program: whose classifier is the starting point.
        evaluation: of the program on `data`.
        data: examples with targets and weights.
        names: of the variables that may vote.
        l2: penalty on votes.
        most: iterations.
    """
    groups, where = None, (data.targets != UNSCORED)
    labels, rows = data.targets[where], np.nonzero(where)[0]
    scored = data.weights[rows]
    if program.pool:
        has = where.any(1)
        where = evaluation.real & has[:, None]
        groups = np.unique(np.nonzero(where)[0], return_inverse=True)[1].ravel()
        labels, scored = data.targets[has].max(1), data.weights[has]
    columns = [
        Voter(name=name, values=evaluation.variables[name][where], size=program.cardinality.get(name)) for name in names
    ]
    return fitted(
        columns, labels, scored, n_labels=len(program.labels), masked=program.masked_labels, l2=l2, groups=groups,
        start={name: np.asarray(votes) for name, votes in program.classifier.items()}, most=most,
    )  # fmt: skip


def retabulate(
    program: Program,
    name: str,
    task: Task | Pairs,
    *,
    weights: Sequence[float] | np.ndarray | None = None,
    sweeps: int = 1,
    seed: int = 0,
) -> Program:
    """The program with the best table of one categorical MLP, everything else as it is.

    Args:
        program: to improve; its loss on the examples does not rise.
        name: of the MLP.
        task: a task (its training part), or pairs.
        weights: one for each training pair.
        sweeps: how often all entries are tried, where other modules read the MLP.
        seed: of the task's split.

    Raises:
        InputError: no categorical MLP of this name.
    """
    mlp = program.module(name)
    if not isinstance(mlp, TableMLP):
        raise InputError("name", found=f"{name!r}, which has no table", expected="a categorical MLP")
    data, _ = _parts(program, task, None, weights, seed)
    before = evaluate(program, data.batch, keep=True)
    entry = np.zeros(data.ids.shape, dtype=np.int64)
    for read in mlp.inputs:
        entry = entry * program.cardinality[read] + before.variables[read]
    alone = not any(name in reads(module) for _, _, module in program.modules())
    if alone and not program.pool:
        return with_table(program, name, _independent(program, before, data, name, entry, mlp))
    return _by_trial(program, data, name, entry, mlp, sweeps)


def loss_of(evaluation: Evaluation, data: Data) -> float:
    """Mean cross-entropy over scored positions (pooled: over inputs); masked labels take no probability.

    Args:
        evaluation: of a program on `data`.
        data: examples with targets and weights.
    """
    logits = evaluation.logits
    if evaluation.program.masked_labels:
        logits = logits.copy()
        logits[..., list(evaluation.program.masked_labels)] = -1e30
    where = data.targets != UNSCORED
    if evaluation.program.pool:
        has = where.any(1)
        return mean_loss(logits[has], data.targets[has].max(1), data.weights[has])
    return mean_loss(logits[where], data.targets[where], data.weights[np.nonzero(where)[0]])


def accuracy_of(program: Program, data: Data) -> float:
    """Share of scored positions (pooled: of inputs) that are right.

    Args:
        program: to be scored.
        data: examples with targets; their weights do not count.
    """
    predictions = evaluate(program, data.batch).predictions
    where = data.targets != UNSCORED
    if program.pool:
        has = where.any(1)
        return float((predictions[has] == data.targets[has].max(1)).mean())
    return float((predictions[where] == data.targets[where]).mean())


def reads(module: object) -> tuple[str, ...]:
    """The variables that a module reads."""
    inputs = getattr(module, "inputs", None)
    return tuple(inputs) if inputs is not None else (module.query, module.key, module.value)  # pyright: ignore[reportAttributeAccessIssue]


def with_table(program: Program, name: str, table: Sequence[int] | np.ndarray) -> Program:
    """The program with another table of one MLP.

    Args:
        program: that has the MLP.
        name: of the MLP.
        table: row-major, as `TableMLP.table`.
    """
    layers = [
        replace(layer, cat_mlps=[replace(m, table=table) if m.name == name else m for m in layer.cat_mlps])
        for layer in program.layers
    ]
    return replace(program, layers=tuple(layers))


def _independent(
    program: Program, before: Evaluation, data: Data, name: str, entry: np.ndarray, mlp: TableMLP
) -> np.ndarray:
    """Only the classifier reads the MLP: the best value of each entry, by the loss with each possible vote."""
    table = np.array(mlp.table)
    if name not in program.classifier:
        return table
    where = data.targets != UNSCORED
    votes = np.asarray(program.classifier[name])
    rest = before.logits[where] - votes[before.variables[name][where]]
    rest[:, list(program.masked_labels)] = -1e30
    weight, labels, cells = data.weights[np.nonzero(where)[0]], data.targets[where], entry[where]
    cost = np.empty((len(table), len(votes)))
    for value, vote in enumerate(votes):
        z = rest + vote
        top = z.max(1)
        nll = np.log(np.exp(z - top[:, None]).sum(1)) + top - z[np.arange(len(labels)), labels]
        cost[:, value] = np.bincount(cells, weights=weight * nll, minlength=len(table))
    gain = cost[np.arange(len(table)), table] - cost.min(1)
    return np.where(gain > 1e-9, cost.argmin(1), table)  # entries that make no difference stay


def _by_trial(program: Program, data: Data, name: str, entry: np.ndarray, mlp: TableMLP, sweeps: int) -> Program:
    """Other modules read the MLP: each entry that occurs, most frequent first, tries each value."""
    best, size = program, program.cardinality[name]
    used = np.bincount(entry[np.arange(entry.shape[1]) < data.lengths[:, None]], minlength=len(mlp.table))
    loss = loss_of(evaluate(program, data.batch), data)
    for _ in range(sweeps):
        changed = False
        for key in np.argsort(-used, kind="stable")[: int((used > 0).sum())]:
            table = list(best.module(name).table)  # pyright: ignore
            for value in range(size):
                if value == table[key]:
                    continue
                trial = with_table(best, name, [*table[:key], value, *table[key + 1 :]])
                now = loss_of(evaluate(trial, data.batch), data)
                if now < loss - 1e-12:
                    best, loss, changed = trial, now, True
        if not changed:
            break
    return best


def _parts(
    program: Program,
    task: Task | Pairs,
    validation: Pairs | None,
    weights: Sequence[float] | np.ndarray | None,
    seed: int,
) -> tuple[Data, Data | None]:
    if isinstance(task, Task):
        split = task.split(seed)
        train, validation = split.train, split.validation if validation is None else validation
    else:
        train = task

    def data(pairs: Pairs, weights: Sequence[float] | np.ndarray | None) -> Data:
        return encoded(
            pairs, program.vocab, program.labels, program.n_ctx, weights=weights, masked=program.masked_labels
        )

    decide = None if validation is None else data(validation, None)
    return data(train, weights if weights is None else np.asarray(weights)), decide


def _voters(program: Program, voters: Sequence[str] | None) -> list[str]:
    known = (*program.categorical, *program.numerical)
    if voters is None:
        return [n for n in known if n == "ones" or not program.classifier or n in program.classifier]
    for name in voters:
        if name not in known:
            raise InputError("voters", found=repr(name), expected=f"variables of the program ({', '.join(known)})")
    if not voters:
        raise NotApplicable("voters", found="none", expected="at least one variable that votes")
    return [name for name in known if name in voters]
