"""What each canonical form removes and what it keeps; acceptance checks 1, 2, 4, 5 and parts of 21 of the specification."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from learnt.core.errors import InputError, LearntError, NotApplicable, ShapeError
from learnt.rewards.canonical import FORMS, VALID, Unchanged, canonical, named
from learnt.rewards.dard import Dard
from learnt.rewards.epic import Epic
from learnt.rewards.mdp import TabularMDP
from learnt.rewards.minimal import Minimal, MinimalL2
from learnt.rewards.minimal_potential import MinimalPotential
from learnt.rewards.norms import NORMS, norm_of
from learnt.rewards.shaping import potential_shaping, redistribution
from learnt.rewards.starc import standardise, starc_distance
from learnt.rewards.val import Val, ValPotential

from .worlds import TOY, change_for, potential_for, processes, reward_for, toy3, toy_reward

SEEDS = st.integers(0, 999)
GOLDEN = {
    "none": Unchanged(), "epic_uniform": Epic(), "dard_uniform": Dard(), "minpot_2": MinimalPotential(),
    "minpot_w2": MinimalPotential(weight="transitions"), "valpot_uniform": ValPotential(), "val_uniform": Val(),
    "val_pi_s": Val(policy=np.array(TOY["pi_s"])), "val_pi_det": Val(policy=np.array(TOY["pi_det"])),
    "min_2": MinimalL2(), "min_w2": Minimal(), "min_w2_D": Minimal(weight=np.array(TOY["coverage_D_sa"])),
}  # fmt: skip
KEYS = {"1": "l1", "2": "l2", "inf": "linf", "w1": "weighted_l1", "w2": "weighted_l2", "winf": "weighted_linf"}


@pytest.mark.parametrize("form", GOLDEN)
def test_norms_of_every_form_are_the_golden_ones(form):
    checked = 0
    for reward, sizes in TOY["norms"][form].items():
        c = canonical(toy_reward(reward), toy3(), GOLDEN[form])
        for key, size in sizes.items():
            if key in KEYS:
                assert norm_of(c, toy3(), KEYS[key]) == pytest.approx(size, rel=1e-9, abs=1e-12)
                checked += 1
    assert checked >= 12


def test_check_01_val_gives_the_golden_advantages():
    c = canonical(toy_reward("R1"), toy3())[..., 0]
    np.testing.assert_allclose(c[:, 0], [0.0425196169, -0.5475842372, -0.8198707593], atol=5e-11)
    np.testing.assert_allclose(c[:, 1], -c[:, 0], atol=1e-14)
    policy = np.array(TOY["pi_s"])
    c = canonical(toy_reward("R1"), toy3(), Val(policy=policy))[..., 0]
    expected = [[-0.0206720170, 0.0068906723], [-0.4349994789, 0.6524992183], [-1.2868895043, 0.1429877227]]
    np.testing.assert_allclose(c, expected, atol=5e-11)
    np.testing.assert_allclose((policy * c).sum(1), 0.0, atol=1e-14)


def test_check_02_minimal_gives_the_golden_projection():
    c = canonical(toy_reward("R1"), toy3(), "minimal")[..., 0]
    expected = [[0.1912062467, 0.3165648590], [-0.6032975282, 0.3948578340], [-0.8561517313, 0.5568203198]]
    np.testing.assert_allclose(c, expected, atol=5e-11)


@given(mdp=processes(), seed=SEEDS, scale=st.floats(0.01, 100), name=st.sampled_from([f.name for f in FORMS]))
@settings(max_examples=250, deadline=None)
def test_check_04_every_form_but_none_removes_shaping(mdp, seed, scale, name):
    r, phi = reward_for(mdp, seed), potential_for(mdp, seed)
    if name == "none" or (name in ("epic", "dard") and mdp.terminal.any()):
        return  # they read impossible transitions out of terminal states, where rewards are 0 and shaping is not
    changed = scale * potential_shaping(r, phi, mdp)
    size = scale * (1 + np.abs(changed).max() / scale) / (1 - mdp.discount)
    reference = scale * canonical(r, mdp, name)
    np.testing.assert_allclose(canonical(changed, mdp, name), reference, atol=2e-10 * size, rtol=0)


@pytest.mark.parametrize("name", [f.name for f in FORMS if not f.is_starc])
def test_check_04_what_is_not_a_starc_form_keeps_redistribution(name):
    mdp = toy3()
    changed = redistribution(toy_reward("R1"), change_for(mdp, 3), mdp)
    gap = np.abs(canonical(changed, mdp, name) - canonical(toy_reward("R1"), mdp, name)).max()
    assert gap > 0.1
    for valid in VALID:  # the control: these do not see it
        np.testing.assert_allclose(canonical(changed, mdp, valid), canonical(toy_reward("R1"), mdp, valid), atol=1e-12)


def test_check_04_dard_leaves_the_class_of_equivalent_rewards_and_is_not_idempotent():
    mdp, r = toy3(), toy_reward("R1")
    x = (mdp.discount * mdp.transitions - np.eye(3)[:, None, :]).reshape(6, 3)
    left = {}
    for form in FORMS:
        change = (mdp.expected(canonical(r, mdp, form)) - mdp.expected(r)).ravel()
        left[form.name] = np.abs(change - x @ np.linalg.lstsq(x, change)[0]).max()
    assert left.pop("dard") > 0.05
    assert max(left.values()) < 1e-9
    once = canonical(r, mdp, "dard")
    assert np.abs(canonical(once, mdp, "dard") - once).max() == pytest.approx(0.427, abs=5e-4)


@given(mdp=processes(), seed=SEEDS, form=st.sampled_from(VALID), norm=st.sampled_from(NORMS))
@settings(max_examples=200, deadline=None)
def test_check_05_distances_are_a_pseudometric_with_the_right_ends(mdp, seed, form, norm):
    r1, r2, r3 = (reward_for(mdp, seed + i) for i in range(3))

    def d(a, b):
        return starc_distance(a, b, mdp, canonicalisation=form, normalisation=norm)

    zero, flat = np.zeros_like(r1), potential_shaping(np.zeros_like(r1), potential_for(mdp, seed), mdp)
    trivial = not standardise(r1, mdp, canonicalisation=form, norm=norm).any()
    assert d(r1, r1) == 0.0
    assert d(r1, r2) == pytest.approx(d(r2, r1), abs=1e-12)
    assert d(r1, r3) <= d(r1, r2) + d(r2, r3) + 1e-10
    assert d(r1, r2) <= 2 + 1e-12
    assert d(zero, flat) == pytest.approx(0.0, abs=1e-9)
    assert d(r1, -r1) == pytest.approx(0.0 if trivial else 2.0, abs=1e-9)
    assert d(r1, flat) == pytest.approx(0.0 if trivial else 1.0, abs=1e-9)
    assert d(r1, zero) == pytest.approx(0.0 if trivial else 1.0, abs=1e-9)


@pytest.mark.parametrize("norm", NORMS)
def test_norms_of_a_batch_are_those_of_each(norm):
    mdp = TabularMDP.random(6, 3, seed=1)
    rng = np.random.default_rng(0)
    for last in (1, 6):
        forms = rng.standard_normal((2, 3, 6, 3, last))
        whole = norm_of(forms, mdp, norm)
        unfolded = norm_of(np.broadcast_to(forms, (2, 3, 6, 3, 6)), mdp, norm)
        for i in np.ndindex(2, 3):
            assert whole[i] == pytest.approx(norm_of(forms[i], mdp, norm), rel=1e-12)
        np.testing.assert_allclose(whole, unfolded, rtol=1e-12)


@pytest.mark.parametrize("form", FORMS, ids=lambda f: f.name)
def test_forms_of_a_batch_are_those_of_each(form):
    mdp = TabularMDP.random(5, 3, seed=1)
    rewards = np.random.default_rng(0).standard_normal((2, 3, 5, 3, 5))
    whole = canonical(rewards, mdp, form)
    for i in np.ndindex(2, 3):
        np.testing.assert_allclose(whole[i], canonical(rewards[i], mdp, form), atol=1e-12)


def test_minimal_potential_is_the_least_squares_solution():
    mdp, r = toy3(), toy_reward("R1")
    weight = np.random.default_rng(0).uniform(0.1, 1, (3, 2, 3))
    rows = (mdp.discount * np.eye(3)[None, None] - np.eye(3)[:, None, None]).repeat(2, 1).reshape(18, 3)
    root = np.sqrt(weight).ravel()
    phi = np.linalg.lstsq(root[:, None] * rows, -root * r.ravel())[0]
    expected = (r.ravel() + rows @ phi).reshape(3, 2, 3)
    np.testing.assert_allclose(canonical(r, mdp, MinimalPotential(weight=weight)), expected, atol=1e-12)


@pytest.mark.parametrize("gap", [1e-3, 1e-5, 1e-7, 1e-9])
def test_minimal_potential_of_a_constant_is_nothing_at_discounts_near_one(gap):
    mdp = TabularMDP(toy3().transitions, toy3().initial, 1 - gap)
    assert np.abs(canonical(np.ones((3, 2, 3)), mdp, "minimal_potential")).max() < 1e-9
    potential = potential_shaping(np.zeros((3, 2, 3)), np.array([1.0, -2.0, 0.5]), mdp)
    assert np.abs(canonical(potential, mdp, "minimal_potential")).max() < 1e-9


def test_a_form_says_of_itself_whether_it_is_one_of_starc():
    assert [f.name for f in FORMS if f.is_starc] == ["val", "minimal", "minimal_l2"] == list(VALID)
    assert named("epic").is_starc is False and named(Val()).is_starc is True


@pytest.mark.parametrize(
    ("ask", "error", "text"),
    [
        (lambda m, r: canonical(r, m, "vall"), InputError, "one of val, .*Did you mean 'val'"),
        (lambda m, r: canonical(r, m, 3), InputError, r"a int; expected a name or an object such as Val"),
        (lambda m, r: canonical(r, m, Val(), policy=m.uniform), InputError, "inside the object"),
        (lambda m, r: canonical(r, m, "epic", policy=m.uniform), InputError, "it only with 'val'"),
        (lambda m, r: canonical(r, m, Val(policy=lambda reward: reward)), InputError, "depends on the reward"),
        (lambda m, r: canonical(r, m, Val(policy=np.ones((3, 2)))), InputError, "sum to 2"),
        (lambda m, r: canonical(r, m, Val(policy=np.ones((2, 2)) / 2)), ShapeError, r"\(3, 2\) probabilities"),
        (lambda m, r: canonical(r, m, Epic(state_dist=np.ones(2) / 2)), ShapeError, r"state_dist.*\(3,\)"),
        (lambda m, r: canonical(r, m, Dard(action_dist=np.array([1.5, -0.5]))), InputError, "negative"),
        (lambda m, r: canonical(r, m, MinimalPotential(weight="P")), InputError, '"transitions" or None'),
        (lambda m, r: canonical(r, m, MinimalPotential(weight=-r * r)), InputError, "negative weight"),
        (lambda m, r: canonical(r[:, :, :2], m), ShapeError, r"\[S, A, S\] = \(3, 2, 3\)"),
    ],
)
def test_check_21_wrong_options_have_their_own_errors(ask, error, text):
    with pytest.raises(error, match=text):
        ask(toy3(), toy_reward("R1"))


# -- sparse processes -------------------------------------------------------------------------------------


@given(mdp=processes(), seed=SEEDS)
@settings(max_examples=100, deadline=None)
def test_a_sparse_process_gives_the_numbers_of_the_dense_one(mdp, seed):
    thin = TabularMDP(mdp.kernel, mdp.initial, mdp.discount, terminal=mdp.terminal)
    assert thin.is_sparse and (thin.n_states, thin.n_actions) == (mdp.n_states, mdp.n_actions)
    r = mdp.expected(reward_for(mdp, seed))
    policy = np.random.default_rng(seed).dirichlet(np.ones(mdp.n_actions), mdp.n_states)
    atol = 1e-11 / (1 - mdp.discount)
    np.testing.assert_allclose(thin.evaluate(r, policy), mdp.evaluate(r, policy), atol=atol)
    np.testing.assert_allclose(thin.occupancy(policy), mdp.occupancy(policy), atol=atol)
    np.testing.assert_array_equal(thin.reachable, mdp.reachable)
    assert thin.return_range(r) == pytest.approx(mdp.return_range(r), abs=10 * atol)
    for form in ("val", "minimal"):
        np.testing.assert_allclose(canonical(r[..., None], thin, form), canonical(r[..., None], mdp, form), atol=atol)
    for norm in NORMS:
        c = canonical(r[..., None], thin)
        assert norm_of(c, thin, norm) == pytest.approx(norm_of(c, mdp, norm), rel=1e-9, abs=1e-9)


def test_rewards_of_a_sparse_process_by_transition_are_averaged_and_said_to_be():
    from scipy import sparse

    dense = TabularMDP.random(9, 3, seed=4)
    thin = TabularMDP(dense.kernel, dense.initial, dense.discount)
    full = reward_for(dense, 1)
    by_matrix = sparse.csr_array(np.where(dense.transitions > 0, full, 0.0).reshape(-1, 9))
    for form in (full, by_matrix, lambda s, a, k: full[s, a, k]):
        seen = thin.subject(form, name="r")
        assert seen.averaged and seen.reward.shape == (9, 3, 1)
        np.testing.assert_allclose(seen.expected, dense.expected(full), atol=1e-12)
    flat = np.arange(27.0).reshape(9, 3)
    assert not thin.subject(flat, name="r").averaged
    assert starc_distance(by_matrix, flat, thin) == pytest.approx(starc_distance(full, flat, dense), abs=1e-10)
    with pytest.raises(NotApplicable, match=r"sparse process keeps the mean.*'epic'"):
        starc_distance(by_matrix, flat, thin, canonicalisation="epic")
    with pytest.raises(ShapeError, match=r"\(27, 9\)"):
        thin.subject(sparse.csr_array((5, 9)), name="r")


def test_large_sparse_processes_are_solved_iteratively_to_full_precision():
    from scipy import sparse

    from learnt.rewards import _linear, minimal

    n, a = 3000, 2  # beyond DENSE of both files
    assert n > max(_linear.DENSE, minimal.DENSE)
    rng = np.random.default_rng(0)
    rows = np.repeat(np.arange(n * a), 4)
    kernel = sparse.csr_array((rng.uniform(0.1, 1, rows.size), (rows, rng.integers(0, n, rows.size))), shape=(n * a, n))
    mdp = TabularMDP(sparse.diags_array(1 / kernel.sum(1)) @ kernel, np.full(n, 1 / n), 0.95)
    r = rng.standard_normal((n, a))
    values = mdp.evaluate(r)
    policy = mdp.uniform
    np.testing.assert_allclose(values, (policy * (r + mdp.discount * mdp.ahead(values))).sum(1), atol=1e-11)
    c = canonical(r[..., None], mdp, "minimal")
    phi = rng.standard_normal(n)
    shaped = (r + mdp.discount * mdp.ahead(phi) - phi[:, None])[..., None]
    np.testing.assert_allclose(canonical(shaped, mdp, "minimal"), c, atol=1e-9)
    assert starc_distance(r, shaped[..., 0], mdp) < 1e-9
    best = mdp.solve(r)
    q = r + mdp.discount * mdp.ahead(best.values)
    np.testing.assert_allclose(q.max(1), best.values, atol=1e-9)  # Bellman's optimality equation


def test_a_corridor_at_a_discount_near_one_falls_back_to_a_sparse_factorisation():
    from scipy import sparse

    n = 3000
    to = np.minimum(np.arange(n) + 1, n - 1)
    kernel = sparse.csr_array((np.ones(n), (np.arange(n), to)), shape=(n, n))
    mdp = TabularMDP(kernel, np.eye(n)[0], 0.9999)
    r = np.zeros((n, 1))
    r[-1] = 1.0
    np.testing.assert_allclose(mdp.evaluate(r)[0], 0.9999 ** (n - 1) / (1 - 0.9999), rtol=1e-9)


@pytest.mark.parametrize("gamma", [0.9, 0.999])
def test_minimal_is_the_same_by_factors_and_by_iteration(gamma, monkeypatch):
    from learnt.rewards import minimal

    world = TabularMDP.random(40, 3, seed=2, discount=gamma)
    r = np.random.default_rng(0).standard_normal((2, 40, 3, 1))
    factored = canonical(r, world, "minimal")
    monkeypatch.setattr(minimal, "DENSE", 10)
    again = TabularMDP(world.kernel, world.initial, gamma)
    np.testing.assert_allclose(canonical(r, again, "minimal"), factored, atol=1e-10)
    monkeypatch.setattr(minimal, "FACTORED", 20)
    monkeypatch.setattr(minimal, "_by_iteration", lambda *_, **__: None)
    with pytest.raises(InputError, match="do not converge"):
        canonical(r, TabularMDP(world.kernel, world.initial, gamma), "minimal")


def test_sparse_processes_too_large_to_unfold_say_so():
    from scipy import sparse

    n = 8000
    mdp = TabularMDP(sparse.eye_array(n, format="csr"), np.full(n, 1 / n), 0.9)
    with pytest.raises(NotApplicable, match=r"8,000 states.*'val' or 'minimal'"):
        _ = mdp.transitions


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda k: k * 0.5, "sum to 0.5"),
        (lambda k: -k, "negative"),
        (lambda k: k[:5], r"\(S \* A, S\)"),
    ],
)
def test_check_21_bad_sparse_transitions_have_their_own_errors(change, text):
    with pytest.raises((InputError, ShapeError), match=text):
        TabularMDP(change(toy3().kernel), toy3().initial, 0.9)


# -- discounts at the ends --------------------------------------------------------------------------------


def two_rooms(gamma, sparse=False):
    """Room 0 (stay with chance 1/2 or move on), room 1 (leave), the end; every policy ends."""
    p = np.zeros((3, 2, 3))
    p[0, 0, :2], p[0, 1, 1], p[1, :, 2], p[2, :, 2] = 0.5, 1.0, 1.0, 1.0
    mdp = TabularMDP(p, np.array([1.0, 0.0, 0.0]), gamma, terminal=np.array([False, False, True]))
    return TabularMDP(mdp.kernel, mdp.initial, gamma, terminal=mdp.terminal) if sparse else mdp


@pytest.mark.parametrize("sparse", [False, True])
def test_without_discounting_everything_exists_if_every_policy_ends(sparse):
    mdp = two_rooms(1.0, sparse)
    r = np.array([[1.0, 0.0], [0.0, 3.0], [0.0, 0.0]])
    uniform = mdp.evaluate(r)
    assert uniform[1] == pytest.approx(1.5) and uniform[2] == 0.0
    assert uniform[0] == pytest.approx(0.5 * (1 + 0.5 * uniform[0] + 0.5 * 1.5) + 0.5 * 1.5)
    assert mdp.returns(r) == pytest.approx((0.0, 5.0))  # stay until it moves: two steps of 1, then 3
    assert mdp.horizon == pytest.approx(3.0)
    eta = mdp.occupancy()
    assert float((eta * r).sum()) == pytest.approx(float(mdp.initial @ uniform))
    near = two_rooms(1 - 1e-7, sparse)
    other = np.array([[0.0, 1.0], [2.0, 0.0], [0.0, 0.0]])
    for form in ("val", "minimal"):
        ends, limit = (starc_distance(r, other, m, canonicalisation=form) for m in (mdp, near))
        assert ends == pytest.approx(limit, abs=1e-5)


def test_with_no_future_at_all_val_is_what_an_action_gains_at_once():
    mdp = TabularMDP(toy3().transitions, toy3().initial, 0.0)
    r = mdp.expected(toy_reward("R1"))
    np.testing.assert_allclose(canonical(toy_reward("R1"), mdp)[..., 0], r - r.mean(1, keepdims=True), atol=1e-14)
    assert mdp.return_range(r) == pytest.approx(float(mdp.initial @ np.ptp(r, axis=1)))


@pytest.mark.parametrize("gamma", [-0.1, 1.1, np.inf, "x", [0.5, 0.5]])
def test_check_21_discounts_outside_their_range_are_errors(gamma):
    with pytest.raises(LearntError, match="discount"):
        TabularMDP(toy3().transitions, toy3().initial, gamma)


def test_check_21_no_discounting_needs_processes_that_end():
    with pytest.raises(InputError, match="some policy never ends from state 0"):
        TabularMDP(toy3().transitions, toy3().initial, 1.0)
    p = two_rooms(0.9).transitions.copy()
    p[0, 0] = [1.0, 0.0, 0.0]  # now staying for ever is a policy
    with pytest.raises(InputError, match="never ends"):
        TabularMDP(p, np.array([1.0, 0.0, 0.0]), 1.0, terminal=np.array([False, False, True]))
