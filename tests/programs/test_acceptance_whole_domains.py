"""Acceptance: hand-written programs become trainable networks that answer alike on every input of their domains."""

import pytest

from learnt.programs import library, tasks
from learnt.programs.discretise import discretised


@pytest.mark.parametrize(
    ("program", "task", "inputs"),
    [
        (library.sort, tasks.sort, 19_530),
        (library.reverse, tasks.reverse, 19_530),
        (library.dyck1, tasks.dyck1, 32_768),
        (library.hist, tasks.hist, None),
        (library.double_hist, tasks.double_hist, None),
        (library.induction, tasks.induction, None),
    ],
)
def test_check_21_networks_of_hand_written_programs_answer_alike_on_whole_domains(program, task, inputs):
    made = program()
    network = made.to_torch()
    result = made.verify(network, task(), most=40_000, samples=2000)
    assert result.equal
    assert result.n == (inputs or 2000)
    assert result.proved == (inputs is not None)
    back = discretised(dict(network.named_parameters()), network.shape)
    again = made.verify(back, task(), most=20_000, samples=2000)
    assert again.equal
