"""Do they work by the same modules? The information that matched modules share, with closed forms and the laws."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from learnt.core.errors import InputError, NotApplicable
from learnt.core.measure import Exact, Groups, Undefined
from learnt.programs import Head, Layer
from learnt.programs._match import partition
from learnt.programs.modules import ModuleAgreement, module_agreement
from learnt.programs.sequences import Sequences
from learnt.testing import check_measure

from .edited import mutilated, permuted, with_layers
from .made import golden, large_program, one_layer_sort, random_inputs

RNG = np.random.default_rng(0)


def asked(a, b, data, measure=None):
    measure = ModuleAgreement() if measure is None else measure
    states = [measure.prepare(data.subject(x, name=n), data, rng=RNG) for x, n in ((a, "a"), (b, "b"))]
    return measure.compare(*states, rng=RNG)


def parts(**columns):
    return {name: partition(np.array(values)) for name, values in columns.items()}


def test_the_measure_keeps_every_law():
    check_measure(ModuleAgreement())


def test_closed_forms():
    halves, others = [0, 0, 1, 1], [0, 1, 0, 1]  # independent, ln 2 each
    assert module_agreement(parts(x=halves), parts(y=[7, 7, 3, 3])) == pytest.approx(1)
    assert module_agreement(parts(x=halves), parts(y=others)) == pytest.approx(0)
    assert module_agreement(parts(x=halves, z=others), parts(y=halves)) == pytest.approx(1 / 2)  # one of two
    assert module_agreement(parts(x=[0, 1, 2, 3]), parts(y=halves)) == pytest.approx(1 / 2)
    # I = ln 2 with either, and only one may be the partner: ln 2 / (2 ln 2 + 2 ln 2 - ln 2)
    assert module_agreement(parts(x=[0, 1, 2, 3]), parts(y=halves, z=others)) == pytest.approx(1 / 3)
    assert module_agreement(parts(x=halves, c=[5] * 4), parts(y=halves)) == pytest.approx(1)  # constants count nothing
    assert np.isnan(module_agreement(parts(c=[5] * 4), {}))
    assert module_agreement(parts(x=halves), {}) == 0


COLUMNS = st.lists(st.lists(st.integers(0, 3), min_size=8, max_size=8), min_size=1, max_size=4)


@settings(deadline=None)
@given(COLUMNS, COLUMNS)
def test_it_is_symmetric_between_0_and_1_and_no_matching_is_better(x, y):
    from itertools import permutations

    from learnt.programs._match import shared

    a, b = ({str(i): partition(np.array(column)) for i, column in enumerate(columns)} for columns in (x, y))
    found = module_agreement(a, b)
    assert found == pytest.approx(module_agreement(b, a), abs=1e-12, nan_ok=True)
    small, large = sorted((a, b), key=len)
    most = max(
        sum(shared(p, large[name])[0] for p, name in zip(small.values(), order, strict=True))
        for order in permutations(large, len(small))
    )
    whole = sum(p.entropy for p in (*a.values(), *b.values()))
    if whole > 1e-9:
        assert 0 <= found <= 1
        assert found == pytest.approx(most / (whole - most), abs=1e-9)


def test_check_14_order_and_names_of_modules_change_nothing():
    program = large_program(3)
    data = Sequences(random_inputs(program, 0, 150))
    found = asked(program, permuted(program, 1), data)
    assert isinstance(found, Groups)
    assert found.value == pytest.approx(1)
    assert found.left_out == pytest.approx(np.ones(20))


def test_modules_that_nobody_reads_do_not_count_and_missing_ones_do():
    program = one_layer_sort()
    data = Sequences(random_inputs(program, 0, 100), exhaustive=True)
    (layer,) = program.layers
    idle = Head(query="tokens", key="tokens", value="ones", predicate=list(range(8)), name="idle")
    more = with_layers(program, [replace(layer, num_heads=(*layer.num_heads, idle))])
    found = asked(program, more, data)
    assert isinstance(found, Exact)
    assert found.value == pytest.approx(1)
    voting = replace(more, classifier={**more.classifier, "idle": [1.0, 0, 0, 0, 0]})
    found = asked(program, voting, data)
    assert 0.5 < found.value < 1
    assert found.details["aligned"][-1][:3] == ["added", "", "idle"]


def test_a_changed_head_is_named_and_the_rest_is_the_same():
    program = one_layer_sort()
    data = Sequences(random_inputs(program, 0, 200))
    found = asked(program, mutilated(program, head=1), data)
    rows = {row[1]: row for row in found.details["aligned"]}
    assert rows["num_attn_0_1"][0] == "changed"
    assert {rows[f"num_attn_0_{i}"][0] for i in (0, 2, 3)} == {"same"}
    chart = ModuleAgreement().chart({"b": found.details, "control": found.details})
    assert list(chart.x) == [f"num_attn_0_{v}" for v in range(4)]
    assert chart.series["b"][1] < 1 == pytest.approx(chart.series["b"][0])
    assert "3 of 4 modules" in chart.alt


def test_the_jackknife_leaves_out_whole_inputs():
    program = one_layer_sort()
    rows = random_inputs(program, 2, 40)
    other = mutilated(program)
    data = Sequences(rows)
    found = asked(program, other, data, ModuleAgreement(groups=8))
    rank = np.argsort(np.argsort(data.keys, kind="stable"), kind="stable")
    assert found.left_out.shape == (8,)
    for g in range(8):
        rest = data.take(np.flatnonzero(rank % 8 != g))
        # the matching is kept; here it is the same without any group
        assert found.left_out[g] == pytest.approx(asked(program, other, rest).value, abs=1e-9)


def test_where_no_module_varies_there_is_no_number():
    program = golden("induction")
    bare = replace(program, layers=(Layer(), Layer()), classifier={})
    data = Sequences(random_inputs(program, 0, 30))
    assert isinstance(asked(bare, bare, data), Undefined)
    assert asked(program, bare, data).value == 0
    assert isinstance(asked(program, program, data.take([0])), Undefined)
    with pytest.raises(NotApplicable, match="has no modules"):
        asked(program, lambda tokens: list(tokens), data)
    for groups in (1, True, 2.5):
        with pytest.raises(InputError, match="groups"):
            ModuleAgreement(groups=groups)
