import contextlib
import dataclasses
import datetime

import pytest

from controller.errors import StoreError
from controller.model.observation import Quality
from controller.model.programme import BaselineMethod, BaselineRule, Programme
from controller.store.baselines import MeterBaselines, call_key
from controller.store.meter import MeterStore
from tests.fakes.metered import at, local

START_S = at("2026-08-14T17:00")
END_S = START_S + 7200.0
TEN = Programme(
    "ten",
    settlement_interval_s=900.0,
    baseline=BaselineRule(BaselineMethod.TEN_OF_TEN, adjust_frac=0.2),
    timezone="America/Los_Angeles",
)


@pytest.fixture
def store(tmp_path):
    with contextlib.closing(MeterStore(tmp_path / "m.sqlite")) as opened:
        yield opened


def history(store, days=30, until_s=START_S, power_w=1000.0):
    """Quarters of an hour of the days before: 1 kW, and 1 W more for each day back."""
    quarters = int(days * 96)
    store.import_means(
        ((until_s - 900.0 * (n + 1), until_s - 900.0 * n, power_w + (n // 96)) for n in range(quarters)),
        Quality.DIRECT,
    )


def test_ten_of_ten_works_from_the_first_day_on_what_was_imported(store):
    history(store)
    baselines = MeterBaselines(store)
    value_w = baselines.baseline_w(TEN, START_S, START_S - 600.0, END_S)
    made = baselines.baseline(TEN, START_S, END_S, START_S - 600.0)
    used = [datetime.date.fromisoformat(day.date) for day in made.days if day.is_used]
    back = [(datetime.date(2026, 8, 14) - date).days for date in used]
    # The two hours of a day n back lie in the quarters that are n - 1 whole days back.
    unadjusted = 1000.0 + sum(n - 1 for n in back) / 10
    assert value_w == made.mean_w == pytest.approx(unadjusted * made.adjustment.factor)
    assert back == [1, 2, 3, 4, 7, 8, 9, 10, 11, 14]
    assert made.method is BaselineMethod.TEN_OF_TEN


def test_without_enough_days_the_rule_has_no_value_and_the_profile_tells_what_is_used(store):
    history(store, days=3)
    baselines = MeterBaselines(store)
    assert baselines.baseline_w(TEN, START_S, START_S) is None
    made = baselines.baseline(TEN, START_S, END_S, START_S)
    assert made.method is BaselineMethod.HOUR_BEFORE
    assert "like days" in made.reason


def test_days_with_an_event_are_left_out(store):
    history(store)
    store.mark_event("e", at("2026-08-13T06:00"), at("2026-08-13T06:30"))
    made = MeterBaselines(store).baseline(TEN, START_S, END_S, START_S)
    assert "2026-08-13" not in [day.date for day in made.days if day.is_used]


def test_the_window_before_ends_before_the_programme_prepares(store):
    history(store, days=1, until_s=START_S - 600.0)
    store.import_means([(START_S - 600.0, START_S, 9000.0)], Quality.DIRECT)
    before = Programme("before", prepare_s=600.0)
    assert MeterBaselines(store).baseline_w(before, START_S, START_S) == pytest.approx(1000.0)
    raised = MeterBaselines(store, prepare_s=0.0).baseline_w(
        dataclasses.replace(before, prepare_s=None), START_S, START_S
    )
    assert raised == pytest.approx((3000 * 1000 + 600 * 9000) / 3600)


def test_of_an_event_to_come_no_measurement_of_the_future_is_asked(store):
    history(store, days=1, until_s=START_S - 7200.0)
    assert MeterBaselines(store).baseline_w(Programme("p"), START_S, START_S - 7200.0) == pytest.approx(1000.0)


def test_the_value_is_the_mean_of_the_profile_until_the_end(store):
    """By 10 of 10, on days that draw 1 W more with each hour on the clock of the site."""
    hours = [(START_S - 3600.0 * (n + 1), START_S - 3600.0 * n) for n in range(24 * 46)]
    store.import_means(((a, b, float(local(a).hour)) for a, b in hours), Quality.DIRECT)
    baselines = MeterBaselines(store)
    assert baselines.baseline_w(TEN, START_S, START_S) == pytest.approx(17.0)
    assert baselines.baseline_w(TEN, START_S, START_S, START_S + 4 * 3600.0) == pytest.approx((17 + 18 + 19 + 20) / 4)
    assert baselines.baseline_w(TEN, START_S, START_S, 253_402_300_800.0) == pytest.approx(sum(range(24)) / 24)


def test_what_was_imported_counts_within_minutes(store):
    history(store, days=3)
    baselines = MeterBaselines(store)
    assert baselines.baseline_w(TEN, START_S, START_S - 1200.0) is None
    history(store)
    assert baselines.baseline_w(TEN, START_S, START_S - 500.0) is not None


def test_a_frozen_baseline_stays_as_it_was(store):
    history(store)
    baselines = MeterBaselines(store)
    first = baselines.freeze("vtn 1", TEN, START_S, END_S, START_S + 1.0)
    store.import_means([(START_S - 86_400.0, START_S - 79_200.0, 5000.0)], Quality.DIRECT)
    assert baselines.baseline(TEN, START_S, END_S, START_S).mean_w > first.mean_w
    assert baselines.freeze("vtn 1", TEN, START_S, END_S, START_S + 60.0) == first
    assert baselines.frozen("vtn 1") == first
    assert baselines.frozen("vtn 2") is None


def test_a_call_that_grew_keeps_what_was_frozen_and_gets_what_it_lacks(store):
    history(store)
    baselines = MeterBaselines(store)
    first = baselines.freeze("vtn 1", TEN, START_S, END_S, START_S)
    # Asked for again from a later interval on, as after a restart.
    longer = baselines.freeze("vtn 1", TEN, START_S + 900.0, END_S + 3600.0, START_S + 900.0)
    assert longer.intervals[: len(first.intervals)] == first.intervals
    assert longer.intervals[-1].end_s == END_S + 3600.0
    assert longer.mean_w == first.mean_w
    assert baselines.frozen("vtn 1") == longer


def test_a_frozen_baseline_that_was_damaged_is_told(store):
    store.freeze("vtn 1", START_S, "[]")
    with pytest.raises(StoreError, match="damaged"):
        MeterBaselines(store).frozen("vtn 1")


def test_a_time_zone_that_is_none_is_told(store):
    with pytest.raises(StoreError, match="Mars"):
        MeterBaselines(store).baseline_w(Programme("p", timezone="Mars/Olympus"), START_S, START_S)


def test_intervals_of_one_call_share_their_baseline():
    assert call_key("openadr:vtn", "a#0") == call_key("openadr:vtn", "a#7") == "openadr:vtn a"
    assert call_key("operator", "a") != call_key("openadr:vtn", "a")
