"""What `wattroute meter` does: imports, exports and tells what is kept, beside a controller that may be running."""

from __future__ import annotations

import contextlib
import csv
import datetime
import io
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO
from zoneinfo import ZoneInfo

import typer

from controller.clock import SystemClock
from controller.errors import ConfigError
from controller.model.meter import Mean
from controller.model.observation import Quality
from controller.settings.file import Settings
from controller.settings.programmes import programmes_of
from controller.settlement.baseline_profile import Adjustment, Baseline
from controller.settlement.like_days import Calendar
from controller.store.baselines import MeterBaselines
from controller.store.interval_csv import IntervalLayout, MeterUnit, parse
from controller.store.meter import FILE_NAME, MeterStore
from controller.store.plain import to_plain
from controller.units import joules_to_kwh
from controller.utc_text import utc_text

MAX_FILE_BYTES = 256 << 20
_AT_A_TIME = 50_000
_DAY_S = 86_400.0
_SHOWN_DAYS = 14
COLUMNS = ("start", "end", "mean_w", "energy_kwh", "quality", "covered_frac", "flag")


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


@dataclass(frozen=True, slots=True)
class ExportOptions:
    """Options of `wattroute meter export`; times without a zone are UTC."""

    from_: datetime.datetime | None
    until: datetime.datetime | None
    step_s: float
    out: Path | None


@dataclass(frozen=True, slots=True)
class BaselineOptions:
    """Options of `wattroute meter baseline`; a time without a zone is in the programme's."""

    programme: str
    at: datetime.datetime
    hours: float
    as_json: bool


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
    with _opened(settings, is_made=True) as store:
        outcome = store.import_means(data.intervals, options.quality, replaces=options.replaces)
        for day, (start_s, end_s) in zip(options.event_days, days, strict=True):
            store.mark_event(f"imported:{day}", start_s, end_s)
    kept = f"; {outcome.kept} min that were measured here stay" if outcome.kept else ""
    typer.echo(f"{outcome.written} min written, {len(days)} days of events marked{kept}")
    keeps_s = settings.controller.keep_meter_minutes_days * _DAY_S
    if first_s < SystemClock().wall_s() - keeps_s:
        typer.echo(f"what is older than controller.keep_meter_minutes_days, {keeps_s / _DAY_S:g} days, goes in time")


def export(settings: Settings, options: ExportOptions) -> None:
    """Write means as CSV.

    Raises:
        ConfigError: the times are none, or the file cannot be written.
        StoreError: the store cannot be read.
    """
    now_s = SystemClock().wall_s()
    step_s = options.step_s
    until_s = _seconds(options.until, now_s - now_s % step_s)
    from_s = _seconds(options.from_, until_s - _DAY_S)
    if from_s >= until_s:
        raise ConfigError(f"--from {utc_text(from_s)} is not before --until {utc_text(until_s)}")
    with contextlib.ExitStack() as stack:
        store = stack.enter_context(_opened(settings))
        try:
            out = sys.stdout if options.out is None else stack.enter_context(options.out.open("w", newline=""))
        except OSError as error:
            raise ConfigError(f"{options.out}: cannot be written: {error.strerror}") from error
        _write(out, store, from_s, until_s, step_s)


def status(settings: Settings) -> None:
    """Print what is kept.

    Raises:
        StoreError: the store cannot be read.
    """
    with _opened(settings) as store:
        span = store.span_s()
        if span is None:
            typer.echo(f"{store.path}: nothing was measured or imported yet")
            return
        typer.echo(f"{store.path}: minutes from {utc_text(span[0])} to {utc_text(span[1])}")
        typer.echo("day (UTC)   measured  mean kW  quality")
        until_s = span[1] + -span[1] % _DAY_S
        from_s = max(span[0] - span[0] % _DAY_S, until_s - _SHOWN_DAYS * _DAY_S)
        for mean in store.means(from_s, until_s, _DAY_S):
            power = "-" if mean.mean_w is None else f"{mean.mean_w / 1000:.2f}"
            quality = "-" if mean.quality is None else mean.quality.value
            typer.echo(f"{utc_text(mean.start_s)[:10]}  {mean.covered_frac:8.1%}  {power:>7}  {quality}")
        spans = store.event_spans()
        typer.echo(f"{len(spans)} events" + (f", the last one from {utc_text(spans[-1][0])}" if spans else ""))


def baseline(settings: Settings, options: BaselineOptions) -> None:
    """Print a baseline; one of the past may differ from the one that was frozen, by what was imported since.

    Raises:
        ConfigError: there is no such programme.
        StoreError: the store cannot be read.
    """
    programmes = programmes_of(settings.programmes, settings.plan.baseline_window_s)
    programme = programmes.get(options.programme)
    if programme is None:
        raise ConfigError(f"--programme {options.programme!r} is not configured; there are {', '.join(programmes)}")
    at = options.at if options.at.tzinfo is not None else options.at.replace(tzinfo=ZoneInfo(programme.timezone))
    start_s = at.timestamp()
    with _opened(settings) as store:
        source = MeterBaselines(store, prepare_s=settings.plan.prepare_s)
        made = source.baseline(programme, start_s, start_s + 3600.0 * options.hours, SystemClock().wall_s())
    typer.echo(json.dumps(to_plain(made), indent=2) if options.as_json else "\n".join(told(made)))


def told(made: Baseline) -> list[str]:
    """The lines that say how a baseline came about."""
    method = "none" if made.method is None else made.method.value
    value = "not known" if made.mean_w is None else f"{made.mean_w / 1000:.3f} kW, {method}"
    quality = f", {made.quality.value}" if made.quality is not None else ""
    lines = [f"baseline {value}{quality}" + (f": {made.reason}" if made.reason else "")]
    for day in made.days:
        power = f"{'-':>12}" if day.mean_w is None else f"{day.mean_w / 1000:9.3f} kW"
        lines.append(f"{day.date}  {power}  {'used' if day.is_used else day.reason}")
    if made.adjustment is not None:
        lines.append(_adjustment_told(made.adjustment))
    if made.fit is not None:
        lines.append(f"regression of {made.fit.hours} hours, RRMSE {made.fit.rrmse_frac:.1%}")
        lines.append(f"  {'constant':<24}{made.fit.constant_w:12.3f} W")
        lines += [f"  {f'{each.term.value} {each.level}':<24}{each.value:12.3f} W" for each in made.fit.coefficients]
    return lines


def _adjustment_told(made: Adjustment) -> str:
    if made.uncapped_w is not None:
        return f"same-day adjustment {made.added_w:+.3f} W: {made.uncapped_w:+.3f} W without a cap"
    told_as = made.reason or f"{made.uncapped or 0.0:.4f} without the cap"
    return f"same-day adjustment {made.factor:.4f}: {told_as}"


def row_of(mean: Mean) -> tuple[str, ...]:
    """One row of an export; the flag is ``gap`` where nothing was measured and ``partial`` where not all was.

    Energy is that of the time that was measured; what is missing is neither zero nor guessed.
    """
    if mean.mean_w is None or mean.quality is None:
        return utc_text(mean.start_s), utc_text(mean.end_s), "", "", "", "0", "gap"
    energy_kwh = joules_to_kwh(mean.mean_w * mean.length_s * mean.covered_frac)
    flag = "partial" if mean.covered_frac < 1.0 - 1e-6 else ""
    figures = f"{mean.mean_w:.3f}", f"{energy_kwh:.9f}", mean.quality.value, f"{mean.covered_frac:.6f}"
    return utc_text(mean.start_s), utc_text(mean.end_s), *figures, flag


def _write(out: TextIO, store: MeterStore, from_s: float, until_s: float, step_s: float) -> None:
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    while from_s < until_s:
        part_s = min(until_s, from_s + _AT_A_TIME * step_s)
        writer.writerows(row_of(mean) for mean in store.means(from_s, part_s, step_s))
        from_s = part_s


@contextlib.contextmanager
def _opened(settings: Settings, *, is_made: bool = False) -> Iterator[MeterStore]:
    path = settings.controller.data_dir / FILE_NAME
    if not is_made and not path.exists():
        raise ConfigError(f"{path}: nothing was measured or imported yet; see controller.data_dir")
    store = MeterStore(path)
    try:
        yield store
    finally:
        store.close()


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


def _seconds(time: datetime.datetime | None, otherwise_s: float) -> float:
    if time is None:
        return otherwise_s
    return (time if time.tzinfo is not None else time.replace(tzinfo=datetime.UTC)).timestamp()


def _kw_range(intervals: tuple[tuple[float, float, float], ...]) -> str:
    lowest_w, highest_w = min(mean_w for *_, mean_w in intervals), max(mean_w for *_, mean_w in intervals)
    return f"{lowest_w / 1000:.2f} to {highest_w / 1000:.2f} kW"
