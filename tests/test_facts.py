"""Facts that must come out of the main job, in small: distillation shows, equals are equal, and order means nothing."""

import pytest
import torch

from learnt.catalogue import MEASURES
from learnt.core.compare import compare
from learnt.core.examples import Examples
from learnt.data.shapes import DOMAINS, shapes
from learnt.studies.demo import ask, plan
from learnt.studies.recipe import train
from learnt.train.fit import fit
from learnt.train.nets import small_cnn
from learnt.train.objectives import CrossEntropy

FAST = {"resamples": 200, "gallery_size": 0, "quiet": True}


# -- students of KL agree with the teacher more than independent ones ----------------------------------


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    """The demo's own plan for digits, in full: (plan, models by role)."""
    from learnt.data.load import load

    p, out = plan("digits"), tmp_path_factory.mktemp("digits")
    data, models = load(**p.source, split="train"), {}
    for role, recipe in (("teacher", p.teacher), ("independent", p.independent), ("distilled", p.distilled)):
        given = {"teacher": models["teacher"][0], "teacher_name": "t"} if recipe.objective != "labels" else {}
        models[role] = train(recipe, data, out, source=p.source, **given)
    return p, models


@pytest.fixture(scope="module")
def found(digits):
    """The comparison of the demo on digits."""
    from learnt.data.load import load

    p, models = digits
    return ask(models, load(**p.test, split="test"), seed=p.teacher.seed)


@pytest.mark.parametrize("name", ["agreement", "kl", "js"])
def test_students_distilled_by_kl_agree_with_the_teacher_more_than_independent_ones(found, name):
    answer = found[name]
    better = (answer.difference.low, answer.difference.high) if answer.closer == "higher" else (
        -answer.difference.high, -answer.difference.low,
    )  # fmt: skip
    assert better[0] > 0, f"the interval of {name} holds 0: {answer.difference}"
    assert 0 < answer.transfer.low <= answer.transfer.value <= 1


def test_most_of_what_is_known_to_transfer_survives_the_correction(found):
    """Five seeds a side and many questions: one of these may be left open by Holm, the picture as a whole may not."""
    verdicts = [found[name].verdict for name in ("agreement", "kl", "js", "error_consistency", "cka")]
    assert verdicts.count("transferred") >= 2 and "reversed" not in verdicts


def test_all_students_are_competent_so_that_agreement_is_not_failure_shared(found):
    accuracy = found["accuracy"]
    assert min(*accuracy.replicas["b"], *accuracy.replicas["control"], *accuracy.replicas["a"]) > 0.8


def test_independent_students_show_no_transfer_from_a_teacher_they_never_saw(digits):
    """The control of the control: one half of the independent students against the other."""
    from learnt.data.load import load

    p, models = digits
    some, others = models["independent"][:2], models["independent"][2:]
    test = load(**p.test, split="test")
    found = compare(models["teacher"][0], some, test, controls=others, rng=1, **FAST)
    for name in ("agreement", "kl", "js"):
        assert found[name].verdict == "not detected", found[name].difference


# -- a small trained world in which every question can be asked ----------------------------------------

DATA = shapes(80, seed=5, domains=DOMAINS, conflict=True)


def trained(seed):
    """A small network trained for a few seconds on shapes."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        module = small_cnn(3, 8, 6)
    fit(module, shapes(600, seed=1), CrossEntropy(), epochs=4, batch_size=32, seed=seed, engine="loop")
    return module


@pytest.fixture(scope="module")
def models():
    """A teacher and two others."""
    return [trained(seed) for seed in (1, 2, 3)]


def test_a_model_compared_with_itself_has_the_top_value_of_every_similarity_and_transfer_one(models):
    teacher, *controls = models
    found = compare(teacher, teacher, DATA, controls=controls[:1], **FAST)
    assert found.left_out == () and {a.group for a in found.answers} == {
        m.facts.name for m in MEASURES() if m.facts.data is Examples
    }
    identical = {v.name: v.facts.identical for m in MEASURES() if m.facts.data is Examples for v in m.variants(DATA)}
    defined = 0
    for answer in found.answers:
        if answer.kind == "property":
            assert answer.gap.value == pytest.approx(0, abs=1e-9), answer.name
        elif answer.value.defined:
            assert answer.value.value == pytest.approx(identical[answer.name], abs=1e-6), answer.name
        if answer.transfer.defined:
            defined += 1
            assert answer.transfer.value == pytest.approx(1, abs=1e-5), answer.name
    assert defined >= 15


# -- what must change no number ------------------------------------------------------------------------


def numbers(found):
    """Value, control, difference and transfer of every answer; None where there is none."""
    rows = {}
    for answer in found.answers:
        for part in ("value", "control", "difference", "transfer"):
            estimate = getattr(answer, part)
            rows[answer.name, part] = estimate.value if estimate is not None and estimate.defined else None
    return rows


def asked(models, data=DATA, **options):
    a, b, control = models
    return numbers(compare(a, b, data, controls=[control], **{**FAST, "batch_size": 80, **options}))


@pytest.fixture(scope="module")
def base(models):
    """Every number of the comparison, as it is."""
    return asked(models)


def same(first, second):
    off = {
        key: (first[key], second[key])
        for key in first
        if (first[key] is None) != (second[key] is None)
        or (first[key] is not None and abs(first[key] - second[key]) > 1e-6 * max(1.0, abs(first[key])))
    }
    assert set(first) == set(second) and off == {}
    assert sum(v is not None for v in first.values()) > 60


def test_the_size_of_batches_changes_no_number(models, base):
    same(base, asked(models, batch_size=13))


def test_the_order_of_the_data_changes_no_number(models, base):
    order = torch.randperm(len(DATA), generator=torch.Generator().manual_seed(3))
    moved = DATA.take(order)
    assert not torch.equal(moved.inputs, DATA.inputs) and torch.equal(
        moved.domains["noise"].inputs, DATA.domains["noise"].inputs[order]
    )
    same(base, asked(models, moved))


def relabelled(data, place):
    """The same examples with class c called place[c]."""
    from dataclasses import replace

    names = [""] * len(place)
    for c, name in enumerate(data.classes):
        names[int(place[c])] = name
    conflict = data.conflict
    if conflict is not None:
        conflict = replace(conflict, shape=place[conflict.shape], texture=place[conflict.texture])
    return replace(
        data, labels=place[data.labels], classes=tuple(names), conflict=conflict,
        domains={k: relabelled(v, place) for k, v in data.domains.items()},
    )  # fmt: skip


def renamed(model, place):
    """The same network with output c moved to place[c]."""
    from copy import deepcopy

    moved = deepcopy(model)
    with torch.no_grad():
        moved.output.weight[place] = model.output.weight
        moved.output.bias[place] = model.output.bias
    return moved


def test_the_numbering_of_classes_changes_no_number(models, base):
    place = torch.randperm(8, generator=torch.Generator().manual_seed(4))
    same(base, asked([renamed(m, place) for m in models], relabelled(DATA, place)))


def test_another_model_changes_the_numbers(models, base):
    """The control: these tests can fail."""
    a, b, control = models
    with pytest.raises(AssertionError):
        same(base, asked([a, control, b]))
