"""A mapping that cannot change, for frozen dataclasses that hold one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Generic, TypeVar, final

Value = TypeVar("Value")


@final
class FrozenMap(Mapping[str, Value], Generic[Value]):
    """A mapping from text that cannot change: it can be hashed if its values can, and equals any equal mapping."""

    def __init__(self, items: Mapping[str, Value] | None = None) -> None:
        self._items = dict(items or {})

    def __getitem__(self, key: str) -> Value:
        return self._items[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def __hash__(self) -> int:
        return hash(frozenset(self._items.items()))

    def __repr__(self) -> str:
        return repr(self._items)
