"""Moments and durations as OpenADR 3 writes them: RFC 3339 and ISO 8601, with words for "now" and "for ever".

"Now" is ``0001-01-01`` (3.1) or ``0000-00-00`` (3.0), "for ever" is ``P9999Y`` (User Guide 7.3).
"""

from __future__ import annotations

import math
import re
from calendar import monthrange
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from controller.errors import MessageError
from controller.model.grid import FOREVER_S
from controller.openadr.fields import shown

FOREVER_YEARS = 1000
"""A duration of this many years or more has no end."""
_NOW = re.compile(r"000[01]-0[01]-0[01]([Tt ]00:00:00(\.0+)?([Zz]|[+-]00:00)?)?")
_MOMENT = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d{1,12})?([Zz]|[+-]\d\d:\d\d)?", re.ASCII)
_DURATION = re.compile(
    r"(?P<sign>-?)P(?=\d|T\d)(?:(?P<years>\d+)Y)?(?:(?P<months>\d+)M)?(?:(?P<weeks>\d+)W)?(?:(?P<days>\d+)D)?"
    r"(?:T(?:(?P<hours>\d+)H)?(?:(?P<minutes>\d+)M)?(?:(?P<seconds>\d+(?:\.\d+)?)S)?)?",
    re.ASCII,
)
_MAX_DIGITS = 40


@dataclass(frozen=True, slots=True)
class Duration:
    """A length of time; months are as long as the calendar says at the place where they are counted from.

    Attributes:
        months: 12 for each year.
        seconds: weeks, days, hours, minutes and seconds.
    """

    seconds: float = 0.0
    months: int = 0
    is_forever: bool = False

    @property
    def is_zero(self) -> bool:
        """Whether it has no length."""
        return not (self.seconds or self.months or self.is_forever)

    def after(self, start_s: float) -> float:
        """Where it ends that begins at `start_s`; at most `FOREVER_S`."""
        if self.is_forever:
            return FOREVER_S
        if self.months:
            start_s = _months_later(start_s, self.months)
        return min(FOREVER_S, start_s + self.seconds)


FOREVER = Duration(is_forever=True)


def _months_later(start_s: float, months: int) -> float:
    start = datetime.fromtimestamp(min(max(start_s, 0.0), FOREVER_S - 1.0), UTC)
    year, month = divmod(start.year * 12 + start.month - 1 + months, 12)
    if year > 9999:
        return FOREVER_S
    day = min(start.day, monthrange(year, month + 1)[1])
    return start.replace(year=year, month=month + 1, day=day).timestamp()


def is_now(value: str) -> bool:
    """Whether a moment is the word for "now"."""
    return _NOW.fullmatch(value) is not None


def read_moment(value: str, place: str, zone_s: float | None = None) -> float:
    """Seconds since the epoch.

    Args:
        value: RFC 3339.
        place: of the field.
        zone_s: east of UTC, for a moment without offset (`timeZoneOffset` of a programme of 3.0.1).

    Raises:
        MessageError: it is no moment, is before 1970, or has no offset where no zone is known.
    """
    if not _MOMENT.fullmatch(value):
        raise MessageError(place, f"{shown(value)} is not a moment such as 2026-07-01T17:00:00Z")
    try:
        moment = datetime.fromisoformat(value.upper())
    except ValueError as error:
        raise MessageError(place, f"{shown(value)} is not a moment ({error})") from error
    if moment.tzinfo is None and zone_s is None:
        raise MessageError(place, f"{shown(value)} has no offset from UTC; write {value}Z or with its offset")
    try:
        utc = moment.replace(tzinfo=UTC) - timedelta(seconds=zone_s or 0.0) if moment.tzinfo is None else moment
        time_s = utc.timestamp()
    except OverflowError as error:
        raise MessageError(place, f"{shown(value)} is out of range") from error
    if not 0.0 <= time_s < FOREVER_S:
        raise MessageError(place, f"{shown(value)} is before 1970 or after 9999")
    return time_s


def read_duration(value: str, place: str) -> Duration:
    """A duration that does not run backwards.

    Raises:
        MessageError: it is none, or negative.
    """
    sign, length = _duration(value, place)
    if sign < 0 and not length.is_zero:
        raise MessageError(place, f"{shown(value)} runs backwards")
    return length


def read_offset_s(value: str, place: str) -> float:
    """A duration of hours that may be negative, s: an offset from UTC.

    Raises:
        MessageError: it is none, or longer than a day.
    """
    sign, length = _duration(value, place)
    if length.months or length.is_forever or length.seconds > 86_400.0:
        raise MessageError(place, f"{shown(value)} is no offset from UTC, such as PT1H or -PT5H")
    return sign * length.seconds


def _duration(value: str, place: str) -> tuple[int, Duration]:
    found = _DURATION.fullmatch(value) if len(value) <= _MAX_DIGITS else None
    if found is None:
        raise MessageError(place, f"{shown(value)} is not a duration such as PT1H or P9999Y")
    part = {key: float(digits or 0) for key, digits in found.groupdict().items() if key != "sign"}
    sign = -1 if found["sign"] else 1
    if part["years"] + part["months"] / 12 >= FOREVER_YEARS:
        return sign, FOREVER
    days = part["weeks"] * 7 + part["days"]
    seconds = days * 86_400 + part["hours"] * 3600 + part["minutes"] * 60 + part["seconds"]
    if seconds > FOREVER_S:
        return sign, FOREVER
    return sign, Duration(seconds, int(part["years"] * 12 + part["months"]))


def write_moment(time_s: float) -> str:
    """RFC 3339 in UTC, to the microsecond."""
    text = datetime.fromtimestamp(time_s, UTC).isoformat(timespec="microseconds")
    return text.replace(".000000", "").replace("+00:00", "Z")


def write_duration(duration: Duration) -> str:
    """ISO 8601, as short as the specification's examples."""
    if duration.is_forever:
        return "P9999Y"
    date = f"{duration.months}M" if duration.months else ""
    seconds = duration.seconds
    days, rest = divmod(seconds, 86_400)
    date += f"{days:.0f}D" if days else ""
    hours, rest = divmod(rest, 3600)
    minutes, rest = divmod(rest, 60)
    time = (f"{hours:.0f}H" if hours else "") + (f"{minutes:.0f}M" if minutes else "")
    rest = round(rest, 6)
    time += (
        f"{rest:.0f}S" if rest and math.isclose(rest, round(rest)) else f"{rest:.6f}".rstrip("0") + "S" if rest else ""
    )
    if not date and not time:
        return "PT0S"
    return f"P{date}" + (f"T{time}" if time else "")
