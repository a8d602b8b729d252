from __future__ import annotations

import dataclasses

import pytest

from controller.study.events.floor import Verdict
from controller.study.events.result import result
from tests.fakes.event_parts import figures

KEPT = dataclasses.replace(
    figures(0),
    verdict=Verdict.WITHIN.value,
    cut_frac=0.3,
    intervals=10,
    over=0,
    worst_over_frac=0.0,
    performance_min=1.02,
    performance_mean=1.1,
    below_commitment=0,
    missing_kwh=0.0,
    committed_kwh=5.0,
    to_90_s=20.0,
    dropped_tokens=0.0,
    asked_tokens=100.0,
    undeclared=(),
    overdrawn=(),
)
MISSED = dataclasses.replace(
    KEPT,
    verdict=Verdict.IDLE.value,
    cut_frac=0.1,
    over=4,
    worst_over_frac=0.2,
    performance_min=0.5,
    performance_mean=0.9,
    below_commitment=4,
    missing_kwh=1.0,
    to_90_s=None,
    dropped_tokens=50.0,
    undeclared=("serve:premium",),
)


def test_no_event_is_left_out_of_the_whole() -> None:
    found = result((KEPT, MISSED, KEPT))
    whole = found.everything
    assert (whole.events, whole.intervals, whole.over, whole.events_over) == (3, 30, 4, 1)
    assert (whole.performance_min, whole.worst_over_frac) == (0.5, 0.2)
    assert whole.missing_frac == pytest.approx(1.0 / 15.0)
    assert whole.dropped_frac == pytest.approx(50.0 / 300.0)
    assert (whole.undeclared, whole.never_90, whole.thirty) == (1, 1, 2)
    assert sum(group.events for group in found.groups) == whole.events


def test_groups_are_told_by_what_the_fleet_can_do() -> None:
    within, idle = result((KEPT, MISSED)).groups
    assert (within.name, within.over, within.below_commitment) == ("within reach", 0, 0)
    assert (idle.name, idle.over, idle.thirty_median_s) == ("deeper than idle", 4, None)


def test_nothing_is_no_result() -> None:
    with pytest.raises(ValueError, match="no event"):
        result(())
