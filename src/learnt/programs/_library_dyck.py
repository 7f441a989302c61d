"""Programs for the Dyck tasks: count brackets, find each closing bracket's partner, look back for a fault."""

from __future__ import annotations

from learnt.programs import tasks
from learnt.programs._library_parts import counter, made, one_hot
from learnt.programs.program import Head, Layer, NumMLP, Program, TableMLP
from learnt.programs.task import Task
from learnt.programs.tasks_dyck import BRACKETS


def dyck1(max_length: int = 16) -> Program:
    """Is a string of round brackets balanced (T), extendable (P) or broken (F), prefix by prefix?

    `opened` and `closed` count brackets up to here, `balance` compares them: 0 equal, 1 more open, 2 more closed.
    A prefix is broken where `balance` was 2 at any place up to here, which `broken` looks for; it stays 0 or 1
    elsewhere (a head without a match reads position 0, where nothing is open or closed).

    Args:
        max_length: as `learnt.programs.tasks.dyck1`.

    Raises:
        InputError: as the task.
    """
    task = tasks.dyck1(max_length)
    counts = range(max_length + 1)
    compared = [0 if o == c else 1 if o > c else 2 for o in counts for c in counts]
    balance = NumMLP(inputs=["opened", "closed"], sizes=[len(counts)] * 2, table=compared, name="balance")
    heads = [counter(n, "tokens", "tokens", [task.vocab.index(b)] * 4) for n, b in (("opened", "("), ("closed", ")"))]
    broken = Head(query="balance", key="balance", value="balance", predicate=[2] * 3, name="broken")
    layers = [Layer(num_heads=heads, num_mlps=[balance]), Layer(cat_heads=[broken])]
    return made(task, layers, _votes(task, "balance", ["T", "P", ""], fault=2), balance=3)


def dyck2(max_length: int = 16) -> Program:
    """The same for round and curly brackets, where each closing one must fit its partner.

    `kind` is 1 for opening, 2 for closing brackets; `depth` is their difference up to here, one value for all below
    zero. `place` says of an opening bracket how deep it is, and of a closing one how deep its partner must be: then
    `partner` is the nearest such opening bracket, or `<s>` if there is none. `wrong` compares the two tokens, and
    `broken` looks back for anything wrong. Up to the first fault all this is exact, and behind it all is broken.

    Args:
        max_length: as `learnt.programs.tasks.dyck2`.

    Raises:
        InputError: as the task.
    """
    task = tasks.dyck2(max_length)
    opening, closing = dict(BRACKETS), {right: left for left, right in BRACKETS}
    kinds = [1 if token in opening else 2 if token in closing else 0 for token in task.vocab]
    counts = range(max_length + 1)
    below = max_length + 1
    depths = [o - c if o >= c else below for o in counts for c in counts]

    def place(kind: int, depth: int) -> int:  # 0: no partner; d: opening at depth d; max_length + d: wants one there
        if depth == below or kind == 0:
            return 0
        return depth if kind == 1 else max_length + min(depth + 1, max_length)

    wanted = [0] * (max_length + 1) + list(range(1, max_length + 1))
    wrong = [int(token in closing and partner != closing[token]) for partner in task.vocab for token in task.vocab]
    layers = [
        Layer(cat_mlps=[TableMLP(inputs=["tokens"], table=kinds, name="kind")]),
        Layer(
            num_heads=[counter(name, "kind", "kind", [kind] * 3) for name, kind in (("opened", 1), ("closed", 2))],
            num_mlps=[NumMLP(inputs=["opened", "closed"], sizes=[len(counts)] * 2, table=depths, name="depth")],
        ),
        Layer(
            cat_mlps=[
                TableMLP(
                    inputs=["kind", "depth"], name="place",
                    table=[place(kind, depth) for kind in range(3) for depth in range(below + 1)],
                )
            ]
        ),
        Layer(
            cat_heads=[Head(query="place", key="place", value="tokens", predicate=wanted, name="partner")],
            cat_mlps=[TableMLP(inputs=["partner", "tokens"], table=wrong, name="wrong")],
        ),
        Layer(cat_heads=[Head(query="wrong", key="wrong", value="wrong", predicate=[1, 1], name="broken")]),
    ]  # fmt: skip
    votes = _votes(task, "depth", ["T", *["P"] * max_length, ""], fault=1)
    return made(task, layers, votes, kind=3, depth=below + 1, place=2 * max_length + 1, wrong=2)


def _votes(task: Task, variable: str, answers: list[str], *, fault: int) -> dict[str, list[list[float]]]:
    """One vote for the answer of `variable`; two for F where `broken` has the value `fault`."""
    size = len(answers) if variable == "balance" else 2
    veto = [[2.0 * (value == fault and label == "F") for label in task.labels] for value in range(size)]
    return {variable: one_hot(answers, task.labels), "broken": veto}
