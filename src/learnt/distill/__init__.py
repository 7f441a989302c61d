"""Objectives that train a student from a teacher; each is one argument of `learnt.train.fit`."""

from learnt.distill.crd import CRD as CRD
from learnt.distill.hint import ConvRegressor as ConvRegressor
from learnt.distill.hint import Hint as Hint
from learnt.distill.hint import hint_loss as hint_loss
from learnt.distill.hint import tokens_to_map as tokens_to_map
from learnt.distill.kd import KD as KD
from learnt.distill.kd import ensemble_logits as ensemble_logits
from learnt.distill.kd import kd_loss as kd_loss
from learnt.distill.logits import LogitMSE as LogitMSE
from learnt.distill.logits import logit_mse as logit_mse
from learnt.distill.logits import recover_linear as recover_linear
