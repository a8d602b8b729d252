import pytest

from controller.model.plan import PlanOrigin
from controller.optimizer.backlog import ledger, most_waiting, still_waiting, waiting_after
from controller.optimizer.outcome import assemble
from tests.fakes.problems import class_data, steady


def batch(*demand, defer_steps=2, backlog=()):
    return class_data("batch", 0.0, demand_tokens_per_s=demand, defer_steps=defer_steps, backlog_tokens_per_s=backlog)


def test_the_oldest_is_served_first():
    kept = ledger(batch(10.0, 20.0, 0.0), (0.0, 15.0, 15.0), until_end=True)
    assert kept.unserved == pytest.approx((0.0, 0.0, 0.0))
    assert kept.over == pytest.approx((0.0, 0.0, 0.0))
    assert kept.waiting == (0.0, 0.0)


def test_what_is_overdue_is_unserved():
    late = ledger(batch(10.0, 0.0, 0.0, defer_steps=1), (4.0, 0.0, 5.0), until_end=True)
    assert late.unserved == pytest.approx((0.0, 6.0, 0.0))
    assert late.over == pytest.approx((0.0, 0.0, 5.0))


def test_a_class_that_may_not_wait_is_due_at_once():
    now = ledger(batch(10.0, 10.0, 10.0, defer_steps=0), (10.0, 8.0, 12.0), until_end=False)
    assert now.unserved == pytest.approx((0.0, 2.0, 0.0))
    assert now.over == pytest.approx((0.0, 0.0, 2.0))


def test_nothing_waits_beyond_the_horizon():
    assert ledger(batch(0.0, 0.0, 10.0), (0.0,) * 3, until_end=True).unserved == pytest.approx((0.0, 0.0, 10.0))
    shorter = ledger(batch(0.0, 10.0, 0.0), (0.0, 0.0), until_end=False)
    assert shorter.unserved == (0.0, 0.0)
    assert shorter.waiting == pytest.approx((0.0, 10.0))


def test_what_waits_already_has_its_own_deadline():
    kept = ledger(batch(0.0, 0.0, 0.0, backlog=(5.0, 7.0)), (5.0, 3.0, 0.0), until_end=True)
    assert kept.unserved == pytest.approx((0.0, 4.0, 0.0))


def test_what_may_wait_is_what_is_not_due():
    assert most_waiting(batch(10.0, 20.0, 30.0, 40.0, backlog=(5.0, 7.0)), 4) == (17.0, 30.0, 50.0, 0.0)
    assert most_waiting(batch(10.0, 20.0, 30.0, defer_steps=0), 3) == (0.0, 0.0, 0.0)


def test_what_waits_after_an_interval_is_the_backlog_of_the_next_problem():
    data = steady(classes=(batch(100.0, 0.0, 0.0, backlog=(5.0, 7.0)),))
    plan = assemble(data, PlanOrigin.MILP, ((1, 1, 1),), ((0, 0, 0),), (((20.0, 80.0, 12.0),),))
    assert waiting_after(data, plan) == (pytest.approx((0.0, 92.0)),)
    assert waiting_after(data, plan, 2) == (pytest.approx((12.0, 0.0)),)


def test_what_still_waits_is_told_after_any_interval():
    cls = batch(10.0, 20.0, 0.0, backlog=(5.0, 7.0))
    assert [still_waiting(cls, served) for served in ((), (4.0,), (4.0, 18.0))] == pytest.approx([12.0, 17.0, 19.0])
    assert still_waiting(batch(10.0, 0.0, 0.0, defer_steps=0), (4.0,)) == 0.0
