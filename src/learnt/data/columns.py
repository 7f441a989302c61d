"""Changes of tables (n, d) and of token sequences (n, length), drawn from each example's key as in `transforms`.

Columns are perturbed one by one; a permutation of a column between examples would depend on which examples are in
the batch, so here a value is exchanged with that of a *donor* row, chosen by the example's key from a fixed table
(the marginal distribution of the column, as in permutation importance: Breiman 2001, section 10).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np
import torch

from learnt.core.errors import InputError, ShapeError
from learnt.data._counter import normals, uniforms
from learnt.data._draws import as_keys
from learnt.run.seeds import derive


def _check(strength: float, most: float, inputs: torch.Tensor, keys: np.ndarray, *, floating: bool) -> None:
    if not 0.0 <= strength <= most:
        raise InputError("strength", found=repr(strength), expected=f"from 0 to {most:g}")
    kind = "numbers" if floating else "tokens (int64)"
    if inputs.ndim != 2 or inputs.is_floating_point() != floating:
        raise ShapeError("inputs", found=f"{inputs.dtype} of shape {tuple(inputs.shape)}", expected=f"{kind} (n, d)")
    if np.ndim(keys) != 1 or len(keys) != len(inputs):
        raise ShapeError("keys", found=f"shape {np.shape(keys)}", expected=f"({len(inputs)},), one for each input")


def _uniform(keys: np.ndarray, name: str, parameter: str, seed: int, count: int) -> np.ndarray:
    return uniforms(as_keys(keys), derive("transform", name, parameter, seed), count)


@final
@dataclass(frozen=True, kw_only=True)
class ColumnNoise:
    """y = x + strength z, z standard normal for every cell; the unit is the column's, so standardise first."""

    name: ClassVar[str] = "column noise"
    strength: float = 0.1
    seed: int = 0

    def __call__(self, inputs: torch.Tensor, keys: np.ndarray) -> torch.Tensor:
        """(n, d) numbers and (n,) keys -> the changed table."""
        _check(self.strength, 1e6, inputs, keys, floating=True)
        salt = derive("transform", self.name, "noise", self.seed)
        noise = normals(as_keys(keys), salt, inputs.shape[1])
        return inputs + torch.from_numpy(self.strength * noise).to(inputs.dtype).to(inputs.device)


@final
@dataclass(frozen=True, eq=False, kw_only=True)
class ColumnPermutation:
    """Each cell is, with probability `strength`, that of the same column in a donor row drawn for this cell.

    Attributes:
        donors: (m, d) table to take cells from, for instance the training inputs.
        columns: positions of the columns that may change; None for all.
    """

    name: ClassVar[str] = "column permutation"
    donors: torch.Tensor
    columns: tuple[int, ...] | None = None
    strength: float = 0.2
    seed: int = 0

    def __call__(self, inputs: torch.Tensor, keys: np.ndarray) -> torch.Tensor:
        """(n, d) numbers and (n,) keys -> the changed table."""
        _check(self.strength, 1.0, inputs, keys, floating=True)
        width = inputs.shape[1]
        if self.donors.ndim != 2 or self.donors.shape[1] != width or len(self.donors) == 0:
            raise ShapeError(
                "donors", found=f"shape {tuple(self.donors.shape)}", expected=f"(m, {width}), m at least 1"
            )
        chosen = _uniform(keys, self.name, "cell", self.seed, width) < self.strength
        if self.columns is not None:
            if any(not 0 <= column < width for column in self.columns):
                raise InputError("columns", found=repr(self.columns), expected=f"positions from 0 to {width - 1}")
            chosen &= np.isin(np.arange(width), self.columns)
        rows = (_uniform(keys, self.name, "donor", self.seed, width) * len(self.donors)).astype(np.int64)
        rows = np.minimum(rows, len(self.donors) - 1)
        cells = self.donors.to(inputs.dtype).to(inputs.device)[
            torch.from_numpy(rows).to(inputs.device), torch.arange(width, device=inputs.device)
        ]
        return torch.where(torch.from_numpy(chosen).to(inputs.device), cells, inputs)


@final
@dataclass(frozen=True, kw_only=True)
class TokenDropout:
    """Each token becomes `token` (padding, unknown or mask) with probability `strength`; `keep` ones stay."""

    name: ClassVar[str] = "token dropout"
    token: int = 0
    keep: tuple[int, ...] = ()
    strength: float = 0.1
    seed: int = 0

    def __call__(self, inputs: torch.Tensor, keys: np.ndarray) -> torch.Tensor:
        """(n, length) tokens and (n,) keys -> the changed tokens."""
        _check(self.strength, 1.0, inputs, keys, floating=False)
        dropped = torch.from_numpy(_uniform(keys, self.name, "token", self.seed, inputs.shape[1]) < self.strength)
        dropped = dropped.to(inputs.device)
        for token in self.keep:
            dropped &= inputs != token
        return torch.where(dropped, torch.full_like(inputs, self.token), inputs)


@final
@dataclass(frozen=True, eq=False, kw_only=True)
class TokenSwap:
    """Each token v becomes one of `synonyms[v]`, each equally likely, with probability `strength`.

    Attributes:
        synonyms: (vocabulary, k) int64; fill a row with v itself where a token has no synonym.
    """

    name: ClassVar[str] = "token swap"
    synonyms: torch.Tensor
    strength: float = 0.1
    seed: int = 0

    def __call__(self, inputs: torch.Tensor, keys: np.ndarray) -> torch.Tensor:
        """(n, length) tokens and (n,) keys -> the changed tokens."""
        _check(self.strength, 1.0, inputs, keys, floating=False)
        if self.synonyms.ndim != 2 or self.synonyms.shape[1] == 0:
            raise ShapeError("synonyms", found=f"shape {tuple(self.synonyms.shape)}", expected="(vocabulary, k)")
        if inputs.numel() and (int(inputs.min()) < 0 or int(inputs.max()) >= len(self.synonyms)):
            raise InputError(
                "inputs",
                found=f"tokens from {int(inputs.min())} to {int(inputs.max())}",
                expected=f"tokens below {len(self.synonyms)}, the rows of synonyms",
            )
        length, width = inputs.shape[1], self.synonyms.shape[1]
        swapped = torch.from_numpy(_uniform(keys, self.name, "token", self.seed, length) < self.strength)
        choice = (_uniform(keys, self.name, "synonym", self.seed, length) * width).astype(np.int64)
        index = torch.from_numpy(np.minimum(choice, width - 1)).to(inputs.device)
        others = self.synonyms.to(inputs.device)[inputs, index]
        return torch.where(swapped.to(inputs.device), others, inputs)
