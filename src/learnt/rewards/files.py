"""A decision process in a file: one `.npz` of plain arrays.

    transitions (S, A, S), or kernel_data, kernel_indices, kernel_indptr of the sparse matrix (S A, S) with kernel_shape
    initial (S,), discount ();  optionally terminal (S,) bool, grid (2,), states (S,) and actions (A,) as text

Any other array of the file is a reward by its name, (S, A, S), (S, A) or (S,).
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from learnt.core.errors import InputError
from learnt.rewards.mdp import TabularMDP

_SPARSE = ("kernel_data", "kernel_indices", "kernel_indptr", "kernel_shape")
_OWN = ("transitions", "initial", "discount", "terminal", "grid", "states", "actions", *_SPARSE)


def save_mdp(mdp: TabularMDP, path: str | os.PathLike[str], *, rewards: dict[str, Any] | None = None) -> Path:
    """Write a process, and rewards in it by name, atomically; returns the path.

    Raises:
        InputError: a reward named like a part of the process, or one that the process does not accept.
        StorageError: the file cannot be written.
    """
    from learnt.io.arrays import write_npz

    arrays: dict[str, np.ndarray] = {"initial": mdp.initial, "discount": np.array(mdp.discount)}
    if mdp.is_sparse:
        kernel = mdp.kernel
        shape = np.array(kernel.shape, dtype=np.int64)
        arrays |= dict(zip(_SPARSE, (kernel.data, kernel.indices, kernel.indptr, shape), strict=True))
    else:
        arrays["transitions"] = mdp.transitions
    if mdp.terminal.any():
        arrays["terminal"] = mdp.terminal
    if mdp.grid is not None:
        arrays["grid"] = np.array(mdp.grid, dtype=np.int64)
    for name, texts in (("states", mdp.states), ("actions", mdp.actions)):
        if texts:
            arrays[name] = np.array(texts, dtype=np.str_)
    for name, reward in (rewards or {}).items():
        if name in _OWN:
            raise InputError("rewards", found=f"a reward named {name!r}", expected="another name")
        arrays[name] = mdp.subject(reward, name=name).reward
        if arrays[name].shape[-1] == 1:
            arrays[name] = arrays[name][..., 0]
    return write_npz(path, arrays)


def load_mdp(path: str | os.PathLike[str]) -> tuple[TabularMDP, dict[str, np.ndarray]]:
    """A process and the rewards of its file, by name.

    Raises:
        StorageError: missing or unreadable. UntrustedFileError: objects inside, or sizes that are not as declared.
        InputError, ShapeError, NonFiniteError: arrays that are no such process.
    """
    from learnt.io.arrays import read_npz

    arrays = read_npz(path)
    where = str(path)
    missing = [name for name in ("initial", "discount") if name not in arrays]
    if "transitions" not in arrays and any(name not in arrays for name in _SPARSE):
        missing.insert(0, "transitions")
    if missing:
        raise InputError(
            where,
            found=f"arrays {', '.join(sorted(arrays)) or 'of no name'}",
            expected=f"a decision process, with {', '.join(missing)}",
            remedy="learnt.rewards.save_mdp writes such a file.",
        )
    if "transitions" in arrays:
        transitions: Any = arrays["transitions"]
    else:
        transitions = _kernel(arrays, where)
    grid = tuple(int(x) for x in arrays["grid"].ravel()) if "grid" in arrays else None
    if grid is not None and len(grid) != 2:
        raise InputError(where, found=f"a grid of {len(grid)} numbers", expected="rows and columns")
    mdp = TabularMDP(
        transitions,
        arrays["initial"],
        arrays["discount"],  # pyright: ignore[reportArgumentType] (checked inside)
        name=Path(path).stem,
        terminal=arrays.get("terminal"),
        states=tuple(str(x) for x in arrays.get("states", ())),
        actions=tuple(str(x) for x in arrays.get("actions", ())),
        grid=grid,  # pyright: ignore[reportArgumentType] (two numbers)
    )
    return mdp, {name: array for name, array in arrays.items() if name not in _OWN}


def _kernel(arrays: dict[str, np.ndarray], where: str) -> Any:
    from scipy.sparse import csr_array

    data, indices, indptr, shape = (arrays[name] for name in _SPARSE)
    try:
        matrix = csr_array((data, indices, indptr), shape=tuple(int(x) for x in shape.ravel()))
        matrix.check_format(full_check=True)  # indices outside the matrix would read foreign memory
    except (ValueError, TypeError, IndexError) as error:
        raise InputError(
            where, found=f"a damaged sparse matrix ({error})", expected="CSR data, indices, indptr"
        ) from None
    return matrix
