"""A gated network simulated whole, from its samples, without a line of `learnt`: what predictions are held against.

Also an independent maker of tasks for which assumption A1 holds: any graph, any gates that do not depend on the item.
"""

from dataclasses import dataclass, field

import numpy as np
import torch
from scipy.integrate import solve_ivp


@dataclass(frozen=True)
class Net:
    """A graph with data. Arrays (P, units) by input and output, gates (P,) by node or edge, prob (P,)."""

    nodes: dict[str, int]
    edges: dict[str, tuple[str, str]]
    x: dict[str, np.ndarray]
    y: dict[str, np.ndarray]
    gates: dict[str, np.ndarray]
    prob: np.ndarray
    bases: dict[str, np.ndarray] = field(default_factory=dict)  # V at inputs, U at outputs, if A1 holds

    @property
    def order(self) -> list[str]:
        done: list[str] = [v for v in self.nodes if all(t != v for _, t in self.edges.values())]
        while len(done) < len(self.nodes):
            done += [
                v for v in self.nodes
                if v not in done and all(s in done for s, t in self.edges.values() if t == v)
            ][:1]  # fmt: skip
        return done

    def loss_and_slopes(self, w: dict[str, np.ndarray]) -> tuple[float, dict[str, np.ndarray]]:
        """L = 1/2 sum prob |y - h|^2 and dL/dW, by running the samples forwards and the errors backwards."""
        one, h, back = np.ones(len(self.prob)), {}, {}
        for v in self.order:
            total = self.x.get(v)
            for e, (s, t) in self.edges.items():
                if t == v:
                    part = self.gates.get(e, one)[:, None] * (h[s] @ w[e].T)
                    total = part if total is None else total + part
            h[v] = self.gates.get(v, one)[:, None] * total
            back[v] = np.zeros_like(h[v])
        loss = 0.0
        for v, y in self.y.items():
            miss = y - h[v]
            loss += 0.5 * float((self.prob[:, None] * miss**2).sum())
            back[v] = -self.prob[:, None] * miss
        slopes = {}
        for v in reversed(self.order):
            into = self.gates.get(v, one)[:, None] * back[v]
            for e, (s, t) in self.edges.items():
                if t == v:
                    here = self.gates.get(e, one)[:, None] * into
                    slopes[e] = here.T @ h[s]
                    back[s] = back[s] + here @ w[e]
        return loss, slopes

    def flow(self, w: dict[str, np.ndarray], times: np.ndarray, decay: float = 0.0) -> np.ndarray:
        """(T,) the loss along dW/dt = -dL/dW - decay W."""
        names = list(w)
        cuts = np.cumsum([w[e].size for e in names])[:-1]

        def weights(flat: np.ndarray) -> dict[str, np.ndarray]:
            return {e: part.reshape(w[e].shape) for e, part in zip(names, np.split(flat, cuts), strict=True)}

        def rates(_: float, flat: np.ndarray) -> np.ndarray:
            slopes = self.loss_and_slopes(weights(flat))[1]
            return -np.concatenate([slopes[e].ravel() for e in names]) - decay * flat

        start = np.concatenate([w[e].ravel() for e in names])
        found = solve_ivp(rates, (0.0, times[-1]), start, "DOP853", times, rtol=1e-12, atol=1e-14)
        return np.array([self.loss_and_slopes(weights(flat))[0] for flat in found.y.T])

    def sgd(self, w: dict[str, np.ndarray], steps: int, **options: float) -> np.ndarray:
        """(steps + 1,) the loss under torch.optim.SGD, gradients by autograd over the samples."""
        p = {e: torch.nn.Parameter(torch.tensor(m)) for e, m in w.items()}
        optimizer = torch.optim.SGD(list(p.values()), **options)  # pyright: ignore[reportArgumentType]
        x, y = ({v: torch.tensor(a) for v, a in arrays.items()} for arrays in (self.x, self.y))
        g = {name: torch.tensor(a)[:, None] for name, a in self.gates.items()}
        prob, losses = torch.tensor(self.prob)[:, None], []
        for step in range(steps + 1):
            h: dict[str, torch.Tensor] = {}
            for v in self.order:
                parts = [g.get(e, 1.0) * (h[s] @ p[e].T) for e, (s, t) in self.edges.items() if t == v]
                h[v] = g.get(v, 1.0) * (torch.stack(parts).sum(0) if parts else x[v])
            loss = torch.stack([0.5 * (prob * (a - h[v]) ** 2).sum() for v, a in y.items()]).sum()
            losses.append(loss.item())
            if step < steps:
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
        return np.array(losses)


def frame(rng: np.random.Generator, size: int, columns: int) -> np.ndarray:
    """(size, columns) random orthonormal columns."""
    return np.linalg.qr(rng.normal(size=(size, size)))[0][:, :columns]


def diagonalisable(seed: int, *, modes: int = 3, spare: int = 0, digits: int | None = None, equal: bool = False) -> Net:
    """A random graph with skips, 2 inputs, 2 outputs, contexts with fractional gates, and x_v = V_v z, y_v = U_v T_v z.

    Args:
        seed: of everything.
        modes: the dimension of z.
        spare: units of inputs and outputs beyond the modes.
        digits: decimals to which the data are rounded, as in a file of numbers.
        equal: two modes have equal variances and equal strengths everywhere, so that no data tell them apart.
    """
    rng = np.random.default_rng((seed, 77))
    hidden = [f"h{k}" for k in range(int(rng.integers(2, 5)))]
    ends = {"xa": modes + spare, "xb": modes + spare, "ya": modes + spare, "yb": modes + spare}
    nodes = {"xa": ends["xa"], "xb": ends["xb"], **{v: modes + int(rng.integers(0, 3)) for v in hidden}}
    nodes |= {"ya": ends["ya"], "yb": ends["yb"]}
    wires = [("xa", hidden[0]), ("xb", hidden[0]), ("xb", hidden[-1]), (hidden[-1], "ya"), (hidden[0], "yb")]
    wires += list(zip(hidden, hidden[1:], strict=False)) + [("xa", "yb")]
    wires += [(str(rng.choice(["xa", "xb"])), str(rng.choice(hidden))), (str(rng.choice(hidden)), "ya")]
    edges = {f"e{k}": ends_ for k, ends_ in enumerate(wires)}
    count = 4
    names = [str(n) for n in rng.choice([*nodes, *edges], 9, replace=False)]
    table = {n: rng.choice([0.0, 0.5, 1.0, -0.7], count, p=[0.3, 0.25, 0.35, 0.1]) for n in names}
    for k, values in enumerate(table.values()):
        values[0] = (1.0, 0.5)[k % 2]
    n = 2 * modes
    spread, strength = rng.uniform(0.6, 1.4, modes), {v: rng.uniform(-2.5, 2.5, modes) for v in ("ya", "yb")}
    if equal:
        spread[1] = spread[0]
        for values in strength.values():
            values[1] = values[0]
    z = frame(rng, n, modes) * np.sqrt(n) * spread
    bases = {v: frame(rng, size, modes) for v, size in ends.items()}
    x = {v: np.tile(z @ bases[v].T, (count, 1)) for v in ("xa", "xb")}
    y = {v: np.tile((z * strength[v]) @ bases[v].T, (count, 1)) for v in ("ya", "yb")}
    if digits is not None:
        x, y = ({v: np.round(a, digits) for v, a in arrays.items()} for arrays in (x, y))
    weights = rng.uniform(0.5, 1.5, count)
    prob = np.repeat(weights / weights.sum() / n, n)
    return Net(nodes, edges, x, y, {k: np.repeat(v, n) for k, v in table.items()}, prob, bases)


def decoupled(net: Net, seed: int, low: float = -0.5, high: float = 0.5) -> dict[str, np.ndarray]:
    """R_t diag(b_e) R_s^T with random strengths, R = V, U at the ends and random at hidden nodes."""
    rng = np.random.default_rng((seed, 78))
    modes = next(iter(net.bases.values())).shape[1]
    full = {v: net.bases[v] if v in net.bases else frame(rng, size, modes) for v, size in net.nodes.items()}
    return {e: (full[t] * rng.uniform(low, high, modes)) @ full[s].T for e, (s, t) in net.edges.items()}
