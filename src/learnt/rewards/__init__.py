"""How far apart are two reward functions, and what follows for behaviour?

Exact, in a finite decision process (`TabularMDP`): canonical forms, STARC and its peers, worst-case regret, bounds.
From samples of an environment: `estimate_distance`. From scores of responses: `response_distance`, `best_of_n_regret`.
"""

from learnt.rewards.best_of_n import best_of_n_regret as best_of_n_regret
from learnt.rewards.best_of_n_measure import BestOfNRegret as BestOfNRegret
from learnt.rewards.bounds import regret_bounds as regret_bounds
from learnt.rewards.canonical import canonical as canonical
from learnt.rewards.dard import Dard as Dard
from learnt.rewards.dard_distance import dard_distance as dard_distance
from learnt.rewards.epic import Epic as Epic
from learnt.rewards.epic_distance import epic_distance as epic_distance
from learnt.rewards.erc import erc_distance as erc_distance
from learnt.rewards.features import Fourier as Fourier
from learnt.rewards.features import Polynomial as Polynomial
from learnt.rewards.files import load_mdp as load_mdp
from learnt.rewards.files import save_mdp as save_mdp
from learnt.rewards.frontier import proxy_frontier as proxy_frontier
from learnt.rewards.goodhart import goodhart_angle as goodhart_angle
from learnt.rewards.gridworld import grid_world as grid_world
from learnt.rewards.imitation import reward_from_imitation as reward_from_imitation
from learnt.rewards.improvement import improvement as improvement
from learnt.rewards.lstd import LSTD as LSTD
from learnt.rewards.mdp import RewardView as RewardView
from learnt.rewards.mdp import TabularMDP as TabularMDP
from learnt.rewards.minimal import Minimal as Minimal
from learnt.rewards.minimal import MinimalL2 as MinimalL2
from learnt.rewards.minimal_potential import MinimalPotential as MinimalPotential
from learnt.rewards.norms import norm_of as norm_of
from learnt.rewards.npec import npec_distance as npec_distance
from learnt.rewards.optimal_regret import optimal_policy_regret as optimal_policy_regret
from learnt.rewards.pairwise import pairwise_rewards as pairwise_rewards
from learnt.rewards.random_mdp import interpolation as interpolation
from learnt.rewards.random_mdp import random_mdp as random_mdp
from learnt.rewards.random_mdp import random_reward as random_reward
from learnt.rewards.record import compare_rewards as compare_rewards
from learnt.rewards.regret import regret_matrix as regret_matrix
from learnt.rewards.regret import worst_case_regret as worst_case_regret
from learnt.rewards.response_measure import ResponseDistance as ResponseDistance
from learnt.rewards.responses import response_distance as response_distance
from learnt.rewards.safety import OptimalRegret as OptimalRegret
from learnt.rewards.safety import Safety as Safety
from learnt.rewards.sampled import estimate_distance as estimate_distance
from learnt.rewards.sampled import hoeffding_samples as hoeffding_samples
from learnt.rewards.score_files import read_scores as read_scores
from learnt.rewards.scores import Responses as Responses
from learnt.rewards.scores import ScoreTable as ScoreTable
from learnt.rewards.scoring import sample_table as sample_table
from learnt.rewards.sensitivity import sensitivity as sensitivity
from learnt.rewards.shaping import potential_shaping as potential_shaping
from learnt.rewards.shaping import redistribution as redistribution
from learnt.rewards.smallest import smallest_equivalent as smallest_equivalent
from learnt.rewards.starc import STARC as STARC
from learnt.rewards.starc import standardise as standardise
from learnt.rewards.starc import starc_distance as starc_distance
from learnt.rewards.toy_text import reward_from_toy_text as reward_from_toy_text
from learnt.rewards.val import Val as Val
from learnt.rewards.val import ValPotential as ValPotential
