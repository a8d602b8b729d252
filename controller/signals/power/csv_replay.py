"""Recorded power, replayed as if it were read now: of GPUs by UUID, or of the site's meter.

The files have a heading and the columns `time`, `power_w`, for GPUs `uuid`, and if recorded `energy_j`. A time is
seconds since the epoch or an ISO time such as 2026-03-01T12:00:00Z; rows may come in any order.
"""

from __future__ import annotations

import csv
import math
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from controller.errors import ConfigError
from controller.model.observation import Missing, Quality, Reading
from controller.signals.feeds import Replay
from controller.signals.power.source import GpuReadings
from controller.utc_text import utc_text

MAX_ROWS = 5_000_000
_SITE = "site"


@dataclass(frozen=True, slots=True)
class ReplayTimes:
    """How the wall clock maps onto a recording.

    Attributes:
        data_start_s: time in the file that falls on the start; None takes the first row's.
        speed: seconds of the file per second.
    """

    data_start_s: float | None = None
    speed: float = 1.0


@dataclass(frozen=True, slots=True)
class _Row:
    at_s: float
    power_w: float
    energy_j: float | None


class _Recording:
    """Rows by UUID, and their place in time."""

    def __init__(self, path: Path, times: ReplayTimes, started_at_s: float, *, by_uuid: bool) -> None:
        rows: dict[str, list[_Row]] = {}
        for uuid, row in _read(path, by_uuid=by_uuid):
            rows.setdefault(uuid, []).append(row)
        if not rows:
            raise ConfigError(f"{path}: no rows below the heading")
        self.path = path
        self.rows = {uuid: sorted(found, key=lambda row: row.at_s) for uuid, found in rows.items()}
        self._starts_s = {uuid: [row.at_s for row in found] for uuid, found in self.rows.items()}
        first_s = min(starts_s[0] for starts_s in self._starts_s.values())
        last_s = max(starts_s[-1] for starts_s in self._starts_s.values())
        start_s = first_s if times.data_start_s is None else times.data_start_s
        if not first_s <= start_s <= last_s:
            raise ConfigError(
                f"{path}: holds nothing at data_start {utc_text(start_s)}; choose a time within {utc_text(first_s)} .. "
                f"{utc_text(last_s)}"
            )
        self._replay = Replay(started_at_s, start_s, times.speed)

    def reading(self, uuid: str, now_s: float) -> Reading | Missing:
        """The row in force, with the wall clock at which it came."""
        data_s = self._replay.to_data_s(now_s)
        index = bisect_right(self._starts_s[uuid], data_s) - 1
        if index < 0:
            return Missing(self.path.name, f"{uuid}: the recording begins later than {utc_text(data_s)}", now_s)
        row = self.rows[uuid][index]
        observed_at_s = min(now_s, self._replay.to_wall_s(row.at_s))
        return Reading(row.power_w, row.energy_j, observed_at_s, f"recording {self.path.name}", Quality.EMULATED)


class CsvGpuSource:
    """Recorded power of GPUs."""

    def __init__(self, path: Path, times: ReplayTimes, started_at_s: float) -> None:
        """Read the file.

        Raises:
            ConfigError: it is absent or malformed (file and line are named), or holds nothing at the start.
        """
        self._recording = _Recording(path, times, started_at_s, by_uuid=True)

    async def read(self, now_s: float) -> GpuReadings:
        """The rows in force now, by UUID."""
        return {uuid: self._recording.reading(uuid, now_s) for uuid in self._recording.rows}, ()


class CsvMeter:
    """Recorded power of the site."""

    def __init__(self, path: Path, times: ReplayTimes, started_at_s: float) -> None:
        """Read the file.

        Raises:
            ConfigError: as for `CsvGpuSource`.
        """
        self._recording = _Recording(path, times, started_at_s, by_uuid=False)

    async def read(self, now_s: float) -> Reading | Missing:
        """The row in force now."""
        return self._recording.reading(_SITE, now_s)


def _read(path: Path, *, by_uuid: bool) -> Iterator[tuple[str, _Row]]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            yield from _rows(path, csv.DictReader(file), by_uuid=by_uuid)
    except FileNotFoundError as error:
        raise ConfigError(f"{path}: no such file; correct the path") from error
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ConfigError(f"{path}: cannot be read as CSV: {error}") from error


def _rows(path: Path, reader: csv.DictReader[str], *, by_uuid: bool) -> Iterator[tuple[str, _Row]]:
    present = reader.fieldnames or ()
    if not present:
        raise ConfigError(f"{path}: the file is empty; its first line names the columns")
    for name in ("time", "uuid", "power_w") if by_uuid else ("time", "power_w"):
        if name not in present:
            raise ConfigError(f"{path}:1: there is no column {name!r}; the file has {', '.join(map(repr, present))}")
    for count, row in enumerate(reader):
        where = f"{path}:{reader.line_num}"
        if count >= MAX_ROWS:
            raise ConfigError(f"{where}: more than {MAX_ROWS} rows; cut the file")
        if None in row:  # where csv.DictReader puts what is beyond the heading, such as the rest of 437,5
            raise ConfigError(f"{where}: more cells than the heading's {len(present)}; write 437.5 with a point")
        uuid = (row["uuid"] or "").strip() if by_uuid else _SITE
        if not uuid:
            raise ConfigError(f"{where}: no uuid; write the GPU's, as nvidia-smi -L prints it")
        power_w = _number(row["power_w"], f"{where}: power_w")
        if by_uuid and power_w < 0:
            raise ConfigError(f"{where}: power_w {power_w:g} is negative, which no GPU's is")
        energy = (row.get("energy_j") or "").strip()
        energy_j = _number(energy, f"{where}: energy_j") if energy else None
        yield uuid, _Row(_time(row["time"], where), power_w, energy_j)


def _time(text: str | None, where: str) -> float:
    try:
        seconds = float(text or "")
    except ValueError:
        try:
            moment = datetime.fromisoformat(text or "")
        except ValueError as error:
            raise ConfigError(
                f"{where}: time {text!r:.40} is neither seconds since the epoch nor like 2026-03-01T12:00:00Z"
            ) from error
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    if not math.isfinite(seconds) or not 0 <= seconds < 1e11:
        raise ConfigError(f"{where}: time {text!r:.40} is not in seconds since the epoch")
    return seconds


def _number(text: str | None, where: str) -> float:
    try:
        value = float(text or "")
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ConfigError(f"{where} {text!r:.40} is not a finite number")
    return value
