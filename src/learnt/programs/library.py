"""Which programs are known to be exact, and how small? Written by hand, for the same arguments as the tasks.

    from learnt.programs import library, tasks
    library.sort()(["<s>", "3", "1", "4", "</s>"])          # ('0', '1', '3', '4', ...): the marks are not scored
    library.sort(vocab_size=16, max_length=16)              # exact there too
    library.known_size(tasks.sort())                        # 4 modules; a learned program has tens

They are oracles for searches and verifiers, material for `learnt.programs.transformer`, and the size beside which a
learned one is judged. Own constructions (spec 2.5), but for `reverse` (arXiv 2306.01128, appendix C.3) and
`induction`. That of `most_freq` is in `learnt.programs._library_most_freq`. Each function takes the arguments of its
task that change what must be computed; vocabulary, labels and length are the task's own. On inputs outside the
task's space (a second `<s>`, say) they answer something or other, never an error.
"""

from __future__ import annotations

from learnt.core.errors import InputError
from learnt.programs import tasks
from learnt.programs._library_dyck import dyck1 as dyck1
from learnt.programs._library_dyck import dyck2 as dyck2
from learnt.programs._library_most_freq import most_freq as most_freq
from learnt.programs._library_parts import counter, made, one_hot, parabola, same_token
from learnt.programs.program import Head, Layer, NumMLP, Program, TableMLP
from learnt.programs.task import Task
from learnt.programs.task_encoding import END, UNK


def hist(vocab_size: int = 8, max_length: int = 8) -> Program:
    """How often does this token occur? One counting head.

    `count` is the number c of equal tokens. The vote for label y is y c - y^2 / 2, a parabola in y whose top is at
    y = c; so the classifier reads a number off exactly, and no MLP is needed.

    Args:
        vocab_size, max_length: as `learnt.programs.tasks.hist`.

    Raises:
        InputError: as the task.
    """
    task = tasks.hist(vocab_size, max_length)
    slope, offset = parabola([int(label) for label in task.labels])
    count = counter("count", "tokens", "tokens", same_token(task))
    return made(task, [Layer(num_heads=[count])], {"count": slope, "ones": offset})


def sort(vocab_size: int = 8, max_length: int = 8) -> Program:
    """Sort tokens (as text). One layer, one counting head for every token but the last.

    `count_v` is the number n_v of tokens with index v in the alphabet. At position p stands the first label y with
    n_0 + ... + n_y >= p. The vote y p - y / 2 - sum_v n_v max(0, y - v) has the difference
    p - 1/2 - (n_0 + ... + n_{y-1}) between labels y and y - 1, so it rises exactly up to that label.

    Args:
        vocab_size, max_length: as `learnt.programs.tasks.sort`.

    Raises:
        InputError: as the task.
    """
    task = tasks.sort(vocab_size, max_length)
    labels = range(len(task.labels))
    ids = [task.vocab.index(label) for label in task.labels]
    heads = [counter(f"count_{v}", "positions", "tokens", [ids[v]] * max_length) for v in labels[:-1]]
    votes: dict[str, object] = {head.name: [-max(0.0, y - v) for y in labels] for v, head in enumerate(heads)}
    votes["positions"] = [[float(y * p) for y in labels] for p in range(max_length)]
    votes["ones"] = [-y / 2 for y in labels]
    return made(task, [Layer(num_heads=heads)], votes)


def double_hist(vocab_size: int = 8, max_length: int = 8) -> Program:
    """How many different tokens occur as often as this one? Count, then count the positions with that count.

    `count` is the number c of equal tokens and `count_class` the same as a category, so that `alike` can be the
    number m of positions with it. Each different token with count c fills c of them: `target` is m / c.

    Args:
        vocab_size, max_length: as `learnt.programs.tasks.double_hist`.

    Raises:
        InputError: as the task.
    """
    task = tasks.double_hist(vocab_size, max_length)
    values = range(max_length + 1)  # counts go to N - 1 for words; N only where position 0 holds no <s>
    quotient = [m // c if c and m % c == 0 and m // c <= max_length else 0 for c in values for m in values]
    box = [len(values)] * 2
    layers = [
        Layer(
            num_heads=[counter("count", "tokens", "tokens", same_token(task))],
            num_mlps=[NumMLP(inputs=["count"], sizes=box[:1], table=values, name="count_class")],
        ),
        Layer(
            num_heads=[counter("alike", "count_class", "count_class", values)],
            num_mlps=[NumMLP(inputs=["count", "alike"], sizes=box, table=quotient, name="target")],
        ),
    ]
    votes = {"target": one_hot([str(y) for y in values], task.labels)}
    return made(task, layers, votes, count_class=len(values), target=len(values))


def reverse(vocab_size: int = 8, max_length: int = 8) -> Program:
    """Reverse a sequence: find the end, compute the mirrored place, read the token there.

    `end` is the position e of `</s>`, found by attention from everywhere; `target` is e - i at position i, a table;
    `answer` is the token at that position.

    Args:
        vocab_size, max_length: as `learnt.programs.tasks.reverse`.

    Raises:
        InputError: as the task.
    """
    task = tasks.reverse(vocab_size, max_length)
    places = range(max_length)
    end = Head(
        query="tokens", key="tokens", value="positions", name="end",
        predicate=[task.vocab.index(END)] * len(task.vocab),
    )  # fmt: skip
    mirrored = [(e - i) % max_length for e in places for i in places]
    layers = [
        Layer(cat_heads=[end], cat_mlps=[TableMLP(inputs=["end", "positions"], table=mirrored, name="target")]),
        Layer(cat_heads=[Head(query="target", key="positions", value="tokens", predicate=places, name="answer")]),
    ]
    return made(task, layers, {"answer": one_hot(task.vocab, task.labels)}, target=max_length)


def induction(vocab_size: int = 10, max_length: int = 9) -> Program:
    """After a letter seen before, say what followed it then: an induction head.

    `prev_token` is the token one place to the left. `match` looks back for the nearest position whose previous token
    is this letter, and reads the token there: the digit. Where there is none it reads `<s>`, which votes for `<unk>`.

    Args:
        vocab_size, max_length: as `learnt.programs.tasks.induction`.

    Raises:
        InputError: as the task.
    """
    task = tasks.induction(vocab_size, max_length, min_length=2)
    nothing = 0  # the id of <pad>, which no position holds
    before = [task.max_length - 1, *range(task.max_length - 1)]  # no position precedes the first: it looks at the last
    letters = [i if token.isalpha() else nothing for i, token in enumerate(task.vocab)]
    layers = [
        Layer(
            cat_heads=[Head(query="positions", key="positions", value="tokens", predicate=before, name="prev_token")]
        ),
        Layer(cat_heads=[Head(query="tokens", key="prev_token", value="tokens", predicate=letters, name="match")]),
    ]
    answers = [token if token in task.labels else UNK for token in task.vocab]
    return made(task, layers, {"match": one_hot(answers, task.labels)})


PROGRAMS = (reverse, sort, hist, double_hist, most_freq, dyck1, dyck2, induction)


def known_program(task: Task | str) -> Program | None:
    """The program of this library for a task; None if there is none.

    Args:
        task: a task, whose sizes the program then has, or a name such as ``"sort"``, for the default sizes.
    """
    name = task if isinstance(task, str) else task.name
    program = next((p for p in PROGRAMS if p.__name__ == name), None)
    if program is None or isinstance(task, str):
        return None if program is None else program()
    sizes = {"max_length": task.max_length - (2 if program is induction else 0)}
    if program not in (dyck1, dyck2):
        sizes["vocab_size"] = len(task.vocab)
    try:
        found = program(**sizes)
    except InputError:
        return None
    same = (found.vocab, found.labels, found.n_ctx) == (task.vocab, task.labels, task.max_length)
    return found if same else None  # somebody else's task of the same name


def known_size(task: Task | str) -> int | None:
    """How many modules (heads and MLPs) the program of this library for a task has; None if there is none.

    Args:
        task: as `known_program`.
    """
    program = known_program(task)
    return None if program is None else sum(1 for _ in program.modules())
