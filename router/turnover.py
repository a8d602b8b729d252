"""How fast those who wait are given places, and when one who is refused may come again. Pure; time is an argument.

The rate is of one class in one worker, whose queue it empties, and only of the times in which somebody waited
throughout: a class that is given few places because few ask has no slow queue. It is a mean with exponential
forgetting, as Ray Serve (ray-project/ray#65879) and llm-d (llm-d-router#2487) propose it.
"""

from __future__ import annotations

import math

WINDOW_S = 15.0
"""Time constant of the mean."""
LEAST_BUSY_S = 1.0
"""Waiting that has to be seen before a rate is told."""
LONGEST_LOOK_S = 5.0
"""Longest time between two looks that counts: a clock that was set, or a process that stood still, tells nothing."""
FORGET_S = 600.0
"""Time without anybody waiting after which the rate is forgotten: caps and weights have changed meanwhile."""


class Turnover:
    """What one class was given.

    Attributes:
        given: places given to requests that waited, since the last look; whoever gives one counts it.
    """

    __slots__ = ("_busy_s", "_given", "_looked_at_s", "_seen_waiting_s", "_was_waiting", "given")

    def __init__(self) -> None:
        self.given = 0
        self._given = 0.0
        self._busy_s = 0.0
        self._looked_at_s = -math.inf
        self._seen_waiting_s = -math.inf
        self._was_waiting = False

    def look(self, now_s: float, waiting: int) -> None:
        """Count the time since the last look; `waiting` requests wait now. Call it several times a second."""
        elapsed_s = now_s - self._looked_at_s
        if waiting:
            self._seen_waiting_s = now_s
            if self._was_waiting and 0 < elapsed_s <= LONGEST_LOOK_S:
                kept = math.exp(-elapsed_s / WINDOW_S)
                self._given = self._given * kept + self.given
                self._busy_s = self._busy_s * kept + elapsed_s
        elif now_s - self._seen_waiting_s > FORGET_S:
            self._given = self._busy_s = 0.0
        self._was_waiting = waiting > 0
        self._looked_at_s = now_s
        self.given = 0

    def rate_per_s(self) -> float | None:
        """Places given a second while somebody waited; None before enough of that was seen."""
        return self._given / self._busy_s if self._busy_s >= LEAST_BUSY_S else None


def retry_after_s(
    waiting: int, rate_per_s: float | None, limit_left_s: float | None, *, min_s: float, max_s: float
) -> float:
    """When one who is refused may come again: when those who wait, and one more, will have been given places.

    Args:
        waiting: requests of the class that wait.
        rate_per_s: places given a second; None if not known.
        limit_left_s: time until the end of the grid's limit in force, which frees places; None without one.
        min_s: least.
        max_s: most; the limit's end may lie beyond.

    Returns:
        Seconds. Without a rate the limit's end, or else `min_s`.
    """
    if rate_per_s is None:
        return max(min_s, limit_left_s or 0.0)
    wait_s = (waiting + 1) / rate_per_s if rate_per_s > 0 else math.inf
    return max(min_s, min(wait_s, max_s if limit_left_s is None else limit_left_s))
