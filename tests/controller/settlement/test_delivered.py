import pytest

from controller.model.grid import GridEvent
from controller.model.meter import Mean
from controller.model.observation import Quality
from controller.model.programme import BaselineMethod, BaselineRule, Programme, Rates
from controller.settlement.baseline_profile import Baseline, BaselineInterval
from controller.settlement.delivered import Terms, intervals_after_ramp, settle, terms_of
from controller.settlement.response import time_to_share_s

EVENT = GridEvent("e", 600.0, 100.0, 200.0, 100.0, ramp_s=20.0)
FALLING = [(float(t), 1000.0 if t < 100 else max(550.0, 1000.0 - 30.0 * (t - 100))) for t in range(80, 200, 2)]


def test_time_to_90pct_is_measured_from_the_start():
    assert time_to_share_s(FALLING, EVENT, 1000.0, 0.9) == 12.0
    assert time_to_share_s(FALLING, EVENT, 1000.0, 0.5) == 8.0


def test_a_fall_before_or_after_the_event_does_not_count():
    assert time_to_share_s([(90.0, 0.0), (150.0, 900.0), (210.0, 0.0)], EVENT, 1000.0, 0.9) is None


def test_a_site_already_under_the_limit_is_there_at_once():
    assert time_to_share_s([(100.0, 500.0)], EVENT, 500.0, 0.9) == 0.0


def test_a_kept_event_is_settled():
    account = settle(FALLING, EVENT, baseline_w=1000.0, interval_s=30.0)
    assert account.intervals_over_limit == 0
    assert account.intervals_missing == 0
    assert account.delivered_w == pytest.approx(450.0)
    assert [(i.start_s, i.end_s) for i in account.intervals] == [(120.0, 150.0), (150.0, 180.0), (180.0, 200.0)]


def test_an_interval_over_the_limit_is_counted():
    bump = [(t, 800.0 if 150 <= t < 180 else w) for t, w in FALLING]
    account = settle(bump, EVENT, baseline_w=1000.0, interval_s=30.0)
    assert account.intervals_over_limit == 1
    assert account.intervals[1].delivered_w == pytest.approx(200.0)


def test_missing_is_neither_kept_nor_broken():
    account = settle([s for s in FALLING if s[0] < 150], EVENT, baseline_w=1000.0, interval_s=30.0)
    assert (account.intervals_missing, account.intervals_over_limit) == (2, 0)
    assert settle([], EVENT, baseline_w=1000.0, interval_s=30.0).delivered_w is None


def test_an_event_under_way_is_settled_as_far_as_it_went():
    so_far = intervals_after_ramp(FALLING, EVENT, 1000.0, Terms(30.0), until_s=140.0)
    assert [(i.start_s, i.end_s) for i in so_far] == [(120.0, 140.0)]
    assert settle(FALLING, EVENT, baseline_w=1000.0, interval_s=30.0, until_s=110.0).intervals == ()


def test_drawing_more_than_the_baseline_is_negative_delivery():
    account = settle([(130.0, 1200.0)], EVENT, baseline_w=1000.0, interval_s=80.0)
    assert account.delivered_w == pytest.approx(-200.0)


def seconds(*stretches, quality=Quality.DIRECT):
    """Means of a second: (from, until, W)."""
    return [
        Mean(float(t), t + 1.0, float(watts), quality, 1.0)
        for from_s, until_s, watts in stretches
        for t in range(from_s, until_s)
    ]


def profile(*parts):
    intervals = tuple(BaselineInterval(float(a), float(b), watts) for a, b, watts in parts)
    known = [i.baseline_w for i in intervals if i.baseline_w is not None]
    rule = BaselineMethod.TEN_OF_TEN
    return Baseline(rule, rule, "", intervals, sum(known) / len(known) if known else None, Quality.DIRECT)


def test_a_baseline_may_be_a_profile_over_the_event():
    baseline = profile((100, 150, 1000.0), (150, 200, 2000.0))
    account = settle(seconds((100, 200, 500)), EVENT, baseline_w=baseline, terms=Terms(40.0))
    assert account.baseline_w == 1500.0
    assert [i.baseline_w for i in account.intervals] == pytest.approx([(30 * 1000 + 10 * 2000) / 40, 2000.0])
    assert [i.delivered_w for i in account.intervals] == pytest.approx([750.0, 1500.0])


def test_an_interval_without_a_baseline_has_no_delivery():
    baseline = profile((100, 160, 1000.0), (160, 200, None))
    account = settle(seconds((100, 200, 500)), EVENT, baseline_w=baseline, terms=Terms(40.0))
    assert [i.delivered_w for i in account.intervals] == [500.0, None]
    assert account.delivered_w == 500.0


def test_no_baseline_at_all_is_refused():
    with pytest.raises(ValueError, match="no baseline"):
        settle([], EVENT, baseline_w=profile((100, 200, None)), terms=Terms(40.0))
    with pytest.raises(ValueError, match="by terms"):
        settle([], EVENT, baseline_w=1000.0)


def test_what_was_committed_is_what_was_sold_or_else_what_the_limit_asks_for():
    measured = seconds((100, 200, 550))
    (asked, _) = settle(measured, EVENT, baseline_w=1000.0, terms=Terms(40.0)).intervals
    (sold, _) = settle(measured, EVENT, baseline_w=1000.0, terms=Terms(40.0, committed_w=300.0)).intervals
    assert (asked.committed_w, asked.performance_frac) == (400.0, pytest.approx(450 / 400))
    assert (sold.committed_w, sold.performance_frac) == (300.0, pytest.approx(1.5))


def test_where_every_reading_counts_the_highest_does():
    measured = seconds((100, 130, 500), (130, 131, 700), (131, 200, 500))
    account = settle(measured, EVENT, baseline_w=1000.0, terms=Terms(40.0, is_instantaneous=True))
    assert [i.over_limit for i in account.intervals] == [True, False]
    assert [i.delivered_w for i in account.intervals] == [300.0, 500.0]
    assert settle(measured, EVENT, baseline_w=1000.0, terms=Terms(40.0)).intervals_over_limit == 0


def test_a_draw_above_the_baseline_is_nothing_delivered_where_the_terms_say_so():
    measured = seconds((100, 200, 1200))
    account = settle(measured, EVENT, baseline_w=1000.0, terms=Terms(80.0, clips_at_zero=True))
    assert account.delivered_w == 0.0
    assert account.intervals_over_limit == 1


def test_an_interval_that_was_measured_for_a_part_only_is_missing_and_tells_it():
    account = settle(seconds((100, 130, 900), (160, 200, 500)), EVENT, baseline_w=1000.0, terms=Terms(40.0))
    first, second = account.intervals
    assert (first.is_missing, first.over_limit, first.delivered_w) == (True, False, None)
    assert (first.mean_w, first.covered_frac) == (900.0, 0.25)
    assert (second.is_missing, second.delivered_w) == (False, 500.0)
    assert account.intervals_missing == 1


def test_intervals_may_be_those_of_the_clock():
    measured = seconds((100, 200, 500))
    account = settle(measured, EVENT, baseline_w=1000.0, terms=Terms(50.0, is_clock_aligned=True))
    assert [(i.start_s, i.end_s) for i in account.intervals] == [(150.0, 200.0)]


def test_a_mean_that_is_longer_than_an_interval_counts_by_its_part():
    minutes = [Mean(60.0, 120.0, 1000.0, Quality.DIRECT, 1.0), Mean(120.0, 240.0, 400.0, Quality.ESTIMATED, 1.0)]
    (interval,) = intervals_after_ramp(
        minutes, GridEvent("e", 600.0, 100.0, 140.0, 0.0, 0.0), 1000.0, Terms(40.0), 140.0
    )
    assert interval.mean_w == pytest.approx(700.0)
    assert (interval.quality, interval.covered_frac) == (Quality.ESTIMATED, pytest.approx(1.0))


def test_terms_are_those_of_the_programme():
    programme = Programme(
        "p",
        settlement_interval_s=900.0,
        settles_instantaneous=True,
        committed_w=5.0,
        baseline=BaselineRule(clips_at_zero=True, least_covered_frac=0.5),
        rates=Rates(1.0, 2.0),
    )
    assert terms_of(programme) == Terms(900.0, 5.0, True, True, False, 0.5, Rates(1.0, 2.0))


def test_a_short_last_interval_counts_by_its_length():
    """900 s at 500 W delivered and 30 s at 0 W: 483.9 W over the event, not 250."""
    whole = GridEvent("e", 600.0, 0.0, 930.0, 0.0, ramp_s=0.0)
    measured = seconds((0, 900, 500.0), (900, 930, 1000.0))
    account = settle(measured, whole, baseline_w=1000.0, terms=Terms(900.0))
    assert account.delivered_w == pytest.approx(500.0 * 900 / 930)
