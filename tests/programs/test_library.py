"""The hand-written programs are exact: on all inputs where they can be listed, on samples elsewhere."""

from itertools import product

import numpy as np
import pytest

from learnt.core.errors import InputError
from learnt.programs import Program, Task, encode, evaluate, library, tasks
from learnt.programs._library_most_freq import order_classes

from .made import golden, one_layer_sort

PAIRED = list(zip(library.PROGRAMS, tasks.SYNTHETIC, strict=True))
SIZES = {
    "reverse": 3, "sort": 4, "hist": 1, "double_hist": 4, "most_freq": 18, "dyck1": 4, "dyck2": 8, "induction": 2
}  # fmt: skip


def disagreements(program: Program, task: Task, rows) -> int:
    found = evaluate(program, encode(program, rows)).predictions
    _, wanted = task.encode(task.answer(rows))
    wanted = wanted[:, : found.shape[1]]
    assert (wanted >= 0).any(1).all()
    return int(((found != wanted) & (wanted >= 0)).any(1).sum())


def task_of(make, *arguments) -> Task:
    return make(*arguments, min_length=2) if make is tasks.induction else make(*arguments)


@pytest.mark.parametrize(("program", "make"), PAIRED, ids=list(SIZES))
def test_programs_fit_their_tasks_and_have_the_known_size(program, make):
    made, task = program(), make()
    assert (made.vocab, made.labels, made.n_ctx, made.causal, made.pool) == (
        task.vocab, task.labels, task.max_length, task.causal, task.pool
    )  # fmt: skip
    assert library.known_size(task) == library.known_size(task.name) == SIZES[task.name]
    assert library.known_program(task) == made and made.masked_labels == ()


@pytest.mark.parametrize("name", ["reverse", "sort"])
def test_check_10_sort_and_reverse_are_right_on_all_inputs(name):
    task = getattr(tasks, name)()
    rows, whole = task.domain().cover()
    assert whole and len(rows) == 19_530
    assert disagreements(getattr(library, name)(), task, rows) == 0


def test_check_10_dyck1_is_right_on_all_inputs():
    task = tasks.dyck1()
    rows, whole = task.domain().cover()
    assert whole and len(rows) == 2**15
    assert disagreements(library.dyck1(), task, rows) == 0


@pytest.mark.parametrize("name", ["hist", "double_hist", "most_freq"])
def test_the_histogram_family_is_right_on_all_inputs(name, every_word):
    task, program = getattr(tasks, name)(), getattr(library, name)()
    assert len(every_word) == 335_922
    rows, distinct = histogram_answers(every_word, name)
    found = evaluate(program, every_word).predictions
    scored = np.arange(8) < every_word.lengths[:, None]
    scored[:, 0] = False
    assert ((found == rows) | ~scored).all()
    assert (distinct[scored] >= 0).all()
    some = np.random.RandomState(0).randint(len(every_word), size=3000)  # the fast answers are those of the oracle
    tokens = [tuple(task.vocab[i] for i in every_word.ids[b, : every_word.lengths[b]]) for b in some]
    _, wanted = task.encode(task.answer(tokens))
    assert (np.where(wanted >= 0, wanted, 0) == np.where(wanted >= 0, rows[some], 0)).all() and (wanted >= 0).any()


@pytest.fixture(scope="module")
def every_word():
    from learnt.programs import Batch

    pieces = []
    for length in range(1, 8):
        words = np.array(list(product(range(1, 7), repeat=length)), dtype=np.int64)
        pieces.append(np.pad(np.insert(words, 0, 7, axis=1), ((0, 0), (0, 7 - length))))
    ids = np.concatenate(pieces)
    return Batch(ids=ids, lengths=(ids > 0).sum(1))


def histogram_answers(batch, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Ids of the right labels for words over six tokens, and the counts; independent of the tasks' oracles."""
    ids = batch.ids
    inside = ids[:, 1:] > 0
    counts = (ids[:, 1:, None] == np.arange(1, 7)).sum(1)  # (B, 6)
    own = np.where(inside, np.take_along_axis(counts, np.maximum(ids[:, 1:] - 1, 0), 1), -1)
    if name == "hist":
        answer = own - 1
    elif name == "double_hist":
        answer = (counts[:, None, :] == own[:, :, None]).sum(2) - 1
    else:
        first = np.where(counts > 0, (ids[:, 1:, None] == np.arange(1, 7)).argmax(1), 9)
        order = np.argsort(-counts * 16 + first, axis=1)
        ranked = np.take_along_axis(counts, order, 1) > 0
        answer = np.pad(np.where(ranked, order, 6), ((0, 0), (0, 1)), constant_values=6)
    return np.pad(answer, ((0, 0), (1, 0)), constant_values=-1), np.pad(own, ((0, 0), (1, 0)), constant_values=-1)


def test_dyck2_is_right_on_all_short_strings_and_on_long_ones():
    task, program = tasks.dyck2(), library.dyck2()
    short = [("<s>", *word) for length in range(1, 8) for word in product("(){}", repeat=length)]
    assert len(short) == 21_844
    assert disagreements(program, task, short) == 0
    assert disagreements(program, task, task.domain().sample(5000, seed=3)) == 0


def test_induction_is_right_on_samples_and_on_the_worked_example():
    task, program = tasks.induction(), library.induction()
    assert disagreements(program, task, task.domain().sample(8000, seed=2)) == 0
    answers = program(["<s>", "a", "1", "b", "2", "b", "2", "a"])  # check 8
    assert [answers[i] for i in (1, 3, 5, 7)] == ["<unk>", "<unk>", "2", "1"]


@pytest.mark.parametrize(("program", "make"), PAIRED, ids=list(SIZES))
@pytest.mark.parametrize("sizes", [(16, 16), (10, 6), (5, 12)], ids=str)
def test_programs_stay_exact_at_other_sizes(program, make, sizes):
    arguments = sizes if make not in (tasks.dyck1, tasks.dyck2) else (sizes[0] + 3,)
    task, made = task_of(make, *arguments), program(*arguments)
    assert disagreements(made, task, task.domain().sample(600, seed=1)) == 0
    assert library.known_program(task) == made


def test_check_07_one_layer_sort_and_histogram_have_the_worked_logits():
    logits = library.sort().run(["<s>", "3", "1", "4", "1", "</s>"]).logits
    assert logits[1] == (0.0, 0.5, -1.0, -2.5, -5.0)
    assert library.sort()(["<s>", "3", "1", "4", "1", "</s>"])[1:5] == ("1", "1", "3", "4")
    run = library.hist().run(["<s>", "2", "5", "5"])
    assert run.predictions[1:] == ("1", "2", "2") and run.logits[2][:4] == (1.5, 2.0, 1.5, 0.0)


def test_programs_behave_as_the_golden_ones_and_are_no_larger():
    for name in ("hist", "double_hist", "reverse"):
        mine, theirs, task = getattr(library, name)(), golden(name), getattr(tasks, name)()
        assert mine.vocab == theirs.vocab
        rows = task.domain().sample(2000, seed=5)
        a, b = evaluate(mine, encode(mine, rows)), evaluate(theirs, encode(theirs, rows))
        _, scored = task.encode(task.answer(rows))
        for x, y, wanted in zip(a.labels, b.labels, scored, strict=True):
            assert [p for p, w in zip(x, wanted, strict=False) if w >= 0] == [
                p for p, w in zip(y, wanted, strict=False) if w >= 0
            ]
        assert len(list(mine.modules())) == len(list(theirs.modules()))
    words = tasks.sort().domain().sample(2000, seed=5)
    mine, theirs = library.sort(), one_layer_sort()
    assert (evaluate(mine, encode(mine, words)).logits == evaluate(theirs, encode(theirs, words)).logits).all()


def test_one_wrong_entry_is_noticed():
    from dataclasses import replace

    program, task = library.reverse(), tasks.reverse()
    head = program.layers[1].cat_heads[0]
    layer = replace(program.layers[1], cat_heads=[replace(head, predicate=[1, *head.predicate[1:3], 4, 4, 5, 6, 7])])
    rows, _ = task.domain().cover()
    assert disagreements(replace(program, layers=[program.layers[0], layer]), task, rows) > 0


@pytest.mark.parametrize(("n", "classes"), [(7, 16), (15, 64)])
def test_tokens_of_one_word_get_numbers_in_their_order(n, classes):
    numbers = order_classes(n)
    assert len(set(numbers.values())) == classes == ((n + 1) // 2) ** 2
    random = np.random.RandomState(0)
    for _ in range(2000):
        word = random.randint(random.randint(1, 7), size=random.randint(1, n + 1)).tolist()
        pairs = sorted(((word.count(t), word.index(t) + 1) for t in set(word)), key=lambda pair: (-pair[0], pair[1]))
        ordered = [numbers[pair] for pair in pairs]
        assert ordered == sorted(set(ordered))


def test_a_task_without_a_program_has_no_known_size():
    other = Task.from_oracle(lambda tokens: ["x"] * len(tokens), alphabet="ab", longest=3, name="sort", labels=["x"])
    assert library.known_size(other) is None and library.known_size("parity") is None
    with pytest.raises(InputError, match="vocab_size"):
        library.sort(3)
