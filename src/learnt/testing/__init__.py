"""Shipped to users: conformance laws for measures, tiny exact worlds, makers of hostile files."""

from __future__ import annotations

from learnt.testing.conformance import ConformanceError as ConformanceError
from learnt.testing.conformance import check_measure as check_measure
from learnt.testing.conformance import try_laws as try_laws
from learnt.testing.worlds import Case as Case
from learnt.testing.worlds import Models as Models
from learnt.testing.worlds import World as World
