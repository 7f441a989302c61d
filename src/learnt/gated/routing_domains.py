"""Many tasks from one set of images: M ways to show an image, M ways to name its class.

    input domain i   x_i = pixels of x in a fixed random order, or x turned by i / M of an angle
    output domain j  y_j = pi_j(y), a fixed random permutation of the classes

A task is a pair (i, j); M^2 of them share the images. This is the routing benchmark of Saxe, Sodhani, Lewallen 2022
(arXiv 2207.10430). Their code takes the first M permutations in lexicographic order, which leave labels 0 to 4 where
they are for every M up to 120; these are drawn at random, all different. Images come from `learnt.data.load`: the
bundled digits, MNIST files, or any other set of images.
"""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from typing import Any, Literal, final

import numpy as np
import torch

from learnt.core.errors import InputError, NotApplicable, ShapeError
from learnt.core.examples import Examples
from learnt.gated._frozen import chosen, finite, whole
from learnt.run.seeds import numpy_generator

_VIEWS = 1 << 27  # numbers of all views of all images that may be kept: 512 MB of float32


@final
@dataclass(frozen=True, eq=False, kw_only=True)
class RoutingData:
    """Images, their classes, and the M input and output domains.

    Attributes:
        name: of the set of images.
        train_x, test_x: (n, d) float32, flattened images.
        train_y, test_y: (n,) int64 classes.
        labels: (M, C) int64; domain j calls class c `labels[j, c]`.
        pixels: (M, d) int64; domain i shows pixel `pixels[i, k]` at place k. None if domains are linear maps.
        maps: (M, d, d) float32; domain i shows `maps[i] @ x`. None if domains are permutations.
    """

    name: str
    train_x: torch.Tensor
    train_y: torch.Tensor
    test_x: torch.Tensor
    test_y: torch.Tensor
    labels: torch.Tensor
    pixels: torch.Tensor | None = None
    maps: torch.Tensor | None = None

    @property
    def domains(self) -> int:
        """M."""
        return len(self.labels)

    @property
    def classes(self) -> int:
        """C."""
        return self.labels.shape[1]

    @property
    def width(self) -> int:
        """d, the number of pixels."""
        return self.train_x.shape[1]

    def inputs(self, i: int, x: torch.Tensor) -> torch.Tensor:
        """(n, d) what input domain `i` shows of images (n, d)."""
        self._check(i)
        if self.pixels is not None:
            return x[:, self.pixels[i]]
        return x if self.maps is None else x @ self.maps[i].mT

    def targets(self, j: int, y: torch.Tensor) -> torch.Tensor:
        """(n,) what output domain `j` calls classes (n,)."""
        self._check(j)
        return self.labels[j][y]

    def views(self, x: torch.Tensor) -> torch.Tensor:
        """(..., M, d) what every input domain shows of images (..., d)."""
        if self.pixels is not None:
            return x[..., self.pixels]
        if self.maps is None:
            return x.unsqueeze(-2).expand(*x.shape[:-1], self.domains, x.shape[-1])
        m, d, _ = self.maps.shape
        return (x @ self.maps.reshape(m * d, d).mT).unflatten(-1, (m, d))

    def keeps_views(self) -> bool:
        """Whether the views of all training images fit into half a gigabyte."""
        return len(self.train_x) * self.domains * self.width <= _VIEWS

    def __str__(self) -> str:
        kind = (
            "permuted pixels" if self.pixels is not None else "turned images" if self.maps is not None else "one view"
        )
        return (
            f"{self.name}: {self.domains} input domains ({kind}), {self.domains} output domains, "
            f"{len(self.train_x):,} training and {len(self.test_x):,} test images of {self.width} pixels"
        )

    def _check(self, domain: int) -> None:
        if not 0 <= domain < self.domains:
            raise InputError("domain", found=repr(domain), expected=f"0 to {self.domains - 1}")


def routing_data(
    source: str | os.PathLike[str] | tuple[Examples, Examples] = "digits",
    domains: int = 10,
    *,
    inputs: Literal["permute", "rotate", "same"] = "permute",
    outputs: Literal["permute", "same"] = "permute",
    degrees: float = 270.0,
    root: str | os.PathLike[str] | None = None,
    limit: int | None = None,
    seed: int = 0,
) -> RoutingData:
    """M^2 tasks from a set of images.

    Args:
        source: a name or path that `learnt.data.load` takes, such as "digits" or "mnist"; or (training, test) examples.
        domains: M input and M output domains.
        inputs: "permute" the pixels, "rotate" the images, or show all domains the "same".
        outputs: "permute" the classes, or use the "same" names everywhere (a control: decoders still differ).
        degrees: domain i is turned by i degrees / M; bilinear, edge pixels repeated.
        root: folder of the files of a named set.
        limit: at most this many training images.
        seed: of the permutations, each from its own stream, so that more domains leave the first ones as they are; and
            of the split if the set has no official one.

    Raises:
        InputError: unknown options, or more output domains than there are permutations of the classes.
        NotApplicable: no images, or no classes.
    """
    count = whole(domains, "domains", 1)
    chosen(inputs, "inputs", ("permute", "rotate", "same"))
    chosen(outputs, "outputs", ("permute", "same"))
    if isinstance(source, tuple) and not (len(source) == 2 and all(isinstance(part, Examples) for part in source)):
        found = ", ".join(type(part).__name__ for part in source)
        raise InputError("source", found=f"({found})"[:60], expected="a name, a path, or (training, test) Examples")
    train, test = source if isinstance(source, tuple) else _loaded(source, root, limit, seed)
    for part, what in ((train, "training"), (test, "test")):
        if not part.is_classification or not part.inputs.is_floating_point():
            raise NotApplicable("source", found=f"{what} data without images or classes", expected="labelled images")
    if train.inputs.shape[1:] != test.inputs.shape[1:]:
        raise ShapeError(
            "source", found=f"training images {tuple(train.inputs.shape[1:])}, test images "
            f"{tuple(test.inputs.shape[1:])}", expected="one size",
        )  # fmt: skip
    train_y, test_y = _labels(train), _labels(test)
    classes = max(len(train.classes), int(max(train_y.max(), test_y.max())) + 1)
    train_x, test_x = train.inputs.flatten(1).float(), test.inputs.flatten(1).float()
    width = train_x.shape[1]
    pixels = None
    if inputs == "permute":
        orders = [numpy_generator(seed, "pixels of domain", i).permutation(width) for i in range(count)]
        pixels = torch.from_numpy(np.stack(orders))
    return RoutingData(
        name=train.name,
        train_x=train_x,
        train_y=train_y,
        test_x=test_x,
        test_y=test_y,
        labels=_namings(count, classes, outputs == "permute", seed),
        pixels=pixels,
        maps=_turns(train, count, degrees) if inputs == "rotate" else None,
    )


def _loaded(source: Any, root: Any, limit: int | None, seed: int) -> tuple[Examples, Examples]:
    from learnt.data.load import load
    from learnt.data.splits import joined

    train = joined([load(source, root=root, split=split, seed=seed) for split in ("train", "validation")])
    if limit is not None:
        train = train.take(train.subset(whole(limit, "limit", 1)))
    return train, load(source, root=root, split="test", seed=seed)


def _labels(part: Examples) -> torch.Tensor:
    if part.labels is None:
        raise NotApplicable("source", found="no labels", expected="labelled images")
    return part.labels


def _namings(count: int, classes: int, permute: bool, seed: int) -> torch.Tensor:
    """(M, C) different random permutations of the classes, or M times the identity."""
    if not permute:
        return torch.arange(classes).repeat(count, 1)
    if classes < 20 and count > math.factorial(classes):
        raise InputError(
            "domains", found=f"{count}", expected=f"at most {math.factorial(classes)}, the permutations of {classes} "
            "classes"
        )  # fmt: skip
    found: list[tuple[int, ...]] = []
    seen: set[tuple[int, ...]] = set()
    for j in range(count):
        rng = numpy_generator(seed, "names of domain", j)
        order = tuple(rng.permutation(classes).tolist())
        while order in seen:
            order = tuple(rng.permutation(classes).tolist())
        seen.add(order)
        found.append(order)
    return torch.tensor(found)


def _turns(images: Examples, count: int, degrees: Any) -> torch.Tensor:
    """(M, d, d): each rotation as the matrix that it is, from what it does to images of one bright pixel."""
    from learnt.data._pixels import rotate

    angle = finite(degrees, "degrees")
    if angle.shape != ():
        raise InputError("degrees", found=f"an array of shape {angle.shape}", expected="one angle")
    if not images.is_images:
        raise NotApplicable(
            "inputs", found=f"inputs of shape {tuple(images.inputs.shape)}", expected="images (n, C, H, W) to rotate"
        )
    shape = tuple(images.inputs.shape[1:])
    width = math.prod(shape)
    basis = torch.eye(width).reshape(width, *shape)
    turned = [rotate(basis, np.full(width, i * float(angle) / count)).reshape(width, width).mT for i in range(count)]
    return torch.stack([t.contiguous() for t in turned])
