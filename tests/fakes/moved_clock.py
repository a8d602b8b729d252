"""The wall clock of a process, moved while that runs, by libfaketime (a package of Debian); monotonic clocks go on."""

from __future__ import annotations

from pathlib import Path

LIBRARY = next(iter(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1")), None)
"""None where it is not installed."""


class MovedClock:
    """What processes with its `environment` see.

    Args:
        path: of a file of its own, by which they are told.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.move(0.0)

    @property
    def environment(self) -> dict[str, str]:
        """Of a process that is to see it."""
        return {
            "LD_PRELOAD": str(LIBRARY),
            "FAKETIME_TIMESTAMP_FILE": str(self._path),
            "FAKETIME_CACHE_DURATION": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }

    def move(self, offset_s: float) -> None:
        """Have it show another time, within a second."""
        beside = self._path.with_suffix(".new")
        beside.write_text(f"{offset_s:+.3f}")
        beside.replace(self._path)
