import pytest

from learnt.core.errors import InputError
from learnt.programs import tasks
from learnt.programs.tasks_sample import QUESTIONS


def test_the_bundled_questions_are_a_task_without_files():
    task = tasks.questions()
    split = task.split(0)
    assert [len(part) for part in (split.train, split.validation, split.test)] == [43, 5, 12]
    assert task.labels == tuple(sorted(QUESTIONS))
    assert split.unseen_labels() == ()
    assert task.pool
    x, y = task.encode(split.test)
    assert (x >= 0).all()
    assert (y[:, 0] >= 0).all()
    assert (y[:, 1:] == -1).all()


def test_every_class_has_ten_different_questions():
    everything = [text for texts in QUESTIONS.values() for text in texts]
    assert len(set(everything)) == 60
    assert {len(texts) for texts in QUESTIONS.values()} == {10}
    assert max(len(tokens) for tokens in tasks.questions(max_length=99).inputs) == 12


def test_too_short_a_bound_is_refused():
    with pytest.raises(InputError, match="no sentence"):
        tasks.questions(max_length=4)
