"""Makes what is due of the reports that a VTN's events ask for, and keeps it in the queue to be sent.

Each event that calls for something is acknowledged without being asked, by a report of the operating state that is
sent anew when it changes (R8); OpenADR 3 has no other way to say that an event was received, or is not followed. The
state of one that was refused is ERROR.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol

import msgspec

from controller.errors import MessageError
from controller.model.capability import QosCost
from controller.openadr.descriptors import Asker, Due, Lines, due
from controller.openadr.followed import Followed
from controller.openadr.messages import Event, Version
from controller.openadr.report_inputs import ReportInputs
from controller.openadr.report_messages import Report, write_report
from controller.openadr.report_metrics import ReportMetrics
from controller.openadr.report_queue import ReportQueue
from controller.openadr.report_sheds import within_cost
from controller.openadr.reports import Reporting, as_asked, qualities, refusal, report, state_report
from controller.openadr.schedule import Hearing

log = logging.getLogger(__name__)

SETTLE_S = 6.0
"""Time after an interval's end until its last readings are in the store."""
STATE_S = 60.0
"""Length of the interval on which the operating state is told."""
MAX_TOLD = 4096
STATE_NAME = "OPERATING_STATE-now"
DUE = " due"
"""After the line of a descriptor: the mark of when its last report was due, ms."""


class ReportSource(Protocol):
    """Where the numbers of reports come from."""

    def present(self, now_s: float) -> ReportInputs:
        """What is in the controller's memory; called in its loop."""

    def measured(
        self, inputs: ReportInputs, event_source: tuple[str, str, str], span_s: tuple[float, float]
    ) -> ReportInputs:
        """The same with power and baseline of a span, from files; called in another thread.

        Args:
            inputs: of `present`.
            event_source: source of the event's calls, its id, and the programme.
            span_s: start and end.

        Raises:
            StoreError: the files cannot be read.
        """


@dataclass(frozen=True, slots=True)
class MakerSpec:
    """How a VTN is reported to.

    Attributes:
        vtn: its name.
        acknowledges: whether events that call for something are acknowledged by their state.
        step_s: settlement interval of each programme, s.
        shed_cost: most that what is told as available may cost those who are served, of each programme.
        reservation_w: import capacity to ask for; None for none.
    """

    vtn: str
    reporting: Reporting
    acknowledges: bool = True
    step_s: Mapping[str, float] = field(default_factory=dict)
    shed_cost: Mapping[str, QosCost] = field(default_factory=dict)
    reservation_w: float | None = None


class ReportMaker:
    """Makes reports of one VTN; `make` is called by one thread at a time."""

    def __init__(self, spec: MakerSpec, queue: ReportQueue, source: ReportSource, metrics: ReportMetrics) -> None:
        self._spec = spec
        self._queue = queue
        self._source = source
        self._metrics = metrics
        self._told: set[tuple[str, int]] = set()
        self._refused: set[str] = set()
        self._lines = Lines()
        self._at_present: ReportInputs | None = None
        metrics.show(spec.vtn)

    def make(self, followed: Mapping[str, Followed], version: Version, present: ReportInputs) -> int:
        """Make what is due; returns how many reports were made.

        Raises:
            StoreError: the queue or the measurements cannot be used; what is missing is made at the next call.
        """
        made = 0
        self._at_present = None
        self._refused &= set(followed)
        self._lines.keep(followed.keys())
        present = replace(present, reservation_w=self._spec.reservation_w)
        for event_id, known in followed.items():
            is_told = known.meaning.calls or known.asker is not None or event_id in self._refused
            if self._spec.acknowledges and is_told:
                made += self._acknowledge(known, version, present)
            event = known.event
            if event is None or not (event.report_descriptors or known.meaning.calls):
                continue
            heard_s = self._queue.heard_s(self._spec.vtn, event_id, known.heard_s)
            hearing = Hearing(heard_s, present.now_s - SETTLE_S, known.chance)
            asker = Asker(event, hearing, self._spec.step_s.get(known.programme, 300.0), self._lines)
            for line in range(len(event.report_descriptors)):
                made += self._line(asker, line, (known.programme, version), present)
        return made

    def _line(self, asker: Asker, line: int, terms: tuple[str, Version], present: ReportInputs) -> int:
        """Make the reports of one descriptor."""
        event, descriptor = asker.event, as_asked(asker.event.report_descriptors[line])
        reason = refusal(descriptor, self._spec.reporting)
        if reason is not None:
            self._refuse(event.event_id, line, reason)
            return 0
        mark = f"{line} {descriptor.payload_type}"
        try:
            coming = self._coming(event.event_id, mark, due(asker, descriptor))
        except MessageError as error:
            self._refuse(event.event_id, line, str(error))
            return 0
        for each, due_ms in coming:
            inputs = self._inputs(event, terms[0], each, present)
            marks = {mark: each.number, f"{mark}{DUE}": due_ms}
            self._keep(report(event, line, each, inputs, self._spec.reporting), terms[1], marks, inputs)
        return len(coming)

    def _coming(self, event_id: str, mark: str, found: tuple[Due, ...]) -> list[tuple[Due, int]]:
        """Those that are not made yet, with the time by which they are told from those that are, ms.

        Their numbers follow one another also where the event was changed and its intervals are counted anew.
        """
        last = self._queue.mark(self._spec.vtn, event_id, mark)
        last_ms = self._queue.mark(self._spec.vtn, event_id, f"{mark}{DUE}")
        coming: list[tuple[Due, int]] = []
        before_ms = 0
        for each in found:
            before_ms = max(round(each.due_s * 1e3), before_ms + 1)
            if before_ms > last_ms if last_ms >= 0 else each.number > last:
                last = max(each.number, last + 1)
                coming.append((replace(each, number=last), before_ms))
        return coming

    def _inputs(self, event: Event, programme: str, each: Due, present: ReportInputs) -> ReportInputs:
        span_s = (min(s.start_s for s in each.stretches), max(s.end_s for s in each.stretches))
        cost = self._spec.shed_cost.get(programme, QosCost.NONE)
        within = replace(present, sheds=within_cost(present.sheds, cost))
        return self._source.measured(within, (self._spec.reporting.source, event.event_id, programme), span_s)

    def _acknowledge(self, known: Followed, version: Version, present: ReportInputs) -> int:
        """Tell what is done about an event, where that is news; not of one that was over when it was heard."""
        event, is_refused = known.asker or known.event, known.asker is not None
        if event is None:
            return 0
        is_news = is_refused or event.event_id in self._refused  # also that what was refused is mended, or taken back
        if not is_news and known.meaning.end_s <= known.heard_s:
            return 0
        before = self._queue.body(self._spec.vtn, event.event_id, STATE_NAME)
        if before is not None and not is_news and present.now_s > known.meaning.end_s + STATE_S:
            return 0
        if is_refused:
            self._refused.add(event.event_id)
        else:
            self._refused.discard(event.event_id)
        if self._at_present is None:
            call = (self._spec.reporting.source, event.event_id, known.programme)
            self._at_present = self._source.measured(present, call, (present.now_s - STATE_S, present.now_s))
        inputs = self._at_present
        made = state_report(event, inputs, self._spec.reporting, STATE_S, is_refused=is_refused)
        if before is not None and _state_in(before) == _state(made):
            return 0
        self._keep(made, version, {STATE_NAME: 0}, inputs)
        return 1

    def _keep(self, made: Report, version: Version, marks: Mapping[str, int], inputs: ReportInputs) -> None:
        vtn = self._spec.vtn
        body = msgspec.json.encode(write_report(made, version)).decode()
        gone = self._queue.put(vtn, (made.event_id, made.name, body), marks, inputs.now_s)
        self._metrics.made.labels(vtn).inc()
        for quality in qualities(made):
            self._metrics.values.labels(vtn, quality).inc()
        if gone:
            self._metrics.outcomes.labels(vtn, "dropped").inc(gone)
            log.error("reports dropped: too many wait for the VTN", extra={"vtn": vtn, "dropped": gone})

    def _refuse(self, event_id: str, line: int, reason: str) -> None:
        """Tell once that a report cannot be made; one that is asked of others is passed over."""
        if not reason or (event_id, line) in self._told:
            return
        if len(self._told) >= MAX_TOLD:
            self._told.clear()
        self._told.add((event_id, line))
        self._metrics.unasked.labels(self._spec.vtn).inc()
        extra = {"vtn": self._spec.vtn, "event_id": event_id, "descriptor": line, "reason": reason}
        log.warning("report that is asked for cannot be made", extra=extra)


def _state(made: Report) -> object:
    return made.intervals[0].payloads[0].values[0]


def _state_in(body: str) -> object:
    return msgspec.json.decode(body)["resources"][0]["intervals"][0]["payloads"][0]["values"][0]
