import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from learnt.data._counter import normals, uniforms, words

KEYS = np.arange(40, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)


@given(seed=st.integers(0, 2**32), count=st.integers(1, 65), salt=st.integers(0, 2**63))
def test_numbers_of_a_key_do_not_depend_on_the_other_keys(seed, count, salt):
    order = np.random.default_rng(seed).permutation(len(KEYS))[: 1 + seed % 40]
    for stream in (words, uniforms, normals):
        np.testing.assert_array_equal(stream(KEYS[order], salt, count), stream(KEYS, salt, count)[order])


def test_a_longer_stream_begins_with_the_shorter_one():
    np.testing.assert_array_equal(normals(KEYS, 3, 100)[:, :7], normals(KEYS, 3, 7))


@pytest.mark.parametrize(("stream", "law"), [(uniforms, stats.uniform), (normals, stats.norm)])
def test_numbers_follow_their_law_along_keys_and_along_counters(stream, law):
    block = stream(np.arange(400, dtype=np.uint64), 11, 400)
    for values in (block[:, 5], block[7], block.ravel()):
        assert stats.kstest(values, law.cdf).pvalue > 1e-3


def test_streams_of_different_salts_and_neighbouring_keys_are_uncorrelated():
    a, b = normals(np.arange(2000, dtype=np.uint64), 1, 8), normals(np.arange(2000, dtype=np.uint64), 2, 8)
    assert abs(np.corrcoef(a.ravel(), b.ravel())[0, 1]) < 0.03
    assert abs(np.corrcoef(a[1:].ravel(), a[:-1].ravel())[0, 1]) < 0.03
    assert abs(np.corrcoef(a[:, 1:].ravel(), a[:, :-1].ravel())[0, 1]) < 0.03


def test_uniform_numbers_never_reach_zero_or_one():
    values = uniforms(np.arange(10_000, dtype=np.uint64), 0, 10)
    assert values.min() > 0
    assert values.max() < 1
