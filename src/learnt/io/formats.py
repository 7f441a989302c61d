"""The readers of data files in one place: arrays, tables, records, images. None of them can run code from a file."""

from learnt.io.arrays import read_npy as read_npy
from learnt.io.arrays import read_npz as read_npz
from learnt.io.images import SUFFIXES as IMAGE_SUFFIXES
from learnt.io.images import read_image as read_image
from learnt.io.records import read_cifar as read_cifar
from learnt.io.records import read_idx as read_idx
from learnt.io.tables import Table as Table
from learnt.io.tables import read_csv as read_csv
from learnt.io.tables import write_csv as write_csv

__all__ = [
    "IMAGE_SUFFIXES",
    "Table",
    "read_cifar",
    "read_csv",
    "read_idx",
    "read_image",
    "read_npy",
    "read_npz",
    "write_csv",
]
