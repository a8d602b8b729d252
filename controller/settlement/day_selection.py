"""Which of the like days that were found make a baseline: how many are asked for, and which are left out; pure.

`high_4_of_5` is PJM's standard customer baseline load (Operating Agreement, Schedule 1, section 3.3A.2; Manual 11,
section 10.4.2): of the 5 most recent weekdays without an event the 4 with the highest draw in the event's hours; of 3
Saturdays, and of 3 Sundays or holidays, the 2 highest. A day whose draw in those hours is under 25 % of the mean of
the days is replaced by the next one. With one day less than that all of them are used.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TypeVar

from controller.model.programme import BaselineMethod, BaselineRule
from controller.settlement.like_days import DayKind

Day = TypeVar("Day")

LOW_USE_FRAC = 0.25
"""Of the mean of the days: below it, a day is no day of usual operation (PJM)."""
_OF_WEEKDAYS, _OF_OFF_DAYS = 5, 3


def asked_days(rule: BaselineRule, kind: DayKind) -> int:
    """How many like days are looked for."""
    if rule.method is BaselineMethod.HIGH_FOUR_OF_FIVE:
        return _OF_WEEKDAYS if kind is DayKind.WORKING else _OF_OFF_DAYS
    return rule.of_days if kind is DayKind.WORKING or rule.of_off_days is None else rule.of_off_days


def needed_days(rule: BaselineRule, kind: DayKind) -> int:
    """Fewest like days that make a baseline."""
    asked = asked_days(rule, kind)
    full = asked - 1 if rule.method is BaselineMethod.HIGH_FOUR_OF_FIVE else asked
    return full if rule.least_days is None else min(full, rule.least_days)


def low_use_days(rule: BaselineRule, days: Sequence[Day], mean_w: Callable[[Day], float]) -> list[Day]:
    """Those that drew too little to count, until no more of the rest do; none where the rule does not ask."""
    kept, low = list(days), []
    while rule.method is BaselineMethod.HIGH_FOUR_OF_FIVE and kept:
        least_w = LOW_USE_FRAC * sum(mean_w(day) for day in kept) / len(kept)
        found = [day for day in kept if mean_w(day) < least_w]
        if not found:
            break
        low += found
        kept = [day for day in kept if day not in found]
    return low


def selected_days(
    rule: BaselineRule, kind: DayKind, days: Sequence[Day], rank: Callable[[Day], tuple[float, float]]
) -> tuple[Day, ...]:
    """The days that the mean is made of.

    Args:
        rule: of the programme.
        kind: of the days.
        days: like days that were found.
        rank: mean draw in the event's hours, then the time: among equal ones the more recent counts as the higher.
    """
    ranked = sorted(days, key=rank, reverse=True)
    if rule.method is BaselineMethod.HIGH_FOUR_OF_FIVE:
        return tuple(ranked[: asked_days(rule, kind) - 1])
    if rule.method is BaselineMethod.FIVE_OF_TEN:
        return tuple(ranked[: math.ceil(len(ranked) / 2)])
    if rule.method is BaselineMethod.MIDDLE_EIGHT_OF_TEN and len(ranked) > 2:
        return tuple(ranked[1:-1])
    return tuple(ranked)
