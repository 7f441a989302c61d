"""N replicas of one architecture with stacked parameters: what every training in the library moves.

Replica i is made by the user's function under its own seed, derived from (seed, "init", i), so that it does not
depend on how many replicas there are. Parameters and buffers are stacked, (N, ...) each; an ordinary module is one
index away.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import final

import torch
from torch import nn

from learnt.core.errors import InputError, ResumeError, ShapeError
from learnt.run.seeds import derive
from learnt.train._random import fenced, sow

FORMAT = "learnt.population/1"


@final
class Population:
    """N replicas of what `make` returns.

    Args:
        make: returns a fresh network each time it is called; the same architecture each time.
        size: number of replicas N.
        seed: from which each replica's initial weights are derived.

    Attributes:
        parameters: stacked parameters (N, ...) by name.
        buffers: stacked buffers (N, ...) by name.

    Raises:
        InputError: size below 1, or `make` does not return a module.
        ShapeError: `make` returns different architectures.
    """

    def __init__(self, make: Callable[[], nn.Module], size: int, *, seed: int) -> None:
        if isinstance(size, bool) or not isinstance(size, int) or size < 1:
            raise InputError("size", found=repr(size), expected="a positive number of replicas")
        self._build([_born(make, derive(seed, "init", i)) for i in range(size)])
        self.seed = seed

    @classmethod
    def of(cls, modules: Sequence[nn.Module]) -> Population:
        """A population of copies of existing modules of one architecture."""
        if not modules:
            raise InputError("modules", found="none", expected="at least one module")
        population = cls.__new__(cls)
        population._build([copy.deepcopy(m) for m in modules])
        population.seed = 0
        return population

    def _build(self, modules: Sequence[nn.Module]) -> None:
        first = _shapes(modules[0])
        for i, module in enumerate(modules):
            if _shapes(module) != first:
                names = sorted(k for k in {*first, *_shapes(module)} if first.get(k) != _shapes(module).get(k))
                raise ShapeError(
                    "make",
                    found=f"replica {i} with other parameters than replica 0 ({', '.join(names[:3])})",
                    expected="the same architecture each time",
                )
        self._template = modules[0]
        self.parameters = _stack([dict(m.named_parameters()) for m in modules])
        self.buffers = _stack([dict(m.named_buffers()) for m in modules])
        self.size = len(modules)

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, i: int) -> nn.Module:
        """An ordinary module, in evaluation mode, with a copy of replica i's weights and buffers."""
        if not -self.size <= i < self.size:
            raise IndexError(f"replica {i} of {self.size}")
        module = copy.deepcopy(self._template).eval()
        with torch.no_grad():
            for name, parameter in module.named_parameters():
                parameter.data = self.parameters[name][i].clone()
            for name, buffer in module.named_buffers():
                buffer.data = self.buffers[name][i].clone()
        return module

    def __iter__(self) -> Iterator[nn.Module]:
        return (self[i] for i in range(self.size))

    def __repr__(self) -> str:
        count = sum(p[0].numel() for p in self.parameters.values())
        return f"Population({type(self._template).__name__}, {self.size} replicas of {count:,} parameters)"

    @property
    def template(self) -> nn.Module:
        """A copy of the architecture whose weights mean nothing."""
        return copy.deepcopy(self._template)

    @property
    def device(self) -> torch.device:
        """Where the parameters live."""
        return next(iter((*self.parameters.values(), *self.buffers.values())), torch.empty(0)).device

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the population into the directory `path`: one safetensors file and `population.json`, atomically.

        Raises:
            StorageError: the place is not writable or the disk is full.
        """
        from learnt.io.atomic import ensure_directory, sweep_temporaries
        from learnt.train._files import commit, discard

        folder = ensure_directory(path)
        record = {"format": FORMAT, "size": self.size, "seed": self.seed, "model": type(self._template).__name__}
        written = commit(folder, "population", self._named(), record)
        discard(folder, "population", keep={written})
        sweep_temporaries(folder)
        return folder

    @classmethod
    def load(cls, path: str | os.PathLike[str], make: Callable[[], nn.Module]) -> Population:
        """Read a population that `save` wrote.

        Args:
            path: the directory.
            make: returns the architecture; its weights are replaced.

        Raises:
            StorageError: nothing there. ResumeError: the files do not belong together.
            ShapeError: `make` returns another architecture.
        """
        from learnt.train._files import read

        tensors, record = read(Path(path), "population")
        if record.get("format") != FORMAT:
            raise ResumeError(str(path), found=f"format {record.get('format')!r}", expected=FORMAT)
        size = record.get("size")
        population = cls.__new__(cls)
        population._build([_born(make, 0)])
        population.seed, population.size = record.get("seed", 0), size
        wanted = {k: (size, *v.shape[1:]) for k, v in population._named().items()}
        found = {k: tuple(v.shape) for k, v in tensors.items()}
        if wanted != found:
            names = sorted(k for k in {*wanted, *found} if wanted.get(k) != found.get(k))
            raise ShapeError(
                str(path),
                found=f"tensors of another architecture ({', '.join(names[:3])})",
                expected=f"those of {type(population._template).__name__}, which make() returned",
            )
        population.parameters = {k: tensors[f"parameters.{k}"] for k in population.parameters}
        population.buffers = {k: tensors[f"buffers.{k}"] for k in population.buffers}
        return population

    def _named(self) -> dict[str, torch.Tensor]:
        return {f"parameters.{k}": v for k, v in self.parameters.items()} | {
            f"buffers.{k}": v for k, v in self.buffers.items()
        }


def _born(make: Callable[[], nn.Module], seed: int) -> nn.Module:
    with fenced(torch.device("cuda") if torch.cuda.is_initialized() else torch.device("cpu")):
        sow(torch.device("cpu"), seed)
        if torch.cuda.is_initialized():
            sow(torch.device("cuda"), seed)
        module = make()
    if not isinstance(module, nn.Module):
        raise InputError("make", found=f"a {type(module).__name__}", expected="a function that returns an nn.Module")
    return module


def _shapes(module: nn.Module) -> dict[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {}
    for name, tensor in (*module.named_parameters(), *module.named_buffers()):
        if nn.parameter.is_lazy(tensor):
            raise InputError(
                name, found="a lazy parameter without a shape", expected="parameters of known shape",
                remedy="Run one batch through the model before training it.",
            )  # fmt: skip
        shapes[name] = tuple(tensor.shape)
    return shapes


def _stack(states: Sequence[Mapping[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
    return {name: torch.stack([s[name].detach() for s in states]) for name in states[0]}
