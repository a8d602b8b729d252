"""Days on the local calendar, and those that are like another: working days, or weekends and holidays.

Rules of programmes speak of clock times on local days. A day on which the clocks change has 23 or 25 hours: what is
asked of it is found by the time on the clock, and an hour that it does not have is not known of it.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from zoneinfo import ZoneInfo

from controller.model.programme import Programme

_SATURDAY = 5


class DayKind(StrEnum):
    """What is compared with what."""

    WORKING = "working"
    OFF = "off"
    """Saturday, Sunday or a holiday."""
    SATURDAY = "Saturday"
    SUNDAY = "Sunday or holiday"


@dataclass(frozen=True, slots=True)
class LocalDay:
    """One day on the local calendar, [start_s, end_s); 23 to 25 hours long."""

    date: datetime.date
    start_s: float
    end_s: float
    kind: DayKind

    @property
    def length_s(self) -> float:
        """Length of the day."""
        return self.end_s - self.start_s


@dataclass(frozen=True, slots=True)
class Calendar:
    """A time zone with its holidays.

    Attributes:
        splits_weekend: whether Saturdays are a kind of their own, and Sundays with holidays another.
    """

    zone: ZoneInfo
    holidays: frozenset[datetime.date] = frozenset()
    splits_weekend: bool = False

    def day(self, date: datetime.date) -> LocalDay:
        """The day of a date."""
        end_s = self._midnight_s(date + datetime.timedelta(days=1))
        return LocalDay(date, self._midnight_s(date), end_s, self._kind(date))

    def day_of(self, time_s: float) -> LocalDay:
        """The day in which a time falls."""
        return self.day(self.local(time_s).date())

    def local(self, time_s: float) -> datetime.datetime:
        """What calendar and clock show at a time."""
        return datetime.datetime.fromtimestamp(time_s, self.zone)

    def same_clock_s(self, time_s: float, date: datetime.date) -> float | None:
        """When the clock shows on a date what it shows at `time_s`; None where it does not on that date.

        Of an hour that comes twice, the one of `time_s` is taken, which outside of such an hour is the first.
        """
        shown = datetime.datetime.combine(date, self.local(time_s).timetz())
        then_s = shown.timestamp()
        back = self.local(then_s)
        is_shown = (back.date(), back.time()) == (shown.date(), shown.time())
        return then_s if is_shown else None

    def like_days(self, day: LocalDay, reach_days: int) -> Iterator[LocalDay]:
        """Days of the same kind before a day, the most recent first, no more than `reach_days` back."""
        return (candidate for candidate in self.days_before(day, reach_days) if candidate.kind is day.kind)

    def days_before(self, day: LocalDay, reach_days: int) -> Iterator[LocalDay]:
        """All days before a day, the most recent first, no more than `reach_days` back."""
        for back in range(1, reach_days + 1):
            yield self.day(day.date - datetime.timedelta(days=back))

    def segments(self, start_s: float, end_s: float) -> Iterator[tuple[LocalDay, float, float]]:
        """A stretch of time cut at the local midnights: (day, from, until)."""
        while start_s < end_s:
            day = self.day_of(start_s)
            yield day, start_s, min(end_s, day.end_s)
            start_s = day.end_s

    def _kind(self, date: datetime.date) -> DayKind:
        if date.weekday() < _SATURDAY and date not in self.holidays:
            return DayKind.WORKING
        if not self.splits_weekend:
            return DayKind.OFF
        return DayKind.SATURDAY if date.weekday() == _SATURDAY and date not in self.holidays else DayKind.SUNDAY

    def _midnight_s(self, date: datetime.date) -> float:
        return datetime.datetime.combine(date, datetime.time(), self.zone).timestamp()


def calendar_of(programme: Programme) -> Calendar:
    """The calendar of a programme.

    Raises:
        ValueError: the time zone or a holiday is none.
    """
    try:
        zone = ZoneInfo(programme.timezone)
    except (KeyError, OSError, ValueError) as error:  # zoneinfo's own error is a KeyError
        raise ValueError(
            f"programme {programme.name}: timezone {programme.timezone!r} is not known; write one such as "
            "America/Los_Angeles"
        ) from error
    return Calendar(zone, frozenset(datetime.date.fromisoformat(holiday) for holiday in programme.holidays))
