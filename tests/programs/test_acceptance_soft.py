"""Acceptance: the relaxed network, by the formulas of the specification alone, one input and one position at a time.

`reference` is written from arXiv 2306.01128 and the authors' order of operations (spec 1.2 to 1.7) in plain loops over
numpy arrays. It shares nothing with the network but the names of the parameters; padding does not exist in it.
"""

import numpy as np
import pytest
import torch

from learnt.programs import Config, Factored, Task, tasks
from learnt.programs.module import ProgramModule, Relaxation
from learnt.programs.schedule import temperatures
from learnt.programs.soft import relative_bias


def softmax(x: np.ndarray) -> np.ndarray:
    e = np.exp(x - x.max())
    return e / e.sum()


def bias(d: int, n_ctx: int) -> float:
    """b(j - i): self last, near before far, left a little before right."""
    if d == 0:
        return -2.0
    return -(d - 1) / (n_ctx - 2) if d > 0 else -(-d - 1) / (n_ctx - 1)


def reference(p: dict, shape, ids: list[int], tau: float, c: float, default: str) -> np.ndarray:
    """(N, labels) logits of one input, or (labels,) if the network pools."""
    n, k = len(ids), shape.k
    if shape.embeddings:
        cat = [[softmax(p["embedding"][e][:, w] / tau) for w in ids] for e in range(shape.embeddings)]
    else:
        cat = [[np.eye(k)[w] for w in ids]]
    cat.append([np.eye(k)[i] for i in range(n)])
    num = [[1.0] * n]
    for layer in range(shape.layers):

        def read(gate, variables, i):
            return sum(weight * variables[v][i] for v, weight in enumerate(softmax(gate / tau)))

        heads, counts = [], []
        total = shape.cat_heads + shape.num_heads
        for h in range(total):
            gates, predicate = p[f"head_gates_{layer}"], p[f"predicates_{layer}"][h]
            rows = np.array([softmax(row / tau) for row in predicate])
            query = [read(gates[h], cat, i) for i in range(n)]
            key = [read(gates[total + h], cat, i) for i in range(n)]
            out = []
            for i in range(n):
                seen = range(i + 1) if shape.causal else range(n)
                score = {j: float(query[i] @ rows @ key[j]) for j in seen}
                if h >= shape.cat_heads:
                    gate = p[f"value_gates_{layer}"][h - shape.cat_heads]
                    out.append(sum(s * read(gate, num, j) for j, s in score.items()))
                    continue
                if default == "max":
                    score[0] += 1 - max(score.values())
                else:
                    s = sum(score.values())
                    score[0] += max(0.0, 1 - s / (s + 1e-10))
                a = np.array([np.log(score[j] + 1e-20) + c * bias(j - i, shape.n_ctx) for j in seen])
                weights = softmax(a / np.sqrt(k) / tau)
                gate = gates[2 * total + h]
                out.append(sum(w * read(gate, cat, j) for w, j in zip(weights, seen, strict=True)))
            (heads if h < shape.cat_heads else counts).append(out)
        seen_cat, seen_num, written = cat + heads, num + counts, []
        for kind, count, variables in (("", shape.cat_mlps, seen_cat), ("num_", shape.num_mlps, seen_num)):
            for m in range(count):
                gates = p[f"{kind}mlp_gates_{layer}"][m * shape.mlp_inputs : (m + 1) * shape.mlp_inputs]
                w_in, b_in, w_out, b_out = (
                    p[f"{kind}mlp_{part}_{layer}"][m] for part in ("in", "in_bias", "out", "out_bias")
                )
                out = []
                for i in range(n):
                    x = np.concatenate([np.atleast_1d(read(gate, variables, i)) for gate in gates])
                    f = w_out @ np.maximum(w_in @ x + b_in, 0) + b_out
                    log_probabilities = f - f.max() - np.log(np.exp(f - f.max()).sum())
                    out.append(softmax(log_probabilities / tau))
                written.append(out)
        cat, num = cat + heads + written, seen_num
    logits = np.zeros((n, len(shape.labels)))
    for i in range(n):
        for y in range(len(shape.labels)):
            logits[i, y] = sum(p["votes"][y, v] @ cat[v][i] for v in range(len(cat)))
            logits[i, y] += sum(p["num_votes"][y, v] * num[v][i] for v in range(len(num)))
    return logits.mean(0) if shape.pool else logits


def pooled() -> Task:
    return Task.from_pairs(
        [["<s>", "a"], ["<s>", "b", "a"], ["<s>", "b"]] * 4, [["x"], ["y"], ["z"]] * 4, name="t", pool=True
    )


SHAPES = {
    "mixed": (lambda: tasks.sort(vocab_size=6, max_length=6, size=50), Config(layers=2, cat_heads=2, num_heads=2, cat_mlps=1, num_mlps=1, hidden=5)),
    "causal": (lambda: tasks.induction(size=50), Config(layers=2, cat_heads=1, num_heads=1, cat_mlps=1, num_mlps=2, hidden=4, mlp_inputs=3)),
    "numbers of numbers": (lambda: tasks.hist(vocab_size=5, max_length=5, size=50), Config(layers=3, cat_heads=0, num_heads=2, cat_mlps=0, num_mlps=1, hidden=3, mlp_inputs=1)),
    "heads only, larger k": (lambda: tasks.reverse(vocab_size=6, max_length=7, size=50), Config(layers=2, cat_heads=3, num_heads=0, cat_mlps=0, num_mlps=0, var_size=9)),
    "pooled, factored": (pooled, Config(layers=2, cat_heads=1, num_heads=1, cat_mlps=2, num_mlps=0, hidden=4, embed=Factored(n=2), var_size=5)),
}  # fmt: skip


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize(("tau", "c", "default"), [(3.0, 1.0, "reference"), (0.7, 8.0, "max"), (0.2, 3.0, "reference")])
def test_check_02_relaxed_networks_of_every_kind_are_what_the_formulas_say(name, tau, c, default):
    make, config = SHAPES[name]
    shape = config.shape(make())
    with torch.random.fork_rng():
        torch.manual_seed(len(name))
        network = ProgramModule(shape).double().train()
    network.relaxation = Relaxation(
        temperature=tau, noise=False, attention_noise=False, mlp_noise=False, tie_bias=c, default=default
    )
    p = {key: value.detach().numpy() for key, value in network.named_parameters()}
    rng = np.random.default_rng(0)
    inputs = [rng.integers(1, len(shape.vocab), n).tolist() for n in (1, 2, shape.n_ctx, shape.n_ctx - 1)]
    ids = torch.tensor([row + [0] * (shape.n_ctx - len(row)) for row in inputs])
    found = network(ids).detach().numpy()
    for row, logits in zip(inputs, found, strict=True):
        wanted = reference(p, shape, row, tau, c, default)
        np.testing.assert_allclose(logits if shape.pool else logits[: len(row)], wanted, rtol=1e-7, atol=1e-8)


@pytest.mark.parametrize("n", [3, 4, 5, 9, 16])
def test_check_03_the_table_of_the_bias_is_its_formula_at_every_size(n):
    wanted = [[bias(j - i, n) for j in range(n)] for i in range(n)]
    np.testing.assert_allclose(relative_bias(n, dtype=torch.float64), wanted, atol=1e-12)


@pytest.mark.parametrize(("epochs", "batches"), [(2, 1), (2, 7), (5, 3), (9, 4), (40, 2)])
@pytest.mark.parametrize(("start", "end"), [(3.0, 0.01), (1.0, 1.0), (10.0, 0.5)])
def test_check_04_every_step_of_the_schedule_is_its_closed_form(start, end, epochs, batches):
    found = temperatures(start, end, epochs=epochs, batches=batches)
    for e in range(epochs):
        first, last = (start * (end / start) ** (min(x, epochs - 1) / (epochs - 1)) for x in (e, e + 1))
        for b in range(batches):
            wanted = first * (last / first) ** (b / (batches - 1)) if batches > 1 else first
            assert found[e, b] == pytest.approx(wanted, rel=1e-12)
