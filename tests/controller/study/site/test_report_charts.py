from __future__ import annotations

import pytest

from controller.study.charts import Style, XyChart
from controller.study.site.run import STUDY
from controller.study.study import Report
from tests.fakes.site_cases import event, site_settings


@pytest.fixture(scope="module")
def called() -> Report:
    second = event(name="f", limit_kw=7.8, start="2022-07-12T12:18:00Z", minutes=3)
    return STUDY.run(site_settings(hours=0.5, events=[event(), second]), lambda *_: None).report


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
    assert titles[1:] == ["Quality budget left", "Waiting at the router", "Instances by state"]
    instances = called.charts[3]
    assert isinstance(instances, XyChart)
    assert sum(series.y[-1] or 0.0 for series in instances.series) == 6.0


def test_what_waits_is_drawn_by_class_where_anything_does(called: Report) -> None:
    waiting = called.charts[2]
    assert isinstance(waiting, XyChart)
    assert [series.name for series in waiting.series] == ["standard"]
    assert max(y or 0.0 for y in waiting.series[0].y) > 0.0
    assert waiting.bands == called.charts[0].bands
    calm = STUDY.run(site_settings(hours=0.1), lambda *_: None).report
    assert "Waiting at the router" not in [chart.title for chart in calm.charts]
