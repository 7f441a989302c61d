"""The small networks and images of `tests.vision`."""

from tests.vision import images, net, untouched  # noqa: F401  (fixtures)
