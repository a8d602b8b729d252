"""What an event of OpenADR 2.0b means, from the dictionaries that `openleadr` makes of its XML.

SIMPLE is a level of the programme. LOAD_DISPATCH asks for at most so much (``setpoint``), or for so much less than is
drawn when the interval begins (``delta``, less than 0). ELECTRICITY_PRICE tells a price, where it is absolute. Source:
OpenADR 2.0b Profile Specification, tables of signals; Program Guide, 8.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from controller.errors import MessageError
from controller.model.call import MAX_INTERVALS, Asked, Call, CallInterval, Commitment
from controller.model.grid import FOREVER_S
from controller.openadr.events import Span
from controller.openadr.fields import MAX_NAME, Fields, entries, number, shown, text
from controller.openadr2.specs import Ven2Spec

MAX_SIGNALS = 16
MAX_RANDOMIZE_S = 86_400.0
PER_MODIFICATION_S = 1e-3
"""By how much each modification of an event is younger: its number says which one is, its times need not change."""
SCALES = {"none": 1.0, "k": 1e3, "M": 1e6, "G": 1e9, "m": 1e-3}


@dataclass(frozen=True, slots=True)
class Meaning:
    """What an event comes to.

    Attributes:
        modified_s: by which changes are told apart.
        call: None where it asks nothing of the site's power.
        price_usd_per_mwh: that it tells.
        ignored: signals that are not followed.
        is_cancelled: whether the VTN has ended it.
    """

    event_id: str
    modification: int
    modified_s: float
    call: Call | None = None
    price_usd_per_mwh: tuple[Span, ...] = ()
    ignored: tuple[str, ...] = ()
    is_cancelled: bool = False


def meaning(event: Any, spec: Ven2Spec, own: frozenset[str], now_s: float) -> Meaning:
    """What an event comes to.

    Args:
        event: as `openleadr` tells it.
        spec: of the VTN.
        own: ids of ours that an event may be aimed at.
        now_s: wall clock.

    Raises:
        MessageError: it is for others, or cannot be followed; the text names the field.
    """
    fields = Fields.of(event, "event")
    descriptor = Fields.of(fields.value("event_descriptor"), "event.event_descriptor")
    event_id = text(descriptor.value("event_id"), descriptor.at("event_id"), MAX_NAME, 1)
    modification = descriptor.integer("modification_number", 0)
    created_s = _moment_s(descriptor.value("created_date_time"), descriptor.at("created_date_time"))
    known = Meaning(event_id, modification, created_s + PER_MODIFICATION_S * modification)
    if descriptor.text("event_status", MAX_NAME) == "cancelled":
        return Meaning(event_id, modification, known.modified_s, is_cancelled=True)
    _refuse_others(fields, own)
    context = descriptor.text("market_context") or ""
    programme = spec.programmes.get(context)
    if programme is None:
        raise MessageError(descriptor.at("market_context"), f"{shown(context)} is not in programmes; add it there")
    period = Fields.of(fields.value("active_period"), "event.active_period")
    reader = _Reader(spec, period)
    for n, signal in enumerate(entries(fields.value("event_signals"), "event.event_signals", MAX_SIGNALS)):
        reader.take(Fields.of(signal, f"event.event_signals[{n}]"))
    call = _call((event_id, programme, known.modified_s), descriptor, reader, (spec, now_s))
    return Meaning(event_id, modification, known.modified_s, call, tuple(reader.prices), tuple(sorted(reader.ignored)))


def _call(
    named: tuple[str, str, float], descriptor: Fields, reader: _Reader, heard: tuple[Ven2Spec, float]
) -> Call | None:
    event_id, programme, modified_s = named
    if not reader.parts:
        return None
    priority = descriptor.integer("priority", 0, 0)
    try:
        return Call(
            call_id=event_id,
            source=heard[0].source,
            programme=programme,
            received_s=heard[1],
            modified_s=modified_s,
            intervals=tuple(reader.parts),
            priority=priority or None,  # 0 is none, the lowest
            is_test=descriptor.boolean("test_event", False),
            randomize_s=reader.randomize_s,
        )
    except ValueError as error:
        raise MessageError("event.event_signals", str(error)) from error


class _Reader:
    """Gathers what the signals of one event say; one of them may dispatch, or its levels count."""

    def __init__(self, spec: Ven2Spec, period: Fields) -> None:
        self._spec = spec
        self._start_s = _moment_s(period.value("dtstart"), period.at("dtstart"))
        self.randomize_s = _tolerance_s(period)
        self.parts: list[CallInterval] = []
        self.prices: list[Span] = []
        self.ignored: set[str] = set()
        self._dispatch: str | None = None

    def take(self, signal: Fields) -> None:
        """One signal."""
        name, kind = signal.name("signal_name"), signal.name("signal_type")
        if name == "ELECTRICITY_PRICE" and kind == "price":
            factor = _usd_per_mwh(signal, self._spec.usd_per_unit)
            self.prices += [Span(a, b, value * factor) for a, b, value, _ in self._intervals(signal)]
        elif name == "LOAD_DISPATCH" and kind in ("setpoint", "delta"):
            factor = _watts(signal, self._spec.power_unit)
            self._dispatches(
                name, [(a, b, _dispatched(kind, v * factor, at)) for a, b, v, at in self._intervals(signal)]
            )
        elif name == "SIMPLE" and kind == "level":
            levels = [(a, b, _level(value, at)) for a, b, value, at in self._intervals(signal)]
            if self._dispatch is None:
                self._dispatches(name, levels)
            else:
                self.ignored.add("SIMPLE beside LOAD_DISPATCH")
        else:
            self.ignored.add(f"{name} {kind}")

    def _dispatches(self, name: str, found: list[tuple[float, float, Commitment]]) -> None:
        if name == "LOAD_DISPATCH" and self._dispatch == name:
            raise MessageError("event.event_signals", "it has two signals LOAD_DISPATCH; one at a time is followed")
        self._dispatch = name
        try:
            self.parts = [CallInterval(*each) for each in found]
        except ValueError as error:
            raise MessageError("event.event_signals", str(error)) from error

    def _intervals(self, signal: Fields) -> list[tuple[float, float, float, str]]:
        """Start, end, value and place of each interval; one without a start follows the one before."""
        at_s, found = self._start_s, []
        for n, entry in enumerate(entries(signal.value("intervals"), signal.at("intervals"), MAX_INTERVALS)):
            interval = Fields.of(entry, f"{signal.at('intervals')}[{n}]")
            if interval.has("dtstart"):
                at_s = _moment_s(interval.value("dtstart"), interval.at("dtstart"))
            length_s = _length_s(interval.data.get("duration"), interval.at("duration"))
            end_s = FOREVER_S if length_s == 0.0 else min(FOREVER_S, at_s + length_s)  # of no length is open (2.0b)
            value = number(interval.value("signal_payload"), interval.at("signal_payload"))
            found.append((at_s, end_s, value, interval.at("signal_payload")))
            at_s = end_s
        if not found:
            raise MessageError(signal.at("intervals"), "there is none")
        return found


def _level(value: float, at: str) -> Commitment:
    if value not in (0.0, 1.0, 2.0, 3.0):
        raise MessageError(at, f"{shown(value)} is not a level: 0, 1, 2 or 3")
    return Commitment(Asked.LEVEL, value) if value else Commitment(Asked.NOTHING)


def _dispatched(kind: str, value_w: float, at: str) -> Commitment:
    try:
        if kind == "setpoint":
            return Commitment(Asked.AT_MOST_W, value_w)
        return Commitment(Asked.BELOW_PRESENT_W, -value_w) if value_w < 0 else Commitment(Asked.NOTHING)
    except ValueError as error:
        raise MessageError(at, str(error)) from error


def _measurement(signal: Fields) -> Fields | None:
    return Fields.of(signal.data["measurement"], signal.at("measurement")) if signal.has("measurement") else None


def _watts(signal: Fields, power_unit: float | None) -> float:
    measurement = _measurement(signal)
    if measurement is None:
        if power_unit is None:
            raise MessageError(signal.at("measurement"), "it names no unit; set power_unit if all are of one")
        return power_unit
    unit, scale = measurement.text("unit", MAX_NAME), measurement.text("scale", MAX_NAME) or "none"
    if measurement.text("name", MAX_NAME) != "powerReal" or unit != "W" or scale not in SCALES:
        raise MessageError(signal.at("measurement"), f"{shown(unit)} in {shown(scale)} is not real power in W")
    return SCALES[scale]


def _usd_per_mwh(signal: Fields, usd_per_unit: Mapping[str, float]) -> float:
    measurement = _measurement(signal)
    if measurement is None:
        raise MessageError(signal.at("measurement"), "it names no currency")
    unit, scale = measurement.text("unit", MAX_NAME) or "", measurement.text("scale", MAX_NAME) or "none"
    if measurement.text("name", MAX_NAME) not in ("currencyPerKWh", "currencyPerMWh") or scale not in SCALES:
        raise MessageError(signal.at("measurement"), f"{shown(measurement.data.get('name'))} is no price of energy")
    if unit not in usd_per_unit:
        raise MessageError(signal.at("measurement"), f"usd_per_unit has no rate for {shown(unit)}; add it")
    per_mwh = 1e3 if measurement.data["name"] == "currencyPerKWh" else 1.0
    return usd_per_unit[unit] * SCALES[scale] * per_mwh


def _refuse_others(fields: Fields, own: frozenset[str]) -> None:
    """An event that is aimed at somebody must be aimed at us."""
    targets = fields.data.get("targets_by_type")
    if not targets:
        return
    named = {
        str(value) for values in Fields.of(targets, "event.targets_by_type").data.values() for value in values or ()
    }
    if named and not named & own:
        raise MessageError("event.targets", "it is for others")


def _tolerance_s(period: Fields) -> float:
    """Largest shift of the start: 2.0b shifts to later alone, as a call does."""
    if not period.has("tolerance"):
        return 0.0
    tolerance = Fields.of(period.data["tolerance"], period.at("tolerance"))
    inner = Fields.of(tolerance.data.get("tolerance") or {}, tolerance.at("tolerance"))
    length_s = _length_s(inner.data.get("startafter"), inner.at("startafter"))
    if length_s > MAX_RANDOMIZE_S:
        raise MessageError(inner.at("startafter"), "a start that is shifted by more than a day is not followed")
    return length_s


def _moment_s(value: Any, place: str) -> float:
    if not isinstance(value, datetime):
        raise MessageError(place, f"{shown(value)} is no moment")
    time_s = (value if value.tzinfo else value.replace(tzinfo=UTC)).timestamp()
    if not 0.0 <= time_s < FOREVER_S:
        raise MessageError(place, f"{shown(value)} is before 1970 or after 9999")
    return time_s


def _length_s(value: Any, place: str) -> float:
    if value is None:
        return 0.0
    if not isinstance(value, timedelta) or not math.isfinite(value.total_seconds()) or value < timedelta(0):
        raise MessageError(place, f"{shown(value)} is no length of time")
    return value.total_seconds()
