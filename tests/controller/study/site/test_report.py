from __future__ import annotations

import pytest

from controller.study import drawing
from controller.study.charts import Style, XyChart
from controller.study.page import page
from controller.study.site.run import STUDY
from controller.study.study import Report
from controller.study.tables import markdown
from tests.fakes.site_cases import event, site_settings


def of(**changes: object) -> Report:
    return STUDY.run(site_settings(**changes), lambda *_: None).report


@pytest.fixture(scope="module")
def called() -> Report:
    second = event(name="f", limit_kw=7.8, start="2022-07-12T12:18:00Z", minutes=3)
    return of(hours=0.5, events=[event(), second])


def test_both_fleets_and_every_event_have_a_row(called: Report) -> None:
    fleets, events = called.tables
    assert [row[0] for row in fleets.rows] == ["fixed bf16 fleet", "under the controller"]
    assert [row[0] for row in events.rows] == ["e", "f"]
    assert "| 8.0 |" in markdown(events)


def test_the_chart_of_power_has_precisions_limit_and_price(called: Report) -> None:
    chart = called.charts[0]
    assert isinstance(chart, XyChart)
    styles = {series.name: series.style for series in chart.series}
    assert styles["bf16"] is styles["fp8"] is Style.AREA
    limit = next(series for series in chart.series if series.name == "limit")
    # The lowest of the limits in force holds.
    assert list(dict.fromkeys(limit.y)) == [None, 8.0, 7.8]
    assert next(series for series in chart.series if series.name == "price").right
    assert [band[2] for band in chart.bands] == ["e", "f"]


def test_budgets_and_instances_are_drawn(called: Report) -> None:
    titles = [chart.title for chart in called.charts]
    assert titles[1:] == ["Quality budget left", "Instances by state"]
    instances = called.charts[2]
    assert isinstance(instances, XyChart)
    assert sum(series.y[-1] or 0.0 for series in instances.series) == 6.0


def test_it_says_what_is_simulated_and_draws(called: Report) -> None:
    assert any("SIMULATED" in text for text in called.assumptions)
    assert any("not in the bill" in text for text in called.assumptions)
    assert "SIMULATED" in page(called, "test", drawing.svg)


def test_without_events_and_budgets_their_parts_are_absent() -> None:
    loose = {"name": "c", "itl_slo_s": 0.1, "precisions": ["bf16"], "demand": {"mean_tokens_per_s": 2000}}
    report = of(hours=0.1, classes=[loose])
    assert len(report.tables) == 1
    assert [chart.title for chart in report.charts] == [
        "Power at the meter by precision, limit and price",
        "Instances by state",
    ]
    first = report.charts[0]
    assert isinstance(first, XyChart)
    assert "limit" not in {series.name for series in first.series}
