"""Where do the replicas of a training start? At random, near a program, at earlier networks, with choices fixed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from learnt.core.errors import InputError
from learnt.programs.config import Shape
from learnt.programs.discretise import CERTAIN, compiled
from learnt.programs.fitted import FitResult
from learnt.programs.program import Program
from learnt.train.population import Population

Fixed = Mapping[str, Mapping[str, Any]]


def begin(population: Population, shape: Shape, fixed: Fixed, start: Program | None) -> None:
    """Set the parameters of a fresh population, in place: near a program, and with fixed choices."""
    tensors = population.parameters
    with torch.no_grad():
        if start is not None:
            for name, values in compiled(start, shape).items():
                if name.startswith(("mlp_in", "mlp_out", "num_mlp_in", "num_mlp_out")):
                    continue  # a network with a unit for each key has no room to move: MLPs are learnt anew
                given = torch.as_tensor(np.asarray(values, dtype=np.float32))
                if name in ("votes", "num_votes"):
                    tensors[name].copy_(given.expand_as(tensors[name]))
                else:
                    tensors[name].add_(given.expand_as(tensors[name]) * (3.0 / CERTAIN))
        for module, choices in fixed.items():
            _fix(tensors, shape, module, choices)


def continued(fresh: Population, earlier: FitResult) -> Population:
    """The best networks of an earlier training, as many as there are fresh ones."""
    networks = [earlier.networks[s.seed] for s in earlier.seeds if s.seed in earlier.networks][: len(fresh)]
    shapes = [{name: tuple(p.shape) for name, p in m.named_parameters()} for m in (fresh.template, *networks[:1])]
    if len(networks) < len(fresh) or shapes[0] != shapes[1]:
        raise InputError(
            "start",
            found=f"{len(networks)} networks" + (" of another size" if networks and shapes[0] != shapes[1] else ""),
            expected=f"at least {len(fresh)} of the same task and configuration",
        )
    return Population.of(networks)


def _fix(tensors: Mapping[str, torch.Tensor], shape: Shape, module: str, choices: Mapping[str, Any]) -> None:
    kind, _, place = module.rpartition("_")[0].rpartition("_")
    try:
        layer, index = int(place), int(module.rpartition("_")[2])
        count = {"attn": shape.cat_heads, "num_attn": shape.num_heads, "mlp": shape.cat_mlps, "num_mlp": shape.num_mlps}
        known = 0 <= layer < shape.layers and 0 <= index < count[kind]
    except (KeyError, ValueError):
        known = False
    if not known:
        raise InputError("fixed", found=repr(module), expected="names of modules such as 'attn_0_0' or 'mlp_1_0'")
    mlp = kind.endswith("mlp")
    names, numbers = shape.mlp_names(layer) if mlp else shape.names(layer)
    heads = shape.cat_heads + shape.num_heads
    head = index if kind == "attn" else shape.cat_heads + index
    for what, value in choices.items():
        if mlp and what == "inputs":
            gates = f"{'num_' if kind == 'num_mlp' else ''}mlp_gates_{layer}"
            for j, name in enumerate(value):
                _gate(tensors[gates], index * shape.mlp_inputs + j, numbers if kind == "num_mlp" else names, name)
        elif not mlp and what in ("query", "key"):
            _gate(tensors[f"head_gates_{layer}"], head + (heads if what == "key" else 0), names, value)
        elif not mlp and what == "value" and kind == "attn":
            _gate(tensors[f"head_gates_{layer}"], 2 * heads + index, names, value)
        elif not mlp and what == "value":
            _gate(tensors[f"value_gates_{layer}"], index, numbers, value)
        elif not mlp and what == "predicate":
            rows = torch.as_tensor(list(value))
            if rows.shape != (shape.k,) or int(rows.min()) < 0 or int(rows.max()) >= shape.k:
                raise InputError(
                    f"fixed[{module!r}].predicate", found=str(list(value)), expected=f"{shape.k} key values"
                )
            tensors[f"predicates_{layer}"][:, head] = CERTAIN * torch.nn.functional.one_hot(rows, shape.k).float()
        else:
            raise InputError(
                f"fixed[{module!r}]", found=repr(what), expected="inputs" if mlp else "query, key, value or predicate"
            )


def _gate(gates: torch.Tensor, row: int, names: list[str], name: str) -> None:
    if name not in names:
        raise InputError("fixed", found=repr(name), expected=f"one of {', '.join(names)}")
    gates[:, row] = 0.0
    gates[:, row, names.index(name)] = CERTAIN
