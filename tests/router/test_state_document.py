"""The document that the controller and people read."""

from __future__ import annotations

import json

import pytest

from router.dispatch import Dispatcher
from router.snapshot import ConfigView, LoadsView, RedisView
from router.state_document import state_document
from tests.fakes.routing import NOW_S, ask, choose, finish, router_file, table

SETTINGS = router_file({"bf16": 1, "fp8": 1}, cap=10)


def test_the_document_has_exactly_the_agreed_keys() -> None:
    dispatcher = Dispatcher(SETTINGS)
    dispatcher.apply_table(table({"standard": {"bf16": 1.0}}, sequence=42), NOW_S)
    document = json.loads(json.dumps(state_document(dispatcher.state(NOW_S + 2))))
    assert set(document) == {
        *("schema_version", "now_s", "ready", "draining", "workers", "table", "classes", "pools", "instances"),
        *("leaving", "connections", "config", "tenants", "discovery", "loads", "redis"),
    }
    assert (document["schema_version"], document["ready"], document["draining"]) == (1, True, False)
    assert document["table"] == {
        "state": "fresh",
        "sequence": 42,
        "issuer": "controller-a",
        "issued_at_s": NOW_S,
        "expires_at_s": NOW_S + 30,
        "clock_ahead_s": 0.0,
        "age_s": 2.0,
        "unknown_names": 0,
        "refused": {},
    }
    assert document["instances"][0] == {
        "instance_id": "bf16-0",
        "pool_id": "bf16",
        "precision": "bf16",
        "url": "http://127.0.0.1:9000",
        "state": "up",
        "in_flight": 0,
        "max_in_flight": 10,
        "draining": False,
        "probe_age_s": None,
        "tokens": {},
    }
    assert document["pools"][0] == {
        "pool_id": "bf16",
        "precision": "bf16",
        "instances": {"up": 1, "suspect": 0, "ejected": 0, "asleep": 0, "draining": 0},
        "in_flight": 0,
        "max_in_flight": 10,
    }
    assert document["connections"] == {"clients": 0, "engines": {}}
    assert document["config"] == {
        "workers_by_hash": {},
        "age_s": None,
        "reloads": {},
        "last_error": None,
        "needs_restart": [],
        "in_clear": [],
    }


def test_counts_of_a_class_are_summed_over_its_pools() -> None:
    dispatcher = Dispatcher(SETTINGS)
    for precision in ("bf16", "fp8", "fp8"):
        request = ask(dispatcher, x_wattroute_precision=precision)
        finish(dispatcher, choose(dispatcher, request), request, output_tokens=100)
    (told,) = state_document(dispatcher.state(NOW_S))["classes"]
    assert (told["requests"], told["finished"], told["input_tokens"], told["output_tokens"]) == (3, 3, 30, 300)
    assert told["output_tokens_by_pool"] == {"bf16": 100.0, "fp8": 200.0}


def test_draining_comes_before_any_other_state_of_an_instance() -> None:
    dispatcher = Dispatcher(SETTINGS)
    dispatcher.apply_table(table(draining=("bf16-0",)), NOW_S)
    bf16, fp8 = state_document(dispatcher.state(NOW_S))["pools"]
    assert (bf16["instances"]["draining"], bf16["instances"]["up"]) == (1, 0)
    assert (fp8["instances"]["draining"], fp8["instances"]["up"]) == (0, 1)


def test_ages_are_of_the_snapshots_time() -> None:
    snapshot = Dispatcher(SETTINGS).state(NOW_S)
    assert (state_document(snapshot)["table"]["age_s"], state_document(snapshot)["config"]["age_s"]) == (None, None)
    snapshot.config = ConfigView({"aa": 1}, loaded_at_s=NOW_S - 7)
    assert state_document(snapshot)["config"]["age_s"] == 7.0


def test_whose_looks_at_the_engines_count() -> None:
    snapshot = Dispatcher(SETTINGS).state(NOW_S)
    assert state_document(snapshot)["loads"] is None
    snapshot.loads = LoadsView("shared", age_s=1.0, routers=3, agreed=2)
    assert state_document(snapshot)["loads"] == {
        "state": "shared",
        "age_s": 1.0,
        "routers": 3,
        "agreed": 2,
        "refused": 0,
    }


def test_what_redis_refuses_is_told() -> None:
    snapshot = Dispatcher(SETTINGS).state(NOW_S)
    assert state_document(snapshot)["redis"] is None
    snapshot.redis = RedisView({"announcements": "&k"})
    assert state_document(snapshot)["redis"] == {"rights_missing": {"announcements": "&k"}, "name_taken": False}


def test_tokens_are_told_by_instance_and_class() -> None:
    dispatcher = Dispatcher(SETTINGS)
    request = ask(dispatcher)
    choice = choose(dispatcher, request)
    finish(dispatcher, choice, request, output_tokens=40)
    document = state_document(dispatcher.state(NOW_S + 1))
    tokens = {entry["instance_id"]: entry["tokens"] for entry in document["instances"]}
    (found,) = tokens[choice.spec.instance_id].values()
    assert (found["output"], found["streams"]) == (40, 0)
    assert [name for name, told in tokens.items() if told] == [choice.spec.instance_id]


def test_latencies_and_outcomes_of_a_class_are_summed_over_its_pools() -> None:
    dispatcher = Dispatcher(SETTINGS)
    empty = state_document(dispatcher.state(NOW_S))["classes"][0]
    assert (empty["outcomes"], sum(empty["ttft_s"]["counts"]), empty["ttft_s"]["total"]) == ({}, 0, 0.0)
    for precision in ("bf16", "fp8", "fp8"):
        request = ask(dispatcher, x_wattroute_precision=precision)
        choice = choose(dispatcher, request)
        dispatcher.first_byte(choice, 0.2)
        finish(dispatcher, choice, request, output_tokens=100, ttft_s=0.2)
    (told,) = json.loads(json.dumps(state_document(dispatcher.state(NOW_S))))["classes"]
    assert told["outcomes"] == {"ok": 3}
    ttft, itl = told["ttft_s"], told["itl_s"]
    assert (ttft["counts"][ttft["bounds"].index(0.25)], sum(ttft["counts"])) == (3, 3)
    assert (itl["counts"][itl["bounds"].index(0.01)], len(itl["counts"])) == (3, len(itl["bounds"]) + 1)
    assert (ttft["total"], itl["total"]) == (pytest.approx(0.6), pytest.approx(3 * 0.8 / 99))
