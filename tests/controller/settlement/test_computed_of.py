import dataclasses

import pytest

from controller.model.meter import Mean
from controller.model.observation import Quality
from controller.model.programme import BaselineMethod
from controller.settlement.baseline_profile import MAX_READINGS, Baseline, BaselineInterval, DayTaken, ReadFor
from controller.settlement.computed_of import prolonged, readings_of, with_readings

RULE = BaselineMethod.TEN_OF_TEN


def baseline(intervals=2, **changes):
    profile = tuple(BaselineInterval(60.0 * n, 60.0 * n + 60, 100.0 + n) for n in range(intervals))
    return Baseline(**{"asked": RULE, "method": RULE, "reason": "", "intervals": profile, "mean_w": 100.5,
                       "quality": Quality.DIRECT} | changes)  # fmt: skip


def read(count=3, first_w=1.0):
    means = [Mean(-3600.0 + 60 * n, -3540.0 + 60 * n, first_w + n, Quality.DIRECT, 1.0) for n in range(count)]
    return readings_of(ReadFor.EVENT, "2026-08-13", [(60.0 * n, mean) for n, mean in enumerate(means)])


def test_a_reading_tells_what_it_stands_for_and_a_gap_is_none():
    gap = Mean(0.0, 60.0, None, None, 0.0)
    whole = Mean(60.0, 120.0, 1234.56789, Quality.DIRECT, 0.95)
    kept = readings_of(ReadFor.EVENT, "2026-08-13", [(600.0, gap), (660.0, whole)])
    assert (kept.stands_for_s, kept.starts_s, kept.ends_s) == ((600.0, 660.0), (0.0, 60.0), (60.0, 120.0))
    assert (kept.means_w, kept.covered_fracs) == ((None, 1234.568), (0.0, 0.95))


def test_readings_are_bounded_and_what_is_left_out_is_told():
    each = read(1000)
    assert with_readings(baseline(), [each] * (MAX_READINGS // 1000)).readings == (each,) * (MAX_READINGS // 1000)
    told = with_readings(baseline(reason="so"), [each] * (MAX_READINGS // 1000 + 1))
    assert told.readings == ()
    assert told.reason == "so; 11000 readings that it was computed of are more than the 10000 that are kept with it"


def test_a_longer_one_keeps_what_was_frozen_and_tells_what_was_put_to_it():
    kept = with_readings(baseline(days=(DayTaken("2026-08-13", 100.0, True),)), [read(2)])
    anew = with_readings(
        baseline(3, days=(DayTaken("2026-08-13", 999.0, True), DayTaken("2026-08-12", 7.0, True)), mean_w=999.0),
        [read(3, first_w=50.0), dataclasses.replace(read(), read_for=ReadFor.SAME_DAY)],
    )
    longer = prolonged(kept, anew)
    assert longer.intervals == anew.intervals
    assert longer.mean_w == kept.mean_w
    assert longer.days == (*kept.days, DayTaken("2026-08-12", 7.0, True))
    assert longer.readings[0] == kept.readings[0]
    assert (longer.readings[1].stands_for_s, longer.readings[1].means_w) == ((120.0,), (52.0,))
    assert len(longer.readings) == 2
    assert longer.reason == "from 1970-01-01T00:02:00Z on, by which the call grew, it is made by 10_of_10"


@pytest.mark.parametrize(
    ("method", "reason", "told"),
    [(BaselineMethod.HOUR_BEFORE, "too few days", "hour_before: too few days"), (None, "no data", "nothing: no data")],
)
def test_a_longer_one_by_another_rule_says_so(method, reason, told):
    anew = baseline(3, method=method, reason=reason)
    assert prolonged(baseline(reason="known"), anew).reason == (
        f"known; from 1970-01-01T00:02:00Z on, by which the call grew, it is made by {told}"
    )


def test_a_longer_one_of_which_nothing_was_known_before_has_the_mean_of_what_now_is():
    kept = baseline(mean_w=None)
    kept = dataclasses.replace(kept, intervals=tuple(dataclasses.replace(i, baseline_w=None) for i in kept.intervals))
    longer = prolonged(kept, baseline(3))
    assert longer.mean_w == longer.intervals[-1].baseline_w is not None
