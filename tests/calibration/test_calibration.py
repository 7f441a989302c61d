"""Calibration errors and proper scores against golden numbers and an independent implementation."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from learnt.calibration.ece import (
    CalibrationError,
    adaptive_ece,
    bin_of,
    check_probabilities,
    expected_calibration_error,
    maximum_calibration_error,
)
from learnt.calibration.scores import brier_score, negative_log_likelihood
from learnt.core.errors import InputError

G = json.loads((Path(__file__).parents[1] / "golden" / "comparison.json").read_text())["calibration"]
PROBS, LABELS = np.array(G["probs"]), np.array(G["labels"])
CONFIDENCE, CORRECT = PROBS.max(1), PROBS.argmax(1) == LABELS


def test_calibration_errors_equal_the_golden_numbers():
    assert expected_calibration_error(CONFIDENCE, CORRECT, bins=10) == pytest.approx(G["ece_10_bins"], abs=1e-12)
    assert expected_calibration_error(CONFIDENCE, CORRECT, bins=15) == pytest.approx(G["ece_15_bins"], abs=1e-12)
    assert expected_calibration_error(CONFIDENCE, CORRECT, bins=5) == pytest.approx(G["ece_5_bins"], abs=1e-12)
    assert maximum_calibration_error(CONFIDENCE, CORRECT, bins=10) == pytest.approx(G["mce_10_bins"], abs=1e-12)
    assert adaptive_ece(CONFIDENCE, CORRECT, bins=5) == pytest.approx(G["adaptive_ece_5_equal_mass_bins"], abs=1e-12)


def test_proper_scores_equal_the_golden_numbers():
    p, y = torch.tensor(PROBS), torch.tensor(LABELS)
    assert float(brier_score(p, y).mean()) == pytest.approx(G["brier_sum_over_classes"], abs=1e-12)
    assert float(negative_log_likelihood(p.log(), y).mean()) == pytest.approx(G["nll"], abs=1e-12)


def test_ece_equals_torchmetrics_away_from_bin_edges():
    from torchmetrics.functional.classification import multiclass_calibration_error

    rng = np.random.default_rng(0)
    p = rng.dirichlet([1, 1, 1], 400)
    y = rng.integers(0, 3, 400)
    theirs = multiclass_calibration_error(torch.tensor(p), torch.tensor(y), num_classes=3, n_bins=15)
    ours = expected_calibration_error(p.max(1), p.argmax(1) == y)
    assert ours == pytest.approx(float(theirs), abs=1e-6)


def test_a_calibrated_model_has_less_error_than_an_overconfident_one():
    rng = np.random.default_rng(1)
    confidence = rng.uniform(0.5, 1, 4000)
    honest = rng.random(4000) < confidence
    boaster = rng.random(4000) < confidence - 0.2
    assert (
        expected_calibration_error(confidence, honest) < 0.04 < 0.15 < expected_calibration_error(confidence, boaster)
    )


def test_bins_are_open_below_and_closed_above():
    assert bin_of(np.array([0.0, 0.1, 0.1000001, 1.0]), 10).tolist() == [0, 0, 1, 9]


def test_evidence_as_a_function_of_means_equals_the_direct_formula():
    found = CalibrationError(bins=10).describe((CONFIDENCE, CORRECT))
    assert float(found.combine(found.columns.mean(0))) == pytest.approx(G["ece_10_bins"], abs=1e-12)


def test_probabilities_that_do_not_sum_to_one_are_refused():
    with pytest.raises(InputError, match="probabilities"):
        check_probabilities(np.array([[0.5, 0.2]]))
