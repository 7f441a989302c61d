"""Sampled distances: golden numbers, exactness at any sample size, bias, coverage, and every refusal."""

import json
import math
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.rewards.linear_gaussian import (
    ALPHA,
    BETA,
    GAMMA,
    GOLDEN,
    REWARDS,
    SIGMA,
    VALUES,
    coverage,
    under_policy,
)
from tests.rewards.test_lstd import states

from learnt.core.errors import InputError, NonFiniteError, NotApplicable, ShapeError
from learnt.data.transitions import Transitions
from learnt.rewards.features import Fourier, Polynomial
from learnt.rewards.lstd import LSTD, Design
from learnt.rewards.mdp import TabularMDP
from learnt.rewards.sampled import estimate_distance, hoeffding_samples
from learnt.rewards.scoring import sample_table
from learnt.rewards.starc import starc_distance

SQUARES = LSTD(features=lambda obs: np.stack([obs**0, obs**2], axis=1))
PAIR = {name: REWARDS[name] for name in ("R1", "R2")}


def quiet(*args, **kwargs):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        return estimate_distance(*args, **{"n_boot": 100, **kwargs})


# -- the linear-Gaussian process ---------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(3))
def test_check_17_two_successors_come_within_0_02_of_the_golden_distance(seed):
    found = quiet(REWARDS, coverage(10_000, 2, 10 + seed), GAMMA, value=VALUES)
    assert abs(found["R1", "R2"].distance.value - GOLDEN["distance"]["R1|R2"]) < 0.02
    assert found["R1", "R3_shaped"].distance.value < 1e-12
    assert found["R1", "R4_neg"].distance.value == pytest.approx(2, abs=1e-12)
    assert found["R1", "R5_sprime"].distance.value == pytest.approx(GOLDEN["distance"]["R1|R5_sprime"], abs=5e-4)
    assert found.norm.value[0] == pytest.approx(GOLDEN["canon"]["R1"]["norm"], rel=0.05)


def test_check_17_an_estimated_value_gives_the_golden_distance_too():
    draws = [
        quiet(REWARDS, coverage(5_000, 2, s), GAMMA, value=SQUARES, evaluation=under_policy(5_000, s)) for s in range(8)
    ]
    mean = np.mean([d["R1", "R2"].distance.value for d in draws])
    assert mean == pytest.approx(GOLDEN["distance"]["R1|R2"], abs=0.015)
    assert max(d["R1", "R3_shaped"].distance.value for d in draws) < 1e-9


def expected_with_noise(k):
    """The plug-in distance in the limit: the variance of mean_k delta enters every entry of the Gram matrix.

    delta = const + beta_s xi + q xi^2 with q = sigma^2 (Q_s's' + gamma V2): its covariance given (s, a) in closed form.
    """
    norm = {n: GOLDEN["canon"][n]["norm"] for n in ("R1", "R2")}
    inner = GOLDEN["cosine"]["R1|R2"] * norm["R1"] * norm["R2"]
    top = [SIGMA * (np.array(GOLDEN["rewards_Q"][n])[2, 2] + GAMMA * GOLDEN["canon"][n]["V_quadratic"]) for n in norm]
    second = ALPHA**2 + BETA**2  # E of the mean successor squared, under s, a ~ N(0, 1)
    noise = lambda u, v: (4 * second * top[u] * top[v] + 2 * SIGMA**2 * top[u] * top[v]) / k
    grams = norm["R1"] ** 2 + noise(0, 0), norm["R2"] ** 2 + noise(1, 1), inner + noise(0, 1)
    return math.sqrt(2 - 2 * grams[2] / math.sqrt(grams[0] * grams[1]))


def test_check_17_one_successor_under_stochastic_dynamics_is_biased_and_says_so():
    with pytest.warns(RuntimeWarning, match="one successor for each point"):
        found = estimate_distance(PAIR, coverage(10_000, 1, 0), GAMMA, value=VALUES, n_boot=100)
    assert "one successor" in found.notes[0]
    one = np.mean(
        [quiet(PAIR, coverage(10_000, 1, s), GAMMA, value=VALUES)["R1", "R2"].distance.value for s in range(20)]
    )
    two = np.mean(
        [quiet(PAIR, coverage(10_000, 2, s), GAMMA, value=VALUES)["R1", "R2"].distance.value for s in range(20)]
    )
    assert one == pytest.approx(expected_with_noise(1), abs=0.005)
    assert expected_with_noise(1) == pytest.approx(0.357, abs=0.001)  # the specification's table: .3569 +- .005
    assert expected_with_noise(2) == pytest.approx(0.366, abs=0.001)  # and .3654 +- .005 for two, not corrected
    assert two == pytest.approx(GOLDEN["distance"]["R1|R2"], abs=0.005)


def test_check_17_chance_is_noticed_from_repeated_points_even_if_nobody_declared_it():
    batch = coverage(500, 1, 0)
    twice = Transitions(
        np.repeat(batch.obs, 2), np.repeat(batch.act, 2),
        np.concatenate([batch.next_obs, batch.next_obs + 0.1], axis=1).reshape(-1, 1),
    )  # fmt: skip
    with pytest.warns(RuntimeWarning, match="one successor"):
        estimate_distance(PAIR, twice, GAMMA, value=VALUES, n_boot=100)
    silent = Transitions(batch.obs, batch.act, batch.next_obs)  # nothing is known, nothing is seen
    assert estimate_distance(PAIR, silent, GAMMA, value=VALUES, n_boot=100).notes == ()
    assert estimate_distance(PAIR, batch, GAMMA, value=VALUES, n_boot=100, stochastic=False).notes == ()


def test_check_17_equal_seeds_give_equal_bits_and_other_seeds_other_intervals():
    batch = coverage(300, 2, 0)
    first, second, other = (
        estimate_distance(REWARDS, batch, GAMMA, value=VALUES, seed=s, n_boot=200).to_dict() for s in (0, 0, 1)
    )
    assert json.dumps(first) == json.dumps(second)
    assert first["distance"]["value"] == other["distance"]["value"]
    assert first["distance"]["low"] != other["distance"]["low"]


def coverage_of(value, evaluation, repetitions):
    truth, inside = GOLDEN["cosine"]["R1|R2"], 0
    for seed in range(repetitions):
        other = None if evaluation is None else under_policy(evaluation, seed)
        found = estimate_distance(
            PAIR, coverage(1_000, 2, seed), GAMMA, value=value, evaluation=other, n_boot=300, seed=seed
        )["R1", "R2"].cosine
        inside += found.low <= truth <= found.high
    return inside / repetitions


def test_check_18_intervals_of_the_cosine_cover_the_truth():
    assert 0.90 <= coverage_of(VALUES, None, 200) <= 0.99


def test_check_18_intervals_cover_the_truth_with_an_estimated_value_too():
    assert 0.90 <= coverage_of(SQUARES, 300, 120) <= 0.99


def test_without_the_error_of_the_value_intervals_would_be_too_narrow():
    """Few transitions for the value, many points: nearly all error comes from the value, and the interval knows it."""
    batch = coverage(8_000, 2, 0)
    runs = [
        estimate_distance(PAIR, batch, GAMMA, value=SQUARES, evaluation=under_policy(150, s), n_boot=200)
        for s in range(30)
    ]
    cosines = [r["R1", "R2"].cosine for r in runs]
    spread = np.std([c.value for c in cosines])
    width = np.median([c.high - c.low for c in cosines])
    fixed = quiet(PAIR, batch, GAMMA, value=VALUES)["R1", "R2"].cosine
    assert width == pytest.approx(2 * 1.96 * spread, rel=0.5)
    assert fixed.high - fixed.low < 0.7 * width


# -- exactness at any sample size --------------------------------------------------------------------------


def random_samples(n, k, seed, terminal=0.1):
    rng = np.random.default_rng(seed)
    obs = rng.standard_normal((n, 3))
    ahead = 0.9 * obs[:, None] + 0.3 * rng.standard_normal((n, k, 3))
    return Transitions(
        obs, rng.integers(0, 3, n), ahead, rng.random((n, k)) < terminal, episode=np.arange(n) // 7, stochastic=k > 1
    )


def random_rewards(data, seed):
    rng = np.random.default_rng([seed, 3])
    shape = data.next_obs.shape[:2]
    return {"a": rng.standard_normal(shape), "b": rng.standard_normal(shape)}


@given(
    n=st.integers(40, 400), k=st.integers(1, 3), seed=st.integers(0, 10_000), method=st.sampled_from(["val", "minimal"]),
    discount=st.sampled_from([0.0, 0.5, 0.99]), size=st.sampled_from([1.0, 1e3]),
)  # fmt: skip
@settings(max_examples=60, deadline=None)
def test_check_17_shaping_in_the_span_and_scale_change_nothing_at_any_sample_size(n, k, seed, method, discount, size):
    data = random_samples(n, k, seed)
    rewards = random_rewards(data, seed)
    features = Fourier(count=6, length=2.0).fit(data.obs)
    theta = size * np.random.default_rng(seed).standard_normal(10)
    shape = np.empty(data.next_obs.shape[:2])
    for part, _, y in Design(features, data, discount):
        shape[part] = -y @ theta
    rewards |= {
        "shaped": rewards["a"] + shape,
        "scaled": 7 * rewards["a"],
        "negative": -rewards["a"],
        "potential": shape,
    }
    found = quiet(rewards, data, discount, value=LSTD(features=features), method=method)
    if not found.uncertain[0]:
        assert found["a", "shaped"].distance.value < 1e-9
        assert found["a", "scaled"].distance.value < 1e-12
        assert found["a", "negative"].distance.value == pytest.approx(2, abs=1e-12)
        assert found["a", "negative"].angle.value == pytest.approx(math.pi, abs=1e-12)
        assert found["scaled", "scaled"].distance.value == 0.0
    if not found.uncertain[:2].any():
        assert found["shaped", "b"].distance.value == pytest.approx(found["a", "b"].distance.value, abs=1e-9)
        assert found["b", "scaled"].distance.value == pytest.approx(found["b", "a"].distance.value, abs=1e-9)
        assert found["a", "potential"].distance.value == 1.0
    assert found.trivial.tolist() == [False] * 5 + [True]


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("method", ["val", "minimal"])
def test_all_transitions_of_a_deterministic_process_give_its_exact_distance(seed, method):
    mdp = TabularMDP.random(6, 3, seed=seed, deterministic=True)
    mdp = TabularMDP(mdp.transitions, np.full(6, 1 / 6), mdp.discount)
    s, a, ahead = np.nonzero(mdp.transitions > 0)
    data = Transitions(s, a, ahead[:, None], stochastic=False)
    table = np.random.default_rng(seed).standard_normal((3, 6, 3, 6))
    rewards = {name: lambda o, a, n, t, r=r: r[o, a, n] for name, r in zip("xyz", table)}
    found = quiet(rewards, data, mdp.discount, value=LSTD(features=states(6)), method=method)
    for i, j in ((0, 1), (0, 2), (1, 2)):
        exact = starc_distance(table[i], table[j], mdp, canonicalisation=method)
        assert found.distance.value[i, j] == pytest.approx(float(exact), abs=1e-9)


@pytest.mark.parametrize("method", ["val", "minimal"])
def test_samples_of_a_stochastic_process_give_its_exact_distance_within_the_interval(method):
    """Uniform points, two successors, one-hot features: everything that can be wrong with the estimator would show."""
    mdp = TabularMDP(np.random.default_rng(1).dirichlet(np.full(6, 0.3), (6, 3)), np.full(6, 1 / 6), 0.9)
    table = np.random.default_rng(2).standard_normal((2, 6, 3, 6))
    rewards = {name: lambda o, a, n, t, r=r: r[o, a, n] for name, r in zip("xy", table)}
    exact = float(starc_distance(*table, mdp, canonicalisation=method))
    inside, found = 0, []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        s, a = rng.integers(0, 6, 1_500), rng.integers(0, 3, 1_500)
        ahead = (rng.random((1_500, 2, 1)) > mdp.transitions[s, a].cumsum(-1)[:, None]).sum(-1).clip(max=5)
        batch = Transitions(s, a, ahead, stochastic=True)
        d = quiet(rewards, batch, 0.9, value=LSTD(features=states(6)), method=method, n_boot=200)["x", "y"].distance
        inside += d.low <= exact <= d.high
        found.append(d.value)
    assert np.mean(found) == pytest.approx(exact, abs=0.01)
    assert inside >= 16
    assert np.std(found) < 0.06


def test_terminated_successors_have_no_value():
    data = random_samples(300, 1, 0, terminal=0.5)
    potential = lambda o: 3 * o[:, 0] + 1
    base = lambda o, a, n, t: np.sin(5 * o[:, 1]) + a
    shaped = lambda o, a, n, t: base(o, a, n, t) + 0.9 * np.where(t, 0.0, potential(n)) - potential(o)
    forgot = lambda o, a, n, t: base(o, a, n, t) + 0.9 * potential(n) - potential(o)
    found = quiet({"r": base, "shaped": shaped, "forgot": forgot}, data, 0.9, value=LSTD(features=Polynomial(degree=1)))
    assert found["r", "shaped"].distance.value < 1e-9
    assert found["r", "forgot"].distance.value > 0.1


def test_terminated_successors_have_no_value_when_the_user_gives_it_either():
    data = random_samples(300, 1, 0, terminal=0.5)
    shaped = lambda o, a, n, t: a + 0.9 * np.where(t, 0.0, n[:, 0] ** 3) - o[:, 0] ** 3
    value = {"r": lambda o: np.zeros(len(o)), "shaped": lambda o: -(o[:, 0] ** 3)}
    found = quiet({"r": lambda o, a, n, t: 1.0 * a, "shaped": shaped}, data, 0.9, value=value)
    assert found["r", "shaped"].distance.value < 1e-12


@pytest.mark.parametrize("own", [True, False])
def test_resampled_inner_products_are_those_of_a_new_fit_to_first_order(own, monkeypatch):
    """One resample with counts 1 + epsilon z against estimating everything anew with these weights."""
    from learnt.rewards.bootstrap import Part

    batch, other = random_samples(200, 2, 0), random_samples(150, 2, 1)
    values = np.random.default_rng(0)
    reward = {n: values.standard_normal(5) for n in "ab"}
    rewards = {n: lambda o, a, m, t, w=w: np.c_[o, a, m[:, 0]] @ w + m[:, 1] * o[:, 0] for n, w in reward.items()}
    features = Polynomial(degree=2).fit(batch.obs)
    step = 1e-6 * values.standard_normal(200)

    def gram(weight, weight_other):
        made = [
            Transitions(d.obs, d.act, d.next_obs, d.terminated, weight=w, stochastic=True)
            for d, w in ((batch, weight), (other, weight_other))
        ]
        evaluation = None if own else made[1]
        return quiet(rewards, made[0], 0.9, value=LSTD(features=features), evaluation=evaluation)

    seen = []
    kept = Part.means

    def means(self, columns):
        counts = 1 + step[: self.count]
        monkeypatch.setattr(Part, "counts", lambda self: iter([(slice(0, 100), np.tile(counts, (100, 1)))]))
        value, drawn = kept(self, columns)
        seen.append((self.count, value, drawn[0]))
        return value, drawn

    plain = gram(np.ones(200), np.ones(150))
    moved = gram(1 + step, 1 + step[:150])
    monkeypatch.setattr(Part, "means", means)
    gram(np.ones(200), np.ones(150))
    cross = seen[2:]  # after two sets of columns for the norms come two for the pair
    change = cross[1][2] - cross[0][1] if own else (cross[0][2] - cross[0][1]) + cross[1][2]
    assert (moved.gram - plain.gram)[0, 1] == pytest.approx(float(change[0]), rel=1e-3)
    assert abs(float(change[0])) > 1e-8


def test_weights_count_as_repeated_points_do():
    data, count = random_samples(200, 2, 0), np.random.default_rng(0).integers(0, 4, 200)
    rewards = random_rewards(data, 0)
    again = np.repeat(np.arange(200), count)
    heavy = Transitions(data.obs, data.act, data.next_obs, data.terminated, weight=count, stochastic=True)
    value = LSTD(features=Fourier(count=5).fit(data.obs))
    for method in ("val", "minimal"):
        first = quiet(rewards, heavy, 0.9, value=value, method=method)
        second = quiet({n: r[again] for n, r in rewards.items()}, data.take(again), 0.9, value=value, method=method)
        np.testing.assert_allclose(first.gram, second.gram, rtol=1e-8)


def test_noise_of_successors_does_not_enter_norms():
    """A reward that is only redistributed noise has a canonical form of 0; two successors see that, one does not."""
    rng = np.random.default_rng(0)
    obs, noise = rng.standard_normal(4_000), rng.standard_normal((4_000, 2))
    rewards = {"real": lambda o, a, n, t: o * a + 0.3 * n, "both": lambda o, a, n, t: o * a + 0.3 * n + 2 * (n - o)}
    act = rng.standard_normal(4_000)
    data = Transitions(obs, act, obs[:, None] + noise, stochastic=True)
    nothing = lambda o: np.zeros(len(o))
    two = quiet(rewards, data, 0.0, value=nothing)
    one = quiet(rewards, Transitions(obs, act, data.next_obs[:, :1]), 0.0, value=nothing)
    assert two["real", "both"].distance.value < 0.1
    assert one["real", "both"].distance.value > 0.5


def test_a_reward_that_may_be_noise_only_is_reported_and_not_ranked():
    rng = np.random.default_rng(3)
    obs = rng.standard_normal(500)
    data = Transitions(obs, obs * 0, obs[:, None] + rng.standard_normal((500, 2)), stochastic=True)
    rewards = {"noise": lambda o, a, n, t: n - o, "real": lambda o, a, n, t: o}
    with pytest.warns(RuntimeWarning, match="'noise' cannot be told from 0"):
        found = estimate_distance(rewards, data, 0.0, value=lambda o: 0 * o, n_boot=200)
    assert found.uncertain.tolist() == [True, False]
    assert not found.trivial.any()
    assert "cannot be told from 0" in found["noise", "real"].distance.reason


# -- trivial rewards, clusters, values -----------------------------------------------------------------------


def test_trivial_rewards_are_one_away_from_others_and_zero_from_each_other():
    data = random_samples(300, 1, 0)
    rewards = random_rewards(data, 0) | {
        "zero": np.zeros((300, 1)),
        "potential": lambda o, a, n, t: 1e6 * (0.9 * np.where(t, 0, n[:, 0]) - o[:, 0]),
    }
    found = quiet(rewards, data, 0.9, value=LSTD(features=Polynomial(degree=1)))
    assert found.trivial.tolist() == [False, False, True, True]
    pair = found["a", "potential"]
    assert (pair.distance.value, pair.distance.kind) == (1.0, "exact")
    assert pair.angle.value == pytest.approx(math.pi / 2)
    assert not pair.cosine.defined
    assert "potential is trivial" in pair.cosine.reason
    assert found["zero", "potential"].distance.value == found["zero", "zero"].distance.value == 0.0
    assert not found.forms[2:].any()
    assert pair.gap.value == pytest.approx(found.norm.value[0], rel=1e-6)


def test_points_of_one_episode_widen_the_interval():
    one = random_samples(100, 1, 0)
    again = np.repeat(np.arange(100), 20)  # every point twenty times: 100 independent ones, whatever N says
    rewards = {n: r[again] for n, r in random_rewards(one, 0).items()}
    repeated = one.take(again)
    alone = Transitions(repeated.obs, repeated.act, repeated.next_obs, repeated.terminated)
    episodes = Transitions(repeated.obs, repeated.act, repeated.next_obs, repeated.terminated, episode=again)
    value = lambda o: np.zeros(len(o))
    widths = []
    for data in (alone, episodes):
        found = quiet(rewards, data, 0.9, value=value, n_boot=400)
        widths.append(found["a", "b"].cosine.high - found["a", "b"].cosine.low)
    assert widths[1] / widths[0] == pytest.approx(math.sqrt(20), rel=0.2)
    assert found.clusters == 100


def test_values_may_be_given_for_all_rewards_or_for_each():
    batch = coverage(500, 2, 0)
    each = quiet(PAIR, batch, GAMMA, value=VALUES)
    common = quiet(PAIR, batch, GAMMA, value=VALUES["R1"])
    assert common["R1", "R2"].distance.value != each["R1", "R2"].distance.value
    assert (each.rank, each.condition, each.value) == (None, None, "values given by the user")
    assert quiet(PAIR, batch, GAMMA, value={n: VALUES["R1"] for n in PAIR}).gram.tolist() == common.gram.tolist()
    for value, error, text in (
        ({"R1": VALUES["R1"]}, InputError, "no function for 'R2'"),
        (3.0, InputError, "value"),
        (lambda o: np.zeros((len(o), 1)), ShapeError, "value of R1"),
        (lambda o: o * np.nan, NonFiniteError, "value of R1"),
    ):
        with pytest.raises(error, match=text):
            quiet(PAIR, batch, GAMMA, value=value)


def test_the_default_is_least_squares_on_random_features_of_the_batch_itself():
    data = random_samples(2_000, 1, 0)
    found = quiet(random_rewards(data, 0), data, 0.9)
    assert found.value == "LSTD on 64 features"
    assert (found.rank, found.clusters, found.method) == (64, 286, "val")
    assert found["a", "b"].distance.value == pytest.approx(math.sqrt(2), abs=0.1)


def test_tables_of_values_give_the_same_as_the_rewards_themselves():
    batch, other = coverage(300, 2, 0), under_policy(300, 0)
    direct = quiet(PAIR, batch, GAMMA, value=SQUARES, evaluation=other)
    tables = [sample_table({n: r}, batch, evaluation=other) for n, r in PAIR.items()]
    assert quiet(tables, batch, GAMMA, value=SQUARES, evaluation=other).to_dict() == direct.to_dict()


def test_many_rewards_are_compared_in_blocks_with_the_same_result(monkeypatch):
    from learnt.rewards import bootstrap, gram

    data = random_samples(100, 2, 0)
    rewards = {str(i): r for i, r in enumerate(np.random.default_rng(0).standard_normal((9, 100, 2)))}
    whole = quiet(rewards, data, 0.9, value=lambda o: 0 * o[:, 0])
    monkeypatch.setattr(gram, "BLOCK", 1)
    monkeypatch.setattr(bootstrap, "BLOCK", 8 * 15 * 7)
    parts = quiet(rewards, data, 0.9, value=lambda o: 0 * o[:, 0])
    np.testing.assert_allclose(parts.distance, whole.distance, rtol=1e-10, equal_nan=True)
    np.testing.assert_allclose(whole.gram, whole.gram.T)
    np.testing.assert_allclose(whole.distance.value, whole.distance.value.T)


# -- the result ----------------------------------------------------------------------------------------------


def test_the_result_prints_saves_and_says_where_rewards_differ_most():
    batch = coverage(400, 2, 0)
    found = quiet(REWARDS, batch, GAMMA, value=VALUES)
    places = found.largest("R1", "R2", 5)
    gaps = np.square(found.forms[0] - found.forms[1])
    assert [p.index for p in places] == np.argsort(-gaps)[:5].tolist()
    assert [p.share for p in places] == sorted((p.share for p in places), reverse=True)
    assert sum(p.share for p in found.largest("R1", "R2", 400)) == pytest.approx(1)
    assert all(p.share == 0 for p in found.largest("R1", "R1"))
    data = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert data["names"] == list(REWARDS)
    assert data["distance"]["value"][0][1] == found["R1", "R2"].distance.value
    assert found.table().row_count == 10
    assert found.size_of("R1").value == found.norm.value[0]
    low, value, high = (x[0, 1] for x in (found.angle.low, found.angle.value, found.angle.high))
    assert low < value < high
    with pytest.raises(InputError, match="one of R1, R2"):
        found["R1", "R9"]


def test_angle_distance_and_cosine_are_one_quantity():
    pair = quiet(REWARDS, coverage(400, 2, 0), GAMMA, value=VALUES)["R1", "R2"]
    assert pair.distance.value == pytest.approx(math.sqrt(2 - 2 * pair.cosine.value))
    assert pair.distance.value == pytest.approx(2 * math.sin(pair.angle.value / 2))
    assert pair.distance.low == pytest.approx(2 * math.sin(pair.angle.low / 2), rel=1e-3)


def test_the_gap_keeps_the_scale_that_the_distance_ignores():
    batch = coverage(400, 2, 0)
    rewards = {"R1": REWARDS["R1"], "three": lambda *x: 3 * REWARDS["R1"](*x)}
    found = quiet(
        rewards, batch, GAMMA, value={n: lambda o, s=s: s * VALUES["R1"](o) for n, s in (("R1", 1), ("three", 3))}
    )
    assert found["R1", "three"].distance.value < 1e-12
    assert found["R1", "three"].gap.value == pytest.approx(2 * found.norm.value[0])


# -- how many samples, and what is refused ----------------------------------------------------------------------


def test_hoeffdings_number_of_points_is_enough():
    assert hoeffding_samples(1.0, 0.1, 0.05) == math.ceil(200 * math.log(120))
    assert hoeffding_samples(2.0, 0.1, 0.05) == pytest.approx(16 * hoeffding_samples(1.0, 0.1, 0.05), rel=1e-3)
    assert hoeffding_samples(1.0, 0.1, 0.05, rewards=10) > hoeffding_samples(1.0, 0.1, 0.05)
    n, rng = hoeffding_samples(1.0, 0.1, 0.05), np.random.default_rng(0)
    signs = rng.choice([-1.0, 1.0], (200, n))
    assert np.mean(np.abs(signs.mean(1)) > 0.1) <= 0.05
    for bad in ({"bound": 0.0}, {"error": -1.0}, {"probability": 1.0}, {"rewards": 0}):
        with pytest.raises(InputError, match=next(iter(bad))):
            hoeffding_samples(**{"bound": 1.0, "error": 0.1, "probability": 0.05, **bad})


@pytest.mark.parametrize("norm", ["inf", "linf", math.inf])
def test_check_21_the_largest_value_is_refused_as_a_norm_with_the_reason(norm):
    with pytest.raises(NotApplicable, match="cannot be estimated from samples"):
        quiet(PAIR, coverage(10, 2, 0), GAMMA, value=VALUES, norm=norm)


def test_check_21_other_norms_are_refused_too():
    with pytest.raises(NotApplicable, match="biased upwards"):
        quiet(PAIR, coverage(10, 2, 0), GAMMA, value=VALUES, norm="l1")
    with pytest.raises(InputError, match="norm"):
        quiet(PAIR, coverage(10, 2, 0), GAMMA, value=VALUES, norm="l7")


def test_check_21_rewards_on_different_samples_are_refused():
    tables = [sample_table({n: r}, coverage(50, 2, i)) for i, (n, r) in enumerate(PAIR.items())]
    with pytest.raises(ValueError, match="values of all rewards on the same samples"):
        quiet(tables, coverage(50, 2, 0), GAMMA, value=VALUES)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"discount": 1.0}, "discount"), ({"discount": -0.1}, "discount"), ({"discount": "0.9"}, "discount"),
        ({"method": "epic"}, "method"), ({"n_boot": 99}, "n_boot"), ({"level": 1.0}, "level"),
        ({"method": "minimal"}, "value"), ({"method": "minimal", "evaluation": under_policy(9, 0)}, "evaluation"),
    ],
)  # fmt: skip
def test_check_21_settings_without_meaning_are_errors(options, text):
    with pytest.raises(InputError, match=text):
        quiet(PAIR, coverage(10, 2, 0), **{"discount": GAMMA, "value": VALUES, **options})


def test_check_21_nan_in_a_reward_is_an_error_with_its_name():
    with pytest.raises(NonFiniteError, match="broken"):
        quiet({"broken": lambda o, a, n, t: o * np.nan}, coverage(10, 2, 0), GAMMA, value=lambda o: 0 * o)


def test_check_21_one_episode_or_one_point_has_no_interval():
    batch = coverage(10, 2, 0, episode=np.zeros(10, int))
    with pytest.raises(InputError, match="episode=None"):
        quiet(PAIR, batch, GAMMA, value=VALUES)
    with pytest.raises(InputError, match="two independent units"):
        quiet(PAIR, coverage(1, 2, 0), GAMMA, value=VALUES)
