from __future__ import annotations

import json

import pytest
import torch
from torch import nn

from learnt.core.errors import InputError
from learnt.train.nets import NETS, mlp, small_cnn


def test_the_mlp_flattens_and_has_the_sizes_asked_for():
    net = mlp(64, 10)
    assert net(torch.zeros(2, 1, 8, 8)).shape == (2, 10)
    assert sum(p.numel() for p in net.parameters()) == 64 * 128 + 128 + 128 * 128 + 128 + 128 * 10 + 10
    assert isinstance(mlp(4, 2, ()).get_submodule("output"), nn.Linear)


@pytest.mark.parametrize("size", [8, 28, 32])
def test_the_cnn_takes_images_and_halves_them_three_times(size):
    net = small_cnn(3, 5, width=4, size=size)
    assert net(torch.zeros(2, 3, size, size)).shape == (2, 5)
    assert net.get_submodule("conv3").out_channels == 16


@pytest.mark.parametrize("net", [mlp(6, 3), small_cnn(1, 3)])
def test_every_activation_is_a_named_module_of_its_own_and_nothing_uses_batch_statistics(net):
    kinds = [type(m) for n, m in net.named_modules() if n]
    assert kinds.count(nn.ReLU) >= 2
    assert not any(isinstance(m, nn.modules.batchnorm._BatchNorm) for m in net.modules())
    assert list(net.buffers()) == []


def test_every_net_can_be_rebuilt_from_its_name_and_json():
    arguments = {
        "mlp": {"inputs": 6, "classes": 3, "widths": [5]},
        "small_cnn": {"channels": 1, "classes": 3, "width": 4, "size": 28},
    }
    for make in NETS:
        again = make(**json.loads(json.dumps(arguments[make.__name__])))
        assert isinstance(again, nn.Module)


@pytest.mark.parametrize(
    "call", [lambda: mlp(0, 3), lambda: mlp(3, 3, (0,)), lambda: small_cnn(3, 0), lambda: small_cnn(3, 2, size=7)]
)
def test_sizes_out_of_range_are_refused(call):
    with pytest.raises(InputError):
        call()
