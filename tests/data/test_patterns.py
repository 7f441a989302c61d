import numpy as np
import pytest

from learnt.data._patterns import ALL_TEXTURES, HELD_OUT_TEXTURES, TEXTURES, tone

SIDE = np.arange(-10, 10, 0.05, dtype=np.float32)
U, V = (a[None] for a in np.meshgrid(SIDE, SIDE))


@pytest.mark.parametrize("name", ALL_TEXTURES)
def test_tones_lie_in_the_unit_interval(name):
    values = tone(name, U, V, 0.2)
    assert values.min() >= 0
    assert values.max() <= 1
    assert values.dtype == np.float32


@pytest.mark.parametrize("name", [n for n in ALL_TEXTURES if n != "plain"])
def test_every_pattern_but_plain_shows_both_tones(name):
    values = tone(name, U, V, 0.05)
    assert 0.15 < (values < 0.1).mean() < 0.85
    assert 0.15 < (values > 0.9).mean() < 0.85


def test_plain_has_one_tone():
    assert (tone("plain", U, V, 0.2) == 1).all()


@pytest.mark.parametrize("name", ["stripes", "checks", "dots", "grid"])
def test_lattice_patterns_repeat_after_one_period(name):
    np.testing.assert_allclose(tone(name, U + 1, V + 1, 0.2), tone(name, U, V, 0.2), atol=2e-4)


def test_stripes_are_half_light_half_dark():
    assert tone("stripes", U, V, 0.01).mean() == pytest.approx(0.5, abs=0.01)


def test_a_wider_blur_gives_softer_edges():
    soft = [((t > 0.05) & (t < 0.95)).mean() for t in (tone("checks", U, V, blur) for blur in (0.05, 0.2, 0.4))]
    assert soft[0] < soft[1] < soft[2]


def test_held_out_patterns_are_not_among_the_textures():
    assert not set(TEXTURES) & set(HELD_OUT_TEXTURES)
    assert ALL_TEXTURES == TEXTURES + HELD_OUT_TEXTURES


def test_any_two_patterns_differ_on_a_tenth_of_the_plane():
    drawn = {name: tone(name, U, V, 0.05) > 0.5 for name in ALL_TEXTURES}
    for a in ALL_TEXTURES:
        for b in ALL_TEXTURES:
            if a < b:
                assert 0.1 < (drawn[a] != drawn[b]).mean(), (a, b)
