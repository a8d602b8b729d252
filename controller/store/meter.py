"""The meter store: the site's power as it was measured, second by second for days, minute by minute for over a year.

A file of its own in the data folder (SQLite, WAL). A thread of its own writes, a transaction a look: what a process
that is killed loses is the look that was not yet committed. What cannot be written waits, up to `MAX_WAITING` looks.
It also keeps when events were in force, since days with one are no like days, and the baselines that were frozen:
the ledger's records do not reach as far back.
"""

from __future__ import annotations

import sqlite3
import threading
from collections import deque
from collections.abc import Iterable
from pathlib import Path

from controller.errors import StoreError
from controller.model.meter import Mean
from controller.model.observation import Quality
from controller.store import meter_file, readings
from controller.store.meter_file import ImportOutcome, MeterWriter, Retention, Taken
from controller.store.meter_reader import read_means
from controller.store.sqlite_file import SharedTables, open_tables

FILE_NAME = "meter.sqlite"
MAX_WAITING = 900
MAX_W = 1e10
_CLOSE_S = 10.0
_EVENT = "INSERT INTO events VALUES (?1, ?2, ?3) ON CONFLICT (event_id) DO UPDATE SET start_s = ?2, end_s = max(?2, ?3)"


class MeterStore:
    """Opens or creates the store; safe to call from several threads. Looks are taken in the order of the calls."""

    def __init__(self, path: Path, retention: Retention | None = None) -> None:
        """Open the file.

        Raises:
            StoreError: it cannot be opened or is no meter store.
        """
        self.path = path
        self.dropped = 0
        self._tables = SharedTables(path, meter_file.TABLES)
        self._writing = open_tables(path, meter_file.TABLES)
        self._writer = MeterWriter(self._writing, retention or Retention())
        self._waiting: deque[Taken] = deque()
        self._changed = threading.Condition()
        self._fault: sqlite3.Error | None = None
        self._is_closing, self._is_busy = False, False
        self._thread = threading.Thread(target=self._write_on, name="meter store", daemon=True)
        self._thread.start()

    def take(self, time_s: float, power_w: float | None, quality: Quality = Quality.DIRECT) -> None:
        """Keep a look at the site's power; None where it was not known, which is a gap. Returns at once.

        Args:
            time_s: wall clock.
            power_w: at the metering point.
            quality: how the value came about.

        Raises:
            StoreError: the look is no number, or looks before it could not be written; this one is kept all the same.
        """
        if not 0.0 <= time_s < meter_file.MAX_TIME_S or (power_w is not None and not abs(power_w) <= MAX_W):
            raise StoreError(f"{self.path}: a look at {time_s!r} of {power_w!r} W is none; nothing was kept")
        with self._changed:
            self._waiting.append(Taken(time_s, power_w, quality))
            if len(self._waiting) > MAX_WAITING:
                self._waiting.popleft()
                self.dropped += 1
            fault = self._fault
            self._changed.notify_all()
        if fault is not None:
            raise StoreError(f"{self.path}: not written: {fault}; {len(self._waiting)} looks wait, free its disk")

    def flush(self, timeout_s: float = _CLOSE_S) -> bool:
        """Wait until what was taken is written; False where that takes longer or fails."""
        with self._changed:
            return self._changed.wait_for(
                lambda: self._fault is not None or not (self._waiting or self._is_busy), timeout_s
            ) and not (self._waiting or self._is_busy)

    def means(self, from_s: float, until_s: float, step_s: float) -> tuple[Mean, ...]:
        """Means of [from_s, until_s) by steps from the first; what was not measured is told as such.

        Raises:
            StoreError: the interval is none, too long for its step, or could not be read.
        """
        return self._tables.ask(lambda db: read_means(db, from_s, until_s, step_s))

    def digests(self, from_s: float, until_s: float, *, is_measured_only: bool) -> tuple[str, ...]:
        """A digest of each hour of [from_s, until_s), whole minutes; see `controller.store.readings`.

        Raises:
            StoreError: what was taken could not be written, or the file not be read.
        """
        if not self.flush():
            raise StoreError(f"{self.path}: not all that was taken is written; no digest is told")
        return self._tables.ask(lambda db: readings.digests(db, from_s, until_s, is_measured_only=is_measured_only))

    def span_s(self) -> tuple[float, float] | None:
        """First and last time of which there is a minute; None of an empty store.

        Raises:
            StoreError: it could not be read.
        """
        first, last = self._tables.ask(lambda db: db.execute("SELECT MIN(minute), MAX(minute) FROM minutes").fetchone())
        return None if first is None else (60.0 * first, 60.0 * (last + 1))

    def import_means(
        self, intervals: Iterable[tuple[float, float, float]], quality: Quality, *, replaces: bool = False
    ) -> ImportOutcome:
        """Write past intervals of whole minutes, (start, end, mean in W); what was measured here stays.

        Raises:
            StoreError: nothing of it was written.
        """
        return self._tables.ask(lambda db: meter_file.write_imported(db, intervals, quality, replaces=replaces))

    def mark_event(self, event_id: str, start_s: float, end_s: float) -> None:
        """Note when an event was in force; of one that is noted again, the later note holds.

        Raises:
            StoreError: it could not be written.
        """
        self._tables.ask(lambda db: db.execute(_EVENT, (event_id, start_s, end_s)))

    def event_spans(self) -> tuple[tuple[float, float], ...]:
        """When events were in force, (start, end).

        Raises:
            StoreError: it could not be read.
        """
        rows = self._tables.ask(lambda db: db.execute("SELECT start_s, end_s FROM events ORDER BY start_s").fetchall())
        return tuple((start_s, end_s) for start_s, end_s in rows)

    def freeze(self, call: str, start_s: float, body: str) -> None:
        """Keep the baseline of a call, in place of one that was kept of it.

        Raises:
            StoreError: it could not be written.
        """
        kept = "INSERT OR REPLACE INTO baselines VALUES (?, ?, ?)"
        self._tables.ask(lambda db: db.execute(kept, (call, start_s, body)))

    def frozen(self, call: str) -> str | None:
        """The baseline that is kept of a call, None without one.

        Raises:
            StoreError: it could not be read.
        """
        row = self._tables.ask(lambda db: db.execute("SELECT body FROM baselines WHERE call = ?", (call,)).fetchone())
        return None if row is None else str(row[0])

    def close(self) -> None:
        """Write what waits and close the file."""
        with self._changed:
            self._is_closing = True
            self._changed.notify_all()
        self._thread.join(_CLOSE_S)
        self._tables.close()

    def _write_on(self) -> None:
        try:
            while self._write_waiting():
                pass
        finally:
            self._writing.close()

    def _write_waiting(self) -> bool:
        """Write what waits; False once closing."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._is_closing)
            looks = list(self._waiting)
            self._waiting.clear()
            self._is_busy = True
        fault: sqlite3.Error | None = None
        try:
            if looks:
                self._writer.write(looks)
        except sqlite3.Error as error:  # told at the next look, with which these are tried again
            fault = error
        with self._changed:
            self._fault, self._is_busy = fault, False
            if fault is not None:
                self._waiting.extendleft(reversed(looks))
                while len(self._waiting) > MAX_WAITING:
                    self._waiting.popleft()
                    self.dropped += 1
            self._changed.notify_all()
            if fault is not None and not self._is_closing:
                self._changed.wait(1.0)
            return not self._is_closing
