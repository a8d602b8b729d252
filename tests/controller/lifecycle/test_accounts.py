from dataclasses import replace

import pytest

from controller.lifecycle.accounts import burn, event_diagnostics, freeze_baselines
from controller.model.grid import GridEvent
from controller.model.observation import Missing
from controller.settlement.baseline import PowerHistory
from controller.settlement.quality_budget import QualityBurn
from router.contract import EventState, Precision
from tests.fakes.fake_fleet import FakeFleet, site

BURNS = tuple(QualityBurn.empty(cls.class_id, 86_400.0) for cls in site().classes)
EVENT = GridEvent("e", 5000.0, 100.0, 200.0, 100.0, ramp_s=30.0)
HISTORY = PowerHistory(tuple((float(t), 8000.0) for t in range(0, 100, 10)))


def served(by_pool):
    fleet = FakeFleet(site(), {"standard": 1.0, "premium": 0.0, "flex": 0.0})
    for pool_id, tokens in by_pool.items():
        fleet.by_pool["standard", pool_id] = tokens
    return fleet.observe()


def test_what_each_pool_served_is_burnt_at_its_loss():
    before, after = served({"bf16": 100.0}), served({"bf16": 400.0, "int4": 100.0})
    standard = burn(site(), BURNS, before.router.demand, after)[1]
    assert standard.tokens == pytest.approx(400.0)
    assert standard.burnt_frac == pytest.approx(100.0 * 0.012 / 400.0)


def test_a_class_burns_what_it_loses_itself():
    before, after = served({"bf16": 100.0}), served({"bf16": 400.0, "int4": 100.0})
    told = tuple(replace(cls, quality_loss_frac=((Precision.INT4, 0.05),)) for cls in site().classes)
    standard = burn(replace(site(), classes=told), BURNS, before.router.demand, after)[1]
    assert standard.burnt_frac == pytest.approx(100.0 * 0.05 / 400.0)


def test_the_first_report_and_a_missing_one_burn_nothing():
    after = served({"int4": 100.0})
    assert burn(site(), BURNS, (), after)[1].tokens == 0.0
    silent = replace(after, router=Missing("router", "refused", 0.0))
    assert burn(site(), BURNS, after.router.demand, silent)[1].tokens == 0.0


def test_a_restarted_router_burns_nothing_back():
    before, after = served({"int4": 100.0}), served({"int4": 5.0})
    assert burn(site(), BURNS, before.router.demand, after)[1].tokens == 0.0


def test_a_baseline_is_frozen_at_the_start_and_kept():
    assert freeze_baselines((), HISTORY, (EVENT,), 99.0, window_s=60.0, prepare_s=0.0) == ()
    frozen = freeze_baselines((), HISTORY, (EVENT,), 100.0, window_s=60.0, prepare_s=0.0)
    assert frozen == (("e", 8000.0),)
    lower = HISTORY.with_sample(150.0, 1000.0, 60.0)
    assert freeze_baselines(frozen, lower, (EVENT,), 150.0, window_s=60.0, prepare_s=0.0) == frozen


def test_baselines_of_past_events_are_let_go_and_unknown_ones_not_made_up():
    assert freeze_baselines((("e", 8000.0),), HISTORY, (), 300.0, window_s=60.0, prepare_s=0.0) == ()
    assert freeze_baselines((), PowerHistory(), (EVENT,), 100.0, window_s=60.0, prepare_s=0.0) == ()


def test_delivery_and_excess_are_told_while_the_event_lasts():
    baselines = (("e", 8000.0),)
    ramping = event_diagnostics((EVENT,), baselines, 110.0, 6000.0)
    assert (ramping.delivered_w, ramping.over_limit) == (2000.0, False)
    assert event_diagnostics((EVENT,), baselines, 130.0, 6000.0).over_limit
    assert not event_diagnostics((EVENT,), baselines, 130.0, None).over_limit
    assert event_diagnostics((EVENT,), (), 130.0, 4000.0).delivered_w is None
    assert event_diagnostics((EVENT,), baselines, 200.0, 4000.0) is None


def test_the_next_event_is_told_when_none_is_in_force():
    later = replace(EVENT, event_id="later", start_s=500.0, end_s=600.0)
    told = event_diagnostics((later, EVENT), (), 50.0, 7000.0)
    assert (told.event_id, told.state, told.delivered_w) == ("e", EventState.PENDING, None)


def test_the_programmes_own_baseline_counts_where_there_is_one():
    ruled = replace(EVENT, baseline_w=9000.0)
    assert freeze_baselines((), HISTORY, (ruled,), 100.0, window_s=60.0, prepare_s=0.0) == (("e", 9000.0),)
