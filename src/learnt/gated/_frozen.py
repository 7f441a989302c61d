"""Values that cannot change: checked arrays, mappings that can be hashed, columns kept as the rows that occur."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, final

import numpy as np

from learnt.core.errors import InputError, NonFiniteError
from learnt.core.frozen_map import FrozenMap as FrozenMap


def frozen(values: np.ndarray) -> np.ndarray:
    """A read-only array with these values; one that is read-only already is not copied."""
    out = values.view() if not values.flags.writeable else values.copy()
    out.flags.writeable = False
    return out


def finite(values: Any, name: str, *, single: bool = False) -> np.ndarray:
    """`values` as float64, or as they are if float32 and `single`.

    Raises:
        InputError: not numeric, or complex.
        NonFiniteError: NaN or infinity.
    """
    if hasattr(values, "detach"):
        values = values.detach().cpu().numpy()
    if np.ma.isMaskedArray(values):
        raise InputError(name, found="a masked array", expected="real numbers without gaps")
    kept = single and isinstance(values, np.ndarray) and values.dtype == np.float32
    try:
        if np.iscomplexobj(values) or getattr(values, "dtype", np.dtype(float)).kind in "mMSU":
            raise TypeError("complex numbers, dates or text")
        array = values if kept else np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError, OverflowError, RuntimeError) as error:
        raise InputError(
            name, found=f"{type(values).__name__} that holds no real numbers", expected="real numbers"
        ) from error
    with np.errstate(over="ignore", invalid="ignore"):
        suspect = not np.isfinite(array.sum())  # one pass and no copy; overflow is looked at again
    if suspect and not (good := np.isfinite(array)).all():
        first = tuple(int(i) for i in np.argwhere(~good)[0])
        raise NonFiniteError(
            name,
            found=f"{int((~good).sum())} NaN or infinite value(s), the first at {first}",
            expected="finite numbers",
        )
    return array


def whole(value: Any, name: str, low: int, high: int = 1 << 64) -> int:
    """`value` as an integer from `low` to `high`; InputError otherwise. True and False are no integers."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or int(value) < low:
        raise InputError(name, found=repr(value)[:60], expected=f"an integer of at least {low}")
    if int(value) > high:
        raise InputError(
            name, found=f"{value:.3g}" if value < 1e300 else "an integer beyond 1e300", expected=f"at most {high:,}"
        )
    return int(value)


def number(value: Any, name: str, *, above: float | None = None, least: float | None = None) -> float:
    """`value` as one finite number, above or at least a bound; InputError or NonFiniteError otherwise."""
    array = finite(value, name)
    if array.shape != () or (above is not None and array <= above) or (least is not None and array < least):
        bound = f" above {above:g}" if above is not None else f" of at least {least:g}" if least is not None else ""
        raise InputError(name, found=repr(value)[:60], expected=f"a number{bound}")
    return float(array)


def flag(value: Any, name: str) -> bool:
    """`value` if it is True or False, or 1 or 0; InputError otherwise."""
    if not isinstance(value, bool | int | np.bool_) or value not in (0, 1):
        raise InputError(name, found=repr(value)[:60], expected="True or False")
    return bool(value)


def chosen(value: Any, name: str, among: Iterable[str]) -> str:
    """`value` if it is one of these words; InputError otherwise."""
    known = tuple(among)
    if not isinstance(value, str) or value not in known:
        raise InputError(name, found=repr(value)[:60], expected=" or ".join(map(repr, known)))
    return value


@final
class Columns(Mapping[str, np.ndarray]):
    """(P, ...) read-only arrays by name, each kept as the rows that occur and the row that each sample has.

    Domains that share their items, and gates that few contexts set, then cost little memory: an array over all samples
    is made when asked for.
    """

    def __init__(self, tables: Mapping[str, tuple[np.ndarray, np.ndarray | None]]) -> None:
        self._tables = {
            name: (frozen(values), None if index is None else frozen(index)) for name, (values, index) in tables.items()
        }

    def __getitem__(self, name: str) -> np.ndarray:
        values, index = self._tables[name]
        return values if index is None else frozen(values[index])

    def rows(self, name: str, which: np.ndarray | slice) -> np.ndarray:
        """The array for some samples only."""
        values, index = self._tables[name]
        return values[which] if index is None else values[index[which]]

    def table(self, name: str) -> tuple[np.ndarray, np.ndarray | None]:
        """The rows that occur, and the row of each sample; None if each has its own."""
        return self._tables[name]

    def shape(self, name: str) -> tuple[int, ...]:
        """The shape of an array, without making it."""
        values, index = self._tables[name]
        return values.shape if index is None else (len(index), *values.shape[1:])

    def __iter__(self) -> Iterator[str]:
        return iter(self._tables)

    def __len__(self) -> int:
        return len(self._tables)

    def __contains__(self, name: object) -> bool:
        return name in self._tables  # Mapping's own would make the array

    def __repr__(self) -> str:
        return f"{{{', '.join(map(repr, self._tables))}}}"


@final
class Gates(Mapping[str, np.ndarray]):
    """(P,) gates by node or edge, kept by context: samples whose gates are all equal.

    Attributes:
        table: (C,) by node or edge: the gates of each context; contexts are numbered as they first occur.
        of: (P,) the context of each sample.
        count: C, at least 1.
    """

    def __init__(self, table: Mapping[str, np.ndarray], of: np.ndarray) -> None:
        rows = np.stack([np.asarray(values, dtype=np.float64) for values in table.values()], -1) if table else None
        if rows is not None:
            first, code = _distinct(rows + 0.0)  # -0 is 0
            rows, of = rows[first], code[of]
        seen, number = np.unique(of, return_index=True)
        order = seen[np.argsort(number)]  # contexts that occur, as they first occur
        renumber = np.zeros(int(seen[-1]) + 1, dtype=np.int64)
        renumber[order] = np.arange(len(order))
        self.of = frozen(renumber[of])
        self.count = len(order)
        self.table = {name: frozen(rows[order, k]) for k, name in enumerate(table)} if rows is not None else {}

    def __getitem__(self, key: str) -> np.ndarray:
        return frozen(self.table[key][self.of])

    def __iter__(self) -> Iterator[str]:
        return iter(self.table)

    def __len__(self) -> int:
        return len(self.table)

    def __contains__(self, name: object) -> bool:
        return name in self.table

    def __repr__(self) -> str:
        return f"{{{', '.join(map(repr, self.table))}}} in {self.count} contexts"


def _distinct(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The first place (D,) of each distinct row, and which of them each row is; rows compared as bytes."""
    rows = np.ascontiguousarray(rows)
    keys = rows.view(np.dtype((np.void, rows.shape[1] * rows.itemsize))).ravel()
    _, first, code = np.unique(keys, return_index=True, return_inverse=True)
    return first, code.reshape(-1)
