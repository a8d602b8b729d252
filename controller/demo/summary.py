"""What a run came to: the figures of the JSON file and of the closing table. Pure.

Definitions:

- Energy, power and J/token are at the metering point: GPUs times PUE, plus the site's constant load, from the first
  request to the last answer.
- `tokens_lost`: output tokens asked for by requests that were not answered whole.
- `event.intervals_over_limit_after_ramp`: of the intervals of `event.interval_s` from the end of the ramp to the
  event's end, those whose mean power exceeds the limit.
- `event.time_to_90pct_s`: from the event's start until the mean of the last `event.interval_s` has fallen by 90 % of
  baseline less limit; the baseline is the mean of `event.baseline_window_s` before the preparation begins.
- `simulated.bf16_only.event_kw`: its mean power over the time for which `event.held_kw` is the measured one.
- `saving_vs_bf16_only_frac`: 1 - measured energy / simulated energy of the same requests on the same GPUs, all of them
  in BF16 instances, under the same controller without an event.
"""

from __future__ import annotations

import math
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import median
from typing import Any

from controller.demo.compare import Comparison
from controller.demo.event import BASELINE_S, Limit
from controller.demo.load import Account
from controller.demo.meter import Record
from controller.model.grid import GridEvent
from controller.settlement.baseline import baseline_w
from controller.settlement.delivered import settle
from controller.settlement.response import time_to_share_s
from controller.simulation.latency import Latencies
from controller.simulation.scenario import Run
from controller.units import joules_to_kwh, kg_of_energy, usd_of_energy

INTERVAL_S = 5.0
Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Asked:
    """What was to be run."""

    seconds: float
    speed: float
    seed: int
    trace: str
    trace_start_s: float
    version: str


@dataclass(frozen=True, slots=True)
class Result:
    """Everything a finished or interrupted run leaves.

    Attributes:
        start_s: wall clock of the replay's start.
        event: as the controller took it, None if none was sent.
        limit: how the event's limit was chosen.
        evidence: of each pool's curves.
        comparison: None after an interruption, or where there is nothing to compare with.
        prepare_s: how long before an event the controller prepares for it.
    """

    asked: Asked
    start_s: float
    interrupted: bool
    account: Account
    itl: Latencies
    record: Record
    event: GridEvent | None
    limit: Limit | None
    evidence: Mapping[str, str]
    comparison: Comparison | None
    prepare_s: float = 0.0


def build(result: Result) -> Json:
    """The figures as plain JSON."""
    account, record = result.account, result.record
    end_s = record.readings[-1].time_s if record.readings else result.start_s
    energy_j = sum(power.energy_j for power in record.powers)
    return {
        "schema_version": 1,
        "emulated": True,
        "evidence": {
            **result.evidence,
            "power": "emulated GPUs, energy counters read once a second",
            "price": "ERCOT day-ahead, replayed",
            "carbon": "CAISO marginal emissions, replayed",
            "requests": "Azure LLM inference trace 2023, sent as real HTTP",
        },
        "interrupted": result.interrupted,
        "seconds": result.asked.seconds,
        "wall_s": _round(end_s - result.start_s, 1),
        "speed": result.asked.speed,
        "seed": result.asked.seed,
        "trace": result.asked.trace,
        "trace_start_s": result.asked.trace_start_s,
        "requests_sent": account.sent,
        "requests_ok": account.ok,
        "requests_lost": account.lost,
        "requests_cut_by_interrupt": account.requests_cut,
        "requests_by_class": dict(sorted(account.requests_by_class.items())),
        "refused": account.refusals,
        "retries": account.retries,
        "peak_in_flight": account.peak_in_flight,
        "input_tokens": account.input_tokens,
        "tokens_served": account.tokens_served,
        "tokens_lost": account.tokens_lost,
        "faults": account.faults,
        "share_by_precision": _shares(account.tokens_by_precision),
        **_around_event(result),
        "event": _event(result),
        "energy_kwh": _round(joules_to_kwh(energy_j), 4),
        "energy_j_per_output_token": _ratio(energy_j, account.tokens_served, 4),
        "cost_usd": _round(_weighted(record, "price_usd_per_mwh", usd_of_energy), 4),
        "carbon_kg": _round(_weighted(record, "carbon_kg_per_mwh", kg_of_energy), 4),
        **_latencies(result),
        "solver": {
            "slow_ms_p50": _round(median(record.slow_ms), 2) if record.slow_ms else None,
            "slow_ms_max": _round(max(record.slow_ms), 2) if record.slow_ms else None,
            "fast_ms_p50": _round(median(record.fast_ms), 2) if record.fast_ms else None,
            "fallbacks": record.fallbacks,
        },
        **_simulated(result, energy_j),
        "meter_readings_missed": record.missed,
        "versions": {"wattroute": result.asked.version, "python": platform.python_version()},
    }


def _latencies(result: Result) -> Json:
    account = result.account
    return {
        "ttft_p50_s": _round(account.ttft.quantile_s(0.5), 4),
        "ttft_p99_s": _round(account.ttft.quantile_s(0.99), 4),
        "itl_p50_s": _round(result.itl.quantile_s(0.5), 4),
        "itl_p99_s": _round(result.itl.quantile_s(0.99), 4),
        "e2e_p50_s": _round(account.e2e.quantile_s(0.5), 3),
        "e2e_p99_s": _round(account.e2e.quantile_s(0.99), 3),
        "sent_late_p99_s": _round(account.late.quantile_s(0.99), 4),
    }


def _around_event(result: Result) -> Json:
    """Shares before the event's notice, during it after its ramp, and after it, by the time answers were complete."""
    event = result.event
    if event is None:
        return {}
    spans = {
        "before": (result.start_s, event.notice_s),
        "during": (event.start_s + event.ramp_s, event.end_s),
        "after": (event.end_s, math.inf),
    }
    return {
        f"share_by_precision_{name}": _shares(_tokens_between(result.record, *span)) for name, span in spans.items()
    }


def _tokens_between(record: Record, from_s: float, to_s: float) -> dict[str, int]:
    within = [reading for reading in record.readings if from_s <= reading.time_s <= to_s]
    if not within:
        return {}
    first, last = within[0].tokens_by_precision, within[-1].tokens_by_precision
    return {name: tokens - first.get(name, 0) for name, tokens in last.items()}


def _shares(tokens: Mapping[str, int]) -> dict[str, float]:
    total = sum(tokens.values())
    return {name: round(count / total, 4) for name, count in sorted(tokens.items())} if total else {}


def _event(result: Result) -> Json | None:
    event, record, limit = result.event, result.record, result.limit
    if event is None or limit is None:
        return None
    samples = [(power.middle_s, power.power_w) for power in record.powers]
    before_w = baseline_w(samples, event, BASELINE_S, result.prepare_s)
    if before_w is None:
        return None
    until_s = min(event.end_s, record.readings[-1].time_s)
    settled = settle(samples, event, baseline_w=before_w, interval_s=INTERVAL_S, until_s=until_s)
    reached_s = time_to_share_s(record.trailing_w(), event, before_w, 0.9)
    means = [interval.mean_w for interval in settled.intervals if interval.mean_w is not None]
    return {
        "event_id": event.event_id,
        "limit_kw": _round(event.limit_w / 1000, 2),
        "notice_s": _round(event.notice_s - result.start_s, 1),
        "start_s": _round(event.start_s - result.start_s, 1),
        "end_s": _round(event.end_s - result.start_s, 1),
        "ramp_s": event.ramp_s,
        "interval_s": INTERVAL_S,
        "baseline_window_s": BASELINE_S,
        "baseline_kw": _round(before_w / 1000, 3),
        "delivered_kw": None if settled.delivered_w is None else _round(settled.delivered_w / 1000, 3),
        "time_to_90pct_s": _round(reached_s, 1),
        "intervals_after_ramp": len(settled.intervals),
        "intervals_over_limit_after_ramp": settled.intervals_over_limit,
        "intervals_missing": settled.intervals_missing,
        "held_kw": _round(sum(means) / len(means) / 1000, 3) if means else None,
        "highest_interval_kw": _round(max(means) / 1000, 3) if means else None,
        "least_kw_to_serve_all": None if limit.least_w is None else _round(limit.least_w / 1000, 2),
    }


def _simulated(result: Result, energy_j: float) -> Json:
    if result.comparison is None:
        return {"saving_vs_bf16_only_frac": None, "simulated": None}
    same, alone = result.comparison.same, result.comparison.bf16_alone
    return {
        "saving_vs_bf16_only_frac": _round(1 - energy_j / alone.outcome.energy_j, 4),
        "simulated": {
            "energy_j": round(same.outcome.energy_j),
            "measured_over_simulated_frac": _round(energy_j / same.outcome.energy_j - 1, 4),
            "tokens_served": same.outcome.tokens_served,
            "tokens_lost": same.outcome.tokens_lost,
            "ttft_p99_s": _round(same.outcome.ttft.quantile_s(0.99), 4),
            "itl_p99_s": _round(same.outcome.itl.quantile_s(0.99), 4),
            "saving_vs_bf16_only_frac": _round(1 - same.outcome.energy_j / alone.outcome.energy_j, 4),
            "bf16_only": {
                "energy_j": round(alone.outcome.energy_j),
                "event_kw": _round(_kw_after_ramp(result, alone), 3),
                "tokens_served": alone.outcome.tokens_served,
                "tokens_lost": alone.outcome.tokens_lost,
                "ttft_p99_s": _round(alone.outcome.ttft.quantile_s(0.99), 4),
                "itl_p99_s": _round(alone.outcome.itl.quantile_s(0.99), 4),
            },
        },
    }


def _kw_after_ramp(result: Result, run: Run) -> float | None:
    """Mean power of a simulated run from the end of the event's ramp to the event's end."""
    if result.event is None:
        return None
    outcome = run.outcome
    first = math.ceil((result.event.start_s + result.event.ramp_s - result.start_s) / outcome.interval_s)
    within = outcome.power_w[first : math.floor((result.event.end_s - result.start_s) / outcome.interval_s)]
    return sum(within) / len(within) / 1000 if within else None


def _weighted(record: Record, signal: str, of_energy: Any) -> float | None:
    """Sum over the intervals of energy times a signal; None where the signal was never known."""
    parts = [
        of_energy(power.energy_j, value) for power in record.powers if (value := getattr(power, signal)) is not None
    ]
    return sum(parts) if parts else None


def _ratio(value: float, by: float, digits: int) -> float | None:
    return round(value / by, digits) if by else None


def _round(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)
