"""Two things with one claim: the same answers, everywhere, or on a sample with a bound that holds."""

import json
from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.stats import binom, binomtest

from learnt.core.errors import InputError, LearntError, NotApplicable, ShapeError
from learnt.programs import Batch, Head, Layer, NumMLP, Program, encode, evaluate, tasks
from learnt.programs._verify_bounds import interval, upper
from learnt.programs.task_domain import Domain
from learnt.programs.verification import all_inputs, verify

from .made import golden, one_layer_sort, random_inputs, random_program


def dyck1() -> Program:
    """Spec 2.5: count both brackets, compare, and look whether there ever were more closed than opened."""
    vocab = ["<pad>", "(", ")", "<s>"]
    counts = [Head(query="tokens", key="tokens", value="ones", predicate=[b] * 16) for b in (1, 2)]
    table = [0 if o == c else 1 if o > c else 2 for o in range(17) for c in range(17)]
    compared = NumMLP(inputs=["num_attn_0_0", "num_attn_0_1"], sizes=[17, 17], table=table)
    ever = Head(query="positions", key="num_mlp_0_0", value="num_mlp_0_0", predicate=[2] * 16)
    votes = np.zeros((16, 3))
    votes[0, 2] = votes[1, 1] = votes[2, 0] = 1
    broken = np.zeros((16, 3))
    broken[2, 0] = 9
    layers = [Layer(num_heads=counts, num_mlps=[compared]), Layer(cat_heads=[ever])]
    return Program(
        vocab=vocab, labels=["F", "P", "T"], k=16, n_ctx=16, layers=layers, causal=True,
        classifier={"num_mlp_0_0": votes, "attn_1_0": broken},
    )  # fmt: skip


def edited(program: Program, layer: int, entry: int, value: int, kind: str = "cat_heads") -> Program:
    """One entry of the predicate of a layer's first head changed."""
    heads = getattr(program.layers[layer], kind)
    predicate = (*heads[0].predicate[:entry], value, *heads[0].predicate[entry + 1 :])
    changed = replace(program.layers[layer], **{kind: (replace(heads[0], predicate=predicate), *heads[1:])})
    return replace(program, layers=(*program.layers[:layer], changed, *program.layers[layer + 1 :]))


@pytest.mark.parametrize(
    ("program", "task", "size"),
    [
        (golden("reverse"), tasks.reverse(8, 8), 19_530),
        (one_layer_sort(), tasks.sort(8, 8), 19_530),
        (dyck1(), tasks.dyck1(), 32_768),
    ],
    ids=["reverse", "sort", "dyck1"],
)
def test_check_10_hand_written_programs_have_exactly_no_disagreement(program, task, size):
    found = verify(program, task.oracle, task, scored=task)
    assert (found.kind, found.n, found.disagreements, found.disagreeing_tokens) == ("exhaustive", size, 0, 0)
    assert found.equal
    assert found.proved
    assert found.bound == 0
    assert found.examples == ()


@pytest.mark.parametrize("entry", range(1, 5))
def test_check_10_one_changed_predicate_entry_gives_counterexamples_shortest_first_then_lexicographic(entry):
    program, task = golden("reverse"), tasks.reverse(8, 6)
    changed = edited(program, 1, entry, 0)  # reads <s> instead of a token
    found = verify(changed, task.oracle, task, scored=task, shown=10**6)
    brute = [
        tokens
        for n in range(1, 5)  # `product` is lexicographic
        for word in product("01234", repeat=n)
        for tokens in (("<s>", *word, "</s>"),)
        if changed(tokens)[1:-1] != word[::-1]
    ]
    assert brute
    assert [example.tokens for example in found.examples] == brute
    assert found.disagreements == len(brute)
    assert found.bound == found.share == len(brute) / 780
    assert not found.equal
    first = found.examples[0]
    assert first.program == changed(first.tokens)
    assert first.positions == tuple(
        i for i in range(1, len(first.tokens) - 1) if first.program[i] != first.tokens[1:-1][::-1][i - 1]
    )
    assert f"{len(brute):,}" in str(found)
    assert 2 <= len(str(found).splitlines()) <= 6


def test_only_scored_positions_are_compared_if_so_asked():
    program, task = golden("reverse"), tasks.reverse(8, 8)
    inputs = [["<s>", "3", "1", "</s>"], ["<s>", "2", "</s>"]]
    assert verify(program, task.oracle, inputs, scored=task).tokens == 3
    assert verify(program, task.oracle, inputs, scored=lambda tokens: [t in "01234" for t in tokens]).equal
    everything = verify(program, task.oracle, inputs)  # the oracle answers <pad> elsewhere
    assert (everything.tokens, everything.disagreeing_tokens) == (7, 4)
    assert everything.examples[0].model == ("<pad>", "2", "<pad>")
    assert everything.kind == "given"
    assert everything.bound is None
    known = tasks.Task.from_pairs([["a"], ["b"], ["a", "b"]], [["x"], ["<pad>"], ["x", "y"]])
    with pytest.raises(NotApplicable, match="no example"):
        verify(program, task.oracle, inputs, scored=known)
    with pytest.raises(NotApplicable, match="no position"):
        verify(program, task.oracle, inputs, scored=lambda tokens: [False] * len(tokens))
    with pytest.raises(ShapeError, match="one a token"):
        verify(program, task.oracle, inputs, scored=lambda tokens: [True])


def test_examples_of_a_task_without_oracle_say_what_is_scored():
    task = tasks.Task.from_pairs([["1"], ["2"], ["1", "1"]], [["1"], ["<pad>"], ["2", "2"]])
    inputs = [["<s>", "1"], ["<s>", "2"], ["<s>", "1", "1"]]
    assert verify(golden("hist"), golden("hist"), inputs, scored=task).tokens == 3


@given(seed=st.integers(0, 2**32))
@settings(max_examples=60, deadline=None)
def test_disagreements_are_those_that_the_interpreter_finds(seed):
    program = random_program(seed)
    inputs = random_inputs(program, seed)
    other = replace(program, classifier={name: (-np.array(v)).tolist() for name, v in program.classifier.items()})
    found = verify(program, other, inputs, shown=99)
    brute = {tuple(tokens) for tokens in inputs if program(tokens) != other(tokens)}
    order = {token: i for i, token in enumerate(program.vocab)}
    ordered = sorted(brute, key=lambda tokens: (len(tokens), [order[t] for t in tokens]))
    assert [example.tokens for example in found.examples] == ordered
    assert found.disagreements == sum(tuple(tokens) in brute for tokens in inputs)
    assert found.disagreeing_tokens == sum(
        a != b for tokens in inputs for a, b in zip(program(tokens), other(tokens), strict=True)
    )
    assert json.loads(json.dumps(found.to_fields()))["disagreements"] == found.disagreements
    callable_ = verify(program, lambda tokens: other(tokens), inputs, shown=99)
    assert callable_ == found


@given(seed=st.integers(0, 2**32))
@settings(max_examples=60, deadline=None)
def test_check_13_padding_and_company_never_change_a_prediction(seed):
    program = random_program(seed)
    assume(program.padded)
    inputs = random_inputs(program, seed)
    rng = np.random.default_rng(seed)

    class Padded:
        """The same program, asked with each input padded and with rubbish behind its end."""

        def predict_ids(self, ids, lengths):
            wide = np.pad(ids, ((0, 0), (0, 3)))
            beyond = np.arange(wide.shape[1]) >= lengths[:, None]
            wide[beyond] = rng.integers(0, len(program.vocab), beyond.sum())
            order = rng.permutation(len(ids))
            found = evaluate(program, Batch(ids=wide[order], lengths=lengths[order])).predictions
            back = np.empty_like(found)
            back[order] = found
            return back if program.pool else back[:, : ids.shape[1]]

    assert verify(program, Padded(), inputs).equal
    assert verify(program, lambda tokens: program([*tokens, "<pad>", "<pad>"]), inputs).equal


@given(seed=st.integers(0, 2**32))
@settings(max_examples=60, deadline=None)
def test_check_13_a_causal_program_never_looks_ahead(seed):
    program = replace(random_program(seed), causal=True, pool=False)
    inputs = [tokens for tokens in random_inputs(program, seed) if len(tokens) > 1]
    assume(inputs)
    words = program.vocab[1:] if program.padded else program.vocab
    cut = max(1, len(inputs[0]) // 2)

    def ahead(tokens):
        changed = [*tokens[:cut], *(words[(words.index(t) + 1) % len(words)] for t in tokens[cut:])]
        return program(changed)

    assert verify(program, ahead, inputs, scored=lambda tokens: [i < cut for i in range(len(tokens))]).equal


def test_check_13_control_a_program_that_looks_ahead_is_found_out():
    program = golden("reverse")
    changed = verify(program, lambda t: program([*t[:1], "0", *t[2:]]), [["<s>", "1", "2", "</s>"]])
    assert changed.examples[0].positions == (2,)  # the mirror of position 1


@given(seed=st.integers(0, 2**32))
@settings(max_examples=60, deadline=None)
def test_check_14_permuted_and_renamed_heads_leave_the_function_unchanged(seed):
    program = random_program(seed)
    rng = np.random.default_rng(seed)
    layers = tuple(
        replace(
            layer,
            **{
                kind: tuple(getattr(layer, kind)[i] for i in rng.permutation(len(getattr(layer, kind))))
                for kind in ("cat_heads", "num_heads", "cat_mlps", "num_mlps")
            },
        )
        for layer in program.layers
    )
    moved = replace(program, layers=layers)
    names = {module.name: f"renamed_{i}" for i, (_, _, module) in enumerate(moved.modules())}
    found = verify(program, moved.renamed(names), random_inputs(program, seed), logits=True)
    assert found.equal
    assert found.largest_difference is not None
    assert found.largest_difference < 1e-9


def test_check_10_sampled_bounds_are_clopper_and_pearson():
    for n in (1, 10, 10_000):
        assert upper(0, n, 0.95) == pytest.approx(1 - 0.05 ** (1 / n), rel=1e-12)
    assert upper(0, 10_000, 0.95) == pytest.approx(3 / 10_000, rel=2e-3)
    assert upper(7, 7, 0.95) == 1
    for seen, n in ((0, 20), (3, 50), (49, 50), (50, 50)):
        reference = binomtest(seen, n)
        one_sided = binomtest(seen, n, alternative="less").proportion_ci(0.95, method="exact")
        assert upper(seen, n, 0.95) == pytest.approx(one_sided.high, rel=1e-9)
        both = reference.proportion_ci(0.9, method="exact")
        assert interval(seen, n, 0.9) == pytest.approx((both.low, both.high), rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("share", [0.003, 0.05, 0.3])
def test_a_bound_covers_the_share_as_often_as_it_says_and_the_observed_share_does_not(share):
    n = 200
    seen = np.arange(n + 1)
    odds = binom.pmf(seen, n, share)
    bounds = np.array([upper(int(x), n, 0.95) for x in seen])
    assert odds[bounds >= share].sum() >= 0.95
    assert odds[seen / n >= share].sum() < 0.75  # the control: the share itself as its bound


def test_the_bound_of_a_sample_covers_the_share_of_wrong_inputs():
    program = golden("hist")
    words = program.vocab[1:7]

    def draw(count, seed):
        return [("<s>", words[i]) for i in np.random.default_rng(seed).integers(6, size=count)]

    domain = Domain(size=6, walk=lambda: iter(("<s>", w) for w in words), draw=draw)

    def wrong_on_one(tokens):
        return program(tokens) if tokens[1] != "3" else ("?", "?")

    covered = near = 0
    for seed in range(150):
        found = verify(program, wrong_on_one, domain, most=0, samples=30, seed=seed)
        assert found.kind == "sampled"
        assert not found.proved
        assert len(found.examples) <= 1  # repetitions are counted and shown once
        covered += found.bound >= 1 / 6
        near += found.share >= 1 / 6
    assert covered >= 138  # 142.5 expected at the least
    assert near < 120
    assert verify(program, wrong_on_one, domain).bound == 1 / 6
    assert "at most" in str(found)


def test_without_a_domain_all_sequences_are_compared_if_they_are_few():
    program = replace(golden("hist"), n_ctx=3)
    found = verify(program, program)
    assert (found.kind, found.n, found.tokens) == ("exhaustive", 7 + 49 + 343, 7 + 2 * 49 + 3 * 343)
    assert all_inputs(program).size == 399
    assert len(all_inputs(program).sample(9, seed=1)) == 9
    with pytest.raises(InputError, match="sequences over the vocabulary"):
        verify(program, program, most=398)


def test_programs_with_other_numbers_for_tokens_and_labels_are_the_same():
    program = golden("hist")
    order = [0, 3, 1, 2, 7, 6, 5, 4]
    place = {old: new for new, old in enumerate(order)}
    labels = program.labels[::-1]
    head = program.layers[0].num_heads[0]
    other = replace(
        program,
        vocab=[program.vocab[i] for i in order],
        labels=labels,
        layers=[Layer(num_heads=[replace(head, predicate=[place[head.predicate[i]] for i in order])])],
        classifier={name: votes[::-1] for name, votes in program.classifier.items()},
    )
    domain = [["<s>", *word] for n in range(1, 4) for word in product("0123", repeat=n)]
    found = verify(program, other, domain, logits=True)
    assert found.equal
    assert found.largest_difference == 0
    shifted = replace(other, classifier={**other.classifier, "ones": [v + 0.25 for v in other.classifier["ones"]]})
    assert verify(program, shifted, domain, logits=True).largest_difference == 0.25


def test_a_model_gets_the_words_that_the_program_does_not_know():
    program = replace(golden("hist"), vocab=(*golden("hist").vocab[:6], "<unk>", "<s>"))
    found = verify(program, lambda tokens: [*program(tokens)[:-1], tokens[-1]], [["<s>", "word"]])
    assert found.examples[0].tokens == ("<s>", "word")
    assert found.examples[0].model[-1] == "word"


def test_pooled_programs_are_compared_by_their_one_label():
    program = golden("pool")
    inputs = [["<s>", "who", "</s>"], ["<s>", "where", "</s>"]]
    found = verify(program, lambda tokens: "HUM", inputs)
    assert (found.tokens, found.disagreements) == (2, 1)
    assert found.examples[0].tokens == ("<s>", "where", "</s>")
    assert verify(program, lambda tokens: program(tokens), inputs).equal
    with pytest.raises(InputError, match="one label a token"):
        verify(program, replace(program, pool=False), inputs)
    with pytest.raises(InputError, match="scored"):
        verify(program, program, inputs, scored=lambda tokens: [True])


class Ids:
    """A batched model that answers what it is told."""

    def __init__(self, answer, logits=None):
        self.answer, self.logits = answer, logits

    def predict_ids(self, ids, lengths):
        return self.answer(ids, lengths)

    def logits_ids(self, ids, lengths):
        return self.logits(ids, lengths)


def test_a_batched_model_answers_in_ids():
    import torch

    program = golden("hist")
    inputs = [["<s>", "1", "1"], ["<s>", "2"]]

    def right(ids, lengths):
        return evaluate(program, Batch(ids=ids, lengths=lengths))

    model = Ids(lambda i, n: torch.tensor(right(i, n).predictions), lambda i, n: right(i, n).logits + 0.5)
    found = verify(program, model, inputs, logits=True)
    assert found.equal
    assert found.largest_difference == 0.5
    assert verify(program, model, encode(program, inputs)).equal  # a batch of ids


def test_a_network_answers_with_logits_and_may_number_tokens_and_labels_its_own_way():
    import torch

    program = Program(
        vocab=["<pad>", "<s>", "a", "b"], labels=["A", "B"], k=4, n_ctx=4, layers=[],
        classifier={"tokens": [[0, 0], [3, 0], [1, 0], [0, 1]]},
    )  # fmt: skip
    inputs = [["<s>", "a", "b", "b"], ["<s>", "b"]]
    network = torch.nn.Embedding.from_pretrained(torch.tensor(program.classifier["tokens"]))
    assert verify(program, network, inputs).equal
    assert verify(program, network, encode(program, inputs[1:])).equal
    wrong = torch.nn.Embedding.from_pretrained(torch.tensor(program.classifier["tokens"]).flip(1))
    assert verify(program, wrong, inputs).disagreeing_tokens == 6

    class Own:
        """Other ids, the same function, and one label more."""

        vocab, labels = ("<pad>", "b", "a", "<s>"), ("C", "B", "A")

        def predict_ids(self, ids, lengths):
            return np.array([0, 1, 2, 2])[ids]

    assert verify(program, Own(), inputs).equal
    with pytest.raises(ShapeError, match="one label a token"):
        verify(program, torch.nn.Sequential(network, torch.nn.Flatten()), inputs)


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (3, "Program, a function"),
        (Ids(lambda i, n: np.zeros((1, 1), int)), "shape"),
        (Ids(lambda i, n: np.zeros(i.shape)), "integers"),
        (Ids(lambda i, n: np.full(i.shape, 7)), "0 to 6"),
        (Ids(lambda i, n: np.full(i.shape, -1)), "the id -1"),
        (lambda tokens: "one", "a list of labels"),
        (lambda tokens: ["1"], "one a token"),
        (lambda tokens: [1] * len(tokens), "a label as text"),
        (lambda tokens: None, "a list of labels"),
    ],
)
def test_models_that_do_not_answer_are_errors(model, words):
    with pytest.raises(LearntError, match=words):
        verify(golden("hist"), model, [["<s>", "1"]])


def test_check_23_bad_arguments_are_errors():
    program = golden("hist")
    inputs = [["<s>", "1"]]
    for options, words in (
        ({"confidence": 1}, "between 0 and 1"),
        ({"confidence": "high"}, "between 0 and 1"),
        ({"shown": -1}, "shown"),
        ({"samples": 0}, "samples"),
        ({"scored": 3}, "Task, or a function"),
    ):
        with pytest.raises(InputError, match=words):
            verify(program, program, inputs, **options)
    with pytest.raises(InputError, match="a Program"):
        verify("hist", program, inputs)
    with pytest.raises(InputError, match="unknown token 'x'"):
        verify(program, program, [["x"]])
    with pytest.raises(InputError, match="no input"):
        verify(program, program, [])
    with pytest.raises(InputError, match="ids"):
        verify(program, lambda tokens: tokens, Batch(ids=np.array([[99]]), lengths=np.array([1])))
    with pytest.raises(NotApplicable, match="different labels"):
        verify(program, golden("reverse"), [["<s>", "1"]], logits=True)
    with pytest.raises(NotApplicable, match="logits_ids"):
        verify(program, lambda tokens: program(tokens), inputs, logits=True)
