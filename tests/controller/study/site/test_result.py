from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from controller.model.grid import GridEvent
from controller.model.plan import PlanOrigin, Verb
from controller.study.site.make_site import SiteCase, make_site
from controller.study.site.play import Played, PoolState, TickRecord
from controller.study.site.result import event_result, over_span, result, times, totals
from tests.fakes.site_cases import site_settings

CASE = make_site(site_settings(hours=2))
START_S = CASE.start_s
SHARED = GridEvent("e", 6000.0, START_S + 3600.0, START_S + 4200.0, START_S + 3000.0, ramp_s=60.0)


def played(power_w: np.ndarray, records: tuple[TickRecord, ...] = ()) -> Played:
    amounts = np.array([[10.0, 1000.0, 400.0]])
    return Played(
        site=CASE.site,
        power_w=power_w,
        pools_w=np.zeros((len(power_w), 2)),
        records=records,
        asked=amounts,
        served=0.9 * amounts,
        lost=0.04 * amounts,
        waiting=0.06 * amounts,
        late_tokens=8.0,
        by_pool=np.array([[270.0, 90.0]]),
    )


def record(*verbs: Verb, planned_by: PlanOrigin | None = None, solve_s: float | None = None) -> TickRecord:
    return TickRecord((PoolState(3, 0, 0, 0),) * 2, (1.0,), verbs, planned_by, solve_s, frozenset({"serve"}))


def power(before_w: float, within_w: float, after_w: float) -> np.ndarray:
    """Two hours by 10 s: within the event from its third interval on."""
    out = np.full(720, before_w)
    out[362:420] = within_w
    out[420:] = after_w
    return out


def test_the_bill_is_energy_times_price() -> None:
    sums = totals("f", CASE, played(np.full(720, 10_000.0)))
    assert sums.energy_mwh == pytest.approx(0.02)
    assert sums.usd == pytest.approx(0.02 * 60.0)
    assert sums.carbon_kg == pytest.approx(0.02 * 300.0)
    assert sums.peak_kw == pytest.approx(10.0)
    assert (sums.asked_tokens, sums.served_tokens, sums.late_tokens) == (400.0, pytest.approx(360.0), 8.0)
    assert sums.lost_tokens + sums.waiting_tokens == pytest.approx(40.0)
    assert sums.quality_loss_frac == pytest.approx(0.25 * 0.006)


def test_no_token_served_has_no_quality() -> None:
    nothing = dataclasses.replace(played(np.full(720, 1.0)), by_pool=np.zeros((1, 2)))
    assert totals("f", CASE, nothing).quality_loss_frac is None


def test_moves_and_plans_are_counted() -> None:
    records = (
        record(Verb.SLEEP, Verb.SLEEP, planned_by=PlanOrigin.MILP, solve_s=0.1),
        record(Verb.WAKE, planned_by=PlanOrigin.GREEDY, solve_s=5.0),
        record(Verb.START),
    )
    found = result(CASE, played(np.full(720, 10_000.0)), played(np.full(720, 5_000.0), records), ())
    assert (found.controlled.sleeps, found.controlled.wakes, found.controlled.starts) == (2, 1, 1)
    assert found.plans == (("milp", 1), ("dispatch", 0), ("last_plan", 0), ("greedy", 1))
    assert found.late_plans == 1
    assert found.broken_ticks == (("serve", 3),)
    assert found.saving_frac == pytest.approx(0.5)


def test_a_saving_on_a_bill_that_pays_is_not_told() -> None:
    case = make_site(site_settings(hours=2, price={"flat_usd_per_mwh": -20}))
    found = result(case, played(np.full(720, 10_000.0)), played(np.full(720, 5_000.0)), ())
    assert found.fixed.usd < 0
    assert found.saving_frac is None


def test_an_event_is_judged_after_its_ramp() -> None:
    told = event_result(CASE, power(10_000.0, 5_000.0, 11_000.0), SHARED, (SHARED,))
    assert told.baseline_kw == pytest.approx(10.0)
    assert told.time_to_90pct_s == pytest.approx(30.0)
    assert (told.intervals, told.intervals_over) == (54, 0)
    assert told.delivered_kw == pytest.approx(5.0)
    assert told.rebound_peak_kw == pytest.approx(11.0)


def test_what_is_drawn_above_the_limit_is_counted_and_never_reached() -> None:
    told = event_result(CASE, power(10_000.0, 7_000.0, 10_000.0), SHARED, (SHARED,))
    assert told.time_to_90pct_s is None
    assert told.intervals_over == told.intervals == 54


def test_a_limit_above_what_was_drawn_is_not_reached_but_kept() -> None:
    told = event_result(CASE, power(5_500.0, 5_000.0, 5_500.0), SHARED, (SHARED,))
    assert told.time_to_90pct_s is None
    assert told.intervals_over == 0


def test_a_rebound_is_not_told_while_another_limit_is_in_force() -> None:
    other = dataclasses.replace(SHARED, event_id="f", start_s=START_S + 4000.0, end_s=START_S + 5000.0)
    assert event_result(CASE, power(9e3, 5e3, 9e3), SHARED, (SHARED, other)).rebound_peak_kw is None


def test_an_event_known_from_the_beginning_has_no_baseline() -> None:
    early = dataclasses.replace(SHARED, notice_s=START_S - 60.0)
    told = event_result(CASE, power(9e3, 5e3, 9e3), early, (early,))
    assert (told.baseline_kw, told.time_to_90pct_s, told.delivered_kw) == (None, None, None)
    assert told.intervals_over == 0


def test_signals_are_read_at_every_interval_and_must_reach_over_the_span() -> None:
    prices = CASE.signals.price_usd_per_mwh
    assert over_span(CASE, prices) == pytest.approx(np.full(720, 60.0))
    short: SiteCase = dataclasses.replace(CASE, start_s=START_S + 1e7)
    assert times(short)[0] == START_S + 1e7
    with pytest.raises(ValueError, match="does not hold the whole span"):
        over_span(short, prices)
