"""Every question the library asks by default, in the order of a report: one explicit line each.

To add a measure: write its file, add its line here, its test and its page. Nothing is registered by name.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from learnt.core.measure import Measure


@cache
def MEASURES() -> tuple[Measure[Any, Any], ...]:  # noqa: N802 (a constant that is imported on first use)
    """One instance of each default question; those that do not fit the data at hand are left out by `compare`."""
    from learnt.agreement.accuracy import Accuracy
    from learnt.agreement.divergence import JSDivergence, KLDivergence
    from learnt.agreement.errors import ErrorConsistency
    from learnt.agreement.top1 import Agreement
    from learnt.attribution.gradcam import CAMSimilarity
    from learnt.attribution.integrated_gradients import IGSimilarity
    from learnt.attribution.localisation import Localisation
    from learnt.calibration.ece import CalibrationError
    from learnt.calibration.scores import Brier, LogLoss
    from learnt.gated.gates import Gates
    from learnt.gated.modes import Modes
    from learnt.invariance.agreement import Invariance
    from learnt.invariance.domains import DomainAgreement
    from learnt.invariance.level import InvarianceLevel
    from learnt.invariance.texture import ShapePreference
    from learnt.programs.behaviour import ProgramAgreement
    from learnt.programs.modules import ModuleAgreement
    from learnt.rewards.best_of_n_measure import BestOfNRegret
    from learnt.rewards.response_measure import ResponseDistance
    from learnt.rewards.safety import OptimalRegret, Safety
    from learnt.rewards.starc import STARC
    from learnt.robustness.transfer import AdversarialTransfer
    from learnt.similarity.cka import CKA
    from learnt.similarity.rbf import RBFCKA

    return (
        Accuracy(),
        Agreement(),
        KLDivergence(),
        JSDivergence(),
        ErrorConsistency(),
        CalibrationError(),
        Brier(),
        LogLoss(),
        CKA(),
        RBFCKA(),
        Modes(),
        Gates(),
        CAMSimilarity(),
        IGSimilarity(),
        Localisation(),
        AdversarialTransfer(direction="a->b"),
        AdversarialTransfer(direction="b->a"),
        AdversarialTransfer(direction="a->b", attack="fgsm"),
        InvarianceLevel(),
        Invariance(),
        DomainAgreement(),
        ShapePreference(),
        STARC(),
        Safety(),
        OptimalRegret(),
        ResponseDistance(),
        BestOfNRegret(),
        ProgramAgreement(),
        ModuleAgreement(),
    )
