"""Every measure of the catalogue against every law; there is no list of exceptions."""

import pytest

from learnt.catalogue import MEASURES
from learnt.testing.conformance import try_laws, world_for
from learnt.testing.laws import LAWS

VARIANTS = [v for m in MEASURES() for v in m.variants(world_for(m).case(0).data)]


@pytest.mark.parametrize("measure", VARIANTS, ids=lambda m: m.name)
def test_measure_keeps_every_law(measure):
    verdicts = try_laws(measure)
    assert len(verdicts) == len(LAWS)
    assert {v.law: v.broken for v in verdicts if v.broken} == {}


def test_names_in_the_catalogue_are_unique():
    names = [m.name for m in VARIANTS]
    assert len(names) == len(set(names))
