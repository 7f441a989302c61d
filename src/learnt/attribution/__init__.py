"""Where does a model look, and do two models look at the same place?"""

from learnt.attribution.gradcam import CAMSimilarity as CAMSimilarity
from learnt.attribution.gradcam import gradcam as gradcam
from learnt.attribution.integrated_gradients import IGSimilarity as IGSimilarity
from learnt.attribution.integrated_gradients import integrated_gradients as integrated_gradients
from learnt.attribution.localisation import Localisation as Localisation
from learnt.attribution.similarity import cosine as cosine
from learnt.attribution.similarity import spearman as spearman
from learnt.attribution.similarity import win_rate as win_rate
