"""How far apart are two reward functions, and what follows for behaviour?"""

from learnt.rewards.canonical import canonical as canonical
from learnt.rewards.mdp import RewardView as RewardView
from learnt.rewards.mdp import TabularMDP as TabularMDP
from learnt.rewards.shaping import potential_shaping as potential_shaping
from learnt.rewards.shaping import redistribution as redistribution
from learnt.rewards.starc import STARC as STARC
from learnt.rewards.starc import standardise as standardise
from learnt.rewards.starc import starc_distance as starc_distance
