"""Train gated deep linear networks by real gradient descent, all seeds at once: what theory is compared with.

    L = 1/2 sum_i prob_i sum_v ||y_v(i) - h_v(i)||^2         the loss of `learnt.gated.gated_task`, not its mean by unit
    full batch (the default): V <- momentum V + dL/dW + weight_decay W,   W <- W - lr V       (torch.optim.SGD)
    batches of b of P samples: L is estimated by P/b times its sum over the batch

A replica is a seed; replicas are the `Population` of `learnt.train`, moved together by `fit`. The theory covers full
batches with plain, momentum and decayed gradient descent; any other optimiser may be trained here, but not predicted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np
import torch

from learnt.core.errors import InputError, NonFiniteError
from learnt.core.examples import Examples
from learnt.gated._asked import called, device_of
from learnt.gated._frozen import finite, frozen, whole
from learnt.gated._gdln_plan import Plan
from learnt.gated.gated_task import GatedTask
from learnt.gated.gdln import GDLN, orthogonal
from learnt.gated.graph import Graph
from learnt.run.seeds import derive
from learnt.train.fit import fit
from learnt.train.history import Callback, Event
from learnt.train.objectives import Batch, Model
from learnt.train.population import Population

Start = float | Mapping[str, Any] | Callable[[int], Mapping[str, Any]]
OptimizerFactory = Callable[[list[torch.Tensor]], torch.optim.Optimizer]


@final
@dataclass(frozen=True, eq=False, kw_only=True)
class TrainedGDLN:
    """What training a gated network gave.

    Attributes:
        graph: the network.
        population: its R replicas.
        losses: (steps + 1, R) L before the first step and after each; estimates from the batches if there were any,
            but for the last.
        lr: the learning rate, NaN if the optimiser was a function.
        at: (T,) steps at which strengths were recorded, the first and the last among them.
        strength: (T, R, k) by edge: singular values in falling order, or, if bases were given, the diagonal of
            R_t^T W R_s.
    """

    graph: Graph
    population: Population
    losses: np.ndarray
    lr: float
    at: np.ndarray
    strength: Mapping[str, np.ndarray]

    @property
    def time(self) -> np.ndarray:
        """(steps + 1,) t = lr k: the time of gradient flow that these steps stand for."""
        return self.lr * np.arange(len(self.losses))

    def model(self, i: int = 0) -> GDLN:
        """The network of replica i."""
        return _network(self.population[i])

    def weights(self, i: int = 0) -> dict[str, np.ndarray]:
        """(|t|, |s|) by edge of replica i."""
        return self.model(i).weights()

    def steps_to(self, fraction: float) -> np.ndarray:
        """(R,) the first step after which L is at most (1 - fraction) of what it was; infinity if it never is.

        Raises:
            InputError, NonFiniteError: a fraction that is not above 0 and at most 1.
        """
        share = finite(fraction, "fraction")
        if share.shape != () or not 0 < share <= 1:
            raise InputError("fraction", found=repr(fraction), expected="a number above 0 and at most 1")
        below = self.losses <= (1 - float(share)) * self.losses[0]
        return np.where(below.any(0), below.argmax(0), np.inf)


def train_gdln(
    task: GatedTask,
    *,
    steps: int,
    lr: float = 0.02,
    initial: Start = 0.2,
    seeds: int = 1,
    seed: int = 0,
    optimizer: str | OptimizerFactory = "sgd",
    momentum: float = 0.0,
    weight_decay: float = 0.0,
    batch: int | None = None,
    record_every: int | None = None,
    bases: Mapping[str, Any] | None = None,
    dtype: torch.dtype = torch.float64,
    device: str | torch.device | None = None,
    callbacks: Sequence[Callback] = (),
) -> TrainedGDLN:
    """Train `seeds` networks for a task.

    Args:
        task: data and gates.
        steps: of the optimiser.
        lr: learning rate, above 0.
        initial: a number, the gain of orthogonal weights; weights by edge for all replicas, such as
            `Reduction.weights(0.1)`; or a function from a seed to weights: `lambda seed: reduction.weights(0.1, seed)`.
        seeds: replicas R. Replica i starts from the seed derived from (seed, "gated", i), whatever R is.
        seed: as above; batches are drawn from it too.
        optimizer: "sgd", or a function from parameters to a torch optimiser; then lr, momentum and weight_decay are its
            own business.
        momentum, weight_decay: of "sgd", as in torch.optim.SGD.
        batch: samples of a step, drawn anew for each replica; None for all of them.
        record_every: steps between records of strengths; None for the first and the last only.
        bases: (|v|, N) by node, in which strengths are read; singular values if None.
        dtype: of the computation.
        device: where to train; None is the CPU.
        callbacks: functions of an `Event` of `learnt.train`.

    Raises:
        InputError, ShapeError, NonFiniteError: arguments that have no meaning.
        DivergedError: NaN or infinity: the learning rate is too large.
    """
    if not isinstance(task, GatedTask):
        raise InputError("task", found=type(task).__name__, expected="a GatedTask")
    count, total = whole(seeds, "seeds", 1, 1_000_000), whole(steps, "steps", 1, 1_000_000_000)
    every = total if record_every is None else whole(record_every, "record_every", 1)
    make, rate = _optimizer(optimizer, lr, momentum, weight_decay)
    samples = None if batch is None else min(whole(batch, "batch", 1), len(task))
    numbers = [derive(seed, "gated", i) for i in range(count)]
    place = device_of(device)
    called(callbacks)
    if bases is not None and not isinstance(bases, Mapping):
        raise InputError("bases", found=type(bases).__name__, expected="a basis for every node, or None")
    networks = [_Samples(GDLN(task.graph, _start(task.graph, initial, s), dtype=dtype), task) for s in numbers]
    population = Population.of(networks)
    objective = _Loss(task, dtype, place, samples)
    track = _Track(task.graph, population, every, total, bases)
    # One example of full-batch training is all the data; of batches, it is one sample.
    index = torch.arange(1 if samples is None else len(task)).unsqueeze(1)
    with torch.random.fork_rng(devices=[]):
        fit(
            population, Examples(inputs=index, name="task"), objective, steps=total, optimizer=make,
            batch_size=samples or 1, engine="vmap", seed=seed, device=None if place.type == "cpu" else place,
            callbacks=(track, *callbacks),
        )  # fmt: skip
    with torch.no_grad():
        after = objective.plan.losses(_by_edge(task.graph, {k: v.to(place) for k, v in population.parameters.items()}))
    track.losses.append(after.double().cpu().numpy())
    track.look(total)
    if not np.isfinite(track.losses[-1]).all():
        raise NonFiniteError("losses", found="infinity after the last step", expected="finite losses")
    return TrainedGDLN(
        graph=task.graph,
        population=population,
        losses=frozen(np.stack(track.losses)),
        lr=rate,
        at=frozen(np.array(track.at)),
        strength={e: frozen(np.stack(values)) for e, values in track.strength.items()},
    )


@final
class _Samples(torch.nn.Module):
    """A network that answers for samples of a task by their numbers: what the engine moves."""

    def __init__(self, network: GDLN, task: GatedTask) -> None:
        torch.nn.Module.__init__(self)
        self.network = network
        self.task = task

    def __deepcopy__(self, memo: dict[int, Any]) -> _Samples:
        copied = _Samples(self.network.__deepcopy__(memo), self.task)  # the data cannot change and are shared
        copied.training = self.training
        memo[id(self)] = copied
        return copied

    def forward(self, index: torch.Tensor) -> torch.Tensor:
        """(b, units of all outputs) for (b, 1) numbers of samples."""
        task, rows = self.task, index[:, 0].cpu().numpy()
        like = next(iter(self.network.edges))
        x = {v: torch.tensor(task._rows("x", v, rows)).to(like) for v in task.graph.inputs}
        gates = {name: torch.tensor(g[task.context_of[rows]]).to(like) for name, g in task.contexts.items()}
        out = self.network(x, gates)
        return torch.cat([out[v] for v in task.graph.outputs], 1)


def _network(module: torch.nn.Module) -> GDLN:
    network: Any = module.network
    return network


@final
class _Loss:
    """L of all replicas: of the whole data by its plan, or estimated from a batch of each replica's own."""

    def __init__(self, task: GatedTask, dtype: torch.dtype, device: torch.device, samples: int | None) -> None:
        self.task, self.samples = task, samples
        self.plan = Plan(task, dtype, device)

    def check(self, outputs: torch.Tensor, data: Examples) -> None:
        """Nothing: targets are the task's own."""

    def __call__(self, model: Model, batch: Batch) -> torch.Tensor:
        own = {name: p.unsqueeze(0) for name, p in model.module.named_parameters()}
        one = Batch(batch.inputs.unsqueeze(0), None, batch.index.unsqueeze(0), {})
        return self.stacked(model.module, own, one)[0]

    def stacked(self, model: torch.nn.Module, tensors: Mapping[str, torch.Tensor], batch: Batch) -> torch.Tensor:
        """(R,) losses for weights (R, |t|, |s|) by name."""
        weights = _by_edge(self.task.graph, tensors)
        return self.plan.losses(weights) if self.samples is None else self._estimate(weights, batch.index)

    def _estimate(self, weights: dict[str, torch.Tensor], index: torch.Tensor) -> torch.Tensor:
        task, graph = self.task, self.task.graph
        like, rows = next(iter(weights.values())), index.cpu().numpy()

        def tensor(values: np.ndarray) -> torch.Tensor:
            return torch.as_tensor(values).to(like)

        on = {name: tensor(g[task.context_of[rows]]).unsqueeze(-1) for name, g in task.contexts.items()}
        prob = tensor(task._prob[rows]) * (len(task) / rows.shape[1])
        h: dict[str, torch.Tensor] = {}
        total: Any = 0.0
        for v in graph.order:
            if not graph.incoming[v]:
                value = tensor(task._rows("x", v, rows))
            else:
                signals = [torch.bmm(h[graph.edges[e][0]], weights[e].mT) for e in graph.incoming[v]]
                gated = [s * on[e] if e in on else s for e, s in zip(graph.incoming[v], signals, strict=True)]
                value = sum(gated[1:], gated[0])
            h[v] = value * on[v] if v in on else value
            if not graph.outgoing[v]:
                miss = tensor(task._rows("y", v, rows)) - h[v]
                total = total + 0.5 * (prob * miss.square().sum(-1)).sum(-1)
        return total


@final
class _Track:
    """Keeps losses of every step and strengths of some."""

    def __init__(self, graph: Graph, population: Population, every: int, steps: int, bases: Any) -> None:
        self.graph, self.population, self.every, self.steps = graph, population, every, steps
        self.bases = None if bases is None else {v: torch.tensor(_basis(graph, bases, v)) for v in graph.nodes}
        self.losses: list[np.ndarray] = []
        self.at: list[int] = []
        self.strength: dict[str, list[np.ndarray]] = {e: [] for e in graph.edges}
        self.look(0)

    def __call__(self, event: Event) -> None:
        if event.kind != "step" or event.losses is None:
            return
        self.losses.append(event.losses.double().cpu().numpy())
        if event.step % self.every == 0 and event.step < self.steps:
            self.look(event.step)

    def look(self, step: int) -> None:
        """Record the strengths."""
        self.at.append(step)
        for e, w in _by_edge(self.graph, self.population.parameters).items():
            matrix = w.detach().double().cpu()
            if self.bases is None:
                values = torch.linalg.svdvals(matrix)
            else:
                source, target = self.graph.edges[e]
                values = torch.einsum("tk,rts,sk->rk", self.bases[target], matrix, self.bases[source])
            self.strength[e].append(values.numpy())


def _basis(graph: Graph, bases: Mapping[str, Any], v: str) -> np.ndarray:
    if v not in bases:
        raise InputError("bases", found=f"none for {v!r}", expected="a basis for every node, or None")
    basis = finite(bases[v], f"bases[{v!r}]")
    if basis.ndim != 2 or len(basis) != graph.nodes[v]:
        raise InputError(f"bases[{v!r}]", found=f"shape {basis.shape}", expected=f"({graph.nodes[v]}, modes)")
    return basis


def _by_edge(graph: Graph, tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {e: tensors[f"network.edges.{k}"] for k, e in enumerate(graph.edges)}


def _start(graph: Graph, initial: Start, seed: int) -> Mapping[str, Any]:
    if callable(initial):
        return initial(seed)
    if hasattr(initial, "with_weights"):
        raise InputError(
            "initial", found="a Reduction", expected="a gain, weights by edge, or a function from a seed to weights",
            remedy="Reduction.weights(0.1) are weights of decoupled form.",
        )  # fmt: skip
    return initial if isinstance(initial, Mapping) else orthogonal(graph, initial, seed)


def _optimizer(optimizer: Any, lr: Any, momentum: Any, decay: Any) -> tuple[OptimizerFactory, float]:
    if callable(optimizer):
        made: OptimizerFactory = optimizer  # pyright: ignore[reportAssignmentType]  (checked when it is called)
        return made, float("nan")
    if not isinstance(optimizer, str) or optimizer != "sgd":
        raise InputError(
            "optimizer", found=repr(optimizer), expected='"sgd", or a function from parameters to a torch optimiser'
        )
    rate, inertia, shrink = (
        float(_number(value, name, low, above))
        for value, name, low, above in ((lr, "lr", 0.0, True), (momentum, "momentum", 0.0, False),
                                        (decay, "weight_decay", 0.0, False))
    )  # fmt: skip
    if inertia >= 1:
        raise InputError("momentum", found=repr(momentum), expected="a number from 0, below 1")
    return lambda parameters: torch.optim.SGD(parameters, lr=rate, momentum=inertia, weight_decay=shrink), rate


def _number(value: Any, name: str, low: float, above: bool) -> np.ndarray:
    number = finite(value, name)
    if number.shape != () or number < low or (above and number == low):
        raise InputError(name, found=repr(value), expected=f"a number {'above' if above else 'of at least'} {low:g}")
    return number
