"""A process comes back from its file as it was, and nothing else is taken for one."""

import numpy as np
import pytest

from learnt.core.errors import InputError, LearntError, StorageError, UntrustedFileError
from learnt.rewards.files import load_mdp, save_mdp
from learnt.rewards.mdp import TabularMDP
from learnt.rewards.starc import starc_distance

from .worlds import reward_for, toy3, toy_reward


def world(sparse):
    p = np.array(
        [[[0.0, 1.0, 0.0, 0.0]] * 2, [[0.5, 0.0, 0.5, 0.0]] * 2, [[0.0, 0.0, 0.0, 1.0]] * 2, [[0.0] * 3 + [1.0]] * 2]
    )
    return TabularMDP(
        p, np.eye(4)[0], 0.9, terminal=np.arange(4) == 3, states=("a", "b", "c", "end"), actions=("x", "y"),
        sparse=sparse, grid=(2, 2),
    )  # fmt: skip


@pytest.mark.parametrize("sparse", [False, True])
def test_a_process_and_its_rewards_survive_the_file(tmp_path, sparse):
    mdp = world(sparse)
    r = mdp.subject(np.arange(8.0).reshape(4, 2) * (np.arange(4) < 3)[:, None], name="r").reward
    path = save_mdp(mdp, tmp_path / "world.npz", rewards={"mine": r[..., 0], "other": np.array([1.0, 2.0, 3.0, 0.0])})
    back, rewards = load_mdp(path)
    assert back.is_sparse is sparse and back.name == "world"
    for name in ("discount", "states", "actions", "grid"):
        assert getattr(back, name) == getattr(mdp, name)
    np.testing.assert_array_equal(back.terminal, mdp.terminal)
    np.testing.assert_allclose(back.kernel.toarray(), mdp.kernel.toarray())
    assert set(rewards) == {"mine", "other"}
    assert starc_distance(rewards["mine"], rewards["other"], back) == starc_distance(
        rewards["mine"], rewards["other"], mdp
    )


def test_full_rewards_keep_their_next_state(tmp_path):
    _, rewards = load_mdp(save_mdp(toy3(), tmp_path / "toy.npz", rewards={"R1": toy_reward("R1")}))
    np.testing.assert_array_equal(rewards["R1"], toy_reward("R1"))


def test_check_21_files_that_are_no_process_have_their_own_errors(tmp_path):
    np.savez(tmp_path / "no.npz", a=np.ones(3))
    with pytest.raises(InputError, match=r"arrays a; expected a decision process, with transitions, initial, discount"):
        load_mdp(tmp_path / "no.npz")
    with pytest.raises(StorageError):
        load_mdp(tmp_path / "missing.npz")
    np.savez(tmp_path / "object.npz", transitions=np.array([{}], dtype=object))
    with pytest.raises(UntrustedFileError):
        load_mdp(tmp_path / "object.npz")
    with pytest.raises(InputError, match="'initial'"):
        save_mdp(toy3(), tmp_path / "x.npz", rewards={"initial": toy_reward("R1")})
    assert not (tmp_path / "x.npz").exists()


@pytest.mark.parametrize(
    "change",
    [
        {"kernel_indices": np.array([99] * 10)},
        {"kernel_indptr": np.array([0, 3])},
        {"kernel_shape": np.array([3])},
        {"grid": np.array([1, 2, 3])},
        {"discount": np.array([0.5, 0.6])},
    ],
)
def test_damaged_files_are_errors_and_not_processes(tmp_path, change):
    path = save_mdp(world(True), tmp_path / "world.npz")
    with np.load(path) as found:
        arrays = dict(found)
    np.savez(path, **(arrays | change))
    with pytest.raises(LearntError):
        load_mdp(path)


def test_a_random_process_with_a_reward_by_function_can_be_saved(tmp_path):
    mdp = TabularMDP.random(4, 2, seed=0)
    path = save_mdp(mdp, tmp_path / "w.npz", rewards={"f": lambda s, a, k: s - a + k})
    back, rewards = load_mdp(path)
    assert starc_distance(rewards["f"], lambda s, a, k: s - a + k, back) == pytest.approx(0, abs=1e-12)
    assert starc_distance(rewards["f"], reward_for(mdp, 0), back) > 0.1
