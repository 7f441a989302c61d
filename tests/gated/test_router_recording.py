"""Decisions of routers: logits, indices and weights, one's own reading; and a trained mixture from start to end."""

import numpy as np
import pytest
import torch
from tests.gated.mixtures import Mixture, kinds_task, trained
from torch import nn

from learnt.core.errors import InputError, NonFiniteError, NotApplicable, ShapeError
from learnt.gated.expert_units import unit_pathways
from learnt.gated.pathway_strength import pathway_strengths
from learnt.gated.rectified_gates import relu_gates
from learnt.gated.router_recording import record_router

X = torch.randn(10, 4, generator=torch.Generator().manual_seed(0))


class Sparse(nn.Module):
    """Tokens (n, t, 4) through a router that returns what `form` says."""

    def __init__(self, form: str) -> None:
        super().__init__()
        self.form, self.noise = form, nn.Dropout(0.5)
        self.block = nn.ModuleDict({"gate": Gate(form)})

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out = self.block["gate"](hidden_states=self.noise(x)) if self.form == "keyword" else self.block["gate"](x)
        if self.form == "twice":
            self.block["gate"](x)
        return out if isinstance(out, torch.Tensor) else x


class Gate(nn.Module):
    """A router over 3 experts."""

    def __init__(self, form: str) -> None:
        super().__init__()
        self.form, self.map = form, nn.Linear(4, 3)

    def forward(self, hidden_states: torch.Tensor):
        logits = self.map(hidden_states)
        weight, index = logits.softmax(-1).topk(2)
        if self.form == "pair":
            return weight, index
        if self.form == "three":  # logits as well, as some libraries do
            return logits, weight, index
        if self.form == "named":
            return {"logits": logits}
        return logits * float("nan") if self.form == "nan" else logits


def net_of(form: str) -> Sparse:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        return Sparse(form)


def test_gates_of_logits_are_the_softmax_of_the_top_k():
    model = net_of("logits")
    logits = model(X)
    top = record_router(model, "block.gate", X, k=2)
    value, index = logits.topk(2)
    want = torch.zeros(10, 3).scatter(1, index, value.softmax(1)).detach().numpy()
    assert np.allclose(top.gates, want, atol=1e-6)
    assert np.allclose(top.gates.sum(1), 1, atol=1e-12)
    assert np.array_equal(top.inputs, X.double().numpy())
    everyone = logits.softmax(1).detach().numpy()
    soft = record_router(model, "block.gate", X, k=2, weights="softmax").gates
    assert np.allclose(soft, np.where(want > 0, everyone, 0), atol=1e-6)
    assert np.array_equal(record_router(model, "block.gate", X, k=2, weights="open").gates, want > 0)
    assert np.allclose(record_router(model, "block.gate", X).gates, everyone, atol=1e-6)
    assert top.load.sum() == pytest.approx(2)


@pytest.mark.parametrize("form", ["pair", "three"])
def test_gates_of_indices_and_weights_are_these_weights(form):
    model = net_of(form)
    soft = record_router(net_of("logits"), "block.gate", X, k=2, weights="softmax").gates
    found = record_router(model, "block.gate", X, experts=3)
    assert np.allclose(found.gates, soft, atol=1e-6)
    assert np.array_equal(record_router(model, "block.gate", X, experts=3, weights="open").gates, soft > 0)


def test_another_kind_of_answer_is_read_by_the_caller():
    found = record_router(net_of("named"), "block.gate", X, read=lambda out: out["logits"].softmax(-1))
    assert np.allclose(found.gates, record_router(net_of("logits"), "block.gate", X).gates, atol=1e-6)


def test_tokens_of_sequences_are_flattened_and_know_their_sequence():
    tokens = torch.randn(5, 7, 4, generator=torch.Generator().manual_seed(2))
    small = record_router(net_of("keyword"), "block.gate", tokens, k=1, batch_size=2)
    large = record_router(net_of("logits"), "block.gate", tokens.reshape(35, 4), k=1)
    assert np.array_equal(small.sample, np.repeat(np.arange(5), 7))
    assert np.allclose(small.gates, large.gates, atol=1e-12)
    assert np.allclose(small.inputs, large.inputs, atol=1e-12)
    assert len(small) == 35


def test_the_model_is_left_as_it_was_also_after_an_error():
    model = net_of("nan").train()
    model.noise.eval()
    before, state = [m.training for m in model.modules()], torch.get_rng_state()
    with pytest.raises(NonFiniteError):
        record_router(model, "block.gate", X)
    assert [m.training for m in model.modules()] == before
    assert torch.equal(torch.get_rng_state(), state)
    assert not any(m._forward_hooks for m in model.modules())


@pytest.mark.parametrize(
    ("form", "given", "error"),
    [
        ("logits", {"router": "gate"}, InputError),
        ("logits", {"router": ""}, InputError),
        ("logits", {"k": 4}, InputError),
        ("logits", {"k": 0}, InputError),
        ("logits", {"weights": "hard"}, InputError),
        ("pair", {}, InputError),
        ("pair", {"experts": 1}, InputError),
        ("named", {}, NotApplicable),
        ("twice", {}, NotApplicable),
        ("logits", {"router": "noise"}, NotApplicable),
        ("logits", {"read": lambda out: out[:3]}, ShapeError),
        ("logits", {"read": lambda out: out[0]}, ShapeError),
    ],
)
def test_bad_input_is_an_error(form, given, error):
    with pytest.raises(error):
        record_router(net_of(form), **({"router": "block.gate", "X": X} | given))


def test_the_error_about_a_wrong_name_shows_routers_that_there_are():
    with pytest.raises(InputError, match=r"block\.gate"):
        record_router(net_of("logits"), "router", X)


@pytest.mark.parametrize("seed", [0, 3])
def test_a_trained_mixture_routes_by_kind_and_its_strengths_are_those_of_the_kinds(seed):
    model, loss = trained(seed)
    assert loss < 0.05
    x, y, kind = kinds_task(512, 1)
    routing = record_router(model, "router", x, k=1, weights="open")
    expert = routing.gates.argmax(1)
    assert len(set(zip(expert, kind.tolist(), strict=True))) == 2  # one expert a kind
    found = pathway_strengths(routing.gates, routing.inputs, y)
    for e in range(2):
        own = expert == e
        assert found.values[e] == pytest.approx(np.linalg.norm(y[own].double().T @ x[own].double() / 512, 2), abs=1e-6)
    assert (found.gain > 3).all()  # measured on seeds 0 to 5: 4.6 and 5.0
    assert (found.p == 0.01).all()
    inside = [relu_gates(part, x, kind="effective") for part in model.experts]
    gates, names = unit_pathways(routing.gates, inside)
    units = pathway_strengths(gates, routing.inputs, y, names=names, permutations=0)
    for e in range(2):  # a unit is open for some of the tokens of its expert
        own = [k for k, name in enumerate(names) if name.startswith(f"expert {e},")]
        assert own
        assert (units.load[own] <= found.load[e] + 1e-12).all()


def test_a_large_gain_is_no_specialisation_an_untrained_router_can_have_one():
    x, y, kind = kinds_task(512, 1)
    routing = record_router(trained(0, steps=0)[0], "router", x, k=1, weights="open")
    mixed = [(routing.gates[kind == k, e] > 0).mean() for k in range(2) for e in range(2)]
    assert min(mixed) > 0.2  # both kinds go to both experts
    assert (pathway_strengths(routing.gates, routing.inputs, y).gain > 3).all()


def test_a_mixture_on_labels_with_the_cross_entropy_loss():
    x, _, kind = kinds_task(200, 1)
    routing = record_router(Mixture(6, 3, 2), "router", x, k=1)
    found = pathway_strengths(routing.gates, routing.inputs, kind, loss="cross entropy", permutations=5)
    assert found.outputs.shape == (2, 2)
