"""Modules are matched by what they do, and two programs that differ in names and order only are recognised as one."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import entropy as scipy_entropy
from sklearn.metrics import mutual_info_score

from learnt.programs import Head, Layer, Program, evaluate
from learnt.programs._isomorphism import renaming, renumbered, with_vocab
from learnt.programs._match import assigned, bijection, likeness, live, match, partition, shared

from .edited import mutilated, permuted, with_layers
from .made import golden, large_program, one_layer_sort, random_inputs, random_program

LABELS = st.lists(st.integers(0, 4), min_size=1, max_size=30)


def variables(program, inputs):
    found = evaluate(program, inputs, keep=True)
    return {name: values[found.real] for name, values in found.variables.items()}


@given(LABELS, st.randoms())
def test_information_is_that_of_scikit_learn_and_scipy(x, random):
    y = [random.randrange(3) for _ in x]
    common, both = shared(partition(np.array(x)), partition(np.array(y)))
    assert common == pytest.approx(mutual_info_score(x, y), abs=1e-12)
    assert both == pytest.approx(scipy_entropy(np.unique([5 * a + b for a, b in zip(x, y, strict=True)], return_counts=True)[1]))  # fmt: skip
    assert partition(np.array(x)).entropy == pytest.approx(scipy_entropy(np.unique(x, return_counts=True)[1]))


@given(LABELS, st.permutations(range(5)), st.permutations(range(5)))
def test_likeness_is_1_exactly_for_equal_partitions_whatever_the_values_are_called(x, one, other):
    x = np.array(x)
    assert likeness(partition(np.array(one)[x]), partition(np.array(other)[x] * 10**6)) == pytest.approx(1, abs=1e-12)
    coarser = np.minimum(x, 1)
    same = (
        len(set(zip(x.tolist(), coarser.tolist(), strict=True))) == len(set(x.tolist())) == len(set(coarser.tolist()))
    )
    assert (likeness(partition(x), partition(coarser)) > 1 - 1e-9) == same


def test_likeness_by_hand():
    # X: 4 classes of 1/4, Y: their halves; H(X) = H(X, Y) = ln 4, I = ln 2
    assert likeness(partition(np.array([0, 1, 2, 3])), partition(np.array([0, 0, 1, 1]))) == pytest.approx(0.5)
    assert likeness(partition(np.zeros(4, int)), partition(np.ones(4, int))) == 1
    assert likeness(partition(np.zeros(4, int)), partition(np.arange(4))) == 0


def test_an_assignment_may_leave_both_sides_alone():
    assert assigned(np.array([[0.1, 9.0], [9.0, 9.0]]), lone=0.5) == [(0, 0)]
    assert assigned(np.array([[0.9, 0.1], [0.1, 9.0]]), lone=0.75) == [(0, 1), (1, 0)]
    assert assigned(np.zeros((0, 3)), lone=1) == []


def test_the_best_bijection_is_found_and_values_that_never_occur_keep_their_number():
    x = np.array([0, 0, 1, 1, 2, 2])
    assert bijection(x, np.array([1, 1, 0, 0, 2, 0]), 4, 4).tolist() == [1, 0, 2, 3]
    assert bijection(x, np.minimum(x, 1), 3, 2).tolist() in ([0, 1, -1], [0, -1, 1])


def test_modules_that_no_vote_depends_on_are_not_live():
    program = one_layer_sort()
    extra = Head(query="tokens", key="tokens", value="ones", predicate=[0] * 8, name="idle")
    (layer,) = program.layers
    padded = with_layers(program, [replace(layer, num_heads=(*layer.num_heads, extra))])
    assert live(padded) == live(program) == [f"num_attn_0_{v}" for v in range(4)]
    assert live(golden("induction")) == ["attn_0_0", "attn_1_0"]
    silent = {name: [[0.0] * 5] * 8 if name == "positions" else [0.0] * 5 for name in program.classifier}
    assert live(replace(program, classifier=silent)) == []


# -- the same up to renaming -------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(6))
def test_check_14_permuted_and_renamed_modules_are_the_same_program(seed):
    program = large_program(seed)
    other = permuted(program, seed)
    names = renaming(program, other)
    assert names is not None
    back = {new: old for old, new in names.items()}
    assert renaming(program, other.renamed(back)) == {name: name for name in names}
    inputs = random_inputs(program, seed)
    assert evaluate(program, inputs).labels == evaluate(other, inputs).labels
    in_a, in_b = variables(program, inputs), variables(other, inputs)
    assert all((in_a[name] == in_b[new]).all() for name, new in names.items())


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6))
def test_check_14_any_program_is_recognised_in_any_order(seed):
    program = random_program(seed)
    assert renaming(program, permuted(program, seed)) is not None


@pytest.mark.parametrize("seed", range(5))
def test_check_14_one_changed_entry_is_not_a_renaming(seed):
    program = permuted(large_program(seed), seed)
    rng = np.random.default_rng(seed)
    assert renaming(program, mutilated(program, head=int(rng.integers(4)), query=int(rng.integers(8)))) is None
    name = str(rng.choice(sorted(program.classifier)))
    votes = np.array(program.classifier[name]).copy()
    votes[0] += 1e-9
    assert renaming(program, replace(program, classifier={**program.classifier, name: votes})) is None


def test_twins_are_told_apart_by_their_readers():
    def program(first: str, second: str) -> Program:
        twin = {"query": "tokens", "key": "tokens", "value": "positions", "predicate": [0, 1, 2]}
        reader = {"query": "tokens", "key": "positions", "predicate": [0, 1, 2]}
        return Program(
            vocab=("a", "b"), labels=("x", "y"), k=3, n_ctx=3, classifier={"r0": [[1, 0], [0, 1], [0, 0]], "r1": [[1, 0], [0, 1], [0, 0]]},
            layers=[
                Layer(cat_heads=[Head(**twin, name="t0"), Head(**twin, name="t1")]),
                Layer(cat_heads=[Head(**reader, value=first, name="r0"), Head(**reader, value=second, name="r1")]),
            ],
        )  # fmt: skip

    assert renaming(program("t0", "t1"), program("t1", "t0")) is not None  # needs a choice among twins
    assert renaming(program("t0", "t0"), program("t1", "t1")) is not None
    assert renaming(program("t0", "t1"), program("t1", "t1")) is None


def test_votes_of_0_are_no_votes_and_the_order_of_labels_is_part_of_a_program():
    program = golden("induction")
    voter = next(name for name in program.categorical if name not in program.classifier)
    none = [[0.0] * len(program.labels)] * program.cardinality[voter]
    assert renaming(program, replace(program, classifier={**program.classifier, voter: none})) is not None
    reordered = replace(
        program,
        labels=program.labels[::-1],
        classifier={name: np.array(votes)[..., ::-1] for name, votes in program.classifier.items()},
    )
    assert renaming(program, reordered) is None  # ties go to another label


@pytest.mark.parametrize("name", ["induction", "reverse", "hist", "pool"])
def test_the_order_of_the_vocabulary_is_only_numbering(name):
    program = golden(name)
    fixed = 1 if program.padded else 0
    other = with_vocab(program, (*program.vocab[:fixed], *program.vocab[fixed:][::-1]))
    assert other.vocab != program.vocab
    assert renaming(program, other) is not None
    inputs = random_inputs(program, 1, 30)
    assert evaluate(program, inputs).labels == evaluate(other, inputs).labels


@pytest.mark.parametrize("seed", range(6))
def test_renumbering_the_outputs_of_tables_changes_nothing_but_their_numbers(seed):
    from learnt.testing.programs import Programs

    case = Programs().case(seed)
    rng = np.random.default_rng(seed)
    changes = {name: rng.permutation(6) for name in ("table_0", "size_0", "table_1")}
    other = renumbered(case.a, changes)
    one, two = (evaluate(p, case.data.inputs, keep=True) for p in (case.a, other))
    assert (one.logits[one.real] == two.logits[one.real]).all()
    for name, order in changes.items():
        assert (order[one.variables[name]] == two.variables[name])[one.real].all()
    found = match(case.a, other, variables(case.a, case.data.inputs), variables(other, case.data.inputs))
    assert all(pair.likeness == pytest.approx(1) for pair in found.pairs)


# -- matching ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(4))
def test_a_program_in_another_order_is_matched_by_what_its_modules_do(seed):
    program = large_program(seed)
    other = permuted(program, seed)
    inputs = random_inputs(program, seed, 200)
    found = match(program, other, variables(program, inputs), variables(other, inputs))
    assert len(found.pairs) == 36
    assert all(pair.a and pair.b and pair.likeness == pytest.approx(1) for pair in found.pairs)
    in_a, in_b = variables(program, inputs), variables(other, inputs)
    for pair in found.pairs:
        assert likeness(partition(in_a[pair.a]), partition(in_b[pair.b])) == pytest.approx(1)


def test_a_head_whose_predicate_changed_altogether_is_still_the_same_head():
    program = one_layer_sort()
    (layer,) = program.layers
    heads = list(layer.num_heads)
    heads[2] = replace(heads[2], predicate=[6] * 8)  # counts the start mark: constant
    other = with_layers(program, [Layer(num_heads=heads)])
    inputs = random_inputs(program, 0, 50)
    found = match(program, other, variables(program, inputs), variables(other, inputs))
    assert [(pair.a, pair.b) for pair in found.pairs] == [(h.name, h.name) for h in heads]


def test_values_of_tokens_correspond_by_name():
    program = golden("reverse")
    other = with_vocab(program, (program.vocab[0], *program.vocab[:0:-1]))
    inputs = random_inputs(program, 0, 20)
    found = match(program, other, variables(program, inputs), variables(other, inputs))
    values = found.values["tokens"]
    assert [other.vocab[values[i]] for i in range(len(program.vocab))] == list(program.vocab)
    assert found.values["positions"].tolist() == list(range(8))
