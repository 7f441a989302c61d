"""How large may the program be, and how are words read? What is fixed before training starts.

The published experiments (arXiv 2306.01128, appendix B): the synthetic tasks with 2 or 3 layers and 4 or 8 heads,
half of them numerical; induction with 2 layers of one categorical head; text with 4 embedding variables of 64 values.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal, final

from learnt.core.errors import InputError
from learnt.programs.program import PAD

if TYPE_CHECKING:
    from learnt.programs.task import Task


@final
@dataclass(frozen=True, kw_only=True)
class Factored:
    """Several categorical variables for each word, learnt (section 3.3), instead of one one-hot variable.

    Args:
        n: number of variables.
        vectors: (V, d) a vector for each token, from which the variables start; see
            `learnt.programs.word_vectors.embedding_logits`. Without them they start at random.
    """

    n: int = 4
    vectors: Any = None

    def __post_init__(self) -> None:
        if isinstance(self.n, bool) or not isinstance(self.n, int) or self.n < 1:
            raise InputError("embed.n", found=repr(self.n), expected="a positive number of variables")


@final
@dataclass(frozen=True, kw_only=True)
class Config:
    """The size of a program and how it reads its input.

    Args:
        layers: L, at least 1.
        cat_heads, num_heads, cat_mlps, num_mlps: of each layer; a layer without modules does nothing.
        var_size: k, the cardinality of every categorical variable; by default the larger of N and the vocabulary, or
            N with factored embeddings.
        mlp_inputs: how many variables an MLP reads (2 in the paper).
        hidden: width of the networks that MLPs are trained as (64 in the paper).
        embed: "one_hot", one variable `tokens`, or `Factored`.
        causal: whether position i sees j <= i only; by default what the task says.

    Raises:
        InputError: a number that is negative, or no integer.
    """

    layers: int = 2
    cat_heads: int = 2
    num_heads: int = 2
    cat_mlps: int = 1
    num_mlps: int = 1
    var_size: int | None = None
    mlp_inputs: int = 2
    hidden: int = 64
    embed: Literal["one_hot"] | Factored = "one_hot"
    causal: bool | None = None

    def __post_init__(self) -> None:
        least = {"layers": 1, "cat_heads": 0, "num_heads": 0, "cat_mlps": 0, "num_mlps": 0, "mlp_inputs": 1}
        for name, low in {**least, "hidden": 1, "var_size": 1}.items():
            value = getattr(self, name)
            if name == "var_size" and value is None:
                continue
            if isinstance(value, bool) or not isinstance(value, int) or value < low:
                raise InputError(name, found=repr(value), expected=f"an integer of at least {low}")
        if self.embed != "one_hot" and not isinstance(self.embed, Factored):
            raise InputError("embed", found=repr(self.embed), expected='"one_hot" or Factored(n=...)')

    @property
    def modules(self) -> int:
        """Heads and MLPs in all layers."""
        return self.layers * (self.cat_heads + self.num_heads + self.cat_mlps + self.num_mlps)

    def shape(self, task: Task) -> Shape:
        """The sizes for one task.

        Args:
            task: that decides vocabulary, labels and the longest input.

        Raises:
            InputError: k below the longest input, or with one-hot tokens below the vocabulary.
        """
        n, v = task.max_length, len(task.vocab)
        one_hot = self.embed == "one_hot"
        k = self.var_size if self.var_size is not None else (max(n, v) if one_hot else n)
        if k < n:
            raise InputError(
                "var_size", found=f"{k} values", expected=f"at least {n}, the longest input, for the positions"
            )
        if one_hot and k < v:
            raise InputError(
                "var_size",
                found=f"{k} values for {v} tokens",
                expected=f"at least {v} with embed='one_hot'",
                remedy="Raise var_size, or use embed=Factored(n=4).",
            )
        return Shape(
            layers=self.layers, cat_heads=self.cat_heads, num_heads=self.num_heads, cat_mlps=self.cat_mlps,
            num_mlps=self.num_mlps, k=k, n_ctx=n, mlp_inputs=self.mlp_inputs, hidden=self.hidden,
            embeddings=self.embed.n if isinstance(self.embed, Factored) else 0, vocab=task.vocab, labels=task.labels,
            causal=task.causal if self.causal is None else self.causal, pool=task.pool,
        )  # fmt: skip

    def to_fields(self) -> dict[str, Any]:
        """The configuration as JSON can hold it; vectors are left out."""
        fields = {name: value for name, value in asdict(self).items() if name != "embed"}
        return {**fields, "embed": f"factored {self.embed.n}" if isinstance(self.embed, Factored) else "one_hot"}


@final
@dataclass(frozen=True, kw_only=True)
class Shape:
    """A configuration and the task it is for: everything that decides the shapes of the tensors.

    Attributes:
        k, n_ctx: cardinality of categorical variables, longest input.
        embeddings: number of embedding variables; 0 for one-hot tokens.
        masked: ids of labels that are never predicted.
        others: as `Config` and `Task`.
    """

    layers: int
    cat_heads: int
    num_heads: int
    cat_mlps: int
    num_mlps: int
    k: int
    n_ctx: int
    mlp_inputs: int
    hidden: int
    embeddings: int
    vocab: tuple[str, ...]
    labels: tuple[str, ...]
    causal: bool
    pool: bool
    masked: tuple[int, ...] = ()

    @property
    def first(self) -> int:
        """The least id of a token: 1 behind padding, 0 in a vocabulary without padding, which -1 then stands for."""
        return 1 if self.vocab[0] == PAD else 0

    @property
    def written(self) -> int:
        """Categorical variables that a layer writes."""
        return self.cat_heads + self.cat_mlps + self.num_mlps

    def categorical(self, layer: int) -> int:
        """Categorical variables that heads of a layer can read: m_l."""
        return max(self.embeddings, 1) + 1 + layer * self.written

    def numerical(self, layer: int) -> int:
        """Numerical variables that heads of a layer can read: q_l."""
        return 1 + layer * self.num_heads

    def names(self, layer: int | None = None) -> tuple[list[str], list[str]]:
        """Names of the (categorical, numerical) variables that heads of a layer can read; of all without a layer."""
        categorical = [f"emb_{e}" for e in range(self.embeddings)] or ["tokens"]
        categorical.append("positions")
        numerical = ["ones"]
        for index in range(self.layers if layer is None else layer):
            categorical += [f"attn_{index}_{h}" for h in range(self.cat_heads)]
            categorical += [f"mlp_{index}_{h}" for h in range(self.cat_mlps)]
            categorical += [f"num_mlp_{index}_{h}" for h in range(self.num_mlps)]
            numerical += [f"num_attn_{index}_{h}" for h in range(self.num_heads)]
        return categorical, numerical

    def mlp_names(self, layer: int) -> tuple[list[str], list[str]]:
        """Names of the (categorical, numerical) variables that MLPs of a layer can read."""
        categorical, numerical = self.names(layer)
        categorical += [f"attn_{layer}_{h}" for h in range(self.cat_heads)]
        return categorical, numerical + [f"num_attn_{layer}_{h}" for h in range(self.num_heads)]
