"""The same-day adjustment: what was drawn before an event, held against what the baseline has for the same time.

    ratio      profile_w[i] · clip(A / B, 1 - adjust_frac, 1 + adjust_frac)          CAISO: 20 %
    additive   max(0, profile_w[i] + clip(A - B, -adjust_frac · B, adjust_frac · B))  no clip with an adjust_frac of 0

A is the mean draw on the event's day, B that of the baseline, both from `adjust_from_s` to `adjust_until_s` before the
start. The additive one without a cap, over the three hours that end an hour before, is PJM's symmetric additive
adjustment (Operating Agreement, Schedule 1, section 3.3A.3). Sources: docs/reference/settlement.md.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

from controller.model.meter import Mean, MeterReader
from controller.model.programme import AdjustForm
from controller.settlement.baseline_profile import Adjustment, BaselineInterval, BaselineQuestion, ReadFor, Readings
from controller.settlement.computed_of import readings_of

ADJUSTED_S = 86_400.0
"""The adjustment is a same-day one: what comes later after the start than this is not adjusted."""
Expected = Callable[[float, float], float | None]
"""Mean of the unadjusted baseline over [from, until), in W; None where it is not known."""


def adjustment(
    question: BaselineQuestion, read: MeterReader, expected: Expected
) -> tuple[Adjustment | None, Mean | None]:
    """The adjustment, None where the rule has none, and what was measured for it."""
    rule = question.rule
    if rule.adjust_form is AdjustForm.RATIO and rule.adjust_frac <= 0.0:
        return None, None
    from_s = question.start_s - rule.adjust_from_s
    until_s = min(question.start_s - rule.adjust_until_s, question.prepared_s)
    nothing = Adjustment(1.0, None, from_s, until_s)
    if until_s <= from_s:
        return dataclasses.replace(nothing, reason="what is done for the event began before the window"), None
    if question.has_event(from_s, until_s):
        return dataclasses.replace(nothing, reason="another event was in force in the window"), None
    (actual,) = read(from_s, until_s, until_s - from_s)
    if actual.mean_w is None or actual.covered_frac < rule.least_covered_frac:
        return dataclasses.replace(nothing, reason=f"{actual.covered_frac:.0%} of the window measured"), actual
    expected_w = expected(from_s, until_s)
    nothing = dataclasses.replace(nothing, actual_w=actual.mean_w, expected_w=expected_w)
    if expected_w is None:
        return dataclasses.replace(nothing, reason="the baseline of the window is not known"), actual
    if rule.adjust_form is AdjustForm.ADDITIVE:
        return _added(nothing, actual.mean_w, expected_w, rule.adjust_frac), actual
    if expected_w <= 0.0:
        return dataclasses.replace(nothing, reason="the baseline of the window is zero"), actual
    uncapped = actual.mean_w / expected_w
    factor = min(1.0 + rule.adjust_frac, max(1.0 - rule.adjust_frac, uncapped))
    return dataclasses.replace(nothing, factor=factor, uncapped=uncapped), actual


def adjusted(interval: BaselineInterval, made: Adjustment | None, start_s: float) -> BaselineInterval:
    """An interval of an event that began at `start_s`, adjusted."""
    if made is None or interval.baseline_w is None or interval.start_s >= start_s + ADJUSTED_S:
        return interval
    baseline_w = interval.baseline_w * made.factor
    if made.uncapped_w is not None:
        baseline_w = max(0.0, baseline_w + made.added_w)
    return dataclasses.replace(interval, baseline_w=baseline_w)


def same_day_readings(question: BaselineQuestion, actual: Mean | None) -> tuple[Readings, ...]:
    """What was measured in the window on the event's day, as it is kept with the baseline."""
    if actual is None:
        return ()
    date = question.calendar.local(actual.start_s).date().isoformat()
    return (readings_of(ReadFor.SAME_DAY, date, ((actual.start_s, actual),)),)


def _added(nothing: Adjustment, actual_w: float, expected_w: float, adjust_frac: float) -> Adjustment:
    most_w = adjust_frac * abs(expected_w) if adjust_frac > 0.0 else math.inf
    uncapped_w = actual_w - expected_w
    return dataclasses.replace(nothing, added_w=min(most_w, max(-most_w, uncapped_w)), uncapped_w=uncapped_w)
