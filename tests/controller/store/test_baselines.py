import contextlib
import dataclasses
import datetime

import pytest

from controller.errors import StoreError
from controller.model.observation import Quality
from controller.model.programme import BaselineMethod, BaselineRule, Programme, RegressionRule, RegressionTerm
from controller.store.baselines import MeterBaselines
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
    assert longer.reason.endswith("by which the call grew, it is made by 10_of_10")
    assert baselines.frozen("vtn 1") == longer


def test_a_call_that_grew_within_an_interval_has_its_baseline_without_a_gap(store):
    history(store)
    baselines = MeterBaselines(store)
    baselines.freeze("vtn 1", TEN, START_S, START_S + 1200.0, START_S)
    longer = baselines.freeze("vtn 1", TEN, START_S, END_S, START_S + 600.0)
    whole = baselines.baseline(TEN, START_S, END_S, START_S)
    spans = [(each.start_s - START_S, each.end_s - START_S) for each in longer.intervals[:4]]
    assert spans == [(0.0, 900.0), (900.0, 1200.0), (1200.0, 1800.0), (1800.0, 2700.0)]
    assert longer.over(START_S, END_S) == pytest.approx(whole.mean_w)
    read_for = sorted({each for readings in longer.readings for each in readings.stands_for_s if each >= START_S})
    assert read_for == [each.start_s for each in longer.intervals]


def test_another_call_of_the_same_name_gets_a_baseline_of_its_own(store):
    history(store, days=1)
    store.import_means([(START_S + 86_400.0 - 3660.0, START_S + 86_400.0, 3000.0)], Quality.DIRECT)
    baselines, before = MeterBaselines(store), Programme("before")
    first = baselines.freeze("operator spring", before, START_S, END_S, START_S)
    again = baselines.freeze("operator spring", before, START_S + 86_400.0, END_S + 86_400.0, START_S + 86_400.0)
    assert (first.mean_w, again.mean_w) == pytest.approx((1000.0, 3000.0))
    assert again.intervals[0].start_s == START_S + 86_400.0
    assert baselines.frozen("operator spring") == again


def test_a_frozen_baseline_that_was_damaged_is_told(store):
    store.freeze("vtn 1", START_S, "[]")
    with pytest.raises(StoreError, match="damaged"):
        MeterBaselines(store).frozen("vtn 1")


def test_a_time_zone_that_is_none_is_told(store):
    with pytest.raises(StoreError, match="Mars"):
        MeterBaselines(store).baseline_w(Programme("p", timezone="Mars/Olympus"), START_S, START_S)


def by_temperature(path):
    rule = RegressionRule((RegressionTerm.HOUR_OF_DAY, RegressionTerm.COLUMN), str(path), "time", "degc")
    return dataclasses.replace(TEN, baseline=BaselineRule(BaselineMethod.REGRESSION, regression=rule))


def weather(path, until_s, rows=24 * 50):
    """0 to 10 degrees, hour by hour, in the site's local time without a zone."""
    times = [until_s - 3600.0 * (n + 1) for n in range(rows)]
    lines = [f"{local(time_s):%Y-%m-%dT%H:%M},{(time_s // 3600) % 11}" for time_s in reversed(times)]
    path.write_text("\n".join(["time,degc", *lines, ""]))


def metered_by_weather(store):
    hours = [START_S - 3600.0 * (n + 1) for n in range(24 * 46)]
    store.import_means(((s, s + 3600.0, 1000.0 + 50.0 * ((s // 3600) % 11)) for s in hours), Quality.DIRECT)


def test_a_regression_by_the_operators_weather_file(store, tmp_path):
    metered_by_weather(store)
    weather(tmp_path / "w.csv", END_S)
    made = MeterBaselines(store).baseline(by_temperature(tmp_path / "w.csv"), START_S, END_S, START_S)
    assert (made.method, made.reason) == (BaselineMethod.REGRESSION, "")
    expected = [1000.0 + 50.0 * ((START_S // 3600 + n) % 11) for n in range(2)]
    assert made.mean_w == pytest.approx(sum(expected) / 2)


def test_a_weather_file_that_is_gone_or_ends_too_early_is_told_and_the_hour_before_is_used(store, tmp_path):
    metered_by_weather(store)
    path = tmp_path / "w.csv"
    baselines = MeterBaselines(store)
    gone = baselines.baseline(by_temperature(path), START_S, END_S, START_S)
    assert gone.method is BaselineMethod.HOUR_BEFORE
    assert "w.csv: cannot be read: No such file" in gone.reason
    weather(path, START_S)
    short = baselines.baseline(by_temperature(path), START_S, END_S, START_S)
    assert short.method is BaselineMethod.HOUR_BEFORE
    assert "the column has no value" in short.reason
    weather(path, END_S)
    assert baselines.baseline(by_temperature(path), START_S, END_S, START_S).method is BaselineMethod.REGRESSION


def test_a_frozen_regression_stays_as_it_was_though_the_forecast_changes(store, tmp_path):
    metered_by_weather(store)
    path = tmp_path / "w.csv"
    weather(path, END_S)
    baselines = MeterBaselines(store)
    first = baselines.freeze("vtn 1", by_temperature(path), START_S, END_S, START_S)
    path.unlink()
    assert baselines.freeze("vtn 1", by_temperature(path), START_S, END_S, START_S + 60.0) == first
    assert baselines.frozen("vtn 1") == first
