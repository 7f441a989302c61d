"""Acceptance checks 17 and 18, and the numbers of 2.2 and 2.6, at the sizes of the specification."""

import numpy as np
import pytest

from learnt.gated import reduce, tasks, train_routing, untrained_error
from learnt.gated.deep import deep_time_to
from learnt.gated.routing_domains import routing_data


def test_check_17_large_starts_learn_what_is_trained_and_do_not_transfer():
    """M = 7, K = 4, 64 units, lr = .006 / sigma^(1/3), 700 steps, 3 seeds; the specification has .64 and 125.7."""
    small, large = (
        untrained_error(tasks.band(7, 4), 3, hidden=64, gain=g, lr=0.006 / g ** (1 / 3), steps=700) for g in (0.66, 2.5)
    )
    assert max(small.trained.mean(), large.trained.mean()) < 0.05
    assert large.untrained.mean() > 20 * small.untrained.mean()
    assert small.untrained.mean() < 4 and large.untrained.mean() > 50


def test_check_18_untrained_pairs_of_digits_come_with_more_trained_ones():
    """M = 10 domains of digits, 64-64-64-10, 1200 steps of lr .1 with momentum .9; two of the ten cells, one seed."""
    data = routing_data("digits", 10)
    few, many = (train_routing(data, tasks.permuted(tasks.band(10, k), 0), steps=1200, gain=1.0) for k in (2, 8))
    assert min(few.trained().min(), many.trained().min()) >= 0.90
    assert many.untrained().mean() - few.untrained().mean() >= 0.5


def test_times_of_depth_are_those_of_the_specification():
    """2.6: s = 1.7, d = .6, b0 = .3, to nine tenths of the final strength of a layer."""
    found = [deep_time_to(0.9**n, 1.7, 0.6, 0.3, n) for n in (2, 3, 4, 6)]
    np.testing.assert_allclose(found, [1.43150868, 1.759, 3.240, 18.18], rtol=3e-4)


def test_the_routing_network_ends_where_the_notebook_does():
    run = reduce(tasks.routing(7, 4, weight="notebook")).solve(0.08, "gd", lr=0.02, steps=900)
    np.testing.assert_allclose(run.strength["hid"][-1], [4.56, 3.55, 2.75, 2.75], atol=0.01)
    np.testing.assert_allclose(run.strength["in0"][-1], [1.73, 1.34, 1.04, 1.04], atol=0.01)
    np.testing.assert_allclose(run.strength["out3"][-1], [1.73, 1.34, 1.04, 1.04], atol=0.01)
    plateaus = [run.loss[0], run.loss[110], run.loss[230], run.loss[-1]]
    assert plateaus == pytest.approx([244, 59, 18, 0], abs=1.0)
    early = reduce(tasks.routing(7, 4, weight="notebook")).solve(0.2, "gd", lr=0.02, steps=200)
    assert [early.step_to_loss(level) for level in (151.5, 38.5, 9.0)] == [30, 58, 116]
