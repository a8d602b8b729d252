from __future__ import annotations

from controller.study.fleet.make_case import make_case
from controller.study.fleet.site_settings import BatterySettings
from controller.study.fleet.state import State, battery_data
from tests.fakes.fleet_cases import rich_document, rich_settings

CASE = make_case(rich_settings())


def test_a_run_begins_with_batteries_as_the_scenario_says() -> None:
    state = State.of(CASE)
    assert state.soc_wh == (50_000.0, 0.0)
    assert state.on == (0, 0, 0, 0)
    assert state.burns == (None, None, None)


def test_a_class_with_a_window_has_a_burn() -> None:
    document = rich_document()
    document["classes"][1]["quality_window_hours"] = 2
    burns = State.of(make_case(rich_settings(**document))).burns
    assert [burn is None for burn in burns] == [True, False, True]


def test_demand_is_due_when_it_may_wait_no_longer_and_by_the_end_of_the_span() -> None:
    early, late = State.of(CASE).asked(CASE, 3), State.of(CASE).asked(CASE, 20)
    assert [queue.held[0][0] for queue in early.queues] == [3, 3, 19]
    assert [queue.held[0][0] for queue in late.queues] == [20, 20, 23]


def test_a_late_plan_changes_nothing_but_the_counts() -> None:
    state = State.of(CASE).late()
    assert (state.plans, state.late_plans, state.on) == (1, 1, (0, 0, 0, 0))


def test_a_battery_is_handed_on_as_it_was_at_the_beginning() -> None:
    data = battery_data(BatterySettings(capacity_kwh=10, charge_kw=4, discharge_kw=5, start_frac=0.4), 9_000.0)
    assert (data.soc_wh, data.final_wh, data.min_wh, data.discharge_w) == (9_000.0, 4_000.0, 1_000.0, 5_000.0)
