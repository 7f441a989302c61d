from __future__ import annotations

import numpy as np
import pytest
import torch
from tests.train.worlds import difference, tiny, with_batch_norm
from torch import nn

from learnt.core.errors import InputError, ResumeError, ShapeError, StorageError
from learnt.train import Population


def test_a_replica_does_not_depend_on_how_many_there_are():
    few, many = Population(tiny, 2, seed=7), Population(tiny, 5, seed=7)
    assert difference(few[1], many[1]) == 0
    assert difference(many[1], many[2]) > 0.01
    assert difference(few[1], Population(tiny, 2, seed=8)[1]) > 0.01


def test_making_a_population_leaves_the_global_random_state_alone():
    torch.manual_seed(3)
    before = torch.get_rng_state()
    Population(tiny, 3, seed=0)
    assert torch.equal(before, torch.get_rng_state())


def test_parameters_and_buffers_are_stacked():
    population = Population(with_batch_norm, 4, seed=0)
    assert {k: tuple(v.shape) for k, v in population.parameters.items()}["0.weight"] == (4, 8, 6)
    assert {k: tuple(v.shape) for k, v in population.buffers.items()} == {
        "1.running_mean": (4, 8),
        "1.running_var": (4, 8),
        "1.num_batches_tracked": (4,),
    }
    assert len(population) == len(list(population)) == 4
    assert "4 replicas" in repr(population)


def test_a_replica_is_an_ordinary_module_whose_changes_stay_its_own():
    population = Population(with_batch_norm, 2, seed=0)
    module = population[1]
    assert type(module) is nn.Sequential
    assert not module.training
    with torch.no_grad():
        for tensor in (*module.parameters(), *module.buffers()):
            tensor.zero_()
    assert difference(population[1], module) > 0.01
    assert difference(population[-1], population[1]) == 0
    with pytest.raises(IndexError):
        population[2]


def test_saving_and_loading_gives_the_same_bits(tmp_path):
    population = Population(with_batch_norm, 3, seed=5)
    population.buffers["1.running_mean"][2] = 4.0
    population.save(tmp_path / "p")
    back = Population.load(tmp_path / "p", with_batch_norm)
    assert (len(back), back.seed) == (3, 5)
    for i in range(3):
        assert difference(population[i], back[i]) == 0


def test_saving_again_replaces_the_files_and_leaves_no_others(tmp_path):
    for seed in (0, 1):
        Population(tiny, 2, seed=seed).save(tmp_path)
    assert len(list(tmp_path.iterdir())) == 2
    assert difference(Population.load(tmp_path, tiny)[0], Population(tiny, 2, seed=1)[0]) == 0


def test_a_damaged_population_is_refused(tmp_path):
    Population(tiny, 2, seed=0).save(tmp_path)
    (file,) = tmp_path.glob("*.safetensors")
    data = bytearray(file.read_bytes())
    data[-3] ^= 1
    file.write_bytes(data)
    with pytest.raises(ResumeError, match="digest"):
        Population.load(tmp_path, tiny)


def test_loading_into_another_architecture_names_the_parameters(tmp_path):
    Population(tiny, 2, seed=0).save(tmp_path)
    with pytest.raises(ShapeError, match=r"buffers\.1\.num_batches_tracked"):
        Population.load(tmp_path, with_batch_norm)


def test_loading_from_an_empty_directory_says_so(tmp_path):
    with pytest.raises(StorageError):
        Population.load(tmp_path, tiny)


@pytest.mark.parametrize("size", [0, -1, 2.0, True])
def test_a_size_that_is_no_positive_number_is_refused(size):
    with pytest.raises(InputError, match="size"):
        Population(tiny, size, seed=0)


def test_a_function_that_returns_no_module_is_refused():
    with pytest.raises(InputError, match="make"):
        Population(lambda: np.zeros(3), 2, seed=0)  # type: ignore[arg-type,return-value]


def test_an_architecture_that_changes_between_replicas_is_refused():
    widths = iter((3, 4))
    with pytest.raises(ShapeError, match=r"replica 1.*weight"):
        Population(lambda: nn.Linear(2, next(widths)), 2, seed=0)


def test_a_lazy_module_is_refused_with_the_remedy():
    with pytest.raises(InputError, match="Run one batch"):
        Population(lambda: nn.LazyLinear(3), 2, seed=0)


def test_a_population_of_existing_modules_copies_them():
    modules = [tiny(), tiny()]
    population = Population.of(modules)
    assert difference(population[1], modules[1]) == 0
    with pytest.raises(InputError):
        Population.of([])
