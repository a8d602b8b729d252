"""The baseline of an event by its programme's rule, and what takes its place where the rule cannot be followed."""

from __future__ import annotations

import dataclasses

from controller.model.meter import MeterReader
from controller.model.programme import BaselineMethod
from controller.settlement.baseline_profile import Baseline, BaselineQuestion, ReadFor, flat
from controller.settlement.computed_of import readings_of, with_readings
from controller.settlement.day_matching import from_like_days
from controller.settlement.regression import from_regression

_LIKE_DAYS = (
    BaselineMethod.TEN_OF_TEN,
    BaselineMethod.FIVE_OF_TEN,
    BaselineMethod.MIDDLE_EIGHT_OF_TEN,
    BaselineMethod.HIGH_FOUR_OF_FIVE,
)
_LONGEST_BACK_S = 86_400.0
"""How far before the start the window of `hour_before` ends at the earliest."""


def make_baseline(question: BaselineQuestion, read: MeterReader) -> Baseline:
    """The baseline by the rule; where that has none, by the hour before, with the reason; `mean_w` None without either.

    Only measurements from before the event's start are read, so that it can be made at any later time with the same
    outcome; for an event to come `prepared_s` is at most the present.
    """
    asked = exactly(question, read)
    if asked.mean_w is not None or question.rule.method is BaselineMethod.HOUR_BEFORE:
        return asked
    instead = hour_before(question, read)
    reason = f"{asked.reason}; {instead.method.value if instead.method else 'nothing'} is used instead"
    if instead.reason:
        reason += f": {instead.reason}"
    return dataclasses.replace(instead, reason=reason, days=asked.days)


def exactly(question: BaselineQuestion, read: MeterReader) -> Baseline:
    """The baseline by the rule's own method; `mean_w` is None, with the reason, where there is none."""
    rule = question.rule
    if rule.method in _LIKE_DAYS:
        return from_like_days(question, read)
    if rule.method is BaselineMethod.REGRESSION:
        return from_regression(question, read)
    if rule.method is BaselineMethod.HOUR_BEFORE:
        return hour_before(question, read)
    if rule.maximum_w is None:
        reason = "the rule maximum_base_load has no maximum_w"
        return Baseline(rule.method, None, reason, flat(question, None), None, None)
    return Baseline(rule.method, rule.method, "", flat(question, rule.maximum_w), rule.maximum_w, None)


def hour_before(question: BaselineQuestion, read: MeterReader) -> Baseline:
    """Meter before: the mean of the rule's window, which ends when preparation could first show in the power.

    Where another event was in force in the window, it ends at the start of that one: what was drawn then is not what
    would have been. As much of the window as was measured counts; the reason tells how much where it is less than the
    rule's least.
    """
    rule = question.rule
    ready_s = min(question.prepared_s, question.start_s)
    end_s = _before_other_events_s(question, ready_s)
    if end_s < ready_s - _LONGEST_BACK_S:
        reason = "other events were in force all day before the event"
        return Baseline(rule.method, None, reason, flat(question, None), None, None)
    (mean,) = read(end_s - rule.window_s, end_s, rule.window_s)
    if mean.mean_w is None:
        reason = f"nothing was measured in the {rule.window_s:g} s before the event"
        return Baseline(rule.method, None, reason, flat(question, None), None, None)
    told = []
    if mean.covered_frac < rule.least_covered_frac:
        told.append(f"{mean.covered_frac:.0%} of the {rule.window_s:g} s before the event were measured")
    if end_s < ready_s:
        clock = question.calendar.local(end_s).isoformat(timespec="seconds")
        told.append(f"the window ends at {clock}, as another event began")
    made_by = BaselineMethod.HOUR_BEFORE
    made = Baseline(rule.method, made_by, "; ".join(told), flat(question, mean.mean_w), mean.mean_w, mean.quality)
    date = question.calendar.local(mean.start_s).date().isoformat()
    return with_readings(made, [readings_of(ReadFor.BEFORE, date, [(question.start_s, mean)])])


def _before_other_events_s(question: BaselineQuestion, end_s: float) -> float:
    """The latest end of a window, at most `end_s`, in which no event was in force."""
    for start_s, until_s in sorted(question.event_spans, key=lambda span: span[1], reverse=True):
        if start_s < end_s and until_s > end_s - question.rule.window_s:
            end_s = start_s
    return end_s
