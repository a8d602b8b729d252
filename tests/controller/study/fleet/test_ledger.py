from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from controller.study.fleet.ledger import totals
from controller.study.fleet.make_case import make_case
from controller.study.fleet.step import Step
from tests.fakes.fleet_cases import fleet_settings, rich_document, rich_settings

CASE = make_case(fleet_settings())
NONE = np.zeros(4, dtype=int)
HOURS = CASE.steps / 4


def step(**changes: object) -> Step:
    zero = np.zeros(2)
    values = {
        "on": np.array([2, 1, 0, 0]),
        "sleeping": NONE,
        "started": NONE,
        "rates": np.array([[1000.0, 0.0, 0.0, 0.0], [500.0, 500.0, 0.0, 0.0]]),
        "load_w": np.array([10_000.0, 5_000.0]),
        "import_w": np.array([10_000.0, 5_000.0]),
        "pv_w": zero,
        "charge_w": zero,
        "discharge_w": zero,
        "soc_wh": zero,
        "waiting_tokens": zero,
        "late_tokens": zero,
    }
    return Step(**{**values, **changes})  # type: ignore[arg-type]


def test_energy_is_billed_at_each_sites_price() -> None:
    found = totals(CASE, (step(),) * CASE.steps)
    assert found.energy_mwh == pytest.approx(0.015 * HOURS)
    a, b = (site.price_usd_per_mwh.mean() for site in CASE.sites)
    assert found.bill.energy == pytest.approx((0.010 * a + 0.005 * b) * HOURS)
    assert found.gpu_hours == pytest.approx((2 * 8 + 4) * HOURS)
    assert found.bill.usd == pytest.approx(found.bill.energy)


def test_a_start_is_charged_with_the_energy_it_takes() -> None:
    quiet = (step(),) * CASE.steps
    busy = (step(started=np.array([1, 0, 0, 0])), *quiet[1:])
    curves = CASE.pools[0].curves
    more = totals(CASE, busy).energy_mwh - totals(CASE, quiet).energy_mwh
    assert more == pytest.approx(1.2 * curves.p0_w * curves.start_s / 3.6e9)
    assert totals(CASE, busy).starts == 1


def test_quality_lost_is_the_mean_over_all_tokens() -> None:
    assert totals(CASE, (step(),) * CASE.steps).quality_loss_frac == pytest.approx(0.006 * 500 / 2000)


def test_lost_quality_and_moved_requests_cost_what_the_classes_say() -> None:
    case = replace(
        CASE,
        classes=tuple(
            replace(cls, quality_usd_per_mtoken=100.0, home=1, move_usd_per_token=1e-6) for cls in CASE.classes
        ),
    )
    bill = totals(case, (step(),) * case.steps).bill
    seconds = case.steps * case.step_s
    assert bill.quality == pytest.approx(100e-6 * 0.006 * 500 * seconds)
    assert bill.moves == pytest.approx(1e-6 * 2000 * seconds)
    assert bill.usd == pytest.approx(bill.energy + bill.quality + bill.moves)


def test_work_beyond_the_planned_share_is_told() -> None:
    assert totals(CASE, (step(),) * CASE.steps).strained_frac == 0.0
    crowded = step(on=np.array([0, 1, 0, 0]), rates=np.array([[0.0] * 4, [0.0, 1e5, 0.0, 0.0]]))
    assert totals(CASE, (crowded,) * CASE.steps).strained_frac > 0.5


def test_what_is_late_and_what_is_never_served_are_told_apart() -> None:
    asked = CASE.classes[0].demand_tokens_per_s + CASE.classes[1].demand_tokens_per_s
    exact = [
        step(rates=np.array([[cls.demand_tokens_per_s[t], 0.0, 0.0, 0.0] for cls in CASE.classes]))
        for t in range(CASE.steps)
    ]
    assert totals(CASE, tuple(exact)).unserved_frac == pytest.approx(0.0, abs=1e-9)
    late = tuple(step(rates=s.rates, late_tokens=np.array([asked.mean() * 0.1 * CASE.step_s, 0.0])) for s in exact)
    assert totals(CASE, late).late_frac == pytest.approx(0.1)
    assert totals(CASE, late).unserved_frac == pytest.approx(0.0, abs=1e-9)


def test_a_reduction_is_paid_and_what_is_drawn_above_the_baseline_is_paid_back() -> None:
    case = make_case(rich_settings()).enrolled(np.array([[12_000.0] * 24, [4_000.0] * 24]))
    found = totals(case, (step(rates=np.zeros((3, 4))),) * case.steps)
    assert found.curtailed_mwh == pytest.approx((2_000.0 - 1_000.0) * 1e-6)
    assert found.bill.reward == pytest.approx(500 * (2_000.0 - 1_000.0) * 1e-6)
    assert found.bill.usd == pytest.approx(found.bill.energy + found.bill.recharge - found.bill.reward)


def test_power_above_a_limit_is_told() -> None:
    document = rich_document()
    document["events"] = [
        {"name": "cap", "kind": "limit", "sites": ["a"], "start": "2022-07-12T13:00:00Z", "hours": 1, "limit_kw": 8}
    ]
    case = make_case(rich_settings(**document))
    assert totals(case, (step(rates=np.zeros((3, 4))),) * case.steps).over_limit_mwh == pytest.approx(2_000.0 * 1e-6)


def test_a_battery_left_emptier_is_charged_and_a_fuller_one_earns_nothing() -> None:
    case = make_case(rich_settings())
    price = case.sites[0].price_usd_per_mwh.mean()
    empty, full = (
        totals(case, (step(rates=np.zeros((3, 4)), soc_wh=np.array([held, 0.0])),) * case.steps).bill
        for held in (40_000.0, 90_000.0)
    )
    assert empty.recharge == pytest.approx(0.010 / 0.95 * price)
    assert full.recharge == 0.0
