"""From evidence to verdicts: what few resamples, constant evidence and rounding must not be taken for."""

import numpy as np
import pytest
import torch

from learnt import compare, pairwise
from learnt.agreement.accuracy import Accuracy
from learnt.agreement.divergence import JSDivergence
from learnt.agreement.top1 import Agreement
from learnt.catalogue import MEASURES
from learnt.core.answering import _noise
from learnt.core.errors import InputError
from learnt.core.examples import Examples
from learnt.core.statistics import Resampler, wilson
from learnt.rewards.mdp import TabularMDP
from learnt.rewards.starc import STARC

X = torch.randn(200, 4, generator=torch.Generator().manual_seed(0))
DATA = Examples(inputs=X, labels=X.argmax(1))
OUTPUT = [m for m in MEASURES() if m.facts.family in ("agreement", "calibration")]


def right(x):
    return x


def wrong(x):
    return x.roll(1, 1)


def shaky(strength):
    return lambda x: x + strength * torch.sin(50 * x)


def test_an_effect_far_beyond_the_resolution_of_few_resamples_is_found():
    near = [shaky(0.02 * i) for i in range(1, 6)]
    far = [lambda x, i=i: x.roll(1, 1) + 0.01 * i * x for i in range(1, 6)]
    few = compare(right, near, DATA, measures=OUTPUT, controls=far, resamples=100)["agreement"]
    assert few.value.low > 0.9 and few.control.high < 0.1
    assert few.verdict == "transferred" and few.p < 2 / 101  # the tail is Student's t, not one draw in a hundred


def test_evidence_that_no_resample_varies_is_not_taken_for_exact():
    found = compare(right, right, DATA, measures=[Agreement()], controls=[wrong], resamples=200)["agreement"]
    assert (found.value.value, found.control.value) == (1.0, 0.0)
    assert found.p == pytest.approx(2 / 201) and found.p_adjusted is not None


def test_one_example_gives_no_interval():
    one = DATA.take([0])
    for ask in (lambda: compare(right, shaky(3.0), one), lambda: pairwise([right, wrong], one, measure=Agreement())):
        with pytest.raises(InputError, match="found 1 example"):
            ask()


def test_exact_numbers_that_differ_by_rounding_are_not_a_transfer():
    world = np.random.default_rng(0)
    transitions = world.dirichlet(np.ones(5), size=(5, 3))
    mdp = TabularMDP(transitions, np.full(5, 0.2), 0.9)
    true, other = (world.standard_normal((5, 3, 5)) for _ in range(2))
    for scale in (0.1, 0.3, 0.7, 3.0):
        found = compare(true, scale * other, mdp, measures=[STARC()], controls=[other])[STARC().name]
        assert found.transfer.value == pytest.approx(0, abs=1e-12) and found.verdict == "not detected"
    better = compare(true, true + 0.1 * other, mdp, measures=[STARC()], controls=[other])[STARC().name]
    assert better.verdict == "transferred"


def test_a_matrix_of_a_property_holds_differences_with_intervals_around_them():
    found = pairwise([right, shaky(3.0)], DATA, measure=Accuracy(), names=["r", "s"], resamples=500)
    cell, back = found["r", "s"], found["s", "r"]
    assert cell.value < 0 and cell.low < cell.value < cell.high < 0
    assert (back.low, back.value, back.high) == pytest.approx((-cell.high, -cell.value, -cell.low), abs=1e-12)


def test_an_undefined_replica_makes_the_answer_undefined_with_its_reason():
    names = [m for m in OUTPUT if m.name == "error_consistency"]
    for bs in ([shaky(3.0), right], [right, shaky(3.0)]):  # in first place or not
        found = compare(right, bs, DATA, measures=names, controls=[shaky(2.0), shaky(2.5)], resamples=200)
        answer = found["error_consistency"]
        assert "no errors" in answer.value.reason and not answer.difference.defined and not answer.transfer.defined
        assert answer.verdict == "not measurable" and answer.p is None and answer.control.defined
        assert "NaN" not in found.to_json()


def test_a_divergence_keeps_its_range_and_a_difference_does_not():
    found = compare(right, shaky(0.3), DATA, measures=[JSDivergence()], controls=[wrong], resamples=200)["js"]
    assert 0 <= found.value.low <= found.value.high <= JSDivergence.facts.high
    assert found.difference.value < 0 and found.difference.high < 0


def test_a_share_of_exactly_one_is_not_known_without_error():
    found = compare(right, right, DATA, measures=[Agreement(), JSDivergence()], controls=[wrong], resamples=200)
    assert (found["agreement"].value.value, found["agreement"].value.high) == (1.0, 1.0)
    assert found["agreement"].value.low == pytest.approx(wilson(200, 200)[0], abs=1e-12)
    assert found["agreement"].control.high == pytest.approx(wilson(0, 200)[1], abs=1e-12)
    assert found["js"].value.low < 1e-12 and found["js"].value.high > 0.01  # not one of 200 pairs of outputs differed


def covered(origin, spread, trials=400, controls=5):
    """How often 0 lies in the interval of one thing against its controls, all with log-normal distances."""
    resampler, rng, inside = Resampler(1000, 0), np.random.default_rng(0), 0
    for _ in range(trials):
        distance = np.exp(spread * rng.standard_normal(1 + controls))
        sides = {"b": distance[:1], "control": distance[1:]}
        drawn = {s: (d[None], np.broadcast_to(d[None, :, None], (1, len(d), 1000))) for s, d in sides.items()}
        noise = _noise(drawn, resampler, origin, together=True)
        low, high = np.percentile(sides["b"][0] - sides["control"].mean() + noise["b"] - noise["control"], [2.5, 97.5])
        inside += low <= 0 <= high
    return inside / trials


def test_a_single_thing_is_judged_in_proportion_to_its_distance():
    """Distances between trainings are skewed: with the same additive spread at any distance, outliers look real."""
    assert covered(0.0, 1.2) >= 0.93
    assert covered(None, 1.2) <= 0.92  # the rival would fail
    assert abs(covered(0.0, 0.02) - covered(None, 0.02)) < 0.03  # small spreads: the two are the same
