"""Runs of a small event, as if they had been played."""

from __future__ import annotations

import dataclasses

import numpy as np

from controller.model.grid import GridEvent
from controller.study.events.part import Run
from controller.study.site.play import Played
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
