"""The experiments of the study of programs: what is fixed in table 5, recipes, induction, text and its controls."""

import pytest

from learnt.programs.program_json import load
from learnt.programs.task import Task
from learnt.programs.task_split import Pairs, Split
from learnt.studies.programs import planned, programs_study
from learnt.studies.programs_controls import controls
from learnt.studies.programs_plan import Options, published
from learnt.studies.programs_recipes import CHANGES
from learnt.studies.programs_table5 import CASES, solution
from learnt.studies.programs_tasks import recipe_from, shortened, task_of
from learnt.studies.programs_work import name_of, program_file

QUESTIONS = "HUM:ind Who was the king ?\nNUM:dist How far is it ?\nLOC:city Where is Rome ?\n"


@pytest.fixture(scope="module")
def corpora(tmp_path_factory):
    """A folder with tiny corpora, laid out as the study wants it."""
    root = tmp_path_factory.mktemp("corpora")
    (root / "text").mkdir()
    (root / "ner").mkdir()
    (root / "text" / "TREC.train").write_text(
        "".join(f"{line} {i}\n" for i in range(8) for line in QUESTIONS.splitlines())
    )
    (root / "text" / "TREC.test").write_text(QUESTIONS)
    sentence = "en:Ann\tB-PER\nen:saw\tO\nen:Rome\tB-LOC\n\n"
    for part in ("train", "dev", "test"):
        (root / "ner" / f"wikiann-en.{part}").write_text(sentence * 4)
    return root


def test_check_24_everything_fixed_means_that_every_seed_has_the_gates_and_predicates_of_the_solution(tmp_path):
    options = Options(sizes=((5, 5),), seeds=2, epochs=1, examples=60, restarts=1, steps=1, search=1)
    found = programs_study(tmp_path, only=("table5",), options=options, quiet=True)
    trained = [item for item, _ in found["table5"] if item["work"] == "train"]
    by_case = {item["case"]: item for item in trained if not item["recipe"]["search"]}
    assert tuple(by_case) == CASES
    given = by_case["all fixed"]["arguments"]
    for seed in range(2):
        program = load(program_file(tmp_path, name_of(by_case["all fixed"]), seed))
        for name, choices in solution(given, "all fixed").items():
            module = program.module(name)
            assert {what: _as_list(getattr(module, what)) for what in choices} == choices
    [sheet] = found.sheets()
    assert [row[0] for row in sheet.rows] == [*CASES, "nothing fixed", "nothing fixed"]
    assert [row[2] for row in sheet.rows[-3:]] == ["ours, search 1", "ours, search 1, with search", "grown"]


def _as_list(value):
    return value if isinstance(value, str) else list(value)


def test_each_case_of_table_5_leaves_out_what_its_name_says():
    given = {"vocab_size": 16, "max_length": 16}
    full = solution(given, "all fixed")
    assert len(full["attn_0_0"]["predicate"]) == 16 and full["attn_1_0"]["predicate"] == list(range(16))
    assert set(full["attn_0_0"]["predicate"]) == {task_of({"task": "reverse", "arguments": given}).vocab.index("</s>")}
    count = {case: sum(map(len, solution(given, case).values())) for case in CASES}
    assert list(count.values()) == [9, 6, 8, 8, 6, 8, 0]
    assert "mlp_0_0" not in solution(given, "MLP read free")
    assert solution(given, "attention-2 predicate free")["attn_1_0"].keys() == {"query", "key", "value"}
    assert set(published()["table5"]["16x16"]) == set(CASES)


def test_each_recipe_is_the_published_one_with_tie_bias_8_and_one_change():
    items = planned(("recipes",), Options(tasks=("hist",)))
    assert [item["label"] for item in items] == list(CHANGES) and all(item["seeds"] == 22 for item in items)
    base = next(item["recipe"] for item in items if item["label"] == "tie 8")
    for item in items:
        recipe_from(item["recipe"])
        changed = {name for name, value in item["recipe"].items() if value != base[name]}
        assert item["recipe"]["searched"] == 22
        assert changed == set(CHANGES[item["label"]]), item["label"]


def test_recipes_are_compared_by_success_rate_with_interval_and_test(tmp_path):
    options = Options(tasks=("sort",), variants=("paper", "tie 8"), seeds=2, epochs=1, examples=60)
    found = programs_study(tmp_path, only=("recipes",), options=options, quiet=True)
    [sheet] = found.sheets()
    first, second = (dict(zip(sheet.columns, row, strict=True)) for row in sheet.rows)
    assert first["at 99.0 %"] == second["at 99.0 %"] == "0 of 2, 0.0 % [0.0, 65.8]"
    assert first["p against paper"] == "" and second["p against paper"] == "1"


def test_induction_is_trained_with_the_published_tie_bias_and_with_ours_and_nothing_else_differs():
    one, eight = planned(("induction",), Options())
    differ = {name for name in one if one[name] != eight[name]}
    assert differ == {"recipe", "label", "seed"} and (one["seeds"], one["epochs"]) == (22, 32)
    assert {n for n in one["recipe"] if one["recipe"][n] != eight["recipe"][n]} == {"tie_bias"}


def test_text_is_read_from_a_folder_and_has_programs_a_transformer_and_controls(corpora, tmp_path):
    options = Options(tasks=("trec", "wikiann"), seeds=1, epochs=1, layers=1, heads=1)
    found = programs_study(tmp_path, only=("text",), options=options, data=corpora, quiet=True)
    works = [(item["task"], item["work"]) for item, _ in found["text"]]
    assert works == [(task, work) for task in ("trec", "wikiann") for work in ("train", "standard", "controls")]
    classes, entities = found.sheets()
    rows = {row[1]: dict(zip(classes.columns, row, strict=True)) for row in classes.rows}
    assert [row["published"] for row in rows.values()] == ["85.6", "88.6", "", "74.8"]
    assert rows["majority"]["accuracy"] == "33.33" and rows["naive Bayes"]["accuracy"] == "100.00"
    assert entities.rows[-1][1] == "unigram" and entities.rows[-1][4] == "100.0 / 100.0 / 100.0"


def test_majority_and_naive_bayes_are_what_a_hand_computes():
    train = Pairs(
        inputs=(("<s>", "a", "a"), ("<s>", "a", "b"), ("<s>", "b", "b")),
        targets=(("x", "<pad>", "<pad>"), ("x", "<pad>", "<pad>"), ("y", "<pad>", "<pad>")),
    )
    test = Pairs(
        inputs=(("<s>", "b"), ("<s>", "b", "b", "a"), ("<s>", "a")),
        targets=(("y", "<pad>"), ("y", "<pad>", "<pad>", "<pad>"), ("x", "<pad>")),
    )
    # Laplace: P(b | x) = 2/9, P(b | y) = 3/6, P(a | x) = 4/9, P(a | y) = 1/6, P(<s> | both) = 1/3
    x, y = 2 / 3, 1 / 3
    assert y * 3 / 6 > x * 2 / 9 and x * 4 / 9 > y * 1 / 6  # one b is y, one a is x
    assert y * (3 / 6) ** 2 * 1 / 6 < x * (2 / 9) ** 2 * 4 / 9  # b b a is x: the naive product says so
    found = controls(_task(train, test, pool=True))["controls"]
    assert found == {"majority": pytest.approx(1 / 3), "naive Bayes": pytest.approx(2 / 3)}


def test_the_unigram_tags_each_word_as_training_mostly_did_and_new_words_as_outside():
    train = Pairs(
        inputs=(("<s>", "Ann", "Rome"), ("<s>", "Ann", "Bob"), ("<s>", "Ann", "x")),
        targets=(("<pad>", "B-P", "B-L"), ("<pad>", "B-P", "B-P"), ("<pad>", "O", "O")),
    )
    test = Pairs(
        inputs=(("<s>", "Ann", "Rome"), ("<s>", "Bob", "Eve")), targets=(("<pad>", "B-P", "B-P"), ("<pad>", "O", "B-P"))
    )
    found = controls(_task(train, test, pool=False))["controls"]["unigram"]
    assert found == pytest.approx([1 / 3, 1 / 3, 1 / 3])  # Ann right; Rome and Bob wrong; Eve missed


def test_fewer_training_sentences_are_drawn_from_all_of_them_and_the_test_part_stays():
    train = Pairs(inputs=tuple((f"w{i}",) for i in range(40)), targets=tuple(("x",) for _ in range(40)))
    test = Pairs(inputs=(("w0",),), targets=(("x",),))
    short = shortened(_task(train, test, pool=False), 8).split()
    assert len(short.train) == 8 and short.test == test
    chosen = [int(tokens[0][1:]) for tokens in short.train.inputs]
    assert chosen == sorted(set(chosen)) and chosen[-1] > 20  # corpora are sorted by class


def _task(train, test, *, pool):
    words = {token for part in (train, test) for tokens in part.inputs for token in tokens}
    labels = {label for part in (train, test) for row in part.targets for label in row} - {"<pad>"}
    return Task(
        name="made", vocab=("<pad>", *sorted(words)), labels=tuple(sorted(labels)), max_length=4, pool=pool,
        parts=lambda seed: Split(train=train, validation=train, test=test), metric="tokens" if pool else "spans",
    )  # fmt: skip
