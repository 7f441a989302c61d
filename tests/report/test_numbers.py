import math

import pytest

from learnt.core.estimate import Estimate
from learnt.report.numbers import MISSING, Scale, difference_scale, probability, scale_of, transfer_text


def test_a_share_is_shown_as_percent_with_its_interval(make):
    scale = scale_of(make.answer())
    assert scale.full(make.estimate(0.941, 0.01)) == "94.1 % [93.1, 95.1]"
    assert scale.phrase == " of examples"


def test_the_difference_of_shares_is_in_points(make):
    assert difference_scale(make.answer()).full(make.estimate(0.039, 0.009), signed=True) == "+3.9 points [+3.0, +4.8]"


@pytest.mark.parametrize(
    ("half", "shown"),
    [(0.2, "0.52 nats [0.32, 0.72]"), (0.02, "0.520 nats [0.500, 0.540]"), (0.0004, "0.51999 nats [0.51959, 0.52039]")],
)
def test_decimals_follow_the_width_of_the_interval(make, half, shown):
    e = make.estimate(0.51999, half)
    assert scale_of(make.answer(unit="nats", value=e, control=None, difference=None)).full(e) == shown


def test_value_and_control_have_the_same_decimals(make):
    scale = scale_of(make.answer(unit="nats", value=make.estimate(0.5, 0.001), control=make.estimate(0.7, 0.1)))
    assert scale.text(0.5) == "0.50 nats"
    assert scale.text(0.7) == "0.70 nats"


def test_kappa_has_no_unit(make):
    assert scale_of(make.answer(unit="kappa")).text(0.5) == "0.500"


def test_exact_numbers_say_so_and_have_no_interval(make):
    exact = Estimate.exact(0.25)
    answer = make.answer(unit="distance, 0 to 2", value=exact, control=None, difference=None)
    assert scale_of(answer).full(exact) == "0.25 (exact)"
    assert scale_of(answer).interval(exact) == ""


def test_undefined_numbers_are_a_dash_never_nan(make):
    assert scale_of(make.answer()).full(Estimate.undefined("no errors")) == MISSING
    assert transfer_text(Estimate.undefined("no room")) == MISSING
    assert probability(None) == MISSING
    assert probability(math.nan) == MISSING


def test_zero_has_no_sign():
    assert Scale(decimals=1).bare(-0.01) == "0.0"
    assert Scale(decimals=1).bare(-0.01, signed=True) == "0.0"


def test_infinity_is_written_as_such():
    assert Scale().text(math.inf) == "∞"


def test_transfer_is_a_whole_percentage(make):
    assert transfer_text(make.estimate(0.4, 0.09)) == "40 % [31, 49]"


def test_small_p_values_are_bounded_not_rounded_to_zero():
    assert probability(0.0004) == "below 0.001"
    assert probability(0.0312) == "0.031"
