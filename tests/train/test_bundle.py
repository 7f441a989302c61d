from __future__ import annotations

import pytest
import torch
from tests.train.worlds import blobs, tiny, with_batch_norm
from torch import nn

from learnt.core.errors import InputError
from learnt.train import CrossEntropy, Population
from learnt.train._bundle import Stack, assemble, disband

CPU = torch.device("cpu")


def test_stacked_tensors_share_memory_with_what_is_trained():
    population, module = Population(with_batch_norm, 2, seed=0), with_batch_norm()
    for thing, tensors in ((population, population.parameters), (module, dict(module.named_parameters()))):
        stack = assemble(thing, CrossEntropy(), blobs(), 0, CPU)
        assert all(v.data_ptr() == tensors[k.removeprefix("model.")].data_ptr() for k, v in stack.parameters.items())
        with torch.no_grad():
            stack.parameters["model.0.weight"].zero_()
            stack.buffers["model.1.running_mean"].fill_(3)
    assert float(population.parameters["0.weight"].abs().sum()) == float(module[0].weight.detach().abs().sum()) == 0
    assert float(module[1].running_mean.mean()) == 3


def test_tensors_that_were_moved_elsewhere_are_brought_back():
    population = Population(tiny, 2, seed=0)
    stack = assemble(population, CrossEntropy(), blobs(), 0, CPU)
    away = Stack(stack.bundle, {k: torch.full_like(v, 2.0) for k, v in stack.tensors().items()})
    disband(away, population)
    assert all(bool((v == 2).all()) for v in population.parameters.values())


def test_scratch_copies_buffers_only():
    stack = assemble(Population(with_batch_norm, 2, seed=0), CrossEntropy(), blobs(), 0, CPU)
    scratch = stack.scratch()
    scratch.buffers["model.1.running_mean"].fill_(9)
    assert float(stack.buffers["model.1.running_mean"].abs().sum()) == 0
    assert scratch.parameters["model.0.weight"].data_ptr() == stack.parameters["model.0.weight"].data_ptr()


def test_a_model_without_trainable_parameters_is_refused():
    with pytest.raises(InputError, match="require gradients"):
        assemble(nn.ReLU(), CrossEntropy(), blobs(), 0, CPU)
