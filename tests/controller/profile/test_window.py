from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import pytest

from controller.model.observation import Quality, Reading
from controller.profile.cells import MeasuredCell
from controller.profile.design import Cell
from controller.profile.facts import Counters
from controller.profile.load import LoadCounts
from controller.profile.power import PowerSample
from controller.profile.window import Moment, is_at_rest, measured_cell, steadiness_of

CELL = Cell(4, 128, 256)
IDLE_W = 100.0


def moment(at_s: float, *, power_w: float = 400.0, cached: float = 0.0, preemptions: float = 0.0) -> Moment:
    """Of an engine that makes 100 steps of four tokens a second, of which one is a prompt's first, since time 0."""
    engine = Counters(
        running=4.0,
        waiting=0.0,
        prompt_tokens=256.0 * at_s,
        generation_tokens=400.0 * at_s,
        steps=100.0 * at_s,
        first_tokens=at_s,
        cached_tokens=cached * at_s,
        preemptions=preemptions * at_s,
        kv_capacity_tokens=None,
    )
    reading = Reading(power_w, None, at_s, "dcgm", Quality.DIRECT)
    return Moment(at_s, engine, PowerSample(at_s, (reading,)), idle_s=0.0, gap_s=4.0 * at_s, gaps=int(400 * at_s))


def window(**changes: float) -> list[Moment]:
    return [moment(at_s, **changes) for at_s in (10.0, 11.0, 12.0)]


def measured(moments: Sequence[Moment], counts: LoadCounts | None = None) -> MeasuredCell:
    told = counts or LoadCounts(events=100, finished=10, finished_tokens=100, finished_events=100)
    return measured_cell(CELL, moments, told, idle_w=IDLE_W, max_spread_frac=0.1)


def test_a_cell_has_the_totals_of_its_window() -> None:
    found = measured(window())
    assert found.fault == ""
    assert (found.row.steps, found.row.decode_tokens, found.row.prompt_tokens) == (200.0, 798.0, 512.0)
    assert (found.window_s, found.row.busy_s, found.row.energy_j) == pytest.approx((2.0, 2.0, 800.0))
    assert found.itl_s == pytest.approx(0.01)


def test_the_parts_of_a_window_are_held_against_each_other() -> None:
    steady = steadiness_of(window())
    assert (steady.power_cv, steady.rate_cv) == pytest.approx((0.0, 0.0))
    found = measured([moment(10.0), moment(11.0), moment(12.0, power_w=900.0), moment(13.0, power_w=900.0)])
    assert "not steady" in found.fault


def test_what_a_prefix_cache_or_a_preemption_saved_or_cost_leaves_a_cell_out() -> None:
    cached = measured(window(cached=64.0))
    assert "25% of the prompt tokens came from the prefix cache" in cached.fault
    assert cached.row.prompt_tokens == 384.0
    assert "2 sequences were preempted" in measured(window(preemptions=1.0)).fault


def test_refusals_beyond_a_few_leave_a_cell_out() -> None:
    counts = LoadCounts(events=1, finished=90, finished_tokens=1, finished_events=1, statuses=Counter({429: 10}))
    found = measured(window(), counts)
    assert "the engine refused 10 of 100 requests" in found.fault


def test_a_load_at_idle_power_leaves_a_cell_out() -> None:
    found = measured(window(power_w=104.0))
    assert "104 W are hardly above the idle 100 W" in found.fault


def test_steps_that_disagree_with_the_times_between_tokens_leave_a_cell_out() -> None:
    slow = [Moment(each.at_s, each.engine, each.power, 0.0, gap_s=2 * each.gap_s, gaps=each.gaps) for each in window()]
    assert "the engine counted 200 steps" in measured(slow).fault


def test_other_gpus_without_work_vary_by_less_than_work_adds() -> None:
    assert is_at_rest(900.3, 900.0)
    assert is_at_rest(890.0, 900.0)
    assert not is_at_rest(960.0, 900.0)
