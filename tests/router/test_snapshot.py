"""Snapshots of several workers add up to one, and become the document the controller reads."""

from __future__ import annotations

import msgspec
import pytest

from router.canary import Sample
from router.contract import ClassId
from router.dispatch import Dispatcher, Outcome
from router.exchange import Ask, Choice
from router.histogram import Histogram
from router.snapshot import ConfigView, Snapshot, counts_of, merge
from router.state_document import state_document
from tests.fakes.routing import NOW_S, ask, choose, fail, finish, router_file, table

SETTINGS = router_file({"bf16": 1, "fp8": 1}, cap=10)


def worker() -> Dispatcher:
    return Dispatcher(SETTINGS)


def serve(dispatcher: Dispatcher, requests: int, *, left_open: int = 0) -> list[tuple[Choice, Ask]]:
    for _ in range(requests):
        request = ask(dispatcher)
        finish(dispatcher, choose(dispatcher, request), request, output_tokens=100)
    still_open = []
    for _ in range(left_open):
        request = ask(dispatcher)
        still_open.append((choose(dispatcher, request), request))
    return still_open


def test_counts_of_workers_are_summed() -> None:
    one, two = worker(), worker()
    serve(one, 4, left_open=2)
    serve(two, 6, left_open=1)
    document = state_document(merge([one.state(NOW_S), two.state(NOW_S + 1)]))
    assert document["now_s"] == NOW_S + 1
    (standard,) = document["classes"]
    for latency in (standard.pop("ttft_s"), standard.pop("itl_s")):
        assert len(latency["counts"]) == len(latency["bounds"]) + 1
    assert standard == {
        "class_id": "standard",
        "requests": 13,
        "finished": 10,
        "input_tokens": 100,
        "output_tokens": 1000,
        "refused": 0,
        "outcomes": {"ok": 10},
        "in_flight": 3,
        "queued": 0,
        "queued_bytes": 0,
        "output_tokens_by_pool": {"bf16": 500.0, "fp8": 500.0},
    }
    assert sum(instance["in_flight"] for instance in document["instances"]) == 3
    assert {instance["max_in_flight"] for instance in document["instances"]} == {10}


def test_what_workers_have_on_engines_that_left_is_summed() -> None:
    one, two = worker(), worker()
    serve(one, 0, left_open=2)
    serve(two, 0, left_open=4)
    for dispatcher in (one, two):
        dispatcher.reconfigure(router_file({"bf16": 1}, cap=10))
    document = state_document(merge([one.state(NOW_S), two.state(NOW_S)]))
    assert document["leaving"] == [
        {"url": "http://127.0.0.1:9001", "pool_id": "fp8", "precision": "fp8", "in_flight": 3}
    ]


def test_a_merge_leaves_the_workers_counts_alone() -> None:
    one, two = worker(), worker()
    serve(one, 1)
    serve(two, 1)
    snapshots = [one.state(NOW_S), two.state(NOW_S)]
    assert state_document(merge(snapshots)) == state_document(merge(snapshots))
    assert one.state(NOW_S).classes[0].requests == 1


def test_the_table_is_the_one_all_workers_obey() -> None:
    one, two = worker(), worker()
    one.apply_table(table({"standard": {"bf16": 1.0}}, sequence=7), NOW_S)
    mixed = merge([one.state(NOW_S), two.state(NOW_S)]).table
    assert (mixed.sequence, mixed.state, mixed.issuer) == (-1, "static", None)
    two.apply_table(table({"standard": {"bf16": 1.0}}, sequence=8), NOW_S)
    both = merge([two.state(NOW_S), one.state(NOW_S)]).table
    assert (both.sequence, both.state, both.issuer) == (7, "fresh", "controller-a")


def test_an_instance_is_as_bad_as_its_worst_worker_sees_it_and_drains_when_all_say_so() -> None:
    one, two = worker(), worker()
    fail(one, ask(one, x_wattroute_precision="fp8"), Outcome.RESET, times=3)
    one.apply_table(table(draining=("bf16-0",)), NOW_S)
    first = {view.instance_id: view for view in merge([one.state(NOW_S), two.state(NOW_S)]).instances}
    assert first["fp8-0"].state == "ejected"
    assert not first["bf16-0"].draining
    two.apply_table(table(draining=("bf16-0",)), NOW_S)
    second = {view.instance_id: view for view in merge([one.state(NOW_S), two.state(NOW_S)]).instances}
    assert second["bf16-0"].draining


def test_counters_add_up_and_the_largest_gauge_counts() -> None:
    one, two = worker().state(NOW_S), worker().state(NOW_S)
    one.counters, two.counters = {"connections": 3}, {"connections": 4, "bad_heads": 1}
    one.gauges, two.gauges = {"event_loop_lag_seconds": 0.1}, {"event_loop_lag_seconds": 0.4}
    whole = merge([one, two])
    assert whole.counters == {"connections": 7, "bad_heads": 1}
    assert whole.gauges == {"event_loop_lag_seconds": 0.4}


def test_one_ready_worker_is_enough() -> None:
    one, two = worker(), worker()
    one.apply_table(table(draining=("bf16-0", "fp8-0")), NOW_S)
    assert merge([one.state(NOW_S), two.state(NOW_S)]).ready
    assert not merge([one.state(NOW_S)]).ready


def test_a_snapshot_passes_between_processes() -> None:
    dispatcher = worker()
    serve(dispatcher, 3, left_open=1)
    dispatcher.count_refusal("too_large")
    snapshot = dispatcher.state(NOW_S)
    assert msgspec.json.decode(msgspec.json.encode(snapshot), type=Snapshot) == snapshot


def test_what_processes_hold_is_summed_and_the_worst_of_their_configurations_shown() -> None:
    one, two = worker().state(NOW_S), worker().state(NOW_S)
    one.sums, two.sums = {"client_connections": 3.0}, {"client_connections": 4.0}
    one.engine_connections, two.engine_connections = {"busy": 1, "idle": 2}, {"busy": 5}
    two.overhead = Histogram((0.1,), [1, 2], 3.0)
    two.draining = True
    one.config = ConfigView({"aa": 1}, loaded_at_s=NOW_S)
    two.config = ConfigView({"aa": 1}, reloads={"refused": 1}, error="f.yaml:3: no", needs_restart=("router.port",))
    one.instances[0].probe_age_s, two.instances[0].probe_age_s = 3.0, 1.0
    whole = merge([one, two, merge([one, two])])
    document = state_document(whole)
    assert document["draining"]
    assert document["connections"] == {"clients": 14, "engines": {"busy": 12, "idle": 4}}
    assert document["instances"][0]["probe_age_s"] == 1.0
    assert document["config"]["workers_by_hash"] == {"aa": 4}
    assert document["config"]["last_error"] == "f.yaml:3: no"
    assert document["config"]["needs_restart"] == ["router.port"]
    assert whole.overhead == Histogram((0.1,), [2, 4], 6.0)


def test_of_an_ended_worker_the_counts_remain_and_nothing_else() -> None:
    one, two = worker(), worker()
    serve(one, 4, left_open=2)
    ended = one.state(NOW_S)
    ended.counters, ended.gauges, ended.sums = {"connections": 3}, {"event_loop_lag_seconds": 9.0}, {"x": 5.0}
    ended.engine_connections = {"busy": 2}
    ended.config.reloads, ended.config.workers_by_hash = {"taken": 1}, {"abc": 1}
    past = counts_of(ended)
    assert (past.ready, past.gauges, past.sums, past.engine_connections) == (False, {}, {}, {})
    assert (past.config.reloads, past.config.workers_by_hash) == ({"taken": 1}, {})
    whole = merge([two.state(NOW_S), past])
    assert (whole.classes[0].requests, whole.classes[0].finished, whole.classes[0].in_flight) == (6, 4, 0)
    assert whole.counters == {"connections": 3}
    assert {view.in_flight for view in whole.instances} == {0}
    assert ended.classes[0].in_flight == 2, "the report itself is left as it was"


def test_without_workers_there_is_no_state() -> None:
    with pytest.raises(ValueError, match="no worker"):
        merge([])


def test_samples_of_all_workers_are_shown_and_none_of_one_that_has_ended() -> None:
    one, two = (Sample(str(n), "/v1/completions", ClassId("standard"), "{}") for n in range(2))
    first, second = worker().state(NOW_S), worker().state(NOW_S)
    first.samples, second.samples = [one], [two]
    assert merge([first, second]).samples == [one, two]
    assert counts_of(first).samples == []
