"""Arrays go into .npz files and come back; objects never do."""

import numpy as np
import pytest

from learnt.core.errors import InputError
from learnt.io.arrays import read_npz, write_npz


def test_arrays_written_come_back_and_objects_are_refused(tmp_path):
    path = write_npz(tmp_path / "a.npz", {"x": np.arange(3), "t": np.array(["a", "b"])})
    back = read_npz(path)
    assert back["x"].tolist() == [0, 1, 2] and back["t"].tolist() == ["a", "b"]
    with pytest.raises(InputError, match="objects"):
        write_npz(tmp_path / "b.npz", {"x": np.array([{}], dtype=object)})
    assert [p.name for p in tmp_path.iterdir()] == ["a.npz"]
