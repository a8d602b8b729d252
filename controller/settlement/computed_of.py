"""What a baseline was computed of, in the form that is kept with it; pure."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence

from controller.model.meter import Mean
from controller.settlement.baseline_profile import MAX_READINGS, Baseline, ReadFor, Readings, mean_of
from controller.utc_text import utc_text


def readings_of(
    read_for: ReadFor,
    date: str,
    read: Sequence[tuple[float, Mean]],
    hours: tuple[int, ...] = (),
    weekday: str = "",
    column: tuple[float | None, ...] = (),
) -> Readings:
    """Means of one day, each with the start of what it stands for.

    Args:
        read_for: what they are in the baseline for.
        date: ISO, local.
        read: the means.
        hours: of a regression, the levels on the clock.
        weekday: likewise.
        column: likewise, its values.
    """
    means = [mean for _, mean in read]
    return Readings(
        read_for=read_for,
        date=date,
        stands_for_s=tuple(stands_for_s for stands_for_s, _ in read),
        starts_s=tuple(mean.start_s for mean in means),
        ends_s=tuple(mean.end_s for mean in means),
        means_w=tuple(None if mean.mean_w is None else round(mean.mean_w, 3) for mean in means),
        covered_fracs=tuple(round(mean.covered_frac, 6) for mean in means),
        hours=hours,
        weekday=weekday,
        column=column,
    )


def with_readings(made: Baseline, readings: Iterable[Readings]) -> Baseline:
    """The baseline with what it was computed of; without, and told so, where that is more than can be kept."""
    kept = tuple(readings)
    count = sum(len(each.starts_s) for each in kept)
    if count <= MAX_READINGS:
        return dataclasses.replace(made, readings=kept)
    reason = f"{count} readings that it was computed of are more than the {MAX_READINGS} that are kept with it"
    return dataclasses.replace(made, reason=f"{made.reason}; {reason}" if made.reason else reason)


def prolonged(kept: Baseline, made: Baseline) -> Baseline:
    """What was frozen, with the intervals that it lacks of one that was made anew of the longer event.

    `mean_w` stays: limits were counted from it. Where nothing was known, it is that of what now is.
    """
    until_s = kept.intervals[-1].end_s
    longer = tuple(
        dataclasses.replace(each, start_s=max(each.start_s, until_s)) for each in made.intervals if each.end_s > until_s
    )
    first_s = min((each.start_s for each in made.intervals if each.end_s > until_s), default=until_s)
    days = tuple(day for day in made.days if day.date not in {known.date for known in kept.days})
    read = [
        _from(each, first_s, until_s) for each in made.readings if each.read_for in (ReadFor.EVENT, ReadFor.PREDICTION)
    ]
    how = "nothing" if made.method is None else made.method.value
    told = f"from {utc_text(until_s)} on, by which the call grew, it is made by {how}"
    told = f"{told}: {made.reason}" if made.reason else told
    reason = f"{kept.reason}; {told}" if kept.reason else told
    intervals = (*kept.intervals, *longer)
    mean_w = mean_of(intervals) if kept.mean_w is None else kept.mean_w
    return with_readings(
        dataclasses.replace(kept, intervals=intervals, mean_w=mean_w, days=(*kept.days, *days), reason=reason),
        (*kept.readings, *(each for each in read if each.starts_s)),
    )


def _from(readings: Readings, from_s: float, until_s: float) -> Readings:
    """Those that stand for what begins at a time, or later; what lies before `until_s` of the first was known."""
    at = [number for number, stands_for_s in enumerate(readings.stands_for_s) if stands_for_s >= from_s]
    return dataclasses.replace(
        readings,
        stands_for_s=tuple(max(readings.stands_for_s[number], until_s) for number in at),
        starts_s=tuple(readings.starts_s[number] for number in at),
        ends_s=tuple(readings.ends_s[number] for number in at),
        means_w=tuple(readings.means_w[number] for number in at),
        covered_fracs=tuple(readings.covered_fracs[number] for number in at),
        hours=tuple(readings.hours[number] for number in at if readings.hours),
        column=tuple(readings.column[number] for number in at if readings.column),
    )
