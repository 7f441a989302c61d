"""Values by least squares: exact where they can be, the same by either route, and honest where they cannot."""

import numpy as np
import pytest
from tests.rewards.linear_gaussian import GAMMA, GOLDEN, REWARDS, under_policy

from learnt.core.errors import InputError, NonFiniteError, ShapeError
from learnt.data.transitions import Transitions
from learnt.rewards import lstd
from learnt.rewards.features import Fourier, Polynomial
from learnt.rewards.lstd import LSTD, Design, fit_minimal, fit_value, unbiased
from learnt.rewards.mdp import TabularMDP
from learnt.rewards.scoring import score

RNG = np.random.default_rng(0)


def every_transition(mdp, policy=None):
    """All (s, a, s') that can happen, weighted by policy and probability: what infinitely many samples would give."""
    pi = mdp.uniform if policy is None else policy
    probability = pi[:, :, None] * mdp.transitions
    s, a, ahead = np.nonzero(probability > 0)
    return Transitions(s, a, ahead[:, None], mdp.terminal[ahead][:, None], weight=probability[s, a, ahead])


def states(count):
    return lambda obs: np.eye(count)[obs]


def unit(data):
    return (np.ones(len(data)) if data.weight is None else data.weight) / (
        len(data) if data.weight is None else data.weight.sum()
    )


def values(data, rewards, features, discount, cut=1e-12):
    design = Design(features, data, discount)
    return fit_value(design, rewards, unit(data), cut=cut)


@pytest.mark.parametrize("seed", range(5))
def test_one_hot_features_give_the_values_of_a_finite_process_exactly(seed):
    mdp = TabularMDP.random(7, 3, seed=seed)
    policy = np.random.default_rng(seed).dirichlet(np.ones(3), 7)
    data = every_transition(mdp, policy)
    table = np.random.default_rng(seed).standard_normal((2, 7, 3, 7))
    rewards = table[:, data.obs, data.act, data.next_obs[:, 0]][:, :, None]
    fitted = values(data, rewards, states(7), mdp.discount)
    expected = np.einsum("msak,sak->msa", table, mdp.transitions)
    np.testing.assert_allclose(fitted.weights.T, mdp.evaluate(expected, policy), rtol=1e-9)
    assert fitted.rank == 7


def test_nothing_is_earned_after_a_terminal_state():
    """A chain 0 -> 1 -> end with rewards 1 and 2: V(1) = 2, V(0) = 1 + gamma 2, whatever the features say of the end."""
    data = Transitions(
        np.array([0, 1, 0, 1]), np.zeros(4, int), np.array([[1], [2], [1], [2]]), np.array([[False], [True]] * 2)
    )
    rewards = np.array([1.0, 2.0, 1.0, 2.0])[None, :, None]
    fitted = values(data, rewards, lambda o: np.stack([o == 0, o == 1, 100.0 * (o == 2)], 1), 0.9)
    np.testing.assert_allclose(fitted.weights[:2, 0], [2.8, 2.0])
    cut_off = values(
        Transitions(data.obs, data.act, data.next_obs), rewards, lambda o: np.stack([o == 0, o >= 1], 1) * 1.0, 0.9
    )
    np.testing.assert_allclose(cut_off.weights[:, 0], [1 + 0.9 * 20, 20.0])  # truncated: V(1) = 2 + 0.9 V(1)


def test_quadratic_values_of_the_linear_gaussian_process_are_found():
    data = under_policy(20_000, 0, k=2)
    found = values(data, score(REWARDS["R1"], data)[None], lambda o: np.stack([o**0, o**2], 1), GAMMA)
    truth = GOLDEN["canon"]["R1"]
    np.testing.assert_allclose(found.weights[:, 0], [truth["V_const"], truth["V_quadratic"]], rtol=0.05)


def noisy(n=400, k=1, d=3, seed=0):
    rng = np.random.default_rng(seed)
    obs = rng.standard_normal((n, d))
    ahead = 0.8 * obs[:, None] + rng.standard_normal((n, k, d))
    data = Transitions(obs, rng.integers(0, 2, n), ahead, rng.random((n, k)) < 0.1, weight=rng.random(n))
    return data, rng.standard_normal((2, n, k))


@pytest.mark.parametrize("k", [1, 3])
@pytest.mark.parametrize("fit", [fit_value, fit_minimal])
def test_a_potential_in_the_span_moves_the_weights_by_exactly_itself(fit, k):
    data, rewards = noisy(k=k)
    design = Design(Fourier(count=20).fit(data.obs), data, 0.9)
    theta = RNG.standard_normal(design.width)
    shaped = rewards.copy()
    for part, _, y in design:
        shaped[:, part] -= y @ theta  # gamma Phi(s') - Phi(s)
    plain, moved = (fit(design, r, unit(data), cut=1e-12) for r in (rewards, shaped))
    np.testing.assert_allclose(moved.weights, plain.weights - theta[:, None], atol=1e-8)


@pytest.mark.parametrize("fit", [fit_value, fit_minimal])
@pytest.mark.parametrize("k", [1, 2])
def test_normal_equations_and_qr_agree(fit, k, monkeypatch):
    data, rewards = noisy(k=k)
    design = Design(Fourier(count=20).fit(data.obs), data, 0.9)
    normal = fit(design, rewards, unit(data), cut=1e-12)
    monkeypatch.setattr(lstd, "NORMAL", 1.0)
    qr = fit(design, rewards, unit(data), cut=1e-12)
    assert (normal.form, qr.form) == ("normal", "qr")
    np.testing.assert_allclose(normal.weights, qr.weights, rtol=1e-8, atol=1e-8)
    h = RNG.standard_normal(normal.weights.shape)
    if fit is fit_value:
        np.testing.assert_allclose(normal.influence(h), qr.influence(h), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("fit", [fit_value, fit_minimal])
@pytest.mark.parametrize("k", [1, 2])
def test_chunks_change_nothing(fit, k, monkeypatch):
    data, rewards = noisy(k=k)
    features = Fourier(count=10).fit(data.obs)
    whole = fit(Design(features, data, 0.9), rewards, unit(data), cut=1e-12)
    monkeypatch.setattr(lstd, "CHUNK", 8 * 14 * 7)
    monkeypatch.setattr(lstd, "KEEP", 0)
    parts = Design(features, data, 0.9)
    pieces = fit(parts, rewards, unit(data), cut=1e-12)
    assert parts._kept == []
    assert sum(1 for _ in parts) > 50
    np.testing.assert_allclose(pieces.weights, whole.weights, rtol=1e-9, atol=1e-9)


def test_ill_conditioned_features_go_by_qr_and_collinear_ones_are_dropped():
    data, rewards = noisy()
    base = Fourier(count=10).fit(data.obs)
    weak = values(data, rewards, lambda o: np.c_[base(o), base(o)[:, 4:6] + 1e-7 * np.sin(9 * o[:, :2])], 0.9)
    assert (weak.form, weak.rank, weak.notes) == ("qr", 16, ())
    doubled = values(data, rewards, lambda o: np.c_[base(o), base(o) @ RNG.standard_normal((14, 5))], 0.9)
    plain = values(data, rewards, base, 0.9)
    assert doubled.rank == plain.rank == 14


def test_features_of_any_unit_give_the_same_values():
    data, rewards = noisy()
    base = Fourier(count=10).fit(data.obs)
    units = 10.0 ** np.arange(-7, 7)
    plain, scaled = (values(data, rewards, f, 0.9) for f in (base, lambda o: base(o) * units))
    np.testing.assert_allclose(scaled.weights * units[:, None], plain.weights, rtol=1e-7, atol=1e-9)
    assert scaled.condition == pytest.approx(plain.condition)


def test_the_minimal_form_is_smaller_than_any_other_shaping_of_the_reward():
    data, rewards = noisy()
    design = Design(Polynomial().fit(data.obs), data, 0.9)
    weight = unit(data)
    w = fit_minimal(design, rewards, weight, cut=1e-12).weights

    def size(w):
        return sum(weight[part] @ np.square(rewards[0, part, 0] - y[:, 0] @ w) for part, _, y in design)

    best = size(w[:, 0])
    assert all(size(w[:, 0] + 0.1 * step) > best for step in RNG.standard_normal((200, design.width)))


def test_products_of_two_successors_have_no_bias_from_their_noise():
    rng = np.random.default_rng(0)
    mean = rng.standard_normal((200, 1, 3))
    truth = np.einsum("nkp,nkq->pq", mean, mean) / 200
    draws = [unbiased(x := mean + rng.standard_normal((200, 2, 3)), x, np.full(200, 1 / 200)) for _ in range(300)]
    np.testing.assert_allclose(np.mean(draws, axis=0), truth, atol=0.03)
    plug_in = np.square(mean + rng.standard_normal((200, 2, 3))).mean((0, 1))
    assert (plug_in - np.diag(truth)).min() > 0.5  # what would have been there


def test_influence_says_how_weights_move_when_transitions_count_more():
    data, rewards = noisy()
    features = Fourier(count=10).fit(data.obs)
    weight, direction = unit(data), RNG.standard_normal(len(data))
    design = Design(features, data, 0.9)
    fitted = fit_value(design, rewards, weight, cut=1e-12)
    heavier = fit_value(design, rewards, weight * (1 + 1e-6 * direction), cut=1e-12)
    h = RNG.standard_normal(fitted.weights.shape)
    z = fitted.influence(h)
    moved = np.zeros(2)
    for part, phi, y in design:
        rest = rewards[:, part].mean(2).T - y.mean(1) @ fitted.weights
        moved += np.einsum("n,nm,nm->m", weight[part] * direction[part], phi @ z, rest)
    np.testing.assert_allclose((h * (heavier.weights - fitted.weights)).sum(0) / 1e-6, moved, rtol=1e-3)


def test_too_many_features_are_refused_and_many_are_reported():
    data, rewards = noisy(n=40)
    with pytest.raises(InputError, match="independent features for 40 transitions"):
        values(data, rewards, Fourier(count=60).fit(data.obs), 0.9)
    assert "values follow the noise" in values(data, rewards, Fourier(count=10).fit(data.obs), 0.9).notes[0]
    data, rewards = noisy(n=400)
    assert values(data, rewards, Fourier(count=10).fit(data.obs), 0.9).notes == ()


def test_a_condition_above_1e10_is_reported():
    data, rewards = noisy()
    base = Polynomial(degree=1).fit(data.obs)
    close = lambda o: np.c_[base(o), base(o)[:, 1] + 1e-11 * np.sin(5 * o[:, 2])]
    assert "condition number" in values(data, rewards, close, 0.9, cut=1e-14).notes[0]
    assert values(data, rewards, close, 0.9, cut=1e-9).notes == ()


def test_bad_features_and_settings_are_errors():
    data, _ = noisy(n=10)
    with pytest.raises(ShapeError, match="features"):
        Design(lambda o: o[:, 0], data, 0.9)
    with pytest.raises(ShapeError, match="features"):
        Design(lambda o: o[:, :0], data, 0.9)
    with pytest.raises(NonFiniteError, match="features"):
        Design(lambda o: o * np.nan, data, 0.9)
    with pytest.raises(InputError, match="features"):
        LSTD(features="fourier")
    with pytest.raises(InputError, match="cut"):
        LSTD(cut=0.0)
