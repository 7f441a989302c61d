"""Responses and their scores: statistics within prompts against plain formulas, and an error for all that is not data."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from learnt.core.errors import InputError, NonFiniteError, NotApplicable, ShapeError
from learnt.rewards.scores import Responses, ScoreTable, as_scores, sum_steps

GROUPS = np.repeat([0, 1, 2], [4, 1, 3])


def test_moments_within_prompts_are_the_unbiased_covariances():
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((2, 8)) + 100 * GROUPS
    inside = Responses(GROUPS).layout
    found = inside.moments(inside.centred(a), inside.centred(b))
    wanted = [np.cov(a[GROUPS == g], b[GROUPS == g])[0, 1] for g in (0, 2)]
    np.testing.assert_allclose(found, wanted, rtol=1e-12)
    assert inside.dropped == 1
    np.testing.assert_allclose(inside.total(inside.parts(inside.centred(a), inside.centred(b))), found, rtol=1e-12)


@given(seed=st.integers(0, 999), k=st.integers(2, 6))
@settings(max_examples=60, deadline=None)
def test_reference_weights_give_the_pairwise_u_statistic(seed, k):
    rng = np.random.default_rng(seed)
    a, b, w = *rng.standard_normal((2, k)), rng.exponential(size=k) ** 3 + 1e-9
    inside = Responses(np.zeros(k, int), reference=w).layout
    found = inside.moments(inside.centred(a), inside.centred(b))[0]
    pairs = [(i, j) for i in range(k) for j in range(i)]
    above = sum(w[i] * w[j] * (a[i] - a[j]) * (b[i] - b[j]) / 2 for i, j in pairs)
    assert found == pytest.approx(above / sum(w[i] * w[j] for i, j in pairs), rel=1e-9, abs=1e-12)


def test_importance_weights_recover_the_reference_distribution():
    """Many responses drawn from another law, weighted by the density ratio, give the variance under the reference."""
    rng = np.random.default_rng(0)
    reference, drawn = np.array([0.6, 0.3, 0.1]), np.array([0.2, 0.3, 0.5])
    value = np.array([0.0, 1.0, 5.0])
    pick = rng.choice(3, (100, 1000), p=drawn)
    weighted = Responses(np.repeat(np.arange(100), 1000), reference=(reference / drawn)[pick.ravel()])
    c = weighted.layout.centred(value[pick.ravel()])
    true = reference @ value**2 - (reference @ value) ** 2
    plain = np.var(value[pick], axis=1, ddof=1).mean()
    assert abs(weighted.layout.moments(c, c).mean() - true) < 0.05
    assert abs(plain - true) > 2.0


def test_a_response_that_has_all_the_weight_leaves_no_variance_but_no_nan():
    inside = Responses([0, 0, 0], reference=[1.0, 1e-300, 1e-280]).layout
    c = inside.centred(np.array([0.0, 1.0, 2.0]))
    assert np.isfinite(inside.moments(c, c)).all()


def test_rows_of_a_prompt_need_not_be_next_to_each_other_and_order_changes_no_key():
    order = np.random.default_rng(1).permutation(8)
    a = np.arange(8.0) ** 2
    first, second = Responses(GROUPS), Responses(GROUPS[order])
    by = {}
    for data, x in ((first, a), (second, a[order])):
        c = data.layout.centred(x)
        by[id(data)] = dict(zip(data.keys.tolist(), data.layout.moments(c, c).tolist(), strict=True))
    assert by[id(first)] == pytest.approx(by[id(second)], rel=1e-12)


@pytest.mark.parametrize(
    "groups", [["x", "x", "y", "y"], [7, 7, 8, 8], np.array([1.0, 1.0, 2.0, 2.0]), torch.tensor([0, 0, 1, 1])]
)
def test_prompts_are_named_by_texts_or_whole_numbers(groups):
    data = Responses(groups)
    assert (data.size, len(data), len(data.keys)) == (2, 4, 2)
    assert data.prompt(0) in ("x", "7", "1", "0")
    assert data.response(3) == "1"


def test_check_21_prompts_with_one_response_are_dropped_and_counted():
    data = Responses(["a", "a", "b", "c", "c", "d"])
    assert (data.size, data.layout.dropped) == (2, 2)
    assert data.notes == ("2 of 4 prompts have fewer than two responses and are left out",)
    assert Responses([0, 0]).notes == ()


def test_check_21_all_prompts_dropped_is_a_value_error():
    with pytest.raises(InputError, match="none with two responses") as caught:
        Responses([1, 2, 3])
    assert isinstance(caught.value, ValueError)
    with pytest.raises(InputError, match="none with two responses"):
        Responses([1, 1, 2, 2], reference=[1.0, 0.0, 0.0, 2.0])


def test_check_21_scores_of_different_samples_are_a_value_error():
    with pytest.raises(ShapeError, match="same responses in the same order") as caught:
        ScoreTable({"a": np.zeros(4), "b": np.zeros(5)}, [0, 0, 1, 1])
    assert isinstance(caught.value, ValueError)


@pytest.mark.parametrize(
    ("values", "error", "text"),
    [
        ([1.0, np.nan, 2.0, np.inf], NonFiniteError, "2 values that are NaN or infinite, the first at index 1"),
        (["1", "2", "3", "4"], InputError, "texts"),
        ([1.0, None, 2.0, 3.0], InputError, "expected numbers"),
        ([True, False, True, True], InputError, "expected numbers"),
        (np.zeros((4, 2)), ShapeError, r"\(4,\), one score a response"),
        ([[1.0], [2.0, 3.0]], ShapeError, "different lengths"),
        (3.0, ShapeError, "one score"),
    ],
)
def test_what_is_no_score_is_an_error(values, error, text):
    with pytest.raises(error, match=text):
        ScoreTable({"m": values}, [0, 0, 1, 1])


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"groups": []}, InputError, "no responses"),
        ({"groups": "abc"}, InputError, "a sequence"),
        ({"groups": [0.5, 0.5]}, InputError, "texts or whole numbers"),
        ({"groups": [None, None]}, InputError, "texts or whole numbers"),
        ({"groups": [[0, 0], [1, 1]]}, ShapeError, "one entry a response"),
        ({"groups": [0, 0], "responses": ["a"]}, ShapeError, "1 entries"),
        ({"groups": [0, 0], "reference": [1.0, -1.0]}, InputError, "negative weight"),
        ({"groups": [0, 0], "weights": [1.0, 2.0]}, InputError, "different weights within prompt '0'"),
        ({"groups": [0, 0], "weights": {"1": 2.0}}, InputError, "no weight for prompt '0'"),
        ({"groups": [0, 0], "weights": {0: -2.0}}, InputError, "negative weight"),
        ({"groups": [0, 0], "weights": {0: 0.0}}, InputError, "0 for every prompt"),
        ({"groups": [0, 0], "length": [1.0]}, ShapeError, "length"),
        ({"groups": [0, 0], "features": torch.zeros(3, 2)}, ShapeError, "3 rows"),
    ],
)  # fmt: skip
def test_what_is_no_set_of_responses_is_an_error(options, error, text):
    with pytest.raises(error, match=text):
        Responses(**options)


def test_a_table_needs_a_model_and_names_the_known_ones():
    with pytest.raises(InputError, match="no model"):
        ScoreTable({}, [0, 0])
    with pytest.raises(InputError, match="ndarray"):
        ScoreTable(np.zeros(2), [0, 0])
    with pytest.raises(InputError, match="one of a, b"):
        ScoreTable({"a": [1, 2], "b": [3, 4]}, [0, 0]).view("c")


def test_scores_are_copied_checked_and_read_only():
    mine = np.array([1.0, 2.0])
    table = ScoreTable({"m": mine}, [0, 0])
    mine[0] = 9.0
    assert table.scores["m"].tolist() == [1.0, 2.0]
    with pytest.raises(ValueError, match="read-only"):
        table.scores["m"][0] = 3.0


@pytest.mark.parametrize(
    ("values", "resolution"),
    [
        (np.zeros(2), 1e-10), (np.zeros(2, np.float32), 1e-5), (torch.zeros(2, 1), 1e-5), ([1, 2], 1e-10),
        (torch.zeros(2, dtype=torch.bfloat16), 1e-5), (torch.zeros(2, dtype=torch.float64, requires_grad=True), 1e-10),
    ],
)  # fmt: skip
def test_the_resolution_of_scores_follows_their_precision(values, resolution):
    found, was = as_scores(values, 2, "x")
    assert (found.dtype, found.shape, was) == (np.float64, (2,), resolution)


def test_a_head_is_called_on_the_features_in_evaluation_mode_and_left_as_it_was():
    head = torch.nn.Sequential(torch.nn.Dropout(0.9), torch.nn.Linear(3, 1)).train()
    features = torch.randn(4, 3, generator=torch.Generator().manual_seed(0))
    view = Responses([0, 0, 1, 1], features=features).subject(head, name="head")
    np.testing.assert_allclose(view.scores, head[1](features).detach().numpy()[:, 0], rtol=1e-6)
    assert head.training and head[0].training and all(p.grad is None for p in head.parameters())
    with pytest.raises(NotApplicable, match="features to call it with"):
        Responses([0, 0]).subject(head, name="head")


def test_a_function_scores_texts():
    data = Responses([0, 0], prompts=["hi", "hi"], responses=["you", "there"])
    assert data.subject(lambda p, r: [len(x) + len(y) for x, y in zip(p, r)], name="f").scores.tolist() == [5.0, 7.0]
    with pytest.raises(NotApplicable, match="no texts"):
        Responses([0, 0]).subject(lambda p, r: [0, 0], name="f")
    with pytest.raises(ShapeError, match="shape"):
        data.subject(lambda p, r: [1.0], name="f")


def test_step_rewards_are_summed_to_a_return_first():
    steps = [[1.0, 2.0, 3.0], [0.5], [-1.0, 1.0]]
    assert sum_steps(steps).tolist() == [6.0, 0.5, 0.0]
    assert sum_steps(steps, discount=0.5).tolist() == [2.75, 0.5, -0.5]
    flat, owner = [1.0, 0.5, 2.0, -1.0, 3.0, 1.0], [0, 1, 0, 2, 0, 2]
    assert sum_steps(flat, owner).tolist() == [6.0, 0.5, 0.0]
    assert sum_steps(flat, owner, discount=0.5).tolist() == [2.75, 0.5, -0.5]


@given(seed=st.integers(0, 999))
@settings(max_examples=40, deadline=None)
def test_shaping_the_steps_by_a_potential_that_ends_at_zero_shifts_every_return_of_a_prompt_alike(seed):
    """Token-level potential shaping telescopes to an offset of the prompt."""
    rng = np.random.default_rng(seed)
    start = float(rng.standard_normal())
    steps = [rng.standard_normal(rng.integers(1, 6)) for _ in range(5)]
    shaped = []
    for r in steps:
        phi = np.concatenate([[start], rng.standard_normal(len(r) - 1), [0.0]])
        shaped.append(r + phi[1:] - phi[:-1])
    np.testing.assert_allclose(sum_steps(shaped), sum_steps(steps) - start, atol=1e-12)


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        (([],), InputError, "no responses"),
        (([[1.0], []],), InputError, "response 1 without steps"),
        (([1.0, 2.0], [0, 2]), InputError, "response 1 without steps"),
        (([1.0, 2.0], [0.0, 1.0]), ShapeError, "integers"),
        (([1.0, 2.0], [0]), ShapeError, "owner"),
        (([[1.0, np.nan]],), NonFiniteError, "NaN"),
    ],
)
def test_what_is_no_reward_of_steps_is_an_error(arguments, error, text):
    with pytest.raises(error, match=text):
        sum_steps(*arguments)
    with pytest.raises(InputError, match="discount"):
        sum_steps([[1.0]], discount=1.5)
