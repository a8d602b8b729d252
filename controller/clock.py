"""The clock of the control plane: real for the service, virtual for simulations and tests."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Protocol

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_STEADY = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
"""Goes on while the machine is suspended, so that waking up does not look like a wall clock that was set."""


class Clock(Protocol):
    """Two clocks and a way to wait: wall time for records, monotonic time for durations."""

    def wall_s(self) -> float:
        """Seconds since the epoch."""

    def monotonic_s(self) -> float:
        """Seconds of a clock that never goes back."""

    async def sleep(self, duration_s: float) -> None:
        """Wait."""


class SystemClock:
    """The machine's own clocks."""

    def wall_s(self) -> float:
        """Seconds since the epoch."""
        return time.time()

    def monotonic_s(self) -> float:
        """Seconds of a clock that never goes back."""
        return time.clock_gettime(_STEADY)

    async def sleep(self, duration_s: float) -> None:
        """Wait on the running event loop."""
        await asyncio.sleep(max(0.0, duration_s))


def boot_name() -> str:
    """Name of this life of the machine, in which its monotonic clock goes on; empty where it has none."""
    try:
        return _BOOT_ID.read_text("ascii").strip()
    except OSError:
        return ""


class VirtualClock:
    """A clock that stands still until told to move."""

    def __init__(self, start_s: float = 0.0) -> None:
        self._now_s = start_s

    def wall_s(self) -> float:
        """Virtual seconds since the epoch."""
        return self._now_s

    def monotonic_s(self) -> float:
        """Same as the wall time: it never goes back either."""
        return self._now_s

    async def sleep(self, duration_s: float) -> None:
        """Move ahead at once, and let other tasks run."""
        self.advance(max(0.0, duration_s))
        await asyncio.sleep(0)

    def advance(self, duration_s: float) -> None:
        """Move ahead.

        Raises:
            ValueError: the duration is negative.
        """
        if duration_s < 0:
            raise ValueError(f"a clock does not go back: {duration_s} s")
        self._now_s += duration_s
