"""STARC distances: golden numbers, the pseudometric laws over random processes, and the measure."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from learnt.core.errors import InputError, NonFiniteError, ShapeError
from learnt.core.measure import Exact
from learnt.rewards.canonical import VALID
from learnt.rewards.mdp import TabularMDP
from learnt.rewards.norms import norm_of
from learnt.rewards.shaping import potential_shaping, redistribution
from learnt.rewards.starc import STARC, standardise, starc_distance

from .worlds import TOY, change_for, potential_for, processes, reward_for, toy3, toy_reward

R1, R2 = toy_reward("R1"), toy_reward("R2")
FORMS = st.sampled_from(VALID)
NORMS = st.sampled_from(["l1", "l2", "linf", "weighted_l1", "weighted_l2", "weighted_linf", "essential_linf"])
RNG = np.random.default_rng(0)


def distance(r1, r2, mdp, form="val", norm="weighted_l2", **options):
    return starc_distance(r1, r2, mdp, canonicalisation=form, normalisation=norm, **options)


def trivial(mdp, reward):
    """Whether no policy of the process can matter for this reward, by its return range."""
    return mdp.return_range(np.einsum("sak,sak->sa", mdp.transitions, reward)) < 1e-9


@pytest.mark.parametrize("row", [k for k in TOY["distances"] if k != "about"])
def test_golden_distances_come_out(row):
    form, policy, norm, metric = row.split()
    options = {"policy": np.array(TOY[policy])} if policy.startswith("pi_") else {}
    tolerance = 5e-3 if metric == "l1" and norm == "linf" else 1e-8
    found = starc_distance(R1, R2, toy3(), canonicalisation=form, normalisation=norm, metric=metric, **options)
    assert found == pytest.approx(TOY["distances"][row], rel=tolerance)


@pytest.mark.parametrize("reward", ["R1", "R2"])
@pytest.mark.parametrize(
    ("golden", "form", "policy"),
    [
        ("none", "none", None),
        ("val_uniform", "val", None),
        ("val_pi_s", "val", "pi_s"),
        ("val_pi_det", "val", "pi_det"),
        ("min_2", "minimal_l2", None),
        ("min_w2", "minimal", None),
    ],
)
def test_golden_norms_of_every_canonical_form_come_out(golden, form, policy, reward):
    mdp = toy3()
    options = {"policy": np.array(TOY[policy])} if policy else {}
    c = standardise(toy_reward(reward), mdp, canonicalisation=form, norm="none", **options)
    ours = {"1": "l1", "2": "l2", "inf": "linf", "essinf": "essential_linf", "range": "return_range"}
    ours |= {"w1": "weighted_l1", "w2": "weighted_l2", "winf": "weighted_linf"}
    for short, norm in ours.items():
        assert norm_of(c, mdp, norm) == pytest.approx(TOY["norms"][golden][reward][short], rel=1e-8), norm


@pytest.mark.parametrize("form", VALID)
@pytest.mark.parametrize("norm", ["l1", "l2", "linf", "weighted_l2", "return_range"])
def test_the_named_rewards_of_toy3_are_where_they_belong(form, norm):
    mdp = toy3()
    for same in ("R1", "R3_equiv", "R5_redist"):
        assert distance(R1, toy_reward(same), mdp, form, norm) == pytest.approx(0.0, abs=1e-12)
    assert distance(R1, toy_reward("R4_neg"), mdp, form, norm) == pytest.approx(2.0, abs=1e-12)
    for nothing in ("R6_pure_potential", "R7_zero"):
        assert distance(R1, toy_reward(nothing), mdp, form, norm) == pytest.approx(1.0, abs=1e-12)
    assert distance(toy_reward("R6_pure_potential"), toy_reward("R7_zero"), mdp, form, norm) == 0.0


@given(mdp=processes(), form=FORMS, norm=NORMS, seed=st.integers(0, 999))
@settings(max_examples=200, deadline=None)
def test_potential_shaping_redistribution_and_scale_leave_the_distance_at_zero(mdp, form, norm, seed):
    r = reward_for(mdp, seed)
    changed = 7.0 * redistribution(potential_shaping(r, potential_for(mdp, seed), mdp), change_for(mdp, seed), mdp)
    assert distance(r, changed, mdp, form, norm) <= 1e-7
    assert distance(r, potential_shaping(r, potential_for(mdp, seed), mdp), mdp, form, norm) <= 1e-7
    assert distance(r, 1e-20 * r, mdp, form, norm) <= 1e-12
    assert distance(r, 1e20 * r, mdp, form, norm) <= 1e-12


@given(mdp=processes(), form=FORMS, norm=NORMS, seed=st.integers(0, 999))
@settings(max_examples=120, deadline=None)
def test_it_is_a_pseudometric_between_zero_and_two(mdp, form, norm, seed):
    a, b, c = (reward_for(mdp, seed + k) for k in range(3))
    d = lambda x, y: distance(x, y, mdp, form, norm)
    assert d(a, a) == 0.0
    assert d(a, b) == d(b, a)
    assert 0.0 <= d(a, b) <= 2.0 + 1e-12
    assert d(a, c) <= d(a, b) + d(b, c) + 1e-12


@given(mdp=processes(), form=FORMS, norm=NORMS, seed=st.integers(0, 999))
@settings(max_examples=120, deadline=None)
def test_the_opposite_is_two_away_and_a_trivial_reward_one(mdp, form, norm, seed):
    r = reward_for(mdp, seed)
    nothing = potential_shaping(np.zeros_like(r), potential_for(mdp, seed), mdp)
    assert trivial(mdp, nothing)
    one = 0.0 if trivial(mdp, r) else 1.0
    assert distance(r, -r, mdp, form, norm) == pytest.approx(2 * one, abs=1e-9)
    assert distance(r, nothing, mdp, form, norm) == pytest.approx(one, abs=1e-9)
    assert distance(r, 0 * r, mdp, form, norm) == pytest.approx(one, abs=1e-9)
    assert distance(nothing, 0 * r, mdp, form, norm) == 0.0


@given(seed=st.integers(0, 999), actions=st.integers(2, 3))
@settings(max_examples=40, deadline=None)
def test_distance_is_zero_exactly_when_all_policies_are_ordered_alike(seed, actions):
    """The theorem itself, against brute force over pairs of policies."""
    mdp = TabularMDP(np.random.default_rng(seed).dirichlet(np.ones(3), (3, actions)), np.ones(3) / 3, 0.9)
    r = reward_for(mdp, seed)
    same = redistribution(potential_shaping(2 * r, potential_for(mdp, seed), mdp), change_for(mdp, seed), mdp)
    other = same + 0.3 * reward_for(mdp, seed + 1)
    policies = np.random.default_rng(seed).dirichlet(np.ones(actions), (60, 3))
    occupancies = np.stack([mdp.occupancy(p) for p in policies])
    order = lambda x: np.argsort(np.einsum("psa,sa->p", occupancies, np.einsum("sak,sak->sa", mdp.transitions, x)))
    assert distance(r, same, mdp) < 1e-8
    assert (order(r) == order(same)).all()
    assert distance(r, other, mdp) > 1e-3
    assert (order(r) != order(other)).any()


@given(mdp=processes(), seed=st.integers(0, 999))
@settings(max_examples=40, deadline=None)
def test_with_one_action_every_reward_is_trivial(mdp, seed):
    if mdp.n_actions == 1:
        assert distance(reward_for(mdp, seed), reward_for(mdp, seed + 1), mdp) == 0.0


def test_what_happens_in_unreachable_states_counts_for_nothing():
    p = np.full((3, 2, 3), 0.5)
    p[:2, :, 2] = 0.0
    p[2] = [[0.0, 0.0, 1.0], [1.0, 0.0, 0.0]]
    mdp = TabularMDP(p, np.array([0.5, 0.5, 0.0]), 0.9)
    r = np.random.default_rng(0).standard_normal((3, 2, 3))
    changed = r.copy()
    changed[2] += 100 * np.random.default_rng(1).standard_normal((2, 3))
    for form in VALID:
        assert distance(r, changed, mdp, form) < 1e-8  # 0 up to the trivial threshold's scale


def test_distance_grows_along_a_straight_line_between_rewards():
    steps = [distance(R1, R1 + t * (R2 - R1), toy3(), norm="l2") for t in np.linspace(0, 1, 21)]
    assert (np.diff(steps) > 0).all()


def test_the_angle_is_the_same_question_on_another_scale():
    d = distance(R1, R2, toy3(), norm="l2")
    assert distance(R1, R2, toy3(), norm="l2", metric="angle") == pytest.approx(2 * np.arcsin(d / 2))
    assert distance(R1, -R1, toy3(), norm="weighted_l2", metric="angle") == pytest.approx(np.pi)
    assert distance(R1, 0 * R1, toy3(), norm="l2", metric="angle") == pytest.approx(np.pi / 2)
    with pytest.raises(InputError, match="'l2' or 'weighted_l2'"):
        distance(R1, R2, toy3(), norm="l1", metric="angle")


def test_without_normalisation_the_scale_counts():
    metric = {"norm": "none", "metric": "l2"}
    assert distance(R1, 2 * R1, toy3(), **metric) == pytest.approx(TOY["norms"]["val_uniform"]["R1"]["2"])
    with pytest.raises(InputError, match="without a normalisation"):
        distance(R1, R2, toy3(), norm="none")


def test_a_norm_of_what_is_constant_in_the_next_state_needs_no_copies_of_it():
    mdp, c = toy3(), np.random.default_rng(0).standard_normal((3, 2, 1))
    for norm in ("l1", "l2", "linf", "weighted_l1", "weighted_l2", "weighted_linf", "essential_linf", "return_range"):
        assert norm_of(c, mdp, norm) == pytest.approx(norm_of(np.tile(c, (1, 1, 3)), mdp, norm))


def test_bad_input_is_an_error():
    with pytest.raises(InputError, match="one of l1, l2"):
        distance(R1, R2, toy3(), norm="L2")
    with pytest.raises(InputError, match="one of val, minimal"):
        distance(R1, R2, toy3(), form="vall")
    with pytest.raises(ShapeError, match="r2"):
        distance(R1, R2[:2], toy3())
    with pytest.raises(NonFiniteError, match="r1"):
        distance(R1 * np.nan, R2, toy3())
    with pytest.raises(InputError, match="depends on the reward"):
        distance(R1, R2, toy3(), policy=lambda r: r)


# -- the measure ------------------------------------------------------------------------------------------


def ask(measure, a, b, mdp):
    states = [measure.prepare(mdp.subject(r, name=n), mdp, rng=RNG) for r, n in ((a, "a"), (b, "b"))]
    return measure.compare(*states, rng=RNG)


@pytest.mark.parametrize("form", VALID)
@pytest.mark.parametrize("norm", ["l2", "weighted_l2", "linf"])
def test_the_measure_gives_the_distance_exactly(form, norm):
    evidence = ask(STARC(canonicalisation=form, norm=norm), R1, R2, toy3())
    assert isinstance(evidence, Exact)
    assert evidence.value == distance(R1, R2, toy3(), form, norm)
    assert ask(STARC(canonicalisation=form, norm=norm), R1, R1, toy3()).value == 0.0


def test_details_name_where_the_rewards_differ_most():
    mdp = TabularMDP(
        toy3().transitions, toy3().initial, 0.9, states=("hall", "kitchen", "roof"), actions=("stay", "go")
    )
    changed = R1.copy()
    changed[2, 1] -= 3.0
    details = ask(STARC(), R1, changed, mdp).details
    rows = details["largest"]
    assert [row[0] for row in rows[:2]] == ["roof", "roof"]  # two actions: under the uniform policy one form is minus
    assert {row[1] for row in rows[:2]} == {"stay", "go"}  # the other, so both differ by as much
    assert sum(row[4] for row in rows) == pytest.approx(1.0)
    assert [row[4] for row in rows] == sorted((row[4] for row in rows), reverse=True)
    assert details["places"][5] == "roof, go"
    assert details["share"].max() == rows[0][4]
    assert (details["trivial_a"], details["trivial_b"], details["unreachable_states"]) == (False, False, 0)
    assert ask(STARC(), R1, 0 * R1, toy3()).details["trivial_b"]
    assert ask(STARC(), R1, R2, toy3()).details["largest"][0][0].startswith("state ")


def test_equal_rewards_have_no_place_where_they_differ():
    details = ask(STARC(), R1, toy_reward("R3_equiv"), toy3()).details
    assert not details["share"].any()
    assert all(row[4] == 0.0 for row in details["largest"])


def test_the_chart_shows_the_standardised_rewards_where_b_differs_most():
    measure = STARC()
    b, control = (ask(measure, R1, r, toy3()).details for r in (R2, -R1))
    chart = measure.chart({"b": b, "control": control})
    assert (chart.kind, list(chart.series), len(chart.x)) == ("bars", ["A", "B", "control"], 6)
    assert chart.x[0] == ", ".join(b["largest"][0][:2])
    assert chart.series["B"].tolist() == [row[3] for row in b["largest"]]
    np.testing.assert_allclose(chart.series["control"], -chart.series["A"])
    assert list(measure.chart({"b": b}).series) == ["A", "B"]
    assert measure.chart({"a": {}, "b": {}, "control": {}}) is None


def test_a_large_process_keeps_only_the_largest_differences():
    mdp = TabularMDP.random(60, 40, seed=0)
    measure = STARC()
    details = ask(measure, reward_for(mdp, 0), reward_for(mdp, 1), mdp).details
    assert "share" not in details
    chart = measure.chart({"b": details, "control": details})
    assert (len(chart.x), list(chart.series)) == (10, ["A", "B"])


def test_the_measure_takes_only_canonical_forms_and_names_itself():
    assert STARC().name == "starc"
    assert STARC(canonicalisation="minimal", norm="l2").name == "starc(minimal, l2)"
    with pytest.raises(InputError, match="val or minimal or minimal_l2"):
        STARC(canonicalisation="none")
    assert VALID == ("val", "minimal", "minimal_l2")


def test_what_stands_on_impossible_transitions_does_not_decide_whether_a_reward_is_trivial():
    from learnt.rewards.goodhart import goodhart_angle
    from learnt.rewards.gridworld import hand_picked_rewards, hand_picked_world

    world = hand_picked_world()
    rewards = hand_picked_rewards(world)
    masked = np.where(world.transitions > 0, rewards["sparse"], -1e12)
    assert starc_distance(masked, rewards["cliff"], world) == pytest.approx(0.840610, abs=1e-6)
    assert ask(STARC(), masked, rewards["cliff"], world).value == pytest.approx(0.840610, abs=1e-6)
    angle = goodhart_angle(rewards["sparse"], rewards["cliff"], world)
    assert goodhart_angle(masked, rewards["cliff"], world) == pytest.approx(angle, abs=1e-6)


def test_a_grid_world_is_shown_as_a_map():
    from learnt.rewards.gridworld import hand_picked_rewards, hand_picked_world

    world = hand_picked_world()
    rewards = hand_picked_rewards(world)
    details = ask(STARC(), rewards["path"], rewards["cliff"], world).details
    chart = STARC().chart({"b": details, "control": details})
    assert chart.kind == "heatmap" and list(chart.series) == ["B", "control"]
    assert chart.series["B"].shape == (3, 3) and chart.series["B"].sum() == pytest.approx(1.0)
