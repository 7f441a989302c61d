"""Training always moves a population: stacked replicas, one objective, one flow."""

from learnt.train.checkpoint import Checkpoint as Checkpoint
from learnt.train.fit import fit as fit
from learnt.train.flows import Flow as Flow
from learnt.train.flows import Independent as Independent
from learnt.train.history import Callback as Callback
from learnt.train.history import Event as Event
from learnt.train.history import History as History
from learnt.train.kernels import Gaussian as Gaussian
from learnt.train.kernels import Linear as Linear
from learnt.train.langevin import Langevin as Langevin
from learnt.train.objectives import Batch as Batch
from learnt.train.objectives import CrossEntropy as CrossEntropy
from learnt.train.objectives import Model as Model
from learnt.train.objectives import Objective as Objective
from learnt.train.objectives import SquaredError as SquaredError
from learnt.train.population import Population as Population
from learnt.train.repulsive import Repulsive as Repulsive
from learnt.train.stein import Stein as Stein
