"""Tiny exact worlds: things to compare, data to compare them on, and the transformations that claims are about.

A world makes cases `(a, b, data)` from a seed, knows how to apply each named transformation to a case, and how to let
b drift away from a. `check_measure` picks the world by the type of data a measure asks for; bring your own for other
kinds of data.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from torch import nn

from learnt.core.examples import Conflict, Examples


@dataclass(frozen=True, eq=False, kw_only=True)
class Case:
    """One comparison: a reference, another thing, the data, and how to view a thing on it."""

    a: Any
    b: Any
    data: Any
    options: Mapping[str, Any] = field(default_factory=dict)

    def view(self, thing: Any, name: str = "thing") -> Any:
        """What a measure is handed for a thing."""
        return self.data.subject(thing, name=name, **self.options)


@runtime_checkable
class World(Protocol):
    """What a conformance check needs to know about a kind of thing."""

    def case(self, seed: int) -> Case:
        """A case with two different things; the same seed gives the same case."""
        ...

    def transformations(self) -> Mapping[str, Callable[[Case, int], Case]]:
        """Named transformations of a case; a measure may claim to be invariant under each."""
        ...

    def drift(self, case: Case, level: float, seed: int) -> Any:
        """The reference of a case, disturbed by noise of strength `level` in [0, 1]; 0 gives an equal thing."""
        ...

    def without(self, case: Case, capability: str) -> Case | None:
        """The case without one capability (labels, gradients, masks ...); None if it cannot be taken away."""
        ...

    def degenerate(self, seed: int) -> Mapping[str, Case]:
        """Named cases at the edge: one example, constant answers, one class ...; numbers may be undefined there."""
        ...

    def fingerprint(self, case: Case) -> bytes:
        """Bytes of everything a measure must not change."""
        ...


class TinyNet(nn.Module):
    """A small convolutional classifier with named layers, for images (n, channels, h, w)."""

    def __init__(self, channels: int = 3, classes: int = 4, width: int = 6) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, width, 3, padding=1)
        self.relu1 = nn.ReLU()
        self.conv2 = nn.Conv2d(width, width, 3, stride=2, padding=1)
        self.relu2 = nn.ReLU()
        self.drop = nn.Dropout(0.5)
        self.hidden = nn.Linear(width * 9, 12)
        self.head = nn.Linear(12, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(b, channels, 6, 6) -> (b, classes) logits."""
        x = self.relu2(self.conv2(self.relu1(self.conv1(x))))
        return self.head(torch.relu(self.hidden(self.drop(x.flatten(1)))))


@dataclass(frozen=True, kw_only=True)
class Models:
    """The world of image classifiers: `TinyNet`s that were pulled towards a common rule, on 6 x 6 images.

    Args:
        n: number of examples.
        classes: number of classes.
    """

    n: int = 48
    classes: int = 4

    def case(self, seed: int) -> Case:
        """Two networks that share part of what they know, labelled images with masks, domains and cue conflicts."""
        g = torch.Generator().manual_seed(seed)
        a, other = self._net(g), self._net(g)
        b = self._blend(a, other, 0.06)
        inputs = torch.rand(self.n, 3, 6, 6, generator=g)
        labels = self._labels(a, inputs, g)
        shifted = (inputs + 0.2 * torch.randn(inputs.shape, generator=g)).clamp(0, 1)
        masks = torch.zeros(self.n, 6, 6, dtype=torch.bool)
        masks[:, 1:5, 2:5] = True
        cue = torch.rand(self.n, 3, 6, 6, generator=g)
        shape = torch.randint(0, self.classes, (self.n,), generator=g)
        data = Examples(
            inputs=inputs, labels=labels, classes=tuple(f"class {k}" for k in range(self.classes)), name="tiny images",
            masks=masks, low=0.0, high=1.0,
            domains={"noisy": Examples(inputs=shifted, labels=labels, name="noisy", low=0.0, high=1.0)},
            conflict=Conflict(inputs=cue, shape=shape, texture=(shape + 1) % self.classes),
        )  # fmt: skip
        return Case(a=a, b=b, data=data)

    def transformations(self) -> Mapping[str, Callable[[Case, int], Case]]:
        """See the names; each leaves what the models know unchanged."""
        return {
            "example order": self._reorder,
            "batch size": lambda case, seed: replace(case, options={"batch_size": 5 + seed % 7}),
            "class permutation": self._relabel,
            "logit shift": lambda case, seed: self._heads(case, lambda h: _shift(h, 1.7 + seed)),
            "logit scale": lambda case, seed: self._heads(case, lambda h: _scale(h, 1.5)),
            "no labels": lambda case, seed: replace(case, data=replace(case.data, labels=None)),
            "feature rotation": lambda case, seed: replace(case, b=Recoded(case.b, _orthogonal(12, seed), 0.0)),
            "feature scale": lambda case, seed: replace(case, b=Recoded(case.b, 3.0 * torch.eye(12), 0.0)),
            "feature shift": lambda case, seed: replace(case, b=Recoded(case.b, torch.eye(12), 2.0)),
        }

    def drift(self, case: Case, level: float, seed: int) -> Any:
        """The reference moved up to a quarter of the way towards a fixed other network."""
        other = self._net(torch.Generator().manual_seed(seed + 10_000))
        return self._blend(case.a, other, 0.25 * level)

    def without(self, case: Case, capability: str) -> Case | None:
        """Data without labels, masks, domains or conflicts; models as plain functions without layers or gradients."""
        data = case.data
        if capability in ("features", "gradients"):
            return replace(case, a=_function(case.a), b=_function(case.b))
        if capability == "images":
            flat = Examples(
                inputs=data.inputs.flatten(1), labels=data.labels, name="rows", low=data.low, high=data.high
            )
            return Case(a=_on_rows(case.a), b=_on_rows(case.b), data=flat)
        gone = {
            "labels": {"labels": None},
            "masks": {"masks": None},
            "domains": {"domains": {}},
            "conflict": {"conflict": None},
        }
        return replace(case, data=replace(data, **gone[capability])) if capability in gone else None

    def degenerate(self, seed: int) -> Mapping[str, Case]:
        """One example, two, one class only, dead models, equal images, huge and tiny logits."""
        case = self.case(seed)
        dead = deepcopy(case.a)
        with torch.no_grad():
            for p in dead.parameters():
                p.zero_()
        same = replace(case.data, inputs=case.data.inputs[:1].expand(self.n, -1, -1, -1).clone())
        return {
            "one example": replace(case, data=case.data.take([0])),
            "two examples": replace(case, data=case.data.take([0, 1])),
            "one class only": replace(case, data=replace(case.data, labels=torch.zeros(self.n, dtype=torch.int64))),
            "dead reference": replace(case, a=dead),
            "both dead": replace(case, a=dead, b=deepcopy(dead)),
            "equal images": replace(case, data=same),
            "huge logits": self._heads(case, lambda h: _scale(h, 1e6)),
            "tiny logits": self._heads(case, lambda h: _scale(h, 1e-6)),
            "one thing twice": replace(case, b=case.a),
        }

    def fingerprint(self, case: Case) -> bytes:
        """Weights, buffers, gradients, training flags and hooks of both models, and the data."""
        parts: list[Any] = [case.data.inputs.numpy().tobytes(), case.data.inputs.requires_grad]
        for thing in (case.a, case.b):
            for name, m in thing.named_modules():
                parts += [name, m.training, len(m._forward_hooks), len(m._forward_pre_hooks), len(m._backward_hooks)]
            for name, t in (*thing.named_parameters(), *thing.named_buffers()):
                grad = None if t.grad is None else t.grad.numpy().tobytes()
                parts += [name, t.detach().numpy().tobytes(), t.requires_grad, grad]
        return repr(parts).encode()

    def _net(self, g: torch.Generator) -> TinyNet:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(torch.randint(0, 2**31, (1,), generator=g)))
            net = TinyNet(3, self.classes)
        with torch.no_grad():  # balanced, livelier answers than at initialisation, so that differences show
            logits = net.eval()(torch.rand(64, 3, 6, 6, generator=g))
            scale = 3.0 / logits.std(0)
            net.head.weight.mul_(scale[:, None])
            net.head.bias.copy_((net.head.bias - logits.mean(0)) * scale)
        return net.train()

    def _blend(self, a: nn.Module, other: nn.Module, level: float) -> nn.Module:
        mixed = deepcopy(a)
        with torch.no_grad():
            for p, q in zip(mixed.parameters(), other.parameters(), strict=True):
                p.copy_(p + level * (q - p))
        return mixed

    def _labels(self, a: nn.Module, inputs: torch.Tensor, g: torch.Generator) -> torch.Tensor:
        with torch.no_grad():
            answers = deepcopy(a).eval()(inputs).argmax(1)
        noise = torch.randint(0, self.classes, (self.n,), generator=g)
        return torch.where(torch.rand(self.n, generator=g) < 0.3, noise, answers)

    def _reorder(self, case: Case, seed: int) -> Case:
        order = torch.randperm(len(case.data), generator=torch.Generator().manual_seed(seed))
        data = case.data.take(order)
        if data.conflict is not None:
            c = data.conflict
            data = replace(
                data, conflict=Conflict(inputs=c.inputs[order], shape=c.shape[order], texture=c.texture[order])
            )
        return replace(case, data=data)

    def _relabel(self, case: Case, seed: int) -> Case:
        order = torch.randperm(self.classes, generator=torch.Generator().manual_seed(seed))
        to = torch.argsort(order)

        def permute(head: nn.Linear) -> None:
            head.weight.copy_(head.weight[order].clone())
            head.bias.copy_(head.bias[order].clone())

        def renamed(data: Examples) -> Examples:
            c = data.conflict
            return replace(
                data,
                labels=None if data.labels is None else to[data.labels],
                classes=tuple(data.classes[i] for i in order.tolist()) if data.classes else (),
                domains={k: renamed(v) for k, v in data.domains.items()},
                conflict=None if c is None else Conflict(inputs=c.inputs, shape=to[c.shape], texture=to[c.texture]),
            )

        return replace(self._heads(case, permute), data=renamed(case.data))

    def _heads(self, case: Case, change: Callable[[nn.Linear], None]) -> Case:
        a, b = deepcopy(case.a), deepcopy(case.b)
        with torch.no_grad():
            change(a.head)
            change(b.head)
        return replace(case, a=a, b=b)


class Recoded(nn.Module):
    """A `TinyNet` whose hidden code is sent through an invertible affine map that the head undoes."""

    def __init__(self, net: TinyNet, matrix: torch.Tensor, offset: float) -> None:
        super().__init__()
        net = deepcopy(net)
        self.conv1, self.relu1, self.conv2, self.relu2 = net.conv1, net.relu1, net.conv2, net.relu2
        self.hidden = nn.Linear(net.hidden.in_features, 12)
        self.code = nn.Linear(12, 12)
        self.head = nn.Linear(12, net.head.out_features)
        inverse = torch.linalg.inv(matrix)
        with torch.no_grad():
            self.hidden.weight.copy_(matrix @ net.hidden.weight)
            self.hidden.bias.copy_(matrix @ net.hidden.bias + offset)
            self.code.weight.copy_(inverse)
            self.code.bias.copy_(-inverse @ torch.full((12,), offset))
            self.head.weight.copy_(net.head.weight)
            self.head.bias.copy_(net.head.bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(b, channels, 6, 6) -> (b, classes): the same logits as the original."""
        x = self.relu2(self.conv2(self.relu1(self.conv1(x))))
        return self.head(
            torch.relu(torch.nn.functional.linear(self.hidden(x.flatten(1)), self.code.weight, self.code.bias))
        )


def _shift(head: nn.Linear, by: float) -> None:
    head.bias.add_(by)


def _scale(head: nn.Linear, by: float) -> None:
    head.weight.mul_(by)
    head.bias.mul_(by)


def _orthogonal(d: int, seed: int) -> torch.Tensor:
    matrix = torch.randn(d, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return torch.linalg.qr(matrix).Q.float()


def _function(model: nn.Module) -> Callable[[torch.Tensor], torch.Tensor]:
    frozen = deepcopy(model).eval()
    return lambda x: frozen(x)


def _on_rows(model: nn.Module) -> nn.Module:
    return nn.Sequential(nn.Unflatten(1, (3, 6, 6)), deepcopy(model))


def seeds(count: int, start: int = 0) -> list[int]:
    """The seeds of the cases that a law looks at."""
    return [int(s) for s in np.arange(start, start + count)]
