import csv
import math
import re
import sys

import numpy as np
import pytest

from learnt.core.errors import MissingExtra
from learnt.core.estimate import Estimate
from learnt.core.matrix import ComparisonMatrix
from learnt.report import tables


def test_a_frame_has_one_row_a_question(make):
    c = make.comparison()
    frame = c.to_frame()
    assert list(frame["name"]) == [a.name for a in c.answers]
    assert list(frame.columns) == list(tables.COLUMNS)
    row = frame[frame["name"] == "agreement"].iloc[0]
    assert row["value"] == 0.941
    assert row["transfer_low"] == pytest.approx(0.31)
    assert frame["value"].dtype == np.float64


def test_undefined_numbers_are_missing_and_keep_their_reason(make):
    frame = make.comparison().to_frame()
    row = frame[frame["name"] == "nothing"].iloc[0]
    assert math.isnan(row["value"])
    assert row["reason"] == "all models are always right"


def test_without_pandas_the_error_says_what_to_install(make, monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(MissingExtra, match="pip install pandas"):
        make.comparison().to_frame()


def test_a_matrix_becomes_a_frame(make):
    one, half = Estimate.exact(1.0), make.estimate(0.5)
    matrix = ComparisonMatrix(
        question="?", name="agreement", unit="share", names=("x", "y"), cells=((one, half), (half, one)), data="d"
    )
    assert matrix.to_frame().loc["x", "y"] == 0.5


def test_csv_reads_back_as_it_was_written(make, tmp_path):
    c = make.comparison()
    path = tables.to_csv(c, tmp_path / "c.csv")
    with open(path, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [r["name"] for r in rows] == [a.name for a in c.answers]
    assert float(rows[0]["value"]) == 0.941
    assert rows[5]["value"] == ""


def test_no_cell_of_a_csv_is_a_formula(make, tmp_path):
    for payload in make.payloads:
        with open(tables.to_csv(make.hostile(payload), tmp_path / "c.csv"), newline="", encoding="utf-8") as file:
            for row in csv.reader(file):
                for cell in row:
                    number = re.fullmatch(r"-?[0-9.]+(e-?[0-9]+)?", cell)
                    assert number or cell.lstrip(" ")[:1] not in tuple("=+-@\t\r"), repr(payload)


def test_markdown_has_one_line_a_question(make):
    text = tables.markdown(make.comparison([make.answer()]))
    assert (
        text.splitlines()[2]
        == "| Do they give the same answer? | 94.1 % [93.1, 95.1] | 90.2 % | 40 % [31, 49] | transferred |"
    )


def test_markdown_of_hostile_labels_is_inert(make):
    for payload in make.payloads:
        for line in tables.markdown(make.hostile(payload)).splitlines():
            ours = re.sub(r"\[-?[0-9.]+, -?[0-9.]+\]", "", line)  # intervals
            assert not re.search(r"(?<!\\)[<>`\[\]!]", ours), repr(payload)
            assert not re.search(r"(?i)https?:|www\.|mailto:", line), repr(payload)
            assert len(re.findall(r"(?<!\\)\|", line)) in (6, 4), repr(payload)
