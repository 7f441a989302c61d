"""CIFAR-10 and CIFAR-100 from the binary version of the files, plain or gzipped: (n, 3, 32, 32) in [0, 1].

Source: Krizhevsky 2009. 50,000 training and 10,000 test images. Any subset of the CIFAR-10 training batches is
accepted and read in order, so that a reduced copy works.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import torch

from learnt.core.errors import StorageError, UntrustedFileError
from learnt.core.examples import Examples
from learnt.data._files import Root, find, folder, require
from learnt.data.splits import Parts
from learnt.io.formats import read_cifar

HOW = "Get the binary version (cifar-10-binary.tar.gz or cifar-100-binary.tar.gz) from "
HOW += "https://www.cs.toronto.edu/~kriz/cifar.html, unpack it, and give its folder as root."

CIFAR10 = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
CIFAR100 = tuple(
    """apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus butterfly camel can
    castle caterpillar cattle chair chimpanzee clock cloud cockroach couch crab crocodile cup dinosaur dolphin
    elephant flatfish forest fox girl hamster house kangaroo keyboard lamp lawn_mower leopard lion lizard lobster man
    maple_tree motorcycle mountain mouse mushroom oak_tree orange orchid otter palm_tree pear pickup_truck pine_tree
    plain plate poppy porcupine possum rabbit raccoon ray road rocket rose sea seal shark shrew skunk skyscraper snail
    snake spider squirrel streetcar sunflower sweet_pepper table tank telephone television tiger tractor train trout
    tulip turtle wardrobe whale willow_tree wolf woman worm""".split()
)
CIFAR100_COARSE = tuple(
    """aquatic_mammals fish flowers food_containers fruit_and_vegetables household_electrical_devices
    household_furniture insects large_carnivores large_man-made_outdoor_things large_natural_outdoor_scenes
    large_omnivores_and_herbivores medium_mammals non-insect_invertebrates people reptiles small_mammals trees
    vehicles_1 vehicles_2""".split()
)


def cifar10(root: Root | None) -> Parts:
    """The official parts of CIFAR-10 under `root`."""
    folders = folder("cifar10", root, ("cifar10", "cifar-10-batches-bin"), HOW)
    return Parts(train=partial(_train10, folders), test=partial(_test10, folders))


def cifar100(root: Root | None, *, coarse: bool = False) -> Parts:
    """The official parts of CIFAR-100 under `root`; `coarse` gives the 20 superclasses."""
    folders = folder("cifar100", root, ("cifar100", "cifar-100-binary"), HOW)

    def read(file: str) -> Examples:
        _refuse_pickles(folders, file.removesuffix(".bin"), file)
        images, labels = read_cifar(require(folders, [file], HOW), kind="cifar100", coarse=coarse)
        return _examples(images, labels, CIFAR100_COARSE if coarse else CIFAR100, "cifar100")

    return Parts(train=lambda: read("train.bin"), test=lambda: read("test.bin"))


def _train10(folders: list[Path]) -> Examples:
    found = [find(folders, [f"data_batch_{i}.bin"]) for i in range(1, 6)]
    paths = [path for path in found if path is not None]
    if not paths:
        _refuse_pickles(folders, "data_batch_1", "data_batch_1.bin")
        raise StorageError(
            str(folders[0] / "data_batch_1.bin"),
            found=f"no training batch in {', '.join(str(place) for place in folders)}",
            expected="at least one of data_batch_1.bin to data_batch_5.bin (or .bin.gz)",
            remedy=HOW,
        )
    pieces = [read_cifar(path, kind="cifar10") for path in paths]
    return _examples(np.concatenate([p[0] for p in pieces]), np.concatenate([p[1] for p in pieces]), CIFAR10, "cifar10")


def _test10(folders: list[Path]) -> Examples:
    _refuse_pickles(folders, "test_batch", "test_batch.bin")
    return _examples(*read_cifar(require(folders, ["test_batch.bin"], HOW), kind="cifar10"), CIFAR10, "cifar10")


def _refuse_pickles(folders: list[Path], pickled: str, binary: str) -> None:
    """The Python version of the files is a pickle, which can run code; say so instead of "missing"."""
    path = find(folders, [pickled])
    if path is not None and find(folders, [binary]) is None:
        raise UntrustedFileError(
            str(path), found="the pickled (Python) version", expected=f"{binary} of the binary version", remedy=HOW
        )


def _examples(images: np.ndarray, labels: np.ndarray, classes: tuple[str, ...], name: str) -> Examples:
    return Examples(
        inputs=torch.from_numpy(images).float().div_(255),
        labels=torch.from_numpy(labels),
        classes=classes,
        name=name,
        low=0.0,
        high=1.0,
    )
