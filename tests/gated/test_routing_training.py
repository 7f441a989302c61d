"""Routing networks: the loss of the trained pairs and no other, and what comes for free."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from learnt.core.errors import InputError, NotApplicable, ShapeError
from learnt.gated._room import Room
from learnt.gated.gate_patterns import ahead, band, random_regular
from learnt.gated.routing_domains import routing_data
from learnt.gated.routing_net import PairLoss, RoutingNet, fold, hidden, unfold
from learnt.gated.routing_training import train_routing
from learnt.train.objectives import Batch

DATA = {inputs: routing_data("digits", 4, inputs=inputs) for inputs in ("permute", "rotate", "same")}
IRREGULAR = np.array([[1.0, 1, 0, 0], [0, 1, 0, 0], [1, 1, 1, 1], [0, 0, 0, 0]])


def net(seed: int, **options) -> RoutingNet:
    torch.manual_seed(seed)
    made = RoutingNet(4, 64, 6, 10, dtype=torch.float64, **options)
    with torch.no_grad():
        for name, p in made.named_parameters():
            if name.endswith("bias"):
                p.normal_()
    return made


def all_pairs_loss(data, network, gate, x, y, kind) -> torch.Tensor:
    """What the reference does: every pair, then the mask."""
    logits = network(data.views(x))
    total = torch.zeros((), dtype=torch.float64)
    for i in range(4):
        for j in range(4):
            right, out = data.targets(j, y), logits[:, i, j]
            if kind == "cross_entropy":
                lost = F.cross_entropy(out, right)
            else:
                lost = 0.5 * (out - F.one_hot(right, 10)).square().sum(1).mean()
            total = total + gate[i, j] * lost
    return total / gate.sum()


@pytest.mark.parametrize("kind", ["cross_entropy", "squared_error"])
@pytest.mark.parametrize("inputs", ["permute", "rotate", "same"])
def test_the_loss_of_trained_pairs_and_its_gradient_are_those_of_all_pairs_masked(kind, inputs):
    data = DATA[inputs]
    x, y = data.train_x[:9].double(), data.train_y[:9]
    for gate, options in (
        (IRREGULAR, {"relu": True, "shared_layers": 2}),
        (band(4, 2), {"bias": False}),
        (np.ones((4, 4)), {}),
    ):
        networks = [net(s, **options) for s in (0, 1)]
        stacked = {
            k: torch.stack([dict(n.named_parameters())[k].detach() for n in networks]).requires_grad_()
            for k, _ in networks[0].named_parameters()
        }
        batch = Batch(x.expand(2, -1, -1), y.expand(2, -1), torch.arange(9).expand(2, -1), {})
        doubled = type(data)(**{**vars(data), "maps": None if data.maps is None else data.maps.double()})
        losses = PairLoss(doubled, gate, kind).stacked(networks[0], stacked, batch)
        found = torch.autograd.grad(losses.sum(), list(stacked.values()))
        roomy = PairLoss(doubled, gate, kind, room=Room())
        for _ in range(2):  # the second gradient is written over the first
            same = roomy.stacked(networks[0], stacked, batch)
            again = torch.autograd.grad(same.sum(), list(stacked.values()))
        torch.testing.assert_close(same, losses, atol=1e-12, rtol=1e-12)
        torch.testing.assert_close(again, found, atol=1e-12, rtol=1e-12)
        for r, network in enumerate(networks):
            expected = all_pairs_loss(doubled, network, gate, x, y, kind)
            torch.testing.assert_close(losses[r], expected)
            slopes = torch.autograd.grad(expected, list(network.parameters()))
            for seen, right in zip(found, slopes, strict=True):
                torch.testing.assert_close(seen[r], right, atol=1e-12, rtol=1e-10)


def test_gradients_of_encoders_are_written_to_one_place_in_the_order_of_the_weights():
    data, room = DATA["permute"], Room()
    objective = PairLoss(data, band(4, 2), folded=True, room=room)
    tensors = {k: p.detach().unsqueeze(0).requires_grad_() for k, p in net(0).named_parameters()}
    places = set()
    for start in (0, 5):
        x, y = data.train_x[start : start + 5].double().unsqueeze(0), data.train_y[start : start + 5].unsqueeze(0)
        z = objective.stacked(net(0), tensors, Batch(x, y, torch.arange(5).unsqueeze(0), {}))
        (slope,) = torch.autograd.grad(z.sum(), [tensors["encoder"]])
        assert slope.is_contiguous()
        places.add(slope.data_ptr())
    assert len(places) == 1
    assert room.like(slope.float()).dtype == torch.float32  # another kind of tensor has other memory


def test_folded_encoders_read_raw_pixels_as_the_others_read_permuted_ones():
    data = DATA["permute"]
    weights = {k: p.detach().unsqueeze(0) for k, p in net(3, relu=True).named_parameters()}
    x = data.test_x[:5].double().unsqueeze(0)
    straight = hidden(weights, data.views(x), True)
    folded = hidden(weights | {"encoder": fold(weights["encoder"], data.pixels)}, x, True)
    torch.testing.assert_close(folded, straight)
    torch.testing.assert_close(unfold(fold(weights["encoder"], data.pixels), data.pixels), weights["encoder"])


def test_training_is_that_of_the_masked_network_by_torch_sgd():
    data, gate = DATA["permute"], ahead(4, 2)
    options = {"hidden": 5, "gain": 0.5, "dtype": torch.float64, "batch": len(data.train_x)}
    start = train_routing(data, gate, steps=1, lr=1e-300, **options).model()
    trained = train_routing(data, gate, steps=6, lr=0.1, momentum=0.9, **options)
    optimizer = torch.optim.SGD(start.parameters(), lr=0.1, momentum=0.9)
    x, losses = data.train_x.double(), []
    for _ in range(6):
        optimizer.zero_grad()
        value = all_pairs_loss(data, start, gate, x, data.train_y, "cross_entropy")
        losses.append(float(value.detach()))
        value.backward()
        optimizer.step()
    np.testing.assert_allclose(trained.history.losses[:, 0].numpy(), losses, rtol=1e-12)
    for mine, theirs in zip(trained.model().parameters(), start.parameters(), strict=True):
        torch.testing.assert_close(mine, theirs, atol=1e-12, rtol=1e-12)


def test_accuracies_are_those_of_the_network_that_is_returned():
    for inputs in ("permute", "rotate"):
        data = DATA[inputs]
        routed = train_routing(data, IRREGULAR, steps=30, hidden=8, relu=True, seeds=2, most=200)
        for r in range(2):
            answers = routed.model(r)(data.views(data.test_x)).argmax(-1)
            right = torch.stack([data.targets(j, data.test_y) for j in range(4)], 1)
            expected = (answers == right.unsqueeze(1)).double().mean(0)
            np.testing.assert_allclose(routed.accuracy["test"][r], expected.numpy(), atol=0.003)
        assert routed.loss["train"].shape == (2, 4, 4)


def test_check_18_untrained_pairs_come_for_free_if_the_trained_ones_hang_together():
    data = DATA["permute"]
    options = {"steps": 250, "hidden": 24, "batch": 32, "seeds": 2}
    together = train_routing(data, random_regular(4, 3), **options)
    apart = train_routing(data, np.eye(4), **options)  # the control: no domain is linked to another
    assert (together.trained() > 0.88).all()
    assert (apart.trained() > 0.88).all()
    assert (together.untrained() > 0.8).all()
    assert (apart.untrained() < 0.3).all()
    assert "12 of 16 pairs trained" in str(together)


def test_check_23_gates_and_settings_without_meaning_are_refused():
    data = DATA["permute"]
    with pytest.raises(InputError, match="5 domains"):
        train_routing(data, np.eye(5), steps=1)
    with pytest.raises(ShapeError):
        train_routing(data, np.ones((4, 3)), steps=1)
    with pytest.raises(InputError, match="zeros and ones"):
        train_routing(data, 0.5 * np.eye(4), steps=1)
    for name, value in (("lr", 0.0), ("momentum", -0.1), ("hidden", 0), ("steps", 0), ("batch", 0), ("gain", -1.0),
                        ("loss", "hinge")):  # fmt: skip
        with pytest.raises(InputError, match=name):
            train_routing(data, np.eye(4), **({"steps": 1} | {name: value}))
    with pytest.raises(InputError, match="RoutingData"):
        train_routing("digits", np.eye(4))  # type: ignore[arg-type]
    with pytest.raises(NotApplicable, match="every pair trained"):
        train_routing(data, np.ones((4, 4)), steps=1).untrained()
