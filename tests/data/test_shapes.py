import colorsys
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chi2_contingency, kstest

from learnt.core.errors import InputError
from learnt.data import _scenes, shapes
from learnt.data._render import object_distance, photograph, render
from learnt.data.shapes import BACKGROUNDS, COLOURS, DOMAINS, SHAPES, TEXTURES


@pytest.fixture(scope="module")
def many():
    return shapes(4000, seed=0)


@pytest.fixture(scope="module")
def shifted():
    return shapes(200, seed=3, domains=DOMAINS, conflict=True)


def _distance(examples):
    """Signed distance (200, 32, 32) to the outlines of the fixture `shifted`."""
    scenes = _scenes.draw(200, seed=3, classes=range(8), correlation=0.0, tied=())
    assert torch.equal(torch.from_numpy(scenes.shape), examples.labels)
    return torch.from_numpy(object_distance(scenes, 32))


def _dependence(labels, factor):
    table = np.histogram2d(labels.numpy(), factor.numpy(), bins=(len(labels.unique()), len(factor.unique())))[0]
    return chi2_contingency(table).pvalue


# the same seed gives the same bytes, whatever else is made


def test_the_same_seed_gives_the_same_bytes():
    a, b = (shapes(60, seed=5, domains=DOMAINS, conflict=True) for _ in range(2))
    assert torch.equal(a.inputs, b.inputs)
    assert torch.equal(a.labels, b.labels)
    assert torch.equal(a.masks, b.masks)
    assert torch.equal(a.conflict.inputs, b.conflict.inputs)
    assert torch.equal(a.conflict.texture, b.conflict.texture)
    for name in DOMAINS:
        assert torch.equal(a.domains[name].inputs, b.domains[name].inputs), name


@settings(max_examples=12)
@given(n=st.integers(1, 260), seed=st.integers(-(2**40), 2**40))
def test_an_image_does_not_depend_on_how_many_are_made(n, seed):
    few, more = shapes(n, seed=seed), shapes(n + 9, seed=seed)
    assert torch.equal(few.inputs, more.inputs[:n])
    assert torch.equal(few.masks, more.masks[:n])
    assert torch.equal(few.labels, more.labels[:n])
    for name in few.factors:
        assert torch.equal(few.factors[name], more.factors[name][:n]), name


def test_shifted_images_do_not_depend_on_how_many_are_made(shifted):
    few = shapes(13, seed=3, domains=DOMAINS, conflict=True)
    for name in DOMAINS:
        assert torch.equal(few.domains[name].inputs, shifted.domains[name].inputs[:13]), name
    assert torch.equal(few.conflict.inputs, shifted.conflict.inputs[:13])


def test_global_random_state_is_neither_used_nor_changed():
    before, torch_before = np.random.get_state()[1].copy(), torch.get_rng_state()
    shapes(5, domains=DOMAINS, conflict=True)
    np.testing.assert_array_equal(before, np.random.get_state()[1])
    assert torch.equal(torch_before, torch.get_rng_state())


def test_sets_of_different_seeds_share_no_image(many):
    other = shapes(1000, seed=1)
    assert not set(many.keys.tolist()) & set(other.keys.tolist())
    assert len(set(many.keys.tolist())) == len(many)


# the factors are what they are said to be


def test_labels_are_balanced_and_name_the_shape(many):
    assert many.classes == SHAPES
    assert torch.equal(many.labels, many.factors["shape"])
    counts = many.labels.bincount(minlength=8)
    assert counts.min() > 420
    assert counts.max() < 580


@pytest.mark.parametrize("factor", ["texture", "colour", "background"])
def test_a_factor_is_independent_of_the_label_without_correlation(many, factor):
    assert _dependence(many.labels, many.factors[factor]) > 1e-3


@pytest.mark.parametrize("factor", ["texture", "colour"])
def test_the_control_with_correlation_fails_the_same_test(factor):
    tied = shapes(1000, correlation=0.3, tied=(factor,))
    assert _dependence(tied.labels, tied.factors[factor]) < 1e-12
    assert torch.equal(shapes(300, correlation=1.0, tied=(factor,)).factors[factor], shapes(300).labels)


@pytest.mark.parametrize("factor", ["hue", "saturation", "value", "x", "y", "radius", "rotation"])
def test_a_real_factor_has_one_law_for_all_classes(many, factor):
    values = many.factors[factor].numpy()
    for label in range(8):
        chosen = many.labels.numpy() == label
        assert kstest(values[chosen], values[~chosen]).pvalue > 1e-4


@pytest.mark.parametrize(
    "pair", list(pairwise(["texture", "colour", "background", "x", "y", "radius", "rotation", "hue"]))
)
def test_factors_are_independent_of_each_other(many, pair):
    a, b = (many.factors[name].numpy().astype(float) for name in pair)
    if set(pair) != {"colour", "hue"}:
        assert abs(np.corrcoef(a, b)[0, 1]) < 0.06


@given(correlation=st.floats(0, 1))
@settings(max_examples=10)
def test_the_share_of_tied_textures_is_as_documented(correlation):
    e = _scenes.draw(3000, seed=2, classes=range(8), correlation=correlation, tied=("texture",))
    expected = correlation + (1 - correlation) / 8
    assert (e.texture == e.shape).mean() == pytest.approx(expected, abs=4 * np.sqrt(0.25 / 3000))


def test_colour_is_free_when_only_texture_is_tied():
    tied = shapes(2000, correlation=1.0, tied=("texture",))
    assert _dependence(tied.labels, tied.factors["colour"]) > 1e-3


# the pixels show the factors


def test_the_mean_position_of_the_mask_is_the_position_of_the_object(many):
    mask = many.masks.double()
    place = torch.arange(32, dtype=torch.float64) - 15.5
    area = mask.sum((1, 2))
    for axis, name in ((2, "x"), (1, "y")):
        centre = (mask.sum(3 - axis) * place).sum(1) / area
        even = many.labels != SHAPES.index("crescent")  # its centroid is not its centre
        assert (centre - many.factors[name].double())[even].abs().max() < 0.75


def test_the_area_of_the_mask_is_that_of_the_outline(many):
    for label, area in {"disc": np.pi * 0.88**2, "square": 4 * 0.78**2, "bar": 4 * 1.08 * 0.34}.items():
        rows = many.labels == SHAPES.index(label)
        found = many.masks[rows].sum((1, 2)).double() / many.factors["radius"][rows].double() ** 2
        assert found.mean() == pytest.approx(area, rel=0.01)


def test_the_hue_of_a_plain_object_can_be_read_from_its_pixels(many):
    plain = (many.factors["texture"] == TEXTURES.index("plain")).nonzero()[:60, 0]
    for i in plain.tolist():
        mean = many.inputs[i][:, many.masks[i]].mean(1).tolist()
        hue = colorsys.rgb_to_hsv(*mean)[0]
        turn = abs(hue - float(many.factors["hue"][i]))
        assert min(turn, 1 - turn) < 0.07
        assert COLOURS[int(many.factors["hue"][i] * 16)] == COLOURS[int(many.factors["colour"][i])]


def test_a_textured_object_varies_more_inside_than_a_plain_one(many):
    inside = torch.stack([many.inputs[i].mean(0)[many.masks[i]].std() for i in range(1000)])
    plain = many.factors["texture"][:1000] == TEXTURES.index("plain")
    assert inside[~plain].median() > 2 * inside[plain].median()


def test_plain_backgrounds_vary_less_than_textured_ones(many):
    outside = torch.stack([many.inputs[i].mean(0)[~many.masks[i]].std() for i in range(1000)])
    kind = many.factors["background"][:1000]
    assert (
        outside[kind == BACKGROUNDS.index("gradient")].median()
        < outside[kind == BACKGROUNDS.index("textured")].median()
    )


@pytest.mark.parametrize("size", [32, 48])
def test_recolouring_the_object_changes_masked_pixels_only_up_to_anti_aliasing(size):
    scenes = _scenes.draw(200, seed=1, classes=range(8), correlation=0.0, tied=())
    before, masks = render(scenes, size, photograph)
    after, same = render(replace(scenes, hue=scenes.hue + 0.25, value=0.9 * scenes.value), size, photograph)
    np.testing.assert_array_equal(masks, same)
    changed = (before != after).any(1)
    pixel = 32 / size
    distance = np.concatenate([object_distance(scenes.part(i, i + 50), size) for i in range(0, 200, 50)])
    assert not changed[distance > 0.5 * pixel].any()
    assert changed[distance < -0.5 * pixel].mean() > 0.99
    np.testing.assert_array_equal(masks, distance <= 0)


def test_objects_lie_wholly_inside_the_image(many):
    border = many.masks.clone()
    border[:, 1:-1, 1:-1] = False
    assert border.any((1, 2)).float().mean() < 0.01


def test_a_larger_image_shows_the_same_scene(many):
    large = shapes(40, seed=0, size=64)
    halved = large.masks.float().unflatten(1, (32, 2)).unflatten(3, (32, 2)).mean((2, 4)) > 0.5
    agreement = (halved == many.masks[:40]).float().mean()
    assert agreement > 0.99
    assert torch.equal(large.labels, many.labels[:40])


# domains: same scenes, same labels, same masks


def test_domains_keep_labels_and_masks(shifted):
    assert tuple(shifted.domains) == DOMAINS
    for name, domain in shifted.domains.items():
        assert torch.equal(domain.labels, shifted.labels), name
        assert torch.equal(domain.masks, shifted.masks), name
        assert domain.classes == shifted.classes
        assert domain.low == 0
        assert domain.high == 1
        assert domain.inputs.min() >= 0
        assert domain.inputs.max() <= 1
        assert (domain.inputs - shifted.inputs).abs().mean() > 0.005, name


def test_recoloured_objects_have_hues_the_set_never_shows(shifted):
    assert shifted.factors["hue"].max() <= 0.5
    assert shifted.domains["recoloured"].factors["hue"].min() >= 0.5
    assert torch.equal(shifted.domains["recoloured"].factors["texture"], shifted.factors["texture"])


def test_retextured_objects_have_patterns_the_set_never_shows_and_keep_their_background(shifted):
    domain = shifted.domains["retextured"]
    assert shifted.factors["texture"].max() < len(TEXTURES) <= domain.factors["texture"].min()
    far = _distance(shifted) > 0.5
    assert torch.equal(domain.inputs.movedim(1, 3)[far], shifted.inputs.movedim(1, 3)[far])


def test_a_new_background_leaves_the_object_alone(shifted):
    domain = shifted.domains["background"]
    core = _distance(shifted) < -0.5
    assert core.any((1, 2)).all()
    torch.testing.assert_close(
        domain.inputs.movedim(1, 3)[core], shifted.inputs.movedim(1, 3)[core], atol=1e-6, rtol=0
    )  # g + 1 (s - g) rounds
    assert (
        domain.inputs.movedim(1, 3)[~shifted.masks] - shifted.inputs.movedim(1, 3)[~shifted.masks]
    ).abs().mean() > 0.08


def test_the_sketch_is_dark_on_the_outline_and_white_elsewhere(shifted):
    sketch = shifted.domains["sketch"].inputs
    distance = _distance(shifted).abs()
    assert (sketch[:, 0][distance > 1.21] == 1).all()
    assert (sketch[:, 0][distance < 0.15] < 0.12).all()
    assert torch.equal(sketch[:, 0], sketch[:, 2])


def test_noise_has_the_deviation_it_says(shifted):
    middle = (shifted.inputs > 0.45) & (shifted.inputs < 0.55)  # clipping at 2.2 deviations
    difference = (shifted.domains["noise"].inputs - shifted.inputs)[middle]
    assert difference.mean().abs() < 0.003
    assert 0.185 < difference.std() < 0.205


def test_blur_keeps_the_light_and_removes_the_detail(shifted):
    blurred = shifted.domains["blur"].inputs
    assert (blurred.mean((2, 3)) - shifted.inputs.mean((2, 3))).abs().max() < 0.01
    rough = [(x[..., 1:] - x[..., :-1]).abs().mean() for x in (blurred, shifted.inputs)]
    assert rough[0] < 0.5 * rough[1]


# cue conflict


def test_conflict_images_never_agree_on_shape_and_texture(shifted):
    conflict = shifted.conflict
    assert (conflict.shape != conflict.texture).all()
    assert torch.equal(conflict.shape, shifted.labels)
    far = _distance(shifted) > 0.5
    assert torch.equal(conflict.inputs.movedim(1, 3)[far], shifted.inputs.movedim(1, 3)[far])


def test_every_other_class_is_equally_likely_as_the_texture():
    conflict = shapes(3000, size=16, conflict=True).conflict
    step = ((conflict.texture - conflict.shape) % 8).bincount(minlength=8)
    assert step[0] == 0
    assert step[1:].min() > 340
    assert step[1:].max() < 520


def test_conflict_textures_are_indices_into_the_chosen_classes():
    classes = ("star", "disc", "bar")
    e = shapes(300, classes=classes, correlation=1.0, tied=("texture", "colour"), conflict=True)
    assert e.conflict.texture.max() == 2
    assert e.labels.max() == 2
    names = [classes[i] for i in e.labels.tolist()]
    assert names == [SHAPES[i] for i in e.factors["shape"].tolist()]
    owned = [TEXTURES[SHAPES.index(name)] for name in names]
    assert owned == [TEXTURES[i] for i in e.factors["texture"].tolist()]
    # the conflicting appearance is exactly that of the other class
    own = shapes(300, classes=classes, correlation=1.0, tied=("texture", "colour"))
    scenes, other = _scenes.conflicting(
        _scenes.draw(300, seed=0, classes=[5, 0, 6], correlation=1.0, tied=("texture", "colour")),
        own.labels.numpy(),
        classes=[5, 0, 6],
        tied=("texture", "colour"),
    )
    np.testing.assert_array_equal(scenes.texture, np.array([5, 0, 6])[other])
    np.testing.assert_array_equal(scenes.colour, scenes.texture)


def test_two_thousand_images_take_a_fraction_of_a_second_on_a_free_core():
    import time

    start = time.process_time()
    shapes(2000)
    assert time.process_time() - start < 4.0  # about 0.25 s on a free core


# bad input


@pytest.mark.parametrize(
    ("options", "argument"),
    [
        ({"n": 0}, "n"),
        ({"n": 2.5}, "n"),
        ({"n": True}, "n"),
        ({"n": "ten"}, "n"),
        ({"seed": 0.5}, "seed"),
        ({"size": 32.0}, "size"),
        ({"correlation": "high"}, "correlation"),
        ({"size": 8}, "size"),
        ({"size": 100_000}, "size"),
        ({"correlation": 1.2}, "correlation"),
        ({"correlation": float("nan")}, "correlation"),
        ({"classes": ("disc", "hexagon")}, "classes"),
        ({"classes": ("disc",)}, "classes"),
        ({"classes": ("disc", "disc")}, "classes"),
        ({"tied": ("shape",)}, "tied"),
        ({"domains": ("fog",)}, "domains"),
        ({"domains": ("blur", "blur")}, "domains"),
    ],
)
def test_options_without_meaning_are_refused_by_name(options, argument):
    with pytest.raises(InputError) as error:
        shapes(**{"n": 4, **options})
    assert error.value.argument == argument


def test_one_name_is_taken_as_a_list_of_one():
    assert tuple(shapes(3, domains="blur").domains) == ("blur",)
