"""A stranger who has the files of a report, and nothing else of us, makes the baseline again."""

import csv
import dataclasses
import datetime
import json
from collections import defaultdict

import numpy as np
import pytest

from controller.model.programme import (
    AdjustForm,
    BaselineMethod,
    BaselineRule,
    Programme,
    RegressionRule,
    RegressionTerm,
)
from controller.report.baseline_view import COLUMNS, adjustment_told, baseline_csv, baseline_tables
from controller.report.command import ReportOptions, run
from controller.settlement.baseline_profile import Adjustment, BaselineQuestion
from controller.settlement.baseline_rule import make_baseline
from controller.settlement.like_days import Calendar
from controller.store.plain import to_plain
from tests.fakes.metered import LOS_ANGELES, local, meter
from tests.fakes.played_event import LENGTH_S, START_S, Player, event

HOUR_S = 3600.0


def drawn(time_s):
    """By the hour, the weekday and the date, with a gap on one of the days."""
    clock = local(time_s)
    if clock.date() == datetime.date(2026, 9, 16) and (clock.hour, clock.minute) == (6, 34):
        return None
    return 4500.0 + 20.0 * clock.hour + 11.0 * clock.weekday() + 7.0 * (clock.day % 5) + clock.minute / 7


def temperature(time_s):
    return 10.0 + (time_s // HOUR_S * 5) % 13


def report(folder, rule):
    """The report of an event under a rule, and its files."""
    programme = Programme(
        "utility", ramp_s=30.0, settlement_interval_s=60.0, timezone="America/Los_Angeles", baseline=rule
    )
    column = tuple(
        (START_S // HOUR_S * HOUR_S + n * HOUR_S, temperature(START_S + n * HOUR_S)) for n in range(-1200, 3)
    )
    question = BaselineQuestion(
        START_S, START_S + LENGTH_S, 60.0, rule, Calendar(LOS_ANGELES), START_S - 60.0, column=column
    )
    made = make_baseline(question, meter(drawn))
    assert made.method is rule.method
    player = Player(folder, programme=programme)
    player.call()
    told = {"call": "openadr:vtn evening", "programme": "utility", "start_s": START_S, "end_s": START_S + LENGTH_S,
            "baseline": to_plain(made)}  # fmt: skip
    player.desk.record("baseline", START_S, told)
    player.play(START_S + LENGTH_S + 120.0, event())
    player.close()
    assert run(ReportOptions("evening", file=player.path, out=folder / "out")) == 0
    place = folder / "out" / "evening"
    document = json.loads(place.with_suffix(".json").read_text())
    with (folder / "out" / "evening-baseline.csv").open() as lines:
        readings = list(csv.DictReader(lines))
    with place.with_suffix(".csv").open() as lines:
        settled = list(csv.DictReader(lines))
    return document, readings, settled, place.with_suffix(".html").read_text()


def rows_for(readings, read_for):
    return [row for row in readings if row["read_for"] == read_for]


def enough(row, rule):
    return row["mean_w"] != "" and float(row["covered_frac"]) >= rule["least_covered_frac"]


def average(rows):
    return sum(float(row["mean_w"]) for row in rows) / len(rows)


def day_mean(rows, rule):
    known = [row for row in rows if enough(row, rule)]
    weights = [float(row["covered_frac"]) * (float(row["end_s"]) - float(row["start_s"])) for row in known]
    return sum(w * float(row["mean_w"]) for w, row in zip(weights, known, strict=True)) / sum(weights)


def again_by_days(document, readings):
    """The profile by start of interval, from like days, as docs/reference/settlement.md says it."""
    rule = document["programme"]["baseline"]
    days = defaultdict(list)
    for row in rows_for(readings, "event"):
        days[row["date"]].append(row)
    means = {date: day_mean(rows, rule) for date, rows in days.items()}
    ranked = sorted(means, key=lambda date: (means[date], date), reverse=True)
    used = {"10_of_10": ranked, "5_of_10": ranked[:5], "middle_8_of_10": ranked[1:-1], "high_4_of_5": ranked[:4]}[
        rule["method"]
    ]
    profile = defaultdict(list)
    for date in used:
        for row in days[date]:
            if enough(row, rule):
                profile[float(row["stands_for_s"])].append(row)
    window = [row for row in rows_for(readings, "window") if enough(row, rule)]
    assert {row["date"] for row in window} == set(used)
    return {start_s: average(rows) for start_s, rows in profile.items()}, average(window)


def again_by_regression(document, readings):
    """The same by least squares over the hours, with numpy alone."""
    rows = rows_for(readings, "fit")
    hours, days = sorted({row["hour"] for row in rows}), sorted({row["weekday"] for row in rows})

    def terms(row):
        return [
            *(float(row["hour"] == hour) for hour in hours),
            *(float(row["weekday"] == day) for day in days[1:]),
            float(row["column"]),
        ]

    solved = np.linalg.lstsq(
        np.array([terms(row) for row in rows]), np.array([float(row["mean_w"]) for row in rows]), rcond=None
    )[0]
    asked = {float(row["start_s"]): float(np.dot(terms(row), solved)) for row in rows_for(readings, "prediction")}

    def mean_w(from_s, until_s):
        spans = [(max(s, from_s), min(s + HOUR_S, until_s), w) for s, w in asked.items()]
        return sum((b - a) * w for a, b, w in spans if b > a) / (until_s - from_s)

    (same,) = rows_for(readings, "same_day")
    profile = {each["start_s"]: mean_w(each["start_s"], each["end_s"]) for each in document["baseline"]["intervals"]}
    return profile, mean_w(float(same["start_s"]), float(same["end_s"]))


def adjusted_again(document, readings, profile, expected_w):
    rule = document["programme"]["baseline"]
    actual_w = float(rows_for(readings, "same_day")[0]["mean_w"])
    if rule["adjust_form"] == "additive":
        return {start_s: max(0.0, watts + actual_w - expected_w) for start_s, watts in profile.items()}
    factor = min(1 + rule["adjust_frac"], max(1 - rule["adjust_frac"], actual_w / expected_w))
    return {start_s: watts * factor for start_s, watts in profile.items()}


REGRESSION = RegressionRule(
    (RegressionTerm.HOUR_OF_DAY, RegressionTerm.DAY_OF_WEEK, RegressionTerm.COLUMN), "w.csv", most_rrmse_frac=1.0
)
RULES = [
    BaselineRule(BaselineMethod.TEN_OF_TEN, adjust_frac=0.2),
    BaselineRule(BaselineMethod.FIVE_OF_TEN, adjust_frac=0.001),
    BaselineRule(BaselineMethod.MIDDLE_EIGHT_OF_TEN, adjust_frac=0.2),
    BaselineRule(BaselineMethod.HIGH_FOUR_OF_FIVE, AdjustForm.ADDITIVE),
    BaselineRule(BaselineMethod.REGRESSION, AdjustForm.ADDITIVE, regression=REGRESSION),
]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.method.value)
def test_the_files_of_a_report_carry_its_baseline(tmp_path, rule):
    document, readings, settled, _ = report(tmp_path, rule)
    again = again_by_regression if rule.method is BaselineMethod.REGRESSION else again_by_days
    profile = adjusted_again(document, readings, *again(document, readings))
    frozen = {each["start_s"]: each["baseline_w"] for each in document["baseline"]["intervals"]}
    assert len(frozen) == 10
    assert profile == pytest.approx(frozen, abs=0.002)
    # A settlement interval begins with the end of the ramp, half a minute into one of the profile.
    for row in settled[:-1]:
        start_s = float(row["start_s"])
        by_hand = (profile[start_s - 30.0] + profile[start_s + 30.0]) / 2
        assert float(row["baseline_kw"]) * 1e3 == pytest.approx(by_hand, abs=0.01)


def test_an_hour_before_is_one_reading(tmp_path):
    document, readings, settled, page = report(tmp_path, BaselineRule())
    (row,) = readings
    assert (row["read_for"], float(row["end_s"])) == ("before", START_S - 60.0)
    (value_w,) = {each["baseline_w"] for each in document["baseline"]["intervals"]}
    assert value_w == pytest.approx(float(row["mean_w"]), abs=1e-3)
    assert float(settled[0]["baseline_kw"]) == pytest.approx(float(row["mean_w"]) / 1e3, rel=1e-5)
    assert "Baseline: hour_before" in page


def test_the_page_names_days_coefficients_and_the_adjustment(tmp_path):
    *_, page = report(tmp_path / "days", RULES[3])
    assert "Days of the baseline" in page
    assert "not selected" in page
    assert "Same-day adjustment: " in page
    *_, page = report(tmp_path / "fit", RULES[4])
    assert "Coefficients of the baseline" in page
    assert "W per unit" in page


def test_without_a_baseline_the_file_has_a_heading_only():
    assert baseline_csv(None) == ",".join(COLUMNS) + "\n"
    assert list(baseline_tables(None)) == []


def test_an_adjustment_is_told_with_what_it_was_held_against():
    none = Adjustment(1.0, None, 0.0, 10_800.0, "33% of the window measured")
    assert adjustment_told(none).endswith("00:00:00Z to 1970-01-01T03:00:00Z: 33% of the window measured.")
    ratio = dataclasses.replace(none, factor=1.2, uncapped=1.5, reason="", actual_w=1500.0, expected_w=1000.0)
    assert "by the factor 1.2000 (1.5000 without the cap): 1.500 kW drawn" in adjustment_told(ratio)
    added = dataclasses.replace(ratio, uncapped=None, factor=1.0, added_w=-200.0, uncapped_w=-500.0)
    assert "-0.200 kW (-0.500 without a cap)" in adjustment_told(added)
