"""How alike are two networks inside? Measures of representation similarity."""

from learnt.similarity.cka import CKA as CKA
from learnt.similarity.cka import linear_cka as linear_cka
from learnt.similarity.grid import cka_grid as cka_grid
from learnt.similarity.grid import layers_of as layers_of
from learnt.similarity.grid import nguyen_minibatch_grid as nguyen_minibatch_grid
from learnt.similarity.hsic import hsic_biased as hsic_biased
from learnt.similarity.hsic import hsic_unbiased as hsic_unbiased
from learnt.similarity.rbf import RBFCKA as RBFCKA
from learnt.similarity.rbf import rbf_cka as rbf_cka
from learnt.similarity.streaming import CrossStatistics as CrossStatistics
from learnt.similarity.streaming import nguyen_minibatch_cka as nguyen_minibatch_cka
from learnt.similarity.streaming import streaming_cka as streaming_cka
