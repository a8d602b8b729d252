"""Reads interval data of a meter from CSV, as utilities hand them out, into means in W. Pure.

Traps that it knows: energy for an interval rather than power; times of the interval's end; times without a zone, of
which an hour comes twice in autumn and one is missing in spring; the same row twice; blanks.
"""

from __future__ import annotations

import csv
import datetime
import itertools
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from zoneinfo import ZoneInfo

from controller.errors import ConfigError

MAX_ROWS = 2_000_000
MAX_W = 1e10
_MINUTE_S, _DAY_S = 60.0, 86_400.0
_FIRST_YEAR, _LAST_YEAR = 1971, 9000
_BLANK = frozenset({"", "null", "nan", "n/a", "na", "-"})


class MeterUnit(StrEnum):
    """Of the values: power, or energy of an interval."""

    W = "W"
    KW = "kW"
    MW = "MW"
    WH = "Wh"
    KWH = "kWh"
    MWH = "MWh"


_W_OF_POWER = {MeterUnit.W: 1.0, MeterUnit.KW: 1e3, MeterUnit.MW: 1e6}
_J_OF_ENERGY = {MeterUnit.WH: 3.6e3, MeterUnit.KWH: 3.6e6, MeterUnit.MWH: 3.6e9}


@dataclass(frozen=True, slots=True)
class IntervalLayout:
    """How a file is to be read.

    Attributes:
        time_column, value_column: names in the heading line.
        zone: of times without one; None refuses them.
        interval_s: length; None takes the most frequent distance of two rows.
        is_end: whether a time is the end of its interval.
    """

    time_column: str
    value_column: str
    unit: MeterUnit
    zone: ZoneInfo | None = None
    interval_s: float | None = None
    is_end: bool = False


@dataclass(frozen=True, slots=True)
class IntervalData:
    """What was read.

    Attributes:
        intervals: (start, end, mean in W), in order, without overlap.
        blank: rows without a value: gaps.
        ambiguous: rows whose time on the clock comes twice on that day, and once in the file: left out.
        repeated: rows that are there more than once.
    """

    intervals: tuple[tuple[float, float, float], ...]
    interval_s: float
    blank: int
    ambiguous: int
    repeated: int


def parse(lines: Iterable[str], layout: IntervalLayout, now_s: float) -> IntervalData:
    """Read a file's lines.

    Raises:
        ConfigError: line, value and remedy of what cannot be read, overlaps, lies in the future or means nothing.
    """
    rows, blank = _rows(lines, layout)
    if not rows:
        raise ConfigError(f"no row has a value in {layout.value_column!r}; see that this is the right column")
    timed, ambiguous = _timed(rows, layout)
    unique, repeated = _unique(timed)
    interval_s = _interval_s(unique, layout)
    shift_s = interval_s if layout.is_end else 0.0
    per = _W_OF_POWER.get(layout.unit) or _J_OF_ENERGY[layout.unit] / interval_s
    intervals = []
    for (start_s, value, line), following in itertools.pairwise([*unique, (math.inf, 0.0, 0)]):
        begin_s = start_s - shift_s
        if following[0] - start_s < interval_s:
            raise ConfigError(f"line {following[2]}: begins within the {interval_s:g} s of line {line}")
        if begin_s % _MINUTE_S:
            raise ConfigError(f"line {line}: does not begin at a whole minute; shift the times or average by minutes")
        if begin_s + interval_s > now_s:
            raise ConfigError(f"line {line}: ends in the future; see the time zone and whether times are ends")
        if not abs(value * per) <= MAX_W:
            raise ConfigError(f"line {line}: {value!r} {layout.unit.value} is not a site's power; see the unit")
        intervals.append((begin_s, begin_s + interval_s, value * per))
    return IntervalData(tuple(intervals), interval_s, blank, ambiguous, repeated)


def parse_values(lines: Iterable[str], layout: IntervalLayout) -> tuple[tuple[float, float], ...]:
    """Read (time, value) in order of time, of a file whose values are of any kind and may lie in the future.

    Raises:
        ConfigError: line, value and remedy of what cannot be read.
    """
    timed, _ = _timed(_rows(lines, layout)[0], layout)
    return tuple((time_s, value) for time_s, value, _ in _unique(timed)[0])


def _rows(lines: Iterable[str], layout: IntervalLayout) -> tuple[list[tuple[datetime.datetime, float, int]], int]:
    reader = csv.DictReader(lines)
    try:
        return _read(reader, layout)
    except csv.Error as error:
        raise ConfigError(f"line {reader.line_num + 1}: is no CSV: {error}") from error


def _read(
    reader: csv.DictReader[str], layout: IntervalLayout
) -> tuple[list[tuple[datetime.datetime, float, int]], int]:
    names = [name.strip() for name in reader.fieldnames or ()]
    for column in (layout.time_column, layout.value_column):
        if column not in names:
            raise ConfigError(f"no column is called {column!r}; there are {', '.join(map(repr, names[:32])) or 'none'}")
    reader.fieldnames = names
    rows: list[tuple[datetime.datetime, float, int]] = []
    blank = 0
    for row in reader:
        line = reader.line_num
        if len(rows) >= MAX_ROWS:
            raise ConfigError(f"line {line}: more than {MAX_ROWS} rows; import a part at a time")
        text = (row[layout.value_column] or "").strip()
        if text.lower() in _BLANK:
            blank += 1
            continue
        rows.append((_time(row[layout.time_column] or "", layout, line), _value(text, line), line))
    return rows, blank


def _value(text: str, line: int) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ConfigError(f"line {line}: {text!r:.40} is no number; write it with a point and without separators")
    return value


def _time(text: str, layout: IntervalLayout, line: int) -> datetime.datetime:
    try:
        time = datetime.datetime.fromisoformat(text.strip())
    except ValueError as error:
        raise ConfigError(
            f"line {line}: {text!r:.40} is no time; write ISO 8601, such as 2026-08-14T17:00 or 2026-08-14T17:00Z"
        ) from error
    if not _FIRST_YEAR <= time.year <= _LAST_YEAR:
        raise ConfigError(f"line {line}: {text!r:.40} is no time of a meter; see the column and its format")
    if time.tzinfo is None and layout.zone is None:
        raise ConfigError(f"line {line}: {text!r:.40} has no time zone; name it, e.g. --timezone America/Los_Angeles")
    return time if time.tzinfo is not None else time.replace(tzinfo=layout.zone)


def _timed(
    rows: Sequence[tuple[datetime.datetime, float, int]], layout: IntervalLayout
) -> tuple[list[tuple[float, float, int]], int]:
    """Times in UTC; of an hour that the clock shows twice, the first rows are the first ones in the file."""
    shown = Counter(time for time, _, _ in rows if _comes_twice(time))
    seen: Counter[datetime.datetime] = Counter()
    timed, ambiguous = [], 0
    for time, value, line in rows:
        if time.tzinfo is layout.zone and layout.zone is not None:
            # The end of an interval may be told as the time at which the clock is set on, which it does not show.
            shown_at = time - datetime.timedelta(minutes=1) if layout.is_end else time
            if _is_skipped(shown_at, layout.zone):
                raise ConfigError(f"line {line}: the clock of {layout.zone.key} does not show {time:%Y-%m-%d %H:%M}")
            if _comes_twice(time):
                if shown[time] == 1:
                    ambiguous += 1
                    continue
                fold = min(seen[time], 1)
                seen[time] += 1
                timed.append((time.replace(fold=fold).timestamp(), value, line))
                continue
        timed.append((time.timestamp(), value, line))
    return timed, ambiguous


def _is_skipped(time: datetime.datetime, zone: ZoneInfo) -> bool:
    return time.astimezone(datetime.UTC).astimezone(zone).replace(tzinfo=None) != time.replace(tzinfo=None)


def _comes_twice(time: datetime.datetime) -> bool:
    return time.replace(fold=0).utcoffset() > time.replace(fold=1).utcoffset()  # type: ignore[operator]


def _unique(timed: Sequence[tuple[float, float, int]]) -> tuple[list[tuple[float, float, int]], int]:
    unique: list[tuple[float, float, int]] = []
    repeated = 0
    for time_s, value, line in sorted(timed):
        if unique and unique[-1][0] == time_s:
            if unique[-1][1] != value:
                raise ConfigError(f"line {line}: another value for the time of line {unique[-1][2]}; keep one of them")
            repeated += 1
            continue
        unique.append((time_s, value, line))
    return unique, repeated


def _interval_s(unique: Sequence[tuple[float, float, int]], layout: IntervalLayout) -> float:
    interval_s = layout.interval_s
    if interval_s is None:
        distances = Counter(after[0] - before[0] for before, after in itertools.pairwise(unique))
        if not distances:
            raise ConfigError("one row tells no interval; name it, e.g. --interval 15min")
        interval_s = distances.most_common(1)[0][0]
    if interval_s % _MINUTE_S or not _MINUTE_S <= interval_s <= _DAY_S:
        raise ConfigError(f"an interval of {interval_s:g} s: whole minutes up to a day are imported")
    return interval_s
