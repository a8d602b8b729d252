from __future__ import annotations

import pytest

from controller.study.charts import BarChart, XyChart
from controller.study.fleet.levers import Row, rows
from controller.study.fleet.make_case import make_case
from controller.study.fleet.report_charts import charts
from controller.study.fleet.result import FleetResult, LeverResult
from tests.fakes.fleet_cases import rich_settings
from tests.fakes.fleet_planner import planner


@pytest.fixture(scope="module")
def played() -> tuple[Row, ...]:
    return rows(make_case(rich_settings()), planner, lambda *_: None, all_between=False)


def test_the_charts_show_power_batteries_budgets_and_what_waits(played: tuple[Row, ...]) -> None:
    rows = tuple(LeverResult(row.name, row.totals, row.totals.bill.usd, 0.0, 0, 0, None) for row in played)
    found = charts(FleetResult(0.25, 160, rows, 0.0, None, True), played)
    assert isinstance(found[0], BarChart)
    assert found[0].categories == ("fixed", "assets", "response", "left")
    assert found[0].bars[0][1][-2:] == (rows[-1].usd,) * 2
    shown = {chart.title: chart for chart in found[1:] if isinstance(chart, XyChart)}
    assert len(shown) == 5
    power = next(chart for title, chart in shown.items() if title.startswith("Power"))
    assert [series.name for series in power.series][-2:] == ["drawn from the grid", "price"]
    [(begins, ends, name)] = power.bands
    assert (begins, ends) == pytest.approx((0.125, 0.125 + 1 / 24))
    assert name == "event"
    [soc] = shown["Energy in the batteries (SoC)"].series
    assert (soc.name, max(v for v in soc.y if v is not None) <= 0.1) == ("a", True)
    budget = {series.name: series.y for series in shown["Quality budget left"].series}
    assert set(budget) == {"standard", "batch"}
    assert all(left is not None and left >= -1e-6 for left in budget["standard"])
    assert [series.name for series in shown["Tokens that wait for a better hour"].series] == ["batch"]
