from __future__ import annotations

import numpy as np
import pytest

from controller.study.fleet.case import make_case
from controller.study.fleet.ledger import Step, totals
from tests.fakes.fleet_cases import fleet_settings

CASE = make_case(fleet_settings())
NONE = np.zeros(4, dtype=int)


def step(**changes: object) -> Step:
    values = {
        "on": np.array([2, 1, 0, 0]),
        "sleeping": NONE,
        "started": NONE,
        "rates": np.array([[1000.0, 0.0, 0.0, 0.0], [500.0, 500.0, 0.0, 0.0]]),
        "site_w": np.array([10_000.0, 5_000.0]),
        "late_tokens_per_s": np.zeros(2),
    }
    return Step(**{**values, **changes})  # type: ignore[arg-type]


def test_energy_is_billed_at_each_sites_price() -> None:
    steps = (step(),) * CASE.steps
    found = totals(CASE, steps)
    hours = CASE.steps / 4
    assert found.energy_mwh == pytest.approx(0.015 * hours)
    a, b = (site.price_usd_per_mwh.mean() for site in CASE.sites)
    assert found.energy_usd == pytest.approx((0.010 * a + 0.005 * b) * hours)
    assert found.gpu_hours == pytest.approx((2 * 8 + 4) * hours)
    assert found.usd == found.energy_usd + found.carbon_usd + found.start_usd


def test_a_start_is_charged_with_the_energy_it_takes() -> None:
    quiet = (step(),) * CASE.steps
    busy = (step(started=np.array([1, 0, 0, 0])), *quiet[1:])
    curves = CASE.pools[0].curves
    more = totals(CASE, busy).energy_mwh - totals(CASE, quiet).energy_mwh
    assert more == pytest.approx(1.2 * curves.p0_w * curves.start_s / 3.6e9)
    assert totals(CASE, busy).starts == 1


def test_quality_lost_is_the_mean_over_all_tokens() -> None:
    assert totals(CASE, (step(),) * CASE.steps).quality_loss_frac == pytest.approx(0.006 * 500 / 2000)


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
    late = tuple(step(rates=s.rates, late_tokens_per_s=np.array([asked.mean() * 0.1, 0.0])) for s in exact)
    assert totals(CASE, late).late_frac == pytest.approx(0.1)
    assert totals(CASE, late).unserved_frac == pytest.approx(0.0, abs=1e-9)
