"""Times as they are written: in UTC, with a Z; pure."""

from __future__ import annotations

from datetime import UTC, datetime


def utc_text(time_s: float, form: str = "%Y-%m-%dT%H:%M:%SZ") -> str:
    """A time, s since the epoch, by a form of `strftime`; what is finer than the form is left out."""
    return datetime.fromtimestamp(time_s, UTC).strftime(form)


def utc_minute(time_s: float) -> str:
    """A time to the minute, as publishers are asked for it."""
    return utc_text(time_s, "%Y-%m-%dT%H:%MZ")
