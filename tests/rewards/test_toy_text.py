"""Other libraries' tabular worlds: the process is the one their `step` follows, endings pay nothing more."""

import numpy as np
import pytest
from scipy.sparse import issparse

from learnt.core.errors import InputError, NonFiniteError, NotApplicable, ShapeError
from learnt.rewards.imitation import from_imitation, reward_from_imitation
from learnt.rewards.mdp import TabularMDP
from learnt.rewards.toy_text import from_toy_text, reward_from_toy_text

gymnasium = pytest.importorskip("gymnasium", reason="the extra rl")


def newest(stem):
    versions = [key for key in gymnasium.registry if key.rpartition("-v")[0] == stem]
    return max(versions, key=lambda key: int(key.rpartition("-v")[2]))


def make(stem, **options):
    env = gymnasium.make(newest(stem), **options)
    yield env
    env.close()


@pytest.fixture
def lake():
    yield from make("FrozenLake")


@pytest.fixture
def cliff():
    yield from make("CliffWalking")


@pytest.fixture(scope="module")
def taxi():
    yield from make("Taxi")


def best_return(env, discount=0.99, **options):
    mdp = TabularMDP.from_toy_text(env, discount=discount, **options)
    return mdp.solve(mdp.subject(reward_from_toy_text(env, mdp), name="own").expected).value


def by_value_iteration(env, discount=0.99, rounds=3000):
    """The best return straight from the table: nothing follows a transition that is done."""
    base = env.unwrapped
    values = np.zeros(len(base.P))
    for _ in range(rounds):
        values = np.array(
            [
                max(sum(p * (r + discount * (not end) * values[k]) for p, k, r, end in row) for row in rows.values())
                for rows in base.P.values()
            ]
        )
    return float(base.initial_state_distrib @ values)


def test_frozen_lake_is_a_grid_with_named_cells_and_its_holes_and_goal_are_terminal(lake):
    mdp = TabularMDP.from_toy_text(lake, discount=0.9)
    assert (mdp.n_states, mdp.n_actions, mdp.grid, mdp.is_sparse) == (16, 4, (4, 4), False)
    assert np.flatnonzero(mdp.terminal).tolist() == [5, 7, 11, 12, 15]
    assert mdp.actions == ("left", "down", "right", "up")
    assert (mdp.states[0], mdp.states[5], mdp.states[15]) == (
        "row 0, column 0, start",
        "row 1, column 1, hole",
        "row 3, column 3, goal",
    )
    np.testing.assert_allclose(mdp.transitions[0, 0, [0, 4]], [2 / 3, 1 / 3])
    assert mdp.initial[0] == 1.0
    assert mdp.name == newest("FrozenLake")
    reward = reward_from_toy_text(lake, mdp)
    assert reward.sum() == pytest.approx(reward[14, :, 15].sum()) and reward[14, 1, 15] == 1.0
    assert not reward[mdp.terminal].any()


@pytest.mark.parametrize(
    ("stem", "options"),
    [
        ("FrozenLake", {"map_name": "8x8"}),
        ("FrozenLake", {"is_slippery": False}),
        ("CliffWalking", {}),
        ("CliffWalking", {"is_slippery": True}),
    ],
)
def test_the_best_return_is_that_of_value_iteration_on_the_table(stem, options):
    for env in make(stem, **options):
        assert best_return(env, 0.95) == pytest.approx(by_value_iteration(env, 0.95, 600), rel=1e-8)
        assert best_return(env, 0.95, sparse=True) == pytest.approx(best_return(env, 0.95), rel=1e-9)


def test_taxi_has_500_states_no_grid_and_the_best_return_of_its_table(taxi):
    mdp = TabularMDP.from_toy_text(taxi, discount=0.9)
    assert (mdp.n_states, mdp.n_actions, mdp.grid) == (500, 6, None)
    assert mdp.terminal.sum() == 4  # the passenger has arrived at one of four places
    assert mdp.reachable.sum() == 404
    assert mdp.actions[-1] == "drop off"
    assert best_return(taxi, 0.9) == pytest.approx(by_value_iteration(taxi, 0.9, 300), rel=1e-8)


def test_falling_off_the_cliff_goes_on_and_reaching_the_goal_ends_everything(cliff):
    mdp = TabularMDP.from_toy_text(cliff, discount=0.99)
    assert (mdp.grid, np.flatnonzero(mdp.terminal).tolist()) == ((4, 12), [47])
    reward = reward_from_toy_text(cliff, mdp)
    assert (reward[36, 1, 36], reward[36, 0, 24]) == (-100.0, -1.0)
    assert best_return(cliff, 0.99) == pytest.approx(-sum(0.99**t for t in range(13)))
    left = cliff.unwrapped.P[47][0]
    assert left[0][1] == 35  # the table would leave the goal; the process does not
    assert (mdp.transitions[47, :, 47] == 1.0).all()


def test_steps_of_the_environment_have_the_frequencies_of_the_process(lake):
    mdp, env = from_toy_text(lake, discount=0.9), lake.unwrapped
    rng, counts = np.random.default_rng(0), np.zeros(16)
    env.reset(seed=0)
    for _ in range(1500):
        env.s = 9
        counts[env.step(int(rng.integers(0, 1)))[0]] += 1
    np.testing.assert_allclose(counts / counts.sum(), mdp.transitions[9, 0], atol=0.05)


def test_a_sparse_process_gets_a_sparse_reward_with_the_same_expectations(taxi):
    dense, sparse = (from_toy_text(taxi, discount=0.9, sparse=keep) for keep in (False, True))
    assert not dense.is_sparse and sparse.is_sparse
    reward = reward_from_toy_text(taxi, sparse)
    assert issparse(reward)
    np.testing.assert_allclose(
        sparse.subject(reward, name="r").expected,
        dense.subject(reward_from_toy_text(taxi, dense), name="r").expected,
        atol=1e-12,
    )


class Small:
    """Three states in a row; `P` may be changed."""

    initial_state_distrib = np.array([1.0, 0.0, 0.0])

    def __init__(self, **change):
        stay = lambda s: {0: [(1.0, s, 0.0, False)]}
        self.P = {0: {0: [(1.0, 1, 0.0, False)]}, 1: {0: [(1.0, 2, 5.0, True)]}, 2: stay(2)}
        self.P |= change.pop("rows", {})
        vars(self).update(change)


def test_a_state_that_is_also_passed_through_does_not_become_terminal():
    # From 0 one may end in 1 or pass through it: endings lead to an added state.
    rows = {0: {0: [(0.5, 1, 7.0, True), (0.5, 1, 1.0, False)]}}
    env = Small(rows=rows)
    mdp = from_toy_text(env, discount=0.5)
    assert mdp.n_states == 4 and mdp.states[-1] == "end"
    assert np.flatnonzero(mdp.terminal).tolist() == [2, 3]
    reward = reward_from_toy_text(env, mdp)
    assert (reward[0, 0, 3], reward[0, 0, 1]) == (7.0, 1.0)
    value = mdp.evaluate(mdp.expected(reward))[0]
    assert value == pytest.approx(0.5 * 7 + 0.5 * (1 + 0.5 * 5))


def test_an_episode_may_start_where_another_ends():
    env = Small(initial_state_distrib=np.array([0.5, 0.0, 0.5]))
    mdp = from_toy_text(env, discount=0.5)
    assert mdp.n_states == 4 and mdp.terminal.tolist() == [False, False, False, True]
    assert mdp.initial.tolist() == [0.5, 0.0, 0.5, 0.0]


def test_several_ways_to_the_same_state_pay_their_mean():
    env = Small(rows={1: {0: [(0.25, 2, 8.0, True), (0.75, 2, 4.0, True), (0.0, 0, 99.0, False)]}})
    mdp = from_toy_text(env, discount=0.5)
    reward = reward_from_toy_text(env, mdp)
    assert reward[1, 0, 2] == 5.0 and reward[1, 0, 0] == 0.0
    assert mdp.transitions[1, 0, 2] == 1.0


def test_the_first_state_may_be_given():
    env = Small(initial_state_distrib=None)
    assert from_toy_text(env, discount=0.5, initial=[0, 1, 0]).initial.tolist() == [0.0, 1.0, 0.0]
    with pytest.raises(InputError, match="initial: found none"):
        from_toy_text(env, discount=0.5)
    with pytest.raises(InputError, match="one probability a state"):
        from_toy_text(env, discount=0.5, initial=[1.0])


@pytest.mark.parametrize(
    ("rows", "error", "text"),
    [
        ({1: {0: [(1.0, 7, 0.0, False)]}}, InputError, "0 to 2"),
        ({1: {0: [(1.0, 2.5, 0.0, False)]}}, InputError, "cannot be read"),
        ({1: {0: [(1.0, 2)]}}, InputError, "cannot be read"),
        ({1: {}}, InputError, "same actions"),
        ({1: {0: [(0.5, 2, 0.0, True)]}}, InputError, "sum to 0.5 at"),
        ({1: {0: [(1.5, 2, 0.0, True), (-0.5, 0, 0.0, False)]}}, InputError, "negative"),
        ({1: {0: [(1.0, 2, float("nan"), True)]}}, NonFiniteError, "NaN"),
    ],
)
def test_a_table_that_is_no_process_is_refused(rows, error, text):
    with pytest.raises(error, match=text):
        from_toy_text(Small(rows=rows), discount=0.5)


def test_environments_without_a_table_are_refused():
    for env in make("Blackjack"):
        with pytest.raises(NotApplicable, match="BlackjackEnv, which has no table"):
            from_toy_text(env, discount=0.9)


def test_the_reward_of_another_environment_is_refused(lake, cliff):
    with pytest.raises(InputError, match="48, 4, 1"):
        reward_from_toy_text(cliff, from_toy_text(lake, discount=0.9))


class Tabular:
    """What `imitation` calls a tabular environment."""

    transition_matrix = np.array([[[0.0, 1.0], [1.0, 0.0]], [[0.5, 0.5], [1.0, 0.0]]])
    initial_state_dist = np.array([1.0, 0.0])
    reward_matrix = np.array([0.0, 1.0])
    horizon = 3

    def __init__(self, **change):
        vars(self).update(change)


def test_an_imitation_environment_is_opened_with_rewards_of_every_shape():
    for reward in ([0.0, 1.0], [[0.0, 0.0], [1.0, 1.0]], np.zeros((2, 2, 2)) + [[[0.0]], [[1.0]]]):
        env = Tabular(reward_matrix=np.array(reward))
        mdp = TabularMDP.from_imitation(env, discount=0.5)
        assert (mdp.n_states, mdp.n_actions, mdp.name) == (2, 2, "Tabular")
        expected = mdp.subject(reward_from_imitation(env, mdp), name="r").expected
        np.testing.assert_array_equal(expected, [[0.0, 0.0], [1.0, 1.0]])


def test_unrolled_the_horizon_is_exact():
    by_transition = np.arange(8.0).reshape(2, 2, 2)
    for reward in (Tabular.reward_matrix, by_transition):
        env = Tabular(reward_matrix=reward)
        mdp = from_imitation(env, discount=0.9, unroll=True)
        assert (mdp.n_states, mdp.states[-1], mdp.states[3]) == (7, "end", "step 1, state 1")
        assert mdp.is_sparse and mdp.terminal.sum() == 1
        expected = mdp.subject(reward_from_imitation(env, mdp), name="r").expected
        once = np.repeat(reward[:, None], 2, 1) if reward.ndim == 1 else (env.transition_matrix * reward).sum(-1)
        values = np.zeros(2)
        for _ in range(3):
            values = (once + 0.9 * env.transition_matrix @ values).max(1)
        assert mdp.solve(expected).value == pytest.approx(values[0])


@pytest.mark.parametrize(
    ("change", "error", "text"),
    [
        ({"transition_matrix": None}, NotApplicable, "transition_matrix"),
        ({"transition_matrix": np.eye(2)}, ShapeError, r"\(S, A, S\)"),
        ({"initial_state_dist": np.ones(3) / 3}, ShapeError, r"\(2,\)"),
        ({"horizon": None}, NotApplicable, "steps to unroll"),
        ({"horizon": 0}, InputError, "at least 1"),
    ],
)
def test_what_is_no_tabular_environment_is_refused(change, error, text):
    with pytest.raises(error, match=text):
        from_imitation(Tabular(**change), discount=0.9, unroll=True)


def test_rewards_that_do_not_belong_to_the_process_are_refused():
    mdp = from_imitation(Tabular(), discount=0.9)
    with pytest.raises(NotApplicable, match="reward_matrix"):
        reward_from_imitation(Tabular(reward_matrix=None), mdp)
    with pytest.raises(ShapeError, match="one of"):
        reward_from_imitation(Tabular(reward_matrix=np.zeros(3)), mdp)
    with pytest.raises(InputError, match="2 states, or 2 a step"):
        reward_from_imitation(Tabular(), TabularMDP.random(3, 2))
