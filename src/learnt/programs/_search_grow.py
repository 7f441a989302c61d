"""A program that grows: at each step the proposal that explains most of what is still wrong.

The classifier is fitted again after every step, so that the next proposals look at what is left. Screening looks at
a few hundred examples, the best dozen are measured on a few thousand. A pool of simple variables that the program
does not have (heads with constant or shifted predicates, counts) takes part in the proposals, and comes along with
the one that needs it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from time import monotonic
from typing import Any, final

import numpy as np

from learnt.programs import _search_proposals as proposals
from learnt.programs._search_data import Data
from learnt.programs._search_gain import Slope, gain_of_votes, slope
from learnt.programs._search_linear import Voter, fitted, logits_of, mean_loss
from learnt.programs._search_proposals import Proposal
from learnt.programs._search_stream import Stream
from learnt.programs.program import Head, Layer, Module, NumMLP, Program, TableMLP

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
    sizes: Mapping[str, int] = ()  # pyright: ignore[reportAssignmentType]


@final
class Growth:
    """A program under construction.

    Args:
        frame: vocabulary, labels and the like.
        shape: limits.
        data: examples to fit.
        small: examples to screen on.
        l2: penalty of the classifier.
    """

    def __init__(self, frame: Frame, shape: Shape, data: Data, small: Data, *, l2: float = 1e-5) -> None:
        self.frame, self.shape, self.l2 = frame, shape, l2
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
        return "a new variable" if name in self.pool else name

    def refit(self, most: int = 80) -> None:
        """Fit the classifier on the wide stream."""
        self.votes = fitted(
            self.voters(self.wide), self.wide.data.labels, self.wide.data.row_weights,
            n_labels=len(self.frame.labels), masked=self.frame.masked, l2=self.l2, start=self.votes, most=most,
        )  # fmt: skip

    def voters(self, stream: Stream) -> list[Voter]:
        """All variables at the scored positions."""
        names = [*self.categorical(), *self.numerical()]
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

    # -- the search ------------------------------------------------------------------------------------

    def fill_pool(self, rng: np.random.Generator, most: int) -> None:
        """Simple variables that the program does not have, at most so many of each kind, no two alike."""
        for name in self.pool:
            for stream in (self.wide, self.narrow):
                stream.forget(name)
        self.pool = {}
        known = {self.narrow.array(name).tobytes() for name in (*self.categorical(), *self.numerical())}
        for number in (False, True):
            specs = self._simple_heads(number)
            added = 0
            for index in rng.permutation(len(specs)):
                if added >= most:
                    break
                head = replace(specs[index], name=f"p{self.counter}_{int(number)}_{index}")
                modules: list[tuple[Module, int | None]] = [(head, None if number else self.narrow.sizes[head.value])]
                if self.fit_in(modules) is None:
                    continue
                array = self.narrow.output(head)
                array = np.where(self.narrow.data.real, array, 0)
                if array.tobytes() in known or (array == array[0, 0])[self.narrow.data.real].all():
                    continue
                known.add(array.tobytes())
                added += 1
                self._declare(head, modules[0][1])
                self.pool[head.name] = tuple(modules)
                if number and self.shape.some("num_mlps"):
                    self._add_class(head, modules)

    def _add_class(self, head: Head, modules: list[tuple[Module, int | None]]) -> None:
        """The value of a count as a categorical variable, into the pool."""
        k, top = self.frame.k, self.narrow.top(head.name)
        table = tuple(min(value, k - 1) for value in range(top + 1))
        mlp = NumMLP(inputs=(head.name,), sizes=(top + 1,), table=table, name=head.name + "c")
        chain = [*modules, (mlp, k)]
        if self.fit_in(chain) is not None:
            self._declare(mlp, k)
            self.pool[mlp.name] = tuple(chain)

    def _declare(self, module: Module, size: int | None) -> None:
        for stream in (self.wide, self.narrow):
            stream.forget(module.name)
            stream.declare(module, size)

    def _simple_heads(self, number: bool) -> list[Head]:
        names, values = self.categorical(), self.numerical() if number else self.categorical()
        heads = []
        for key in names:
            k = int(self.narrow.sizes[key] or 1)
            for value in values:
                for constant in range(k):
                    query = names[0]
                    size = int(self.narrow.sizes[query] or 1)
                    heads.append(Head(query=query, key=key, value=value, predicate=(constant,) * size))
                for query in names:
                    size = int(self.narrow.sizes[query] or 1)
                    for shift in (0, -1, 1):
                        row = tuple(min(max(q + shift, 0), k - 1) for q in range(size))
                        heads.append(Head(query=query, key=key, value=value, predicate=row))
        return heads

    def specs(self, rng: np.random.Generator, width: int) -> list[tuple[str, tuple[str, ...]]]:
        """(kind, reads) of what will be proposed: at most `width` of each kind, drawn where there are more."""
        cat, num = self.categorical(), self.numerical()
        pool_cat = [n for n in self.pool if self.narrow.sizes[n] is not None]
        pool_num = [n for n in self.pool if self.narrow.sizes[n] is None]
        new: dict[str, list[tuple[str, ...]]] = {}
        triples = [(q, k, v) for q in cat for k in cat for v in cat]
        far = [(q, k, v) for p in pool_cat for a in cat for b in cat for q, k, v in ((a, p, b), (p, a, b), (a, b, p))]
        new["cat_head"] = sampled(triples, width, rng) + sampled(far, width, rng)
        values = [*self.inputs, *(n for n in cat if n not in self.inputs)]
        new["mlp_head"] = sampled(
            [(a, b, k, v) for a in (*cat, *pool_cat) for b in cat if a != b for k in cat for v in values], width, rng
        )
        pairs = [(q, k) for q in cat for k in cat]
        pairs_far = [pair for p in pool_cat for a in cat for pair in ((p, a), (a, p))] + [(p, p) for p in pool_cat]
        heads = sampled([(*p, v) for p in pairs for v in num], width, rng)
        heads += sampled([(*p, v) for p in pairs_far for v in num], width, rng)
        new["num_head"] = heads
        new["num_head_mlp"] = heads + sampled(
            [(*h, y) for h in heads for y in (*num[1:], *self._sources(h))], width, rng
        )  # fmt: skip
        new["cat_mlp"] = sampled(
            [(a, b) for i, a in enumerate(cat) for b in cat[:i]] + [(a, b) for a in pool_cat for b in cat],
            2 * width,
            rng,
        )
        new["num_mlp"] = [(x,) for x in num[1:]] + sampled(
            [(x, y) for i, x in enumerate(num[1:]) for y in num[1 : i + 1]]
            + [(x, y) for x in pool_num for y in num[1:]]
            + [(x, y) for i, x in enumerate(pool_num) for y in pool_num[:i]],
            width, rng,
        )  # fmt: skip
        possible = {
            "cat_head": ("cat_heads",), "mlp_head": ("cat_heads", "cat_mlps"), "num_head": ("num_heads",),
            "num_head_mlp": ("num_heads", "num_mlps"), "cat_mlp": ("cat_mlps",), "num_mlp": ("num_mlps",),
        }  # fmt: skip
        return [
            (kind, reads)
            for kind, many in new.items()
            if all(map(self.shape.some, possible[kind]))
            for reads in many
            if self._fits(kind, reads)
        ]

    def _sources(self, reads: Sequence[str]) -> list[str]:
        """Counts that the categorical variables of the pool are made of."""
        return [m.name for n in reads for m, s in self.pool.get(n, ()) if s is None]

    def _fits(self, kind: str, reads: tuple[str, ...]) -> bool:
        """Whether there is room; asked with modules that only have the right places."""
        return (
            self.fit_in(self.chain(Proposal(kind=kind, reads=reads, gain=0.0, modules=skeleton(kind, reads))))
            is not None
        )

    def make(self, stream: Stream, at: Slope, kind: str, reads: tuple[str, ...], free: bool) -> Proposal | None:
        """One proposal on one stream."""
        k = self.frame.k
        if kind == "cat_head":
            return proposals.cat_head(stream, at, reads, free)
        if kind == "mlp_head":
            return proposals.mlp_head(stream, at, reads, free)
        if kind == "num_head":
            return proposals.num_head(stream, at, reads, free)
        if kind == "num_head_mlp":
            return proposals.num_head_mlp(stream, at, reads, free, outputs=k)
        if kind == "cat_mlp":
            return proposals.cat_mlp(stream, at, reads, outputs=k)
        return proposals.num_mlp(stream, at, reads, outputs=k)

    def step(
        self, rng: np.random.Generator, *, width: int, pool: int, dear: float, free: bool, until: float, short: int = 12
    ) -> Proposal | None:
        """Add the best proposal and fit the classifier; None if nothing helps or nothing has room.

        Args:
            rng: draws what is proposed.
            width, pool: how many proposals of each kind, and variables of the pool.
            dear: exponent of the number of modules that a gain is divided by.
            free: whether predicates may be anything; else only what a person would write.
            until: `time.monotonic` at which to stop screening.
            short: how many proposals are measured on all examples.
        """
        self.fill_pool(rng, pool)
        at = self.slope(self.narrow)
        found: list[tuple[float, str, tuple[str, ...]]] = []
        for kind, reads in self.specs(rng, width):
            proposal = self.make(self.narrow, at, kind, reads, free)
            self.tried += 1
            if proposal is not None and proposal.gain > 0:
                found.append((proposal.gain / len(self.chain(proposal)) ** dear, kind, reads))
            if monotonic() > until:
                break
        found.sort(key=lambda one: -one[0])
        at = self.slope(self.wide)
        best: tuple[float, Proposal] | None = None
        for _, kind, reads in found[:short]:
            proposal = self.make(self.wide, at, kind, reads, free)
            if proposal is None:
                continue
            gain = self.measured(proposal, at) / len(self.chain(proposal)) ** dear
            if best is None or gain > best[0]:
                best = (gain, proposal)
        if best is None or best[0] < 2.0:
            return None
        chain = self.chain(best[1])
        places = self.fit_in(chain)
        if places is None:
            return None
        self.add(chain, places)
        self.refit()
        return best[1]

    def measured(self, proposal: Proposal, at: Slope) -> float:
        """The rise of the log-likelihood on the wide stream with the votes of the last module; numbers: as proposed."""
        last, size = proposal.modules[-1]
        if size is None:
            return proposal.gain
        for module, own in proposal.modules:
            self.wide.forget(module.name)
            self.wide.declare(module, own)
        return gain_of_votes(self.wide.rows(last.name), size, at)


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


def skeleton(kind: str, reads: tuple[str, ...]) -> tuple[tuple[Module, int | None], ...]:
    """Modules of a proposal without contents: enough to ask whether there is room."""

    def head(query: str, key: str, value: str, name: str) -> Head:
        return Head(query=query, key=key, value=value, predicate=(), name=name)

    if kind == "cat_head":
        return ((head(*reads, "_head"), 1),)
    if kind == "mlp_head":
        *inputs, key, value = reads
        mlp = TableMLP(inputs=tuple(inputs), table=(), name="_mlp")
        return ((mlp, 1), (head("_mlp", key, value, "_head"), 1))
    if kind == "num_head":
        return ((head(*reads, "_count"), None),)
    if kind == "num_head_mlp":
        query, key, value, *others = reads
        return ((head(query, key, value, "_count"), None), (NumMLP(inputs=("_count", *others), name="_class"), 1))
    if kind == "cat_mlp":
        return ((TableMLP(inputs=reads, table=(), name="_mlp"), 1),)
    return ((NumMLP(inputs=reads, name="_class"), 1),)


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


def sampled(many: list[Any], most: int, rng: np.random.Generator) -> list[Any]:
    """At most so many, in their order."""
    if len(many) <= most:
        return many
    return [many[i] for i in np.sort(rng.permutation(len(many))[:most])]
