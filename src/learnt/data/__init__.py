"""Data sets: real ones by name or file, a generated one with known ground truth, and transforms of inputs."""

from learnt.data.load import load as load
from learnt.data.shapes import shapes as shapes

__all__ = ["load", "shapes"]
