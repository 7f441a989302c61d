"""What small networks learn from shapes: the label is learnable, and a planted shortcut is found."""

import pytest
import torch
from torch import nn

from learnt.data import shapes

APPEARANCE = ("texture", "colour")


def trained(data, *, epochs=10):
    """A strided network of three layers, trained with Adam (about 2 s an epoch on one busy core)."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = nn.Sequential(
            nn.Conv2d(3, 16, 3, 2, 1),
            nn.ReLU(),
            nn.Conv2d(16, 32, 3, 2, 1),
            nn.ReLU(),
            nn.Conv2d(32, 64, 3, 2, 1),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(1024, 64),
            nn.ReLU(),
            nn.Linear(64, 8),
        )
    order = torch.Generator().manual_seed(0)
    steps = epochs * (len(data) // 128)
    optimiser = torch.optim.Adam(model.parameters(), 2e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 5e-3, steps)
    for _ in range(epochs):
        for batch in torch.randperm(len(data), generator=order)[: 128 * (len(data) // 128)].split(128):
            optimiser.zero_grad()
            nn.functional.cross_entropy(model(data.inputs[batch]), data.labels[batch]).backward()
            optimiser.step()
            schedule.step()
    return model.eval()


def share(model, inputs, labels):
    with torch.no_grad():
        return float((model(inputs).argmax(1) == labels).float().mean())


@pytest.fixture(scope="module")
def test_set():
    return shapes(1000, seed=1, correlation=1.0, tied=APPEARANCE, conflict=True, domains=("recoloured", "sketch"))


@pytest.mark.slow
def test_the_label_is_learnable_but_not_trivial(test_set):
    model, free = trained(shapes(4000, seed=0)), shapes(1000, seed=2)
    accuracy = share(model, free.inputs, free.labels)
    assert 0.82 < accuracy < 0.99
    conflict = test_set.conflict
    assert share(model, conflict.inputs, conflict.texture) < 0.05, "nothing ties appearance to the class"


@pytest.mark.slow
def test_a_planted_shortcut_is_learnt_and_shows_on_conflict_images(test_set):
    model, free = trained(shapes(2000, seed=0, correlation=1.0, tied=APPEARANCE), epochs=8), shapes(1000, seed=2)
    assert share(model, test_set.inputs, test_set.labels) > 0.85
    assert share(model, free.inputs, free.labels) < 0.5, "without the shortcut the model is lost"
    conflict = test_set.conflict
    by_shape, by_texture = (share(model, conflict.inputs, cue) for cue in (conflict.shape, conflict.texture))
    assert by_texture > 2 * by_shape
    recoloured = test_set.domains["recoloured"]
    assert share(model, recoloured.inputs, recoloured.labels) < 0.4
