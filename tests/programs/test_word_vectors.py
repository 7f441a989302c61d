import numpy as np
import pytest

from learnt.core.errors import InputError, NonFiniteError, StorageError
from learnt.programs.word_vectors import embedding_logits, read_vectors


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "vectors.txt"
    path.write_text("the 0.5 -1 2e-1\nThe 1 1 1\n. . . 7 8 9\nthe 9 9 9\n")
    return path


def test_vectors_stand_in_the_order_of_the_vocabulary(file):
    values, found = read_vectors(file, ["The", "absent", "the", ". . ."], width=3)
    np.testing.assert_array_equal(values[[0, 2, 3]], [[1, 1, 1], [0.5, -1, 0.2], [7, 8, 9]])  # the first of two lines
    assert found.tolist() == [True, False, True, True]


def test_words_without_a_vector_get_normal_numbers_by_seed(file):
    vocab = ["the", *map(str, range(3_000))]
    one, _ = read_vectors(file, vocab, width=3)
    again, _ = read_vectors(file, vocab, width=3)
    other, _ = read_vectors(file, vocab, width=3, seed=1)
    np.testing.assert_array_equal(one, again)
    assert (one[1:] != other[1:]).all()
    assert one[1:].mean() == pytest.approx(0, abs=0.04)
    assert one[1:].std() == pytest.approx(1, abs=0.04)


def test_vectors_of_missing_words_are_not_the_rows_of_the_projection(tmp_path):
    """Both drawn from RandomState(0) they would be, and the projection would triple their squared length."""
    path = tmp_path / "vectors.txt"
    path.write_text("the " + "1 " * 299 + "1\n")
    values, found = read_vectors(path, ["the", *map(str, range(50))])
    logits = embedding_logits(values, 4, 32).reshape(128, 51).T
    ratios = (logits**2).sum(1) / (values**2).sum(1)
    assert ratios[~found].mean() == pytest.approx(1, abs=0.1)


def test_logits_are_the_projected_vectors_in_blocks():
    vectors = np.random.default_rng(0).standard_normal((50, 300))
    logits = embedding_logits(vectors, 4, 32)
    assert logits.shape == (4, 32, 50)
    flat = logits.reshape(128, 50).T
    np.testing.assert_array_equal(embedding_logits(vectors, 4, 32), logits)
    cosine = np.corrcoef(flat.ravel(), embedding_logits(2 * vectors, 4, 32).reshape(128, 50).T.ravel())[0, 1]
    assert cosine == pytest.approx(1)  # linear
    ratios = (flat**2).sum(1) / (vectors**2).sum(1)
    assert ratios.mean() == pytest.approx(1, abs=0.1)  # a random projection keeps lengths


def test_vectors_of_the_right_width_are_used_as_they_are():
    vectors = np.arange(12.0).reshape(2, 6)
    logits = embedding_logits(vectors, 2, 3)
    np.testing.assert_array_equal(logits[:, :, 1], [[6, 7, 8], [9, 10, 11]])


@pytest.mark.parametrize(
    ("text", "error", "match"),
    [
        ("the 1 2\n", InputError, "line 1: found 3 columns"),
        ("the 1 2 x\n", InputError, "line 1"),
        ("other 1 2 3\n", InputError, "no word of the vocabulary"),
        ("the 1 nan 3\n", NonFiniteError, "'the'"),
    ],
)
def test_check_23_damaged_vectors_are_refused(file, text, error, match):
    file.write_text(text)
    with pytest.raises(error, match=match):
        read_vectors(file, ["the"], width=3)


def test_check_23_sizes_without_meaning_are_refused(file, tmp_path):
    with pytest.raises(StorageError):
        read_vectors(tmp_path / "absent", ["the"])
    with pytest.raises(InputError, match="width"):
        read_vectors(file, ["the"], width=0)
    with pytest.raises(InputError, match="sizes >= 1"):
        embedding_logits(np.zeros((2, 3)), 0, 3)
