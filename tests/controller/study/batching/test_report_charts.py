from __future__ import annotations

import dataclasses

from controller.simulation.profiles import load_profile
from controller.study.batching import report_charts
from controller.study.batching.arrivals import Demand, Job
from controller.study.batching.ranking import rank
from controller.study.batching.report_charts import policy_name
from controller.study.batching.result import Result, Shaped
from controller.study.batching.shaping import Hold, Policy, serve
from controller.study.charts import BarChart, XyChart
from controller.study.measured import Configuration

PROFILE = "qwen3-235b-a22b/fp8/4xh100"
QWEN = "Qwen/Qwen3-235B-A22B-Instruct-2507"
RANKING = rank(
    "half",
    Configuration(QWEN, "bfloat16", "H100", 8),
    Configuration(f"{QWEN}-FP8", "fp8", "H100", 4),
    concurrency=(8, 128, 224),
    rates_tokens_per_s=(1000.0,),
)
POLICIES = (Policy(Hold.NEVER), Policy(Hold.RIDE, 30.0), Policy(Hold.GATHER, 30.0, sleeps=True))
DEMANDS = (Demand(0.1, 60.0, 1.0), Demand(1.0, 60.0, 1.0), Demand(0.1, 60.0, 0.5))
SERVED = serve(load_profile(PROFILE), [Job(0.0, 10, 10, is_flex=True)], POLICIES[0], 60.0)
RESULT = Result(
    (RANKING,), (), tuple(Shaped(PROFILE, demand, policy, SERVED, -0.25) for demand in DEMANDS for policy in POLICIES)
)


def test_energy_ends_where_the_measurements_end() -> None:
    chart = report_charts.energy(RANKING)
    assert isinstance(chart, XyChart)
    base, other = chart.series
    assert None not in base.y
    assert other.y[-1] is None


def test_changes_are_percent_and_absent_where_one_was_not_measured() -> None:
    chart = report_charts.changes(RESULT)
    assert isinstance(chart, BarChart)
    ((name, values),) = chart.bars
    assert name == "half"
    assert values[2] is None
    assert round(values[0] or 0) == 30


def test_savings_have_a_chart_for_each_share_and_a_line_for_each_policy_that_holds() -> None:
    full, half = report_charts.savings(RESULT)
    assert isinstance(full, XyChart)
    assert isinstance(half, XyChart)
    assert [len(series.x) for series in full.series] == [2, 2]
    assert [series.y for series in half.series] == [(-25.0,), (-25.0,)]
    assert all("EMULATED" in chart.note for chart in (full, half))


def test_policies_are_named_by_what_they_do() -> None:
    assert [policy_name(policy) for policy in POLICIES] == [
        "as they come",
        "held while idle ≤ 30 s",
        "gathered ≤ 30 s, asleep between",
    ]
    assert policy_name(dataclasses.replace(POLICIES[2], sleeps=False)) == "gathered ≤ 30 s"
