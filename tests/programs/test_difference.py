"""What differs between two programs: what they answer, how they work, whose votes decide."""

import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from learnt.core.errors import InputError, ShapeError
from learnt.programs import Head, Layer, TableMLP, encode, tasks
from learnt.programs._isomorphism import renumbered, with_vocab
from learnt.programs.difference import diff
from learnt.programs.sequences import Sequences
from learnt.testing.programs import Programs

from .edited import mutilated, permuted, with_layers
from .made import golden, large_program, one_layer_sort, random_inputs, random_program

SORT = tasks.sort()  # 19,530 inputs
SHORT, BACKWARDS = tasks.sort(max_length=6), tasks.reverse(max_length=6)  # 780, for programs of n_ctx 8


# -- behaviour ---------------------------------------------------------------------------------------------


def test_check_10_one_changed_entry_gives_the_shortest_disagreeing_inputs_in_order():
    program, other = one_layer_sort(), mutilated(one_layer_sort())
    found = diff(program, other, SORT, shown=50)
    assert found.scope == "exhaustive"
    assert found.inputs == 19_530
    # by brute force, one input at a time
    wrong = [tokens for tokens in SORT.domain() if len(tokens) <= 5 and program(tokens)[1:-1] != other(tokens)[1:-1]]
    assert [e.tokens for e in found.examples] == wrong[:50]
    assert [(len(e.tokens), e.tokens) for e in found.examples] == sorted(
        (len(e.tokens), e.tokens) for e in found.examples
    )
    first = found.examples[0]
    assert (first.a, first.b) == (program(first.tokens), other(first.tokens))
    assert [first.a[i] != first.b[i] for i in first.positions] == [True] * len(first.positions)
    assert found.sequences.kind == found.tokens.kind == "exact"
    assert found.distance == found.apart / 19_530 > 0


def test_the_start_and_end_marks_count_only_where_no_task_says_otherwise():
    program = one_layer_sort()
    end = mutilated(program, query=3)  # position 3: a token, or the end mark of short inputs
    on_task, on_domain = diff(program, end, SHORT), diff(program, end, SHORT.domain())
    assert on_domain.apart > on_task.apart > 0
    assert all(0 < i < len(e.tokens) - 1 for e in on_task.examples for i in e.positions)


def test_a_program_against_the_oracle_and_against_a_function():
    program = one_layer_sort()
    found = diff(program, SHORT.oracle, SHORT)
    assert found.distance == 0
    assert found.equal is None
    assert found.modules == ()
    wrong = diff(program, lambda tokens: ["0"] * len(tokens), SHORT)
    share = 1 - sum(1 for t in SHORT.domain() if set(t[1:-1]) == {"0"}) / 780
    assert wrong.distance == pytest.approx(share)
    assert all(label == "0" for _, label, _ in wrong.confusion)
    assert sum(count for *_, count in wrong.confusion) == round(
        wrong.tokens.value * sum(len(t) - 2 for t in SHORT.domain())
    )


def test_a_sample_gives_an_interval_that_holds_the_exact_share_and_never_ends_at_0():
    program, other = one_layer_sort(), mutilated(one_layer_sort())
    exact = diff(program, other, SHORT)
    drawn = diff(program, other, SHORT, most=100, samples=2000, seed=3)
    assert drawn.scope == "sampled"
    assert drawn.inputs == 2000
    assert drawn.sequences.low < drawn.sequences.high
    same = diff(program, program, SHORT, most=100, samples=500)
    assert same.distance == 0
    assert 0 < same.sequences.high < 0.01
    # draws are uniform in length, the domain is not: so compare on the words of one length
    six = [t for t in SHORT.domain() if len(t) == 6]
    here = diff(program, other, six).distance
    rng = np.random.default_rng(0)
    some = Sequences([six[i] for i in rng.integers(0, len(six), 1500)], sampled=True)
    estimate = diff(program, other, some).sequences
    assert estimate.low <= here <= estimate.high
    assert exact.distance > 0
    again = diff(program, other, SHORT, most=100, samples=2000, seed=3)
    assert again.to_fields() == drawn.to_fields()


def test_vocabularies_and_labels_in_another_order_are_mapped_by_name():
    program = golden("reverse")
    other = with_vocab(program, (program.vocab[0], *program.vocab[:0:-1]))
    order = np.arange(len(other.labels))[::-1]
    other = replace(
        other,
        labels=tuple(other.labels[i] for i in order),
        classifier={name: np.array(votes)[..., order] for name, votes in other.classifier.items()},
        masked_labels=[len(order) - 1 - i for i in other.masked_labels],
    )
    found = diff(program, other, BACKWARDS)
    assert found.distance == 0
    assert found.equal is False  # the order of labels decides ties
    assert found.count("same") == len(found.modules)
    assert found.votes.reached == 0


def test_inputs_that_one_program_cannot_take_are_left_out_and_counted():
    program = one_layer_sort()
    smaller = replace(program, vocab=tuple("z" if token == "4" else token for token in program.vocab))
    found = diff(program, smaller, SHORT)
    assert found.left_out == 780 - sum(4**n for n in range(1, 5))
    assert found.inputs == sum(4**n for n in range(1, 5))
    assert found.scope == "given"
    assert found.distance == 0
    assert "left out: 440" in str(found)
    shorter = replace(program, n_ctx=5)
    assert diff(program, shorter, SHORT).inputs == 5 + 25 + 125


def test_a_batch_of_ids_stands_for_its_inputs():
    program, other = one_layer_sort(), mutilated(one_layer_sort())
    inputs = random_inputs(program, 0)
    assert diff(program, other, encode(program, inputs)).to_fields() == diff(program, other, inputs).to_fields()


def test_what_cannot_be_compared_is_an_error_with_its_reason():
    program = one_layer_sort()
    foreign = replace(program, vocab=(program.vocab[0], *"abcdefg"))
    with pytest.raises(InputError, match="shares no token"):
        diff(program, foreign, SHORT)
    marks = replace(program, vocab=(program.vocab[0], *"abcde", "<s>", "</s>"))
    with pytest.raises(InputError, match="none of which both can take"):
        diff(program, marks, SHORT)
    with pytest.raises(InputError, match="inputs to compare on"):
        diff(program, mutilated(program))
    with pytest.raises(InputError, match="a Program"):
        diff(lambda tokens: tokens, program, SHORT)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="a function from tokens to labels"):
        diff(program, 3, SHORT)
    with pytest.raises(InputError, match="a label, or a list of labels"):
        diff(program, lambda tokens: [1] * len(tokens), SHORT)
    with pytest.raises(ShapeError, match="one label a token"):
        diff(program, lambda tokens: ["0"] * (len(tokens) - 1), SHORT)
    with pytest.raises(ShapeError, match="one label an input"):
        diff(program, lambda tokens: "0", SHORT)


# -- structure ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(2))
def test_check_14_permuted_heads_are_equal_up_to_renaming_without_any_input(seed):
    program = large_program(seed)
    other = permuted(program, seed)
    found = diff(program, other)
    assert found.equal is True
    assert found.distance == 0
    assert "equal up to renaming" in str(found)
    assert {m.status for m in found.modules} == {"same"}
    on_inputs = diff(program, other, random_inputs(program, seed))
    assert on_inputs.equal is True
    assert on_inputs.distance == 0
    assert [m.likeness for m in on_inputs.modules] == pytest.approx([1.0] * 36)


def test_an_edited_predicate_is_found_with_its_tokens():
    program = one_layer_sort()
    found = diff(program, mutilated(program, head=1, query=2, key=5), SHORT)
    assert found.equal is False
    assert [m.status for m in found.modules] == ["same", "changed", "same", "same"]
    (edit,) = found.modules[1].edits.listed
    assert tuple(edit) == ("predicate", "2", "'1'", "'4'", True)
    assert found.votes.reached == found.votes.unreached == 0


def test_gates_votes_and_entries_that_never_occur_are_edits():
    program = golden("induction")
    first, second = program.layers
    (head,) = second.cat_heads
    inputs = random_inputs(program, 0, 60)
    never = replace(head, predicate=[*head.predicate[:-1], (head.predicate[-1] + 1) % 10])
    found = diff(program, with_layers(program, [first, Layer(cat_heads=[never])]), inputs)
    if "tokens" == head.query and len(program.vocab) < 10:
        assert found.modules[1].status == "same"
        assert found.modules[1].edits.unreached == 1
    gate = replace(head, value="positions")
    found = diff(program, with_layers(program, [first, Layer(cat_heads=[gate])]), inputs)
    changed = next(m for m in found.modules if m.status != "same")
    assert changed.status == "changed"
    assert changed.edits.listed[0][:4] == ("value", "", head.value, "positions")
    votes = {name: np.array(rows) for name, rows in program.classifier.items()}
    name = next(iter(votes))
    votes[name][2, 0] += 1
    found = diff(program, replace(program, classifier=votes), inputs)
    assert found.votes.reached + found.votes.unreached == 1
    assert found.votes.listed[0].part == "votes"


def test_an_added_and_a_removed_module_are_named():
    program = one_layer_sort()
    (layer,) = program.layers
    table = TableMLP(
        inputs=["tokens", "positions"], table=[(3 * t + p) % 8 for t in range(8) for p in range(8)], name="extra"
    )
    more = with_layers(program, [replace(layer, cat_mlps=(table,))])
    found = diff(program, more, SHORT)
    assert [(m.status, m.a, m.b) for m in found.modules if m.status != "same"] == [("added", None, "extra")]
    assert found.distance == 0
    back = diff(more, program, SHORT)
    assert [(m.status, m.a, m.b) for m in back.modules if m.status != "same"] == [("removed", "extra", None)]


@pytest.mark.parametrize("seed", range(4))
def test_renumbered_tables_have_no_edit(seed):
    case = Programs().case(seed)
    rng = np.random.default_rng(seed)
    other = renumbered(case.a, {name: rng.permutation(6) for name in ("table_0", "size_0", "table_1", "size_1")})
    found = diff(case.a, permuted(other, seed), case.data)
    assert found.distance == 0
    assert found.equal is False  # another program, though it does the same
    assert [m.edits.reached for m in found.modules] == [0] * len(found.modules)
    assert found.votes.reached == 0


def test_the_inputs_of_a_table_may_be_swapped():
    program = golden("reverse")
    (first, second) = program.layers
    index, mlp = next((i, layer.cat_mlps[0]) for i, layer in enumerate((first, second)) if layer.cat_mlps)
    sizes = [program.cardinality[v] for v in mlp.inputs]
    turned = replace(mlp, inputs=mlp.inputs[::-1], table=np.array(mlp.table).reshape(sizes).T.ravel())
    layers = [first, second]
    layers[index] = replace(layers[index], cat_mlps=(turned,))
    found = diff(program, with_layers(program, layers), BACKWARDS)
    assert {m.status for m in found.modules} == {"same"}
    broken = list(turned.table)
    entry = next(i for i in range(len(broken)) if i % sizes[0] == 2 and i // sizes[0] == 5)
    broken[entry] = (broken[entry] + 1) % program.cardinality[mlp.name]
    layers[index] = replace(layers[index], cat_mlps=(replace(turned, table=broken),))
    found = diff(program, with_layers(program, layers), BACKWARDS)
    changed = next(m for m in found.modules if m.edits.listed)
    assert changed.edits.reached + changed.edits.unreached == 1
    assert changed.edits.listed[0].where == "(2, 5)"


# -- decision ----------------------------------------------------------------------------------------------


def every_head_mutilated(program):
    first, *rest = program.layers
    heads = [replace(h, predicate=[(v + 1) % 8 for v in h.predicate]) for h in first.num_heads]
    return with_layers(program, [replace(first, num_heads=heads), *rest])


def margins(program, tokens, i, y, z):
    logits = dict(zip(program.labels, program.run(tokens).logits[i], strict=True))
    return logits[y] - logits[z]


@pytest.mark.parametrize("seed", range(2))
def test_the_swings_of_all_variables_add_up_to_the_change_of_the_margins(seed):
    a, b = large_program(seed), permuted(every_head_mutilated(large_program(seed)), seed)
    inputs = random_inputs(a, seed, 60)
    found = diff(a, b, inputs, shown=60)
    total = sum(
        margins(b, e.tokens, i, e.a[i], e.b[i]) - margins(a, e.tokens, i, e.a[i], e.b[i])
        for e in found.examples
        for i in e.positions
    )
    count = {tuple(t): sum(tuple(u) == tuple(t) for u in inputs) for t in inputs}
    if max(count.values()) == 1:
        assert sum(s.total for s in found.swings) == pytest.approx(total)
        assert found.swing_positions == sum(len(e.positions) for e in found.examples)
    assert sum(s.share for s in found.swings) == pytest.approx(1)
    assert total < 0


def test_the_head_that_was_changed_explains_all_disagreements():
    found = diff(one_layer_sort(), mutilated(one_layer_sort(), head=2), SHORT)
    (swing,) = found.swings
    assert (swing.a, swing.b, swing.share) == ("num_attn_0_2", "num_attn_0_2", 1)


def test_pooled_programs_are_compared_by_input():
    program = golden("pool")
    votes = {name: np.array(rows) for name, rows in program.classifier.items()}
    other = replace(program, classifier={name: -rows for name, rows in votes.items()})
    inputs = random_inputs(program, 0, 30)
    found = diff(program, other, inputs)
    assert found.distance > 0
    assert found.sequences.value == found.tokens.value
    assert all(len(e.a) == 1 and e.positions == (0,) for e in found.examples)
    assert sum(s.share for s in found.swings) == pytest.approx(1)


# -- as a whole --------------------------------------------------------------------------------------------


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10**6))
def test_any_program_differs_from_itself_in_nothing_and_from_another_in_plain_data(seed):
    program = random_program(seed)
    inputs = random_inputs(program, seed)
    found = diff(program, program, inputs)
    assert found.equal is True
    assert found.distance == 0
    assert found.swings == found.examples == ()
    other = replace(program, classifier={name: -np.array(votes) for name, votes in program.classifier.items()})
    changed = diff(program, other, inputs)
    json.dumps(changed.to_fields(), allow_nan=False)
    assert changed.explain().startswith("b against a")
    assert {m.status for m in changed.modules} <= {"same"}


def test_two_programs_of_different_origin_can_be_compared():
    found = diff(one_layer_sort(), large_program(1), SHORT, names=("by hand", "drawn"), most=100, samples=300)
    assert found.distance > 0.9
    assert found.count("added") >= 32
    text = found.explain()
    assert text.startswith("drawn against by hand on a sample of 300 inputs")
    assert "Whose votes moved the decision" in text
    assert len(text.splitlines()) < 200


def test_a_text_shows_nothing_that_acts():
    program = one_layer_sort()
    vocab = [*program.vocab[:5], "\x1b[31m\u202e", *program.vocab[6:]]
    program = replace(program, vocab=vocab)
    inputs = [["<s>", "3", vocab[5], "</s>"], ["<s>", vocab[5], "0", "</s>"]]
    text = diff(program, mutilated(program), inputs).explain()
    assert "\x1b" not in text
    assert "\u202e" not in text


def test_a_difference_needs_no_torch():
    code = (
        "import sys, learnt.programs.difference, learnt.programs.behaviour, learnt.programs.modules;"
        "sys.exit('torch' in sys.modules or 'scipy.optimize' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0


def test_a_head_may_be_replaced_by_a_table_that_does_the_same():
    program = golden("reverse")
    first, second = program.layers
    copy = TableMLP(inputs=["positions"], table=list(range(8)), name="copy")
    look = Head(query="positions", key="positions", value="positions", predicate=list(range(8)), name="copy")
    by_head = with_layers(program, [replace(first, cat_heads=(*first.cat_heads, look)), second])
    by_table = with_layers(program, [replace(first, cat_mlps=(*first.cat_mlps, copy)), second])
    found = diff(by_head, by_table, BACKWARDS)
    changed = next(m for m in found.modules if m.status == "changed")
    assert (changed.a, changed.b, changed.likeness) == ("copy", "copy", 1)
    assert changed.edits.listed[0].part == "kind"
