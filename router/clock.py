"""The one place of the data plane that tells the time."""

import time


def wall_s() -> float:
    """Seconds since the epoch: for records and for the expiry of a table."""
    return time.time()


def monotonic_s() -> float:
    """Seconds of a clock that never goes back: for durations and deadlines."""
    return time.monotonic()
