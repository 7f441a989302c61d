"""How does the distance between two rewards change when a reward changes? STARC distances in torch, with gradients.

    d = || s(R1) - s(R2) ||,   s(R) = c(R) / ||c(R)||                 Skalse et al. 2024, Definition 3
    val:      c = r + X V^pi,   V^pi = (I - gamma P_pi)^-1 r_pi
    minimal:  c = r - Q Q' r,   X = Q U  (the orthogonal projection, transitions weighted by P)

with r(s, a) the mean of R over the next state and X Phi = gamma E Phi(s') - Phi(s). Both forms are constant in the next
state, so plain and weighted p-norms differ by a factor that cancels. Everything is batched over leading axes, on
the device and in the dtype of its inputs.

Each form is applied twice, with the same factors: forms are idempotent, and what rounding leaves of the first
application is a small potential, which the second removes. In float32 that matters.

Gradients: those of the formulas. Where there is none they are 0, never NaN: at equal rewards (d has a kink there), and
with respect to a trivial reward (s = 0 in a region around it). Norms l1 and linf have kinks elsewhere too.

Source: Skalse et al. 2024; there is no such path in the authors' code.
"""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor

from learnt.core.errors import InputError, NonFiniteError, ShapeError

TorchNorm = Literal["weighted_l2", "l2", "weighted_l1", "l1", "linf"]
TorchForm = Literal["val", "minimal"]
TRIVIAL = {torch.float64: 1e-10, torch.float32: 1e-5}  # a canonical form this small beside its reward is rounding noise


def starc_distance_torch(
    r1: Tensor,
    r2: Tensor,
    transitions: Tensor,
    discount: float,
    *,
    canonicalisation: TorchForm = "val",
    policy: Tensor | None = None,
    norm: TorchNorm = "weighted_l2",
    reachable: Tensor | None = None,
    terminal: Tensor | None = None,
) -> Tensor:
    """STARC distances of rewards, differentiable in them: 0 for the same order of policies, 2 for opposite ones.

    Args:
        r1, r2: (..., S, A, S), or (..., S, A, 1) if they do not depend on the next state; leading axes broadcast.
        transitions: (..., S, A, S) probabilities of the next state.
        discount: gamma, above 0 and below 1.
        canonicalisation: ``"val"`` or ``"minimal"``.
        policy: (..., S, A) for ``"val"``; None for the uniform one.
        norm: normalises and measures.
        reachable: (S,) bool, the states that count (`TabularMDP.reachable`); None for all.
        terminal: (S,) bool, states that lead to themselves and pay nothing; None for none.

    Returns:
        (...) distances.

    Raises:
        InputError, ShapeError, NonFiniteError: on unknown options, other shapes or types, NaN, infinity, or rows of
            transitions that do not sum to 1.
    """
    options = {"canonicalisation": canonicalisation, "policy": policy, "reachable": reachable, "terminal": terminal}
    first, second = (
        _standardised(r, canonical_torch(r, transitions, discount, name=name, **options), transitions, norm)
        for r, name in ((r1, "r1"), (r2, "r2"))
    )
    return _size(first - second, norm)


def canonical_torch(
    reward: Tensor,
    transitions: Tensor,
    discount: float,
    *,
    canonicalisation: TorchForm = "val",
    policy: Tensor | None = None,
    reachable: Tensor | None = None,
    terminal: Tensor | None = None,
    name: str = "reward",
) -> Tensor:
    """Canonical form of rewards (..., S, A, S or 1), constant in the next state: (..., S, A).

    Args and errors are those of `starc_distance_torch`; `name` is what error texts call the reward.
    """
    _check(reward, transitions, discount, name)
    if canonicalisation not in get_args(TorchForm):
        raise InputError("canonicalisation", found=f"{canonicalisation!r}", expected="'val' or 'minimal'")
    if policy is not None and canonicalisation != "val":
        raise InputError("policy", found=f"one for {canonicalisation!r}", expected="it only with 'val'")
    s = transitions.shape[-1]
    counts = torch.ones(s, dtype=torch.bool, device=transitions.device)
    for mask, what in ((reachable, "reachable"), (terminal, "terminal")):
        if mask is not None and (mask.dtype != torch.bool or mask.shape != (s,)):
            raise ShapeError(what, found=f"{mask.dtype} of shape {tuple(mask.shape)}", expected=f"bool ({s},)")
    if reachable is not None:
        counts = counts & reachable.to(counts.device)
    if terminal is not None:
        counts = counts & ~terminal.to(counts.device)
    r = reward[..., 0] if reward.shape[-1] == 1 else (transitions * reward).sum(-1)
    if canonicalisation == "val":
        return torch.where(counts[:, None], _val(r, transitions, discount, policy), 0.0)
    return _minimal(r, transitions, discount, counts)


def _val(r: Tensor, transitions: Tensor, discount: float, policy: Tensor | None) -> Tensor:
    """(..., S, A) advantages of a fixed policy."""
    pi = torch.full(transitions.shape[-3:-1], 1.0 / r.shape[-1], dtype=r.dtype, device=r.device)
    if policy is not None:
        pi = _policy(policy, transitions)
    moves = (pi[..., None] * transitions).sum(-2)
    eye = torch.eye(moves.shape[-1], dtype=r.dtype, device=r.device)
    factors, pivots = torch.linalg.lu_factor(eye - discount * moves)
    for _ in range(2):
        mean = (pi * r).sum(-1)
        batch = torch.broadcast_shapes(mean.shape[:-1], factors.shape[:-2])
        right = mean.expand(*batch, mean.shape[-1])[..., None]
        lu = factors.expand(*batch, *factors.shape[-2:])
        values = torch.linalg.lu_solve(lu, pivots.expand(*batch, pivots.shape[-1]), right)[..., 0]
        r = r + discount * (transitions * values[..., None, None, :]).sum(-1) - values[..., None]
    return r


def _minimal(r: Tensor, transitions: Tensor, discount: float, counts: Tensor) -> Tensor:
    """(..., S, A) projections on the directions in which occupancies of the counted states can move."""
    s, a = r.shape[-2:]
    n = int(counts.sum())
    if n == 0:
        return torch.zeros_like(r)
    live = transitions[..., counts, :, :][..., counts]
    eye = torch.eye(n, dtype=r.dtype, device=r.device)
    design = (discount * live - eye[:, None, :]).reshape(*transitions.shape[:-3], n * a, n)
    q = torch.linalg.qr(design).Q
    part = r[..., counts, :].flatten(-2)[..., None]
    for _ in range(2):
        part = part - q @ (q.mT @ part)
    found = part[..., 0].unflatten(-1, (n, a))
    whole = torch.zeros(*found.shape[:-2], s, a, dtype=r.dtype, device=r.device)
    return whole.index_copy(-2, counts.nonzero()[:, 0], found)


def _standardised(reward: Tensor, form: Tensor, transitions: Tensor, norm: TorchNorm) -> Tensor:
    """The form divided by its norm; 0 for a trivial reward, with gradient 0."""
    size = _size(form, norm)
    met = reward.detach().abs()
    if met.shape[-1] != 1:  # what stands on impossible transitions enters no form
        met = torch.where(transitions > 0, met, 0.0)
    trivial = (size <= TRIVIAL[reward.dtype] * met.amax((-3, -2, -1)))[..., None, None]
    safe = torch.where(trivial, 1.0, size[..., None, None])
    return torch.where(trivial, 0.0, form / safe)


def _size(form: Tensor, norm: TorchNorm) -> Tensor:
    if norm not in get_args(TorchNorm):
        raise InputError("norm", found=f"{norm!r}", expected=f"one of {', '.join(get_args(TorchNorm))}")
    order = {"l1": 1.0, "l2": 2.0, "linf": float("inf")}[norm.removeprefix("weighted_")]
    return torch.linalg.vector_norm(form, order, dim=(-2, -1))


def _policy(policy: Tensor, transitions: Tensor) -> Tensor:
    if policy.shape[-2:] != transitions.shape[-3:-1]:
        raise ShapeError(
            "policy", found=f"shape {tuple(policy.shape)}", expected=f"(..., S, A) = {tuple(transitions.shape[-3:-1])}"
        )
    _same_kind(policy, transitions, "policy")
    if bool((policy < 0).any()) or bool(((policy.sum(-1) - 1).abs() > _tolerance(policy)).any()):
        raise InputError("policy", found="rows that are no probabilities", expected="at least 0, with sum 1")
    return policy


def _check(reward: Tensor, transitions: Tensor, discount: float, name: str) -> None:
    shape = tuple(transitions.shape)
    if transitions.dtype not in TRIVIAL:
        raise InputError("transitions", found=str(transitions.dtype), expected="float64 or float32")
    if len(shape) < 3 or shape[-1] != shape[-3] or 0 in shape[-3:]:
        raise ShapeError("transitions", found=f"shape {shape}", expected="(..., S, A, S)")
    if reward.ndim < 3 or tuple(reward.shape[-3:-1]) != shape[-3:-1] or reward.shape[-1] not in (1, shape[-1]):
        raise ShapeError(name, found=f"shape {tuple(reward.shape)}", expected=f"(..., S, A, S) = {shape[-3:]}")
    _same_kind(reward, transitions, name)
    if not 0.0 < discount < 1.0:
        raise InputError("discount", found=f"{discount}", expected="a number above 0 and below 1")
    for tensor, what in ((reward, name), (transitions, "transitions")):
        if not bool(torch.isfinite(tensor).all()):
            raise NonFiniteError(what, found="NaN or infinity", expected="numbers")
    off = (transitions.sum(-1) - 1).abs() > _tolerance(transitions)
    if bool((transitions < 0).any()) or bool(off.any()):
        raise InputError("transitions", found="rows that are no probabilities", expected="at least 0, with sum 1")


def _tolerance(tensor: Tensor) -> float:
    return 1e-6 if tensor.dtype == torch.float64 else 1e-4


def _same_kind(tensor: Tensor, transitions: Tensor, name: str) -> None:
    if tensor.dtype != transitions.dtype or tensor.device != transitions.device:
        raise InputError(
            name,
            found=f"{tensor.dtype} on {tensor.device}",
            expected=f"{transitions.dtype} on {transitions.device}, like the transitions",
        )
