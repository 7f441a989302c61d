"""SMT text means what the evaluator computes, and a proof is about the program as it is evaluated."""

import subprocess
import sys
from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from learnt.core.errors import InputError, MissingExtra
from learnt.programs import Layer, NumMLP, Program, library
from learnt.programs._smt_relations import layout
from learnt.programs.smt import Symbols, prove, to_smt

from .made import golden, large_program, one_layer_sort, random_inputs, random_program

z3 = pytest.importorskip("z3", reason="needs the extra smt (z3-solver)")


def changed_sort() -> Program:
    """The sort with one predicate entry changed: at position 3 the first head counts another token."""
    program = one_layer_sort()
    heads = list(program.layers[0].num_heads)
    heads[0] = replace(heads[0], predicate=[*heads[0].predicate[:3], 2, *heads[0].predicate[4:]])
    return replace(program, layers=[Layer(num_heads=heads)])


def answers_of_text(program: Program, tokens: list[str]) -> tuple[bool, list[set[int]]]:
    """Whether the text says that the program answers, and the labels that it allows at each position."""
    n = 1 if program.pool else len(tokens)
    text = to_smt(program, len(tokens))
    wide = max(1, (len(program.labels) - 1).bit_length())
    text += "".join(f"(declare-const out{i} (_ BitVec {wide}))(assert (= out{i} prediction.{i}))" for i in range(n))
    text += "(declare-const fine Bool)(assert (= fine answered))"
    solver = z3.Solver()
    solver.add(*z3.parse_smt2_string(text))
    bits = max(1, (len(program.vocab) - 1).bit_length())
    for i, token in enumerate(tokens):
        solver.add(z3.BitVec(f"token.{i}", bits) == program.vocab.index(token))
    allowed = [
        {y for y in range(len(program.labels)) if solver.check(z3.BitVec(f"out{i}", wide) == y) == z3.sat}
        for i in range(n)
    ]
    assert solver.check() == z3.sat
    return bool(solver.model().eval(z3.Bool("fine"), model_completion=True)), allowed


@pytest.mark.parametrize("seed", range(16))
def test_the_text_of_any_program_answers_as_the_evaluator(seed):
    program = random_program(seed)
    for tokens in random_inputs(program, seed, 2):
        answered, allowed = answers_of_text(program, tokens)
        right = program.evaluate([tokens]).labels[0]
        assert answered
        assert [{program.labels[y] for y in row} for row in allowed] == [{label} for label in right]


def test_the_text_is_the_same_each_time_and_needs_no_solver(tmp_path):
    program = golden("reverse")
    text = to_smt(program, 5, path=tmp_path / "reverse.smt2")
    assert text == to_smt(replace(program), 5) == (tmp_path / "reverse.smt2").read_text(encoding="utf-8")
    assert "(set-logic QF_BV)" in text
    code = (
        "import sys; sys.modules['z3'] = None\n"
        "from learnt.programs import Program, Layer\nfrom learnt.programs.smt import to_smt\n"
        "p = Program(vocab=['a', 'b'], labels=['x', 'y'], k=2, n_ctx=2, layers=[], classifier={'tokens': [[0, 1], [1, 0]]})\n"
        "assert 'prediction.1' in to_smt(p, 2) and 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_check_10_the_hand_written_sort_is_proved_where_enumeration_finds_nothing():
    program = one_layer_sort()
    for letters in (1, 3, 5):
        proof = prove(program, "sorted", letters + 2)
        assert (proof.answer, proof.inputs) == ("proved", 5**letters)


def test_check_10_a_changed_predicate_gives_the_first_counterexample_that_enumeration_finds():
    program = changed_sort()
    words = [["<s>", *word, "</s>"] for word in product("01234", repeat=4)]
    wrong = [
        (word, answer) for word, answer in zip(words, program.evaluate(words).labels, strict=True)
        if list(answer[1:-1]) != sorted(word[1:-1])
    ]  # fmt: skip
    proof = prove(program, "sorted", 6)
    assert proof.answer == "counterexample" and proof.first and wrong
    assert (list(proof.counterexample or ()), proof.found) == wrong[0]


def test_reverse_is_proved_on_more_inputs_than_anybody_can_list():
    program = library.reverse(16, 16)
    proof = prove(program, "reversed", 16)
    assert (proof.answer, proof.inputs) == ("proved", 13**14)
    head = program.layers[0].cat_heads[0]
    start = program.vocab.index("<s>")
    wrong = replace(head, predicate=[*head.predicate[:3], start, *head.predicate[4:]])  # for one letter: the wrong end
    broken = replace(program, layers=[replace(program.layers[0], cat_heads=[wrong]), *program.layers[1:]])
    proof = prove(broken, "reversed", 16)
    assert proof.answer == "counterexample" and proof.found == broken(proof.counterexample or ())
    assert list((proof.found or ())[1:-1]) != list(reversed((proof.counterexample or ())[1:-1]))


def test_hist_counts_and_does_not_sort():
    assert prove(golden("hist"), "count", 6).answer == "proved"
    assert prove(golden("hist"), "sorted", 3).answer == "counterexample"


def test_two_programs_are_compared_by_names_of_tokens_and_labels():
    program = one_layer_sort()
    order = [0, 5, 4, 3, 2, 1, 6, 7]  # ids of the digits the other way round
    heads = [replace(h, predicate=[order.index(v) for v in h.predicate]) for h in program.layers[0].num_heads]
    votes = {name: np.array(table)[..., ::-1].tolist() for name, table in program.classifier.items()}
    other = replace(
        program, vocab=[program.vocab[i] for i in order], labels=program.labels[::-1],
        layers=[Layer(num_heads=heads)], classifier=votes,
    )  # fmt: skip
    allowed = layout(program, 5)
    words = [["<s>", *word, "</s>"] for word in product("01234", repeat=3)]
    same = [a == b for a, b in zip(program.evaluate(words).labels, other.evaluate(words).labels, strict=True)]
    proof = prove(program, other, 5, allowed=allowed)  # ties go to the first label, so some answers may differ
    if all(same):
        assert proof.answer == "proved"
    else:
        first = words[same.index(False)]
        assert (proof.answer, proof.counterexample) == ("counterexample", tuple(first))
        assert (proof.found, proof.expected) == (program(first), other(first))


def test_equal_programs_are_proved_equal_and_a_changed_one_is_told_apart():
    program = random_program(3)
    assert prove(program, replace(program, meta={}), min(3, program.n_ctx)).answer == "proved"
    proof = prove(one_layer_sort(), changed_sort(), 6)
    assert proof.answer == "counterexample" and proof.found != proof.expected
    assert (proof.found, proof.expected) == (
        one_layer_sort()(proof.counterexample),
        changed_sort()(proof.counterexample),
    )


def test_rounding_of_float_sums_is_part_of_the_statement():
    # 1 + 2^-54 is 1 in floats: a tie, which goes to the first label, although the second has more votes exactly
    votes = {"tokens": [[1.0, 1.0], [1.0, 1.0]], "positions": [[0.0, 2.0**-54], [0.0, 2.0**-54]]}
    program = Program(vocab=["a", "b"], labels=["x", "y"], k=2, n_ctx=2, layers=[], classifier=votes)
    assert program(["a", "b"]) == ("x", "x")
    assert "labels within" in to_smt(program, 2)
    always_x = prove(program, lambda s: z3.And(s.answers_with(0, "x"), s.answers_with(1, "x")), 2)
    assert (always_x.answer, always_x.put_aside) == ("proved", 4)
    assert prove(program, lambda s: s.answers_with(0, "y"), 2).counterexample == ("a", "a")


def test_a_relation_of_your_own_sees_tokens_and_answers():
    def first_answer_is_the_smallest(s: Symbols):
        smallest = [z3.Not(s.is_token(i, "0")) for i in s.letters]
        return z3.Implies(s.answers_with(1, "0"), z3.Not(z3.And(smallest)))

    program = one_layer_sort()
    assert prove(program, first_answer_is_the_smallest, 5, allowed=layout(program, 5)).answer == "proved"
    wrong = prove(program, lambda s: s.answers_with(1, "0"), 4, allowed=layout(program, 4))
    assert (wrong.counterexample, wrong.first) == (("<s>", "1", "1", "</s>"), True)
    with pytest.raises(InputError, match="other unknowns"):
        prove(program, lambda s: z3.Bool("elsewhere"), 4)
    with pytest.raises(InputError, match="z3 constraint"):
        prove(program, lambda s: 3, 4)


def test_values_without_an_answer_are_a_counterexample():
    mlp = NumMLP(inputs=["num_attn_0_0"], sizes=[4], table=[0, 1, 1, -1])
    base = golden("hist")
    layer = replace(base.layers[0], num_mlps=[mlp])
    program = replace(base, layers=[layer])
    proof = prove(program, "count", 5)
    assert proof.answer == "counterexample" and proof.found is None
    with pytest.raises(InputError):
        program(proof.counterexample or ())
    assert prove(program, "count", 3).answer == "proved"


def test_time_that_runs_out_is_no_answer():
    proof = prove(large_program(), "sorted", 8, timeout=0.02)
    assert (proof.answer, proof.counterexample) == ("unknown", None)


def test_without_the_solver_the_error_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "z3", None)
    with pytest.raises(MissingExtra, match=r"learnt\[smt\]"):
        prove(one_layer_sort(), "sorted", 4)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"length": 0}, "length"),
        ({"length": 9}, "n_ctx = 8"),
        ({"length": True}, "length"),
        ({"length": 2}, "one letter"),
        ({"specification": "shuffled"}, "sorted"),
        ({"specification": 7}, "specification"),
        ({"specification": lambda tokens: tokens[1:]}, "compared by `check`"),
        ({"timeout": 0}, "timeout"),
        ({"allowed": [["<s>"]]}, "allowed"),
        ({"allowed": [["<s>"], [], ["0"], ["</s>"]]}, r"allowed\[1\]"),
        ({"allowed": [["<s>"], ["9"], ["0"], ["</s>"]]}, r"allowed\[1\]"),
        ({"specification": golden("hist")}, "other tokens"),
    ],
)
def test_questions_without_meaning_are_refused(change, named):
    settings = {"specification": "sorted", "length": 4} | change
    with pytest.raises(InputError, match=named):
        prove(one_layer_sort(), **settings)
