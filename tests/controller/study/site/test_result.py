from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from controller.model.plan import PlanOrigin, Verb
from controller.study.site.engines import Waits, When
from controller.study.site.make_site import SiteCase, make_site
from controller.study.site.play import Played, PoolState, TickRecord
from controller.study.site.result import over_span, result, totals
from tests.fakes.site_cases import site_settings

CASE = make_site(site_settings(hours=2))
START_S = CASE.start_s


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
        queued=np.zeros((len(power_w), 1)),
        late_by=np.zeros((len(power_w), 1)),
        waits={},
    )


def record(*verbs: Verb, planned_by: PlanOrigin | None = None, solve_s: float | None = None) -> TickRecord:
    return TickRecord(
        (PoolState(3, 0, 0, 0),) * 2,
        (1.0,),
        tuple((0, verb) for verb in verbs),
        planned_by,
        solve_s,
        frozenset({"serve"}),
    )


def test_the_bill_is_energy_times_price() -> None:
    sums = totals("f", CASE, played(np.full(720, 10_000.0)))
    assert sums.energy_mwh == pytest.approx(0.02)
    assert sums.usd == pytest.approx(0.02 * 60.0)
    assert sums.carbon_kg == pytest.approx(0.02 * 300.0)
    assert sums.peak_kw == pytest.approx(10.0)
    assert (sums.asked_tokens, sums.served_tokens, sums.late_tokens) == (400.0, pytest.approx(360.0), 8.0)
    assert sums.lost_tokens + sums.waiting_tokens == pytest.approx(40.0)
    assert (sums.asked_requests, sums.served_requests) == (10.0, pytest.approx(9.0))
    assert sums.quality_loss_frac == pytest.approx(0.25 * 0.006)


def test_a_short_peak_is_billed_as_the_mean_of_its_quarter_of_an_hour() -> None:
    short = np.full(720, 10_000.0)
    short[100:109] = 20_000.0
    sums = totals("f", CASE, played(short))
    assert (sums.peak_kw, sums.billed_peak_kw) == (20.0, pytest.approx(11.0))
    brief = dataclasses.replace(CASE, asked_per_s=CASE.asked_per_s[:80])
    assert totals("f", brief, played(np.full(80, 10_000.0))).billed_peak_kw is None


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


def test_commands_are_counted_in_the_busiest_hour_of_a_pool_after_the_first() -> None:
    two_hours = [record() for _ in range(720)]
    two_hours[10] = record(Verb.SLEEP, Verb.SLEEP, Verb.SLEEP, Verb.SLEEP)
    two_hours[400], two_hours[700] = record(Verb.WAKE), record(Verb.SLEEP, Verb.SLEEP)
    sums = totals("c", CASE, played(np.full(720, 1.0), tuple(two_hours)))
    assert (sums.most_moves_per_hour, sums.sleeps) == (3, 6)
    other = PoolState(3, 0, 0, 0)
    two_hours[500] = TickRecord((other,) * 2, (1.0,), ((1, Verb.WAKE),), None, None, frozenset())
    assert totals("c", CASE, played(np.full(720, 1.0), tuple(two_hours))).most_moves_per_hour == 3


def test_a_run_of_an_hour_has_no_busiest_hour_after_the_first() -> None:
    assert totals("c", CASE, played(np.full(720, 1.0), (record(Verb.SLEEP),) * 360)).most_moves_per_hour is None


def test_latencies_are_told_of_each_fleet_and_time() -> None:
    waits = {when: Waits() for when in When}
    for seconds in (0.1, 0.2, 0.3):
        waits[When.CALLED].ttft.add(seconds)
    fixed = dataclasses.replace(played(np.full(720, 1.0)), waits={when: Waits() for when in When})
    told = result(CASE, fixed, dataclasses.replace(fixed, waits=waits), ()).latencies
    assert [(each.fleet, each.when, each.first_tokens) for each in told] == [
        ("fixed bf16 fleet", "during events", 0),
        ("fixed bf16 fleet", "outside of events", 0),
        ("under the controller", "during events", 3),
        ("under the controller", "outside of events", 0),
    ]
    assert told[2].ttft_p50_s == pytest.approx(0.2, rel=0.02)
    assert told[2].ttft_p99_s == pytest.approx(0.3, rel=0.02)
    assert (told[2].itl_p50_s, told[0].ttft_p50_s) == (None, None)


def test_a_saving_on_a_bill_that_pays_is_not_told() -> None:
    case = make_site(site_settings(hours=2, price={"flat_usd_per_mwh": -20}))
    found = result(case, played(np.full(720, 10_000.0)), played(np.full(720, 5_000.0)), ())
    assert found.fixed.usd < 0
    assert found.saving_frac is None


def test_signals_are_read_at_every_interval_and_must_reach_over_the_span() -> None:
    prices = CASE.signals.price_usd_per_mwh
    assert over_span(CASE, prices) == pytest.approx(np.full(720, 60.0))
    short: SiteCase = dataclasses.replace(CASE, start_s=START_S + 1e7)
    assert short.times_s[0] == START_S + 1e7
    with pytest.raises(ValueError, match="does not hold the whole span"):
        over_span(short, prices)
