from __future__ import annotations

from dataclasses import replace

import pytest
from prometheus_client.parser import text_string_to_metric_families

from controller.simulation.vllm_metrics import EngineGauges, EngineMetrics, RequestRecord

GAUGES = EngineGauges(
    running=4,
    waiting=2,
    kv_cache_usage_frac=0.25,
    kv_capacity_tokens=1000,
    sleep_level=None,
    prompt_tokens=160,
    generation_tokens=2462,
    preemptions=3,
    precision="bf16",
)
RECORD = RequestRecord("length", 32, 3, 1, 3, arrived_s=10.0, scheduled_s=10.5, first_token_s=11.0, last_token_s=13.0)


def samples(metrics: EngineMetrics, gauges: EngineGauges = GAUGES) -> dict[str, float]:
    """Each series, named without the two labels that all share."""
    found = {}
    for family in text_string_to_metric_families(metrics.render(gauges).decode()):
        for sample in family.samples:
            if (
                family.name != "vllm:admission_rejections"
                and sample.name.startswith("vllm:")
                and "rejections" not in sample.name
            ):
                assert sample.labels["engine"] == "0"
            rest = {k: v for k, v in sample.labels.items() if k not in ("engine", "model_name")}
            found[sample.name + "".join(f",{k}={v}" for k, v in sorted(rest.items()))] = sample.value
    return found


def test_gauges_and_counters() -> None:
    metrics = EngineMetrics('odd"name\\', 1000.5)
    metrics.rejections = 5
    got = samples(metrics)
    expected = {
        "vllm:num_requests_running": 4,
        "vllm:num_requests_waiting": 2,
        "vllm:num_requests_waiting_by_reason,reason=capacity": 2,
        "vllm:num_requests_waiting_by_reason,reason=deferred": 0,
        "vllm:kv_cache_usage_perc": 0.25,
        "vllm:prompt_tokens_total": 160,
        "vllm:generation_tokens_total": 2462,
        "vllm:num_preemptions_total": 3,
        "vllm:admission_rejections_total,reason=max_num_queued_reqs": 5,
        "vllm:generation_tokens_created": 1000.5,
        "vllm:request_success_created,finished_reason=stop": 1000.5,
        "wattroute_emulator_info,precision=bf16": 1,
    }
    assert {name: got[name] for name in expected} == expected


@pytest.mark.parametrize(("level", "states"), [(None, (1, 0, 0)), (1, (0, 1, 0)), (2, (0, 0, 1)), (0, (0, 0, 0))])
def test_sleep_state(level: int | None, states: tuple[int, int, int]) -> None:
    got = samples(EngineMetrics("m", 0.0), replace(GAUGES, sleep_level=level))
    names = ("awake", "weights_offloaded", "discard_all")
    assert tuple(got[f"vllm:engine_sleep_state,sleep_state={name}"] for name in names) == states


def test_a_finished_request_enters_every_histogram() -> None:
    metrics = EngineMetrics("m", 0.0)
    metrics.observe_request(RECORD)
    got = samples(metrics)
    sums = {
        "e2e_request_latency_seconds": 3.0,
        "request_queue_time_seconds": 0.5,
        "request_inference_time_seconds": 2.5,
        "request_prefill_time_seconds": 0.5,
        "request_decode_time_seconds": 2.0,
        "request_time_per_output_token_seconds": 1.0,
        "request_prompt_tokens": 32,
        "request_generation_tokens": 3,
        "request_params_n": 1,
        "request_params_max_tokens": 3,
    }
    assert {name: got[f"vllm:{name}_sum"] for name in sums} == sums
    assert {got[f"vllm:{name}_count"] for name in sums} == {1.0}
    assert got["vllm:request_success_total,finished_reason=length"] == 1
    assert got["vllm:e2e_request_latency_seconds_bucket,le=2.5"] == 0
    assert got["vllm:e2e_request_latency_seconds_bucket,le=5.0"] == 1
    assert got["vllm:e2e_request_latency_seconds_bucket,le=+Inf"] == 1


def test_a_single_token_without_a_limit_has_no_time_per_token() -> None:
    metrics = EngineMetrics("m", 0.0)
    metrics.observe_request(replace(RECORD, generation_tokens=1, wanted_max_tokens=None))
    got = samples(metrics)
    assert got["vllm:request_time_per_output_token_seconds_count"] == 0
    assert got["vllm:request_params_max_tokens_count"] == 0


def test_buckets_include_their_bound_and_count_several_at_once() -> None:
    metrics = EngineMetrics("m", 0.0)
    metrics.observe("inter_token_latency_seconds", 0.05, 10)
    metrics.observe("inter_token_latency_seconds", 100.0)
    got = samples(metrics)
    assert got["vllm:inter_token_latency_seconds_bucket,le=0.025"] == 0
    assert got["vllm:inter_token_latency_seconds_bucket,le=0.05"] == 10
    assert got["vllm:inter_token_latency_seconds_bucket,le=80.0"] == 10
    assert got["vllm:inter_token_latency_seconds_count"] == 11
    assert got["vllm:inter_token_latency_seconds_sum"] == pytest.approx(100.5)
