"""The network: its discrete form is the program, its relaxed form mixes, and replicas do not see each other."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from tests.programs import made

from learnt.core.errors import InputError, NotApplicable, ShapeError
from learnt.programs import evaluate, tasks
from learnt.programs._loss import ProgramLoss, relaxed_size
from learnt.programs.config import Config, Factored
from learnt.programs.discretise import compiled, discretised, shape_of, to_torch
from learnt.programs.evaluator import Batch
from learnt.programs.module import ProgramModule, Relaxation, logits
from learnt.train.objectives import Batch as Examples
from learnt.train.objectives import Model

SMALL = Config(layers=2, cat_heads=2, num_heads=1, cat_mlps=1, num_mlps=1, hidden=8)


def random_batch(program, count=64, seed=0):
    rng = np.random.default_rng(seed)
    lengths = rng.integers(1, program.n_ctx + 1, count)
    ids = rng.integers(int(program.padded), len(program.vocab), (count, program.n_ctx))
    return Batch(ids=np.where(np.arange(program.n_ctx) < lengths[:, None], ids, 0), lengths=lengths)


def stacked(modules):
    named = [dict(m.named_parameters()) for m in modules]
    return {name: torch.stack([n[name].detach() for n in named]).requires_grad_() for name in named[0]}


@pytest.mark.parametrize("name", sorted(made.PROGRAMS))
def test_check_21_a_golden_program_as_network_answers_alike_and_turns_back_into_itself(name):
    program = made.golden(name)
    batch = random_batch(program)
    wanted = evaluate(program, batch)
    module = to_torch(program)
    real = wanted.real if not program.pool else np.ones(len(batch), dtype=bool)
    assert (module.predict_ids(batch.ids, batch.lengths) == wanted.predictions)[real].all()
    back = discretised(dict(module.named_parameters()), module.shape)
    assert (evaluate(back, batch).predictions == wanted.predictions)[real].all()


@pytest.mark.parametrize("seed", range(40))
def test_check_12_random_programs_survive_the_way_to_a_network_and_back(seed):
    program = made.random_program(seed)
    batch = random_batch(program, seed=seed)
    wanted = evaluate(program, batch)
    module = to_torch(program)
    real = wanted.real if not program.pool else np.ones(len(batch), dtype=bool)
    assert (module.predict_ids(batch.ids, batch.lengths) == wanted.predictions)[real].all()
    back = discretised(dict(module.named_parameters()), module.shape)
    assert (evaluate(back, batch).predictions == wanted.predictions)[real].all()


@pytest.mark.parametrize("seed", range(12))
def test_a_network_gives_its_logits_as_an_array_and_they_are_the_programs(seed):
    program = made.random_program(seed)
    module = to_torch(program).train()
    batch = random_batch(program, seed=seed)
    wanted = evaluate(program, batch)
    found = module.logits_ids(batch.ids, batch.lengths)
    assert isinstance(found, np.ndarray) and found.shape == wanted.logits.shape and module.training
    real = np.ones(len(batch), dtype=bool) if program.pool else wanted.real
    kept = [i for i in range(len(program.labels)) if i not in program.masked_labels]
    np.testing.assert_allclose(found[..., kept][real], wanted.logits[..., kept][real], atol=1e-4)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("config", [SMALL, Config(layers=1, cat_heads=1, num_heads=0, cat_mlps=2, num_mlps=0, mlp_inputs=3, hidden=5)])  # fmt: skip
def test_an_untrained_network_answers_like_its_discrete_program(seed, config):
    torch.manual_seed(seed)
    module = ProgramModule(config.shape(tasks.sort()))
    program = discretised(dict(module.named_parameters()), module.shape)
    batch = random_batch(program, 200, seed)
    wanted = evaluate(program, batch)
    assert (module.predict_ids(batch.ids, batch.lengths) == wanted.predictions)[wanted.real].all()
    with torch.no_grad():
        scores = module.eval()(torch.as_tensor(batch.ids)).numpy()
    np.testing.assert_allclose(scores[wanted.real], wanted.logits[wanted.real], atol=1e-4)


def test_check_13_padding_and_the_order_of_a_batch_change_no_relaxed_logit():
    torch.manual_seed(0)
    shape = SMALL.shape(tasks.sort())
    tensors = stacked([ProgramModule(shape)])
    plain = Relaxation(temperature=0.7, noise=False, attention_noise=False, mlp_noise=False)
    ids = torch.tensor([[2, 3, 4, 1, 0, 0, 0, 0], [2, 5, 1, 0, 0, 0, 0, 0]])
    whole = logits(tensors, ids[None], shape, plain)
    torch.testing.assert_close(logits(tensors, ids[None, :, :5], shape, plain)[0, 0, :4], whole[0, 0, :4])
    torch.testing.assert_close(logits(tensors, ids.flip(0)[None], shape, plain), whole.flip(1))


def test_check_13_a_causal_network_does_not_see_what_comes_later():
    torch.manual_seed(0)
    shape = Config(layers=2, cat_heads=1, num_heads=1, cat_mlps=1, num_mlps=1, hidden=8, causal=True).shape(
        tasks.sort()
    )
    tensors = stacked([ProgramModule(shape)])
    plain = Relaxation(temperature=0.7, noise=False, attention_noise=False, mlp_noise=False)
    ids = torch.tensor([[2, 3, 4, 5, 6, 1]])
    changed = ids.clone()
    changed[0, 4] = 3
    before, after = (logits(tensors, x[None], shape, plain)[0, 0] for x in (ids, changed))
    torch.testing.assert_close(before[:4], after[:4])
    assert float((before[4] - after[4]).detach().abs().max()) > 1e-3


def test_check_19_replicas_in_a_batch_have_the_losses_and_gradients_of_replicas_alone():
    torch.manual_seed(0)
    task = tasks.sort()
    shape = SMALL.shape(task)
    modules = [ProgramModule(shape) for _ in range(3)]
    ids, targets = (torch.as_tensor(x[:50]) for x in task.encode(task.split().train))
    loss = ProgramLoss(shape, targets, complexity=0.01)
    loss.relaxation = Relaxation(temperature=0.5, noise=False, attention_noise=False, mlp_noise=False)
    batch = Examples(ids, None, torch.arange(50), loss.prepare(None))  # pyright: ignore[reportArgumentType]
    together = stacked(modules)
    spread = Examples(
        ids.expand(3, -1, -1), None, batch.index.expand(3, -1), {k: v.expand(3, *v.shape) for k, v in batch.extra.items()}
    )  # fmt: skip
    losses = loss.stacked(modules[0], together, spread)
    losses.sum().backward()
    for i, module in enumerate(modules):
        alone = loss(Model(module, None), batch)
        assert float(alone.detach()) == pytest.approx(float(losses[i].detach()), abs=1e-6)
        alone.backward()
        for name, parameter in module.named_parameters():
            torch.testing.assert_close(parameter.grad, together[name].grad[i], rtol=1e-4, atol=1e-6)


def test_a_read_gate_takes_gradient_at_temperature_one():
    torch.manual_seed(0)
    task = tasks.sort()
    module = ProgramModule(SMALL.shape(task))
    ids, targets = (torch.as_tensor(x[:20]) for x in task.encode(task.split().train))
    loss = ProgramLoss(module.shape, targets)
    loss(Model(module, None), Examples(ids, None, torch.arange(20), loss.prepare(None))).backward()  # pyright: ignore[reportArgumentType]
    for name, parameter in module.named_parameters():
        if ("gates" in name or "predicates" in name) and parameter.shape[-1] > 1:  # one variable is no choice
            assert parameter.grad is not None and float(parameter.grad.abs().sum()) > 0, name


def test_the_relaxed_size_counts_what_votes_and_what_it_reads():
    program = made.golden("induction")  # two heads; only the second votes, and it reads the first
    shape = shape_of(program)
    tensors = {name: torch.as_tensor(v, dtype=torch.float32)[None] for name, v in compiled(program, shape).items()}
    tensors["votes"] = tensors["votes"] * 100
    assert float(relaxed_size(tensors, shape, 0.01)) == pytest.approx(2.0, abs=1e-3)
    tensors["votes"] = tensors["votes"] * 0
    assert float(relaxed_size(tensors, shape, 0.01)) == pytest.approx(0.0, abs=1e-3)


def test_factored_embeddings_start_from_vectors_and_become_integers():
    task = tasks.questions()
    vectors = np.random.default_rng(0).normal(size=(2, 32, len(task.vocab)))
    config = Config(layers=1, cat_heads=1, num_heads=0, cat_mlps=0, num_mlps=0, var_size=32, embed=Factored(n=2))
    module = ProgramModule(config.shape(task), start=vectors)
    program = discretised(dict(module.named_parameters()), module.shape)
    wanted = vectors.argmax(1).T
    assert np.array_equal(np.array(program.embeddings), wanted)
    assert program.pool == task.pool
    batch = random_batch(program)
    assert (module.predict_ids(batch.ids, batch.lengths) == evaluate(program, batch).predictions).all()
    with pytest.raises(ShapeError, match="start"):
        ProgramModule(config.shape(task), start=vectors[:, :5])


def test_check_23_sizes_that_do_not_fit_the_task_are_refused():
    task = tasks.sort()
    with pytest.raises(InputError, match="var_size.*positions"):
        Config(var_size=4).shape(task)
    with pytest.raises(InputError, match="one_hot"):
        Config(var_size=8).shape(tasks.sort(vocab_size=12, max_length=8))
    assert Config(layers=1, cat_heads=0, num_heads=0, cat_mlps=0, num_mlps=0).modules == 0  # a no-op, allowed
    for wrong in ({"layers": 0}, {"cat_heads": -1}, {"mlp_inputs": 0}, {"hidden": 1.5}, {"embed": "two_hot"}):
        with pytest.raises(InputError):
            Config(**wrong)
    for wrong in ({"temperature": 0.0}, {"tie_bias": -1.0}, {"default": "min"}):
        with pytest.raises(InputError):
            Relaxation(**wrong)


def test_check_23_a_layer_without_modules_and_an_mlp_of_ones_are_allowed():
    task = tasks.hist()
    config = Config(layers=2, cat_heads=0, num_heads=0, cat_mlps=0, num_mlps=1, hidden=4)
    module = ProgramModule(config.shape(task))
    program = discretised(dict(module.named_parameters()), module.shape)
    outputs = evaluate(program, [["<s>", "1", "2"]], keep=True).variables
    assert len(set(outputs["num_mlp_0_0"][0].tolist())) == 1  # constant, as it reads nothing but ones
    empty = ProgramModule(Config(layers=1, cat_heads=0, num_heads=0, cat_mlps=0, num_mlps=0).shape(task))
    assert discretised(dict(empty.named_parameters()), empty.shape).layers[0].cat_heads == ()


def test_a_table_too_large_for_a_network_is_refused():
    from learnt.programs import Layer, Program, TableMLP

    inputs = ("tokens", "positions", "tokens", "positions", "tokens")
    mlp = TableMLP(inputs=inputs, table=[0] * 12**5)
    program = Program(vocab=("<pad>", "a"), labels=("x",), k=12, n_ctx=4, layers=[Layer(cat_mlps=[mlp])], classifier={})
    with pytest.raises(NotApplicable, match="248,832"):
        to_torch(program)


def test_dropout_hides_variables_from_the_classifier_in_training_only():
    torch.manual_seed(0)
    shape = SMALL.shape(tasks.sort())
    module = ProgramModule(shape)
    ids = torch.tensor([[2, 3, 4, 1, 0, 0, 0, 0]]).expand(400, -1)
    plain = Relaxation(temperature=0.7, noise=False, attention_noise=False, mlp_noise=False)
    with torch.no_grad():
        tensors = stacked([module])
        whole = logits(tensors, ids[None], shape, plain)[0, 0, :4]
        hidden = logits(tensors, ids[None], shape, replace(plain, dropout=0.5))[0, :, :4]
        assert float((hidden - whole).abs().max()) > 0.1
        spread = hidden.std(0) / 400**0.5
        assert ((hidden.mean(0) - whole).abs() < 5 * spread).all()  # what is left counts more, so the mean stays
        module.relaxation = replace(plain, dropout=0.5)
        torch.testing.assert_close(module.eval()(ids[:2])[0], module.eval()(ids[:2])[1])
