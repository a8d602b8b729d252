"""Series of a user's own in place of those that come with the package: a CSV file of times and values."""

from __future__ import annotations

import csv
import math
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import numpy as np

from controller.errors import ConfigError
from controller.study.settings import Group, Text

TIME = "time"
MAX_ROWS = 1_000_000
LARGEST = 1e12


class SeriesSettings(Group):
    """A column of a CSV file; each value holds from its time to the next one's."""

    path: Text
    """File with a column `time` (2026-01-31T13:00:00Z, with a zone) beside that of the values, from the working folder
    on. Times ascend; the last value holds as long as the one before it."""
    column: Text = "value"
    """Name of the column of the values."""


def means(written: SeriesSettings, starts: tuple[datetime, ...], step_s: float, *, least: float) -> np.ndarray:
    """Mean of a series over each step, (T,).

    Args:
        written: where it is.
        starts: beginning of each step.
        step_s: length of a step.
        least: smallest value that makes sense.

    Raises:
        ConfigError: the file cannot be read, a row is wrong, or it does not reach over the span; file and line, value
            and remedy are named.
    """
    times_s, values = _read(Path(written.path), written.column, least)
    begin_s, end_s = starts[0].timestamp(), starts[-1].timestamp() + step_s
    last_s = times_s[-1] + (times_s[-1] - times_s[-2])
    if times_s[0] > begin_s or last_s < end_s:
        raise ConfigError(
            f"{written.path}: reaches from {_stamp(times_s[0])} to {_stamp(last_s)}, the scenario from "
            f"{_stamp(begin_s)} to {_stamp(end_s)}; give a longer series or a shorter span"
        )
    edges_s = np.append(times_s, last_s)
    total = np.concatenate(([0.0], np.cumsum(values * np.diff(edges_s))))
    at_s = np.array([start.timestamp() for start in starts])
    return np.asarray((np.interp(at_s + step_s, edges_s, total) - np.interp(at_s, edges_s, total)) / step_s)


def _read(path: Path, column: str, least: float) -> tuple[np.ndarray, np.ndarray]:
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = csv.DictReader(file)
            missing = [name for name in (TIME, column) if name not in (rows.fieldnames or ())]
            if missing:
                known = ", ".join(rows.fieldnames or ()) or "none"
                raise ConfigError(f"{path}:1: no column is called {missing[0]!r}; there are {known}")
            read: list[tuple[float, float]] = []
            for row in rows:
                if len(read) == MAX_ROWS:
                    raise ConfigError(f"{path}: has more than {MAX_ROWS:,} rows; give longer intervals")
                read.append(_row(f"{path}:{rows.line_num}", row[TIME], row[column], least))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ConfigError(f"{path}: cannot be read as CSV ({error}); correct path or the file") from error
    if len(read) < 2:
        raise ConfigError(f"{path}: has {len(read)} rows; give two or more, which say how long a value holds")
    for (then_s, _), (now_s, _) in pairwise(read):
        if now_s <= then_s:
            raise ConfigError(f"{path}: {_stamp(now_s)} comes after {_stamp(then_s)}; sort the rows, each time once")
    times_s, values = np.array(read).T
    return times_s, values


def _row(place: str, time: str | None, value: str | None, least: float) -> tuple[float, float]:
    try:
        at = datetime.fromisoformat(time or "")
    except ValueError:
        raise ConfigError(f"{place}: {time!r} is no time; write it as 2026-01-31T13:00:00Z") from None
    if at.tzinfo is None:
        raise ConfigError(f"{place}: {time!r} has no zone, and an hour can be missing or come twice; end it with Z")
    try:
        figure = float(value or "")
    except ValueError:
        raise ConfigError(f"{place}: {value!r} is no number; a value that is not known cannot be replayed") from None
    if not math.isfinite(figure) or not least <= figure <= LARGEST:
        raise ConfigError(f"{place}: {value} is not a number from {least:g} to {LARGEST:g}; correct it")
    return at.timestamp(), figure


def _stamp(time_s: float) -> str:
    return f"{datetime.fromtimestamp(time_s, UTC):%Y-%m-%dT%H:%M:%SZ}"
