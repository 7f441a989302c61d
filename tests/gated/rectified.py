"""Small rectified networks, and the run of XOR on which the difference of exact and effective gates shows."""

from copy import deepcopy
from functools import cache

import numpy as np
import torch
from torch import nn

XOR = np.array([[1.0, 1.0], [-1.0, -1.0], [1.0, -1.0], [-1.0, 1.0]])
XOR_Y = XOR[:, :1] * XOR[:, 1:]


def net(dims, seed, act=None, bias=True):
    """A float64 multilayer perceptron."""
    layers = []
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for i, (a, b) in enumerate(zip(dims, dims[1:], strict=False)):
            layers += (
                [nn.Linear(a, b, bias=bias), (act or nn.ReLU())] if i < len(dims) - 2 else [nn.Linear(a, b, bias=bias)]
            )
    return nn.Sequential(*layers).double()


@cache
def _trained(std: float, seed: int, steps: int):
    """(losses, weights at step 400, weights at the end) of 2-128-1 ReLU, full-batch gradient descent at .02."""
    rng = np.random.default_rng(seed)
    w, v = rng.normal(size=(128, 2)) * std, rng.normal(size=(1, 128)) * std
    losses, kept = [], None
    for step in range(steps):
        if step == 400:
            kept = w.copy(), v.copy()
        z = XOR @ w.T
        h = np.maximum(z, 0)
        miss = h @ v.T - XOR_Y
        losses.append(0.5 * float((miss**2).mean()))
        back = (miss @ v) * (z > 0)
        v, w = v - 0.02 * miss.T @ h / 4, w - 0.02 * back.T @ XOR / 4
    return np.array(losses), kept, (w, v)


def _as_model(weights):
    model = net((2, 128, 1), seed=0, bias=False)
    with torch.no_grad():
        model[0].weight.copy_(torch.from_numpy(weights[0]))
        model[2].weight.copy_(torch.from_numpy(weights[1]))
    return model


def xor_run(std: float = 0.01, seed: int = 0):
    """The network at step 400 and at step 4000."""
    _, early, late = _trained(std, seed, 4000)
    return deepcopy(_as_model(early)), _as_model(late)


def xor_losses(std: float = 0.01, seed: int = 0):
    """(4000,) loss before each step."""
    return _trained(std, seed, 4000)[0]
