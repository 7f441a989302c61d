"""Small networks as plain functions, so that a run directory can rebuild one from its name and JSON arguments.

Every layer whose output may be asked for is a named module of its own; nothing here uses batch statistics.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence

from torch import nn

from learnt.core.errors import InputError


def mlp(inputs: int, classes: int, widths: Sequence[int] = (128, 128)) -> nn.Module:
    """A fully connected network with ReLU: flatten, (linear1, relu1), (linear2, relu2), ..., linear `output`.

    Args:
        inputs: number of values of one example after flattening.
        classes: number of outputs.
        widths: units of each hidden layer; () is a linear model.

    Raises:
        InputError: a size below 1.
    """
    _positive(inputs=inputs, classes=classes, **{f"widths[{i}]": w for i, w in enumerate(widths)})
    layers: OrderedDict[str, nn.Module] = OrderedDict(flatten=nn.Flatten())
    before = inputs
    for i, width in enumerate(widths, start=1):
        layers[f"linear{i}"] = nn.Linear(before, width)
        layers[f"relu{i}"] = nn.ReLU()
        before = width
    layers["output"] = nn.Linear(before, classes)
    return nn.Sequential(layers)


def small_cnn(channels: int, classes: int, width: int = 16, size: int = 32, hidden: int = 64) -> nn.Module:
    """Three 3x3 convolutions of stride 2 (width, 2 width, 4 width), 4 x 4 averages, a hidden layer, linear `output`.

    Layers: conv1, relu1, conv2, relu2, conv3, relu3, pool, flatten, hidden, relu4, output.

    Args:
        channels: of the images.
        classes: number of outputs.
        width: channels of the first stage.
        size: height and width of the images in pixels, at least 8.
        hidden: units of the hidden layer.

    Raises:
        InputError: a size out of range.
    """
    _positive(channels=channels, classes=classes, width=width, hidden=hidden)
    if size < 8:
        raise InputError("size", found=f"{size} pixels", expected="at least 8, for three halvings")
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    before = channels
    for i in (1, 2, 3):
        after = width * 2 ** (i - 1)
        layers[f"conv{i}"] = nn.Conv2d(before, after, 3, stride=2, padding=1)
        layers[f"relu{i}"] = nn.ReLU()
        before = after
    layers["pool"] = nn.AdaptiveAvgPool2d(4)
    layers["flatten"] = nn.Flatten()
    layers["hidden"] = nn.Linear(16 * before, hidden)
    layers["relu4"] = nn.ReLU()
    layers["output"] = nn.Linear(hidden, classes)
    return nn.Sequential(layers)


def _positive(**sizes: int) -> None:
    for name, size in sizes.items():
        if size < 1:
            raise InputError(name, found=str(size), expected="a positive integer")


NETS: tuple[Callable[..., nn.Module], ...] = (mlp, small_cnn)
