"""Many rewards at once: the same numbers as one by one, the goldens of every distance, pictures and pages that are inert."""

import json
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import learnt
from learnt.core.errors import InputError, NonFiniteError, ShapeError
from learnt.rewards.canonical import FORMS
from learnt.rewards.gridworld import grid_world, hand_picked_rewards, hand_picked_world
from learnt.rewards.mdp import TabularMDP
from learnt.rewards.minimal import Minimal
from learnt.rewards.norms import NORMS
from learnt.rewards.pairwise import pairwise_rewards
from learnt.rewards.starc import STARC, starc_distance

from .worlds import TOY, change_for, potential_for, processes, reward_for, toy3, toy_reward

R1, R2 = toy_reward("R1"), toy_reward("R2")
UNIFORM, PI_S, PI_011 = None, np.array(TOY["pi_s"]), np.array([0, 1, 1])

# Canonical form, policy, norm that normalises and measures: the number of the specification.
CHECK_3 = [
    ("val", UNIFORM, "l1", 0.6335475334),
    ("val", UNIFORM, "l2", 0.5846542904),
    ("val", UNIFORM, "linf", 0.4741240879),
    ("val", PI_S, "l2", 0.6375829766),
    ("val", PI_011, "l2", 0.6846989947),
    ("minimal_l2", UNIFORM, "l2", 0.5900629859),
    ("minimal", UNIFORM, "weighted_l2", 0.6247712335),
    ("epic", UNIFORM, "l2", 1.7495468251),
    ("dard", UNIFORM, "l2", 1.7856296601),
    ("minimal_potential", UNIFORM, "l2", 1.7634376946),
    ("val_potential", UNIFORM, "l2", 1.7478207149),
    ("none", UNIFORM, "return_range", 0.6331129364),
    ("epic", UNIFORM, "return_range", 0.6331129364),
    ("val", UNIFORM, "return_range", 0.6331129364),
    ("val_potential", UNIFORM, "return_range", 0.6331129364),
    ("minimal", UNIFORM, "return_range", 0.6331129364),
    ("minimal_l2", UNIFORM, "return_range", 0.6331129364),
    ("minimal_potential", UNIFORM, "return_range", 0.6331129364),
    ("dard", UNIFORM, "return_range", 0.35038),  # DARD changes the reward
]


@pytest.mark.parametrize(("form", "policy", "norm", "value"), CHECK_3)
def test_check_03_every_distance_of_the_specification_comes_out(form, policy, norm, value):
    options = {"canonicalisation": form, "normalisation": norm, "policy": policy}
    expected = pytest.approx(value, rel=1e-8 if value != 0.35038 else 1e-4)
    assert starc_distance(R1, R2, toy3(), **options) == expected
    assert pairwise_rewards({"R1": R1, "R2": R2}, toy3(), **options)["R1", "R2"] == expected


@given(mdp=processes(), seed=st.integers(0, 999), form=st.sampled_from(FORMS), norm=st.sampled_from(NORMS))
@settings(max_examples=60, deadline=None)
def test_the_matrix_holds_the_distances_of_the_pairs(mdp, seed, form, norm):
    first = reward_for(mdp, seed)
    rewards = [first, reward_for(mdp, seed + 5000), -first, np.zeros_like(first)]
    found = pairwise_rewards(rewards, mdp, canonicalisation=form, normalisation=norm)
    for i in range(4):
        for j in range(4):
            one = starc_distance(rewards[i], rewards[j], mdp, canonicalisation=form, normalisation=norm)
            assert found.distances[i, j] == pytest.approx(one, abs=1e-9)
    assert (found.distances == found.distances.T).all() and not np.diag(found.distances).any()


@pytest.mark.parametrize(
    ("normalisation", "metric"),
    [("l2", "l1"), ("linf", "weighted_l2"), ("weighted_l2", "angle"), ("none", "l2"), ("l2", "return_range")],
)
@pytest.mark.parametrize("form", ["val", "epic"])
def test_other_metrics_than_the_norm_agree_with_the_single_ones(form, normalisation, metric):
    rewards = {name: toy_reward(name) for name in ("R1", "R2", "R4_neg", "R7_zero", "R6_pure_potential")}
    options = {"canonicalisation": form, "normalisation": normalisation, "metric": metric}
    found = pairwise_rewards(rewards, toy3(), **options)
    for a in rewards:
        for b in rewards:
            assert found[a, b] == pytest.approx(starc_distance(rewards[a], rewards[b], toy3(), **options), abs=1e-9)


@pytest.mark.parametrize("step", [1e-3, 1e-6, 1e-9, 1e-12])
def test_small_distances_keep_their_digits(step):
    mdp = TabularMDP.random(12, 3, seed=1)
    reward, other = reward_for(mdp, 1), reward_for(mdp, 2)
    near = reward + step * other
    found = pairwise_rewards([reward, near, other], mdp).distances[0, 1]
    assert found == pytest.approx(starc_distance(reward, near, mdp), rel=1e-12 + 1e-15 / step)
    assert 0 < found < 10 * step


@given(mdp=processes(), seed=st.integers(0, 999), form=st.sampled_from(["val", "minimal", "minimal_l2"]))
@settings(max_examples=40, deadline=None)
def test_check_20_the_distance_never_falls_along_the_line_to_another_reward(mdp, seed, form):
    norm = "l2" if form == "minimal_l2" else "weighted_l2"
    r1, r2 = reward_for(mdp, seed), reward_for(mdp, seed + 5000)
    line = [r1 + t * (r2 - r1) for t in np.linspace(0.0, 1.0, 17)]
    found = pairwise_rewards(line, mdp, canonicalisation=form, normalisation=norm).distances[0]
    assert (np.diff(found) >= -1e-9).all()


def test_check_20_would_notice_a_distance_that_is_not_of_l2_directions():
    mdp = TabularMDP.random(6, 3, seed=3)
    rng = np.random.default_rng(0)
    falls = 0
    for _ in range(40):
        r1, r2 = rng.standard_normal((2, 6, 3, 6))
        line = [r1 + t * (r2 - r1) for t in np.linspace(0.0, 1.0, 17)]
        found = pairwise_rewards(line, mdp, normalisation="linf", metric="l1").distances[0]
        falls += bool((np.diff(found) < -1e-9).any())
    assert falls > 0


def test_what_no_policy_can_notice_is_at_distance_zero_and_cosine_one():
    mdp = TabularMDP.random(8, 3, seed=2)
    reward, phi = reward_for(mdp, 0), potential_for(mdp, 0)
    change = change_for(mdp, 0)
    same = 3 * (reward + mdp.discount * phi - phi[:, None, None] + change - mdp.expected(change)[..., None])
    found = pairwise_rewards({"reward": reward, "same": same, "opposite": -same, "none": 0 * reward}, mdp)
    assert found["reward", "same"] < 1e-9
    assert found["reward", "opposite"] == pytest.approx(2.0, abs=1e-12)
    assert found["reward", "none"] == pytest.approx(1.0, abs=1e-12)
    assert found.cosines is not None
    np.testing.assert_allclose(found.cosines[:3, :3], [[1, 1, -1], [1, 1, -1], [-1, -1, 1]], atol=1e-12)
    assert np.isnan(found.cosines[3]).all() and found.trivial.tolist() == [False, False, False, True]
    assert any("none" in text for text in found.warnings)


def test_huge_redistribution_does_not_hide_that_a_reward_is_trivial():
    mdp = toy3()
    potential = toy_reward("R6_pure_potential") + 1e9 * np.array(TOY["K_redistribution"])
    assert pairwise_rewards([potential, R1], mdp).distances[0, 1] == pytest.approx(1.0)


@pytest.mark.parametrize("fill", [-1e3, -1e12, float(np.finfo(np.float32).min)])
def test_what_stands_on_impossible_transitions_does_not_make_a_reward_trivial(fill):
    world = hand_picked_world()
    rewards = hand_picked_rewards(world)
    filled = np.where(world.transitions > 0, rewards["sparse"], fill)
    for form in ("val", "minimal", "minimal_l2"):
        found = pairwise_rewards([filled, rewards["sparse"], rewards["cliff"]], world, canonicalisation=form)
        assert not found.trivial.any() and found.distances[0, 1] < 1e-9
        assert found.distances[0, 2] == pytest.approx(found.distances[1, 2], abs=1e-12)


def test_two_hundred_rewards_take_less_than_a_second():
    mdp = TabularMDP.random(32, 4, seed=0)
    rewards = list(np.random.default_rng(0).standard_normal((200, 32, 4, 32)))
    took = []
    for _ in range(3):
        started = time.perf_counter()
        found = pairwise_rewards(rewards, mdp)
        took.append(time.perf_counter() - started)
    assert found.distances.shape == (200, 200) and min(took) < 1.0


def test_a_sparse_process_gives_the_numbers_of_a_dense_one():
    world = grid_world(4, 4, slip=0.3, slip_to="moves", walls=[(1, 1)], terminal=[(3, 3)])
    sparse = TabularMDP(world.kernel, world.initial, world.discount, terminal=world.terminal)
    rewards = [world.expected(reward_for(world, k)) for k in range(3)]
    for norm in ("weighted_l2", "l1", "weighted_linf"):
        one, two = (pairwise_rewards(rewards, m, normalisation=norm).distances for m in (world, sparse))
        np.testing.assert_allclose(one, two, atol=1e-10)


def test_the_common_matrix_holds_the_same_numbers():
    rewards = {"R1": R1, "R2": R2, "R4": toy_reward("R4_neg")}
    found = pairwise_rewards(rewards, toy3())
    common = learnt.pairwise(list(rewards.values()), toy3(), measure=STARC(), names=list(rewards))
    np.testing.assert_allclose(found.matrix.values, common.values, atol=1e-12)
    assert found.matrix.names == common.names and found.matrix.question == common.question
    assert found.matrix["R1", "R2"].kind == "exact"
    assert learnt.ComparisonMatrix.from_dict(json.loads(json.dumps(found.matrix.to_dict()))).names == common.names


def test_the_options_of_a_form_reach_it_and_are_told():
    weight = np.array(TOY["coverage_D_sa"])
    found = pairwise_rewards([R1, R2], toy3(), canonicalisation=Minimal(weight=weight))
    one = starc_distance(R1, R2, toy3(), canonicalisation="minimal", weight=weight)
    assert found.distances[0, 1] == pytest.approx(one, rel=1e-12)
    assert found.spec == "minimal-weighted_l2-weighted_l2" and found.is_starc
    assert not pairwise_rewards([R1, R2], toy3(), canonicalisation="epic").is_starc


def test_the_record_is_json_and_read_only():
    found = pairwise_rewards({"R1": R1, "zero": 0 * R1, "R2": R2}, toy3())
    data = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert data["distances"][0][2] == found["R1", "R2"]
    assert data["cosines"][0][1] is None and data["trivial"] == [False, True, False]
    with pytest.raises(ValueError, match="read-only"):
        found.distances[0, 1] = 5.0
    frame = found.to_frame()
    assert frame.loc["R1", "R2"] == found["R1", "R2"]


def test_the_dendrogram_joins_the_nearest_first():
    found = pairwise_rewards(hand_picked_rewards(), hand_picked_world())
    assert {found.names[int(i)] for i in found.linkage[0, :2]} == {"sparse", "dense"}
    assert sorted(found.dendrogram()["ivl"]) == sorted(found.names)
    assert (np.diff(found.linkage[:, 2]) >= 0).all()


def test_the_map_is_that_of_sklearn_and_states_its_stress():
    manifold = pytest.importorskip("sklearn.manifold")
    found = pairwise_rewards(hand_picked_rewards(), hand_picked_world())
    points, stress = found.map()
    shown = np.linalg.norm(points[:, None] - points, axis=-1)
    assert stress == pytest.approx(np.sqrt(((shown - found.distances) ** 2).sum() / (found.distances**2).sum()))
    assert 0 < stress < 0.3
    if hasattr(manifold, "ClassicalMDS"):  # scikit-learn 1.8 and later
        theirs = manifold.ClassicalMDS(n_components=2, metric="precomputed").fit_transform(found.distances)
        np.testing.assert_allclose(shown, np.linalg.norm(theirs[:, None] - theirs, axis=-1), atol=1e-8)


def test_the_map_of_two_rewards_is_exact():
    found = pairwise_rewards([R1, R2], toy3()).map()
    assert found.stress == pytest.approx(0.0, abs=1e-9)
    assert np.linalg.norm(found.coordinates[0] - found.coordinates[1]) == pytest.approx(0.5846542904)


@pytest.mark.parametrize("kind", ["heatmap", "dendrogram", "map"])
def test_pictures_show_names_as_text(kind):
    rewards = {"$\\frac{a": R1, "<b>&": R2, "a\x1b[31m\u202eb": toy_reward("R4_neg")}
    ax = pairwise_rewards(rewards, toy3()).plot(kind)
    ax.figure.canvas.draw()
    texts = [t.get_text() for t in (*ax.get_xticklabels(), *ax.get_yticklabels(), *ax.texts)]
    assert any("$\\frac{a" in text for text in texts)
    assert not any("\x1b" in text or "\u202e" in text for text in texts)


def test_pictures_can_be_drawn_on_given_axes():
    from matplotlib.figure import Figure

    ax = Figure().add_subplot()
    assert pairwise_rewards([R1, R2], toy3()).plot("heatmap", ax) is ax


def test_the_page_is_inert_complete_and_repeatable(tmp_path):
    rewards = {"<script>alert(1)</script>": R1, "R2 & co": R2, "R4": toy_reward("R4_neg")}
    found = pairwise_rewards(rewards, toy3())
    text = found.to_html(tmp_path / "a.html", title="<b>rewards</b>").read_text()
    assert "<script>alert" not in text and "<b>rewards" not in text
    assert text.count("<script") == 1 and 'type="application/json"' in text
    assert "default-src 'none'" in text and "http://" not in text and "https://" not in text
    assert text.count("data:image/png;base64,") == 3
    embedded = text.split('id="learnt-data">')[1].split("</script>")[0]
    assert json.loads(embedded)["distances"] == found.to_dict()["distances"]
    assert found.to_html(tmp_path / "b.html", title="<b>rewards</b>").read_text() == text


def test_unreachable_states_are_counted():
    world = grid_world(3, 3, walls=[(1, 1)])
    found = pairwise_rewards([reward_for(world, 0), reward_for(world, 1)], world)
    assert found.unreachable_states == 1 and "1 of 9 states" in found.warnings[0]


@pytest.mark.parametrize(
    ("rewards", "options", "error", "text"),
    [
        ([R1], {}, InputError, "at least two"),
        ({"a": R1, "b": R2[:2]}, {}, ShapeError, "b"),
        ({"a": R1, "b": np.full_like(R1, np.nan)}, {}, NonFiniteError, "b"),
        ({"1": R1, 1: R2}, {}, InputError, "different names"),
        ([R1, R2], {"canonicalisation": "vall"}, InputError, "Did you mean 'val'"),
        ([R1, R2], {"normalisation": "l3"}, InputError, "l3"),
        ([R1, R2], {"metric": "l3"}, InputError, "l3"),
        ([R1, R2], {"metric": "angle", "normalisation": "l1"}, InputError, "angle"),
        ([R1, R2], {"normalisation": "none"}, InputError, "metric"),
        ([R1, R2], {"policy": lambda r: r}, InputError, "policy"),
    ],
)
def test_bad_input_is_named(rewards, options, error, text):
    with pytest.raises(error, match=text):
        pairwise_rewards(rewards, toy3(), **options)


def test_unknown_pictures_and_names_are_named():
    found = pairwise_rewards([R1, R2], toy3())
    with pytest.raises(InputError, match="heatmap"):
        found.plot("pie")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="reward 0"):
        found["R1", "R2"]


@pytest.mark.parametrize(("suffix", "start"), [(".png", b"\x89PNG"), (".svg", b"<?xml"), (".pdf", b"%PDF")])
def test_pictures_are_written_atomically_and_repeatably(tmp_path, suffix, start):
    found = pairwise_rewards({"$\\frac{a": R1, "R2": R2, "R4": toy_reward("R4_neg")}, toy3())
    one, two = (found.save_picture(tmp_path / f"{name}{suffix}").read_bytes() for name in "ab")
    assert one.startswith(start) and one == two


def test_pictures_of_unknown_kinds_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"\.png"):
        pairwise_rewards([R1, R2], toy3()).save_picture(tmp_path / "a.gif")
    assert not list(tmp_path.iterdir())


def test_the_printed_matrix_is_short_and_inert():
    rewards = {f"reward\x1b[31m {i}": (1 + i) * R1 + R2 for i in range(30)}
    text = str(pairwise_rewards(rewards, toy3()))
    assert "\x1b" not in text and "18 more" in text and len(text.splitlines()) < 20
    assert f"{pairwise_rewards([R1, R2], toy3()).distances[0, 1]:.4f}" in str(pairwise_rewards([R1, R2], toy3()))
