from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from controller.optimizer.cvxpy_planner import CvxpyPlanner
from controller.study.fleet.make_case import make_case
from controller.study.fleet.state import Intent, State
from controller.study.fleet.step import Flows, Step, after, battery_powers, dispatched, metered
from tests.fakes.fleet_cases import rich_settings

CASE = make_case(rich_settings())
ON = (4, 4, 2, 2)
NOON = 23
PV_W = float(CASE.sites[0].pv_w[NOON])  # type: ignore[index]


def state(charge_w: float = 0.0, discharge_w: float = 0.0, batch: float = 0.0) -> State:
    intent = Intent(np.array([0.0, 0.0, batch]), np.array([charge_w, 0.0]), np.array([discharge_w, 0.0]))
    return replace(State.of(CASE, ON), intent=intent)


def without_tokens(now: State, load_w: list[float]) -> tuple[Step, State]:
    """A step that serves nothing, with the batteries' powers as intended."""
    flows = Flows(np.zeros((3, 4)), np.array(load_w), *battery_powers(CASE, now))
    return after(CASE, now, ON, 0, flows)


def test_photovoltaics_come_first_then_the_battery_and_nothing_is_fed_in() -> None:
    rates, none = np.zeros((3, 4)), np.zeros(2)
    load_w = np.array([PV_W + 5_000.0, 1_000.0])
    meter = metered(CASE, NOON, Flows(rates, load_w, none, np.array([9_000.0, 0.0])))
    assert meter.pv_w.tolist() == pytest.approx([PV_W, 0.0])
    assert meter.discharge_w.tolist() == pytest.approx([5_000.0, 0.0])
    assert meter.import_w.tolist() == pytest.approx([0.0, 1_000.0])
    spilt = metered(CASE, NOON, Flows(rates, np.array([1_000.0, 0.0]), none, none))
    assert spilt.pv_w.tolist() == pytest.approx([1_000.0, 0.0])


def test_a_battery_stores_what_it_is_given_less_its_losses() -> None:
    load_w = [40_000.0, 20_000.0]
    charged = without_tokens(state(charge_w=10_000.0), load_w)[1]
    assert charged.soc_wh[0] == pytest.approx(50_000.0 + 0.95 * 2_500.0)
    given = without_tokens(state(discharge_w=10_000.0), load_w)[1]
    assert given.soc_wh[0] == pytest.approx(50_000.0 - 2_500.0 / 0.95)


def test_a_battery_gives_no_more_than_it_holds() -> None:
    nearly_empty = replace(state(discharge_w=25_000.0), soc_wh=(10_500.0, 0.0))
    left = without_tokens(nearly_empty, [40_000.0, 0.0])[1]
    assert left.soc_wh[0] == pytest.approx(10_000.0)


def test_demand_that_may_wait_is_served_as_the_plan_says() -> None:
    planner = CvxpyPlanner(lambda: 0.0)
    step, left = dispatched(CASE, planner, ON, state(batch=1_000.0), 0)
    asked = [cls.demand_tokens_per_s[0] for cls in CASE.classes]
    assert step.rates.sum(axis=1) == pytest.approx([asked[0], asked[1], 1_000.0], rel=1e-5)
    assert left.queues[2].tokens == pytest.approx((asked[2] - 1_000.0) * 900.0, rel=1e-4)
    assert step.late_tokens.sum() == 0.0


def test_what_is_due_is_served_whatever_the_plan_says() -> None:
    overdue = replace(state(batch=0.0), queues=(*State.of(CASE).queues[:2], State.of(CASE).queues[2].joined(5, 9e5)))
    step, _ = dispatched(CASE, CvxpyPlanner(lambda: 0.0), ON, overdue, 5)
    assert step.rates.sum(axis=1)[2] == pytest.approx(1_000.0, rel=1e-5)


def test_what_cannot_be_served_in_time_counts_as_late_once() -> None:
    planner, few = CvxpyPlanner(lambda: 0.0), (1, 0, 0, 0)
    first = replace(State.of(CASE, few), intent=state().intent)
    one, left = dispatched(CASE, planner, few, first, 0)
    two, _ = dispatched(CASE, planner, few, left, 1)
    assert one.late_tokens.sum() == pytest.approx(one.waiting_tokens[:2].sum())
    assert two.late_tokens.sum() < two.waiting_tokens[:2].sum()
