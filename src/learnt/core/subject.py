"""A model on a set of examples: what several measures need is computed once, and the model is left as it was.

`Subject` owns evaluation mode, gradients, device, dtype and batching. Measures ask it for logits, features or
input gradients and never touch the model themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal

import numpy as np
import torch
from torch import nn

from learnt.core.errors import InputError, NotApplicable, ShapeError
from learnt.core.examples import Examples, check_finite

Outputs = Literal["auto", "logits", "probabilities"]


class Subject:
    """A view of one model on one set of examples; every quantity is computed once and kept.

    Args:
        thing: an `nn.Module`, a callable from inputs to logits, or a scikit-learn classifier.
        data: the examples.
        name: how reports call the thing.
        device: where to run a module; None leaves it where it is. A copy is moved, never the original.
        batch_size: examples per forward pass; changes no number beyond float rounding.
        outputs: what the thing returns; ``"auto"`` takes logits and refuses what looks like probabilities.
    """

    def __init__(
        self,
        thing: Any,
        data: Examples,
        *,
        name: str,
        device: str | torch.device | None = None,
        batch_size: int = 256,
        outputs: Outputs = "auto",
    ) -> None:
        if batch_size < 1:
            raise InputError("batch_size", found=str(batch_size), expected="a positive integer")
        self.name = name
        self.data = data
        self.batch_size = batch_size
        self.outputs: Outputs = outputs
        self.thing = thing
        self._memo: dict[Any, Any] = {}
        if isinstance(thing, nn.Module):
            self.module: nn.Module | None = _on_device(thing, device)
            self._call: Callable[[torch.Tensor], Any] = self.module
        elif hasattr(thing, "predict_proba"):
            from learnt.adapters.sklearn import as_logits

            self.module, self._call, self.outputs = None, as_logits(thing), "logits"
        elif callable(thing):
            self.module, self._call = None, thing
        else:
            raise InputError(
                name, found=type(thing).__name__, expected="an nn.Module, a callable returning logits, or a classifier"
            )

    def cached(self, key: Any, compute: Callable[[], Any]) -> Any:
        """The value under `key`, computed the first time anyone asks."""
        if key not in self._memo:
            self._memo[key] = compute()
        return self._memo[key]

    # -- forward ---------------------------------------------------------------------------------------

    @property
    def device(self) -> torch.device:
        """Where the module's first parameter or buffer lives; the CPU for anything else."""
        return self._reference.device

    @property
    def _reference(self) -> torch.Tensor:
        if self.module is not None:
            for tensor in (*self.module.parameters(), *self.module.buffers()):
                if tensor.is_floating_point():
                    return tensor
        return torch.empty(0, dtype=torch.float32)

    def on_device(self, inputs: torch.Tensor) -> torch.Tensor:
        """`inputs` on the module's device and, if floating point, in its dtype."""
        like = self._reference
        return inputs.to(like.device, like.dtype if inputs.is_floating_point() else None)

    @contextmanager
    def evaluating(self, *, gradients: bool = False) -> Iterator[Callable[[torch.Tensor], torch.Tensor]]:
        """The model in evaluation mode as a function from a batch to checked logits; everything is restored after.

        With `gradients`, autograd is on (for input gradients); parameters and their `.grad` are never touched.
        """
        modes = [(m, m.training) for m in self.module.modules()] if self.module is not None else []
        devices = [self.device.index or 0] if self.device.type == "cuda" else []
        try:
            for m, _ in modes:
                m.training = False
            with torch.random.fork_rng(devices=devices), torch.set_grad_enabled(gradients):
                yield self._logits_of
        finally:
            for m, was in modes:
                m.training = was

    def _logits_of(self, batch: torch.Tensor) -> torch.Tensor:
        out = self._call(batch)
        out = getattr(out, "logits", out)
        if isinstance(out, dict) and "logits" in out:
            out = out["logits"]
        if isinstance(out, np.ndarray):
            out = torch.from_numpy(out)
        if not isinstance(out, torch.Tensor):
            raise InputError(self.name, found=f"outputs of type {type(out).__name__}", expected="a tensor of logits")
        if out.ndim != 2 or len(out) != len(batch) or out.shape[1] < 2:
            raise ShapeError(
                self.name,
                found=f"outputs of shape {tuple(out.shape)} for a batch of {len(batch)}",
                expected=f"({len(batch)}, number of classes >= 2)",
                remedy="A single logit z can be given as two: torch.stack([-z / 2, z / 2], 1).",
            )
        if out.device != batch.device:
            raise InputError(
                self.name,
                found=f"outputs on {out.device} for inputs on {batch.device}",
                expected="inputs and outputs on one device",
                remedy="Pass device=... or move the parts of the model to one device.",
            )
        if self.outputs == "probabilities":
            if not _look_like_probabilities(out.detach()):
                raise InputError(
                    self.name,
                    found="outputs that are not between 0 and 1 with rows that sum to 1",
                    expected="probabilities, as outputs='probabilities' says of every model",
                    remedy="If only some models return them, give those as a function: lambda x: model(x).log().",
                )
            out = out.clamp_min(1e-30).log()
        return out

    def batches(self, inputs: torch.Tensor) -> Iterator[torch.Tensor]:
        """`inputs` in pieces of the batch size, on the module's device."""
        for start in range(0, len(inputs), self.batch_size):
            yield self.on_device(inputs[start : start + self.batch_size])

    def answer(self, inputs: torch.Tensor) -> torch.Tensor:
        """(n, c) float64 logits on the CPU for any inputs; raises NonFiniteError, ShapeError, InputError."""
        with self.evaluating() as model:
            try:
                logits = torch.cat([model(batch).cpu().double() for batch in self.batches(inputs)])
            except (InputError, ShapeError):
                raise
            except RuntimeError as error:
                if "device" in str(error) or "meta tensor" in str(error):
                    raise InputError(
                        self.name,
                        found=f"parts on different devices, or without values ({str(error).splitlines()[0][:160]})",
                        expected="a model with all its weights on one device",
                        remedy="Pass device=... or move it with .to(...); on the meta device there are no values.",
                    ) from error
                if "shape" not in str(error) and "size" not in str(error) and "channels" not in str(error):
                    raise
                raise ShapeError(
                    self.name,
                    found=f"inputs of shape {tuple(inputs.shape)} that the model cannot take ({error})",
                    expected="data of the shape the model was made for",
                ) from error
        check_finite(logits, f"outputs of {self.name}")
        if self.outputs == "auto" and _look_like_probabilities(logits):
            raise InputError(
                self.name,
                found="outputs between 0 and 1 whose rows sum to 1, which look like probabilities",
                expected="logits",
                remedy="Say outputs='probabilities' if they are, outputs='logits' if they are not.",
            )
        return logits

    @property
    def logits(self) -> torch.Tensor:
        """(n, c) float64 logits on the data."""
        return self.cached("logits", lambda: self.answer(self.data.inputs))

    @property
    def log_probabilities(self) -> torch.Tensor:
        """(n, c) float64 log-probabilities at temperature 1."""
        return self.cached("log_probabilities", lambda: self.logits.log_softmax(-1))

    @property
    def predictions(self) -> torch.Tensor:
        """(n,) int64 top-1 answers."""
        return self.cached("predictions", lambda: self.logits.argmax(-1))

    @property
    def correct(self) -> torch.Tensor:
        """(n,) bool: whether the top-1 answer is the label; raises NotApplicable without class labels."""
        return self.predictions == self.labels

    @property
    def labels(self) -> torch.Tensor:
        """(n,) int64 labels; raises NotApplicable if the data has none, InputError if they exceed the classes."""
        if not self.data.is_classification or self.data.labels is None:
            raise NotApplicable(self.data.name, found="no class labels", expected="integer labels for this question")
        classes = self.logits.shape[1]
        if int(self.data.labels.max()) >= classes:
            raise InputError(
                f"{self.data.name}.labels",
                found=f"class index {int(self.data.labels.max())}",
                expected=f"indices below {classes}, the number of outputs of {self.name}",
                remedy="Model and data use different label sets.",
            )
        return self.data.labels

    # -- inside the model ------------------------------------------------------------------------------

    def differentiable(self) -> nn.Module:
        """The module, for questions that need gradients or layers; raises NotApplicable for anything else."""
        if self.module is None:
            raise NotApplicable(
                self.name,
                found=f"a {type(self.thing).__name__}, which has no layers or gradients",
                expected="an nn.Module",
            )
        return self.module

    @property
    def layers(self) -> dict[str, tuple[int, ...]]:
        """Output shape (without the batch) of every layer by name, in the order they run; see `tap`."""

        def look() -> dict[str, tuple[int, ...]]:
            module = self.differentiable()
            names = [n for n, m in module.named_modules() if n and not any(True for _ in m.children())]
            with self.evaluating() as model, tap(module, names) as outputs:
                model(self.on_device(self.data.inputs[:2]))
            batch = len(self.data.inputs[:2])
            return {n: tuple(o.shape[1:]) for n, o in outputs.items() if o.ndim >= 2 and len(o) == batch}

        return self.cached("layers", look)

    def require_layers(self, names: Sequence[str]) -> None:
        """Raise InputError with the nearest existing names if one of `names` is not a layer of this model."""
        from difflib import get_close_matches

        for name in names:
            if name not in self.layers:
                near = get_close_matches(name, list(self.layers), n=3, cutoff=0.3) or list(self.layers)[:3]
                raise InputError(
                    "layers",
                    found=f"{name!r}, which is not a layer of {self.name}",
                    expected="one of its layers",
                    remedy=f"Nearest names: {', '.join(near)}.",
                )

    @property
    def penultimate(self) -> str:
        """Name of the last layer before the logits whose output is not the logits themselves."""
        names = list(self.layers)
        if len(names) < 2:
            raise NotApplicable(self.name, found="a model with a single layer", expected="a layer before the logits")
        return names[-2]

    def features(self, layer: str) -> torch.Tensor:
        """(n, d) float32 outputs of `layer` on the data: spatial and token axes are averaged."""
        self.require_layers([layer])

        def compute() -> None:
            module = self.differentiable()
            parts: dict[str, list[torch.Tensor]] = {name: [] for name in self.layers}
            with self.evaluating() as model, tap(module, list(_modules_of(self.layers))) as outputs:
                for batch in self.batches(self.data.inputs):
                    model(batch)
                    for name in parts:
                        parts[name].append(pool(outputs[name]).cpu())
            for name, chunks in parts.items():
                self._memo["features", name] = torch.cat(chunks)

        if ("features", layer) not in self._memo:
            compute()
        values = self._memo["features", layer]
        check_finite(values, f"features of {self.name} at {layer}")
        return values


def _modules_of(names: Sequence[str] | dict[str, Any]) -> list[str]:
    return list(dict.fromkeys(name.split("#")[0] for name in names))


def pool(output: torch.Tensor) -> torch.Tensor:
    """(b, d) from (b, d), (b, d, h, w) averaged over h, w, or (b, t, d) averaged over tokens t."""
    if output.ndim == 2:
        return output.detach().float()
    if output.ndim == 3:
        return output.detach().float().mean(1)
    return output.detach().float().flatten(2).mean(2)


@contextmanager
def tap(module: nn.Module, names: Sequence[str]) -> Iterator[dict[str, torch.Tensor]]:
    """Collect the outputs of submodules by name while the block runs; hooks are gone afterwards.

    A module that runs again in the same pass adds ``name#2``, ``name#3`` ...; each pass starts afresh.
    """
    outputs: dict[str, torch.Tensor] = {}
    named = dict(module.named_modules())

    def start(*_: Any) -> None:
        outputs.clear()

    def keep(name: str) -> Callable[..., None]:
        def hook(_m: nn.Module, _i: Any, out: Any) -> None:
            if isinstance(out, (tuple, list)) and out:
                out = out[0]
            if isinstance(out, torch.Tensor):
                k, key = 1, name
                while key in outputs:
                    k += 1
                    key = f"{name}#{k}"
                outputs[key] = out

        return hook

    handles = [module.register_forward_pre_hook(start)]
    try:
        handles += [named[name].register_forward_hook(keep(name)) for name in names]
        yield outputs
    finally:
        for handle in handles:
            handle.remove()


def _look_like_probabilities(logits: torch.Tensor) -> bool:
    inside = bool((logits >= 0).all()) and bool((logits <= 1).all())
    return inside and bool(((logits.sum(1) - 1).abs() < 1e-3).all())


def _on_device(module: nn.Module, device: str | torch.device | None) -> nn.Module:
    if device is None:
        return module
    try:
        wanted = torch.device(device)
        torch.empty(0, device=wanted)
    except (RuntimeError, AssertionError) as error:  # an unknown name, or a machine without it
        raise InputError("device", found=repr(str(device)), expected="a device that this machine has") from error
    if any(t.is_meta for t in (*module.parameters(), *module.buffers())) and wanted.type != "meta":
        raise InputError("model", found="weights on the meta device, which hold no values", expected="loaded weights")
    if all(t.device == wanted for t in (*module.parameters(), *module.buffers())):
        return module
    from copy import deepcopy

    return deepcopy(module).to(wanted)
