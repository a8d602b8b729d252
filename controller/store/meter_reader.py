"""Reads means of the meter store: from minutes where they suffice, and from seconds where they do not."""

from __future__ import annotations

import itertools
import math
import sqlite3
from bisect import bisect_left

from controller.errors import StoreError
from controller.model.meter import Mean, mean_over
from controller.store.meter_file import HOLD_S, quality_of

MAX_MEANS = 200_000
"""Most means of one answer; who wants more asks for a part at a time."""
_MINUTES = """
SELECT CAST((minute * 60 - ?1) / ?2 AS INTEGER), SUM(energy_j * min(60.0, covered_s) / covered_s),
       SUM(min(60.0, covered_s)), MAX(quality)
FROM minutes WHERE minute >= ?3 AND minute < ?4 AND covered_s > 0 GROUP BY 1
"""


def read_means(db: sqlite3.Connection, from_s: float, until_s: float, step_s: float) -> tuple[Mean, ...]:
    """Means of [from_s, until_s) by steps from the first; the last one may be shorter.

    Raises:
        StoreError: the interval or the step is none, or there are more than `MAX_MEANS` steps.
        sqlite3.Error: the file could not be read.
    """
    if not (math.isfinite(from_s) and math.isfinite(until_s) and from_s < until_s and step_s > 0.0):
        raise StoreError(f"means from {from_s!r} to {until_s!r} by {step_s!r} s: there are none; put from before until")
    count = math.ceil((until_s - from_s) / step_s - 1e-9)
    if count > MAX_MEANS:
        raise StoreError(f"{count} means are asked for, {MAX_MEANS} at most at a time; ask for less or a longer step")
    spans = [(from_s + n * step_s, min(from_s + (n + 1) * step_s, until_s)) for n in range(count)]
    whole = count
    if not _is_of_minutes(until_s):
        whole = math.floor((until_s - from_s) / step_s)
    if not (_is_of_minutes(from_s) and _is_of_minutes(step_s)):
        whole = 0
    by_minutes = _from_minutes(db, from_s, step_s, spans[:whole])
    return (*by_minutes, *_from_pieces(db, spans[whole:]))


def _is_of_minutes(value_s: float) -> bool:
    return value_s % 60.0 == 0.0


def _from_minutes(db: sqlite3.Connection, from_s: float, step_s: float, spans: list[tuple[float, float]]) -> list[Mean]:
    if not spans:
        return []
    bounds = (int(from_s), int(step_s), int(from_s // 60), int(spans[-1][1] // 60))
    known = {row[0]: row[1:] for row in db.execute(_MINUTES, bounds)}
    means = []
    for number, (start_s, end_s) in enumerate(spans):
        if number not in known:
            means.append(Mean(start_s, end_s, None, None, 0.0))
            continue
        energy_j, covered_s, quality = known[number]
        covered_frac = min(1.0, covered_s / (end_s - start_s))
        means.append(Mean(start_s, end_s, energy_j / covered_s, quality_of(quality), covered_frac))
    return means


def _from_pieces(db: sqlite3.Connection, spans: list[tuple[float, float]]) -> list[Mean]:
    """From seconds as far as they are kept, before that from minutes, of which a part counts by its length."""
    if not spans:
        return []
    pieces = _pieces(db, spans[0][0], spans[-1][1])
    ends_s = [piece.end_s for piece in pieces]
    starts_s = [piece.start_s for piece in pieces]
    return [
        mean_over(pieces[bisect_left(ends_s, start_s) : bisect_left(starts_s, end_s)], start_s, end_s)
        for start_s, end_s in spans
    ]


def _pieces(db: sqlite3.Connection, from_s: float, until_s: float) -> list[Mean]:
    """What is known of a stretch of time, in order and without overlap; imported minutes stand before seconds."""
    (oldest,) = db.execute("SELECT MIN(second) FROM seconds").fetchone()
    edge_s = until_s if oldest is None else math.floor(oldest / 60.0) * 60.0
    minutes = {
        minute: Mean(60.0 * minute, 60.0 * (minute + 1), energy_j / covered_s, quality_of(quality), covered_s / 60.0)
        for minute, energy_j, covered_s, quality in db.execute(
            "SELECT minute, energy_j, covered_s, quality FROM minutes WHERE minute >= ?1 AND minute < ?2 "
            "AND covered_s > 0 AND (minute < ?3 OR origin = 1)",
            (math.floor(from_s / 60.0), math.ceil(until_s / 60.0), math.ceil(edge_s / 60.0)),
        )
    }
    rows = db.execute(
        "SELECT second, power_w, quality FROM seconds WHERE second > ? AND second < ? ORDER BY second",
        (max(from_s, edge_s) - HOLD_S - 1.0, until_s + HOLD_S),
    ).fetchall()
    seconds = [
        Mean(second, min(following[0], second + HOLD_S), power_w, quality_of(quality), 1.0)
        for (second, power_w, quality), following in itertools.pairwise([*rows, (math.inf, None, None)])
        if power_w is not None and second >= edge_s and second // 60 not in minutes
    ]
    return sorted((*minutes.values(), *seconds), key=lambda piece: piece.start_s)
