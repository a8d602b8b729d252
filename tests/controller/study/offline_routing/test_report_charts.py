from __future__ import annotations

from controller.study.charts import XyChart
from controller.study.offline_routing import online, report_charts
from controller.study.offline_routing.case import all_on, costs, solve
from controller.study.offline_routing.result import Alone, Online, OnlineSwept, Result, Swept
from controller.study.offline_routing.zeta import knee
from tests.fakes.routing_cases import case, short_questions

ZETAS = (0.0, 0.5, 1.0)


def result() -> Result:
    made, arrival_s = case(count=300), short_questions(300).arrival_s
    points = tuple(solve(made, zeta) for zeta in ZETAS)
    flows = [online.route(made, arrival_s, costs(made, zeta), online.cheapest, "cost alone") for zeta in ZETAS]
    return Result(
        models=("7b", "13b", "70b"),
        sources=(),
        queries=300,
        queries_left_out=0,
        queries_source="",
        groups=len(made.amount),
        below_zero_frac=0.0,
        alone=(Alone("7b", all_on(made, 0)), Alone("13b", None)),
        sweep=tuple(Swept(point, None if point.zeta == 0 else 2 * point.energy_j) for point in points),
        choices=(knee(points),),
        online=Online(0.5, tuple(flows), tuple(OnlineSwept(z, f, f) for z, f in zip(ZETAS, flows, strict=True))),
    )


RESULT = result()


def named(chart: object) -> dict[str, int]:
    assert isinstance(chart, XyChart)
    return {series.name: len(series.x) for series in chart.series}


def test_the_frontier_holds_what_exists_and_nothing_else() -> None:
    assert named(report_charts.frontier(RESULT)) == {
        "a coefficient a query": 3,
        "a coefficient a model": 2,
        "chosen": 1,
        "7b": 1,
    }


def test_shares_have_a_line_for_each_model() -> None:
    assert named(report_charts.shares(RESULT)) == {"7b": 3, "13b": 3, "70b": 3}


def test_no_wait_is_a_gap_on_the_logarithmic_axis() -> None:
    assert RESULT.online is not None
    chart = report_charts.waits(RESULT.online)
    assert isinstance(chart, XyChart)
    assert chart.log_y
    assert all(value is None or value > 0 for series in chart.series for value in series.y)
