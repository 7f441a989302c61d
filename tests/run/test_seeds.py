"""Random streams by name: golden seeds, independence, and no global state."""

from __future__ import annotations

import hashlib
import random

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from learnt.run.seeds import derive, generator, numpy_generator


def test_a_seed_is_the_first_63_bits_of_the_hash_of_its_parts():
    digest = hashlib.sha256(b"0|fit|3").hexdigest()
    assert derive(0, "fit", 3) == int(digest[:16], 16) >> 1
    assert derive(0, "fit", 3) == derive("0|fit", 3)  # the parts are joined by |


def test_seeds_are_the_same_in_every_version():
    assert derive("golden") == 7974589751032975054
    assert derive(0, "shapes", "train") == 2610710111782313663
    assert torch.randint(0, 1000, (4,), generator=generator("golden")).tolist() == [244, 913, 781, 872]
    assert numpy_generator("golden").integers(0, 1000, 4).tolist() == [813, 473, 591, 444]


@given(st.lists(st.integers() | st.text(), max_size=4))
def test_every_seed_fits_torch_and_numpy(parts):
    assert 0 <= derive(*parts) < 2**63
    generator(*parts)
    numpy_generator(*parts)


def test_a_hundred_thousand_streams_have_different_seeds():
    assert len({derive(seed, "x", replica) for seed in range(1000) for replica in range(100)}) == 100_000


def test_neighbouring_streams_are_uncorrelated():
    draws = np.stack([numpy_generator(0, i).standard_normal(2000) for i in range(40)])
    correlations = np.corrcoef(draws)[np.triu_indices(40, 1)]
    assert np.abs(correlations).max() < 5 / np.sqrt(2000)


def test_no_global_generator_is_touched():
    before = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state()
    torch.randn(3, generator=generator("x"))
    numpy_generator("x").random(3)
    after = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state()
    assert before[:2] == after[:2]
    assert torch.equal(before[2], after[2])
