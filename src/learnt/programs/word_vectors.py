"""Where do factored embeddings start? Logits of the word variables from word vectors on disk, such as GloVe.

    W_E = project(vectors of the vocabulary)': (n_emb * k, V);  block e of column w: logits of variable e of word w

arXiv 2306.01128 and its code (spec 1.2): vectors (GloVe 840B, 300 numbers) are projected at random (Gaussian, seed
0) to n_emb * k numbers and used as they are. A word without a vector gets N(0, 1) numbers before the projection.

Different from the authors' code: their numbers for missing words come from the global generator, here from a stream
of their own (from that of the projection they would be its rows); a line is read from its right end, so that words
with blanks inside do not stop the reader.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from learnt.core.errors import InputError, NonFiniteError
from learnt.io.reading import printable
from learnt.io.textlines import stream_lines
from learnt.run.seeds import numpy_generator


class WordVectors(NamedTuple):
    """(V, width) float64 vectors in the order of a vocabulary, and which words the file had, (V,) bool."""

    values: np.ndarray
    found: np.ndarray


def read_vectors(path: str | os.PathLike[str], vocab: Sequence[str], *, width: int = 300, seed: int = 0) -> WordVectors:
    """The vectors of a vocabulary from a text file, one word and its numbers a line, plain or gzipped.

    Args:
        path: the file; read line by line, only words of the vocabulary are kept.
        vocab: the words, upper and lower case distinct.
        width: numbers of each vector.
        seed: of the N(0, 1) numbers of words that the file has not.

    Raises:
        StorageError: missing. InputError: a line with fewer numbers, or something else than numbers; no word found.
        NonFiniteError: NaN or infinity.
    """
    where = printable(Path(path), 200)
    if width < 1:
        raise InputError("width", found=str(width), expected="at least 1")
    rows = {word: row for row, word in enumerate(vocab)}
    # a stream of its own: drawn from RandomState(0), these would be the rows of the projection itself
    values = numpy_generator(seed, "words without a vector").standard_normal((len(vocab), width))
    found = np.zeros(len(vocab), bool)
    for number, line in enumerate(stream_lines(path), start=1):
        cells = line.rstrip().rsplit(" ", width)
        if len(cells) != width + 1:
            raise InputError(
                f"{where}, line {number}", found=f"{len(cells)} columns", expected=f"a word and {width} numbers"
            )
        row = rows.get(cells[0])
        if row is None or found[row]:
            continue
        try:
            values[row] = [float(cell) for cell in cells[1:]]
        except ValueError as error:
            raise InputError(
                f"{where}, line {number}", found=printable(error, 60), expected=f"a word and {width} numbers"
            ) from error
        found[row] = True
    if not found.any():
        raise InputError(where, found="no word of the vocabulary", expected="vectors of some of its words")
    if not np.isfinite(values).all():
        word = vocab[int(np.flatnonzero(~np.isfinite(values).all(1))[0])]
        raise NonFiniteError(where, found=f"NaN or infinity for {printable(word)!r}", expected="finite numbers")
    return WordVectors(values, found)


def embedding_logits(vectors: np.ndarray, variables: int, cardinality: int) -> np.ndarray:
    """Logits of word variables from word vectors: Gaussian random projection, scikit-learn's, random state 0.

    Args:
        vectors: (V, width).
        variables: n_emb, categorical variables a word.
        cardinality: k, values of each.

    Returns:
        (n_emb, k, V) float64; the vectors themselves, reshaped, if width is n_emb * k.

    Raises:
        InputError: not a table, or sizes below 1.
    """
    if vectors.ndim != 2 or variables < 1 or cardinality < 1:
        raise InputError(
            "vectors", found=f"shape {vectors.shape} for {variables} x {cardinality}", expected="(V, width), sizes >= 1"
        )
    size = variables * cardinality
    if vectors.shape[1] != size:
        from sklearn.random_projection import GaussianRandomProjection

        projection = GaussianRandomProjection(
            n_components=size,  # pyright: ignore[reportArgumentType]  (its default, "auto", is all that the stub knows)
            random_state=0,
        )
        vectors = projection.fit_transform(vectors)
    return np.ascontiguousarray(np.asarray(vectors).T).reshape(variables, cardinality, -1)
