from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.datasets import load_iris
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.svm import LinearSVC
from sklearn.tree import DecisionTreeClassifier

from learnt.adapters.sklearn import FLOOR, as_logits
from learnt.core.errors import InputError, NonFiniteError, ShapeError
from learnt.core.examples import Examples
from learnt.core.subject import Subject

X, Y = load_iris(return_X_y=True)
INPUTS = torch.from_numpy(X).float()


def test_softmax_of_the_logits_is_predict_proba() -> None:
    model = LogisticRegression(max_iter=500).fit(X, Y)
    logits = as_logits(model)(torch.from_numpy(X))
    assert logits.dtype == torch.float64
    np.testing.assert_allclose(logits.softmax(1).numpy(), model.predict_proba(X), atol=1e-9)


def test_certain_trees_give_finite_logits() -> None:
    logits = as_logits(DecisionTreeClassifier(random_state=0).fit(X, Y))(INPUTS)
    assert logits.min() == pytest.approx(np.log(FLOOR))
    assert logits.max() == 0


def test_images_are_flattened_and_other_sizes_refused() -> None:
    function = as_logits(LogisticRegression(max_iter=500).fit(X, Y))
    assert torch.equal(function(INPUTS.reshape(-1, 1, 2, 2)), function(INPUTS))
    with pytest.raises(ShapeError, match="5 values each; expected 4"):
        function(torch.zeros(3, 5))


def test_outputs_stand_for_the_labels_even_when_some_were_never_seen() -> None:
    model = LogisticRegression(max_iter=500).fit(X, Y * 2)  # labels 0, 2, 4
    logits = as_logits(model)(INPUTS)
    assert logits.shape[1] == 5
    assert (logits[:, [1, 3]] == np.log(FLOOR)).all()
    assert (logits.argmax(1).numpy() == model.predict(X)).all()


def test_named_classes_can_be_put_in_the_order_of_the_data() -> None:
    names = np.array(["rose", "lily", "iris"])
    model = LogisticRegression(max_iter=500).fit(X, names[Y])
    assert (as_logits(model, classes=names)(INPUTS).argmax(1).numpy() == Y).mean() > 0.9
    assert (as_logits(model)(INPUTS).argmax(1).numpy() == np.searchsorted(sorted(names), model.predict(X))).all()
    with pytest.raises(InputError, match="no place for 'iris'"):
        as_logits(model, classes=["rose", "lily"])


def test_a_data_frame_of_training_causes_no_warning() -> None:
    frame = load_iris(as_frame=True).data
    assert as_logits(LogisticRegression(max_iter=500).fit(frame, Y))(INPUTS).shape == (150, 3)


def test_what_cannot_give_probabilities_is_refused() -> None:
    with pytest.raises(InputError, match="CalibratedClassifierCV"):
        as_logits(LinearSVC())
    with pytest.raises(InputError, match="no classes_"):
        as_logits(LogisticRegression())
    with pytest.raises(InputError, match="several outputs"):
        as_logits(RandomForestClassifier(2).fit(X, np.stack([Y, Y], 1)))
    with pytest.raises(InputError, match="floor"):
        as_logits(LogisticRegression(max_iter=500).fit(X, Y), floor=0)

    class Broken:
        classes_ = np.arange(2)

        def predict_proba(self, rows: np.ndarray) -> np.ndarray:
            out = np.full((len(rows), 2), 0.5)
            out[3] = np.nan
            return out

    with pytest.raises(NonFiniteError, match="2 probabilities .* row 3"):
        as_logits(Broken())(INPUTS)


def test_a_subject_answers_through_the_adapter() -> None:
    model = LogisticRegression(max_iter=500).fit(X, Y)
    subject = Subject(model, Examples(inputs=INPUTS, labels=torch.from_numpy(Y)), name="a")
    assert (subject.predictions.numpy() == model.predict(INPUTS.numpy())).all()
