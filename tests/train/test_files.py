from __future__ import annotations

import json

import pytest
import torch

from learnt.core.errors import ResumeError, StorageError
from learnt.train._files import commit, digest, discard, read


def test_a_pair_comes_back_with_the_same_bits(tmp_path):
    tensors = {"a": torch.randn(3, 4).T, "b": torch.tensor(5), "c": torch.zeros(0)}
    commit(tmp_path, "pair", tensors, {"step": 3})
    back, record = read(tmp_path, "pair")
    assert record["step"] == 3
    assert digest(back) == digest(tensors)


def test_the_digest_sees_names_types_shapes_and_values_but_not_order():
    a, b = torch.zeros(4), torch.ones(2)
    assert digest({"a": a, "b": b}) == digest({"b": b, "a": a})
    others = [{"a": b, "b": a}, {"x": a, "b": b}, {"a": a.view(2, 2), "b": b}, {"a": a.to(torch.int32), "b": b}]
    assert len({digest(o) for o in others} | {digest({"a": a, "b": b})}) == 5


def test_a_crash_between_the_two_files_leaves_the_earlier_pair(tmp_path, monkeypatch):
    import learnt.train._files as files

    commit(tmp_path, "pair", {"a": torch.zeros(2)}, {"step": 1})

    def crash(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(files, "write_json", crash)
    with pytest.raises(KeyboardInterrupt):
        commit(tmp_path, "pair", {"a": torch.ones(2)}, {"step": 2})
    tensors, record = read(tmp_path, "pair")
    assert record["step"] == 1
    assert torch.equal(tensors["a"], torch.zeros(2))


@pytest.mark.parametrize("name", ["../pair.x.safetensors", "/etc/passwd", "other.safetensors", 3, None])
def test_a_record_cannot_point_elsewhere(tmp_path, name):
    commit(tmp_path, "pair", {"a": torch.zeros(2)}, {})
    record = json.loads((tmp_path / "pair.json").read_text())
    (tmp_path / "pair.json").write_text(json.dumps({**record, "tensors": name}))
    with pytest.raises(ResumeError):
        read(tmp_path, "pair")


def test_what_is_missing_is_a_storage_error_and_discard_removes_only_its_own(tmp_path):
    with pytest.raises(StorageError):
        read(tmp_path, "pair")
    kept = commit(tmp_path, "pair", {"a": torch.zeros(2)}, {})
    commit(tmp_path, "pair", {"a": torch.ones(2)}, {})
    commit(tmp_path, "other", {"a": torch.ones(2)}, {})
    discard(tmp_path, "pair", keep={kept})
    assert len(list(tmp_path.glob("*.safetensors"))) == 2
    assert (tmp_path / kept).exists()
