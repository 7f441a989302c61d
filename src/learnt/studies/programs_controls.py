"""What does somebody reach who ignores the order of words? The controls of the experiments on text.

    classes   the most frequent one of training; multinomial naive Bayes on counts of words (scikit-learn, alpha 1)
    entities  the most frequent tag of each word in training, O for a word that was not there: no context at all

The published "bag of words" is multinomial naive Bayes too, the published "unigram" of CoNLL-2003 the second.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from learnt.programs.task import Task
from learnt.programs.task_encoding import PAD
from learnt.programs.task_metrics import span_f1
from learnt.programs.task_split import Pairs

OUTSIDE = "O"


def controls(task: Task) -> dict[str, Any]:
    """Test scores of the controls: by name an accuracy, or for entities precision, recall and F1."""
    parts = task.split()
    found = _classes(parts.train, parts.test) if task.pool else _tags(parts.train, parts.test)
    return {"controls": found}


def _classes(train: Pairs, test: Pairs) -> dict[str, float]:
    from sklearn.feature_extraction.text import CountVectorizer
    from sklearn.naive_bayes import MultinomialNB

    known, asked = ([target[0] for target in part.targets] for part in (train, test))
    usual = Counter(known).most_common(1)[0][0]
    counts = CountVectorizer(analyzer=_same)  # pyright: ignore[reportArgumentType]  (its stub knows names only)
    guesses = MultinomialNB().fit(counts.fit_transform(train.inputs), known).predict(counts.transform(test.inputs))
    return {
        "majority": sum(label == usual for label in asked) / len(asked),
        "naive Bayes": sum(a == b for a, b in zip(guesses.tolist(), asked, strict=True)) / len(asked),
    }


def _same(words: Any) -> Any:
    """The words, which are already apart."""
    return words


def _tags(train: Pairs, test: Pairs) -> dict[str, list[float]]:
    seen: dict[str, Counter[str]] = {}
    for words, tags in train:
        for word, tag in zip(words, tags, strict=True):
            if tag != PAD:
                seen.setdefault(word, Counter())[tag] += 1
    usual = {word: tags.most_common(1)[0][0] for word, tags in seen.items()}
    guesses, answers = [], []
    for words, tags in test:
        pairs = [(usual.get(word, OUTSIDE), tag) for word, tag in zip(words, tags, strict=True) if tag != PAD]
        guesses.append([guess for guess, _ in pairs])
        answers.append([tag for _, tag in pairs])
    score = span_f1(guesses, answers)
    return {"unigram": [score.precision, score.recall, score.f1]}
