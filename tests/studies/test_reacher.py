"""The Reacher experiment: rewards that are what they claim, the acceptance numbers, and a run that can be resumed."""

import json
import sys

import numpy as np
import pytest

from learnt.core.errors import InputError, MissingExtra
from learnt.core.estimate import Estimate
from learnt.studies import reacher as study
from learnt.studies.reacher import METHODS, PUBLISHED, TRUE, ReacherResult, Walk, is_possible, reacher, reacher_rewards


def need_mujoco():
    pytest.importorskip("gymnasium", reason="the extra rl is not installed")
    pytest.importorskip("mujoco", reason="MuJoCo is not installed: pip install 'gymnasium[mujoco]'")


def arm(angles, target, speeds):
    """Observations of an arm in these positions, by its own geometry."""
    first, both = angles[:, 0], angles.sum(1)
    tip = 0.1 * np.stack([np.cos(first), np.sin(first)], 1) + 0.11 * np.stack([np.cos(both), np.sin(both)], 1)
    return np.concatenate([np.cos(angles), np.sin(angles), target, speeds, tip - target], axis=1)


def moves(n=200, seed=0):
    rng = np.random.default_rng(seed)
    angles, target, speeds = rng.uniform(-3, 3, (n, 2)), rng.uniform(-0.2, 0.2, (n, 2)), rng.standard_normal((n, 2))
    obs, after = arm(angles, target, speeds), arm(angles + 0.02 * speeds, target, speeds)
    return obs, rng.uniform(-1, 1, (n, 2)), after, np.zeros(n, bool)


def test_rewards_are_functions_of_the_transition_alone_and_follow_their_definitions():
    s, a, n, end = moves()
    rewards = reacher_rewards(3)
    assert set(rewards) == {TRUE, *PUBLISHED}
    true = rewards[TRUE](s, a, n, end)
    np.testing.assert_allclose(true, -np.linalg.norm(n[:, 8:], axis=1) - (a**2).sum(1))
    np.testing.assert_allclose(rewards["scaled by 7"](s, a, n, end), 7 * true)
    np.testing.assert_allclose(rewards["negative"](s, a, n, end), -true)
    shaping = rewards["shaped by the distance"](s, a, n, end) - true
    np.testing.assert_allclose(
        shaping, np.linalg.norm(s[:, 8:], axis=1) - 0.99 * np.linalg.norm(n[:, 8:], axis=1), atol=1e-12
    )
    peak = true - rewards["second peak"](s, a, n, end)
    assert ((peak >= 0.2 * (0.5 - np.linalg.norm(n[:, 8:], axis=1)) - 1e-12) & (peak <= 0.2 * 1.0)).all()
    gauss = rewards["semantically identical"](s, a, n, end)
    assert (np.abs(100 * gauss - np.round(100 * gauss)) < 1e-9).all()
    assert (np.diff(gauss[np.argsort(np.linalg.norm(n[:, 8:], axis=1))]) <= 0).all()  # nearer is never worse
    shuffled = np.random.default_rng(0).permutation(200)
    for reward in rewards.values():  # nothing is read from anywhere else
        np.testing.assert_allclose(reward(s[shuffled], a[shuffled], n[shuffled], end), reward(s, a, n, end)[shuffled])
    first, second, other = (reacher_rewards(seed)["random"](s, a, n, end) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, second)
    assert np.abs(first - other).max() > 0.1


def test_affine_shaping_is_affine():
    s, a, n, end = moves()
    rewards = reacher_rewards(0)
    shaping = rewards["potential shaped"](s, a, n, end) - rewards[TRUE](s, a, n, end)
    design = np.c_[0.99 * n - s, np.full(200, -0.01)]
    w, *_ = np.linalg.lstsq(design, shaping, rcond=None)
    np.testing.assert_allclose(design @ w, shaping, atol=1e-9)
    assert np.abs(w).max() > 0.5


def test_a_redistributed_reward_differs_on_impossible_transitions_only():
    s, a, n, end = moves()
    rewards = reacher_rewards(0)
    assert is_possible(s, n).all()
    changed = rewards["changed on impossible transitions"]
    np.testing.assert_array_equal(changed(s, a, n, end), rewards[TRUE](s, a, n, end))
    moved, bent = n.copy(), n.copy()
    moved[:, 4:6] += 0.1
    bent[:, 8:] += 0.1
    for impossible in (moved, bent):
        assert not is_possible(s, impossible).any()
        assert (changed(s, a, impossible, end) != rewards[TRUE](s, a, impossible, end)).all()


def made_up(**changes):
    values = {
        "potential shaped": 0.0, "changed on impossible transitions": 0.0, "scaled by 7": 0.0,
        "shaped by the distance": 0.01, "second peak": 0.1, "semantically identical": 1.0, "random": 1.4,
        "negative": 2.0, **changes,
    }  # fmt: skip
    run = {name: Estimate.exact(value) for name, value in values.items()}
    return ReacherResult(walks=(Walk(seed=0),), found={method: (run,) for method in METHODS})


def test_acceptance_fails_where_a_number_is_wrong():
    assert all(holds for _, holds in made_up().acceptance())
    for name, value in (("potential shaped", 1e-5), ("scaled by 7", 1e-5), ("negative", 1.99), ("second peak", 0.3),
                        ("random", 1.6), ("semantically identical", 0.05)):  # fmt: skip
        wrong = made_up(**{name: value})
        assert not all(holds for _, holds in wrong.acceptance())
        assert "Does not hold" in wrong.table().caption


def test_seeds_must_be_different():
    for seeds in ((), (1, 1)):
        with pytest.raises(InputError, match="seeds"):
            reacher(seeds=seeds)


@pytest.mark.parametrize(("package", "text"), [("gymnasium", r"learnt\[rl\]"), ("mujoco", r"gymnasium\[mujoco\]")])
def test_a_missing_package_is_named_with_the_command_that_installs_it(package, text, monkeypatch):
    if package == "mujoco":
        pytest.importorskip("gymnasium", reason="the extra rl is not installed")
        for name in [name for name in sys.modules if name.startswith("gymnasium.envs.mujoco")]:
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingExtra, match=text):
        reacher(samples=10, seeds=(0,))


@pytest.mark.published
def test_reacher_meets_its_acceptance_numbers():
    need_mujoco()
    found = reacher(n_boot=100)
    assert [text for text, holds in found.acceptance() if not holds] == []
    for method, name, low, high in (
        ("val", "semantically identical", 0.9, 1.1),
        ("minimal", "semantically identical", 1.25, 1.33),
        ("val", "second peak", 0.08, 0.16),
        ("minimal", "second peak", 0.03, 0.06),
    ):  # fmt: skip  (the specification's own run: .925-.992, 1.29-1.30, .099-.107, .036)
        for run in found.found[method]:
            assert low < run[name].value < high
    assert all(run["shaped by the distance"].value > 1e-3 for run in found.found["val"])  # outside the features: seen
    saved = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert saved["published"]["potential shaped"]["val"] == 0.8969
    assert all(claim["holds"] for claim in saved["acceptance"])
    assert found.table().row_count == len(PUBLISHED)


def test_real_steps_are_possible_and_earn_the_environments_reward():
    need_mujoco()
    from learnt.adapters.gymnasium import collect

    data = collect("Reacher-v5", steps=500, reset_every=50, stochastic=False)
    assert is_possible(data.obs, data.next_obs[:, 0]).all()
    assert not is_possible(data.obs[::50], data.obs[49::50] + 0.05).any()


def test_a_run_is_kept_and_resumed(tmp_path, monkeypatch):
    need_mujoco()
    small = {"samples": 4_000, "seeds": (0, 1), "features": 20, "n_boot": 100, "quiet": True}
    plain, kept = reacher(**small), reacher(**small, directory=tmp_path)
    assert kept.to_dict() == plain.to_dict()
    monkeypatch.setattr(study, "collect", None)  # nothing is computed again
    assert reacher(**small, directory=tmp_path).to_dict() == plain.to_dict()
