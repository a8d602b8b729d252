"""Any series in CSV or JSON, from a file or an address, by a mapping of its own names and units.

JSON comes as a list of rows, each with its time and value, or as parallel lists. A path is keys joined by dots, with
numbers for places in lists: ``data.0.price.amount``.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

from controller.errors import SignalError
from controller.model.grid import SeriesQuality
from controller.signals.feeds.body import json_of, listing, moment_of, number, seconds_of, text_of
from controller.signals.feeds.local_time import LocalClock
from controller.signals.feeds.outlook import MAX_INTERVALS, Interval, Outlook, outlook, spans
from controller.signals.feeds.provider import Ask, Web

Row = tuple[Any, Any, Any]
"""Time, value and end, as they were told."""
_EPOCH = {"unix_s": 1.0, "unix_ms": 1e-3}


@dataclass(frozen=True, slots=True)
class Mapping:
    """Where an answer holds its series.

    Attributes:
        form: ``csv`` or ``json``.
        time, value: columns, or paths within a row.
        end: the same of an interval's end; None where the next start is the end.
        rows: path of the list of rows; empty for the whole answer. None where time and value are parallel lists.
        issued_at: path, in JSON, of the time of issue.
        times: ``iso``, ``unix_s`` or ``unix_ms``.
        zone: of ISO times that tell none.
        step_s: length of an interval; None takes the usual distance of two starts.
        delimiter: between the cells of CSV.
    """

    form: str
    time: str
    value: str
    end: str | None = None
    rows: str | None = ""
    issued_at: str | None = None
    times: str = "iso"
    zone: ZoneInfo | None = None
    step_s: float | None = None
    delimiter: str = ","


@dataclass(frozen=True, slots=True)
class MappedFeed:
    """A series by its mapping.

    Attributes:
        address: of HTTP, or ``file:`` and a path.
        unit: ``usd_per_mwh`` or ``kg_per_mwh``.
        factor: from what is told to that unit.
        secret_header: header for the secret; None sends it as a bearer token.
    """

    address: str
    mapping: Mapping
    unit: str
    factor: float
    quality: SeriesQuality = SeriesQuality.PUBLISHED
    basis: str = ""
    secret_header: str | None = None

    @property
    def source(self) -> str:
        """Who tells it, and of what."""
        shown = self.address.partition("?")[0]
        return f"mapped {shown}" + (f" ({self.basis})" if self.basis else "")

    async def ask(self, web: Web, now_s: float) -> Outlook:
        """What the file or address holds.

        Raises:
            SignalError: nothing that can be used.
        """
        ask = Ask(self.address, secret_header=self.secret_header or "Authorization", is_repeated=True)
        return parse(await web.get(ask), now_s, self)


def parse(body: bytes, now_s: float, feed: MappedFeed) -> Outlook:
    """The series; rows may come in either order, and those without a value are gaps.

    Raises:
        SignalError: it is malformed, or a time tells no zone and none is configured.
    """
    source, told = feed.source, feed.mapping
    issued_s = None
    if told.form == "csv":
        rows = list(_csv_rows(body, told, source))
    else:
        answer = json_of(body, source)
        rows = list(_json_rows(answer, told, source))
        if told.issued_at is not None:
            (issued_s,) = _seconds([at(answer, told.issued_at, source)], told, source)
    if len(rows) > MAX_INTERVALS:
        raise SignalError(source, f"{len(rows)} rows, more than the {MAX_INTERVALS} that are held; ask for less")
    if rows and _descends(rows, told, source):
        rows.reverse()
    starts_s = _seconds([row[0] for row in rows], told, source)
    values = dict(zip(starts_s, (row[1] for row in rows), strict=True))
    if told.end is None:
        pieces: Iterable[tuple[float, float]] = spans(sorted(values), told.step_s)
    else:
        pieces = zip(starts_s, _seconds([row[2] for row in rows], told, source), strict=True)
    return outlook(
        (
            Interval(
                start_s, end_s, number(values[start_s], source, told.value) * feed.factor, now_s, issued_s, feed.quality
            )
            for start_s, end_s in pieces
            if values[start_s] not in (None, "")
        ),
        feed.unit,
        source,
    )


def at(value: Any, path: str, source: str) -> Any:
    """What stands at a path of keys and places; an empty path is the value itself.

    Raises:
        SignalError: there is no such place.
    """
    for key in path.split(".") if path else ():
        try:
            value = value[int(key)] if isinstance(value, list) else value[key]
        except (KeyError, IndexError, TypeError, ValueError) as error:
            raise SignalError(source, f"the answer has nothing at {path!r}: there is no {key!r}") from error
    return value


def _json_rows(answer: Any, told: Mapping, source: str) -> Iterator[Row]:
    if told.rows is None:
        paths = [told.time, told.value, *([told.end] if told.end else [])]
        columns = [listing(at(answer, path, source), source, path) for path in paths]
        if len({len(column) for column in columns}) > 1:
            raise SignalError(source, f"{', '.join(paths)} are lists of different lengths")
        for place, start in enumerate(columns[0]):
            yield start, columns[1][place], columns[2][place] if told.end else None
        return
    for row in listing(at(answer, told.rows, source), source, told.rows or "the answer"):
        end = None if told.end is None else at(row, told.end, source)
        yield at(row, told.time, source), at(row, told.value, source), end


def _csv_rows(body: bytes, told: Mapping, source: str) -> Iterator[Row]:
    reader = csv.DictReader(io.StringIO(text_of(body, source), newline=""), delimiter=told.delimiter)
    try:
        present = reader.fieldnames or ()
        for name in (told.time, told.value, *([told.end] if told.end else [])):
            if name not in present:
                there = ", ".join(repr(column)[:40] for column in list(present)[:16])
                raise SignalError(source, f"there is no column {name!r}; the file has {there}")
        for row in reader:
            yield row[told.time], row[told.value], row[told.end] if told.end else None
    except csv.Error as error:
        raise SignalError(source, f"not CSV at line {reader.line_num} ({error})") from error


def _descends(rows: list[Row], told: Mapping, source: str) -> bool:
    """Whether the newest comes first: local times of a doubled hour are told apart by their order."""
    if told.times != "iso":
        return False
    first, last = (moment_of(row[0], source, told.time).replace(tzinfo=None) for row in (rows[0], rows[-1]))
    return last < first


def _seconds(texts: list[Any], told: Mapping, source: str) -> list[float]:
    if told.times != "iso":
        return [number(text, source, told.time) * _EPOCH[told.times] for text in texts]
    clock = None if told.zone is None else LocalClock(told.zone, source)
    out = []
    for text in texts:
        moment = moment_of(text, source, told.time)
        if moment.tzinfo is not None:
            out.append(seconds_of(moment, source, told.time))
        elif clock is not None:
            out.append(clock.seconds(moment, told.time))
        else:
            raise SignalError(source, f"{told.time} {text!r:.40} tells no time zone; set timezone, e.g. Europe/Berlin")
    return out
