"""Do these programs answer alike? Programs, functions and networks on token sequences, in the common comparison."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

import learnt
from learnt.core.errors import InputError, NonFiniteError, NotApplicable, ShapeError
from learnt.core.measure import Exact, Sums, Undefined
from learnt.programs import Batch, evaluate, tasks
from learnt.programs.answers import Answerer
from learnt.programs.behaviour import ProgramAgreement
from learnt.programs.difference import diff
from learnt.programs.modules import ModuleAgreement
from learnt.programs.sequences import Sequences, as_sequences
from learnt.programs.task import Task
from learnt.report.html import read
from learnt.testing import check_measure

from .edited import mutilated
from .made import golden, large_program, one_layer_sort, random_inputs

RNG = np.random.default_rng(0)
SHORT = tasks.sort(max_length=6)  # 780 inputs
BOTH = [ProgramAgreement(), ModuleAgreement()]


def asked(a, b, data, measure=None):
    measure = ProgramAgreement() if measure is None else measure
    data = Sequences.of(data)
    states = [measure.prepare(data.subject(x, name=n), data, rng=RNG) for x, n in ((a, "a"), (b, "b"))]
    return measure.compare(*states, rng=RNG)


def test_counting_by_tokens_keeps_every_law():  # by inputs: tests/test_conformance.py, with the catalogue
    check_measure(ProgramAgreement(per="tokens"))


def test_the_values_are_those_counted_by_hand():
    says_a = {"pq": "xy", "p": "x", "qqq": "xxx", "q": "x"}
    says_b = {"pq": "xx", "p": "x", "qqq": "yyx", "q": "y"}
    a, b = (lambda tokens, table=table: list(table["".join(tokens)]) for table in (says_a, says_b))
    rows = [list(word) for word in says_a]
    found = asked(a, b, rows)
    assert isinstance(found, Sums)
    assert found.per_example.tolist() == [0, 1, 0, 0]
    assert found.details["shortest"] == [["q", "x", "y"], ["p q", "x y", "x x"], ["q q q", "x x x", "y y x"]]
    assert sorted(map(tuple, found.details["confusion"])) == [("x", "y", 3), ("y", "x", 1)]
    assert found.details["lengths"].tolist() == [1, 2, 3]
    assert found.details["alike"].tolist() == [0.5, 0, 0]
    by_token = asked(a, b, rows, ProgramAgreement(per="tokens"))
    assert by_token.combine(by_token.columns.mean(0)) == pytest.approx(3 / 7)
    assert by_token.per_example.tolist() == pytest.approx([0.5, 1, 1 / 3, 0])


def test_a_whole_domain_gives_an_exact_number_and_a_sample_an_interval():
    program, other = one_layer_sort(), mutilated(one_layer_sort())
    found = asked(program, other, SHORT)
    assert isinstance(found, Exact)
    wrong = [t for t in SHORT.domain() if program(t)[1:-1] != other(t)[1:-1]]
    assert found.value == pytest.approx(1 - len(wrong) / 780)
    drawn = Sequences.of(SHORT, most=100, samples=400)
    assert (drawn.sampled, drawn.exhaustive, len(drawn)) == (True, False, 400)
    answer = learnt.compare(program, other, drawn, measures=[ProgramAgreement()], quiet=True)["program_agreement"]
    assert answer.value.low < answer.value.value < answer.value.high


def test_hand_written_sort_against_a_mutilated_one_with_independent_controls(tmp_path):
    program, controls = one_layer_sort(), [large_program(1), large_program(2)]
    found = learnt.compare(program, mutilated(program), SHORT, controls=controls, measures=BOTH, quiet=True)
    alike, modules = found["program_agreement"], found["module_agreement"]
    assert alike.verdict == modules.verdict == "transferred"
    assert alike.value.kind == modules.value.kind == "exact"
    assert 0.3 < alike.value.value < 1
    assert alike.control.value < 0.1
    assert modules.control.value < 0.3 < 0.8 < modules.value.value < 1
    assert [row[0] for row in modules.details["b"]["aligned"]] == ["changed", "same", "same", "same"]
    path = found.to_html(tmp_path / "sort.html")
    text = path.read_text(encoding="utf-8")
    assert "Do these programs answer alike?" in text
    assert "Do they work by the same modules?" in text
    assert read(path)[0].to_dict() == found.to_dict()
    shortest = alike.details["b"]["shortest"][0]
    assert shortest[0].replace(" ", " · ") in alike.chart.alt
    assert "Do they work by the same modules?" in str(found)
    perfect = learnt.compare(program, program, SHORT, controls=controls, measures=BOTH, quiet=True)
    assert [x.value.value for x in perfect.answers] == [1, 1]
    assert [x.transfer.value for x in perfect.answers] == [1, 1]


def test_tokens_that_look_like_the_names_of_sides_are_left_alone(tmp_path):
    rows = [["A", "B", "B"], ["A", "B"], ["B"]]
    found = learnt.compare(
        lambda t: ["x"] * len(t), lambda t: ["A"] * len(t), rows, measures=[ProgramAgreement()], quiet=True,
        labels=("first", "second", "third"),
    )  # fmt: skip
    text = found.to_html(tmp_path / "sides.html").read_text(encoding="utf-8")
    assert "differently: “B”; first says “x”, and second says “A”" in text
    assert "“B”" in found.answers[0].chart.alt


def test_pairwise_compares_many_programs():
    program = one_layer_sort()
    matrix = learnt.pairwise([program, mutilated(program), large_program(1)], SHORT, measure=ProgramAgreement())
    assert matrix.values[0, 0] == 1
    assert (matrix.values == matrix.values.T).all()
    assert matrix.values[0, 1] > matrix.values[0, 2]


# -- data --------------------------------------------------------------------------------------------------


def test_tasks_domains_and_lists_are_data_and_nothing_else_is():
    assert as_sequences(SHORT).exhaustive
    assert as_sequences(SHORT).scored is not None
    assert as_sequences(SHORT.domain()).scored is None
    assert len(as_sequences([["a"], ["a", "b"]])) == 2
    assert as_sequences((np.zeros((3, 2)), np.zeros(3))) is None
    assert as_sequences([]) is None
    assert as_sequences(torch.zeros(3)) is None
    with pytest.raises(InputError, match="expected Examples, a pair"):
        learnt.compare(one_layer_sort(), one_layer_sort(), "text", quiet=True)


def test_keys_and_padding_of_sequences():
    data = Sequences([["a", "b"], ["ab"], ["a", "b", "<pad>"]])
    assert data.inputs[2] == data.inputs[0]
    assert data.keys[0] == data.keys[2] != data.keys[1]
    for wrong in ("text", [["a"], "b"], [[]], [[1]], [], 3, [(["a"],)], [()], ((1,),)):
        with pytest.raises(InputError):
            Sequences(wrong)
    with pytest.raises(ShapeError):
        Sequences([["a", "b"]], scored=[[True]])
    for marks in (True, [True], [[[True], [False]]]):
        with pytest.raises((InputError, ShapeError)):
            Sequences([["a"]], scored=marks)
    assert Sequences([("a", "b")], scored=np.array([[1, 0]])).scored == ((True, False),)


def test_positions_without_a_right_answer_do_not_count():
    program = one_layer_sort()
    (layer,) = program.layers
    marks = np.array(program.classifier["positions"])
    marks[0] = [0, 0, 0, 0, 9]
    other = replace(program, classifier={**program.classifier, "positions": marks})
    assert asked(program, other, SHORT).value == 1
    assert asked(program, other, SHORT.domain()).value < 1
    known = Task.from_pairs([["a"], ["a", "b"], ["b"]], [["x"], ["x", "<pad>"], ["y"]])
    data = Sequences.of(known)
    assert {len(row): marks for row, marks in zip(data.inputs, data.scored, strict=True)}[3] == (False, True, False)
    assert not data.exhaustive


# -- things ------------------------------------------------------------------------------------------------


class Copies(nn.Module):
    """Logits (b, N, labels) of the label with the number of the token; counts how it is run."""

    def __init__(self, task, noise=0.0):
        super().__init__()
        self.index = [task.labels.index(token) if token in task.labels else 0 for token in task.vocab]
        self.table = nn.Parameter(torch.eye(len(task.labels))[self.index])
        self.drop = nn.Dropout(0.5)

    def forward(self, ids):
        return self.drop(self.table[ids])


class Says:
    """Ids of labels from ids of tokens, with names of its own."""

    vocab, labels = ("<pad>", "<s>", "</s>", *"43210"), tuple("43210")

    def predict_ids(self, ids, lengths):
        return np.maximum(ids - 3, 0)


def copy_task():
    return Task.from_oracle(lambda t: list(t), alphabet=list("01234"), longest=3, name="copy")


def test_networks_and_things_with_predict_ids_are_compared_by_name():
    task = copy_task()
    net = Copies(task)
    net.train()
    assert asked(net, task.oracle, task).value == 1
    assert asked(net, Says(), task).value == 1
    assert net.training
    assert net.drop.training
    backwards = asked(net, lambda t: ("x", *t[:0:-1]), task).value
    assert 0 < backwards < 1
    found = learnt.compare(net, Says(), task, quiet=True, measures=[ProgramAgreement()])
    assert found["program_agreement"].value.value == 1


def test_a_difference_from_a_network_uses_the_numbers_of_the_program():
    program = golden("induction")  # without padding in its vocabulary, or with it
    inputs = random_inputs(program, 0, 40)

    class Same:
        def predict_ids(self, ids, lengths):
            return evaluate(program, Batch(ids=ids, lengths=lengths)).predictions

    assert diff(program, Same(), inputs).distance == 0
    bare = replace(one_layer_sort(), vocab=("x", *one_layer_sort().vocab[1:]))
    assert not bare.padded

    class Bare:
        def predict_ids(self, ids, lengths):
            return evaluate(bare, Batch(ids=ids, lengths=lengths)).predictions

    rows = [["x", "1", "0"], ["x"], ["<s>", "4"]]
    assert diff(bare, Bare(), rows).distance == 0


def test_a_question_about_modules_is_left_out_for_things_without_them():
    task = copy_task()
    with pytest.raises(NotApplicable, match="has no modules"):
        learnt.compare(Says(), Says(), task, measures=BOTH, quiet=True)


def test_networks_that_cannot_answer_say_why():
    task = copy_task()
    rows = [["<s>", "1"], ["<s>", "2", "3"]]
    with pytest.raises(NotApplicable, match="tokens and labels have no names"):
        asked(Copies(task), task.oracle, rows)
    wide = nn.Sequential(nn.Embedding(8, 9))
    with torch.no_grad():
        wide[0].weight[:, 8] = 99
    with pytest.raises(InputError, match="outside the labels"):
        asked(wide, task.oracle, task)
    with pytest.raises(ShapeError, match="logits"):
        asked(nn.Flatten(0), task.oracle, task)
    lost = nn.Embedding(8, 5)
    with torch.no_grad():
        lost.weight[2] = torch.nan
    with pytest.raises(NonFiniteError, match="NaN"):
        asked(lost, task.oracle, task)
    with pytest.raises(InputError, match="integers"):
        asked(type("Floats", (Says,), {"predict_ids": lambda self, ids, lengths: ids * 1.0})(), task.oracle, task)
    with pytest.raises(ShapeError, match="answers of shape"):
        asked(type("Short", (Says,), {"predict_ids": lambda self, ids, lengths: ids[:3]})(), task.oracle, task)


def test_things_that_give_one_label_an_input():
    pooled = golden("pool")
    inputs = random_inputs(pooled, 0, 20)
    assert asked(pooled, lambda tokens: pooled(tokens)[0], inputs).columns.mean() == 1
    assert asked(pooled, pooled, inputs, ProgramAgreement(per="tokens")).columns[:, 1].tolist() == [1] * 20
    with pytest.raises(ShapeError, match="one label an input"):
        asked(pooled, lambda tokens: list(tokens), inputs)
    assert Answerer(pooled, Sequences(inputs), name="a").answers.of(0) == pooled(inputs[0])


def test_a_program_that_cannot_take_an_input_names_it():
    with pytest.raises(InputError, match="unknown token"):
        asked(one_layer_sort(), golden("hist"), [["<s>", "zebra"]])


def test_where_nothing_counts_there_is_no_share_of_tokens():
    data = Sequences([["<s>", "1"], ["<s>", "2"]], scored=[[False, False]] * 2)
    program = one_layer_sort()
    assert asked(program, program, data).columns.mean() == 1
    assert isinstance(asked(program, program, data, ProgramAgreement(per="tokens")), Undefined)
    with pytest.raises(InputError, match="per"):
        ProgramAgreement(per="words")  # type: ignore[arg-type]


def test_many_lengths_are_drawn_as_a_line():
    rows = [["a"] * n for n in range(1, 40)]
    found = asked(lambda t: ["x"] * len(t), lambda t: ["x" if len(t) < 20 else "y"] * len(t), rows)
    chart = ProgramAgreement().chart({"b": found.details})
    assert chart.kind == "lines"
    assert chart.series["b"].tolist() == [1.0] * 19 + [0.0] * 20
    same = asked(lambda t: ["x"] * len(t), lambda t: ["x"] * len(t), rows[:1])
    assert ProgramAgreement().chart({"b": same.details}) is None
