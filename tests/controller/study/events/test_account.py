from __future__ import annotations

import dataclasses

import pytest

from controller.study.events.account import EventFigures, figures_of
from controller.study.events.part import Run
from controller.study.events.raises import Raise
from controller.study.site.play import TickRecord
from tests.fakes.event_parts import part
from tests.fakes.event_runs import LIMIT_W, run


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


def test_a_call_that_came_to_nothing_is_no_event() -> None:
    with pytest.raises(ValueError, match="no limit"):
        figures(run(events=()))
