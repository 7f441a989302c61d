"""The ordinary transformer: what it may see, what it learns; and accuracy by length."""

import numpy as np
import pytest
import torch

from learnt.core.errors import InputError, ShapeError
from learnt.programs import library, tasks
from learnt.programs.length import length_generalisation
from learnt.programs.standard import PositionLoss, StandardTransformer, train_standard

VOCAB, LABELS = ["<pad>", "<s>", "a", "b", "c"], ["x", "y", "z"]


def network(**changes) -> StandardTransformer:
    torch.manual_seed(0)
    return StandardTransformer(VOCAB, LABELS, 6, layers=2, heads=2, width=16, **changes).eval()


def test_there_is_a_row_of_logits_for_each_position_or_one_for_each_input():
    ids = torch.tensor([[1, 2, 3, 0], [1, 4, 4, 2]])
    assert network()(ids).shape == (2, 4, 3)
    assert network(pool=True)(ids).shape == (2, 3)
    one = network()
    assert sum(p.numel() for p in one.encoder.parameters()) == 2 * sum(
        p.numel() for p in one.encoder.layers[0].parameters()
    )
    assert not torch.equal(one.encoder.layers[0].linear1.weight, one.encoder.layers[1].linear1.weight)


@pytest.mark.parametrize("pool", [False, True])
def test_check_13_padding_and_neighbours_in_the_batch_change_nothing(pool):
    one = network(pool=pool)
    short, long = torch.tensor([[1, 2, 3]]), torch.tensor([[1, 2, 3, 0, 0], [1, 4, 4, 2, 3]])
    alone, beside = one(short)[0], one(long)[0]
    torch.testing.assert_close(alone, beside if pool else beside[:3], atol=1e-5, rtol=1e-5)


def test_check_13_a_causal_network_does_not_look_ahead_and_another_does():
    a, b = torch.tensor([[1, 2, 3, 2]]), torch.tensor([[1, 2, 3, 4]])
    causal, free = network(causal=True), network()
    torch.testing.assert_close(causal(a)[0, :3], causal(b)[0, :3], atol=1e-5, rtol=1e-5)
    assert not torch.allclose(free(a)[0, :3], free(b)[0, :3], atol=1e-3)


def test_embeddings_are_scaled_by_the_root_of_the_width():
    one = network()
    seen = []
    one.encoder.register_forward_pre_hook(lambda module, args: seen.append(args[0]))
    one(torch.tensor([[1, 2]]))
    expected = 4.0 * one.tokens.weight[[1, 2]] + one.positions[:2]
    torch.testing.assert_close(seen[0][0], expected)


def test_predictions_are_ids_with_nothing_after_the_end():
    one = network()
    ids, lengths = np.array([[1, 2, 9], [1, 4, 4]]), np.array([2, 3])
    found = one.predict_ids(ids, lengths)  # what stands after the end is not read
    assert found.shape == (2, 3) and found[0, 2] == -1 and (found[:, :2] >= 0).all()
    assert one.training is False
    pooled = network(pool=True).predict_ids(ids, lengths)
    assert pooled.shape == (2,)
    with pytest.raises(ShapeError, match="lengths"):
        one.predict_ids(ids, np.array([2]))


def test_the_loss_is_a_mean_over_scored_positions_of_each_sequence():
    logits = torch.tensor([[[2.0, 0.0], [0.0, 1.0], [5.0, 0.0]], [[0.0, 0.0], [0.0, 3.0], [0.0, 0.0]]])
    targets = np.array([[-1, 0, 1], [-1, 1, -1]])
    batch = type("B", (), {"inputs": None, "index": torch.tensor([0, 1])})
    nll = -logits.log_softmax(-1)
    expected = ((nll[0, 1, 0] + nll[0, 2, 1]) / 2 + nll[1, 1, 1]) / 2
    torch.testing.assert_close(PositionLoss(targets)(lambda _: logits, batch), expected)
    assert PositionLoss(targets, error=True)(lambda _: logits, batch) == 0.5


def test_a_small_network_learns_what_a_control_without_training_does_not_know():
    task = tasks.reverse(10, 5, size=380)
    settings = {"layers": 1, "heads": 2, "width": 32, "lr": 5e-3, "batch_size": 16}
    trained, record = train_standard(task, epochs=15, seeds=2, **settings)
    _, control = train_standard(task, epochs=1, **(settings | {"lr": 1e-9}))
    assert record.best.test_tokens > 0.6 > 0.35 > control.best.test_tokens
    assert record.chosen == int(np.argmax([s.validation_tokens for s in record.scores]))
    assert record.errors.shape == (15, 2)
    for i, score in enumerate(record.scores):  # each ended with its best epoch
        assert record.errors[score.epoch - 1, i] == record.errors[:, i].min()
    drawn = task.split(0).test
    ids, targets = task.encode(drawn)
    predicted = trained.predict_ids(ids, (ids != 0).sum(1))
    assert (predicted == targets)[targets >= 0].mean() == record.best.test_tokens
    assert record.to_dict()["settings"]["task"] == "reverse"


@pytest.mark.parametrize(
    ("change", "named"),
    [({"layers": 0}, "layers"), ({"heads": 3}, "multiple"), ({"dropout": 1.0}, "dropout"), ({"width": True}, "width")],
)
def test_networks_without_meaning_are_refused(change, named):
    with pytest.raises(InputError, match=named):
        StandardTransformer(VOCAB, LABELS, 6, **({"layers": 1, "heads": 2, "width": 16} | change))
    with pytest.raises(InputError, match="lr"):
        train_standard(tasks.reverse(6, 5, size=60), lr=-1.0)
    with pytest.raises(ShapeError, match="n_ctx"):
        network()(torch.ones(1, 7, dtype=torch.int64))


def test_accuracy_by_length_is_exact_where_all_inputs_are_tried_and_stops_at_the_context():
    def task_at(n):
        return tasks.sort(8, n + 2, min_length=n)

    table = length_generalisation(library.sort(8, 8), task_at, [1, 4, 6, 7])
    assert [row.inputs for row in table.rows] == [5, 625, 15_625, 0]
    assert all(row.tokens.value == row.sequences.value == 1.0 and row.exhaustive for row in table.rows[:3])
    assert not table.rows[3].tokens.defined and "n_ctx = 8" in str(table)


def test_accuracy_by_length_of_a_function_that_fails_beyond_its_reach():
    def sort_three(tokens):
        return ["<s>", *sorted(tokens[1:4]), *tokens[4:]]

    table = length_generalisation(
        sort_three, lambda n: tasks.sort(8, n + 2, min_length=n), [2, 3, 5], most=200, samples=300, name="three"
    )
    two, three, five = table.rows
    assert two.sequences.value == three.sequences.value == 1.0 and two.tokens.kind == "exact"
    assert not five.exhaustive and five.sequences.value < 0.5
    right = [tuple(sorted(w[1:4])) + w[4:-1] == tuple(sorted(w[1:-1])) for w in tasks.sort(8, 7, min_length=5).domain()]
    assert five.sequences.low < np.mean(right) < five.sequences.high
    assert five.tokens.low < five.tokens.value < five.tokens.high
    with pytest.raises(InputError, match="lengths"):
        length_generalisation(sort_three, lambda n: tasks.sort(8, n + 2), [])


def test_a_network_is_asked_by_length_too():
    task = tasks.reverse(6, 5, size=60)
    torch.manual_seed(0)
    one = StandardTransformer(task.vocab, task.labels, task.max_length, layers=1, heads=2, width=16)
    table = length_generalisation(one, lambda n: tasks.reverse(6, n + 2, min_length=n), [2, 3, 4])
    assert 0.0 <= table.rows[0].tokens.value < 1.0 and not table.rows[2].tokens.defined
    assert table.to_dict()[0]["inputs"] == 9
