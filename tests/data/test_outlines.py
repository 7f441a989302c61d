import numpy as np
import pytest

from learnt.data._outlines import SHAPES, distance

SIDE = np.linspace(-1.3, 1.3, 521, dtype=np.float32)
X, Y = (a[None] for a in np.meshgrid(SIDE, SIDE))
CELL = float(SIDE[1] - SIDE[0]) ** 2

# areas in units of the radius squared, by hand
TIP, NOTCH = 1.12, 0.50
LENS_HALF = np.arccos((0.98**2 + 0.5**2 - 0.74**2) / (2 * 0.98 * 0.5))
LENS_BITE = np.arccos((0.74**2 + 0.5**2 - 0.98**2) / (2 * 0.74 * 0.5))
LENS = 0.98**2 * (LENS_HALF - np.sin(2 * LENS_HALF) / 2) + 0.74**2 * (
    LENS_BITE - np.sin(2 * LENS_BITE) / 2
)  # where the two discs of the crescent overlap
AREAS = {
    "disc": np.pi * 0.88**2,
    "square": 4 * 0.78**2,
    "triangle": 3 * np.sqrt(3) * 0.57**2,
    "cross": 4 * 2 * 0.34 - 4 * 0.34**2,
    "ring": np.pi * (0.96**2 - 0.50**2),
    "star": 5 * TIP * NOTCH * np.sin(np.pi / 5),
    "bar": 4 * 1.08 * 0.34,
    "crescent": np.pi * 0.98**2 - LENS,
}


@pytest.mark.parametrize("name", SHAPES)
def test_the_inside_has_the_area_of_the_figure(name):
    assert (distance(name, X, Y) < 0).sum() * CELL == pytest.approx(AREAS[name], rel=0.01)


@pytest.mark.parametrize("name", SHAPES)
def test_near_the_outline_the_field_is_the_euclidean_distance(name):
    field = distance(name, X, Y)[0]
    inside = field < 0
    from scipy.ndimage import distance_transform_edt

    step = float(SIDE[1] - SIDE[0])
    exact = np.where(inside, -distance_transform_edt(inside), distance_transform_edt(~inside)) * step
    near = np.abs(exact) < 0.1
    error = np.abs(field - exact)[near]
    assert np.median(error) < 1.2 * step  # edt measures to pixel centres
    assert np.quantile(error, 0.9) < 0.06  # corners are mitred


@pytest.mark.parametrize("name", SHAPES)
def test_no_shape_is_larger_than_its_square_of_side_two_and_a_bit(name):
    far = np.float32(1.25)
    edge = np.linspace(-1.25, 1.25, 101, dtype=np.float32)[None, None]
    for x, y in ((edge, np.full_like(edge, far)), (np.full_like(edge, -far), edge)):
        assert (distance(name, x, y) > 0).all()


def test_shapes_differ_from_each_other_by_more_than_a_tenth_of_their_area():
    inside = {name: distance(name, X, Y) < 0 for name in SHAPES}
    for a in SHAPES:
        for b in SHAPES:
            if a < b:
                overlap = (inside[a] & inside[b]).sum() / (inside[a] | inside[b]).sum()
                assert overlap < 0.9, (a, b, overlap)


def test_the_crescent_has_no_second_line_beyond_its_horns():
    field = distance("crescent", X, Y)[0]
    y, x = np.unravel_index(np.argmin(np.abs(field) + 10 * (np.hypot(X[0] - 0.98, Y[0]) > 0.1)), field.shape)
    assert abs(field[y, x]) > 0.3, "on the circle inside the bite the outline is far away"
