"""How far this router's clock is from the clock of whoever issues its tables. Pure.

A table names times. Where the two clocks differ, as after one of them was set, a router would obey it too long, or not
at all. The answer that brings the table says what the issuer's clock shows, and by that its times are understood.
"""

from __future__ import annotations

from datetime import UTC
from email.utils import parsedate_to_datetime

SAME_S = 2.0
"""Clocks that differ by less count as one: answers tell the time in whole seconds, and take some to come."""


def ahead_s(now_s: float, issuer_now_s: float | None) -> float:
    """By how much this router's clock is ahead of the issuer's; 0 where that is little, or is not known.

    Args:
        now_s: of this router's clock.
        issuer_now_s: what the issuer's showed at that time; None where it is not told.
    """
    if issuer_now_s is None or abs(now_s - issuer_now_s) < SAME_S:
        return 0.0
    return now_s - issuer_now_s


def read_date_s(value: str | None) -> float | None:
    """Seconds since the epoch of an HTTP date (RFC 9110 §5.6.7); None where it is absent or none."""
    if value is None:
        return None
    try:
        told = parsedate_to_datetime(value)
    except (ValueError, OverflowError):
        return None
    return (told if told.tzinfo is not None else told.replace(tzinfo=UTC)).timestamp()
