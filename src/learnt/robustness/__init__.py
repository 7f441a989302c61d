"""What fools a model, and does it fool another as well?"""

from learnt.robustness.attacks import Attack as Attack
from learnt.robustness.attacks import adversaries as adversaries
from learnt.robustness.attacks import calibrate_eps as calibrate_eps
from learnt.robustness.attacks import fgsm as fgsm
from learnt.robustness.attacks import pgd as pgd
from learnt.robustness.transfer import AdversarialTransfer as AdversarialTransfer
