"""When thresholds of price or carbon ask for less, from what a feed knows of now and later; pure.

A silence ends nothing that was known. A stretch that lasts to the end of what is known goes on for the programme's
hold time beyond it: a feed that tells of one interval at a time is heard again within it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

from controller.model.call import Call
from controller.model.grid import Series
from controller.model.threshold import FeedSignal, Threshold
from controller.utc_text import utc_text

SOURCE_PREFIX = "threshold:"
MAX_RUNS = 16
"""Stretches of one threshold that are called for at once: the next ones."""
_SAME_S = 1.0
"""Times that differ by less are the same."""


@dataclass(frozen=True, slots=True)
class Run:
    """A stretch [start_s, end_s) over which a threshold asks for less.

    Attributes:
        is_open: whether the signal is high up to the end of what is known of it.
    """

    start_s: float
    end_s: float
    is_open: bool = False


@dataclass(frozen=True, slots=True)
class Changes:
    """What is to become of the calls of one threshold.

    Attributes:
        asked: stretches that are new or other than they were, each with the call that it changes; None for a new one.
        over: calls that nothing asks for any more.
    """

    asked: tuple[tuple[Call | None, Run], ...] = ()
    over: tuple[Call, ...] = ()


def source_of(signal: FeedSignal) -> str:
    """The source of the calls that a signal's thresholds make."""
    return f"{SOURCE_PREFIX}{signal.value}"


def stem_of(programme: str, threshold: Threshold) -> str:
    """With what the ids of a threshold's calls begin; unique among the thresholds of its signal."""
    return f"{programme}-above-{threshold.above:.10g}-"


def id_of(programme: str, threshold: Threshold, start_s: float) -> str:
    """Id of a new call of a threshold, by when it begins."""
    return stem_of(programme, threshold) + utc_text(start_s, "%Y%m%dT%H%M%SZ")


def runs_above(
    series: Series, threshold: Threshold, now_s: float, *, hold_s: float, since_s: float | None = None
) -> tuple[Run, ...]:
    """The stretches that are not over, in order and disjoint.

    Args:
        series: what is known from now on.
        threshold: of its signal.
        now_s: wall clock.
        hold_s: how long the last value known counts beyond the end of what is known.
        since_s: start of the stretch that is in force; None where none is.
    """
    runs: list[Run] = []
    began_s = since_s
    for from_s, _, value in _pieces(series, now_s):
        if began_s is not None and value < threshold.until_below:
            _add(runs, Run(began_s, max(from_s, began_s + threshold.least_s)))
            began_s = None
        elif began_s is None and value > threshold.above:
            began_s = from_s
    if began_s is not None:
        _add(runs, Run(began_s, max(series.end_s + hold_s, began_s + threshold.least_s), is_open=True))
    return tuple(run for run in runs if run.end_s > now_s)


def changes(threshold: Threshold, held: tuple[Call, ...], runs: tuple[Run, ...], known_until_s: float) -> Changes:
    """What makes the calls that are held the stretches that are asked for.

    Args:
        threshold: whose they are.
        held: its calls that are not over.
        runs: its stretches, in order and disjoint.
        known_until_s: end of what is known; what was called for after it stays.
    """
    left = sorted(held, key=lambda call: call.start_s)
    asked: list[tuple[Call | None, Run]] = []
    for run in runs[:MAX_RUNS]:
        call = next((each for each in left if each.start_s <= run.end_s and each.end_s >= run.start_s), None)
        if call is None:
            asked.append((None, run))
            continue
        left.remove(call)
        if run.is_open and call.end_s - known_until_s >= 0.5 * (run.end_s - known_until_s):
            run = replace(run, end_s=call.end_s)  # it need not grow with each interval that becomes known
        if not _says(call, threshold, run):
            asked.append((call, run))
    return Changes(tuple(asked), tuple(call for call in left if call.start_s < known_until_s))


def told_of(series: Series, run: Run, most: int) -> tuple[tuple[float, float], ...]:
    """What is known of a stretch: the start and the value of each interval that meets it, at most so many."""
    pieces = _pieces(series, -math.inf)
    return tuple((from_s, value) for from_s, to_s, value in pieces if from_s < run.end_s and to_s > run.start_s)[:most]


def _pieces(series: Series, now_s: float) -> Iterator[tuple[float, float, float]]:
    """Start, end and value of each interval that is not over; that in force begins now."""
    ends_s = (*series.starts_s[1:], series.end_s)
    for from_s, to_s, value in zip(series.starts_s, ends_s, series.values, strict=True):
        if to_s > now_s:
            yield max(from_s, now_s), to_s, value


def _says(call: Call, threshold: Threshold, run: Run) -> bool:
    is_then = abs(call.start_s - run.start_s) <= _SAME_S and abs(call.end_s - run.end_s) <= _SAME_S
    return is_then and all(interval.commitment == threshold.asks for interval in call.intervals)


def _add(runs: list[Run], run: Run) -> None:
    """Append one, joined with the one before where that has not ended when it begins."""
    if runs and run.start_s <= runs[-1].end_s:
        before = runs.pop()
        run = Run(before.start_s, max(before.end_s, run.end_s), run.is_open)
    runs.append(run)
