"""What is a transformer program? Named variables, modules that read whole variables, and votes for labels.

    stream   categorical: tokens | emb_e, positions, then per layer attn_l_h, mlp_l_m, num_mlp_l_m
             numerical:   ones, then per layer num_attn_l_h
    attn     out_i = value[attend(i)]           hard, nearest match (`learnt.programs.interpreter.attend`)
    num_attn out_i = sum over j matching i of value_j        match: predicate[query_i] = key_j
    mlp      out_i = table[a_i, b_i, ...];  num_mlp: a table, and argmax(W_out relu(W_in x + b_in) + b_out) outside it
    logits   sum over categorical v of classifier[v][v_i] + sum over numerical v of classifier[v] v_i

arXiv 2306.01128, sections 3.1 to 3.3, with the attention of the authors' code in argmax mode (self last; the paper's
appendix A.1 ties self with the farthest position). Heads of a layer read what earlier layers wrote; MLPs read the
heads of their own layer too, and not each other. Beyond the paper: an MLP reads any number of variables, modules
have names of their own, and the cardinality of tokens, positions and MLP outputs may differ from k. Nothing here is
silent about values outside a table: they go to the stored network, or are an error when they occur.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

from learnt.core.errors import InputError
from learnt.programs._frozen import FrozenMap

if TYPE_CHECKING:
    from learnt.programs.checking import Check
    from learnt.programs.circuits import Circuit
    from learnt.programs.evaluator import Batch, Evaluation
    from learnt.programs.interpreter import Run
    from learnt.programs.module import ProgramModule
    from learnt.programs.simplification import Simplified
    from learnt.programs.size import Stats
    from learnt.programs.task import Task
    from learnt.programs.tracing import Trace
    from learnt.programs.transformer import CompiledTransformer
    from learnt.programs.verification import Equivalence

PAD, UNKNOWN = "<pad>", "<unk>"
UNANSWERED = -1  # an entry of a numerical table that the table leaves to the network


@final
@dataclass(frozen=True, kw_only=True)
class Head:
    """An attention head: query value q looks for the one key value predicate[q].

    Attributes:
        query, key: names of categorical variables.
        value: a categorical variable in `Layer.cat_heads`, a numerical one in `Layer.num_heads`.
        predicate: one key value for each query value.
        name: of its output; inside a program never empty.
    """

    query: str
    key: str
    value: str
    predicate: Sequence[int]
    name: str = ""


@final
@dataclass(frozen=True, kw_only=True)
class TableMLP:
    """A lookup table over categorical variables, row-major: entry a * k + b for inputs (a, b)."""

    inputs: Sequence[str]
    table: Sequence[int]
    name: str = ""


@final
@dataclass(frozen=True, kw_only=True)
class ReluNet:
    """argmax(W_out relu(W_in x + b_in) + b_out), first maximum; W_in (d, n_in), b_in (d,), W_out (k, d), b_out (k,)."""

    W_in: Sequence[Sequence[float]]
    b_in: Sequence[float]
    W_out: Sequence[Sequence[float]]
    b_out: Sequence[float]

    def __call__(self, values: Sequence[int]) -> int:
        """The output for raw integers; sums run left to right, so that every evaluator gets the same bits."""
        scores = [0.0] * len(self.b_out)
        for unit, (row, bias) in enumerate(zip(self.W_in, self.b_in, strict=True)):
            total = 0.0
            for weight, value in zip(row, values, strict=True):
                total += weight * value
            total = max(total + bias, 0.0)
            for out, weights in enumerate(self.W_out):
                scores[out] += weights[unit] * total
        final_scores = [score + bias for score, bias in zip(scores, self.b_out, strict=True)]
        return final_scores.index(max(final_scores))


@final
@dataclass(frozen=True, kw_only=True)
class NumMLP:
    """A function of numerical variables: a table for values below `sizes`, a network elsewhere; either may be absent.

    Attributes:
        inputs: names of numerical variables.
        sizes, table: row-major table over 0 .. size - 1 of each input. An entry of -1 is no answer: it stands where
            values cannot occur, or for the network. A program makes it of every entry that is no value of the output.
        weights: the network that answers what the table does not.
        name: of its output; inside a program never empty.
    """

    inputs: Sequence[str]
    sizes: Sequence[int] | None = None
    table: Sequence[int] | None = None
    weights: ReluNet | None = None
    name: str = ""

    def __call__(self, values: Sequence[int]) -> int:
        """The output for one value of each input.

        Raises:
            InputError: values outside the table of an MLP without a network.
        """
        if self.table is not None and self.sizes is not None:
            if all(value < size for value, size in zip(values, self.sizes, strict=True)):
                entry = 0
                for value, size in zip(values, self.sizes, strict=True):
                    entry = entry * size + value
                if self.table[entry] != UNANSWERED:
                    return self.table[entry]
        if self.weights is None:
            raise self.outside(values)
        return self.weights(values)

    def outside(self, values: Sequence[int]) -> InputError:
        """The error for values that neither a table nor a network answers."""
        sizes = ", ".join(f"0 to {size - 1}" for size in self.sizes or ())
        return InputError(
            self.name or "num_mlp",
            found=f"inputs ({', '.join(map(str, values))})",
            expected=f"values that its table answers (within {sizes})",
            remedy="Enlarge or fill the table, or store the network that answers elsewhere.",
        )


@final
@dataclass(frozen=True, kw_only=True)
class Layer:
    """The modules of one layer, in stream order."""

    cat_heads: Sequence[Head] = ()
    num_heads: Sequence[Head] = ()
    cat_mlps: Sequence[TableMLP] = ()
    num_mlps: Sequence[NumMLP] = ()


Module = Head | TableMLP | NumMLP
KINDS = {"cat_heads": "attn", "num_heads": "num_attn", "cat_mlps": "mlp", "num_mlps": "num_mlp"}


@final
@dataclass(frozen=True, kw_only=True)
class Program:
    """A transformer program, checked, immutable, comparable and hashable.

    Args:
        vocab: the input tokens; the id of a token is its index. `<pad>`, if there, is id 0: padding after an input.
        labels: the output labels, in the order of the classifier's columns.
        k: cardinality of every categorical variable that `cardinalities` does not name.
        n_ctx: longest input, in tokens.
        layers: the modules.
        classifier: votes by variable: (cardinality, n_labels) for a categorical one, (n_labels,) a unit of a numerical
            one; variables without an entry do not vote. `ones` is a bias.
        causal: whether position i sees j <= i only.
        embeddings: (len(vocab), n) values of the variables emb_0 .. emb_{n-1}; without them, the variable is `tokens`.
        masked_labels: ids of labels that are never predicted.
        pool: whether logits are averaged over the input, for one prediction.
        cardinalities: of `tokens`, `emb_e`, `positions` or MLP outputs, where not k. A head's is that of its value.
        meta: anything JSON can hold: configuration, seed, accuracy.

    Raises:
        InputError, ShapeError, NonFiniteError: whatever is not such a program, with its place.
    """

    vocab: tuple[str, ...]
    labels: tuple[str, ...]
    k: int
    n_ctx: int
    layers: Sequence[Layer]
    classifier: Mapping[str, Any]
    causal: bool = False
    embeddings: Sequence[Sequence[int]] | None = None
    masked_labels: Sequence[int] = ()
    pool: bool = False
    cardinalities: Mapping[str, int] = field(default_factory=lambda: FrozenMap())
    meta: Mapping[str, Any] = field(default_factory=lambda: FrozenMap())

    def __post_init__(self) -> None:
        from learnt.programs._checked import checked_fields

        for name, value in checked_fields(self).items():
            object.__setattr__(self, name, value)

    def __repr__(self) -> str:
        return (
            f"Program({len(self.layers)} layers, {sum(1 for _ in self.modules())} modules, k = {self.k}, "
            f"{len(self.vocab)} tokens, {len(self.labels)} labels, inputs up to {self.n_ctx})"
        )

    # -- what is inside --------------------------------------------------------------------------------

    def modules(self) -> Iterator[tuple[int, str, Module]]:
        """(layer, kind, module) in stream order; kind is the field of `Layer`."""
        for index, layer in enumerate(self.layers):
            for kind in KINDS:
                for module in getattr(layer, kind):
                    yield index, kind, module

    def module(self, name: str) -> Module:
        """The module that writes a variable.

        Raises:
            InputError: no module has this name.
        """
        for _, _, module in self.modules():
            if module.name == name:
                return module
        names = ", ".join(m.name for _, _, m in self.modules()) or "no module at all"
        raise InputError("name", found=repr(name), expected=f"one of {names}")

    @cached_property
    def input_variables(self) -> tuple[str, ...]:
        """`tokens`, or `emb_0`, `emb_1`, ..."""
        if self.embeddings is None:
            return ("tokens",)
        return tuple(f"emb_{e}" for e in range(len(self.embeddings[0])))

    @cached_property
    def cardinality(self) -> FrozenMap[int]:
        """The number of values of each categorical variable, in stream order."""
        sizes = {name: self.cardinalities.get(name, self.k) for name in (*self.input_variables, "positions")}
        for layer in self.layers:
            sizes |= {head.name: sizes[head.value] for head in layer.cat_heads}
            sizes |= {mlp.name: self.cardinalities.get(mlp.name, self.k) for mlp in (*layer.cat_mlps, *layer.num_mlps)}
        return FrozenMap(sizes)

    @cached_property
    def highest(self) -> FrozenMap[int]:
        """The largest value that interval analysis allows each numerical variable, in stream order; the least is 0.

        A head sums at most n_ctx values: n_ctx for one that counts, n_ctx^2 for one that sums counts, and so on.
        """
        bounds = {"ones": 1}
        for layer in self.layers:
            bounds |= {head.name: self.n_ctx * bounds[head.value] for head in layer.num_heads}
        return FrozenMap(bounds)

    @property
    def categorical(self) -> tuple[str, ...]:
        """Names of the categorical variables, in stream order."""
        return tuple(self.cardinality)

    @property
    def numerical(self) -> tuple[str, ...]:
        """Names of the numerical variables, in stream order."""
        return tuple(self.highest)

    @property
    def padded(self) -> bool:
        """Whether the vocabulary has a padding token, which is then id 0."""
        return self.vocab[0] == PAD

    # -- what it does ----------------------------------------------------------------------------------

    def __call__(self, tokens: Sequence[str], *, unknown: str = "auto") -> tuple[str, ...]:
        """The label of each token (one label if the program pools); see `learnt.programs.interpreter.run`."""
        return self.run(tokens, unknown=unknown).predictions

    def run(self, tokens: Sequence[str], *, unknown: str = "auto") -> Run:
        """Everything one input leads to; `learnt.programs.interpreter.run`."""
        from learnt.programs.interpreter import run

        return run(self, tokens, unknown=unknown)

    def evaluate(self, inputs: Batch | Sequence[Sequence[str]], *, unknown: str = "auto") -> Evaluation:
        """Many inputs at once; `learnt.programs.evaluator.evaluate`."""
        from learnt.programs.evaluator import evaluate

        return evaluate(self, inputs, unknown=unknown)

    def verify(self, model: Any, domain: Any = None, **options: Any) -> Equivalence:
        """Whether a model answers as this program does; `learnt.programs.verification.verify`."""
        return _of("verification", "verify")(self, model, domain, **options)

    def check(self, task: Task, **options: Any) -> Check:
        """How right this program is; `learnt.programs.checking.check`."""
        return _of("checking", "check")(self, task, **options)

    def simplify(self, domain: Any, **options: Any) -> Simplified:
        """A shorter program that answers alike; `learnt.programs.simplification.simplify`."""
        return _of("simplification", "simplify")(self, domain, **options)

    def stats(self, domain: Any = None, **options: Any) -> Stats:
        """How large this program is; `learnt.programs.size.stats`."""
        return _of("size", "stats")(self, domain, **options)

    def circuit(self, inputs: Any, **options: Any) -> Circuit:
        """Which modules a behaviour needs; `learnt.programs.circuits.circuit`."""
        return _of("circuits", "circuit")(self, inputs, **options)

    def trace(self, tokens: Sequence[str], *, unknown: str = "auto") -> Trace:
        """One input step by step, with reasons; `learnt.programs.tracing.trace`."""
        return _of("tracing", "trace")(self, tokens, unknown=unknown)

    def to_python(self, path: str | os.PathLike[str] | None = None, **options: Any) -> str:
        """One Python file that needs nothing; `learnt.programs.python_export.to_python`."""
        return _of("python_export", "to_python")(self, path, **options)

    def to_smt(self, length: int, **options: Any) -> str:
        """Text for solvers; `learnt.programs.smt.to_smt`."""
        return _of("smt", "to_smt")(self, length, **options)

    def to_torch(self) -> ProgramModule:
        """The trainable network whose discrete program this is; `learnt.programs.discretise.to_torch`."""
        return _of("discretise", "to_torch")(self)

    def to_transformer(self, **options: Any) -> CompiledTransformer:
        """An ordinary transformer that computes the same; `learnt.programs.transformer.to_transformer`."""
        return _of("transformer", "to_transformer")(self, **options)

    def to_json(self, path: str | os.PathLike[str]) -> Path:
        """Write the program as JSON, atomically; `learnt.programs.program_json.save`."""
        from learnt.programs.program_json import save

        return save(self, path)

    def renamed(self, names: Mapping[str, str]) -> Program:
        """The same program with other names of modules.

        Args:
            names: new name by old name.

        Raises:
            InputError: a module that does not exist, a name in use, or one that Python cannot use for a variable.
        """
        own = {module.name for _, _, module in self.modules()}
        for name in names:
            if name not in own:
                raise InputError("names", found=repr(name), expected="names of modules of this program")

        def new(name: str) -> str:
            return names.get(name, name)

        def head(h: Head) -> Head:
            return replace(h, query=new(h.query), key=new(h.key), value=new(h.value), name=new(h.name))

        def mlp(m: Any) -> Any:
            return replace(m, inputs=tuple(new(i) for i in m.inputs), name=new(m.name))

        layers = tuple(
            Layer(
                cat_heads=tuple(map(head, layer.cat_heads)),
                num_heads=tuple(map(head, layer.num_heads)),
                cat_mlps=tuple(map(mlp, layer.cat_mlps)),
                num_mlps=tuple(map(mlp, layer.num_mlps)),
            )
            for layer in self.layers
        )
        return replace(
            self,
            layers=layers,
            classifier={new(name): votes for name, votes in self.classifier.items()},
            cardinalities={new(name): size for name, size in self.cardinalities.items()},
        )


def _of(module: str, name: str) -> Any:
    return getattr(import_module(f"learnt.programs.{module}"), name)
