"""How similar is every layer of one network to every layer of another? The layer-by-layer grid of debiased CKA.

The same estimator as `learnt.similarity.cka`, for all pairs of layers at once and without intervals. On centred
features the row and column sums of the Gram matrices vanish, so that

    HSIC_u(K, L) = [tr(KL) - k'l + tr K tr L / ((n-1)(n-2)) - 2/(n-2) k'l] / (n(n-3)),    k = diag K, l = diag L,

and the grid needs only tr(K_i L_j) for all i, j. It comes from features, ||X_i'Y_j||^2, at O(n P Q) for P and Q
features in all, or from blocks of rows of the Gram matrices at O(n^2 (P + Q)), whichever is cheaper; neither
keeps more than one block. The usual code (torch_cka) computes HSIC(L, L) anew for every row and trace(K@L) at O(n^3).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float64

from learnt.core.errors import InputError, ShapeError
from learnt.core.panels import Chart
from learnt.similarity.hsic import BLOCK, Kernel
from learnt.similarity.linear import linear_kernel


@dataclass(frozen=True, eq=False, kw_only=True)
class Layers:
    """Several layers of one network on the same examples, ready for grids.

    Attributes:
        names: names of the layers that vary, in the order asked for.
        constant: names of the layers left out because they give every example the same features.
        kernels: the layers, centred and scaled.
        n: number of examples.
        own: (L,) HSIC_u of each layer with itself.
        scales: (L,) what the features were divided by.
    """

    names: tuple[str, ...]
    constant: tuple[str, ...]
    kernels: tuple[Kernel, ...]
    n: int
    own: np.ndarray
    scales: np.ndarray

    @property
    def values(self) -> list[torch.Tensor]:
        """(n, p_i) features of each layer."""
        return [k.features for k in self.kernels if k.features is not None]

    @property
    def diagonals(self) -> torch.Tensor:
        """(L, n) squared norms of the rows, layer by layer."""
        return torch.stack([torch.empty(self.n, dtype=torch.float64), *(k.diagonal for k in self.kernels)])[1:]

    def __len__(self) -> int:
        return len(self.names)


def layers_of(features: Mapping[str, torch.Tensor]) -> Layers:
    """Make features (n, p_i) by layer name ready; n >= 4.

    Raises:
        InputError: on fewer than 4 examples or no layer. ShapeError: if layers hold different numbers of examples.
    """
    if not features:
        raise InputError("layers", found="none", expected="at least one layer")
    kernels = {name: linear_kernel(values, name=name) for name, values in features.items()}
    sizes = {len(kernel) for kernel in kernels.values()}
    if len(sizes) > 1:
        raise ShapeError("layers", found=f"{sorted(sizes)} examples", expected="the same examples for every layer")
    n = sizes.pop()
    if n < 4:
        raise InputError("examples", found=f"{n}", expected="at least 4")
    alive: dict[str, Kernel] = {name: kernel for name, kernel in kernels.items() if not kernel.reason}
    return Layers(
        names=tuple(alive),
        constant=tuple(name for name in kernels if name not in alive),
        kernels=tuple(alive.values()),
        n=n,
        own=np.array([kernel.own.unbiased[0] for kernel in alive.values()]),
        scales=np.array([kernel.scale for kernel in alive.values()]),
    )


def hsic_grid(a: Layers, b: Layers) -> Float64[np.ndarray, "{len(a)} {len(b)}"]:
    """(L_A, L_B) HSIC_u between every layer of `a` and every layer of `b`."""
    n = a.n
    if b.n != n:
        raise ShapeError("b", found=f"{b.n} examples", expected=f"{n}, the same examples as a")
    p, q = (sum(x.shape[1] for x in layers.values) for layers in (a, b))
    formed = n * n * sum(k.width for k in {id(k): k for k in (*a.kernels, *b.kernels)}.values())
    by_features = n * p * q <= formed + n * n * len(a) * len(b)
    product = _traces_from_features(a, b) if by_features else _traces_from_rows(a, b)
    diagonals = a.diagonals @ b.diagonals.T
    traces = torch.outer(a.diagonals.sum(1), b.diagonals.sum(1))
    total = product - diagonals + traces / ((n - 1) * (n - 2)) - 2.0 / (n - 2) * diagonals
    return (total / (n * (n - 3))).numpy()


def cka_grid(a: Layers, b: Layers) -> Float64[np.ndarray, "{len(a)} {len(b)}"]:
    """(L_A, L_B) debiased linear CKA between every layer of `a` and every layer of `b`."""
    scale = np.sqrt(a.own)[:, None] * np.sqrt(b.own)[None, :]
    return np.clip(hsic_grid(a, b) / scale, -1.0, 1.0)


def nguyen_minibatch_grid(
    batches: Iterable[tuple[Mapping[str, torch.Tensor], Mapping[str, torch.Tensor]]],
) -> tuple[tuple[str, ...], tuple[str, ...], Float64[np.ndarray, "rows columns"]]:
    """The grid by the minibatch estimator of Nguyen et al. (2021): HSIC_u averaged over batches, then the ratios.

    Args:
        batches: pairs of features by layer name, (b, p_i) each, from one pass over the data; batches with fewer
            than four examples are left out, all others count alike.

    Returns:
        Names of the rows, names of the columns, and the (L_A, L_B) grid; layers that never vary are left out.

    Raises:
        InputError: if no batch has four examples.
    """
    rows: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    across, own_a, own_b = np.zeros((0, 0)), np.zeros(0), np.zeros(0)
    for features_a, features_b in batches:
        if min(len(v) for v in features_a.values()) < 4:
            continue
        if not rows:
            rows, columns = tuple(features_a), tuple(features_b)
            across, own_a, own_b = np.zeros((len(rows), len(columns))), np.zeros(len(rows)), np.zeros(len(columns))
        a, b = layers_of(features_a), layers_of(features_b)
        i, j = [rows.index(name) for name in a.names], [columns.index(name) for name in b.names]
        own_a[i] += a.own * a.scales**4
        own_b[j] += b.own * b.scales**4
        across[np.ix_(i, j)] += hsic_grid(a, b) * np.outer(a.scales**2, b.scales**2)
    if not rows:
        raise InputError("batches", found="no batch with four examples", expected="at least one")
    i, j = np.flatnonzero(own_a > 0), np.flatnonzero(own_b > 0)
    grid = across[np.ix_(i, j)] / np.sqrt(own_a[i])[:, None] / np.sqrt(own_b[j])[None, :]
    return tuple(rows[r] for r in i), tuple(columns[c] for c in j), grid


def _traces_from_features(a: Layers, b: Layers) -> torch.Tensor:
    """(L_A, L_B) tr(K_i L_j) = ||X_i'Y_j||^2, a block of columns of X at a time."""
    out = torch.zeros(len(a), len(b), dtype=torch.float64)
    for i, x in enumerate(a.values):
        for j, y in enumerate(b.values):
            width = max(1, BLOCK // y.shape[1])
            out[i, j] = sum(float((x[:, k : k + width].T @ y).square_().sum()) for k in range(0, x.shape[1], width))
    return out


def _traces_from_rows(a: Layers, b: Layers) -> torch.Tensor:
    """(L_A, L_B) tr(K_i L_j) = sum of the product of the two Gram matrices, a block of their rows at a time."""
    out = torch.zeros(len(a), len(b), dtype=torch.float64)
    height = max(1, BLOCK // (a.n * max(1, len(a) + len(b))))
    for top in range(0, a.n, height):
        rows = slice(top, top + height)
        out += _gram_rows(a, rows) @ _gram_rows(b, rows).T
    return out


def _gram_rows(layers: Layers, rows: slice) -> torch.Tensor:
    """(L, rows * n) the same rows of the Gram matrix of every layer."""
    parts = [k.gram[rows] if k.width == 0 else x[rows] @ x.T for k, x in zip(layers.kernels, layers.values)]
    return torch.stack([part.flatten() for part in parts])


def evenly(names: Sequence[str], most: int) -> tuple[str, ...]:
    """At most `most` of `names`, evenly spread, the last one always among them."""
    if len(names) <= most:
        return tuple(names)
    places = np.linspace(len(names) - 1, 0, most).round().astype(int)[::-1]
    return tuple(str(names[int(i)]) for i in places)


def grid_chart(details: Mapping[str, Mapping[str, Any]]) -> Chart | None:
    """Heat maps of the grids in the details of ``"b"`` and ``"control"``, on the layers that both have."""
    found = {side: d for side in ("b", "control") if (d := details.get(side)) and len(d.get("grid", ()))}
    if "b" not in found:
        return None
    rows, columns = (list(found["b"][key]) for key in ("layers_a", "layers_b"))
    if "control" in found:
        common = [[n for n in names if n in found["control"][key]] for names, key in zip((rows, columns), KEYS)]
        if all(common):
            rows, columns = common
        else:  # another architecture: its layers cannot share the axes
            del found["control"]
    titles = {"b": "B against A", "control": "control against A"}
    series = {titles[side]: _cells(d, rows, columns) for side, d in found.items()}
    return Chart(
        kind="heatmap",
        series=series,
        x=columns,
        y=rows,
        x_label="layer of B" if len(series) == 1 else "layer of B, of the control",
        y_label="layer of A",
        low=0.0,
        high=1.0,
        alt="Debiased linear CKA between every layer of A (rows) and every layer of B (columns); "
        + "; ".join(
            f"{title}: mean {values.mean():.2f}, last layers {values[-1, -1]:.2f}" for title, values in series.items()
        )
        + ".",
    )


KEYS = ("layers_a", "layers_b")


def _cells(details: Mapping[str, Any], rows: Sequence[str], columns: Sequence[str]) -> np.ndarray:
    i = [list(details["layers_a"]).index(name) for name in rows]
    j = [list(details["layers_b"]).index(name) for name in columns]
    return np.asarray(details["grid"], dtype=np.float64)[np.ix_(i, j)]
