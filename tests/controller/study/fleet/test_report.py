from __future__ import annotations

from controller.study.charts import BarChart, XyChart
from controller.study.drawing import svg
from controller.study.fleet.run import STUDY
from controller.study.page import page
from tests.fakes.fleet_cases import fleet_settings


def test_the_report_tells_rows_bound_and_what_is_simulated() -> None:
    report = STUDY.run(fleet_settings(), lambda *_: None).report
    [table] = report.tables
    assert [row[0] for row in table.rows][-1] == "+ precision"
    assert any("SIMULATED" in text for text in report.assumptions)
    assert any("synthetic" in text for text in report.assumptions)
    assert any("ERCOT" in text for text in report.sources)
    assert "same output tokens" in report.paragraphs[-1]
    kinds = [type(chart) for chart in report.charts]
    assert kinds == [BarChart, XyChart, XyChart]
    assert "<svg" in page(report, "test", svg)
