"""Transitions: what they accept, what they refuse, and that they tell samples apart."""

import numpy as np
import pytest
import torch

from learnt.core.errors import InputError, NonFiniteError, ShapeError
from learnt.data.transitions import Transitions

RNG = np.random.default_rng(0)
OBS, ACT, AHEAD = RNG.standard_normal((6, 3)), RNG.standard_normal((6, 2)), RNG.standard_normal((6, 2, 3))


def make(**changes):
    return Transitions(**{"obs": OBS, "act": ACT, "next_obs": AHEAD, **changes})


def test_transitions_are_checked_copies_that_nobody_can_change():
    obs = OBS.copy()
    made = make(obs=obs, weight=np.arange(6.0), episode=[0, 0, 1, 1, 2, 2])
    obs[0] = 7
    assert made.obs[0, 0] == OBS[0, 0]
    assert (len(made), made.successors, made.terminated.any()) == (6, 2, False)
    for name in ("obs", "act", "next_obs", "terminated", "weight", "episode"):
        with pytest.raises(ValueError, match="read-only"):
            getattr(made, name)[0] = 0
    assert repr(made) == "Transitions(6 points, 2 successors each, obs (3,))"


def test_integers_stay_integers_and_tensors_are_welcome():
    made = Transitions(torch.arange(4), torch.zeros(4, dtype=torch.int64), np.zeros((4, 1), dtype=int))
    assert made.obs.dtype.kind == made.act.dtype.kind == "i"
    assert make(obs=torch.tensor(OBS, dtype=torch.float32)).obs.dtype == np.float64


def test_one_successor_can_be_given_without_its_axis():
    made = Transitions.single(OBS, ACT, AHEAD[:, 0], np.arange(6) == 5, episode=np.zeros(6, int))
    assert made.next_obs.shape == (6, 1, 3)
    assert made.terminated.tolist() == [[False]] * 5 + [[True]]
    with pytest.raises(ShapeError, match="next_obs"):
        Transitions.single(OBS, ACT, AHEAD)
    with pytest.raises(ShapeError, match="terminated"):
        Transitions.single(OBS, ACT, AHEAD[:, 0], np.zeros((6, 1), bool))


@pytest.mark.parametrize(
    ("changes", "error", "name"),
    [
        ({"obs": np.empty((0, 3)), "act": ACT[:0], "next_obs": AHEAD[:0]}, ShapeError, "obs"),
        ({"obs": 1.0}, ShapeError, "obs"),
        ({"obs": [[1.0], [1.0, 2.0]]}, ShapeError, "obs"),
        ({"obs": np.array(["a"] * 6)}, InputError, "obs"),
        ({"obs": np.where(OBS == OBS[2, 1], np.nan, OBS)}, NonFiniteError, r"obs.*\(2, 1\)"),
        ({"act": ACT[:5]}, ShapeError, "act"),
        ({"act": ACT * np.inf}, NonFiniteError, "act"),
        ({"next_obs": AHEAD[:, 0]}, ShapeError, "Transitions.single"),
        ({"next_obs": AHEAD[:, :0]}, ShapeError, "K >= 1"),
        ({"next_obs": AHEAD[:, :, :2]}, ShapeError, "next_obs"),
        ({"next_obs": AHEAD * np.nan}, NonFiniteError, "next_obs"),
        ({"next_obs": AHEAD.astype(int)}, InputError, "that of obs"),
        ({"terminated": np.zeros(6, bool)}, ShapeError, "terminated"),
        ({"terminated": np.zeros((6, 2))}, ShapeError, "terminated"),
        ({"weight": np.ones(5)}, ShapeError, "weight"),
        ({"weight": -np.ones(6)}, InputError, "weight"),
        ({"weight": np.zeros(6)}, InputError, "weight"),
        ({"weight": np.full(6, np.nan)}, NonFiniteError, "weight"),
        ({"episode": np.zeros(5, int)}, ShapeError, "episode"),
        ({"episode": np.zeros(6)}, ShapeError, "episode"),
        ({"stochastic": "yes"}, InputError, "stochastic"),
    ],
)
def test_every_wrong_table_has_its_own_error(changes, error, name):
    with pytest.raises(error, match=name):
        make(**changes)


def test_the_fingerprint_tells_samples_apart():
    base = make()
    assert base.fingerprint == make().fingerprint
    others = [
        make(obs=OBS + 1e-9), make(act=-ACT), make(next_obs=AHEAD[:, ::-1]), make(weight=np.ones(6)),
        make(episode=np.arange(6)), make(terminated=np.ones((6, 2), bool)), base.take(slice(5)), base.take([1, 0, 2, 3, 4, 5]),
    ]  # fmt: skip
    assert len({base.fingerprint, *(o.fingerprint for o in others)}) == 9


def test_chance_is_seen_where_the_same_point_has_different_successors():
    assert make().shows_chance
    same = np.repeat(AHEAD[:, :1], 2, axis=1)
    assert not make(next_obs=same).shows_chance
    obs, act, ahead = np.zeros((2, 1)), np.zeros(2, int), np.array([[[1.0]], [[2.0]]])
    assert Transitions(obs, act, ahead).shows_chance
    assert not Transitions(obs, np.array([0, 1]), ahead).shows_chance
    assert not Transitions(obs * -1.0, act, ahead * 0).shows_chance
    assert Transitions(obs, act, ahead * 0, np.array([[True], [False]])).shows_chance


def test_taking_keeps_everything_that_belongs_to_a_point():
    made = make(weight=np.arange(1.0, 7), episode=np.arange(6), stochastic=True).take(np.arange(6) % 2 == 0)
    assert made.weight.tolist() == [1, 3, 5]
    assert made.episode.tolist() == [0, 2, 4]
    assert made.stochastic
    np.testing.assert_array_equal(made.next_obs, AHEAD[::2])
