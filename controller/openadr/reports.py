"""Makes reports: the values of a descriptor's intervals with their qualities, under the name of who reports."""

from __future__ import annotations

from dataclasses import dataclass, replace

from controller.openadr.descriptors import Due, Stretch
from controller.openadr.events import is_ours
from controller.openadr.followed import event_of
from controller.openadr.messages import Event, Interval, IntervalPeriod, ReportDescriptor, ValuesMap
from controller.openadr.report_inputs import ReportInputs, Standing
from controller.openadr.report_messages import AGGREGATED, Report, ReportPayloadDescriptor
from controller.openadr.report_values import MISSING, OK, UNITS, Told, operating_state, unit_of, value_of
from controller.openadr.times import Duration

DIRECT_READ, ESTIMATED, FORECAST = "DIRECT_READ", "ESTIMATED", "FORECAST"
MADE = frozenset(("SUMMED", "MEAN", "PEAK", "AVERAGE", FORECAST))
"""Reading types that say how a value was made of others; whether it was measured is told by its quality."""
READING_TYPES = MADE | {DIRECT_READ, ESTIMATED}
FORECASTS = frozenset(("LOAD_SHED_DELTA_AVAILABLE", "USAGE_FORECAST"))
WITHOUT_READING = frozenset(("SIMPLE_LEVEL", "OPERATING_STATE", "DATA_QUALITY", "IMPORT_RESERVATION_CAPACITY"))


@dataclass(frozen=True, slots=True)
class Reporting:
    """Who reports.

    Attributes:
        client_name: of the VEN.
        resources: loads that are behind the one meter.
        own: targets that are ours.
        source: of the VTN's calls.
    """

    client_name: str
    resources: tuple[str, ...] = ()
    own: frozenset[str] = frozenset()
    source: str = ""


def refusal(descriptor: ReportDescriptor, reporting: Reporting) -> str | None:
    """Why a report that is asked for cannot be made; None where it can. One for others is ``""``."""
    if not is_ours(descriptor.targets, reporting.own):
        return ""
    kind = descriptor.payload_type
    units = UNITS.get(kind)
    if units is None:
        return f"payload type {kind!r:.80} is not reported"
    if descriptor.units and units and descriptor.units not in units:
        return f"{kind} is told in {' or '.join(units)}, not in {descriptor.units!r:.80}"
    if descriptor.reading_type and descriptor.reading_type not in READING_TYPES:
        return f"reading type {descriptor.reading_type!r:.80} is not known"
    if descriptor.reading_type == "PEAK" and kind != "DEMAND":
        return f"{kind} has no peak; ask for DEMAND"
    return None


def as_asked(descriptor: ReportDescriptor) -> ReportDescriptor:
    """What is made of a descriptor: a forecast tells what is to come, also where `historical` was left as it is."""
    return replace(descriptor, historical=False) if descriptor.payload_type in FORECASTS else descriptor


def report(event: Event, line: int, due: Due, inputs: ReportInputs, reporting: Reporting) -> Report:
    """One report: each interval has its value and, beside it, its quality.

    Args:
        event: that asks.
        line: place of a descriptor that `refusal` does not refuse.
        due: the report's number and intervals.
        inputs: of the time covered.
        reporting: who reports.
    """
    descriptor = as_asked(event.report_descriptors[line])
    told = [value_of(descriptor, inputs, stretch) for stretch in due.stretches]
    kind = descriptor.payload_type
    quality = () if kind == "DATA_QUALITY" else (ReportPayloadDescriptor("DATA_QUALITY"),)
    return Report(
        event_id=event.event_id,
        program_id=event.program_id,
        client_name=reporting.client_name,
        name=f"{kind}-{line}-{due.number}",
        resource=resource_of(descriptor, reporting),
        descriptors=(ReportPayloadDescriptor(kind, _reading_type(descriptor, told), unit_of(descriptor)), *quality),
        intervals=tuple(_interval(kind, *each) for each in zip(due.stretches, told, strict=True)),
    )


def state_report(
    event: Event, inputs: ReportInputs, reporting: Reporting, step_s: float, *, is_refused: bool = False
) -> Report:
    """What is done about an event now: the acknowledgement, which is sent anew when it changes (R8).

    It is that of the event's own calls: another event in force, or one that was opted out of, is not told here.

    Args:
        event: as far as it could be read.
        inputs: of the moment.
        reporting: who reports.
        step_s: length of the interval that it is told of.
        is_refused: whether its last message is not followed.
    """
    now_s = inputs.now_s
    stretch = Stretch(now_s - step_s, now_s, 0)
    own = tuple(
        _at(standing, now_s)
        for standing in inputs.standings
        if standing.source == reporting.source and event_of(standing.call_id) == event.event_id
    )
    present = operating_state(replace(inputs, standings=own), Stretch(stretch.start_s, now_s + 1e-3, 0))
    if is_refused or any(standing.is_unresolved for standing in own):
        present = "ERROR"
    state = Told(present, OK)
    return Report(
        event_id=event.event_id,
        program_id=event.program_id,
        client_name=reporting.client_name,
        name="OPERATING_STATE-now",
        resource=resource_of(ReportDescriptor("OPERATING_STATE"), reporting),
        descriptors=(ReportPayloadDescriptor("OPERATING_STATE"), ReportPayloadDescriptor("DATA_QUALITY")),
        intervals=(_interval("OPERATING_STATE", stretch, state),),
    )


def _at(standing: Standing, now_s: float) -> Standing:
    """What of a call's standing holds at a time."""
    span = standing.opted_out
    limits = tuple(limit for limit in standing.limits if limit.start_s <= now_s < limit.end_s)
    return replace(standing, limits=limits, opted_out=span if span and span[0] <= now_s < span[1] else None)


def resource_of(descriptor: ReportDescriptor, reporting: Reporting) -> str:
    """Whose values these are: one meter cannot tell several loads apart, so those are told as an aggregate."""
    named = {target.value for target in descriptor.targets}
    asked = tuple(name for name in reporting.resources if name in named) or reporting.resources
    if len(reporting.resources) > 1 or (descriptor.aggregate and asked):
        return AGGREGATED
    return asked[0] if asked else reporting.client_name


def _reading_type(descriptor: ReportDescriptor, told: list[Told]) -> str | None:
    kind, asked = descriptor.payload_type, descriptor.reading_type
    if kind in WITHOUT_READING:
        return None
    if kind in FORECASTS or not descriptor.historical:
        return FORECAST
    if asked in MADE:
        return asked
    return DIRECT_READ if all(each.quality in (OK, MISSING) for each in told) else ESTIMATED


def _interval(kind: str, stretch: Stretch, told: Told) -> Interval:
    payloads = [ValuesMap("DATA_QUALITY", (told.quality,))]
    if told.value is not None and kind != "DATA_QUALITY":
        value = round(told.value, 6) if isinstance(told.value, float) else told.value
        is_whole = kind == "SIMPLE_LEVEL" and isinstance(value, float)
        payloads.insert(0, ValuesMap(kind, (int(value) if is_whole else value,)))
    period = IntervalPeriod(stretch.start_s, duration=Duration(stretch.end_s - stretch.start_s))
    return Interval(stretch.interval_id, tuple(payloads), period)


def qualities(made: Report) -> tuple[str, ...]:
    """Qualities of a report's values, for its metrics."""
    return tuple(
        str(payload.values[0])
        for interval in made.intervals
        for payload in interval.payloads
        if payload.type == "DATA_QUALITY"
    )
