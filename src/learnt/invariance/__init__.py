"""What does a model ignore, and how does it answer away from home: changed inputs, unseen domains, conflicting cues?"""

from learnt.invariance.agreement import Invariance as Invariance
from learnt.invariance.agreement import kappa as kappa
from learnt.invariance.domains import DomainAgreement as DomainAgreement
from learnt.invariance.level import InvarianceLevel as InvarianceLevel
from learnt.invariance.texture import ShapePreference as ShapePreference
