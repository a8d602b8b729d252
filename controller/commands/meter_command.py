"""What `wattroute meter` does: exports and tells what is kept, beside a controller that may be running."""

from __future__ import annotations

import contextlib
import csv
import datetime
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
from controller.settings.file import Settings
from controller.settings.programmes import programmes_of
from controller.settlement.baseline_profile import Adjustment, Baseline
from controller.store.baselines import MeterBaselines
from controller.store.meter import FILE_NAME, MeterStore
from controller.store.plain import to_plain
from controller.units import joules_to_kwh
from controller.utc_text import utc_text

_AT_A_TIME = 50_000
_DAY_S = 86_400.0
_SHOWN_DAYS = 14
COLUMNS = ("start", "end", "mean_w", "energy_kwh", "quality", "covered_frac", "flag")


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


@contextlib.contextmanager
def opened_store(settings: Settings, *, is_made: bool = False) -> Iterator[MeterStore]:
    """The meter store of a configuration, made where `is_made` lets it be and there is none.

    Raises:
        ConfigError: there is none.
        StoreError: it cannot be opened.
    """
    path = settings.controller.data_dir / FILE_NAME
    if not is_made and not path.exists():
        raise ConfigError(f"{path}: nothing was measured or imported yet; see controller.data_dir")
    store = MeterStore(path)
    try:
        yield store
    finally:
        store.close()


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
        store = stack.enter_context(opened_store(settings))
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
    with opened_store(settings) as store:
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
    with opened_store(settings) as store:
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


def _seconds(time: datetime.datetime | None, otherwise_s: float) -> float:
    if time is None:
        return otherwise_s
    return (time if time.tzinfo is not None else time.replace(tzinfo=datetime.UTC)).timestamp()
