from __future__ import annotations

import json

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from learnt.core.errors import InputError, ResumeError
from learnt.train._state import decode, encode

LEAVES = st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.floats(allow_nan=False) | st.text(max_size=5)
TREES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.tuples(inner, inner)
        | st.dictionaries(st.integers(0, 9) | st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(TREES)
def test_whatever_an_optimiser_may_keep_comes_back_equal_through_json(tree):
    tensors: dict[str, torch.Tensor] = {}
    back = decode(json.loads(json.dumps(encode(tree, "x", tensors), allow_nan=False)), tensors)
    assert back == tree
    assert repr(back) == repr(tree)  # tuples stay tuples, 1 stays 1, True stays True


def test_tensors_and_nan_come_back():
    tensors: dict[str, torch.Tensor] = {}
    tree = {"a": [torch.arange(3), {"b": torch.tensor(2.0)}], "c": float("nan")}
    back = decode(encode(tree, "x", tensors), tensors)
    assert torch.equal(back["a"][0], torch.arange(3))
    assert back["a"][1]["b"] == 2
    assert back["c"] != back["c"]
    assert set(tensors) == {"x.a.0", "x.a.1.b"}


def test_what_cannot_be_kept_is_refused_by_its_path():
    with pytest.raises(InputError, match=r"x\.a\.0: found a function"):
        encode({"a": [lambda: 0]}, "x", {})
    with pytest.raises(InputError, match="key of type float"):
        encode({1.5: 0}, "x", {})


@pytest.mark.parametrize(
    "bad", [{"tensor": "missing"}, {"pickle": "x"}, {"a": 1, "b": 2}, [1], {"float": "__import__"}]
)
def test_state_of_another_form_is_refused(bad):
    with pytest.raises(ResumeError):
        decode(bad, {})
