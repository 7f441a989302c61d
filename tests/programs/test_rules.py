"""Rules are the table: every form on every table, and the form that a person would have chosen."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from learnt.programs._python_body import table_lines, value_body
from learnt.programs._rules import FREE, OUTSIDE, Axis, Grid, Rules, condition, shortest


def axis(name: str, values, ordered: bool = True) -> Axis:
    texts = tuple(str(v) if ordered else repr(f"t{v}") for v in values)
    return Axis(name=name, values=tuple(values), texts=texts, ordered=ordered)


def text(rules: Rules, names) -> str:
    body = value_body(rules, str, "table", "ValueError('no answer')")
    return "\n".join([*table_lines("table", rules, str), f"def f({', '.join(names)}):", *body])


def run(rules: Rules, axes, codes):
    """The text answers what the table holds; free entries are not asked."""
    space: dict = {}
    exec(text(rules, [a.name for a in axes]), space)
    for index, code in np.ndenumerate(codes):
        given_ = [a.values[i] if a.ordered else f"t{a.values[i]}" for a, i in zip(axes, index, strict=True)]
        if code == OUTSIDE:
            with pytest.raises(ValueError, match="no answer"):
                space["f"](*given_)
        elif code != FREE:
            assert space["f"](*given_) == code


def body(axes, codes) -> str:
    return "\n".join(value_body(shortest(axes, np.array(codes)), str, "table", "ValueError('no answer')"))


@settings(max_examples=150)
@given(data=st.data())
def test_check_12_rules_answer_every_entry_of_any_table(data):
    shape = data.draw(hnp.array_shapes(min_dims=1, max_dims=3, max_side=5))
    lowest = data.draw(st.sampled_from([0, FREE, OUTSIDE]))
    codes = data.draw(hnp.arrays(np.int64, shape, elements=st.integers(lowest, data.draw(st.integers(1, 5)))))
    axes = []
    for i, size in enumerate(shape):
        values = sorted(data.draw(st.sets(st.integers(0, 9), min_size=size, max_size=size)))
        axes.append(axis("abc"[i], values, data.draw(st.booleans())))
    run(shortest(axes, codes), axes, codes)


@given(
    a=st.integers(1, 9), b=st.integers(1, 9), kind=st.sampled_from(["-", "+", "//", "max", "min", "%", "<", "first"])
)
def test_arithmetic_with_any_exception_is_exact(a, b, kind):
    x, y = np.arange(a)[:, None], np.arange(b)[None, :]
    codes = {
        "-": np.abs(x - y), "+": x + y, "//": x // np.maximum(y, 1), "max": np.maximum(x, y), "min": np.minimum(x, y),
        "%": (x - y) % 7, "<": (x < y) * 3 + (x == y), "first": x + 0 * y,
    }[kind]  # fmt: skip
    codes = np.array(codes)
    codes[a // 2, b // 2] = OUTSIDE
    axes = (axis("a", range(a)), axis("b", range(b)))
    run(shortest(axes, codes), axes, codes)


def test_thresholds_stand_for_runs_of_numbers():
    assert body([axis("x", range(9))], [0, 0, 0, 0, 2, 2, 2, 1, 1]) == (
        "    if x <= 3:\n        return 0\n    if x <= 6:\n        return 2\n    return 1"
    )


def test_values_with_one_answer_share_a_branch_and_the_longest_group_comes_last():
    assert body([axis("x", range(6), False)], [1, 0, 0, 1, 0, 0]) == (
        "    if x in {'t0', 't3'}:\n        return 1\n    return 0"
    )


def test_inputs_on_which_nothing_depends_are_not_read():
    codes = np.broadcast_to(np.array([0, 1, 1, 0])[None, :, None], (3, 4, 5))
    rules = shortest([axis("a", range(3)), axis("b", range(4)), axis("c", range(5))], codes)
    assert [a.name for a in rules.axes] == ["b"]
    assert body([axis("a", range(3))], [4, 4, 4]) == "    return 4"


def test_a_comparison_of_two_numbers_is_one():
    a, b = np.arange(9)[:, None], np.arange(9)[None, :]
    codes = np.where(a == b, 0, np.where(a < b, 1, 2))
    assert body([axis("a", range(9)), axis("b", range(9))], codes) == (
        "    if a == b:\n        return 0\n    if a < b:\n        return 1\n    return 2"
    )
    same = np.eye(4, dtype=int)
    tokens = [axis("a", range(4), False), axis("b", range(4), False)]
    assert body(tokens, same) == "    if a == b:\n        return 1\n    return 0"


def test_a_difference_that_decides_alone_is_tested_alone():
    a, b = np.arange(9)[:, None], np.arange(9)[None, :]
    assert body([axis("a", range(9)), axis("b", range(9))], np.where(a - b >= 3, 5, 1)) == (
        "    if a - b >= 3:\n        return 5\n    return 1"
    )


def test_free_entries_join_whatever_is_shortest():
    a, b = np.arange(8)[:, None], np.arange(8)[None, :]
    codes = np.where(a >= b, a - b, FREE)
    assert body([axis("a", range(8)), axis("b", range(8))], codes) == "    return a - b"


def test_arithmetic_is_for_numbers_and_not_for_names():
    assert "return x\n" not in body([axis("x", range(5), False)], [0, 1, 2, 3, 4]) + "\n"
    assert body([axis("x", range(5))], [1, 2, 3, 4, 5]) == "    return x + 1"
    assert body([axis("x", range(5))], [4, 3, 2, 1, 0]) == "    return 4 - x"
    assert body([axis("x", range(8))], [3, 3, 4, 4, 5, 5, 6, 6]) == "    return x // 2 + 3"


def test_arithmetic_may_differ_from_branch_to_branch():
    codes = np.stack([np.arange(6), 5 - np.arange(6), np.arange(6) + 9])
    assert body([axis("a", range(3), False), axis("b", range(6))], codes) == (
        "    if a == 't0':\n        return b\n    if a == 't1':\n        return 5 - b\n    return b + 9"
    )


@given(shift=st.integers(-3, 12), size=st.integers(2, 7))
def test_a_function_of_a_sum_or_difference_keeps_its_signs(shift, size):
    a, b = np.arange(size)[:, None], np.arange(size)[None, :]
    axes = (axis("a", range(size)), axis("b", range(size)))
    for number in (a + b, a - b):
        codes = np.abs(shift - number) % 5
        run(shortest(axes, codes), axes, codes)


def test_a_table_without_rules_is_a_table():
    codes = np.random.default_rng(0).integers(0, 8, (8, 8))
    rules = shortest([axis("a", range(8)), axis("b", range(8))], codes)
    assert isinstance(rules.body, Grid) and rules.branches == 64
    large = np.random.default_rng(0).integers(0, 8, (250, 250))
    assert isinstance(shortest([axis("a", range(250)), axis("b", range(250))], large).body, Grid)


@given(size=st.integers(2, 9), data=st.data())
def test_a_condition_holds_for_exactly_its_values(size, data):
    rows = data.draw(st.sets(st.integers(0, size - 1), min_size=1, max_size=size - 1))
    side = axis("x", range(3, 3 + size), True)
    test = condition(side, sorted(rows))
    source = f"{test.before} {{{', '.join(test.listed)}}}" if test.listed else test.before
    assert {i for i in range(size) if eval(source, {"x": side.values[i]})} == rows
