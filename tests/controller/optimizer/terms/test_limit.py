import pytest

from controller.optimizer.terms.limit import limit_cost, site_limit
from tests.fakes.problems import problem
from tests.fakes.terms import Desk

DATA = problem(limit_w=(None, 3000.0, 3000.0))


def test_the_site_stays_under_its_limit_where_there_is_one():
    assert Desk(DATA, site_w=[[9000.0, 3000.0, 2900.0]]).violation(site_limit) == 0.0
    assert Desk(DATA, site_w=[[9000.0, 3100.0, 2900.0]]).violation(site_limit) == pytest.approx(100.0)
    assert Desk(DATA).is_dpp(site_limit)


def test_what_is_over_must_be_told_and_costs():
    desk = Desk(DATA, site_w=[[0.0, 3100.0, 0.0]], over_limit_w=[[0.0, 100.0, 0.0]])
    assert desk.violation(site_limit) == pytest.approx(0.0)
    assert desk.cost(limit_cost) == pytest.approx(100 * 60 * 0.02 * 1e6)
    assert desk.is_dpp_cost(limit_cost)
