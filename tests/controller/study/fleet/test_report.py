from __future__ import annotations

from controller.study.charts import BarChart, XyChart
from controller.study.drawing import svg
from controller.study.fleet.run import STUDY
from controller.study.page import page
from tests.fakes.fleet_cases import fleet_settings, rich_settings


def test_the_report_tells_rows_bound_and_what_is_simulated() -> None:
    report = STUDY.run(fleet_settings(), lambda *_: None).report
    table, bills = report.tables
    assert [row[0] for row in bills.rows] == [row[0] for row in table.rows]
    assert [row[0] for row in table.rows][-1] == "+ precision"
    assert any("SIMULATED" in text for text in report.assumptions)
    assert any("synthetic" in text for text in report.assumptions)
    assert any("ERCOT" in text for text in report.sources)
    assert "same output tokens" in report.paragraphs[-1]
    kinds = [type(chart) for chart in report.charts]
    assert kinds == [BarChart, XyChart, XyChart, XyChart]
    assert "<svg" in page(report, "test", svg)


def test_what_assets_and_programmes_rest_on_is_told() -> None:
    report = STUDY.run(rich_settings(), lambda *_: None).report
    assert [row[0] for row in report.tables[0].rows][-1] == "+ demand response"
    said = " ".join(report.assumptions)
    for words in ("clear sky", "battery keeps to the plan", "baseline of a response", "no investment"):
        assert words in said
