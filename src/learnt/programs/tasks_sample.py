"""Sixty short questions in the classes of TREC, written for this project: for first steps and tests without any file.

Too few to measure anything: use `learnt.programs.tasks.trec` with the real corpus for that.
"""

from __future__ import annotations

from learnt.programs.task import Task
from learnt.programs.task_encoding import PAD
from learnt.programs.task_split import Pairs, held_out
from learnt.programs.tasks_language import language_task, treebank_words

QUESTIONS = {
    "ABBR": (
        "What does CPU stand for ?", "What does RAM mean ?", "What is the abbreviation of kilometre ?",
        "What does the letter N in NATO stand for ?", "What is the full form of HTML ?", "What does GMT mean ?",
        "What is the abbreviation of doctor ?", "What does DNA stand for ?", "What is the full form of USB ?",
        "What does the acronym AIDS stand for ?",
    ),
    "DESC": (
        "What is a fjord ?", "Why is the sea salty ?", "How does a lock work ?", "What is an isotope ?",
        "Why do cats purr ?", "How do bees make honey ?", "What is inflation ?", "Why do leaves turn red ?",
        "How does a sail push a boat ?", "What is a sonnet ?",
    ),
    "ENTY": (
        "What animal sleeps standing up ?", "What colour is a sapphire ?", "What instrument has 88 keys ?",
        "What sport uses a shuttlecock ?", "What fruit is dried to make raisins ?", "What metal is liquid at home ?",
        "What bird cannot fly but swims ?", "What language do they speak in Brazil ?", "What gas do plants take in ?",
        "What stone is used for statues ?",
    ),
    "HUM": (
        "Who painted the Night Watch ?", "Who discovered penicillin ?", "Who wrote the Odyssey ?",
        "Who was the first queen of Egypt ?", "What team plays at home in Turin ?", "Who invented the telephone ?",
        "Who is the patron saint of sailors ?", "What company makes the Beetle ?", "Who sang at the opening ?",
        "What king had six wives ?",
    ),
    "LOC": (
        "Where is Timbuktu ?", "What city is called eternal ?", "What country has the most lakes ?",
        "Where do penguins live ?", "What river flows through Vienna ?", "Where is the tallest tower ?",
        "What is the capital of Peru ?", "Where was the first railway ?", "What island is south of India ?",
        "Where does the Danube end ?",
    ),
    "NUM": (
        "How many legs has a spider ?", "When did the war end ?", "How far is the moon ?", "How old is the Earth ?",
        "How many players are in a team ?", "What year was the printing press built ?", "How long is a marathon ?",
        "How much does a whale weigh ?", "When was paper invented ?", "How tall is a giraffe ?",
    ),
}  # fmt: skip


def questions(*, max_length: int = 16, lower: bool = True) -> Task:
    """The bundled questions as a task with one class a question; twelve for the test, five for validation.

    Args:
        max_length: N, with both marks; the longest question has 12 tokens with them.
        lower: turn words into lower case.

    Raises:
        InputError: no question is short enough.
    """
    rows = [(tuple(treebank_words(text)), label) for label, texts in QUESTIONS.items() for text in texts]
    pairs = Pairs(
        inputs=tuple(words for words, _ in rows),
        targets=tuple((label, *[PAD] * (len(words) - 1)) for words, label in rows),
    )
    train, test = held_out(pairs, 0, 0.2)
    return language_task(
        "questions", train, None, test, vocab_size=1_000, max_length=max_length, lower=lower, pool=True
    )
