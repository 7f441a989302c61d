"""A program under construction: modules with places, their variables on two sets of examples, and a classifier.

Names are provisional while it grows (`v1`, `v2`, ...), so that a module can be taken out without renaming others;
`Growth.program` gives the names of places. A module stands in the first layer that can hold it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, final

import numpy as np

from learnt.programs._search_data import Data
from learnt.programs._search_gain import Slope, slope
from learnt.programs._search_linear import Voter, fitted, logits_of, mean_loss
from learnt.programs._search_proposals import Proposal
from learnt.programs._search_stream import Stream
from learnt.programs.program import Head, Layer, Module, Program, TableMLP

STEMS = {"cat_heads": "attn", "num_heads": "num_attn", "cat_mlps": "mlp", "num_mlps": "num_mlp"}
KINDS = tuple(STEMS)


@final
@dataclass(frozen=True, kw_only=True)
class Shape:
    """How large a program may become: for each layer, how many modules of each kind."""

    limits: tuple[Mapping[str, int], ...]

    @property
    def layers(self) -> int:
        """The number of layers."""
        return len(self.limits)

    def some(self, kind: str) -> bool:
        """Whether any layer may have modules of a kind."""
        return any(limit.get(kind, 0) for limit in self.limits)


@final
@dataclass(frozen=True, kw_only=True)
class Frame:
    """What does not change while a program grows."""

    vocab: tuple[str, ...]
    labels: tuple[str, ...]
    k: int
    n_ctx: int
    causal: bool
    embeddings: tuple[tuple[int, ...], ...] | None = None
    masked: tuple[int, ...] = ()
    sizes: Mapping[str, int] = field(default_factory=dict)


@final
class Growth:
    """A program under construction.

    Args:
        frame: vocabulary, labels and the like.
        shape: limits.
        data: examples to fit.
        small: examples to screen on.
        l2: penalty of the classifier.
        numbers: whether only numerical variables vote.
    """

    def __init__(
        self, frame: Frame, shape: Shape, data: Data, small: Data, *, l2: float = 1e-5, numbers: bool = False
    ) -> None:
        self.frame, self.shape, self.l2, self.numbers = frame, shape, l2, numbers
        self.placed: dict[str, tuple[int, str]] = {}
        self.modules: dict[str, Module] = {}
        self.sizes: dict[str, int | None] = {}
        self.votes: dict[str, np.ndarray] = {}
        self.wide, self.narrow = (start(frame, part) for part in (data, small))
        self.inputs = tuple(name for name in self.wide.arrays if name != "ones")
        self.pool: dict[str, tuple[tuple[Module, int | None], ...]] = {}
        self.counter = self.tried = 0
        self.refit()

    # -- what is there ---------------------------------------------------------------------------------

    def categorical(self) -> list[str]:
        """Categorical variables of the program."""
        return [*self.inputs, *(name for name in self.modules if self.sizes[name] is not None)]

    def numerical(self) -> list[str]:
        """Numerical variables of the program."""
        return ["ones", *(name for name in self.modules if self.sizes[name] is None)]

    def ready(self, name: str, *, head: bool) -> int:
        """The first layer whose heads (else MLPs) may read a variable."""
        if name not in self.placed:
            return 0
        layer, kind = self.placed[name]
        return layer + (1 if head or kind.endswith("mlps") else 0)

    def room(self, kind: str, layer: int, taken: Mapping[tuple[int, str], int]) -> bool:
        """Whether a layer has room for one more module of a kind."""
        here = sum(1 for place in self.placed.values() if place == (layer, kind))
        return here + taken.get((layer, kind), 0) < self.shape.limits[layer].get(kind, 0)

    def fit_in(self, modules: Sequence[tuple[Module, int | None]]) -> list[tuple[int, str]] | None:
        """Places for modules in order of computation, each in the first layer possible; None if there is no room."""
        taken: dict[tuple[int, str], int] = {}
        own: dict[str, tuple[int, str]] = {}
        for module, size in modules:
            head = isinstance(module, Head)
            layer = 0
            for name in inputs_of(module):
                if name in own:
                    at, kind = own[name]
                    layer = max(layer, at + (1 if head or kind.endswith("mlps") else 0))
                else:
                    layer = max(layer, self.ready(name, head=head))
            kind = kind_of(module, size)
            while layer < self.shape.layers and not self.room(kind, layer, taken):
                layer += 1
            if layer >= self.shape.layers:
                return None
            own[module.name] = (layer, kind)
            taken[layer, kind] = taken.get((layer, kind), 0) + 1
        return list(own.values())

    def chain(self, proposal: Proposal) -> list[tuple[Module, int | None]]:
        """The modules of a proposal, those of the pool that it reads first."""
        needed: dict[str, tuple[Module, int | None]] = {}
        for name in proposal.reads:
            for module, size in self.pool.get(name, ()):
                needed[module.name] = (module, size)
        return [*needed.values(), *proposal.modules]

    # -- what changes ----------------------------------------------------------------------------------

    def add(self, modules: Sequence[tuple[Module, int | None]], places: Sequence[tuple[int, str]]) -> list[str]:
        """Put modules into the program under names of their own."""
        names: dict[str, str] = {}
        for (module, size), place in zip(modules, places, strict=True):
            self.counter += 1
            names[module.name] = name = f"v{self.counter}"
            module = renamed(module, names, name)
            self.modules[name], self.sizes[name], self.placed[name] = module, size, place
            for stream in (self.wide, self.narrow):
                stream.declare(module, size)
        return list(names.values())

    def settle(self, names: Mapping[str, str]) -> None:
        """What is left of the pool when some of it (old name to new) became part of the program."""
        left = {}
        for name, chain in self.pool.items():
            if name not in names:
                left[name] = tuple((renamed(m, names, m.name), size) for m, size in chain if m.name not in names)
        self.pool = left

    def remove(self, names: Sequence[str]) -> None:
        """Take modules out, with all that read them."""
        gone = set(names) | {later for name in names for later in self.downstream(name)}
        for name in gone:
            self.forget(name)
            for table in (self.modules, self.sizes, self.placed, self.votes):
                table.pop(name, None)  # pyright: ignore[reportCallIssue, reportArgumentType]

    def change(self, module: Module) -> None:
        """Another module in the place of the one of its name."""
        self.modules[module.name] = module
        for stream in (self.wide, self.narrow):
            stream.declare(module, self.sizes[module.name])
        for name in (module.name, *self.downstream(module.name)):
            self.forget(name)

    def forget(self, name: str) -> None:
        """What streams know about a variable."""
        for stream in (self.wide, self.narrow):
            stream.forget(name)

    def downstream(self, name: str) -> list[str]:
        """All modules that depend on one, in order of computation."""
        found = {name}
        for other, module in sorted(self.modules.items(), key=lambda one: self.order(one[0])):
            if found & set(inputs_of(module)):
                found.add(other)
        return [other for other in self.modules if other in found and other != name]

    def order(self, name: str) -> tuple[int, bool]:
        """Where a module stands in the order of computation."""
        layer, kind = self.placed[name]
        return layer, kind.endswith("mlps")

    def snapshot(self) -> tuple[dict[str, Any], ...]:
        """All that a move may change."""
        return dict(self.modules), dict(self.sizes), dict(self.placed), dict(self.votes)

    def restore(self, state: tuple[dict[str, Any], ...]) -> None:
        """Back to a snapshot."""
        changed = [n for n, m in state[0].items() if self.modules.get(n) is not m]
        gone = [n for n in self.modules if n not in state[0]]
        for name in gone:
            self.forget(name)
        self.modules, self.sizes, self.placed, self.votes = (dict(part) for part in state)
        for name in changed:
            for stream in (self.wide, self.narrow):
                stream.declare(self.modules[name], self.sizes[name])
            for other in (name, *self.downstream(name)):
                self.forget(other)

    def known(self, module: Module, names: Mapping[str, str]) -> Module:
        """A module that reads variables under the names they have here."""
        return renamed(module, names, module.name)

    def shown(self, name: str) -> str:
        """A variable as a person would name it: by its place."""
        if name in self.placed:
            layer, kind = self.placed[name]
            same = [n for n, place in self.placed.items() if place == (layer, kind)]
            return f"{STEMS[kind]}_{layer}_{same.index(name)}"
        return name if name in (*self.inputs, "ones") else "a new variable"

    def refit(self, most: int = 80) -> None:
        """Fit the classifier on the wide stream."""
        self.votes = fitted(
            self.voters(self.wide), self.wide.data.labels, self.wide.data.row_weights,
            n_labels=len(self.frame.labels), masked=self.frame.masked, l2=self.l2, start=self.votes, most=most,
        )  # fmt: skip

    def voters(self, stream: Stream) -> list[Voter]:
        """All variables at the scored positions."""
        names = [*([] if self.numbers else self.categorical()), *self.numerical()]
        return [Voter(name=name, values=stream.rows(name), size=stream.sizes[name]) for name in names]

    def slope(self, stream: Stream) -> Slope:
        """Derivatives of the log-likelihood at the present classifier."""
        return slope(self.logits(stream), stream.data.labels, stream.data.row_weights)

    def logits(self, stream: Stream) -> np.ndarray:
        """(T, C); masked labels at -1e30."""
        z = logits_of(self.voters(stream), self.votes, len(self.frame.labels))
        z[:, list(self.frame.masked)] = -1e30
        return z

    def score(self) -> tuple[float, float]:
        """(mean loss, token accuracy) on the wide stream."""
        data, z = self.wide.data, self.logits(self.wide)
        return mean_loss(z, data.labels, data.row_weights), float((z.argmax(1) == data.labels).mean())

    def program(self, meta: Mapping[str, Any] | None = None) -> Program:
        """What has grown, with the names of places."""
        names = {name: name for name in (*self.inputs, "ones")}
        layers = []
        for index in range(self.shape.layers):
            parts: dict[str, list[Any]] = {kind: [] for kind in KINDS}
            for kind in KINDS:
                for name in (n for n, place in self.placed.items() if place == (index, kind)):
                    names[name] = f"{STEMS[kind]}_{index}_{len(parts[kind])}"
                    parts[kind].append(renamed(self.modules[name], names, names[name]))
            layers.append(Layer(**parts))
        while layers and layers[-1] == Layer(cat_heads=[], num_heads=[], cat_mlps=[], num_mlps=[]):
            layers.pop()
        own = {
            names[n]: size for n, size in self.sizes.items()
            if size is not None and not isinstance(self.modules[n], Head) and size != self.frame.k
        }  # fmt: skip
        return Program(
            vocab=self.frame.vocab, labels=self.frame.labels, k=self.frame.k, n_ctx=self.frame.n_ctx, layers=layers,
            classifier={names[n]: v for n, v in self.votes.items() if n in names}, causal=self.frame.causal,
            embeddings=self.frame.embeddings, masked_labels=self.frame.masked,
            cardinalities={**dict(self.frame.sizes), **own}, meta=meta or {},
        )  # fmt: skip


def start(frame: Frame, data: Data) -> Stream:
    """The stream of a program without modules."""
    n, b = data.real.shape
    sizes, arrays = {}, {}
    ids = np.where(data.real, data.ids.T, 0)
    if frame.embeddings is None:
        sizes["tokens"], arrays["tokens"] = frame.k, ids
    else:
        table = np.array(frame.embeddings)
        for e in range(table.shape[1]):
            sizes[f"emb_{e}"], arrays[f"emb_{e}"] = frame.k, table[:, e].take(ids)
    sizes["positions"], arrays["positions"] = frame.k, np.repeat(np.arange(n)[:, None], b, 1)
    return Stream(data, {**sizes, **dict(frame.sizes)}, arrays, causal=frame.causal)


def inputs_of(module: Module) -> tuple[str, ...]:
    """The variables that a module reads."""
    if isinstance(module, Head):
        return (module.query, module.key, module.value)
    return tuple(module.inputs)


def kind_of(module: Module, size: int | None) -> str:
    """The field of `Layer` where a module belongs."""
    if isinstance(module, Head):
        return "num_heads" if size is None else "cat_heads"
    return "cat_mlps" if isinstance(module, TableMLP) else "num_mlps"


def renamed(module: Module, names: Mapping[str, str], name: str) -> Module:
    """The module with other names to read, and one of its own."""
    if isinstance(module, Head):
        query, key, value = (names.get(n, n) for n in (module.query, module.key, module.value))
        return replace(module, query=query, key=key, value=value, name=name)
    return replace(module, inputs=tuple(names.get(n, n) for n in module.inputs), name=name)
