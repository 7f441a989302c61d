"""The record of two rewards: its numbers are those of their own functions, its texts and pictures are inert."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from learnt.core.errors import InputError, NonFiniteError, ShapeError
from learnt.rewards.bounds import regret_bounds
from learnt.rewards.gridworld import grid_world, hand_picked_rewards, hand_picked_world
from learnt.rewards.mdp import TabularMDP
from learnt.rewards.norms import norm_of
from learnt.rewards.record import compare_rewards
from learnt.rewards.starc import standardise, starc_distance
from learnt.rewards.val import Val

from .worlds import TOY, potential_for, processes, reward_for, toy3, toy_reward

R1, R2 = toy_reward("R1"), toy_reward("R2")


@given(
    mdp=processes(),
    seed=st.integers(0, 999),
    form=st.sampled_from(["val", "minimal", "minimal_l2", "epic"]),
    norm=st.sampled_from(["weighted_l2", "l2", "l1", "linf", "return_range"]),
)
@settings(max_examples=50, deadline=None)
def test_the_distance_is_that_of_starc_distance(mdp, seed, form, norm):
    r1, r2 = reward_for(mdp, seed), reward_for(mdp, seed + 5000)
    found = compare_rewards(r1, r2, mdp, canonicalisation=form, normalisation=norm, regret=False)
    exact = starc_distance(r1, r2, mdp, canonicalisation=form, normalisation=norm)
    assert found.distance == pytest.approx(exact, abs=1e-9)
    assert found.share.shape == (mdp.n_states, mdp.n_actions)
    assert found.share.sum() == pytest.approx(1.0 if exact > 1e-9 else 0.0)
    assert not found.share[~mdp.reachable].any()
    if found.angle is not None:
        assert found.distance == pytest.approx(2 * np.sin(found.angle / 2), abs=1e-9)
        assert found.cosine == pytest.approx(1 - found.distance**2 / 2, abs=1e-9)


def test_check_07_the_regrets_of_the_record_are_the_golden_ones():
    found = compare_rewards(R1, R2, toy3())
    assert found.worst_case_regret.normalised == pytest.approx(0.5001055352, rel=1e-8)
    assert found.reverse_regret.normalised == pytest.approx(0.5974630527, rel=1e-8)
    assert found.worst_case_regret.true_range == pytest.approx(9.5216848734, rel=1e-8)


def test_norms_and_the_unnormalised_distance_keep_the_scale():
    mdp = toy3()
    one, ten = compare_rewards(R1, R2, mdp, regret=False), compare_rewards(R1, 10 * R2, mdp, regret=False)
    assert ten.distance == pytest.approx(one.distance, abs=1e-12)
    assert ten.norm_b == pytest.approx(10 * one.norm_b) and ten.norm_a == one.norm_a
    forms = [standardise(r, mdp, norm="none") for r in (R1, R2)]
    assert one.norm_a == pytest.approx(norm_of(forms[0], mdp))
    assert one.unnormalised_distance == pytest.approx(norm_of(forms[0] - forms[1], mdp))


@given(mdp=processes(), seed=st.integers(0, 999), norm=st.sampled_from(["linf", "weighted_l2", "return_range"]))
@settings(max_examples=30, deadline=None)
def test_the_worst_case_regret_lies_in_the_bounds(mdp, seed, norm):
    found = compare_rewards(reward_for(mdp, seed), reward_for(mdp, seed + 5000), mdp, normalisation=norm)
    if found.bounds is not None:
        low, high = found.bounds
        for regret in (found.worst_case_regret, found.reverse_regret):
            assert low - 1e-9 <= regret.normalised <= high + 1e-9


def test_bounds_are_the_closed_form_constants_times_the_distance():
    found = compare_rewards(R1, R2, toy3(), normalisation="linf", regret=False)
    constants = regret_bounds(toy3(), norm="linf", exact=False)
    assert found.bounds == pytest.approx((constants.lower * found.distance, min(1, constants.upper * found.distance)))
    assert compare_rewards(R1, R2, toy3(), canonicalisation="epic", regret=False).bounds is None
    assert compare_rewards(R1, R2, toy3(), normalisation="l2", metric="l1", regret=False).bounds is None


def test_the_place_where_one_reward_was_changed_is_found():
    mdp = TabularMDP.random(10, 3, seed=4)
    reward = reward_for(mdp, 0)
    changed = reward.copy()
    changed[6, 2] += 3.0
    found = compare_rewards(reward, changed, mdp)
    assert (found.largest[0].state, found.largest[0].action) == ("state 6", "action 2")
    assert found.largest[0].share == found.share.max() > 0.3
    shares = [place.share for place in found.largest]
    assert shares == sorted(shares, reverse=True)


def test_equal_orders_of_policies_have_no_places():
    mdp = TabularMDP.random(8, 3, seed=2)
    reward, phi = reward_for(mdp, 0), potential_for(mdp, 0)
    found = compare_rewards(reward, 4 * (reward + mdp.discount * phi - phi[:, None, None]), mdp)
    assert found.distance < 1e-9 and found.largest == () and not found.share.any()
    assert found.worst_case_regret.normalised < 1e-9


def test_trivial_and_unreachable_are_flagged():
    world = grid_world(3, 3, walls=[(1, 1)])
    found = compare_rewards(reward_for(world, 0), np.zeros((9, 5)), world, names=("meant", "zero"))
    assert (found.trivial_a, found.trivial_b) == (False, True) and found.angle is None and found.cosine is None
    assert found.distance == pytest.approx(1.0) and found.unreachable_states == 1 and found.bounds is None
    assert any("1 of 9 states" in text for text in found.warnings)
    assert any("zero" in text and "trivial" in text for text in found.warnings)


def test_a_small_epic_distance_with_a_large_regret_is_warned_of():
    change = 100 * np.array(TOY["K_redistribution"])
    options = {"canonicalisation": "epic", "normalisation": "l2"}
    found = compare_rewards(R1 + change, -R1 + change, toy3(), **options)
    assert found.distance == pytest.approx(2 * 0.0021205442, rel=1e-6)  # L2 of mean-free forms is twice EPIC
    assert found.worst_case_regret.normalised == pytest.approx(1.0)
    assert any("yet the worst-case regret is 1" in text for text in found.warnings)
    assert not found.is_starc and "positive scaling" in found.ignores and "redistribution" not in found.ignores
    assert compare_rewards(R1 + change, -R1 + change, toy3()).warnings == ()


def test_the_record_is_json(tmp_path):
    pi = np.array(TOY["pi_s"])
    found = compare_rewards(R1, R2, toy3(), canonicalisation=Val(policy=pi), names=("A ü", "B"))
    data = json.loads(found.to_json(tmp_path / "r.json"))
    assert data == json.loads((tmp_path / "r.json").read_text(encoding="utf-8"))
    assert data["names"] == ["A ü", "B"] and data["policy"] == pi.tolist()
    assert data["distance"] == found.distance == pytest.approx(0.6375829766)
    witness = data["worst_case_regret"]["better_by_truth"]["policy"]
    np.testing.assert_allclose(np.sum(witness, axis=1), 1.0)
    assert data["ignores"] == ["potential shaping", "redistribution", "positive scaling"]
    assert data["largest"][0]["share"] == found.largest[0].share


def test_the_summary_holds_the_numbers_and_is_inert():
    found = compare_rewards(R1, R2, toy3(), names=("a\x1b[31m\nb", "B"))
    text = found.summary()
    assert "\x1b" not in text and "0.584654" in text and "0.500106" in text and "0.597463" in text
    assert "these dynamics and this discount" in text and str(found) == text


def test_pictures_of_grids_show_both_witnesses_and_others_bars():
    world = hand_picked_world(slip=0.1)
    rewards = hand_picked_rewards(world)
    figure = compare_rewards(rewards["sparse"], rewards["cliff"], world, names=("$\\frac{a", "cliff")).plot()
    figure.canvas.draw()
    pictures = [ax for ax in figure.axes if ax.get_label() != "<colorbar>"]
    assert len(pictures) == 3 and any("$\\frac{a" in ax.get_title(loc="left") for ax in pictures)
    assert all(len(ax.texts) >= 9 for ax in pictures[1:])  # arrows
    alone = compare_rewards(rewards["sparse"], rewards["cliff"], world, regret=False).plot()
    assert len([ax for ax in alone.axes if ax.get_label() != "<colorbar>"]) == 1
    bars = compare_rewards(R1, R2, toy3(), names=("$x", "y")).plot()
    bars.canvas.draw()
    assert len(bars.axes[0].patches) == 12


def test_the_page_is_inert(tmp_path):
    world = hand_picked_world()
    rewards = hand_picked_rewards(world)
    found = compare_rewards(rewards["sparse"], rewards["path"], world, names=("<script>x</script>", "b&c"))
    text = found.to_html(tmp_path / "r.html").read_text()
    assert "<script>x" not in text and text.count("<script") == 1 and "http" not in text.replace("http-equiv", "")
    assert "default-src 'none'" in text and text.count("data:image/png") == 1 and "0.258499" in text
    same = compare_rewards(rewards["sparse"], rewards["dense"], world)
    assert "data:image/png" not in same.to_html(tmp_path / "s.html").read_text()


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"names": ("A", "A")}, InputError, "different names"),
        ({"names": ("A",)}, InputError, "two"),
        ({"canonicalisation": "vall"}, InputError, "vall"),
        ({"normalisation": "l3"}, InputError, "l3"),
        ({"r2": R2[:2]}, ShapeError, "B"),
        ({"r1": np.full_like(R1, np.inf)}, NonFiniteError, "A"),
    ],
)
def test_bad_input_is_named(options, error, text):
    given = {"r1": R1, "r2": R2} | options
    with pytest.raises(error, match=text):
        compare_rewards(given.pop("r1"), given.pop("r2"), toy3(), **given)
