"""What `wattroute meter import` does: reads a meter's file, says what is in it, and writes it to the store."""

from __future__ import annotations

import contextlib
import datetime
import io
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO
from zoneinfo import ZoneInfo

import typer

from controller.clock import SystemClock
from controller.commands.meter_command import opened_store
from controller.errors import ConfigError
from controller.model.observation import Quality
from controller.settings.file import Settings
from controller.settlement.like_days import Calendar
from controller.store.interval_csv import IntervalLayout, MeterUnit, parse
from controller.utc_text import utc_text

MAX_FILE_BYTES = 256 << 20
_DAY_S = 86_400.0


@dataclass(frozen=True, slots=True)
class ImportOptions:
    """Options of `wattroute meter import`; see there."""

    file: Path
    unit: MeterUnit
    time_column: str = "time"
    value_column: str = "value"
    timezone: str | None = None
    interval_s: float | None = None
    is_end: bool = False
    quality: Quality = Quality.DIRECT
    replaces: bool = False
    event_days: tuple[str, ...] = ()
    is_dry: bool = False


def import_file(settings: Settings, options: ImportOptions) -> None:
    """Import a file and say what became of it.

    Raises:
        ConfigError: the file, a line of it or an option is wrong; nothing was written.
        StoreError: the store cannot be written.
    """
    zone = None if options.timezone is None else _zone(options.timezone)
    layout = IntervalLayout(
        options.time_column, options.value_column, options.unit, zone, options.interval_s, options.is_end
    )
    days = [_day(Calendar(zone or ZoneInfo("UTC")), text) for text in options.event_days]
    try:
        with _lines(options.file) as lines:
            data = parse(lines, layout, SystemClock().wall_s())
    except UnicodeDecodeError as error:
        raise ConfigError(f"{options.file}: is no UTF-8 text: {error.reason}; save it as CSV in UTF-8") from error
    except ConfigError as error:
        raise ConfigError(f"{options.file}: {error}") from error
    first_s, last_s = data.intervals[0][0], data.intervals[-1][1]
    rows = f"{len(data.intervals)} intervals of {data.interval_s / 60:g} min"
    typer.echo(f"{rows} from {utc_text(first_s)} to {utc_text(last_s)}, {_kw_range(data.intervals)}")
    asked_s = last_s - first_s
    missing_s = asked_s - len(data.intervals) * data.interval_s
    typer.echo(
        f"{missing_s / asked_s:.1%} of that time is missing: {data.blank} rows blank, {data.ambiguous} ambiguous and "
        f"left out; {data.repeated} rows were there twice"
    )
    if options.is_dry:
        typer.echo("nothing was written: --dry-run")
        return
    with opened_store(settings, is_made=True) as store:
        outcome = store.import_means(data.intervals, options.quality, replaces=options.replaces)
        for day, (start_s, end_s) in zip(options.event_days, days, strict=True):
            store.mark_event(f"imported:{day}", start_s, end_s)
    kept = f"; {outcome.kept} min that were measured here stay" if outcome.kept else ""
    typer.echo(f"{outcome.written} min written, {len(days)} days of events marked{kept}")
    keeps_s = settings.controller.keep_meter_minutes_days * _DAY_S
    if first_s < SystemClock().wall_s() - keeps_s:
        typer.echo(f"what is older than controller.keep_meter_minutes_days, {keeps_s / _DAY_S:g} days, goes in time")


@contextlib.contextmanager
def _lines(file: Path) -> Iterator[TextIO]:
    try:
        if str(file) == "-":
            text = sys.stdin.read(MAX_FILE_BYTES + 1)
            _refuse_size(len(text))
            yield io.StringIO(text)
            return
        _refuse_size(file.stat().st_size)
        with file.open(encoding="utf-8-sig", newline="") as lines:
            yield lines
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror}") from error


def _refuse_size(size: int) -> None:
    if size > MAX_FILE_BYTES:
        raise ConfigError(f"has more than {MAX_FILE_BYTES >> 20} MiB; import a part at a time")


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (KeyError, OSError, ValueError) as error:
        raise ConfigError(f"--timezone {name!r} is not known; write one such as America/Los_Angeles") from error


def _day(calendar: Calendar, text: str) -> tuple[float, float]:
    try:
        day = calendar.day(datetime.date.fromisoformat(text))
    except ValueError as error:
        raise ConfigError(f"--event-day {text!r:.40} is no date; write it as 2026-08-14") from error
    return day.start_s, day.end_s


def _kw_range(intervals: tuple[tuple[float, float, float], ...]) -> str:
    lowest_w, highest_w = min(mean_w for *_, mean_w in intervals), max(mean_w for *_, mean_w in intervals)
    return f"{lowest_w / 1000:.2f} to {highest_w / 1000:.2f} kW"
