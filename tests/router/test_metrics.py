"""What Prometheus sees."""

from __future__ import annotations

import math
import re
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from router.contract import InstanceId
from router.dispatch import Dispatcher, Outcome, Refusal
from router.fleet import EngineLoad
from router.metrics import PREFIX, expose
from router.openai import RequestFacts
from router.snapshot import DiscoveryView, RedisView, Snapshot
from router.version import VERSION
from tests.fakes.routing import NOW_S, ask, choose, fail, finish, router_file, table
from tests.fakes.snapshots import full_snapshot

REFERENCE = Path(__file__).parents[2] / "docs" / "reference" / "router.md"
Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def samples_of(snapshot: Snapshot) -> Samples:
    body, content_type = expose(snapshot)
    assert content_type.startswith("text/plain")
    return {
        (sample.name.removeprefix(PREFIX), tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(body.decode())
        for sample in family.samples
    }


def value(samples: Samples, name: str, **labels: str) -> float:
    return samples[name, tuple(sorted(labels.items()))]


@pytest.fixture
def dispatcher() -> Dispatcher:
    return Dispatcher(router_file({"bf16": 1, "fp8": 1}, cap=8))


def test_every_name_has_the_prefix_and_the_unit_or_total(dispatcher: Dispatcher) -> None:
    body, _ = expose(dispatcher.state(NOW_S))
    families = list(text_string_to_metric_families(body.decode()))
    assert families
    assert all(family.name.startswith(PREFIX) and family.documentation.endswith(".") for family in families)


def test_requests_tokens_and_outcomes(dispatcher: Dispatcher) -> None:
    pinned = ask(dispatcher, x_wattroute_precision="fp8")
    finish(dispatcher, choose(dispatcher, pinned), pinned, output_tokens=50)
    fail(dispatcher, pinned, Outcome.RESET)
    dispatcher.count_retry(Outcome.RESET)
    samples = samples_of(dispatcher.state(NOW_S))
    pair = {"class_id": "standard", "pool_id": "fp8"}
    assert value(samples, "requests_total", class_id="standard") == 1
    assert value(samples, "finished_total", class_id="standard") == 1
    assert value(samples, "attempts_total", **pair, outcome="ok") == 1
    assert value(samples, "attempts_total", **pair, outcome="reset") == 1
    assert value(samples, "retries_total", reason="reset") == 1
    assert value(samples, "output_tokens_total", **pair) == 50
    assert value(samples, "input_tokens_total", **pair) == 10
    assert value(samples, "degraded_total", **pair) == 0


def test_histograms_are_cumulative(dispatcher: Dispatcher) -> None:
    request = ask(dispatcher, x_wattroute_precision="bf16")
    for ttft_s in (0.02, 0.3, 500.0):
        choice = choose(dispatcher, request)
        dispatcher.first_byte(choice, ttft_s)
        finish(dispatcher, choice, request, output_tokens=5, duration_s=ttft_s + 1.0, ttft_s=ttft_s)
    samples = samples_of(dispatcher.state(NOW_S))
    pair = {"class_id": "standard", "pool_id": "bf16"}
    assert value(samples, "ttft_seconds_bucket", **pair, le="0.01") == 0
    assert value(samples, "ttft_seconds_bucket", **pair, le="0.025") == 1
    assert value(samples, "ttft_seconds_bucket", **pair, le="0.5") == 2
    assert value(samples, "ttft_seconds_bucket", **pair, le="+Inf") == 3
    assert value(samples, "ttft_seconds_count", **pair) == 3
    assert value(samples, "ttft_seconds_sum", **pair) == pytest.approx(500.32)
    assert value(samples, "itl_seconds_sum", **pair) == pytest.approx(0.75)
    assert value(samples, "duration_seconds_count", **pair) == 3


def test_refusals_by_reason_with_bounded_labels(dispatcher: Dispatcher) -> None:
    for number in range(50):
        refusal = dispatcher.ask(
            dispatcher.hints({b"x-wattroute-class": b"made-up-%d" % number}), RequestFacts(), NOW_S
        )
        assert isinstance(refusal, Refusal)
    samples = samples_of(dispatcher.state(NOW_S))
    assert value(samples, "refused_total", class_id="other", reason="unknown_class") == 50
    assert len([name for name, _ in samples if name == "refused_total"]) == 1


def test_instances_have_one_state(dispatcher: Dispatcher) -> None:
    fail(dispatcher, ask(dispatcher, x_wattroute_precision="fp8"), Outcome.RESET, times=3)
    dispatcher.probed(InstanceId("bf16-0"), ok=True, load=EngineLoad(0, 0, 0.0, awake=False), now_s=NOW_S)
    dispatcher.apply_table(table(caps={"bf16-0": 3}, draining=("fp8-0",)), NOW_S)
    samples = samples_of(dispatcher.state(NOW_S))
    states = {
        (labels["instance_id"], labels["state"])
        for name, pairs in samples
        if name == "instance_state" and samples[name, pairs] == 1
        for labels in [dict(pairs)]
    }
    assert states == {("bf16-0", "asleep"), ("fp8-0", "ejected")}
    assert value(samples, "max_in_flight", instance_id="bf16-0", pool_id="bf16") == 3
    assert value(samples, "instance_draining", instance_id="fp8-0", pool_id="fp8") == 1
    assert value(samples, "ready") == 0


def test_the_table_and_its_age(dispatcher: Dispatcher) -> None:
    dispatcher.apply_table(table({"standard": {"bf16": 1.0}, "gold": {"bf16": 1.0}}, sequence=12), NOW_S)
    dispatcher.refuse_table("malformed")
    samples = samples_of(dispatcher.state(NOW_S + 10))
    assert value(samples, "table_sequence") == 12
    assert value(samples, "table_age_seconds") == 10
    assert value(samples, "table_state", state="last_good") == 1
    assert value(samples, "table_state", state="fresh") == 0
    assert value(samples, "tables_refused_total", reason="malformed") == 1
    assert value(samples, "table_unknown_names") == 1


def test_without_a_table_there_is_no_age(dispatcher: Dispatcher) -> None:
    samples = samples_of(dispatcher.state(NOW_S))
    assert value(samples, "table_sequence") == -1
    assert value(samples, "table_state", state="static") == 1
    assert not any(name == "table_age_seconds" for name, _ in samples)


def test_the_queue_and_what_the_data_path_adds(dispatcher: Dispatcher) -> None:
    request = ask(dispatcher, x_wattroute_precision="bf16")
    while dispatcher.choose(request, NOW_S) is not None:
        pass
    dispatcher.enqueue(request, NOW_S, lambda _: None)
    snapshot = dispatcher.state(NOW_S)
    snapshot.counters["connections"] = 5
    snapshot.gauges["event_loop_lag_seconds"] = 0.25
    samples = samples_of(snapshot)
    assert value(samples, "queued", class_id="standard") == 1
    assert value(samples, "in_flight", instance_id="bf16-0", pool_id="bf16") == 8
    assert value(samples, "connections_total") == 5
    assert value(samples, "event_loop_lag_seconds") == 0.25


def test_openmetrics_is_spoken_on_request(dispatcher: Dispatcher) -> None:
    body, content_type = expose(dispatcher.state(NOW_S), "application/openmetrics-text; version=1.0.0")
    assert content_type.startswith("application/openmetrics-text")
    assert body.endswith(b"# EOF\n")


def test_no_value_is_infinite_or_missing(dispatcher: Dispatcher) -> None:
    assert all(math.isfinite(number) for number in samples_of(dispatcher.state(NOW_S)).values())


def shown_names() -> set[str]:
    """Names as the reference writes them: counters with their suffix, histograms without any."""
    body, _ = expose(full_snapshot())
    return {
        family.name.removeprefix(PREFIX) + ("_total" if family.type == "counter" else "")
        for family in text_string_to_metric_families(body.decode())
    }


def test_the_reference_lists_exactly_the_metrics_there_are() -> None:
    section = REFERENCE.read_text().partition("\n## Metrics\n")[2].partition("\n## ")[0]
    rows = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
    listed = [name for cell in rows for name in re.findall(r"`(\w+)`", cell)]
    assert len(listed) == len(set(listed))
    assert set(listed) == shown_names()


def test_a_value_that_nobody_described_is_shown_all_the_same(dispatcher: Dispatcher) -> None:
    snapshot = dispatcher.state(NOW_S)
    snapshot.counters, snapshot.gauges, snapshot.sums = {"new_things": 2}, {"new_level": 0.5}, {"new_sum": 3.0}
    samples = samples_of(snapshot)
    assert value(samples, "new_things_total") == 2
    assert (value(samples, "new_level"), value(samples, "new_sum")) == (0.5, 3.0)


def test_the_process_and_its_configuration() -> None:
    samples = samples_of(full_snapshot())
    assert value(samples, "build_info", version=VERSION) == 1
    assert value(samples, "config_workers", hash="0123456789ab") == 1
    assert value(samples, "config_reloads_total", result="refused") == 0
    assert value(samples, "engine_connections", state="idle") == 1
    assert value(samples, "overhead_seconds_bucket", le="0.001") == 1
    assert value(samples, "overhead_seconds_count") == 2
    assert value(samples, "instance_probe_age_seconds", instance_id="bf16-0", pool_id="bf16") == 0
    assert value(samples, "tenant_refused_total", tenant="team-a", reason="rate_limited") == 1


def test_whose_looks_at_the_engines_count(dispatcher: Dispatcher) -> None:
    samples = samples_of(full_snapshot())
    assert value(samples, "loads_state", state="shared") == 1
    assert value(samples, "loads_state", state="own") == 0
    assert value(samples, "loads_age_seconds") == 1.5
    assert value(samples, "loads_agreed_instances") == 2
    assert value(samples, "loads_refused_total") == 1
    without = expose(dispatcher.state(NOW_S))[0]
    assert b"router_loads_" not in without


def test_what_redis_refuses_is_told_by_part(dispatcher: Dispatcher) -> None:
    samples = samples_of(full_snapshot())
    told = {dict(labels)["part"]: number for (name, labels), number in samples.items() if name == "redis_right_missing"}
    assert told == {"table": 0.0, "announcements": 0.0, "energy": 1.0, "loads": 0.0, "presence": 0.0}
    assert b"router_redis_" not in expose(dispatcher.state(NOW_S))[0]


def test_a_name_that_another_router_has_is_told(dispatcher: Dispatcher) -> None:
    assert value(samples_of(full_snapshot()), "name_taken") == 1
    snapshot = dispatcher.state(NOW_S)
    assert b"name_taken" not in expose(snapshot)[0]
    snapshot.redis = RedisView()
    assert value(samples_of(snapshot), "name_taken") == 0


def test_what_discovery_knows_by_pool() -> None:
    samples = samples_of(full_snapshot())
    assert value(samples, "discovery_age_seconds", pool_id="bf16") == 3.0
    assert value(samples, "discovery_failures_total", pool_id="bf16") == 4
    assert value(samples, "discovery_endpoints", pool_id="bf16", state="draining") == 1


def test_a_pool_that_was_never_told_has_no_age_and_no_endpoints(dispatcher: Dispatcher) -> None:
    snapshot = dispatcher.state(NOW_S)
    snapshot.discovery = [DiscoveryView("bf16", "dns", told=False, age_s=None, endpoints={"ready": 0}, failures=1)]
    names = {name for name, _ in samples_of(snapshot) if name.startswith("discovery")}
    assert names == {"discovery_failures_total"}
