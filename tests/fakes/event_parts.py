"""Small random events for tests: short, with little before and after."""

from __future__ import annotations

from functools import cache
from typing import Any

from controller.study.events.account import EventFigures, figures_of
from controller.study.events.part import Part, make_part
from controller.study.events.play_part import run_part
from controller.study.events.settings import EventsStudySettings
from controller.study.events.traces import recorded

SHORT: dict[str, Any] = {
    "kind": "events",
    "title": "short",
    "seed": 1,
    "events": 8,
    "length": {"least_min": 5, "most_min": 15},
    "notice_s": [0, 300],
    "before_s": 1200,
    "baseline_s": 600,
    "after_s": 300,
}


def short(**changes: Any) -> EventsStudySettings:
    """Events of a quarter of an hour at most."""
    return EventsStudySettings.model_validate({**SHORT, **changes})


@cache
def part(number: int = 0) -> Part:
    """One of them, not played."""
    return make_part(short(), number, recorded())


@cache
def figures(number: int = 0) -> EventFigures:
    """One of them, played."""
    settings = short()
    return figures_of(run_part(settings, number), settings.settlement_interval_s)
