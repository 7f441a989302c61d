"""What the measures on answers share: references, and the laws every one of them obeys."""

from __future__ import annotations

from learnt.core.measure import Reference

OJHA = Reference(
    cite="Ojha et al. 2023, What knowledge gets distilled in knowledge distillation?", identifier="arXiv:2205.16004"
)
STANTON = Reference(
    cite="Stanton et al. 2021, Does knowledge distillation really work?", identifier="arXiv:2106.05945", where="Eq. 2-3"
)
GEIRHOS = Reference(cite="Geirhos, Meding and Wichmann 2020, Beyond accuracy", identifier="arXiv:2006.16736")

OUTPUT_LAWS = ("example order", "batch size", "class permutation", "logit shift")
