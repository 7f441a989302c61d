"""Which linear maps and which rectifiers is a network made of? Read from how it runs, and checked against its answers.

    h_0 = x,   z_l = W_l h_{l-1} + b_l,   h_l = max(z_l, slope_l z_l),   output = z_L

The linear layers are found in the order in which they run, on probes: some of the inputs, their negatives, and noise.
What stands between two of them must be a rectifier (slope 0), a leaky one, or nothing (slope 1); how it is written,
as a module or as a function, does not matter. All of it must reproduce the network's own answers: a skip connection, a
normalisation or a smooth activation is refused. A copy in float64 is read; the network is left as it was.
"""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, final

import numpy as np
import torch
from torch import nn

from learnt.core.errors import InputError, NonFiniteError, NotApplicable, ShapeError

_PROBES = 128
_EQUAL = 1e-9  # of the largest value: float64 in another order of summation, for maps of any sensible size
CHUNK = 1 << 19  # numbers of one array held at a time: 4 MB, which stay in the cache


@final
@dataclass(frozen=True, eq=False)
class Layered:
    """A network of linear maps and rectifiers, float64.

    Attributes:
        weights: (out, in) of each linear layer, in the order in which they run.
        biases: (out,) of each; zeros where there is none.
        slopes: of the rectifier after each linear layer but the last: 0 for ReLU, 1 for none.
        names: of the linear layers.
    """

    weights: tuple[np.ndarray, ...]
    biases: tuple[np.ndarray, ...]
    slopes: tuple[float, ...]
    names: tuple[str, ...]

    @property
    def widths(self) -> tuple[int, ...]:
        """Units of each hidden layer."""
        return tuple(len(w) for w in self.weights[:-1])

    def activities(self, x: np.ndarray) -> list[np.ndarray]:
        """[x, z_1, ..., z_L] before rectification, (n, units) each."""
        h, found = x, [x]
        for i, (w, b) in enumerate(zip(self.weights, self.biases, strict=True)):
            z = h @ w.T
            z += b
            found.append(z)
            if i < len(self.slopes):
                h = rectified(z, self.slopes[i])
        return found

    def parts(self, n: int) -> Iterator[slice]:
        """Parts of n samples, such that the arrays of one part are small."""
        step = max(1, CHUNK // max(max(w.shape) for w in self.weights))
        return (slice(start, min(start + step, n)) for start in range(0, n, step))


def rectified(z: np.ndarray, slope: float) -> np.ndarray:
    """max(z, slope z)."""
    return np.maximum(z, 0.0) if slope == 0.0 else np.where(z > 0, z, slope * z)


def flat_inputs(X: Any, name: str = "X") -> tuple[torch.Tensor, np.ndarray]:
    """Inputs (P, ...) as a tensor of their own shape, and flattened as (P, d) float64.

    Raises:
        InputError, ShapeError, NonFiniteError: no numbers, no samples, NaN.
    """
    try:
        tensor = X.detach() if isinstance(X, torch.Tensor) else torch.from_numpy(np.array(X))
    except (TypeError, ValueError, RuntimeError) as error:
        raise InputError(name, found=f"{type(X).__name__} that holds no numbers", expected="an array") from error
    if tensor.ndim < 2 or tensor.numel() == 0:
        raise ShapeError(name, found=f"shape {tuple(tensor.shape)}", expected="(samples, ...), at least one sample")
    if tensor.is_complex():
        raise InputError(name, found="complex numbers", expected="real numbers")
    flat = tensor.cpu().flatten(1).to(torch.float64).numpy()
    with np.errstate(invalid="ignore", over="ignore"):
        suspect = not np.isfinite(flat.sum())  # one pass; overflow is looked at again
    if suspect and not np.isfinite(flat).all():
        raise NonFiniteError(
            name, found=f"{int((~np.isfinite(flat)).sum())} NaN or infinite", expected="finite numbers"
        )
    return tensor, flat


def read_layers(model: Any, X: torch.Tensor, x: np.ndarray) -> Layered:
    """The linear maps and rectifiers of a network.

    Args:
        model: an `nn.Module` from X to (P, outputs).
        X: (P, ...) inputs in the shape that the network takes.
        x: (P, d) the same, flattened.

    Raises:
        NotApplicable: it is anything else than linear layers with rectifiers between them.
    """
    if not isinstance(model, nn.Module):
        raise NotApplicable("model", found=type(model).__name__, expected="an nn.Module made of nn.Linear and ReLU")
    twin = deepcopy(model).to("cpu", torch.float64).eval()
    bad = [name for name, p in twin.named_parameters() if not bool(torch.isfinite(p).all())]
    if bad:
        raise NonFiniteError("model", found=f"NaN or infinity in {bad[0]}", expected="finite weights")
    probes = _probes(X, x)
    ran: list[tuple[str, nn.Linear, torch.Tensor, torch.Tensor]] = []

    def keep(name: str) -> Any:
        def hook(module: Any, given: Any, out: torch.Tensor) -> None:
            ran.append((name, module, given[0], out))

        return hook

    for name, module in twin.named_modules():
        if isinstance(module, nn.Linear):
            module.register_forward_hook(keep(name or "the network"))
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        try:
            answers = twin(probes)
        except (RuntimeError, ValueError, TypeError, IndexError) as error:
            raise ShapeError(
                "X", found=f"shape {tuple(X.shape)}, which the network cannot take", expected="inputs of its shape"
            ) from error
    answers = getattr(answers, "logits", answers)
    if not ran or not isinstance(answers, torch.Tensor):
        raise NotApplicable(
            "model", found="no nn.Linear that runs, or answers that are no tensor", expected="a multilayer perceptron"
        )
    if len({name for name, *_ in ran}) < len(ran) or any(given.ndim != 2 for _, _, given, _ in ran):
        raise NotApplicable(
            "model", found="a linear layer that runs more than once, or on tokens", expected="a multilayer perceptron"
        )
    _equal(ran[0][2], probes.flatten(1), f"what reaches {ran[0][0]!r} is not the inputs")
    slopes = tuple(_slope(a[0], b[0], a[3], b[2]) for a, b in zip(ran, ran[1:], strict=False))
    with torch.no_grad():
        found = Layered(
            weights=tuple(m.weight.detach().numpy().copy() for _, m, _, _ in ran),
            biases=tuple(
                np.zeros(m.out_features) if m.bias is None else m.bias.detach().numpy().copy() for _, m, _, _ in ran
            ),
            slopes=slopes,
            names=tuple(name for name, *_ in ran),
        )
    own = torch.from_numpy(found.activities(probes.flatten(1).numpy())[-1])
    _equal(answers, own, "answers that its linear layers and rectifiers do not give")
    return found


def _probes(X: torch.Tensor, x: np.ndarray) -> torch.Tensor:
    """(probes, ...): inputs from all over the data, their negatives, and noise as large."""
    some = np.unique(np.linspace(0, len(x) - 1, _PROBES).astype(np.int64))
    rows = x[some]
    size = max(float(np.sqrt(np.mean(rows**2))), 1e-6)
    noise = size * np.random.default_rng(0).standard_normal((_PROBES, x.shape[1]))
    return torch.from_numpy(np.concatenate([rows, -rows, noise])).reshape(-1, *X.shape[1:])


def _slope(name: str, after: str, z: torch.Tensor, h: torch.Tensor) -> float:
    """The slope of the rectifier between two linear layers."""
    where = f"what stands between {name!r} and {after!r} is no rectifier"
    if z.shape != h.shape:
        raise NotApplicable("model", found=f"{where}: the shape changes", expected="ReLU or LeakyReLU")
    on, off = z > 0, z < 0
    slope = float((h[off] * z[off]).sum() / z[off].square().sum()) if bool(off.any()) else 0.0
    slope = round(slope, 12) if abs(slope) > 1e-12 else 0.0
    _equal(h, torch.where(on, z, slope * z), where)
    return slope


def _equal(found: torch.Tensor, wanted: torch.Tensor, what: str) -> None:
    if found.shape == wanted.shape:
        scale = max(1e-300, float(wanted.abs().max()))
        if float((found - wanted).abs().max()) <= _EQUAL * scale:
            return
    raise NotApplicable(
        "model", found=what, expected="linear layers with ReLU or LeakyReLU between them, and nothing else",
        remedy="Smooth activations, normalisation and skip connections have no gates of this kind; "
        "`mode_profile` and the question `gates` take other networks.",
    )  # fmt: skip
