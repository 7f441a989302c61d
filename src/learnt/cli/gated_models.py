"""Models and data of `learnt gated relu` and `learnt gated modes`, named as in `learnt compare`."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import torch

_WEIGHTS = (".safetensors", ".pt", ".pth", ".bin")


class Samples(NamedTuple):
    """Inputs, targets (None if there are none), and a name."""

    x: Any
    y: Any
    name: str


def model_of(spec: str, files: Iterator[Path]) -> Any:
    """The model that a word names: as `learnt.load`, or a file of weights that are those of a multilayer perceptron.

    Args:
        spec: run:PATH#NAME, FILE.py:factory, timm:, torchvision:, hf:; or a .safetensors or .pt file.
        files: weights for specs that take them, in their order.

    Raises:
        InputError: several replicas, weights that are no perceptron; and what `learnt.load` raises.
    """
    from learnt.adapters.open import load
    from learnt.core.errors import InputError

    if Path(spec).suffix.lower() in _WEIGHTS and ":" not in spec:
        return _perceptron(Path(spec))
    found = load(spec, weights=None if spec.startswith("run:") else next(files, None))
    if isinstance(found, list):
        if len(found) != 1:
            raise InputError(
                spec, found=f"{len(found)} replicas", expected="one model", remedy=f"Choose one: {spec}[0]."
            )
        found = found[0]
    return found


def names_of(specs: Sequence[str], weights: Sequence[Path]) -> list[str]:
    """Short names of models: their words; where two are alike, their weights; else numbered."""
    short = [Path(s).name if Path(s).suffix.lower() in _WEIGHTS and ":" not in s else s for s in specs]
    files = [path.stem for path in weights]
    if len(set(short)) < len(short) and len(set(files)) == len(files) == len(short):
        return files
    return [s if short.count(s) == 1 else f"{s} ({i})" for i, s in enumerate(short, start=1)]


def all_used(files: Iterator[Path]) -> None:
    """InputError if a file of weights is left over."""
    from learnt.core.errors import InputError

    if (left := next(files, None)) is not None:
        raise InputError("--weights", found=f"{left}, which no model needs", expected="one file for each FILE.py:...")


def samples_of(data: str, *, root: str | None, split: str, limit: int | None, target: str | None) -> Samples:
    """Inputs and targets: a .npz with x and y as they are, or any data that `learnt compare --on` knows."""
    from learnt.cli.ask import data_for
    from learnt.core.errors import InputError
    from learnt.data.arrays import INPUTS, LABELS

    if limit is not None and limit < 1:
        raise InputError("--limit", found=str(limit), expected="at least 1")
    if data.lower().endswith(".npz"):
        from learnt.io.arrays import read_npz

        path = Path(data) if root is None else Path(root) / data
        arrays = read_npz(path)
        x = next((arrays[name] for name in INPUTS if name in arrays), None)
        y = next((arrays[name] for name in LABELS if name in arrays), None)
        if x is not None and x.ndim == 2 and x.dtype.kind in "biuf":  # numbers, all of them, whatever the split
            import numpy as np

            x = x.astype(np.float64)
            return Samples(x[:limit], None if y is None else y[:limit], path.stem)
    found = data_for(data, root=root, split=split, limit=limit, target=target)
    return Samples(found.inputs, found.labels, found.name)


def _perceptron(path: Path) -> Any:
    """Weights by name as linear layers, in their order, with ReLU between them."""
    from torch import nn

    from learnt.core.errors import InputError
    from learnt.io.weights import load_weights

    tensors = load_weights(path)
    layers: list[tuple[torch.Tensor, torch.Tensor | None]] = []
    names: list[str] = []
    used: set[str] = set()
    for name in sorted(tensors, key=_natural):
        if name.endswith("weight") and tensors[name].ndim == 2:
            bias = tensors.get(name.removesuffix("weight") + "bias")
            layers.append((tensors[name], bias))
            names.append(name.removesuffix("weight").rstrip(".").replace(".", "_") or "linear")
            used |= {name, name.removesuffix("weight") + "bias"}
    whole = all(a[0].shape[0] == b[0].shape[1] for a, b in zip(layers, layers[1:], strict=False))
    other = [name for name in tensors if name not in used]
    fits = all(b is None or b.shape == w.shape[:1] for w, b in layers)
    if not layers or other or not whole or not fits:
        raise InputError(
            str(path), found=f"{len(tensors)} tensors that are no chain of linear layers",
            expected="weights (and biases) of a multilayer perceptron",
            remedy="Any other network: FILE.py:factory --weights FILE.",
        )  # fmt: skip
    parts: OrderedDict[str, nn.Module] = OrderedDict({"flatten ": nn.Flatten()})  # a name that no tensor has
    for name, (weight, bias) in zip(names, layers, strict=True):
        linear = nn.utils.skip_init(nn.Linear, weight.shape[1], weight.shape[0], bias=bias is not None)
        linear.to(weight.dtype)
        linear.weight.data = weight.clone()
        if bias is not None:
            linear.bias.data = bias.to(weight.dtype).clone()
        parts |= {f"relu before {name}": nn.ReLU()} if len(parts) > 1 else {}
        parts[name] = linear
    return nn.Sequential(parts).eval()


def _natural(name: str) -> list[tuple[int, int | str]]:
    """So that layer 10 comes after layer 9."""
    return [(0, int(p)) if p.isdigit() else (1, p) for p in name.split(".")]
