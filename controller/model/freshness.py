"""Whether a reading is of now, by its age on this machine's clock. Pure."""

from __future__ import annotations

from controller.model.observation import Reading

MAX_AHEAD_S = 5.0
"""How far a source's clock may be ahead of ours before its times are not believed."""


def age_s(reading: Reading, now_s: float) -> float:
    """The age of a reading that is fresh; never negative."""
    return max(0.0, now_s - reading.observed_at_s)


def is_fresh(reading: Reading, now_s: float, stale_s: float) -> bool:
    """Whether a reading may be used: not too old, nor of a future that a clock which was set back left behind."""
    return -MAX_AHEAD_S <= now_s - reading.observed_at_s <= stale_s


def age_told(reading: Reading, now_s: float) -> str:
    """The age of a reading for a message."""
    ahead_s = reading.observed_at_s - now_s
    return (
        f"{ahead_s:.0f} s ahead of this machine's clock"
        if ahead_s > MAX_AHEAD_S
        else f"{age_s(reading, now_s):.0f} s old"
    )
