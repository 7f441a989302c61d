"""What does an ordinary transformer reach on the same task? The baseline that programs are compared with.

    x_i = sqrt(d) W_E[token_i] + W_P[i];   L pre-norm encoder layers (attention, ReLU network);   logits = x W_U

arXiv 2306.01128, appendix B: L in {2, 3}, H in {4, 8}, d = 256, Adam with learning rate 3e-4, batches of 50, at most
100 epochs, the weights of the epoch with the best validation accuracy. No layer norm after the last layer, no bias in
W_U; initial values as in the authors' code: W_E and W_P N(0, 1/d), W_U N(0, 1/labels).

Different from the authors' code: padding is masked for each input. Theirs repeats the (B, N, N) mask once a head in
head-major order, where `nn.MultiheadAttention` wants it input-major, so that heads see the padding of other inputs
in the batch. It reports the last epoch, the paper the best; pooling here divides by the true length.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from learnt.core.errors import InputError, ShapeError
from learnt.core.examples import Examples
from learnt.programs.task import Task
from learnt.programs.task_encoding import UNSCORED
from learnt.programs.task_metrics import sequence_accuracy, token_accuracy
from learnt.run.seeds import derive
from learnt.train import Batch, Callback, Checkpoint, Model, Population
from learnt.train import fit as train

ROWS = 1024  # inputs at once when answering


@final
class StandardTransformer(nn.Module):
    """A pre-norm transformer encoder with one label a position, or one an input.

    Args:
        vocab: tokens, `<pad>` = id 0 first.
        labels: possible answers.
        n_ctx: N, longest input.
        layers, heads, width: L, H and d; heads divide width.
        hidden: units of the ReLU network of a layer (64 in the authors' scripts).
        dropout: inside the layers and on the embeddings.
        causal: whether position i sees j <= i only.
        pool: whether logits come from the mean over the input.

    Raises:
        InputError: a number that has no meaning.
    """

    def __init__(
        self,
        vocab: Sequence[str],
        labels: Sequence[str],
        n_ctx: int,
        *,
        layers: int = 3,
        heads: int = 8,
        width: int = 256,
        hidden: int = 64,
        dropout: float = 0.0,
        causal: bool = False,
        pool: bool = False,
    ) -> None:
        sizes = {"n_ctx": n_ctx, "layers": layers, "heads": heads, "width": width, "hidden": hidden}
        for name, value in sizes.items():
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise InputError(name, found=repr(value), expected="a positive integer")
        if width % heads:
            raise InputError("width", found=f"{width} for {heads} heads", expected="a multiple of heads")
        if not 0.0 <= dropout < 1.0:
            raise InputError("dropout", found=repr(dropout), expected="a number in [0, 1)")
        nn.Module.__init__(self)
        self.vocab, self.labels, self.n_ctx = tuple(vocab), tuple(labels), n_ctx
        self.causal, self.pool, self.width = causal, pool, width
        self.tokens = nn.Embedding(len(self.vocab), width)
        self.positions = nn.Parameter(torch.randn(n_ctx, width) / width**0.5)
        nn.init.normal_(self.tokens.weight, std=width**-0.5)
        layer = nn.TransformerEncoderLayer(width, heads, hidden, dropout, batch_first=True, norm_first=True)
        self.encoder = nn.TransformerEncoder(layer, layers, enable_nested_tensor=False)
        for one in self.encoder.layers:  # TransformerEncoder copies one layer; each starts on its own
            for module in one.modules():
                _start(module)
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(width, len(self.labels), bias=False)
        nn.init.normal_(self.classifier.weight, std=len(self.labels) ** -0.5)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        """Logits (B, N, labels), or (B, labels) if the network pools, of (B, N) token ids padded with 0.

        Args:
            ids: of tokens.

        Raises:
            ShapeError: more than n_ctx positions.
        """
        n = ids.shape[1]
        if n > self.n_ctx:
            raise ShapeError("ids", found=f"{n} positions", expected=f"at most n_ctx = {self.n_ctx}")
        real = ids != 0
        x = self.dropout(self.tokens(ids) * self.width**0.5 + self.positions[:n])
        future = torch.ones(n, n, dtype=torch.bool, device=ids.device).triu(1) if self.causal else None
        x = self.encoder(x, mask=future, src_key_padding_mask=~real)
        if self.pool:
            x = torch.where(real.unsqueeze(-1), x, 0.0).sum(1) / real.sum(1, keepdim=True)
        return self.classifier(x)

    @torch.no_grad()
    def predict_ids(self, ids: np.ndarray, lengths: np.ndarray) -> np.ndarray:
        """Ids of labels, (B, N) with -1 after the end of an input, or (B,) if the network pools.

        Args:
            ids: (B, N) token ids.
            lengths: (B,) tokens of each input; what stands after them is padding.

        Raises:
            ShapeError: ids that are not (B, N), lengths that are not (B,).
        """
        ids, lengths = np.asarray(ids, dtype=np.int64), np.asarray(lengths, dtype=np.int64)
        if ids.ndim != 2 or lengths.shape != ids.shape[:1]:
            raise ShapeError(
                "ids", found=f"ids {ids.shape}, lengths {lengths.shape}", expected="ids (B, N), lengths (B,)"
            )
        inside = np.arange(ids.shape[1]) < lengths[:, None]
        given = torch.from_numpy(np.where(inside, ids, 0)).to(self.positions.device)
        training = self.training
        self.eval()
        try:
            best = torch.cat([self(given[i : i + ROWS]).argmax(-1) for i in range(0, len(given), ROWS)]).cpu().numpy()
        finally:
            self.train(training)
        return best if self.pool else np.where(inside, best, UNSCORED)


@final
@dataclass(frozen=True, kw_only=True)
class StandardScore:
    """Accuracy of one replica: token and sequence, of validation and test, and its best epoch (from 1)."""

    validation_tokens: float
    validation_sequences: float
    test_tokens: float
    test_sequences: float
    epoch: int


@final
@dataclass(frozen=True, eq=False, kw_only=True)
class StandardRecord:
    """What training the baseline gave.

    Attributes:
        scores: one a seed.
        chosen: the seed with the best validation accuracy, whose network was returned.
        losses, errors: (epochs, seeds) training loss and validation error.
        seconds: wall time.
        parameters: numbers in one network.
        settings: what it was trained with.
    """

    scores: tuple[StandardScore, ...]
    chosen: int
    losses: np.ndarray
    errors: np.ndarray
    seconds: float
    parameters: int
    settings: dict[str, Any]

    @property
    def best(self) -> StandardScore:
        """Of the chosen seed."""
        return self.scores[self.chosen]

    def to_dict(self) -> dict[str, Any]:
        """As plain lists and numbers."""
        return {
            "scores": [vars(score) for score in self.scores],
            "chosen": self.chosen,
            "losses": self.losses.tolist(),
            "errors": self.errors.tolist(),
            "seconds": self.seconds,
            "parameters": self.parameters,
            "settings": self.settings,
        }


@final
class PositionLoss:
    """Mean over sequences of the mean over scored positions of -log p(y | w).

    Args:
        targets: (n, N) label ids, -1 where nothing is scored; of a pooled task, column 0 counts.
        error: the share of wrong positions instead, for choosing by validation.
    """

    def __init__(self, targets: np.ndarray, *, error: bool = False) -> None:
        self.targets, self.error = torch.as_tensor(targets), error

    def __call__(self, model: Model, batch: Batch) -> torch.Tensor:
        """The loss of a batch."""
        logits = model(batch.inputs)
        targets = self.targets.to(logits.device)[batch.index]
        if logits.ndim == 2:
            logits, targets = logits.unsqueeze(1), targets[:, :1]
        scored = targets != UNSCORED
        if self.error:
            wrong = (logits.argmax(-1) != targets) & scored
            return wrong.sum(-1).div(scored.sum(-1).clamp(min=1)).to(logits.dtype).mean()
        picked = F.log_softmax(logits, -1).gather(-1, targets.clamp(min=0).unsqueeze(-1)).squeeze(-1)
        return -(torch.where(scored, picked, 0.0).sum(-1) / scored.sum(-1).clamp(min=1)).mean()

    def check(self, outputs: torch.Tensor, data: Examples) -> None:
        """Nothing to check: targets were encoded with the labels of the network."""


def train_standard(
    task: Task,
    *,
    layers: int = 3,
    heads: int = 8,
    width: int = 256,
    hidden: int = 64,
    dropout: float = 0.0,
    epochs: int = 100,
    lr: float = 3e-4,
    batch_size: int = 50,
    seeds: int = 1,
    seed: int = 0,
    split: int = 0,
    device: str | torch.device | None = None,
    checkpoint: Checkpoint | str | None = None,
    callbacks: Sequence[Callback] = (),
) -> tuple[StandardTransformer, StandardRecord]:
    """Train the baseline on a task; each seed ends with the weights of its epoch with the best validation accuracy.

    Args:
        task: what to learn.
        layers, heads, width, hidden, dropout: of the network; see `StandardTransformer`.
        epochs, lr, batch_size: of Adam.
        seeds: networks trained as one population; the best by validation is returned, all are reported.
        seed: from which initial values and orders are derived.
        split: seed of the task's split.
        device: where to train; where the network lies (the processor) by default.
        checkpoint, callbacks: as `learnt.train.fit`.

    Raises:
        InputError: a setting that has no meaning.
        DivergedError, Interrupted: as `learnt.train.fit`.
    """
    if isinstance(lr, bool) or not 0.0 < lr < float("inf"):
        raise InputError("lr", found=repr(lr), expected="a positive number")
    drawn = task.split(split)
    parts = {name: task.encode(getattr(drawn, name)) for name in ("train", "validation", "test")}

    def make() -> StandardTransformer:
        return StandardTransformer(
            task.vocab, task.labels, task.max_length, layers=layers, heads=heads, width=width, hidden=hidden,
            dropout=dropout, causal=task.causal, pool=task.pool,
        )  # fmt: skip

    population = Population(make, seeds, seed=derive(seed, "standard"))
    judged = torch.as_tensor(parts["validation"][0])
    history = train(
        population,
        Examples(inputs=torch.as_tensor(parts["train"][0]), name=task.name),
        PositionLoss(parts["train"][1]),
        epochs=epochs,
        optimizer=lambda parameters: torch.optim.Adam(parameters, lr=lr),
        batch_size=batch_size,
        validation=Examples(inputs=judged, labels=torch.zeros(len(judged), dtype=torch.int64), name="validation"),
        validation_objective=PositionLoss(parts["validation"][1], error=True),
        patience=epochs,  # never stops early: it is there for the best epoch's weights
        device=device,
        seed=seed,
        checkpoint=checkpoint,
        callbacks=callbacks,
    )
    networks = [network for network in population if isinstance(network, StandardTransformer)]
    best = [] if history.best_epoch is None else history.best_epoch.tolist()
    scores = tuple(_score(network, parts, epoch) for network, epoch in zip(networks, best, strict=True))
    ranks = [(-s.validation_tokens, -s.validation_sequences, i) for i, s in enumerate(scores)]
    chosen = min(ranks)[-1]
    record = StandardRecord(
        scores=scores,
        chosen=chosen,
        losses=history.losses.numpy(),
        errors=np.empty((0, seeds)) if history.validation is None else history.validation.numpy(),
        seconds=history.seconds,
        parameters=sum(p.numel() for p in networks[chosen].parameters()),
        settings={
            "task": task.name, "layers": layers, "heads": heads, "width": width, "hidden": hidden, "dropout": dropout,
            "epochs": epochs, "lr": lr, "batch_size": batch_size, "seeds": seeds, "seed": seed, "split": split,
        },
    )  # fmt: skip
    return networks[chosen], record


def _start(module: nn.Module) -> None:
    """The initial values that torch gives a module of an encoder layer, drawn anew."""
    if isinstance(module, nn.MultiheadAttention):
        module._reset_parameters()
    elif isinstance(module, nn.Linear) and not isinstance(module, nn.modules.linear.NonDynamicallyQuantizableLinear):
        module.reset_parameters()


def _score(network: StandardTransformer, parts: dict[str, tuple[np.ndarray, np.ndarray]], epoch: int) -> StandardScore:
    found: dict[str, float] = {}
    for name in ("validation", "test"):
        ids, targets = parts[name]
        predicted = network.predict_ids(ids, (ids != 0).sum(1))
        if network.pool:
            predicted, targets = predicted[:, None], targets[:, :1]
        found[f"{name}_tokens"] = token_accuracy(predicted, targets)
        found[f"{name}_sequences"] = sequence_accuracy(predicted, targets)
    return StandardScore(**found, epoch=epoch)
