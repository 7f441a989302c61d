"""What the calibration measures share."""

from __future__ import annotations

from learnt.core.measure import Reference

GUO = Reference(cite="Guo et al. 2017, On calibration of modern neural networks", identifier="arXiv:1706.04599")
BRIER = Reference(cite="Brier 1950, Verification of forecasts expressed in terms of probability")
CALIBRATION_LAWS = ("example order", "batch size", "class permutation", "logit shift")
