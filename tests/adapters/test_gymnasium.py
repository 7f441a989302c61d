"""Walks through Gymnasium environments: right successors, right ends, and simulators that are put back or refused."""

import numpy as np
import pytest
import torch

from learnt.adapters.gymnasium import collect
from learnt.core.errors import InputError, NotApplicable, ShapeError

gymnasium = pytest.importorskip("gymnasium", reason="the extra rl is not installed")
spaces = gymnasium.spaces


def mujoco():
    return pytest.importorskip("mujoco", reason="MuJoCo is not installed: pip install 'gymnasium[mujoco]'")


class Counter(gymnasium.Env):
    """Counts up by 1 or by chance; ends at `end`; `state` hides the count where plain attributes do not reach."""

    def __init__(self, end=4, chance=0.0, hidden=False, observation_space=None, action_space=None):
        self.observation_space = observation_space or spaces.Box(-np.inf, np.inf, (1,), np.float64)
        self.action_space = action_space or spaces.Discrete(2, start=5)
        self.end, self.chance, self.hidden = end, chance, hidden
        self.seen = []

    def reset(self, *, seed=None, options=None):
        gymnasium.Env.reset(self, seed=seed)
        self.box = torch.zeros(1) if self.hidden else np.zeros(1)
        return self.observe(), {}

    def observe(self):
        return np.array([float(self.box[0])])

    def step(self, action):
        self.seen = [*self.seen, action]
        self.box[0] += 1 + self.chance * self.np_random.random()
        return self.observe(), 0.0, bool(self.box[0] >= self.end), False, {}


class Global(Counter):
    """Chance from a generator that is not the environment's."""

    rng = np.random.default_rng(0)

    def step(self, action):
        self.box[0] += self.rng.random()
        return self.observe(), 0.0, False, False, {}


class Restarting(Counter, gymnasium.utils.EzPickle):
    """A deep copy of it is a new one, whose count is 0; its state hides from plain attributes."""

    def __init__(self):
        gymnasium.utils.EzPickle.__init__(self)
        Counter.__init__(self, hidden=True, end=99)
        self.box = torch.zeros(1)


def test_episodes_end_where_they_do_and_the_last_successor_is_the_last_observation():
    found = collect(Counter(), steps=10)
    assert found.obs[:, 0].tolist() == [0, 1, 2, 3, 0, 1, 2, 3, 0, 1]
    assert found.next_obs[:, 0, 0].tolist() == [1, 2, 3, 4, 1, 2, 3, 4, 1, 2]
    assert found.terminated[:, 0].tolist() == [False, False, False, True] * 2 + [False] * 2
    assert found.episode.tolist() == [0] * 4 + [1] * 4 + [2] * 2
    assert set(found.act.tolist()) == {5, 6}


def test_cutting_an_episode_off_does_not_terminate_it():
    found = collect(Counter(), steps=6, reset_every=3)
    assert found.next_obs[:, 0, 0].tolist() == [1, 2, 3, 1, 2, 3]
    assert not found.terminated.any()
    assert found.episode.tolist() == [0, 0, 0, 1, 1, 1]
    limited = collect(gymnasium.wrappers.TimeLimit(Counter(), 2), steps=4)
    assert limited.episode.tolist() == [0, 0, 1, 1]
    assert not limited.terminated.any()
    cart = collect("CartPole-v1", steps=300, reset_every=20)
    assert cart.terminated.any()
    lengths = np.bincount(cart.episode)
    assert lengths.max() == 20  # the environment's own limit of 500 is replaced
    ends = np.flatnonzero(np.diff(cart.episode))
    assert (cart.terminated[ends, 0] == (np.abs(cart.next_obs[ends, 0, [2]]) > 0.2095)).all()


@pytest.mark.parametrize("hidden", [False, True])
def test_further_successors_start_where_the_first_did_with_chance_of_their_own(hidden):
    env = Counter(chance=0.5, end=99, hidden=hidden)
    found = collect(env, steps=40, successors=4)
    steps = found.next_obs[:, :, 0] - found.obs
    assert ((steps >= 1) & (steps <= 1.5)).all()
    assert (np.ptp(steps, axis=1) > 0).all()
    np.testing.assert_array_equal(found.next_obs[:-1, 0, 0], found.obs[1:, 0])
    assert found.stochastic is True
    assert len(env.seen) == 40  # what was tried out left no trace


@pytest.mark.parametrize(
    "name", ["CartPole-v1", "Pendulum-v1", "Acrobot-v1", "FrozenLake-v1", "MountainCarContinuous-v0"]
)
def test_the_walk_is_the_same_with_any_number_of_successors(name):
    one, three = (collect(name, steps=120, successors=k, seed=3) for k in (1, 3))
    np.testing.assert_array_equal(one.obs, three.obs)
    np.testing.assert_array_equal(one.act, three.act)
    np.testing.assert_array_equal(one.next_obs[:, 0], three.next_obs[:, 0])
    again, other = (collect(name, steps=120, seed=s) for s in (3, 4))
    assert again.fingerprint == one.fingerprint
    assert other.fingerprint != one.fingerprint
    if name == "FrozenLake-v1":
        assert three.stochastic is True
        assert one.stochastic is True
        assert (three.next_obs != three.next_obs[:, :1]).any()
    else:
        assert three.stochastic is None
        assert (three.next_obs == three.next_obs[:, :1]).all()
    assert collect(name, steps=5, stochastic=False).stochastic is False


def test_successors_of_frozen_lake_have_the_probabilities_of_its_table():
    env = gymnasium.make("FrozenLake-v1", is_slippery=True)
    found = collect(env, steps=300, successors=20)
    env.close()
    share = np.zeros((16, 4, 16))
    np.add.at(share, (found.obs[:, None], found.act[:, None], found.next_obs), 1.0)
    count = share.sum(-1, keepdims=True)
    for s, a in zip(*np.nonzero(count[..., 0] >= 300)):
        exact = np.zeros(16)
        for p, ahead, _, _ in env.unwrapped.P[s][a]:
            exact[ahead] += p
        np.testing.assert_allclose(share[s, a] / count[s, a], exact, atol=0.14)


def test_simulators_that_cannot_be_put_back_are_refused():
    for env in (Global(end=99), Restarting()):
        with pytest.raises(NotApplicable, match="cannot be put back"):
            collect(env, steps=30, successors=2)
        assert collect(env, steps=30).stochastic is None


def test_a_fixed_policy_acts_on_what_is_observed():
    env = Counter(end=50, action_space=spaces.Box(-100, 100, (1,), np.float32))
    found = collect(env, steps=20, policy=lambda obs, rng: -obs)
    np.testing.assert_array_equal(found.act, -found.obs)
    torched = collect("Pendulum-v1", steps=5, policy=lambda obs, rng: torch.tensor([0.5]))
    assert (torched.act == 0.5).all()
    noisy = lambda obs, rng: 5 + rng.integers(2)
    assert (
        collect(Counter(), steps=20, policy=noisy).fingerprint == collect(Counter(), steps=20, policy=noisy).fingerprint
    )


@pytest.mark.parametrize(
    ("space", "shape"),
    [
        (spaces.Discrete(3), ()), (spaces.Box(-2, 3, (2, 2), np.float32), (2, 2)), (spaces.MultiDiscrete([2, 4]), (2,)),
        (spaces.MultiBinary(3), (3,)),
    ],
)  # fmt: skip
def test_without_a_policy_actions_are_uniform(space, shape):
    found = collect(Counter(action_space=space), steps=400)
    assert found.act.shape == (400, *shape)
    top = {"Box": 3, "Discrete": 2, "MultiDiscrete": 3, "MultiBinary": 1}[type(space).__name__]
    assert found.act.max() == pytest.approx(top, abs=0.1)
    assert found.act.mean() == pytest.approx({3: 0.5 if shape == (2, 2) else 1.0, 2: 1.0, 1: 0.5}[top], abs=0.15)


def test_an_environment_given_stays_open_and_one_made_is_closed():
    env = gymnasium.make("CartPole-v1")
    collect(env, steps=3)
    env.reset()
    env.close()


def test_bad_input_is_an_error():
    for options, text in (
        ({"steps": 0}, "steps"),
        ({"successors": 0}, "successors"),
        ({"reset_every": 1.5}, "reset_every"),
    ):
        with pytest.raises(InputError, match=text):
            collect(Counter(), **{"steps": 3, **options})
    with pytest.raises(InputError, match="installed environment"):
        collect("NoSuchThing-v0", steps=3)
    with pytest.raises(InputError, match="env"):
        collect(object(), steps=3)
    vector = gymnasium.make_vec("CartPole-v1", num_envs=2, vectorization_mode="sync")
    with pytest.raises(InputError, match="vector"):
        collect(vector, steps=3)
    vector.close()
    with pytest.raises(InputError, match="without bounds"):
        collect(Counter(action_space=spaces.Box(-np.inf, np.inf, (1,))), steps=3)
    with pytest.raises(NotApplicable, match="Discrete, MultiDiscrete"):
        collect(Counter(action_space=spaces.Dict({"a": spaces.Discrete(2)})), steps=3)
    with pytest.raises(NotApplicable, match="FlattenObservation"):
        collect("Blackjack-v1", steps=3)
    for action, error in ((7, InputError), ([5], ShapeError), ("left", NotApplicable)):
        with pytest.raises(error, match="policy"):
            collect(Counter(), steps=3, policy=lambda obs, rng, action=action: action)


def test_mujoco_steps_are_repeated_to_the_bit():
    mujoco()
    one, two = (collect("Reacher-v5", steps=60, successors=k, seed=1) for k in (1, 2))
    assert one.obs.shape == (60, 10)
    np.testing.assert_array_equal(two.next_obs[:, 0], two.next_obs[:, 1])
    np.testing.assert_array_equal(one.next_obs[:, 0], two.next_obs[:, 0])
    assert two.stochastic is None
