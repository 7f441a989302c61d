"""Which experts does a router open for which tokens? Its decisions on a sample, recorded and frozen as gates.

A hook on the router (a named part of any torch model) keeps what it is given and what it returns:

    logits (..., E)                       gates are softmax weights, of all experts or of the top k
    indices and weights (..., k)          gates are these weights, 0 for the other experts
    anything else                         `read` makes (..., E) gates of it

The model is asked in evaluation mode, so that no noise is added to the logits, and left as it was. What comes after the
router (a limit on how many tokens an expert takes, shared experts) is not seen.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, final

import numpy as np
import torch
from torch import nn

from learnt.core.errors import InputError, NonFiniteError, NotApplicable, ShapeError
from learnt.gated._frozen import frozen, whole
from learnt.gated._mlp import flat_inputs

Weights = Literal["open", "softmax", "top"]


@final
@dataclass(frozen=True, eq=False, kw_only=True)
class Routing:
    """The decisions of a router on P tokens. Made by `record_router`.

    Attributes:
        gates: (P, E) gate of each token for each expert.
        inputs: (P, d) what the router was given: the tokens that experts see in most networks.
        sample: (P,) which of the inputs of the model each token is of.
        router: name of the part.
    """

    gates: np.ndarray
    inputs: np.ndarray
    sample: np.ndarray
    router: str

    @property
    def load(self) -> np.ndarray:
        """(E,) share of the tokens for which each expert is open."""
        return (self.gates > 0).mean(0)

    def __len__(self) -> int:
        return len(self.gates)


def record_router(
    model: nn.Module,
    router: str,
    X: Any,
    *,
    k: int | None = None,
    weights: Weights = "top",
    experts: int | None = None,
    read: Callable[[Any], Any] | None = None,
    batch_size: int = 256,
) -> Routing:
    """Ask a model and keep the decisions of one of its routers.

    Args:
        model: any network; it stays as it was.
        router: name of the part, as in `model.named_modules()`.
        X: (N, ...) inputs in the shape that the model takes.
        k: experts that a token is sent to, where the router returns logits; None for all of them.
        weights: "open" for gates of 0 and 1, "softmax" for the probabilities of all experts (0 outside the top k),
            "top" for those of the top k among themselves, where the router returns logits. Weights that come with
            indices are taken as they are; "open" makes them 0 and 1.
        experts: E, needed where the router returns indices.
        read: from what the router returns to (..., E) gates, for routers that return something else.
        batch_size: inputs of a forward pass. A router whose decisions depend on the batch decides within these.

    Raises:
        InputError, ShapeError, NonFiniteError: no such part, k above E, NaN.
        NotApplicable: a router that does not run, runs twice for the same input, or returns something unknown.
    """
    if not isinstance(model, nn.Module):
        raise InputError("model", found=type(model).__name__, expected="an nn.Module")
    parts = dict(model.named_modules())
    if router not in parts or not router:
        near = [name for name in parts if name.rpartition(".")[2] in ("router", "gate", "gating", "wg")]
        raise InputError(
            "router", found=repr(router), expected=f"the name of a part, such as {near or list(parts)[1:6]}"
        )
    if weights not in ("open", "softmax", "top"):
        raise InputError("weights", found=repr(weights), expected="'open', 'softmax' or 'top'")
    if experts is not None:
        whole(experts, "experts", 1)
    if k is not None:
        whole(k, "k", 1)
    batch_size = whole(batch_size, "batch_size", 1)
    tensor = flat_inputs(X)[0]
    gates, inputs, sample = [], [], []

    def take(start: int, given: torch.Tensor, out: Any) -> None:
        g = _gates(out if read is None else read(out), k, weights, experts, done=read is not None)
        x = given.detach().flatten(0, -2).cpu().double().numpy()
        if len(x) != len(g):
            raise ShapeError("router", found=f"{len(g)} decisions for {len(x)} tokens", expected="one for each token")
        count = min(batch_size, len(tensor) - start)
        if len(x) % count:
            raise ShapeError(
                "router", found=f"{len(x)} tokens of {count} inputs", expected="equally many of each input",
                remedy="Leave out padding, or give inputs one at a time (batch_size=1).",
            )  # fmt: skip
        gates.append(g)
        inputs.append(x)
        sample.append(start + np.repeat(np.arange(count), len(x) // count))

    _ask(model, parts[router], router, tensor, batch_size, take)
    return Routing(
        gates=frozen(np.concatenate(gates)), inputs=frozen(np.concatenate(inputs)),
        sample=frozen(np.concatenate(sample)), router=router,
    )  # fmt: skip


def _ask(
    model: nn.Module,
    part: nn.Module,
    name: str,
    X: torch.Tensor,
    batch_size: int,
    take: Callable[[int, Any, Any], None],
) -> None:
    """Run the model; `take` gets the start of each batch, what the router was given and what it returned."""
    seen: list[tuple[Any, Any]] = []

    def keep(module: Any, args: Any, kwargs: Any, out: Any) -> None:
        given = next((a for a in (*args, *kwargs.values()) if isinstance(a, torch.Tensor) and a.ndim > 1), None)
        seen.append((given, out))

    was = [(m, m.training) for m in model.modules()]
    like = next((p for p in model.parameters() if p.is_floating_point()), None)
    cuda = [like.device.index or 0] if like is not None and like.device.type == "cuda" else []
    hook = part.register_forward_hook(keep, with_kwargs=True)
    try:
        for m, _ in was:
            m.training = False
        for start in range(0, len(X), batch_size):
            batch = X[start : start + batch_size]
            if like is not None:
                batch = batch.to(like.device, like.dtype if batch.is_floating_point() else None)
            seen.clear()
            with torch.no_grad(), torch.random.fork_rng(devices=cuda):
                model(batch)
            if len(seen) != 1 or seen[0][0] is None:
                found = f"a part that runs {len(seen)} times" if len(seen) != 1 else "a part that is given no tokens"
                raise NotApplicable(
                    "router", found=f"{name!r}, {found}", expected="a part that runs once for each input",
                )  # fmt: skip
            take(start, *seen[0])
    finally:
        hook.remove()
        for m, training in was:
            m.training = training


def _gates(out: Any, k: int | None, weights: Weights, experts: int | None, *, done: bool) -> np.ndarray:
    """(P, E) gates of what a router returned; `done` if they have been made by the caller."""
    if done or isinstance(out, torch.Tensor | np.ndarray):
        values = torch.as_tensor(out).detach().cpu().double()
        if values.ndim < 2:
            raise ShapeError("router", found=f"shape {tuple(values.shape)}", expected="(..., experts)")
        values = values.flatten(0, -2)
        if not bool(torch.isfinite(values).all()):
            raise NonFiniteError("router", found="NaN or infinity", expected="finite logits")
        return (values if done else _of_logits(values, k, weights)).numpy()
    tensors = [t for t in out if isinstance(t, torch.Tensor)] if isinstance(out, tuple | list) else []
    index = [t for t in tensors if not t.is_floating_point() and t.dtype != torch.bool]
    paired = [t for t in tensors if t.is_floating_point() and len(index) == 1 and t.shape == index[0].shape]
    if len(index) != 1 or len(paired) != 1 or index[0].ndim < 2:
        shapes = ", ".join(f"{t.dtype} {tuple(t.shape)}" for t in tensors) or type(out).__name__
        raise NotApplicable(
            "router", found=f"a router that returns {shapes}", expected="logits, or indices and weights of one shape",
            remedy="Give `read`, a function from what it returns to (..., experts) gates.",
        )  # fmt: skip
    if experts is None:
        raise InputError("experts", found="None", expected="the number of experts: this router returns indices")
    chosen, weight = (t.detach().cpu().flatten(0, -2) for t in (index[0].long(), paired[0].double()))
    if int(chosen.min()) < 0 or int(chosen.max()) >= experts:
        raise InputError("experts", found=f"{experts} with an index {int(chosen.max())}", expected="indices below it")
    if not bool(torch.isfinite(weight).all()):
        raise NonFiniteError("router", found="NaN or infinity", expected="finite weights")
    weight = (weight > 0).double() if weights == "open" else weight
    return torch.zeros(len(chosen), experts, dtype=torch.float64).scatter_add_(1, chosen, weight).numpy()


def _of_logits(logits: torch.Tensor, k: int | None, weights: Weights) -> torch.Tensor:
    """Gates (P, E) of logits (P, E): the k largest, in the weights asked for."""
    k = logits.shape[1] if k is None else k
    if k > logits.shape[1]:
        raise InputError("k", found=str(k), expected=f"at most the {logits.shape[1]} experts")
    top, chosen = logits.topk(k, dim=1)
    if weights == "open":
        value = torch.ones_like(top)
    else:
        value = top.softmax(1) if weights == "top" else logits.softmax(1).gather(1, chosen)
    return torch.zeros_like(logits).scatter_(1, chosen, value)
