from __future__ import annotations

import json

import pytest

from controller.demo import summary
from controller.demo.load import Account
from controller.demo.meter import Meter, Record
from controller.simulation.latency import Latencies
from tests.fakes.demo_result import finished as result
from tests.fakes.demo_result import power_at, record


def test_the_promised_figures_are_there_and_plain_json() -> None:
    figures = json.loads(json.dumps(summary.build(result())))
    promised = {
        "requests_sent", "requests_ok", "tokens_served", "tokens_lost", "share_by_precision", "event",
        "energy_j_per_output_token", "saving_vs_bf16_only_frac", "ttft_p99_s", "itl_p99_s", "solver",
    }  # fmt: skip
    assert promised <= set(figures)
    assert {"slow_ms_p50", "fast_ms_p50", "fallbacks"} <= set(figures["solver"])
    assert figures["emulated"] is True
    assert figures["share_by_precision"] == {"bf16": 0.45, "fp8": 0.55}


def test_energy_cost_and_carbon_are_those_of_the_measured_power() -> None:
    figures = summary.build(result())
    energy_j = sum(power_at(second) for second in range(100))
    assert figures["energy_kwh"] == pytest.approx(energy_j / 3.6e6, abs=1e-4)
    assert figures["energy_j_per_output_token"] == pytest.approx(energy_j / 10_000)
    assert figures["cost_usd"] == pytest.approx(energy_j / 3.6e9 * 360, abs=1e-4)
    assert figures["carbon_kg"] == pytest.approx(energy_j / 3.6e9 * 400, abs=1e-4)


def test_an_event_that_was_kept() -> None:
    event = summary.build(result())["event"]
    assert event["baseline_kw"] == 10.0
    assert event["limit_kw"] == 8.0
    assert (event["start_s"], event["end_s"]) == (40.0, 80.0)
    assert event["intervals_over_limit_after_ramp"] == 0
    assert event["intervals_after_ramp"] == 6
    assert event["delivered_kw"] == 2.5
    # 7.5 kW from the fifth second on; the mean of five seconds is at 8.2 kW when four of them are.
    assert event["time_to_90pct_s"] == pytest.approx(9.0, abs=1.01)


def test_an_interval_over_the_limit_is_counted() -> None:
    event = summary.build(result(record=record(late=True)))["event"]
    assert event["intervals_over_limit_after_ramp"] == 1
    assert event["highest_interval_kw"] == 9.0


def test_shares_before_during_and_after_the_event() -> None:
    figures = summary.build(result())
    assert figures["share_by_precision_before"] == {"bf16": 1.0, "fp8": 0.0}
    assert figures["share_by_precision_during"] == {"bf16": 0.0, "fp8": 1.0}
    assert figures["share_by_precision_after"] == {"bf16": 0.0, "fp8": 1.0}


def test_the_saving_is_against_the_simulated_energy_of_bf16_alone() -> None:
    figures = summary.build(result())
    energy_j = sum(power_at(second) for second in range(100))
    assert figures["saving_vs_bf16_only_frac"] == pytest.approx(1 - energy_j / 1_200_000, abs=1e-4)
    assert figures["simulated"]["measured_over_simulated_frac"] == pytest.approx(energy_j / 900_000 - 1, abs=1e-4)


def test_a_run_that_was_stopped_early_tells_what_it_has() -> None:
    account = Account(sent=3, ok=1, tokens_served=50, requests_cut=2)
    figures = summary.build(
        result(interrupted=True, account=account, record=record(5), event=None, limit=None, comparison=None)
    )
    assert figures["interrupted"] is True
    assert figures["event"] is None
    assert figures["saving_vs_bf16_only_frac"] is None
    assert figures["requests_cut_by_interrupt"] == 2


def test_a_run_stopped_before_anything_was_measured_is_no_error() -> None:
    empty = Record(Meter("", "", 1.0, 0.0))
    figures = summary.build(
        result(account=Account(), itl=Latencies(), record=empty, event=None, limit=None, comparison=None)
    )
    assert figures["energy_j_per_output_token"] is None
    assert figures["ttft_p99_s"] is None
    assert figures["cost_usd"] is None
    assert figures["solver"]["slow_ms_p50"] is None
