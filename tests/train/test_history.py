from __future__ import annotations

import json

import torch
from tests.train.worlds import blobs, tiny

from learnt.train import CrossEntropy, History, Population, fit


def test_a_history_is_strict_json_with_none_for_what_is_undefined():
    history = History(
        losses=torch.tensor([[1.0, torch.nan]]), validation=None, best_epoch=torch.tensor([1, 0]), steps=3, seconds=0.5,
        engine="loop", notes=("a",),
    )  # fmt: skip
    plain = history.to_dict()
    assert json.loads(json.dumps(plain, allow_nan=False)) == plain
    assert plain["losses"] == [[1.0, None]]
    assert plain["epochs"] == 1


def test_a_logger_is_one_line():
    class Writer:
        def __init__(self):
            self.lines = []

        def add_scalar(self, name, value, step):
            self.lines.append((name, float(value), step))

    writer = Writer()
    log = lambda e: e.losses is not None and writer.add_scalar("loss", e.losses.mean(), e.step)  # noqa: E731
    fit(Population(tiny, 2, seed=0), blobs(70), CrossEntropy(), epochs=1, batch_size=35, callbacks=[log])
    assert [line[2] for line in writer.lines] == [1, 2, 2]
    assert all(0 < line[1] < 5 for line in writer.lines)
