"""The column that a regression's baseline depends on, read from a file of the operator's as often as it changes."""

from __future__ import annotations

from pathlib import Path
from zoneinfo import ZoneInfo

from controller.errors import ConfigError, StoreError
from controller.model.programme import RegressionRule
from controller.store.interval_csv import IntervalLayout, MeterUnit, parse_values

MAX_FILE_BYTES = 16 << 20
_MAX_FILES = 64
Column = tuple[tuple[float, float], ...]


class ColumnFiles:
    """Reads columns; a file that has not changed is read once."""

    def __init__(self) -> None:
        self._known: dict[tuple[RegressionRule, str], tuple[tuple[int, int], Column]] = {}

    def read(self, rule: RegressionRule, zone: ZoneInfo) -> Column:
        """The column as (time, value), in order of time.

        Args:
            rule: which file and which columns.
            zone: of times without one.

        Raises:
            StoreError: there is no such file or column, or a line of it cannot be read.
        """
        path = Path(rule.column_file or "")
        try:
            stat = path.stat()
            if stat.st_size > MAX_FILE_BYTES:
                raise StoreError(f"{path}: has more than {MAX_FILE_BYTES >> 20} MiB; keep the last year in it")
            state, key = (stat.st_mtime_ns, stat.st_size), (rule, zone.key)
            known = self._known.get(key)
            if known is None or known[0] != state:
                if len(self._known) >= _MAX_FILES:
                    self._known.clear()
                known = self._known[key] = state, _parsed(path, rule, zone)
            return known[1]
        except OSError as error:
            raise StoreError(f"{path}: cannot be read: {error.strerror}; see regression.column.file") from error


def _parsed(path: Path, rule: RegressionRule, zone: ZoneInfo) -> Column:
    layout = IntervalLayout(rule.time_column, rule.value_column, MeterUnit.W, zone)
    try:
        with path.open(encoding="utf-8-sig", newline="") as lines:
            return parse_values(lines, layout)
    except UnicodeDecodeError as error:
        raise StoreError(f"{path}: is no UTF-8 text: {error.reason}; save it as CSV in UTF-8") from error
    except ConfigError as error:
        raise StoreError(f"{path}: {error}") from error
