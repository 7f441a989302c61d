"""Agreement, divergences and error consistency against golden numbers and closed forms."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score

from learnt.agreement.divergence import js_divergence, kl_divergence, total_variation
from learnt.agreement.errors import ErrorConsistency, error_consistency
from learnt.agreement.top1 import agreement, agreement_bounds, expected_agreement
from learnt.core.measure import Undefined

ALL = json.loads((Path(__file__).parents[1] / "golden" / "comparison.json").read_text())
G = ALL["agreement"]
LABELS, T, S, IND = (np.array(G[k]) for k in ("labels", "teacher", "student", "independent"))


def test_agreement_and_its_transfer_equal_the_golden_numbers():
    assert agreement(T, S) == G["agreement_ts"] == 0.8
    assert agreement(T, IND) == G["agreement_ti"] == 0.4
    assert (0.8 - 0.4) / (1 - 0.4) == pytest.approx(G["transfer_normalised"])


def test_error_consistency_equals_the_golden_kappas():
    assert error_consistency(T == LABELS, S == LABELS) == pytest.approx(G["error_consistency_ts"]["kappa"], abs=1e-12)
    assert error_consistency(T == LABELS, IND == LABELS) == pytest.approx(0.0, abs=1e-12)


def test_error_consistency_is_cohens_kappa_of_correctness():
    rng = np.random.default_rng(0)
    a, b = rng.random(300) < 0.8, rng.random(300) < 0.7
    assert error_consistency(a, b) == pytest.approx(cohen_kappa_score(a, b), abs=1e-12)


def test_error_consistency_of_two_perfect_models_is_undefined_not_one():
    found = ErrorConsistency().compare(np.ones(5, bool), np.ones(5, bool), rng=np.random.default_rng(0))
    assert isinstance(found, Undefined)
    assert math.isnan(error_consistency(np.ones(5, bool), np.ones(5, bool)))


def test_accuracies_bound_agreement():
    bounds = G["bounds_for_acc_0p9_0p7"]
    assert agreement_bounds(0.9, 0.7) == pytest.approx((bounds["min_agreement"], bounds["max_agreement"]))


def test_expected_agreement_is_what_independent_errors_give():
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 3, 60_000)
    a = np.where(rng.random(60_000) < 0.8, labels, (labels + 1) % 3)
    b = np.where(rng.random(60_000) < 0.7, labels, (labels + 2) % 3)
    assert expected_agreement(a, b, labels, 3) == pytest.approx(
        agreement(a, b), abs=0.01
    )  # independent given the class
    assert expected_agreement(a, a, labels, 3) < 0.7  # control: a model agrees with itself more than that


def test_divergences_equal_the_golden_numbers():
    g = ALL["predictive_divergence"]
    p, q = (
        torch.tensor(ALL["kd_kl"][k], dtype=torch.float64).log_softmax(1) for k in ("teacher_logits", "student_logits")
    )
    assert float(kl_divergence(p, q).mean()) == pytest.approx(g["mean_KL_teacher_to_student"], abs=1e-12)
    assert float(kl_divergence(q, p).mean()) == pytest.approx(g["mean_KL_student_to_teacher"], abs=1e-12)
    assert float(js_divergence(p, q).mean()) == pytest.approx(g["mean_JS_nats"], abs=1e-12)
    assert float(total_variation(p, q).mean()) == pytest.approx(g["mean_total_variation"], abs=1e-12)


@given(st.lists(st.lists(st.floats(-50, 50), min_size=4, max_size=4), min_size=2, max_size=2))
def test_js_is_symmetric_bounded_by_log_two_and_pinsker_holds(rows):
    p, q = (torch.tensor([r], dtype=torch.float64).log_softmax(1) for r in rows)
    js = float(js_divergence(p, q))
    assert js == pytest.approx(float(js_divergence(q, p)), abs=1e-9)
    assert 0 <= js <= math.log(2)
    assert float(kl_divergence(p, q)) >= 2 * float(total_variation(p, q)) ** 2 - 1e-9


def test_divergence_of_impossible_classes_is_finite_where_the_reference_gives_them_no_mass():
    p = torch.tensor([[1.0, 0.0]], dtype=torch.float64).log()
    q = torch.tensor([[0.5, 0.5]], dtype=torch.float64).log()
    assert float(kl_divergence(p, q)) == pytest.approx(math.log(2))
