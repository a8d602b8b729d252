"""The one place of the data plane that tells the time."""

import time
from collections.abc import Callable

wall_s = time.time
"""Seconds since the epoch: for records, and for what others say of times."""

monotonic_s = time.monotonic
"""Seconds of a clock that never goes back: for durations and deadlines. A name, not a function around it: the data path
asks several times per request."""


def epoch_s() -> float:
    """What the wall clock shows now, less the monotonic one: give it to `steady`."""
    return wall_s() - monotonic_s()


def steady(epoch_s: float) -> Callable[[], float]:
    """A clock of seconds since the epoch that is not set as the wall clock is.

    For whatever waits, expires or grows old: a wall clock that jumps must neither end it nor have it last for hours.
    All processes of a router go by the same `epoch_s`.
    """
    return lambda: epoch_s + monotonic_s()
