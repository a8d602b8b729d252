"""The desk of the meter store in the loop: keeps each look, marks the days of events, and freezes baselines.

Looks are written by the store's own thread; what takes longer, marks and baselines, is done in another one, so that the
loop never waits for the disk.
"""

from __future__ import annotations

import datetime
import logging
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from prometheus_client import CollectorRegistry, Counter

from controller.errors import StoreError
from controller.model.call import call_key
from controller.model.grid import GridEvent
from controller.model.observation import Observation, Quality, Reading
from controller.model.programme import Programme
from controller.ports import Recorder
from controller.settlement.baseline_profile import Baseline
from controller.settlement.like_days import calendar_of
from controller.store import readings
from controller.store.baselines import MeterBaselines
from controller.store.meter import MeterStore
from controller.store.plain import to_plain

log = logging.getLogger(__name__)

PREFIX = "wattroute_controller_"
RECORD_KIND, DAY_KIND = "baseline", "meter_day"
MARK_S = 60.0
"""How often the end of an event in force is noted."""
STANDING_S = 2 * 86_400.0
"""A limit that holds for longer is a standing one: its days are days like others."""
DAY_S = 86_400.0
SETTLED_S = 600.0
"""After midnight (UTC): by then all of a day is written."""
MAX_DAYS = 31
"""Most days of which digests are told at a time, where no controller was running."""
_MAX_FROZEN = 1024


@dataclass(frozen=True, slots=True)
class _Span:
    """A call: all of its intervals that are not over."""

    call: str
    programme: str
    start_s: float
    end_s: float


class MeterMetrics:
    """Holds the metrics; labels are bounded by the kinds of quality and the configured programmes."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.looks = Counter(
            f"{PREFIX}meter_looks", "Looks at the site's power that were kept.", ("quality",), registry=registry
        )
        self.gaps = Counter(f"{PREFIX}meter_gaps", "Looks that found no power: gaps.", registry=registry)
        self.lost = Counter(f"{PREFIX}meter_looks_lost", "Looks that could not be written in time.", registry=registry)
        self.steps_down = Counter(
            f"{PREFIX}baseline_steps_down",
            "Baselines frozen that are not by the programme's rule.",
            ("programme",),
            registry=registry,
        )
        for quality in Quality:
            self.looks.labels(quality.value)


@dataclass(frozen=True, slots=True)
class MeterDeskParts:
    """What the desk works with.

    Attributes:
        baselines: over the same store.
        programmes: terms by name.
        recorder: the ledger.
        told_until_s: up to where digests of readings were told by a former process; None where none were.
    """

    store: MeterStore
    baselines: MeterBaselines
    programmes: Mapping[str, Programme]
    recorder: Recorder
    told_until_s: float | None = None


class MeterDesk:
    """What the loop calls at each look; `close` ends what is under way."""

    def __init__(self, parts: MeterDeskParts, registry: CollectorRegistry) -> None:
        self._parts = parts
        self._metrics = MeterMetrics(registry)
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="baselines")
        self._job: Future[None] | None = None
        self._marked: dict[str, float] = {}
        self._frozen: dict[str, float] = {}
        self._lost = 0
        self._told_until_s = parts.told_until_s

    def take(self, observation: Observation) -> None:
        """Keep a look.

        Raises:
            StoreError: earlier looks could not be written.
        """
        power, now_s = observation.site_power, observation.now_s
        self._attend(observation.events, now_s)
        lost = self._parts.store.dropped
        self._metrics.lost.inc(lost - self._lost)
        self._lost = lost
        if isinstance(power, Reading):
            self._metrics.looks.labels(power.quality.value).inc()
            self._parts.store.take(now_s, power.value_w, power.quality)
        else:
            self._metrics.gaps.inc()
            self._parts.store.take(now_s, None)

    def close(self) -> None:
        """Wait for what is under way; the store is closed by who opened it."""
        self._worker.shutdown(wait=True)

    def _attend(self, events: tuple[GridEvent, ...], now_s: float) -> None:
        """Have events in force marked and their baselines frozen, one job at a time."""
        if self._job is not None and not self._job.done():
            return
        in_force = tuple(event for event in events if event.start_s <= now_s < event.end_s)
        due = tuple(
            event
            for event in in_force
            if event.end_s - event.start_s <= STANDING_S
            and abs(now_s - self._marked.get(event.event_id, 0.0)) >= MARK_S
        )
        self._marked = {event.event_id: self._marked.get(event.event_id, 0.0) for event in in_force}
        self._marked |= {event.event_id: now_s for event in due}
        own = tuple(event for event in events if not event.is_held_over)
        begun = tuple(span for span in _calls(own) if self._is_due(span, now_s))
        midnight_s = (now_s - SETTLED_S) // DAY_S * DAY_S
        if due or begun or self._told_until_s is None or midnight_s > self._told_until_s:
            self._job = self._worker.submit(self._work, due, begun, now_s)

    def _is_due(self, span: _Span, now_s: float) -> bool:
        """Whether a call has begun and its baseline, up to its end, was not frozen."""
        if self._frozen.get(span.call, 0.0) >= span.end_s or span.end_s - span.start_s > STANDING_S:
            return False
        return span.start_s <= now_s < span.end_s and span.programme in self._parts.programmes

    def _work(self, due: tuple[GridEvent, ...], begun: tuple[_Span, ...], now_s: float) -> None:
        try:
            for event in due:
                self._parts.store.mark_event(_mark_of(event), event.start_s, min(event.end_s, now_s + MARK_S))
            for span in begun:
                programme = self._parts.programmes[span.programme]
                made = self._parts.baselines.freeze(span.call, programme, span.start_s, span.end_s, now_s)
                self._remember(span)
                self._tell(span, made, now_s)
            self._tell_days(now_s)
        except StoreError as error:  # tried again at the next look
            log.error("meter store failed", extra={"reason": str(error)})

    def _remember(self, span: _Span) -> None:
        if len(self._frozen) >= _MAX_FROZEN:
            self._frozen.pop(next(iter(self._frozen)))
        self._frozen[span.call] = span.end_s

    def _tell_days(self, now_s: float) -> None:
        """Tell digests of the days that are over since the last ones, so that a later change of them is found."""
        midnight_s = (now_s - SETTLED_S) // DAY_S * DAY_S
        if self._told_until_s is None:
            self._told_until_s = midnight_s - DAY_S
        from_s = max(self._told_until_s, midnight_s - MAX_DAYS * DAY_S)
        while from_s < midnight_s:
            until_s = from_s + DAY_S
            hours = self._parts.store.digests(from_s, until_s, is_measured_only=True)
            if any(hours):
                told = readings.as_told(from_s, until_s, hours, is_measured_only=True)
                self._parts.recorder.record(DAY_KIND, now_s, told)
            self._told_until_s = from_s = until_s

    def _made_of(self, span: _Span, made: Baseline) -> list[dict[str, Any]]:
        """Digests of what a baseline was made of: the days compared for it, and the hours before the start."""
        programme = self._parts.programmes[span.programme]
        rule, calendar = programme.baseline, calendar_of(programme)
        days = [calendar.day(datetime.date.fromisoformat(day.date)) for day in made.days if day.mean_w is not None]
        until_s = (span.start_s - 60.0) // 60.0 * 60.0
        before_s = until_s - max(rule.window_s, rule.adjust_from_s) // 60.0 * 60.0
        stretches = [*((day.start_s, day.end_s) for day in days), (before_s, until_s)]
        store = self._parts.store
        return [
            readings.as_told(*stretch, store.digests(*stretch, is_measured_only=False), is_measured_only=False)
            for stretch in stretches
        ]

    def _tell(self, span: _Span, made: Baseline, now_s: float) -> None:
        told = {
            "call": span.call,
            "programme": span.programme,
            "start_s": span.start_s,
            "end_s": span.end_s,
            "baseline_w": made.mean_w,
            "asked": made.asked.value,
            "method": None if made.method is None else made.method.value,
            "reason": made.reason,
        }
        if made.method is made.asked:
            log.info("baseline frozen", extra=told)
        else:
            log.warning("baseline frozen by another rule than the programme's", extra=told)
            self._metrics.steps_down.labels(span.programme).inc()
        made_of = self._made_of(span, made)
        self._parts.recorder.record(RECORD_KIND, now_s, {**told, "baseline": to_plain(made), "readings": made_of})


def _mark_of(event: GridEvent) -> str:
    """By which it is marked: an id may come again once its event is long over, and both were in force."""
    return f"{event.event_id} {event.start_s:.0f}"


def _calls(events: tuple[GridEvent, ...]) -> list[_Span]:
    """The calls that events are intervals of."""
    spans: dict[str, _Span] = {}
    for event in events:
        call = call_key(event.source, event.event_id)
        known = spans.get(call)
        start_s = event.start_s if known is None else min(known.start_s, event.start_s)
        end_s = event.end_s if known is None else max(known.end_s, event.end_s)
        spans[call] = _Span(call, event.programme, start_s, end_s)
    return list(spans.values())
