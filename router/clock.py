"""The one place of the data plane that tells the time."""

import time

wall_s = time.time
"""Seconds since the epoch: for records and for the expiry of a table."""

monotonic_s = time.monotonic
"""Seconds of a clock that never goes back: for durations and deadlines. A name, not a function around it: the data path
asks several times per request."""
