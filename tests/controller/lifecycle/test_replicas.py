from dataclasses import replace

import pytest

from controller.lifecycle.replicas import desired_replicas
from controller.model.plan import Horizon, Plan, PlanOrigin, PoolPlan
from router.contract import PoolId
from tests.fakes.controller_parts import NOW_S, curves, pool, site


def fleet(start_s):
    return site(pool("bf16", ("http://a",), curves=replace(curves(), start_s=start_s)))


def planned(on, sleeping=(0, 0, 0, 0)):
    """Intervals of a minute from now on."""
    return Plan(Horizon(NOW_S, 60.0, 4), PlanOrigin.MILP, (), (PoolPlan(PoolId("bf16"), on, sleeping, ()),), 0.0)


@pytest.mark.parametrize(
    ("start_s", "at_s", "told"),
    [
        (0.0, 0.0, 1),
        (0.0, 60.0, 2),
        (60.0, 0.0, 2),
        (90.0, 0.0, 4),
        (600.0, 0.0, 4),
        (600.0, 180.0, 1),
        (600.0, 9000.0, 1),
    ],
)
def test_what_serves_once_a_start_would_be_over_has_to_be_started_now(start_s, at_s, told):
    assert desired_replicas(fleet(start_s), planned((1, 2, 4, 1)), NOW_S + at_s) == ((PoolId("bf16"), told),)


def test_instances_that_sleep_exist():
    assert desired_replicas(fleet(0.0), planned((1, 1, 1, 1), (2, 0, 0, 0)), NOW_S) == ((PoolId("bf16"), 3),)


def test_none_at_all_may_be_wanted():
    assert desired_replicas(fleet(0.0), planned((0, 0, 0, 0)), NOW_S) == ((PoolId("bf16"), 0),)
