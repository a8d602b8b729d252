from __future__ import annotations

import pytest

from controller.study import drawing
from controller.study.charts import XyChart
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


def test_requests_and_their_latencies_have_tables_where_they_are_played() -> None:
    report = of(hours=0.05, engine="requests", events=[event(start="2022-07-12T12:01:00Z", minutes=1, ramp_s=20)])
    requests, latencies = report.tables[2:]
    assert [row[0] for row in requests.rows] == ["fixed bf16 fleet", "under the controller"]
    for _, asked, whole, cut_off, under_way in requests.rows:
        assert asked == whole + cut_off + under_way  # type: ignore[operator]
        assert cut_off == 0
    assert [row[1] for row in latencies.rows] == ["during events", "outside of events"] * 2
    assert all(0.0 < row[3] <= row[4] and 0.0 < row[5] <= row[6] for row in latencies.rows)  # type: ignore[operator]
    assert any("request by request" in text for text in report.assumptions)


def test_an_event_tells_what_waited_and_the_rebound(called: Report) -> None:
    names = [column.name for column in called.tables[1].columns]
    rows = [dict(zip(names, row, strict=True)) for row in called.tables[1].rows]
    over = rows[0]["rebound peak, kW"] - rows[0]["before, kW"]  # type: ignore[operator]
    assert rows[0]["over before, kW"] == pytest.approx(over)
    assert all(row["waiting at most, 1e3 tokens"] is not None for row in rows)
    assert "60 min after the end" in called.tables[1].note
