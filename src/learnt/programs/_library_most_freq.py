"""List different tokens by falling count, then by first place: an exact program, 18 modules for V = N = 8.

A head can count positions that hold one value, so "how many are smaller" is not one count. But all numbers below i
are a union of blocks, one for each bit of i that is set: for bit b, the numbers x with x >> b = (i >> b) - 1. One
head a bit, each with x >> b as its key, counts them all. Used twice: which positions hold this token earlier, and
which tokens come earlier in the order.

Two (count, first place) that never occur in one input need not be told apart; so neighbours in the order are merged,
28 pairs to 16 classes for N = 8, which 4 bits number.
"""

from __future__ import annotations

from learnt.programs import tasks
from learnt.programs._library_parts import counter, made, one_hot, parabola
from learnt.programs.program import Head, Layer, NumMLP, Program, ReluNet, TableMLP
from learnt.programs.task_encoding import START


def most_freq(vocab_size: int = 8, max_length: int = 8) -> Program:
    """List different tokens by falling count, then by first place; fill up with `<s>`.

    `earlier_b` count this token at earlier places, so `new_count` can be its count at its first place and 0 at the
    others. `class_b` number the pairs (count, first place), best first, shifted by b bits; `better_b` count the
    tokens with a smaller number, and `rank` is one more than their sum, 0 where the token is not new. Position p
    then looks for rank p; where there is none it reads position 0, which holds `<s>`, as the task wants it.

    Args:
        vocab_size, max_length: as `learnt.programs.tasks.most_freq`.

    Raises:
        InputError: as the task.
    """
    task = tasks.most_freq(vocab_size, max_length)
    n, size = max_length, len(task.vocab)
    bits = range((n - 1).bit_length())
    widths = [((n - 1) >> b) + 1 for b in bits]  # places, shifted
    start = task.vocab.index(START)

    def earlier(b: int) -> Head:
        wanted = [0] * (size * n)  # the place of <pad>, which no position holds
        for token in range(size):
            for i in range(n):
                if i >> b & 1:
                    wanted[token * n + i] = token * widths[b] + (i >> b) - 1
        if b == 0:
            wanted[start * n] = start * n  # the start is never new: it counts itself
        return counter(f"earlier_{b}", "place_0", f"place_{b}", wanted)

    class_of = order_classes(n - 1)
    classes = max(class_of.values()) + 1
    shifts = range(max(1, (classes - 1).bit_length()))
    tops = [((classes - 1) >> b) + 1 for b in shifts]  # the value of positions without a class; nobody has tops + 1

    def better(b: int) -> Head:
        wanted = [(c >> b) - 1 if c >> b & 1 else tops[b] + 1 for c in range(classes)]
        return counter(f"better_{b}", "class_0", f"class_{b}", [*wanted, tops[b] + 1, tops[b] + 1])

    found = [class_of.get((count, i)) for count in range(n + 1) for i in range(n)]
    places = [[token * w + (i >> b) for token in range(size) for i in range(n)] for b, w in enumerate(widths)]
    firsts = [earlier(b) for b in bits]
    betters = [better(b) for b in shifts]
    repeats = [head.name for head in firsts]
    layers = [
        Layer(
            num_heads=[counter("count", "tokens", "tokens", range(size))],
            cat_mlps=[
                TableMLP(inputs=["tokens", "positions"], table=table, name=f"place_{b}")
                for b, table in enumerate(places)
            ],
        ),
        Layer(num_heads=firsts, num_mlps=[_sum("new_count", ["count"], repeats, n)]),
        Layer(
            cat_mlps=[
                TableMLP(
                    inputs=["new_count", "positions"], name=f"class_{b}",
                    table=[tops[b] if c is None else c >> b for c in found],
                )
                for b in shifts
            ]
        ),
        Layer(num_heads=betters, num_mlps=[_sum("rank", ["ones", *[head.name for head in betters]], repeats, n)]),
        Layer(cat_heads=[Head(query="positions", key="rank", value="tokens", predicate=range(n), name="answer")]),
    ]  # fmt: skip
    sizes = {f"place_{b}": size * w for b, w in enumerate(widths)} | {f"class_{b}": t + 2 for b, t in enumerate(tops)}
    votes = {"answer": one_hot(task.vocab, task.labels)}
    return made(task, layers, votes, new_count=n + 1, rank=n + 1, **sizes)


def order_classes(n: int) -> dict[tuple[int, int], int]:
    """A number for each (count, first place) that a token of a word of at most n tokens can have, best first.

    Two tokens of one word always get numbers that are in their order; pairs that cannot meet in a word may share one.
    Places are 1 to n.
    """
    pairs = [(count, i) for count in range(n, 0, -1) for i in range(1, n + 1) if count <= n - i + 1]
    numbers: dict[tuple[int, int], int] = {}
    shared: list[tuple[int, int]] = []
    number = 0
    for pair in pairs:
        if any(_meet(pair, other, n) for other in shared):
            shared, number = [], number + 1
        shared.append(pair)
        numbers[pair] = number
    return numbers


def _meet(a: tuple[int, int], b: tuple[int, int], n: int) -> bool:
    """Whether two tokens of one word of at most n can have these counts and first places (other tokens abound)."""
    i, j = sorted((a[1], b[1]))
    return i != j and a[0] + b[0] <= n - i + 1


def _sum(name: str, added: list[str], repeats: list[str], n: int) -> NumMLP:
    """The sum of `added`, at most n, as a category; 0 wherever one of `repeats` is not 0."""
    inputs = [*added, *repeats]
    slope, offset = parabola(range(n + 1))
    net = ReluNet(
        W_in=[[1.0] * len(added) + [-(n + 1.0)] * len(repeats)],
        b_in=[0.0],
        W_out=[[y] for y in slope],
        b_out=offset,
    )
    return NumMLP(inputs=inputs, weights=net, name=name)
