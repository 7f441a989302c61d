"""The conformance kit itself: every deliberately broken measure is caught, by the law that names its fault."""

import pytest

from learnt.agreement.top1 import Agreement
from learnt.testing import ConformanceError, check_measure, try_laws
from learnt.testing.broken import FAULTS
from learnt.testing.laws import LAWS


@pytest.mark.parametrize("fault", FAULTS, ids=lambda f: f.measure.name)
def test_every_broken_measure_fails_the_law_that_names_its_fault(fault):
    verdicts = {v.law: v.broken for v in try_laws(fault.measure)}
    assert verdicts[fault.law], {k: v for k, v in verdicts.items() if v}


def test_there_are_at_least_twelve_faults_and_they_cover_many_laws():
    assert len(FAULTS) >= 12
    assert len({f.law for f in FAULTS}) >= 12


def test_a_sound_measure_passes_and_the_error_lists_every_broken_law():
    check_measure(Agreement())
    with pytest.raises(ConformanceError, match="values_are_in_range") as caught:
        check_measure(FAULTS[1].measure)
    assert set(caught.value.broken) <= {law.__name__ for law in LAWS}
