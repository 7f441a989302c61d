"""Which examples each replica sees at each step.

Replica i walks through the data in epoch e in the order drawn from (seed, "order", i, e); the last batch of an epoch
is smaller when the batch size does not divide the data. The position is a function of the step alone, so a resumed
run needs no cursor. With a shared order every replica sees the batches of replica 0, gathered once.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import final

import torch

from learnt.core.errors import ShapeError
from learnt.core.examples import Examples, check_finite
from learnt.run.seeds import derive, generator

Augment = Callable[[torch.Tensor, torch.Generator], torch.Tensor]


@final
@dataclass(frozen=True)
class Batches:
    """One step's examples for all replicas.

    Attributes:
        inputs: (N, b, ...), or (b, ...) if shared.
        labels: (N, b) or (b,), or None.
        index: (N, b) or (b,).
        extra: each (N, b, ...) or (b, ...).
        shared: whether all replicas see the same examples.
    """

    inputs: torch.Tensor
    labels: torch.Tensor | None
    index: torch.Tensor
    extra: Mapping[str, torch.Tensor]
    shared: bool

    def of(self, i: int) -> tuple[torch.Tensor, torch.Tensor | None, torch.Tensor, dict[str, torch.Tensor]]:
        """Inputs, labels, index and extra of replica i."""
        if self.shared:
            return self.inputs, self.labels, self.index, dict(self.extra)
        labels = None if self.labels is None else self.labels[i]
        return self.inputs[i], labels, self.index[i], {k: v[i] for k, v in self.extra.items()}

    def __len__(self) -> int:
        return self.index.shape[-1]


@final
class Feeder:
    """Serves the batches of any step.

    Args:
        data: the examples.
        extra: per-example tensors by name.
        size: number of replicas.
        batch_size: examples per replica and step.
        seed: from which orders and augmentations are derived.
        shared: one order for all replicas.
        shuffle: False keeps the order of the data (for evaluation).
        augment: `(inputs (b, ...), generator) -> inputs`, called for each replica.
        device, dtype: where batches go, and the dtype of floating-point inputs.
    """

    def __init__(
        self,
        data: Examples,
        extra: Mapping[str, torch.Tensor],
        *,
        size: int,
        batch_size: int,
        seed: int,
        shared: bool = False,
        shuffle: bool = True,
        augment: Augment | None = None,
        device: torch.device,
        dtype: torch.dtype,
    ) -> None:
        for name, values in extra.items():
            if len(values) != len(data):
                raise ShapeError(
                    f"objective.prepare()[{name!r}]",
                    found=f"{len(values)} rows",
                    expected=f"{len(data)}, one for each example",
                )
            check_finite(values, f"objective.prepare()[{name!r}]")
        self._inputs = data.inputs.to(dtype) if data.inputs.is_floating_point() else data.inputs
        self._labels = data.labels
        self._extra = {k: v.detach() for k, v in extra.items()}
        self._count, self._size, self._batch = len(data), size, min(batch_size, len(data))
        self._seed, self._shared, self._shuffle = seed, shared or size == 1, shuffle
        self._augment, self._device = augment, device
        self.per_epoch = math.ceil(self._count / self._batch)
        self._epoch, self._order = -1, torch.empty(0)

    def at(self, step: int) -> Batches:
        """The batches of step `step`, counted from 0."""
        epoch, place = divmod(step, self.per_epoch)
        if epoch != self._epoch:
            orders = [self._permutation(i, epoch) for i in range(1 if self._shared else self._size)]
            self._epoch, self._order = epoch, orders[0] if self._shared else torch.stack(orders)
        index = self._order[..., place * self._batch : (place + 1) * self._batch]
        batches = Batches(
            inputs=self._rows(self._inputs, index),
            labels=None if self._labels is None else self._rows(self._labels, index),
            index=index if self._device.type == "cpu" else index.to(self._device),
            extra={k: self._rows(v, index) for k, v in self._extra.items()},
            shared=self._shared,
        )
        return batches if self._augment is None else self._augmented(batches, self._augment, step)

    def _permutation(self, replica: int, epoch: int) -> torch.Tensor:
        if not self._shuffle:
            return torch.arange(self._count)
        return torch.randperm(self._count, generator=generator(self._seed, "order", replica, epoch))

    def _rows(self, values: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
        if values.device.type != "cpu":
            index = index.to(values.device)
        if index.ndim == 1:
            rows = values.index_select(0, index)
        else:
            rows = values.index_select(0, index.reshape(-1)).view(*index.shape, *values.shape[1:])
        return rows if rows.device == self._device else rows.to(self._device)

    def _augmented(self, batches: Batches, augment: Augment, step: int) -> Batches:
        stream = torch.Generator(device=self._device)
        rows = []
        for i in range(1 if batches.shared else self._size):
            stream.manual_seed(derive(self._seed, "augment", i, step))
            inputs = batches.of(i)[0]
            changed = augment(inputs, stream)
            if len(changed) != len(inputs):
                raise ShapeError("augment", found=f"{len(changed)} inputs for {len(inputs)}", expected="as many")
            rows.append(changed)
        inputs = rows[0] if batches.shared else torch.stack(rows)
        return Batches(inputs, batches.labels, batches.index, batches.extra, batches.shared)
