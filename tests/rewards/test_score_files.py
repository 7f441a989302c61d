"""Score files: JSON lines and CSV are joined on (prompt, response); what is missing, double or no number is an error."""

import gzip
import json

import numpy as np
import pytest

from learnt.core.errors import InputError, NonFiniteError, ShapeError, StorageError, UntrustedFileError
from learnt.rewards.responses import response_distance
from learnt.rewards.score_files import read_scores, scores_from_frame

PAIRS = [("p1", "a"), ("p1", "b"), ("p2", "a"), ("p2", "b")]


def lines(path, scores, pairs=PAIRS, **extra):
    rows = [
        {"prompt_id": p, "response_id": r, "score": s} | {k: v[i] for k, v in extra.items()}
        for i, ((p, r), s) in enumerate(zip(pairs, scores, strict=True))
    ]
    path.write_text("\n".join(json.dumps(row) for row in rows) + "\n\n")
    return path


def test_two_files_are_joined_on_prompt_and_response_whatever_their_order(tmp_path):
    a = lines(tmp_path / "a.jsonl", [1.0, 2.0, 3.0, 4.0])
    b = lines(tmp_path / "b.jsonl", [40.0, 30.0, 20.0, 10.0], PAIRS[::-1])
    table = read_scores([a, b])
    assert table.names == ("a", "b")
    assert table.scores["a"].tolist() == [1.0, 2.0, 3.0, 4.0]
    assert table.scores["b"].tolist() == [10.0, 20.0, 30.0, 40.0]
    assert table.data.groups == ("p1", "p1", "p2", "p2")
    assert [table.data.response(i) for i in range(4)] == ["a", "b", "a", "b"]
    assert response_distance(table)["a", "b"].distance.value == pytest.approx(0.0, abs=1e-12)


def test_one_file_can_hold_several_models(tmp_path):
    path = lines(tmp_path / "both.jsonl", [{"x": i, "y": -i} for i in range(4)])
    assert read_scores(path).names == ("x", "y")
    rows = [{"prompt_id": 1, "response_id": i, "old": i, "new": 2 * i} for i in range(2)]
    (tmp_path / "fields.jsonl").write_text("\n".join(map(json.dumps, rows)))
    table = read_scores(tmp_path / "fields.jsonl", score=("old", "new"))
    assert table.scores["new"].tolist() == [0.0, 2.0]


def test_rewards_of_steps_are_summed(tmp_path):
    path = lines(tmp_path / "a.jsonl", [[0.5, 0.5], [1, 2, 3], 4.0, [1e-3]])
    assert read_scores(path).scores["a"].tolist() == [1.0, 6.0, 4.0, 1e-3]


def test_lengths_texts_and_weights_come_along(tmp_path):
    path = lines(
        tmp_path / "a.jsonl", [1, 2, 3, 4], text=["abc", "de", "", "f"], weight=[1, 2, 3, 4], question=["q1"] * 2 + ["q2"] * 2
    )  # fmt: skip
    other = lines(tmp_path / "b.jsonl", [4, 3, 2, 1])
    table = read_scores(
        [path], length="text", reference="weight", prompt_text="question", response_text="text", names=["mine"]
    )
    assert table.names == ("mine",)
    assert table.data.length.tolist() == [3.0, 2.0, 0.0, 1.0]
    assert table.data.reference.tolist() == [1.0, 2.0, 3.0, 4.0]
    assert table.data.prompts == ("q1", "q1", "q2", "q2") and table.data.responses[0] == "abc"
    with pytest.raises(InputError, match="a field 'text'"):
        read_scores([path, other], length="text")


def test_csv_and_gzip_are_read_too(tmp_path):
    path = tmp_path / "scores.csv"
    path.write_text("prompt_id,response_id,m1,m2,len\np1,a,1,5,9\np1,b,2,4,8\n")
    table = read_scores(path, length="len")
    assert table.names == ("m1", "m2") and table.data.length.tolist() == [9.0, 8.0]
    assert read_scores(path, score="m2").names == ("m2",)
    packed = tmp_path / "z.jsonl.gz"
    packed.write_bytes(gzip.compress(lines(tmp_path / "z.jsonl", [1, 2, 3, 4]).read_bytes()))
    mixed = read_scores([packed, lines(tmp_path / "y.jsonl", [1, 2, 3, 4])])
    assert mixed.names == ("z", "y")
    with pytest.raises(InputError, match="columns of the table"):
        read_scores(path, group="prompt")


def test_a_frame_of_pandas_is_taken_as_it_is():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"p": ["x", "x", "y", "y"], "r": [0, 1, 0, 1], "a": [1.0, 2, 3, 4], "b": [1.0, 3, 2, 4]})
    table = scores_from_frame(frame, group="p", response="r", scores=["a", "b"], length="r")
    assert table.names == ("a", "b") and table.data.size == 2
    assert scores_from_frame(frame, group="p", response=None, scores=["a"]).data.response(1) == "1"
    with pytest.raises(InputError, match="no column 'c'"):
        scores_from_frame(frame, group="p", response="r", scores=["c"])
    with pytest.raises(InputError, match="again"):
        scores_from_frame(frame.assign(r=0), group="p", response="r", scores=["a"])
    with pytest.raises(NonFiniteError, match="NaN"):
        scores_from_frame(frame.assign(a=np.nan), group="p", response="r", scores=["a"])


def test_a_pair_that_one_file_lacks_is_named_with_both_files(tmp_path):
    a = lines(tmp_path / "a.jsonl", [1.0, 2.0, 3.0, 4.0])
    b = lines(tmp_path / "b.jsonl", [1.0, 2.0], PAIRS[:2])
    for order in ([a, b], [b, a]):
        with pytest.raises(InputError, match=r"b\.jsonl: found no score for prompt 'p2', response 'a' and 1 more"):
            read_scores(order)


def test_a_pair_twice_is_named_with_both_lines(tmp_path):
    path = lines(tmp_path / "a.jsonl", [1.0, 2.0, 3.0], [("p", "a"), ("p", "b"), ("p", "a")])
    with pytest.raises(InputError, match=r"line 3: found prompt 'p', response 'a' again, first seen in line 1"):
        read_scores(path)


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ('{"prompt_id": "p", "response_id": "z", "score": NaN}', "line 5, column .*NaN"),
        ('{"prompt_id": "p", "response_id": "z", "score": "1.5"}', r"line 5, field 'score': found str '1.5'"),
        ('{"prompt_id": "p", "response_id": "z", "score": null}', "line 5, field 'score': found null"),
        ('{"prompt_id": "p", "response_id": "z", "score": true}', "found bool True"),
        ('{"prompt_id": "p", "response_id": "z", "score": []}', "found list"),
        ('{"prompt_id": "p", "response_id": "z", "score": [1, "2"]}', "found str"),
        ('{"prompt_id": "p", "response_id": "z", "score": {"m": 1}}', "line 5: found a score of 'm'"),
        ('{"prompt_id": "p", "response_id": "z", "score": 1e999}', "out of range"),
        ('{"prompt_id": "p", "response_id": "z"}', "a field 'score'"),
        ('{"prompt_id": "p", "score": 1}', "a field 'response_id'"),
        ('{"prompt_id": null, "response_id": "z", "score": 1}', "field 'prompt_id': found None"),
        ('{"prompt_id": "p", "response_id": "z", "score": 1, "score": 2}', "duplicate key"),
        ("[1, 2]", "line 5: found list"),
        ('{"prompt_id": ', "line 5, column"),
    ],
)
def test_a_bad_record_is_named_by_its_line(tmp_path, line, text):
    path = lines(tmp_path / "a.jsonl", [1.0, 2.0, 3.0, 4.0])
    path.write_text(path.read_text().rstrip("\n") + "\n" + line + "\n")
    with pytest.raises(InputError, match=text):
        read_scores(path)


def test_files_that_are_none_are_errors(tmp_path):
    with pytest.raises(StorageError, match="no file"):
        read_scores(tmp_path / "missing.jsonl")
    (tmp_path / "empty.jsonl").write_text("\n")
    with pytest.raises(InputError, match="no records"):
        read_scores(tmp_path / "empty.jsonl")
    (tmp_path / "bytes.jsonl").write_bytes(b"\x80\x02\x00\x00")
    with pytest.raises(UntrustedFileError, match="NUL"):
        read_scores(tmp_path / "bytes.jsonl")
    with pytest.raises(InputError, match="no files"):
        read_scores([])
    (tmp_path / "short.csv").write_text("prompt_id,response_id,m\np,a,1\np,b\n")
    with pytest.raises(ShapeError, match="2 cells"):
        read_scores(tmp_path / "short.csv")
    (tmp_path / "none.csv").write_text("prompt_id,response_id\np,a\np,b\n")
    with pytest.raises(InputError, match="no column of scores"):
        read_scores(tmp_path / "none.csv")


def test_two_models_of_one_name_must_be_named(tmp_path):
    (tmp_path / "other").mkdir()
    both = [lines(tmp_path / "a.jsonl", [1, 2, 3, 4]), lines(tmp_path / "other" / "a.jsonl", [4, 3, 2, 1])]
    with pytest.raises(InputError, match="two models called 'a'"):
        read_scores(both)
    assert read_scores(both, names=["old", "new"]).names == ("old", "new")
    with pytest.raises(InputError, match="1 names"):
        read_scores(both, names=["old"])
