"""A compiled program answers as the program does, and is an ordinary transformer."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from learnt.core.errors import InputError, NotApplicable, ShapeError
from learnt.programs import Batch, Evaluation, Head, Layer, NumMLP, Program, ReluNet, encode, evaluate, library, tasks
from learnt.programs._transformer_weights import ranks
from learnt.programs.interpreter import attend
from learnt.programs.transformer import CompiledTransformer, to_transformer

from .made import CASES, PROGRAMS, golden, large_program, random_inputs, random_program


def answers(program: Program, rows) -> tuple[Batch, Evaluation]:
    batch = rows if isinstance(rows, Batch) else encode(program, rows)
    return batch, evaluate(program, batch)


def worst(model: CompiledTransformer, batch: Batch, right: Evaluation) -> float:
    """The largest difference between logits."""
    with torch.no_grad():
        logits = model(torch.tensor(batch.ids), torch.tensor(batch.lengths)).numpy()
    difference = np.abs(logits - right.logits)
    return float((difference if model.program.pool else difference[right.real]).max())


@pytest.mark.parametrize("name", PROGRAMS)
@pytest.mark.parametrize(("dtype", "allowed"), [(torch.float64, 1e-12), (torch.float32, 1e-5)], ids=str)
def test_check_21_golden_programs_at_scale_50(name, dtype, allowed):
    program = golden(name)
    batch, right = answers(program, random_inputs(program, 0, 200))
    assert worst(to_transformer(program, scale=50.0, dtype=dtype), batch, right) < allowed
    model = to_transformer(program, dtype=dtype)
    assert (model.predict_ids(batch.ids, batch.lengths) == right.predictions).all()


@pytest.mark.parametrize(("program", "make"), list(zip(library.PROGRAMS, tasks.SYNTHETIC, strict=True)))
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
def test_check_21_hand_written_programs_on_their_domains(program, make, dtype):
    made, task = program(), make()
    rows, _ = task.domain().cover(20_000, samples=1000)
    rows = rows if dtype == torch.float64 else rows[::7]
    batch, right = answers(made, rows)
    model = to_transformer(made, scale=50.0, dtype=dtype)
    assert worst(model, batch, right) < 1e-4
    _, wanted = task.encode(task.answer(rows))
    wanted = wanted[:, : batch.ids.shape[1]]
    assert (model.predict_ids(batch.ids, batch.lengths) == wanted)[wanted >= 0].all() and (wanted >= 0).any()


@pytest.mark.parametrize("seed", range(60))
def test_random_programs_of_every_shape(seed):
    program = random_program(seed)
    rows = random_inputs(program, seed, 40)
    batch, right = answers(program, rows)
    for domain in (None, rows):
        model = to_transformer(program, domain=domain)
        assert worst(model, batch, right) < 1e-12
        assert (model.predict_ids(batch.ids, batch.lengths) == right.predictions).all()


@pytest.mark.parametrize("seed", [*range(8), *(s for s in range(60) if random_program(s).pool)][:12])
def test_its_logits_as_an_array_are_those_that_verify_compares(seed):
    program = random_program(seed)
    rows = random_inputs(program, seed, 40)
    batch, right = answers(program, rows)
    model = to_transformer(program)
    found = model.logits_ids(batch.ids, batch.lengths)
    assert isinstance(found, np.ndarray) and found.shape == right.logits.shape
    compared = program.verify(model, rows, logits=True)
    assert compared.equal and compared.largest_difference is not None and compared.largest_difference < 1e-12


def test_logits_that_are_off_are_seen():
    program = golden(next(iter(PROGRAMS)))
    model = to_transformer(program)
    with torch.no_grad():
        model.W_U += 0.25 * (model.W_U != 0)
    found = program.verify(model, random_inputs(program, 0, 40), logits=True)
    assert found.largest_difference is not None and found.largest_difference > 0.1


def test_a_program_of_the_size_of_a_learned_one():
    program = large_program()
    rows = tasks.sort().domain().sample(600, seed=4)
    batch, right = answers(program, rows)
    whole, fitted = to_transformer(program), to_transformer(program, domain=rows)
    assert worst(whole, batch, right) < 1e-12 and worst(fitted, batch, right) < 1e-12
    assert sum(p.numel() for p in fitted.parameters()) < sum(p.numel() for p in whole.parameters()) / 2


@pytest.mark.parametrize("scale", [10.0, 20.0])
def test_what_leaks_from_softmax_falls_as_its_scale_rises(scale):
    program = golden("induction")
    batch, right = answers(program, random_inputs(program, 1, 100))
    error = worst(to_transformer(program, scale=scale), batch, right)
    assert 0 < error < 9 * program.n_ctx * np.exp(-scale)  # votes of up to 9


@pytest.mark.parametrize("name", CASES)
def test_check_01_a_compiled_head_attends_as_the_rule_says(name):
    case = CASES[name]
    n, size = len(case["keys"]), max(*case["keys"], *case["queries"], len(case["predicate"]) - 1) + 1
    words = sorted({*zip(case["queries"], case["keys"], strict=True)})
    predicate = [*case["predicate"], *[0] * (size - len(case["predicate"]))]
    program = Program(
        vocab=tuple(f"q{q}k{k}" for q, k in words), labels=("x",), k=max(n, size), n_ctx=n,
        embeddings=[list(word) for word in words], classifier={}, causal=case["causal"],
        layers=[Layer(cat_heads=[Head(query="emb_0", key="emb_1", value="positions", predicate=[*predicate, *[0] * (max(n, size) - size)])])],
    )  # fmt: skip
    ids = torch.tensor([[words.index(word) for word in zip(case["queries"], case["keys"], strict=True)]])
    pattern = to_transformer(program).patterns(ids)["attn_0_0"][0]
    assert pattern.argmax(1).tolist() == case["attends_to"] and (pattern.amax(1) == 1).all()


def test_positions_are_ranked_as_the_interpreter_takes_them():
    for n in (1, 2, 5, 8):
        order = ranks(n)
        for i in range(n):
            left = set(range(n))
            for place in range(n):
                nearest = attend([0] * n, [0 if j in left else 1 for j in range(n)], [0])[i].position
                assert order[i, nearest] == place
                left.remove(nearest)


def test_check_13_padding_and_company_do_not_matter():
    program = library.most_freq()
    rows = tasks.most_freq().domain().sample(20, seed=6)
    model, batch = to_transformer(program), encode(program, rows)
    with torch.no_grad():
        together = model(torch.tensor(batch.ids))  # lengths are found from padding
        for row, n in enumerate(batch.lengths.tolist()):
            alone = model(torch.tensor(batch.ids[row : row + 1, :n]))
            assert (alone[0] - together[row, :n]).abs().max() < 1e-12
            noise = torch.tensor(np.random.RandomState(row).randint(0, 8, size=batch.ids.shape))
            noise[row, :n] = torch.tensor(batch.ids[row, :n])
            lengths = torch.full((len(rows),), 2)
            lengths[row] = n
            noise[:, :2] = noise[:, :2].clamp(min=1)
            assert (model(noise, lengths)[row, :n] - together[row, :n]).abs().max() < 1e-12


def test_check_13_a_causal_program_does_not_look_ahead():
    model = to_transformer(library.dyck2())
    a = torch.tensor([[3, 1, 4, 5, 2, 1]])
    b = torch.tensor([[3, 1, 4, 2, 2, 5]])
    with torch.no_grad():
        assert (model(a)[0, :3] == model(b)[0, :3]).all() and (model(a)[0, 3] != model(b)[0, 3]).any()


def test_the_residual_stream_says_what_the_variables_are():
    program = library.induction()
    model = to_transformer(program)
    tokens = ["<s>", "a", "1", "b", "2", "a"]
    run, ids = program.run(tokens), torch.tensor(encode(program, [tokens]).ids)
    with torch.no_grad():
        stream = model.residuals(ids)[-1][0]
        for variable in program.categorical:
            assert (stream[:, model.where[variable]].argmax(1).tolist()) == list(run.variables[variable])
        on = {model.residual_names[d] for d in torch.nonzero(stream[5] > 0.5).ravel()}
        assert on == {"tokens=a", "positions=5", "prev_token=2", "match=1", "ones"}
        assert "start:prev_token=<s>" in {model.residual_names[d] for d in torch.nonzero(stream[0]).ravel()}
        patterns = model.patterns(ids)
    assert patterns["match"][0, 5].argmax() == 2 and list(patterns) == ["prev_token", "match"]
    assert len(model.residual_names) == model.W_E.shape[1] == len(set(model.residual_names))


def test_counts_stand_in_the_stream_as_numbers():
    program = library.hist()
    model = to_transformer(program)
    ids = torch.tensor(encode(program, [["<s>", "2", "5", "5", "5"]]).ids)
    with torch.no_grad():
        assert model.residuals(ids)[-1][0, 1:, model.where["count"]].ravel().tolist() == [1, 3, 3, 3]


def test_it_is_an_ordinary_module():
    program = library.reverse()
    model = to_transformer(program, scale=50.0)
    names = set(model.state_dict())
    assert {"W_E", "W_pos", "W_U", "blocks.0.attention.W_Q", "blocks.0.mlp.0.weight"} <= names
    batch, right = answers(program, tasks.reverse().domain().sample(50))
    other = to_transformer(program, scale=5.0)
    assert worst(other, batch, right) > 1e-6
    other.load_state_dict(model.state_dict())
    assert worst(other, batch, right) < 1e-12
    model(torch.tensor(batch.ids)).sum().backward()
    gradient = model.W_U.grad
    assert gradient is not None and gradient.abs().sum() > 0
    before = torch.get_rng_state()
    to_transformer(library.hist())  # has no MLP
    assert (torch.get_rng_state() == before).all()


def test_a_wrong_weight_is_noticed():
    program = library.reverse()
    batch, right = answers(program, tasks.reverse().domain().sample(200))
    model = to_transformer(program)
    with torch.no_grad():
        model.get_parameter("blocks.1.mlp.0.bias").add_(1.0)
    assert worst(model, batch, right) > 0.1


def test_a_program_without_layers_and_masked_labels():
    program = Program(
        vocab=("a", "b"), labels=("x", "y", "z"), k=3, n_ctx=3, layers=[], masked_labels=[0],
        classifier={"tokens": [[9, 1, 2], [9, 2, 1], [0, 0, 0]]},
    )  # fmt: skip
    assert to_transformer(program).predict_ids(np.array([[0, 1, 1]])).tolist() == [[2, 1, 1]]


def test_too_large_things_are_refused_with_the_way_out():
    program = library.double_hist()
    with pytest.raises(NotApplicable, match="give a domain"):
        to_transformer(program, most=1000)
    heads = [
        Head(query="positions", key="tokens", value=v, predicate=[1] * 8, name=f"h{v}") for v in ("ones", "ones_2")
    ]
    net = ReluNet(W_in=[[0.5] * 3, [1.0] * 3], b_in=[0, 0], W_out=[[1, 2]] * 8, b_out=[0] * 8)
    wide = replace(
        library.hist(), classifier={},
        layers=[
            Layer(num_heads=[replace(heads[0], name="ones_2")]),
            Layer(num_heads=[replace(heads[1], name="squares")]),
            Layer(num_heads=[replace(heads[1], value="squares", name="cubes")], num_mlps=[NumMLP(inputs=["cubes"] * 3, weights=net)]),
        ],
    )  # fmt: skip
    with pytest.raises(NotApplicable, match="tuples of input values.*Give a domain"):
        to_transformer(wide)
    rows = [["<s>", "0", "0"], ["<s>", "1"]]
    batch, right = answers(wide, rows)
    assert worst(to_transformer(wide, domain=rows), batch, right) < 1e-12


def test_numbers_beyond_float32_are_refused(monkeypatch):
    from learnt.programs import transformer

    monkeypatch.setattr(transformer, "_EXACT", 7)
    with pytest.raises(NotApplicable, match="in float32.*Use torch.float64"):
        to_transformer(library.double_hist(), dtype=torch.float32)
    to_transformer(library.double_hist())


def test_a_bound_on_parameters_counts_all_of_them():
    program = library.dyck2()
    count = sum(p.numel() for p in to_transformer(program).parameters())
    with pytest.raises(NotApplicable):
        to_transformer(program, most=int(0.8 * count))
    to_transformer(program, most=count)


@pytest.mark.parametrize(
    ("options", "text"), [({"scale": 0.0}, "scale"), ({"scale": float("nan")}, "scale"), ({"dtype": torch.int64}, "dtype")]
)  # fmt: skip
def test_options_without_meaning_are_refused(options, text):
    with pytest.raises(InputError, match=text):
        to_transformer(library.hist(), **options)


def test_inputs_that_are_none_are_refused():
    model = to_transformer(library.hist())
    with pytest.raises(ShapeError, match="N from 1 to 8"):
        model(torch.ones(1, 9, dtype=torch.long))
    with pytest.raises(ShapeError, match="integers"):
        model(torch.ones(1, 4))
    with pytest.raises(ShapeError, match="lengths"):
        model(torch.ones(2, 4, dtype=torch.long), torch.tensor([4]))
    with pytest.raises(InputError, match="empty"):
        model(torch.zeros(1, 4, dtype=torch.long))
    for ids in ([[7, 8]], [[7, -1]], [[7, 0, 1]]):
        with pytest.raises(InputError, match="1 to 7"):
            model(torch.tensor(ids))
