"""Four real sets that come with scikit-learn, so that nothing has to be downloaded.

digits: 1,797 handwritten digits, 8x8, values 0 to 16 scaled to [0, 1] (UCI, Alpaydin & Kaynak 1998); wine: 178 x 13,
3 cultivars; breast_cancer: 569 x 30, benign or malignant; diabetes: 442 x 10, a measure of disease progression after
one year (regression; the raw columns, since scikit-learn's scaled ones have seen the test rows).
"""

from __future__ import annotations

import numpy as np
import torch

from learnt.core.examples import Examples
from learnt.data.splits import Parts

TABLES = ("wine", "breast_cancer", "diabetes")


def digits() -> Parts:
    """The digits as images (n, 1, 8, 8) in [0, 1]."""

    def read() -> Examples:
        from sklearn.datasets import load_digits

        data = load_digits()
        return Examples(
            inputs=torch.from_numpy((data.images[:, None] / 16.0).astype(np.float32)),  # pyright: ignore[reportAttributeAccessIssue]
            labels=torch.from_numpy(np.asarray(data.target, np.int64)),  # pyright: ignore[reportAttributeAccessIssue]
            classes=tuple("0123456789"),
            name="digits",
            low=0.0,
            high=1.0,
        )

    return Parts(train=read)


def table(name: str, *, standardise: bool = True) -> Parts:
    """One of `TABLES` as (n, columns).

    Args:
        name: of the table.
        standardise: whether columns are scaled by the mean and deviation of the training part.
    """

    def read() -> Examples:
        from sklearn import datasets

        if name == "diabetes":
            data = datasets.load_diabetes(scaled=False)
        else:
            data = {"wine": datasets.load_wine, "breast_cancer": datasets.load_breast_cancer}[name]()
        target = np.asarray(data.target)  # pyright: ignore[reportAttributeAccessIssue]
        regression = name == "diabetes"
        return Examples(
            inputs=torch.from_numpy(np.asarray(data.data, np.float32)),  # pyright: ignore[reportAttributeAccessIssue]
            labels=torch.from_numpy(target.astype(np.float32 if regression else np.int64)),
            classes=() if regression else tuple(str(label) for label in data.target_names),  # pyright: ignore[reportAttributeAccessIssue]
            name=name,
        )

    return Parts(train=read, standardise=standardise)
