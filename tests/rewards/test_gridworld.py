"""Grid worlds: where actions lead, slips, walls and ends, and the goldens of the 3 x 3 examples."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from learnt.core.errors import InputError, NotApplicable, ShapeError
from learnt.rewards.canonical import canonical
from learnt.rewards.epic_distance import epic_distance
from learnt.rewards.gridworld import MOVES, cell_rewards, draw_grid, grid_world, hand_picked_rewards, hand_picked_world
from learnt.rewards.mdp import TabularMDP
from learnt.rewards.regret import worst_case_regret
from learnt.rewards.starc import starc_distance

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "starc_grid.json").read_text())


def pairs(kind):
    return [(tuple(key.split("|")), value) for key, value in GOLDEN["deterministic"][kind].items()]


def pearson_distance(a, b, mdp):
    """EPIC distance under uniform coverage of (s, a, s'), written out."""
    x, y = (canonical(r, mdp, "epic").ravel() for r in (a, b))
    rho = ((x - x.mean()) @ (y - y.mean())) / (len(x) * x.std() * y.std())
    return np.sqrt(max(0.0, 1 - rho) / 2)


@pytest.mark.parametrize(("names", "value"), pairs("epic"))
def test_check_14_the_epic_distances_of_the_grid_come_out(names, value):
    world = hand_picked_world()
    rewards = hand_picked_rewards(world)
    pair = [rewards[name] for name in names]
    assert epic_distance(*pair, world) == pytest.approx(value, abs=5e-7 if value else 1e-9)
    assert pearson_distance(*pair, world) == pytest.approx(value, abs=5e-7 if value else 1e-7)


@pytest.mark.parametrize(("names", "value"), pairs("val 2-2"))
def test_check_14_the_starc_distances_of_the_grid_come_out(names, value):
    world = hand_picked_world()
    rewards = hand_picked_rewards(world)
    for norm in ("l2", "weighted_l2"):
        found = starc_distance(*(rewards[name] for name in names), world, normalisation=norm)
        assert found == pytest.approx(value, abs=5e-7)


@pytest.mark.parametrize(("names", "value"), pairs("worst_case_regret"))
def test_check_14_the_worst_case_regrets_of_the_grid_come_out(names, value):
    world = hand_picked_world()
    rewards = hand_picked_rewards(world)
    found = worst_case_regret(*(rewards[name] for name in names), world)
    assert found.normalised == pytest.approx(value, abs=5e-7)


@pytest.mark.parametrize("canonicalisation", ["val", "minimal", "minimal_l2", "epic", "dard", "val_potential"])
@pytest.mark.parametrize("slip", [0.0, 0.1])
def test_check_14_every_metric_finds_sparse_and_dense_alike(canonicalisation, slip):
    world = hand_picked_world(slip=slip)
    rewards = hand_picked_rewards(world)
    found = starc_distance(rewards["sparse"], rewards["dense"], world, canonicalisation=canonicalisation)
    assert found == pytest.approx(0.0, abs=1e-9)


def test_check_14_the_four_share_a_best_policy_and_still_are_other_rewards():
    world = hand_picked_world()
    rewards = {name: world.subject(r, name=name).expected for name, r in hand_picked_rewards(world).items()}
    for true in ("sparse", "path", "cliff"):
        shared = world.solve(rewards["cliff"]).actions  # cautious enough for all of them
        got = world.initial @ world.evaluate(rewards[true], np.eye(5)[shared])
        assert got == pytest.approx(world.solve(rewards[true]).value, rel=1e-12)


def test_the_dense_reward_of_the_figure_is_the_one_at_discount_1():
    found = hand_picked_rewards(hand_picked_world(discount=1 - 1e-9))["dense"]
    assert found[0, 0, 1] == pytest.approx(2, abs=1e-6)  # nearer
    assert found[4, 0, 1] == pytest.approx(-4, abs=1e-6)  # away
    assert found[4, 0, 4] == pytest.approx(-1, abs=1e-6)  # staying
    assert found[8, 0, 8] == pytest.approx(3, abs=1e-6)  # at the goal


def test_slipping_to_any_cell_spares_none_and_sums_to_one():
    p = hand_picked_world(slip=0.1).transitions
    assert p[0, 0, 1] == pytest.approx(0.9)
    assert p[0, 3, 0] == pytest.approx(0.9)  # up from the top row stays
    np.testing.assert_allclose(np.sort(p, -1)[..., :-1], 0.1 / 8)


def test_slipping_to_other_moves_lands_where_these_lead():
    world = grid_world(3, 3, slip=0.4, slip_to="moves")
    p = world.transitions
    np.testing.assert_allclose(p[4, 0], [0, 0.1, 0, 0.1, 0.1, 0.6, 0, 0.1, 0])
    np.testing.assert_allclose(p[0, 0], [0.3, 0.6, 0, 0.1, 0, 0, 0, 0, 0])  # left, up and stay all stay


@given(
    rows=st.integers(1, 5),
    columns=st.integers(1, 5),
    seed=st.integers(0, 999),
    slip=st.sampled_from([0.0, 0.3]),
    slip_to=st.sampled_from(["cells", "moves"]),
)
@settings(max_examples=60, deadline=None)
def test_walls_are_never_entered_and_ends_never_left(rows, columns, seed, slip, slip_to):
    rng = np.random.default_rng(seed)
    kind = rng.choice(3, size=(rows, columns), p=[0.6, 0.25, 0.15])
    kind[rng.integers(rows), rng.integers(columns)] = 0
    walls, ends = (list(zip(*np.nonzero(kind == k))) for k in (1, 2))
    world = grid_world(rows, columns, walls=walls, terminal=ends, slip=slip, slip_to=slip_to)
    wall, p = (kind == 1).ravel(), world.transitions
    assert not p[~wall][..., wall].any()
    assert not world.reachable[wall].any()
    assert (world.terminal == (kind == 2).ravel()).all()
    np.testing.assert_allclose(p.sum(-1), 1.0)
    r, c = np.divmod(np.arange(rows * columns), columns)
    if not slip:
        steps = np.abs(r[:, None] - r) + np.abs(c[:, None] - c)
        assert (steps[p.max(1) > 0] <= 1).all()


def test_a_large_world_stays_sparse_and_has_the_same_numbers_as_a_dense_one():
    options = {"slip": 0.2, "slip_to": "moves", "terminal": [(0, 0)], "walls": [(2, 2)]}
    large = grid_world(40, 40, **options)
    assert large.is_sparse and large.kernel.nnz <= 1600 * 5 * 5
    small = grid_world(6, 6, **options)
    again = TabularMDP(small.kernel, small.initial, small.discount, terminal=small.terminal, grid=(6, 6))
    values = np.random.default_rng(0).standard_normal((6, 6))
    for paid in ("entering", "leaving"):
        dense, sparse = cell_rewards(values, small, paid=paid), cell_rewards(values, again, paid=paid)
        np.testing.assert_allclose(small.expected(dense), sparse, atol=1e-14)


def test_start_is_a_cell_a_distribution_or_every_open_cell():
    assert grid_world(2, 3, start=(1, 2)).initial[5] == 1.0
    world = grid_world(2, 3, walls=[(0, 0)], terminal=[(1, 2)])
    np.testing.assert_allclose(world.initial, [0, 0.25, 0.25, 0.25, 0.25, 0])
    spread = np.array([[0.5, 0, 0], [0, 0.5, 0]])
    np.testing.assert_allclose(grid_world(2, 3, start=spread).initial, spread.ravel())


def test_names_say_where_and_what():
    world = grid_world(2, 3)
    assert world.states[5] == "1,2" and world.actions == tuple(MOVES) and world.grid == (2, 3)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"rows": 0}, "rows"),
        ({"slip": 1.0}, "slip"),
        ({"slip": float("nan")}, "slip"),
        ({"slip_to": "sideways"}, "sideways"),
        ({"actions": ("right", "jump")}, "jump"),
        ({"actions": ("right", "right")}, "actions"),
        ({"walls": [(3, 0)]}, "walls"),
        ({"walls": [7]}, "walls"),
        ({"terminal": [(0, -1)]}, "terminal"),
        ({"walls": [(0, 0)], "terminal": [(0, 0)]}, "terminal"),
        ({"walls": [(r, c) for r in range(3) for c in range(3)]}, "every cell"),
        ({"walls": [(0, 0)], "start": (0, 0)}, "start"),
        ({"start": (5, 5)}, "start"),
        ({"start": [0.5, 0.5, 0.0]}, "start"),
        ({"discount": 1.5}, "discount"),
    ],
)
def test_bad_worlds_are_named(options, text):
    with pytest.raises((InputError, ShapeError), match=text):
        grid_world(**({"rows": 3, "columns": 3} | options))


def test_too_many_cells_to_slip_to_are_refused_with_the_way_out():
    with pytest.raises(NotApplicable, match="moves"):
        grid_world(100, 100, slip=0.1)


def test_bad_rewards_are_named():
    world = grid_world(2, 3)
    with pytest.raises(ShapeError, match="values"):
        cell_rewards(np.zeros((3, 2)), world)
    with pytest.raises(InputError, match="paid"):
        cell_rewards(np.zeros((2, 3)), world, paid="never")
    with pytest.raises(NotApplicable, match="grid_world"):
        cell_rewards(np.zeros(4), TabularMDP.random(4, 2))
    with pytest.raises(InputError, match="3 x 3"):
        hand_picked_rewards(world)


def test_a_picture_of_a_grid_shows_walls_ends_values_and_arrows():
    world = grid_world(2, 3, walls=[(0, 1)], terminal=[(0, 2)], start=(0, 0))
    figure = draw_grid(world, np.arange(6.0), np.zeros(6, dtype=int), title="$\\frac{", unit="$x")
    figure.canvas.draw()
    ax = figure.axes[0]
    texts = [text.get_text() for text in ax.texts]
    assert texts.count("end") == 1 and texts.count("start") == 1
    assert len([text for text in ax.texts if getattr(text, "arrow_patch", None) is not None]) == 4
    assert ax.get_title(loc="left") == "$\\frac{"
    assert len([patch for patch in ax.patches if patch.get_hatch()]) == 1
    assert len(draw_grid(world).axes) == 1


def test_pictures_of_what_is_no_grid_are_refused():
    with pytest.raises(NotApplicable, match="grid"):
        draw_grid(TabularMDP.random(4, 2))
    with pytest.raises(ShapeError, match="values"):
        draw_grid(grid_world(2, 3), np.zeros(5))
