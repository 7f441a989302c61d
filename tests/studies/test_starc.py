"""The random-MDP experiment: what it must bear out, every metric against the library, resuming, bits."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from learnt.core.errors import InputError, ResumeError, ShapeError
from learnt.rewards import standardise, starc_distance
from learnt.rewards.minimal_potential import MinimalPotential
from learnt.rewards.norms import norm_of
from learnt.rewards.optimal_regret import optimal_policy_regret
from learnt.rewards.random_mdp import interpolation, random_mdp, random_reward
from learnt.rewards.regret import worst_case_regret
from learnt.studies.correlations import correlations
from learnt.studies.random_pairs import FORMS, MEASURED, METRICS, environment, rows
from learnt.studies.starc import PAPER, published, starc_study

NAMES = {
    "1": "l1", "2": "l2", "inf": "linf", "weighted_1": "weighted_l1", "weighted_2": "weighted_l2",
    "weighted_inf": "weighted_linf", "0": "none",
}  # fmt: skip
FEW = {"states": 6, "actions": 3, "pairs": 2, "steps": 3}


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """16 environments x 4 pairs x 16 steps = 1,024 distinct rows, as the paper's but for their number."""
    return starc_study(tmp_path_factory.mktemp("starc"), environments=16, pairs=4, seed=1, jobs=2, quiet=True)


def test_check_16_val_follows_regret_and_does_so_more_closely_than_epic(study):
    assert study.rows == 1024
    assert 0.85 <= study["VAL-2-2"].pearson <= 0.97
    assert study["VAL-2-2"].pearson - study["EPIC-2-2"].pearson >= 0.04
    assert study["VAL-2-2"].worst_pearson > study["VAL-2-2"].pearson


def test_check_16_without_normalisation_or_canonical_form_regret_is_followed_badly(study):
    unnormalised = [e.pearson for e in study.followed if "-0-" in e.metric]
    assert len(unnormalised) == 7 * 6
    assert max(unnormalised) < 0.5
    assert max(e.pearson for e in study.followed if e.metric.startswith("None-")) < 0.7


def test_check_16_four_ways_to_measure_val_in_l1_are_one_and_those_without_the_mean_over_s_are_not(study):
    def spread(form):
        four = [study[f"{form}-{n}-{m}"].pearson for n in ("1", "weighted_1") for m in ("1", "weighted_1")]
        return max(four) - min(four)

    assert spread("VAL") < 1e-6
    assert spread("VALPotential") > 1e-2


def test_check_16_epic_and_the_smallest_shaped_reward_are_nearly_one(study):
    assert abs(study["EPIC-2-2"].pearson - study["MinimalPotential-2-2"].pearson) < 0.01


def test_check_16_the_facts_the_study_states_are_those_and_hold(study):
    assert len(study.facts) == 7
    assert all(fact.holds for fact in study.facts)
    assert study.facts[0].published == pytest.approx(0.855581 - 0.778, abs=1e-3)
    assert [round(fact.published) for fact in study.facts[-1:]] == [40]


def test_all_rows_are_distinct(study):
    assert len(np.unique(study.data["values"], axis=0)) == study.rows
    assert len(np.unique(study.data["values"][:, METRICS.index("None-0-2")])) == study.rows


def test_our_correlations_rank_the_metrics_much_as_the_published_ones_do(study):
    shared = [e for e in study.followed if e.published is not None]
    assert len(shared) == 216
    both = np.array([(e.published, e.pearson) for e in shared])
    found = correlations(both[:, :1], both[:, 1], np.arange(216))
    assert found.spearman[0] > 0.75 and found.pearson[0] > 0.7


def test_intervals_hold_their_value_and_are_not_wide(study):
    e = study["VAL-2-2"]
    assert e.low < e.pearson < e.high and e.high - e.low < 0.15
    assert e.worst_low < e.worst_pearson < e.worst_high


@pytest.mark.parametrize("clip", [False, True])
def test_each_metric_and_regret_of_a_row_is_what_the_library_says(clip):
    rng = np.random.RandomState(5)
    mdp = random_mdp(6, 3, discount=0.9, seed=2, legacy_rng=None if clip else rng)
    pairs = np.stack([[random_reward(mdp, rng) for _ in range(2)] for _ in range(2)])
    found = rows(pairs[:, 0], pairs[:, 1], mdp, steps=3)
    assert found["pair"].tolist() == [0, 0, 0, 1, 1, 1] and found["step"].tolist() == [1, 2, 3] * 2
    for k, i in ((0, 0), (1, 1)):
        row = 3 * k + i
        r1, ri = pairs[k, 0], interpolation(pairs[k, 0], pairs[k, 1], 3)[i]
        for name, form, norms in FORMS:
            for n in norms:
                one, two = standardise(np.stack([r1, ri]), mdp, canonicalisation=form, norm=NAMES[n])
                for m in MEASURED:
                    d = norm_of(one - two, mdp, NAMES[m])
                    at = METRICS.index(f"{name}-{n}-{m}")
                    assert found["values"][row, at] == pytest.approx(d, rel=1e-9, abs=1e-12)
        by_range = starc_distance(r1, ri, mdp, normalisation="return_range")
        assert found["values"][row, -1] == pytest.approx(by_range, abs=1e-9)
        worst = [worst_case_regret(a, b, mdp).normalised for a, b in ((r1, ri), (ri, r1))]
        np.testing.assert_allclose(found["worst"][row], worst, atol=1e-9)
        for j, (a, b) in enumerate(((r1, ri), (ri, r1))):
            best = optimal_policy_regret(a, b, mdp)
            assert best.optimistic - 1e-9 <= found["optimal"][row, j] <= best.pessimistic + 1e-9


def test_metrics_of_the_authors_rewards_are_those_of_their_code():
    golden = json.loads((Path(__file__).parents[1] / "golden" / "starc_random.json").read_text())
    rng = np.random.RandomState(golden["seed"])
    mdp = random_mdp(golden["states"], golden["actions"], discount=golden["discount"], legacy_rng=rng)
    r1, r2 = random_reward(mdp, rng), random_reward(mdp, rng)
    found = rows(r1[None], r2[None], mdp, steps=1)
    for name, value in golden["metrics_of_the_authors_code"].items():
        # Their values are iterated to 1e-8, and their minimal potentials descend a gradient in float32.
        tolerance = 1e-4 if name.startswith("Minimal") else 2e-7 if name.startswith("VAL") else 1e-12
        assert found["values"][0, METRICS.index(name)] == pytest.approx(value, rel=tolerance), name
    regrets = [golden["optimal_regret_1"], golden["optimal_regret_2"]]
    np.testing.assert_allclose(found["optimal"][0], regrets, rtol=1e-9)
    assert found["values"][0, -1] == pytest.approx(golden["return_range"], rel=1e-9)


def test_a_trivial_reward_is_flagged_and_no_row_is_nan():
    mdp = random_mdp(6, 3, seed=0)
    phi = np.arange(6.0)
    flat = mdp.discount * phi[None, None, :] - phi[:, None, None] + np.zeros((6, 3, 6))
    real = random_reward(mdp, np.random.default_rng(1))
    found = rows(np.stack([flat, real]), np.stack([real, flat]), mdp, steps=2)
    assert found["trivial"].tolist() == [[1, 0], [1, 0], [0, 0], [0, 1]]
    assert all(np.isfinite(a).all() for a in found.values())
    assert found["values"][0, METRICS.index("VAL-2-2")] == 1.0
    assert found["values"][2, METRICS.index("VAL-2-2")] == pytest.approx(0.0, abs=1e-9)
    assert found["values"][3, METRICS.index("VAL-2-2")] == 1.0
    assert found["values"][:, -1].tolist() == pytest.approx([1.0, 1.0, 0.0, 1.0], abs=1e-9)
    assert found["optimal"][0, 0] == found["worst"][0, 0] == 0.0


def test_worst_cases_can_be_left_out():
    mdp = random_mdp(5, 2, seed=0)
    r = np.stack([random_reward(mdp, np.random.default_rng(s)) for s in (0, 1)])[:, None]
    without, with_them = (rows(r[0], r[1], mdp, steps=2, regrets=kind) for kind in ("optimal", "both"))
    assert np.isnan(without["worst"]).all() and not np.isnan(with_them["worst"]).any()
    np.testing.assert_array_equal(without["values"], with_them["values"])


def test_minimal_potential_is_the_smallest_by_its_own_norm():
    mdp = random_mdp(6, 3, seed=1)
    r = random_reward(mdp, np.random.default_rng(0))
    plain, moved = MinimalPotential()(r, mdp), MinimalPotential(weight="transitions")(r, mdp)
    assert norm_of(plain, mdp, "l2") < norm_of(moved, mdp, "l2")
    assert norm_of(moved, mdp, "weighted_l2") < norm_of(plain, mdp, "weighted_l2")


def test_an_environment_depends_on_its_number_and_the_seed_only():
    settings = {**FEW, "clip": False, "seed": 3}
    once, again = (environment({"environment": 4, "discount": 0.9}, settings=settings) for _ in range(2))
    other = environment({"environment": 5, "discount": 0.9}, settings=settings)
    for key in once:
        np.testing.assert_array_equal(once[key], again[key])
    assert (once["values"] != other["values"]).any()


def test_the_same_bits_for_any_number_of_processes_and_when_resumed_or_extended(tmp_path):
    one = starc_study(tmp_path / "one", environments=4, jobs=1, quiet=True, **FEW)
    two = starc_study(tmp_path / "two", environments=3, jobs=2, quiet=True, **FEW)
    before = sorted(p.name for p in (tmp_path / "two" / "chunks").iterdir())
    more = starc_study(tmp_path / "two", environments=4, jobs=2, quiet=True, **FEW)
    after = sorted(p.name for p in (tmp_path / "two" / "chunks").iterdir())
    assert len(before) == 3 and len(after) == 4 and set(before) < set(after)
    assert two.rows == 18 and more.rows == 24
    for key, array in one.data.items():
        np.testing.assert_array_equal(array, more.data[key])
    assert json.dumps(one.to_dict()) == json.dumps(more.to_dict())
    with pytest.raises(ResumeError, match="seed"):
        starc_study(tmp_path / "two", environments=4, seed=1, quiet=True, **FEW)


def test_impossible_transitions_are_so_only_when_clipped_and_a_directory_is_one_or_the_other(tmp_path):
    settings = {**FEW, "pairs": 6, "seed": 0}
    item = {"environment": 0, "discount": 0.9}
    theirs, clipped = (environment(item, settings={**settings, "clip": clip}) for clip in (False, True))
    assert (theirs["values"] != clipped["values"]).any()
    starc_study(tmp_path, environments=2, clip=True, quiet=True, **settings)
    with pytest.raises(ResumeError, match="clip"):
        starc_study(tmp_path, environments=2, quiet=True, **settings)


def test_correlations_fall_as_the_discount_nears_one(tmp_path):
    found = starc_study(
        tmp_path, environments=8, pairs=3, steps=6, states=16, actions=3, discounts=(0.5, 0.9, 0.99), jobs=2, quiet=True
    )
    for metric in ("VAL-2-2", "EPIC-2-2", "DARD-2-2", "VAL-1-1"):
        low, middle, high = (found.at(metric, g).pearson for g in (0.5, 0.9, 0.99))
        assert low > middle > high
    assert found["VAL-2-2"].published is None
    table = found.table(["VAL-2-2", "EPIC-2-2"])
    assert (table.row_count, table.columns[1].header) == (6, "discount")
    assert list(table.columns[1].cells) == ["0.5"] * 2 + ["0.9"] * 2 + ["0.99"] * 2
    with pytest.raises(InputError, match="VAL-2-3"):
        found["VAL-2-3"]


def test_numbers_and_picture_are_written_and_the_table_says_both(study):
    record = json.loads((study.directory / "starc.json").read_text())
    assert record["schema"] == "learnt.starc/1"
    assert len(record["followed"]) == len(METRICS) == 307
    assert record["settings"]["discounts"] == [0.95] and record["rows"] == 1024
    assert (study.directory / "starc.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    text = str(study)
    assert "VAL-2-2" in text and "0.856" in text and "holds" in text and "FAILS" not in text
    assert max(map(len, text.splitlines()[:20])) <= 110
    axes = study.figure().axes
    assert len(axes) == 3 and "216 metrics" in axes[2].get_title(loc="left")


def test_published_numbers_are_those_of_the_paper():
    known = published()
    assert len(known) == 222
    assert (known["VAL-2-2"], known["VALPotential-1-weighted_1"]) == (0.855581, 0.876141)
    assert PAPER == {"states": 32, "actions": 4, "steps": 16, "discount": 0.95}


def test_matplotlib_and_the_rewards_are_loaded_when_asked_for_only():
    import subprocess

    code = "import sys, learnt.studies; print('matplotlib' in sys.modules, 'learnt.studies.starc' in sys.modules)"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said.split() == ["False", "False"]


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"environments": 1}, "environments.*at least 2"),
        ({"pairs": 0}, "pairs"),
        ({"steps": 0}, "steps"),
        ({"states": 1}, "states"),
        ({"actions": 1}, "actions"),
        ({"discount": 1.0}, "above 0 and below 1"),
        ({"discounts": (0.9, 0.9)}, "twice"),
    ],
)
def test_what_makes_no_experiment_is_refused_before_anything_is_written(tmp_path, change, text):
    with pytest.raises(InputError, match=text):
        starc_study(tmp_path / "new", **({"environments": 2, **FEW} | change))
    assert not (tmp_path / "new").exists()


def test_correlations_are_those_of_numpy_and_scipy():
    from scipy.stats import spearmanr

    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((60, 3)), rng.standard_normal(60)
    x[:, 1] = 1e9 + 1e3 * y + rng.standard_normal(60)
    x[:, 2] = 4.0
    found = correlations(x, y, np.repeat(np.arange(6), 10))
    for i in (0, 1):
        assert found.pearson[i] == pytest.approx(np.corrcoef(x[:, i], y)[0, 1], abs=1e-9)
        assert found.spearman[i] == pytest.approx(spearmanr(x[:, i], y)[0], abs=1e-12)
    assert np.isnan([found.pearson[2], found.low[2], found.spearman[2]]).all()


def test_intervals_over_environments_cover_as_often_as_they_say():
    rng, inside = np.random.default_rng(1), 0
    for repeat in range(120):
        shared = rng.standard_normal((40, 2, 1))  # environments differ, and rows of one are alike
        both = shared + 0.5 * rng.standard_normal((40, 2, 5)) + np.array([[[0.0], [0.0]]])
        x = both[:, :1].reshape(-1, 1)
        y = (0.6 * both[:, 0] + 0.8 * both[:, 1]).reshape(-1)
        found = correlations(x, y, np.repeat(np.arange(40), 5), seed=repeat)
        inside += bool(found.low[0] <= 0.6 <= found.high[0])
    assert 0.87 <= inside / 120 <= 1.0
    single = correlations(x, y, np.zeros(200, dtype=int))
    assert np.isnan(single.low[0]) and np.isfinite(single.pearson[0])


def test_correlations_of_arrays_that_do_not_fit_are_refused():
    with pytest.raises(ShapeError, match="one a row"):
        correlations(np.zeros((3, 2)), np.zeros(2), np.zeros(3, dtype=int))
    with pytest.raises(InputError, match="at least two"):
        correlations(np.zeros((1, 2)), np.zeros(1), np.zeros(1, dtype=int))
