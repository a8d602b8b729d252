"""Recorded requests: reading the trace file and cutting a slice of it, replayed at a speed-up.

The file is a CSV with the columns ``TIMESTAMP,ContextTokens,GeneratedTokens``, one row a request, in order of arrival,
as published with the Azure LLM Inference Trace 2023 (see data/LICENCES.md).
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

from controller.errors import ConfigError

DATA_DIR = Path(__file__).parent / "data"
DEFAULT_TRACE = DATA_DIR / "azure_llm_2023_conv.csv"
CODE_TRACE = DATA_DIR / "azure_llm_2023_code.csv"
COLUMNS = ("TIMESTAMP", "ContextTokens", "GeneratedTokens")
MAX_ROWS = 5_000_000
_REMEDY = "restore the file from the distribution, or name another trace with the same columns"


@dataclass(frozen=True, slots=True)
class Arrival:
    """One request of the trace.

    Attributes:
        time_s: seconds since the trace's first request.
    """

    time_s: float
    input_tokens: int
    output_tokens: int


@dataclass(frozen=True, slots=True)
class Trace:
    """Requests in order of arrival.

    Attributes:
        source: the file it was read from.
        clock_start: time of the first request, UTC.
    """

    source: str
    clock_start: datetime
    arrivals: tuple[Arrival, ...]

    @property
    def duration_s(self) -> float:
        """From the first request to the last."""
        return self.arrivals[-1].time_s


@dataclass(frozen=True, slots=True)
class Slice:
    """Which part of a trace is replayed, and how fast.

    Attributes:
        start_s: trace time at which the replay begins.
        duration_s: length of the replay, in replayed seconds; the trace begins anew where it ends sooner.
        speed: trace seconds per replayed second.
    """

    start_s: float
    duration_s: float
    speed: float


def read_trace(path: Path = DEFAULT_TRACE) -> Trace:
    """Read a trace file.

    Raises:
        ConfigError: the file is missing or a row is malformed; file, line, value and remedy are named.
    """
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = [*_rows(path, csv.reader(file))]
    except FileNotFoundError as error:
        raise ConfigError(f"{path}: no such trace file; {_REMEDY}") from error
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: the trace cannot be read: {error}; {_REMEDY}") from error
    if not rows:
        raise ConfigError(f"{path}: the trace holds no request; {_REMEDY}")
    start = rows[0][0]
    arrivals = tuple(Arrival((when - start).total_seconds(), given, made) for when, given, made in rows)
    for line, (before, after) in enumerate(pairwise(arrivals), start=3):
        if after.time_s < before.time_s:
            raise ConfigError(f"{path}:{line}: arrives before the row above it; sort the trace by TIMESTAMP")
    return Trace(str(path), start, arrivals)


def replayed(trace: Trace, part: Slice) -> tuple[Arrival, ...]:
    """Requests of a slice; `time_s` is then in replayed seconds since the start of the replay.

    Raises:
        ConfigError: the slice starts outside the trace.
    """
    if not 0 <= part.start_s <= trace.duration_s:
        raise ConfigError(
            f"{trace.source}: the replay cannot start at {part.start_s:g} s, the trace lasts {trace.duration_s:.0f} s; "
            "choose a start within it"
        )
    chosen: list[Arrival] = []
    for offset_s, arrival in _laps(trace, part.start_s):
        time_s = (arrival.time_s + offset_s - part.start_s) / part.speed
        if time_s >= part.duration_s:
            return tuple(chosen)
        if time_s >= 0:
            chosen.append(Arrival(time_s, arrival.input_tokens, arrival.output_tokens))
    return tuple(chosen)


def _laps(trace: Trace, start_s: float) -> Iterator[tuple[float, Arrival]]:
    """Arrivals from `start_s` on, round and round; a lap is one second longer than the trace."""
    lap_s = trace.duration_s + 1.0
    lap = 0
    while True:
        for arrival in trace.arrivals:
            if lap or arrival.time_s >= start_s:
                yield lap * lap_s, arrival
        lap += 1


def _rows(path: Path, reader: Iterator[list[str]]) -> Iterator[tuple[datetime, int, int]]:
    header = tuple(next(reader, []))
    if header != COLUMNS:
        raise ConfigError(f"{path}:1: the columns are {','.join(header)!r}, not {','.join(COLUMNS)!r}; {_REMEDY}")
    for line, row in enumerate(reader, start=2):
        if line > MAX_ROWS:
            raise ConfigError(f"{path}:{line}: more than {MAX_ROWS} requests; cut the trace")
        if len(row) != len(COLUMNS):
            raise ConfigError(f"{path}:{line}: {len(row)} values, {len(COLUMNS)} are expected; {_REMEDY}")
        yield _time(path, line, row[0]), _tokens(path, line, 1, row), _tokens(path, line, 2, row)


def _time(path: Path, line: int, text: str) -> datetime:
    # The published file has seven digits after the point, one more than a datetime holds.
    try:
        return datetime.fromisoformat(text[:26]).replace(tzinfo=UTC)
    except ValueError as error:
        raise ConfigError(f"{path}:{line}: TIMESTAMP: {text!r:.60} is not YYYY-MM-DD HH:MM:SS.ffffff") from error


def _tokens(path: Path, line: int, column: int, row: list[str]) -> int:
    try:
        value = int(row[column])
    except ValueError:
        value = 0
    if value < 1:
        raise ConfigError(f"{path}:{line}: {COLUMNS[column]}: {row[column]!r:.60} is not a positive number of tokens")
    return value
