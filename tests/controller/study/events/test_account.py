from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from controller.model.grid import GridEvent
from controller.study.events.account import EventFigures, Run, figures_of
from controller.study.events.raises import Raise
from controller.study.site.play import Played, TickRecord
from tests.fakes.event_parts import part

BASE_W, LIMIT_W = 10_000.0, 8_000.0


def run(during_w: float = 7_900.0, **changes: object) -> Run:
    """A run that drew 10 kW but while called."""
    one = part()
    case, times_s = one.case, one.case.times_s
    classes, pools = len(case.site.classes), len(case.site.pools)
    power_w = np.where((times_s >= one.start_s) & (times_s < one.end_s), during_w, BASE_W)
    played = Played(
        site=case.site,
        power_w=power_w,
        pools_w=np.zeros((len(times_s), pools)),
        records=(),
        asked=np.zeros((classes, 3)),
        served=np.zeros((classes, 3)),
        lost=np.zeros((classes, 3)),
        waiting=np.zeros((classes, 3)),
        late_tokens=0.0,
        by_pool=np.zeros((classes, pools)),
        queued=np.zeros((len(times_s), classes)),
        late_by=np.zeros((len(times_s), classes)),
        waits={},
    )
    event = GridEvent("e", LIMIT_W, one.start_s, one.end_s, one.notice_s, ramp_s=one.wanted.ramp_s)
    held = Run(one, played, (event,), (), (), 7)
    return dataclasses.replace(held, **changes)  # type: ignore[arg-type]


def figures(held: Run) -> EventFigures:
    return figures_of(held, 300.0)


def test_a_cut_that_is_kept() -> None:
    found = figures(run())
    assert (found.baseline_kw, found.limit_kw) == pytest.approx((10.0, 8.0))
    assert found.cut_frac == pytest.approx(0.2)
    assert (found.over, found.instants_over, found.below_commitment) == (0, 0, 0)
    assert found.performance_min == pytest.approx(1.05)
    assert found.missing_kwh == 0.0
    assert found.to_90_s == pytest.approx(part().case.tick_s)
    assert found.rebound_frac == pytest.approx(0.0)
    assert found.tracking_frac is None
    assert found.actions == 7


def test_a_cut_that_is_missed() -> None:
    found = figures(run(during_w=8_500.0))
    assert found.over == found.intervals > 0
    assert found.instants_over == found.instants
    assert found.worst_over_frac == pytest.approx(0.0625)
    assert found.performance_min == pytest.approx(0.75)
    assert found.missing_kwh == pytest.approx(0.25 * found.committed_kwh)
    assert found.to_90_s is None


def test_the_limit_is_tracked_while_work_waits() -> None:
    held = run()
    held.played.queued[:] = 1e9
    assert figures(held).tracking_frac == pytest.approx(0.0125)


def test_what_was_drawn_is_held_against_what_was_set() -> None:
    held = run()
    nothing = TickRecord((), (), (), None, None, frozenset())
    records = ((held.part.start_s, dataclasses.replace(nothing, set_w=7_700.0)), (held.part.start_s + 20.0, nothing))
    assert figures(dataclasses.replace(held, records=records)).control_frac == pytest.approx(200.0 / LIMIT_W)
    assert figures(held).control_frac == 0.0


def test_raises_are_told_by_when_they_were() -> None:
    raises = (Raise(0.0, True, 10.0, 10.0), Raise(0.0, False, 10.0, 10.0), Raise(0.0, False, 1.0, 1.0))
    found = figures(run(raises=raises))
    assert (found.raises_in_ramp, found.raises_after) == (1, 2)


def test_what_is_refused_above_flex_counts_and_that_of_flex_does_not() -> None:
    held = run()
    within = held.part.case.times_s >= held.part.start_s + 60.0
    held.played.late_by[within] = [5.0, 0.0, 0.0, 900.0]
    found = figures(held)
    assert found.dropped_tokens == pytest.approx(5.0)
    assert found.dropped_before_tokens == 0.0
    assert found.undeclared == ("serve:premium",)


@pytest.mark.parametrize(("at_s", "is_told"), [(0.0, True), (600.0, False)])
def test_a_broken_promise_is_declared_where_a_plan_told_it_before(at_s: float, is_told: bool) -> None:
    held = run()
    broken_s = held.part.start_s + 60.0
    held.played.late_by[held.part.case.times_s >= broken_s] = [5.0, 0.0, 0.0, 0.0]
    told = TickRecord((), (), (), None, None, frozenset(), frozenset({"serve:premium"}))
    calm = TickRecord((), (), (), None, None, frozenset())
    since_s = held.part.notice_s
    records = [(since_s, calm), (since_s, calm), (held.part.start_s + at_s, told)]
    found = figures(dataclasses.replace(held, records=records))
    assert (found.undeclared == ()) is is_told


def test_an_exceeded_quality_budget_is_told_by_class() -> None:
    held = run()
    worst = max(range(len(held.part.case.site.pools)), key=lambda k: held.part.case.site.losses[1][k])
    held.played.by_pool[1, worst] = 1e6
    found = figures(held)
    assert found.overdrawn == ("standard",)
    assert found.undeclared == ("quality:standard",)


def test_a_call_that_came_to_nothing_is_no_event() -> None:
    with pytest.raises(ValueError, match="no limit"):
        figures(run(events=()))
