"""Recorded series of price and carbon, replayed as if they were live.

A replay maps the wall clock onto the file's time: `started_at_s` falls on `data_start_s`, and `speed` seconds of the
file pass in a second. Bundled series: ERCOT day-ahead prices (hourly, USD/MWh) and CAISO marginal emissions (5 min,
kg/kWh, hence `scale` 1000 to kg/MWh); origin and licence are in controller/simulation/data/LICENCES.md.
"""

from __future__ import annotations

import csv
import math
from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

from controller.errors import ConfigError
from controller.model.grid import Series, SeriesQuality
from controller.model.observation import Missing
from controller.utc_text import utc_minute

MAX_ROWS = 2_000_000
BUNDLED_DATA = Path(__file__).parents[2] / "simulation" / "data"


@dataclass(frozen=True, slots=True)
class Replay:
    """How the wall clock maps onto a file's time.

    Attributes:
        data_start_s: file time, seconds since the epoch, at `started_at_s`.
        speed: seconds of the file per second.
        lookahead_s: how far ahead the series is handed out, wall clock.
    """

    started_at_s: float
    data_start_s: float
    speed: float = 1.0
    lookahead_s: float = 7200.0

    def to_wall_s(self, data_s: float) -> float:
        """Wall clock of a time in the file."""
        return self.started_at_s + (data_s - self.data_start_s) / self.speed

    def to_data_s(self, wall_s: float) -> float:
        """Time in the file at a wall clock."""
        return self.data_start_s + (wall_s - self.started_at_s) * self.speed


@dataclass(frozen=True, slots=True)
class CsvColumns:
    """Where a file holds its series: column names, the factor to the series' unit, and that unit.

    Attributes:
        forecasts: columns of what was forecast in a row's interval, with the time ahead that each is of, s.
    """

    time: str
    value: str
    unit: str
    scale: float = 1.0
    forecasts: tuple[tuple[str, float], ...] = ()


class ReplayFeed:
    """A recorded series, handed out as it would have been known.

    Where the file has forecasts, the value in force is handed out with what was forecast then; without, the recorded
    values of the time ahead, as of a market that has told them.
    """

    def __init__(self, path: Path, columns: CsvColumns, replay: Replay) -> None:
        """Read the file.

        Raises:
            ConfigError: it is absent, malformed, or does not hold `replay.data_start_s`.
        """
        self._name = path.name
        self._unit = columns.unit
        self._replay = replay
        self._starts_s, self._values = read_csv(path, columns)
        steps = sorted(b - a for a, b in zip(self._starts_s, self._starts_s[1:], strict=False))
        self._step_s = steps[len(steps) // 2] if steps else 3600.0
        """Typical interval; where the next start is much later, the file has a gap."""
        self._forecasts = sorted(
            (lead_s, read_csv(path, replace(columns, value=name))[1]) for name, lead_s in columns.forecasts
        )
        if self._index_at(replay.data_start_s) is None:
            raise ConfigError(
                f"{path}: holds nothing at data_start {utc_minute(replay.data_start_s)}; choose a time within "
                f"{utc_minute(self._starts_s[0])} .. {utc_minute(self._starts_s[-1] + self._step_s)} and outside its "
                "gaps"
            )

    def read(self, now_s: float) -> Series | Missing:
        """Values in force now and over the time ahead, up to the next gap."""
        replay = self._replay
        now_data_s = replay.to_data_s(now_s)
        first = self._index_at(now_data_s)
        if first is None:
            last_s = self._starts_s[-1] + self._step_s
            return Missing(
                self._name,
                f"the recording has no value at {utc_minute(now_data_s)}; it ends {utc_minute(last_s)}",
                now_s,
            )
        until_s = replay.to_data_s(now_s + replay.lookahead_s)
        if self._forecasts:
            return self._forecast(first, until_s)
        index = first
        while (
            index + 1 < len(self._starts_s)
            and self._starts_s[index + 1] < until_s
            and self._end_of(index) == self._starts_s[index + 1]
        ):
            index += 1
        return Series(
            starts_s=tuple(replay.to_wall_s(start_s) for start_s in self._starts_s[first : index + 1]),
            values=tuple(self._values[first : index + 1]),
            end_s=replay.to_wall_s(self._end_of(index)),
            unit=self._unit,
            source=self._name,
            quality=SeriesQuality.RECORDED,
        )

    def _forecast(self, index: int, until_s: float) -> Series:
        """A row's value, and what it forecast: at the file's pace, between the leads by a straight line."""
        start_s, last_lead_s = self._starts_s[index], self._forecasts[-1][0]
        known = [(0.0, self._values[index]), *((lead_s, column[index]) for lead_s, column in self._forecasts)]
        leads_s = [n * self._step_s for n in range(int(last_lead_s // self._step_s) + 1)]
        leads_s = [lead_s for lead_s in leads_s if start_s + lead_s < until_s] or [0.0]
        return Series(
            starts_s=tuple(self._replay.to_wall_s(start_s + lead_s) for lead_s in leads_s),
            values=tuple(_between(known, lead_s) for lead_s in leads_s),
            end_s=self._replay.to_wall_s(start_s + leads_s[-1] + self._step_s),
            unit=self._unit,
            source=self._name,
            quality=SeriesQuality.RECORDED,
        )

    def _end_of(self, index: int) -> float:
        """End of an interval: the next start, or one typical step where the next is further away."""
        start_s = self._starts_s[index]
        following_s = self._starts_s[index + 1] if index + 1 < len(self._starts_s) else math.inf
        return following_s if following_s - start_s <= 1.5 * self._step_s else start_s + self._step_s

    def _index_at(self, data_s: float) -> int | None:
        index = bisect_right(self._starts_s, data_s) - 1
        return index if index >= 0 and data_s < self._end_of(index) else None


def _between(known: list[tuple[float, float]], at: float) -> float:
    """Value on the line through the points around `at`, which lies within them; points ascend."""
    for (left, low), (right, high) in pairwise(known):
        if left <= at <= right:
            return low + (high - low) * (at - left) / (right - left)
    return known[-1][1]


def read_csv(path: Path, columns: CsvColumns) -> tuple[list[float], list[float]]:
    """Times (seconds since the epoch) and scaled values; a bare file name is also looked for among the bundled data.

    Raises:
        ConfigError: naming file, line, value and remedy.
    """
    bundled = BUNDLED_DATA / path.name
    if not path.exists() and path == Path(path.name) and bundled.exists():
        path = bundled
    try:
        with path.open(newline="", encoding="utf-8") as file:
            return _rows(path, csv.DictReader(file), columns)
    except FileNotFoundError as error:
        names = ", ".join(sorted(item.name for item in BUNDLED_DATA.glob("*.csv")))
        raise ConfigError(f"{path}: no such file; correct the path, or use a bundled one: {names}") from error
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ConfigError(f"{path}: cannot be read as CSV: {error}") from error


def _rows(path: Path, reader: csv.DictReader[str], columns: CsvColumns) -> tuple[list[float], list[float]]:
    present: Iterable[str] = reader.fieldnames or ()
    for name in (columns.time, columns.value):
        if name not in present:
            raise ConfigError(f"{path}:1: there is no column {name!r}; the file has {', '.join(map(repr, present))}")
    starts_s: list[float] = []
    values: list[float] = []
    for row in reader:
        line = reader.line_num
        if len(starts_s) >= MAX_ROWS:
            raise ConfigError(f"{path}:{line}: more than {MAX_ROWS} rows; cut the file")
        start_s = _time(row[columns.time], f"{path}:{line}")
        if starts_s and start_s <= starts_s[-1]:
            raise ConfigError(
                f"{path}:{line}: {row[columns.time]!r} is not later than the line before; sort the file, and where "
                "clocks were set back write times in UTC or with their offset"
            )
        starts_s.append(start_s)
        values.append(_value(row[columns.value], f"{path}:{line}") * columns.scale)
    if not starts_s:
        raise ConfigError(f"{path}: no rows below the heading")
    return starts_s, values


def _time(text: str, where: str) -> float:
    try:
        moment = datetime.fromisoformat(text)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{where}: {text!r:.40} is not a time such as 2022-07-13T18:00Z") from error
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _value(text: str, where: str) -> float:
    try:
        value = float(text)
    except (TypeError, ValueError):
        value = math.nan
    if not math.isfinite(value):
        raise ConfigError(f"{where}: {text!r:.40} is not a finite number")
    return value
