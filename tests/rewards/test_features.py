"""Features of values: what their span holds, and that they do not depend on units."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from learnt.core.errors import InputError
from learnt.rewards.features import Fourier, Polynomial

OBS = np.random.default_rng(0).standard_normal((300, 4)) * [1, 10, 1e-3, 1] + [0, 5, 0, 100]


def in_span(features, target):
    w, *_ = np.linalg.lstsq(features, target, rcond=None)
    return float(np.abs(features @ w - target).max() / np.abs(target).max())


@pytest.mark.parametrize("kind", [Fourier(), Fourier(count=0), Polynomial(), Polynomial(degree=1)])
def test_constants_and_affine_functions_are_in_the_span(kind):
    phi = kind.fit(OBS)(OBS)
    assert in_span(phi, np.ones(300)) < 1e-10
    assert in_span(phi, OBS @ [1.0, -2.0, 3.0, 0.5] + 7) < 1e-10


def test_products_are_in_the_span_of_polynomials_only_up_to_their_degree():
    assert in_span(Polynomial().fit(OBS)(OBS), OBS[:, 0] * OBS[:, 1] - OBS[:, 2] ** 2) < 1e-10
    assert in_span(Polynomial().fit(OBS)(OBS), OBS[:, 0] ** 3) > 0.01
    assert in_span(Polynomial(degree=3).fit(OBS)(OBS), OBS[:, 0] ** 3) < 1e-10
    assert Polynomial(degree=3).fit(OBS)(OBS).shape == (300, 35)


def test_random_features_have_the_kernel_of_their_length():
    """phi(x)' phi(y) of many random features is exp(-|x - y|^2 / 2 l^2): Rahimi and Recht 2007."""
    obs = np.random.default_rng(1).standard_normal((40, 2))
    z = (obs - obs.mean(0)) / obs.std(0)
    phi = Fourier(count=40_000, length=1.3).fit(obs)(obs)[:, 3:]
    square = np.square(z[:, None] - z[None]).sum(-1)
    np.testing.assert_allclose(phi @ phi.T, np.exp(-square / (2 * 1.3**2)), atol=0.03)


@given(scale=st.floats(1e-6, 1e6), shift=st.floats(-1e3, 1e3))
def test_random_features_do_not_depend_on_units(scale, shift):
    plain, moved = Fourier(count=20).fit(OBS), Fourier(count=20).fit(OBS * scale + shift * scale)
    np.testing.assert_allclose(moved(OBS[:5] * scale + shift * scale), plain(OBS[:5]), atol=1e-6)


def test_the_same_seed_gives_the_same_features_and_another_one_others():
    a, b, c = (Fourier(count=5, seed=s).fit(OBS)(OBS) for s in (0, 0, 1))
    np.testing.assert_array_equal(a, b)
    assert np.abs(a[:, 5:] - c[:, 5:]).max() > 0.1


def test_observations_of_any_shape_and_constant_coordinates_work():
    images = np.random.default_rng(0).random((10, 3, 3))
    images[:, 0, 0] = 4.0
    assert Fourier().fit(images)(images).shape == (10, 1 + 9 + 180)
    assert np.isfinite(Fourier().fit(images)(images)).all()
    assert Fourier(count=7).fit(np.arange(5))(np.arange(5)).shape == (5, 9)
    assert np.isfinite(Fourier(count=7).fit(np.zeros(5))(np.zeros(5))).all()
    assert Fourier().fit(np.zeros((4, 30)))(np.zeros((4, 30))).shape == (4, 231)  # 200 at most


def test_bad_settings_are_errors():
    for make in (
        lambda: Fourier(count=-1), lambda: Fourier(length=0.0), lambda: Fourier(length=np.inf),
        lambda: Polynomial(degree=0), lambda: Polynomial(degree=4).fit(np.zeros((2, 40))),
    ):  # fmt: skip
        with pytest.raises(InputError):
            make()
