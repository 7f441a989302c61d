"""What shape may a value function have? Linear in features of the observation, V(s) = phi(s)' w.

    Fourier      1, s, and sqrt(2/p) cos(W z + b), W ~ N(0, 1/l^2), b ~ U[0, 2 pi]     Rahimi and Recht 2007
    Polynomial   all products of at most `degree` coordinates

with z the standardised coordinates. Everything in the span of the features is removed from a sampled distance exactly,
whatever the number of samples (`learnt.rewards.lstd`): the constant and all affine potentials in both cases. A feature
map is fitted to observations once (means, scales, length l) and then the same function for every reward.

Any function from observations (n, ...) to features (n, p) can stand in their place; one-hot codes of finitely many
states give back the tabular case.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations_with_replacement
from typing import final

import numpy as np
from jaxtyping import Float

from learnt.core.errors import InputError
from learnt.run.seeds import numpy_generator

FeatureMap = Callable[[np.ndarray], np.ndarray]
PAIRED = 1000  # observations whose distances give the length scale


@final
@dataclass(frozen=True, kw_only=True)
class Fourier:
    """Intercept, observation and random Fourier features of a Gaussian kernel.

    Attributes:
        count: number p of random features; 20 a coordinate and at most 200 if None (in few dimensions more of them are
            nearly collinear).
        length: length scale l of the kernel, in standard deviations of the coordinates; the median distance between
            observations if None.
        seed: of the random frequencies.
    """

    count: int | None = None
    length: float | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if self.count is not None and self.count < 0:
            raise InputError("count", found=str(self.count), expected="0 or more random features")
        if self.length is not None and not 0 < self.length < np.inf:
            raise InputError("length", found=str(self.length), expected="a positive length")

    def fit(self, obs: np.ndarray) -> FeatureMap:
        """The map (n, ...) -> (n, 1 + d + count) for observations like `obs` (N, ...)."""
        flat, mean, scale = _standard(obs)
        z = (flat - mean) / scale
        count = min(200, 20 * z.shape[1]) if self.count is None else self.count
        rng = numpy_generator(self.seed, "fourier features", z.shape[1], count)
        length = _median_distance(z) if self.length is None else self.length
        waves = rng.standard_normal((z.shape[1], count)) / length
        phases = rng.uniform(0.0, 2 * np.pi, count)

        def features(observations: np.ndarray) -> np.ndarray:
            x = (_flat(observations) - mean) / scale
            out = np.empty((len(x), 1 + x.shape[1] + count))
            out[:, 0] = 1.0
            out[:, 1 : 1 + x.shape[1]] = x
            waved = out[:, 1 + x.shape[1] :]
            np.matmul(x, waves, out=waved)
            waved += phases
            np.cos(waved, out=waved)
            waved *= np.sqrt(2.0 / max(count, 1))
            return out

        return features


@final
@dataclass(frozen=True, kw_only=True)
class Polynomial:
    """All products of at most `degree` standardised coordinates of the observation, and 1."""

    degree: int = 2

    def __post_init__(self) -> None:
        if self.degree < 1:
            raise InputError("degree", found=str(self.degree), expected="1 or more")

    def fit(self, obs: np.ndarray) -> FeatureMap:
        """The map (n, ...) -> (n, p) for observations like `obs` (N, ...).

        Raises:
            InputError: more than 20,000 features.
        """
        flat, mean, scale = _standard(obs)
        dims = range(flat.shape[1])
        count = _number_of_products(flat.shape[1], self.degree)
        if count > 20_000:
            raise InputError(
                "degree",
                found=f"{self.degree} with observations of {flat.shape[1]} numbers: {count} features",
                expected="at most 20,000",
                remedy="Use Fourier(), or a function of your own.",
            )
        products = [c for d in range(1, self.degree + 1) for c in combinations_with_replacement(dims, d)]

        def features(observations: np.ndarray) -> np.ndarray:
            x = (_flat(observations) - mean) / scale
            return np.stack([np.ones(len(x)), *(x[:, list(c)].prod(1) for c in products)], axis=1)

        return features


def _number_of_products(dims: int, degree: int) -> int:
    from math import comb

    return comb(dims + degree, degree)


def _flat(obs: np.ndarray) -> Float[np.ndarray, "n d"]:
    array = np.asarray(obs, dtype=np.float64)
    return array.reshape(len(array), -1) if array.size else array.reshape(len(array), 0)


def _standard(obs: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(flat observations, their means, their standard deviations; 1 where a coordinate is constant)."""
    flat = _flat(obs)
    mean, scale = flat.mean(0), flat.std(0)
    return flat, mean, np.where(scale > 1e-12 * (np.abs(mean) + 1e-300), scale, 1.0)


def _median_distance(z: Float[np.ndarray, "n d"]) -> float:
    from scipy.spatial.distance import pdist

    few = z[np.linspace(0, len(z) - 1, min(len(z), PAIRED)).astype(int)]
    distances = pdist(few)
    distances = distances[distances > 0]
    return float(np.median(distances)) if len(distances) else 1.0
