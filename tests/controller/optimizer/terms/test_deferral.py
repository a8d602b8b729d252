import pytest

from controller.optimizer.terms.deferral import deadlines
from controller.optimizer.terms.serve import serve_demand
from tests.fakes.problems import class_data, pool_data, problem, steady
from tests.fakes.terms import Desk, golden, planned


def batch(*demand, **changes):
    return class_data("batch", 0.0, **{"demand_tokens_per_s": demand, "defer_steps": 1, **changes})


def served(plan):
    return tuple(sum(rates) for rates in zip(*(pool.output_tokens_per_s[0][1] for pool in plan.pools), strict=True))


DATA = steady(classes=(batch(800.0, 800.0, 0.0),))


def test_what_is_not_served_now_waits():
    kept = Desk(DATA, tokens=[[300.0, 900.0, 400.0]], backlog=[[500.0, 400.0, 0.0]])
    assert kept.violation(serve_demand) == pytest.approx(0.0)
    assert Desk(DATA, tokens=[[300.0, 900.0, 300.0]], backlog=[[500.0, 400.0, 0.0]]).violation(
        serve_demand
    ) == pytest.approx(100.0)
    assert kept.is_dpp(serve_demand)


def test_only_what_is_not_due_may_wait():
    assert Desk(DATA, backlog=[[800.0, 800.0, 0.0]]).violation(deadlines) == pytest.approx(0.0)
    assert Desk(DATA, backlog=[[900.0, 0.0, 0.0]]).violation(deadlines) == pytest.approx(100.0)
    assert Desk(DATA, backlog=[[0.0, 0.0, 50.0]]).violation(deadlines) == pytest.approx(50.0)
    assert Desk(DATA).is_dpp(deadlines)


def test_what_waits_already_keeps_its_deadline():
    waiting = steady(classes=(batch(0.0, 0.0, 0.0, defer_steps=2, backlog_tokens_per_s=(100.0, 200.0)),))
    assert Desk(waiting, backlog=[[200.0, 0.0, 0.0]]).violation(deadlines) == pytest.approx(0.0)
    assert Desk(waiting, backlog=[[300.0, 0.0, 0.0]]).violation(deadlines) == pytest.approx(100.0)


def test_a_class_that_may_not_wait_does_not():
    mixed = steady(
        classes=(batch(800.0, 800.0, 0.0), class_data("standard", 10.0)),
        allowed=((True,),) * 2,
        busy_s_per_token=((1e-3,),) * 2,
        j_per_token=((0.3,),) * 2,
    )
    assert Desk(mixed, backlog=[[0.0] * 3, [5.0] * 3]).violation(deadlines) == pytest.approx(5.0)


def test_a_plan_without_such_classes_has_none_of_it():
    desk = Desk(problem())
    assert deadlines(desk.v, desk.p, desk.shape) == []


@golden(deadlines)
def test_work_waits_for_cheap_energy_as_long_as_it_may():
    # 900 tokens/s fit. The first hour's 800 wait for the second, with 100 of its own; its other 700 wait for the third.
    plan = planned(steady(classes=(batch(800.0, 800.0, 0.0),), price_usd_per_mwh=(100.0, 20.0, 90.0)))
    assert served(plan) == pytest.approx((0.0, 900.0, 700.0))
    now = planned(steady(classes=(batch(800.0, 800.0, 0.0, defer_steps=0),), price_usd_per_mwh=(100.0, 20.0, 90.0)))
    assert served(now) == pytest.approx((800.0, 800.0, 0.0))


def test_a_peak_that_may_wait_needs_no_second_instance():
    peak = batch(1700.0, 0.0, 0.0, defer_steps=2)
    plan = planned(steady(classes=(peak,), pools=(pool_data("full"),)))
    assert max(plan.pools[0].on) == 1
    assert sum(served(plan)) == pytest.approx(1700.0)
    assert plan.slack == ()


def test_what_cannot_be_served_in_time_is_told():
    plan = planned(steady(classes=(batch(2500.0, 0.0, 0.0),)))
    assert [(s.promise, s.amount) for s in plan.slack if s.promise == "serve"] == [
        ("serve", pytest.approx(2500.0 - 2 * 970.0))
    ]


def test_what_waits_already_is_served_first_when_due():
    plan = planned(
        steady(
            classes=(batch(0.0, 0.0, 0.0, defer_steps=2, backlog_tokens_per_s=(100.0, 200.0)),),
            price_usd_per_mwh=(100.0, 20.0, 10.0),
        )
    )
    assert served(plan) == pytest.approx((100.0, 200.0, 0.0))
