import pytest

from controller.optimizer.terms.headroom import headroom_bound, headroom_cost
from tests.fakes.problems import problem
from tests.fakes.terms import Desk

DATA = problem(peak_frac=0.95)  # η 0.9


def test_only_what_instances_have_beyond_eta_may_be_used():
    on = [[2.0] * 3, [0.0] * 3]
    assert Desk(DATA, on=on, over_busy=[[0.1] * 3, [0.0] * 3]).violation(headroom_bound) == pytest.approx(0.0, abs=1e-9)
    assert Desk(DATA, on=on, over_busy=[[0.2] * 3, [0.0] * 3]).violation(headroom_bound) == pytest.approx(0.1)
    assert Desk(DATA).is_dpp(headroom_bound)


def test_a_peak_below_eta_leaves_no_headroom():
    desk = Desk(problem(peak_frac=0.5), on=1.0, over_busy=0.01)
    assert desk.violation(headroom_bound) == pytest.approx(0.01)


def test_it_costs_by_the_second():
    desk = Desk(problem(headroom_usd_per_s=0.02), over_busy=[[0.1] * 3, [0.0] * 3])
    assert desk.cost(headroom_cost) == pytest.approx(0.1 * 180 * 0.02 * 1e6)
    assert desk.is_dpp_cost(headroom_cost)
