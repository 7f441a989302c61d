"""A fixed number of threads inside, the old settings outside."""

from __future__ import annotations

import pytest
import torch
from threadpoolctl import threadpool_info

from learnt.core.errors import InputError
from learnt.run.threads import threads


def _settings():
    return torch.get_num_threads(), sorted((pool["filepath"], pool["num_threads"]) for pool in threadpool_info())


@pytest.mark.parametrize("number", [1, 2])
def test_torch_and_blas_run_on_the_number_asked_for(number):
    with threads(number):
        assert torch.get_num_threads() == number
        assert all(pool["num_threads"] <= number for pool in threadpool_info())


def test_the_settings_are_restored_even_after_an_error():
    before = _settings()
    with pytest.raises(KeyError), threads(2):
        raise KeyError
    assert _settings() == before
    with threads(2), threads(1):
        pass
    assert _settings() == before


@pytest.mark.parametrize("number", [0, -1])
def test_a_number_below_one_is_an_input_error(number):
    with pytest.raises(InputError), threads(number):
        pass
