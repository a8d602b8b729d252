"""What a publisher tells of a price or carbon series, over all its answers; pure.

An answer is a set of intervals [start, end), each with its value. Answers overlap: forecasts are revised, a page
repeats what another one held, a day-ahead market is told twice at two resolutions. Of several values for one time the
one that was issued last holds; of those issued together, the one told last. What no interval covers is a gap, never a
zero.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from controller.errors import SignalError
from controller.model.grid import Series, SeriesQuality

MAX_INTERVALS = 20_000
"""Most intervals that are held of one feed: 69 days of 5 minutes."""
KEPT_S = 3600.0
"""How long an interval is held after its end."""
LOOKAHEAD_S = 7 * 86_400.0
"""How far ahead a series is handed out."""
_LATEST_S = 253_402_300_800.0
_SURENESS = (
    SeriesQuality.PUBLISHED,
    SeriesQuality.ESTIMATED,
    SeriesQuality.FORECAST,
    SeriesQuality.RECORDED,
    SeriesQuality.CONSTANT,
)


@dataclass(frozen=True, slots=True)
class Interval:
    """A value on [start_s, end_s), seconds since the epoch.

    Attributes:
        taken_s: when it was received.
        issued_at_s: when its publisher made it; None where that is not told.
    """

    start_s: float
    end_s: float
    value: float
    taken_s: float
    issued_at_s: float | None = None
    quality: SeriesQuality = SeriesQuality.PUBLISHED

    @property
    def known_s(self) -> float:
        """What decides between two values for one time: when it was issued, else when it came.

        One that claims to come from the future counts as of when it came; it would hold against all later ones.
        """
        return self.taken_s if self.issued_at_s is None else min(self.issued_at_s, self.taken_s)


@dataclass(frozen=True, slots=True)
class Outlook:
    """Disjoint intervals in order, and what they are.

    Attributes:
        unit: ``usd_per_mwh`` or ``kg_per_mwh``.
        source: who tells it, of what, e.g. ``watttime CAISO_NORTH (marginal)``.
        remark: what the operator should know of the answer: its licence, what is left out of it. Empty for nothing.
    """

    intervals: tuple[Interval, ...]
    unit: str
    source: str
    remark: str = ""

    def series(self, now_s: float, lookahead_s: float = LOOKAHEAD_S) -> Series | None:
        """The step function from the interval in force up to the next gap; None where none is in force.

        Args:
            now_s: wall clock.
            lookahead_s: intervals that begin further ahead are left out.
        """
        held = self.intervals
        first = next((n for n, one in enumerate(held) if one.start_s <= now_s < one.end_s), None)
        if first is None:
            return None
        last = first
        while (
            last + 1 < len(held)
            and held[last + 1].start_s == held[last].end_s
            and held[last + 1].start_s < now_s + lookahead_s
        ):
            last += 1
        run = held[first : last + 1]
        issued = [one.issued_at_s for one in run if one.issued_at_s is not None]
        return Series(
            starts_s=tuple(one.start_s for one in run),
            values=tuple(one.value for one in run),
            end_s=run[-1].end_s,
            unit=self.unit,
            source=self.source,
            issued_at_s=max(issued, default=None),
            quality=max((one.quality for one in run), key=_SURENESS.index),
        )

    def gap(self, now_s: float) -> tuple[float, float] | None:
        """The first gap that begins after now, between two intervals; None without one."""
        for one, following in pairwise(self.intervals):
            if following.start_s > one.end_s > now_s:
                return one.end_s, following.start_s
        return None


def outlook(intervals: Iterable[Interval], unit: str, source: str, remark: str = "") -> Outlook:
    """One answer as an outlook.

    Raises:
        SignalError: it holds nothing, too much, or an interval or value that cannot be.
    """
    told = tuple(intervals)
    if not told:
        raise SignalError(source, "the answer holds no interval; look whether zone and times are right")
    if len(told) > MAX_INTERVALS:
        raise SignalError(source, f"{len(told)} intervals, more than the {MAX_INTERVALS} that are held; ask for less")
    for one in told:
        if not (0.0 <= one.start_s < one.end_s <= _LATEST_S) or not math.isfinite(one.value):
            raise SignalError(source, f"{one.value!r} on [{one.start_s!r}, {one.end_s!r}) s is no value on an interval")
    return Outlook(settled(told), unit, source, remark)


def revised(known: Outlook | None, told: Outlook, now_s: float) -> Outlook:
    """What is known after another answer; intervals that ended long ago are let go of.

    What came while the clock was ahead counts as of now, before this answer; it would hold against all later ones.
    """
    former = () if known is None or known.unit != told.unit else known.intervals
    before = [one if one.taken_s <= now_s else replace(one, taken_s=now_s) for one in former]
    held = [one for one in (*before, *told.intervals) if one.end_s > now_s - KEPT_S]
    return Outlook(settled(held)[:MAX_INTERVALS], told.unit, told.source, told.remark)


def settled(intervals: Sequence[Interval]) -> tuple[Interval, ...]:
    """Disjoint intervals in order: at each time the value that was issued last, of those the one told last."""
    waiting = sorted(enumerate(intervals), key=lambda item: item[1].start_s)
    times = sorted({time_s for one in intervals for time_s in (one.start_s, one.end_s)})
    out: list[Interval] = []
    live: list[tuple[float, int]] = []
    place = 0
    owner = -1
    for from_s, until_s in pairwise(times):
        while place < len(waiting) and waiting[place][1].start_s <= from_s:
            number, one = waiting[place]
            heapq.heappush(live, (-one.known_s, -number))
            place += 1
        while live and intervals[-live[0][1]].end_s <= from_s:
            heapq.heappop(live)
        if not live:
            continue
        number = -live[0][1]
        one = intervals[number]
        if out and owner == number and out[-1].end_s == from_s:
            from_s = out.pop().start_s
        owner = number
        out.append(Interval(from_s, until_s, one.value, one.taken_s, one.issued_at_s, one.quality))
    return tuple(out)


def spans(
    starts_s: Sequence[float], step_s: float | None = None, usual_s: float = 3600.0
) -> tuple[tuple[float, float], ...]:
    """Intervals from their ascending starts alone: to the next start, or one step where the next is further away.

    Args:
        starts_s: seconds since the epoch.
        step_s: length of an interval; None takes the most usual distance between two starts.
        usual_s: length of a single interval whose step is not told.
    """
    if step_s is None:
        steps = sorted(b - a for a, b in pairwise(starts_s))
        step_s = steps[len(steps) // 2] if steps else usual_s
    ends_s = [
        following_s if following_s - start_s <= 1.5 * step_s else start_s + step_s
        for start_s, following_s in pairwise(starts_s)
    ]
    return tuple(zip(starts_s, (*ends_s, *(start_s + step_s for start_s in starts_s[-1:])), strict=True))
