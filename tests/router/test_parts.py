"""Other settings are obeyed while requests are in flight and waiting, and nothing that was learnt is lost."""

from __future__ import annotations

from typing import Any

import pytest

from router.contract import ClassId, InstanceId
from router.dispatch import Choice, Dispatcher, Outcome, Refusal
from router.exchange import Ask
from router.fleet import EngineLoad
from router.openai import RequestFacts, Usage
from router.parts import make_parts
from router.settings import RouterFile
from router.tenants.keys import digest_of, written
from router.tenants.source import read_tenants
from tests.fakes.routing import NOW_S, ask, choose, fail, finish, table

URLS = {"a": "http://127.0.0.1:9001", "b": "http://127.0.0.1:9002", "c": "http://127.0.0.1:9003"}


def pool(name: str, *engines: str, **over: Any) -> dict[str, Any]:
    return {
        "name": name,
        "precision": name.partition("-")[0],
        "instances": [URLS[engine] for engine in engines],
        "max_in_flight": 4,
        **over,
    }


def settings(*pools: dict[str, Any], **sections: Any) -> RouterFile:
    return RouterFile.model_validate({"pools": list(pools), **sections})


def views(dispatcher: Dispatcher) -> dict[str, tuple[str, str, int]]:
    return {view.url: (view.instance_id, view.state, view.in_flight) for view in dispatcher.state(NOW_S).instances}


def end(dispatcher: Dispatcher, choice: Choice, request: Ask, tokens: int = 10) -> None:
    finish(dispatcher, choice, request, output_tokens=tokens)


def test_requests_in_flight_stay_counted_where_they_are() -> None:
    dispatcher = Dispatcher(settings(pool("bf16", "a", "b")))
    request = ask(dispatcher)
    held = [choose(dispatcher, request) for _ in range(4)]
    dispatcher.reconfigure(settings(pool("bf16", "b", "c")))
    assert views(dispatcher) == {URLS["b"]: ("bf16-0", "up", 2), URLS["c"]: ("bf16-1", "up", 0)}
    for choice in held:
        end(dispatcher, choice, request)
    assert views(dispatcher) == {URLS["b"]: ("bf16-0", "up", 0), URLS["c"]: ("bf16-1", "up", 0)}
    counts = dispatcher.state(NOW_S).classes[0]
    assert (counts.requests, counts.finished, counts.in_flight) == (1, 4, 0)


def test_what_engines_that_left_still_have_is_told_until_it_ends() -> None:
    dispatcher = Dispatcher(settings(pool("bf16", "a", "b")))
    request = ask(dispatcher)
    held = [choose(dispatcher, request) for _ in range(4)]
    dispatcher.reconfigure(settings(pool("bf16", "b", "c")))
    assert [(view.url, view.pool_id, view.in_flight) for view in dispatcher.state(NOW_S).leaving] == [
        (URLS["a"], "bf16", 2)
    ]
    dispatcher.reconfigure(settings(pool("bf16", "c")))
    assert {view.url: view.in_flight for view in dispatcher.state(NOW_S).leaving} == {URLS["a"]: 2, URLS["b"]: 2}
    for choice in held:
        end(dispatcher, choice, request)
    assert dispatcher.state(NOW_S).leaving == []


def test_an_engine_that_returns_has_what_it_had_when_it_left() -> None:
    both, one = settings(pool("bf16", "a", "b")), settings(pool("bf16", "b"))
    dispatcher = Dispatcher(both)
    request = ask(dispatcher)
    held = [choose(dispatcher, request) for _ in range(8)]
    for file in (one, settings(pool("bf16", "b", "c")), both):
        dispatcher.reconfigure(file)
    assert dispatcher.state(NOW_S).leaving == []
    assert dispatcher.choose(request, NOW_S) is None, "both are at their caps"
    for choice in held:
        end(dispatcher, choice, request)
    assert views(dispatcher) == {URLS["a"]: ("bf16-0", "up", 0), URLS["b"]: ("bf16-1", "up", 0)}


def test_an_engine_that_left_gets_no_more_and_one_that_came_does() -> None:
    dispatcher = Dispatcher(settings(pool("bf16", "a")))
    dispatcher.reconfigure(settings(pool("bf16", "b"), pool("fp8", "c")))
    request = ask(dispatcher)
    chosen = {choose(dispatcher, request).spec.url for _ in range(6)}
    assert chosen == {URLS["b"], URLS["c"]}


def test_the_cap_counts_what_was_in_flight_before() -> None:
    dispatcher = Dispatcher(settings(pool("bf16", "a")))
    request = ask(dispatcher)
    held = [choose(dispatcher, request) for _ in range(4)]
    dispatcher.reconfigure(settings(pool("bf16", "a", max_in_flight=5)))
    choose(dispatcher, request)
    assert dispatcher.choose(request, NOW_S) is None
    dispatcher.reconfigure(settings(pool("bf16", "a", max_in_flight=2)))
    for choice in held[:3]:
        end(dispatcher, choice, request)
        assert dispatcher.choose(request, NOW_S) is None
    end(dispatcher, held[3], request)
    assert isinstance(dispatcher.choose(request, NOW_S), Choice)


def test_health_is_taken_over_with_new_thresholds() -> None:
    dispatcher = Dispatcher(settings(pool("bf16", "a", "b")))
    dispatcher.probed(InstanceId("bf16-0"), ok=False, load=None, now_s=NOW_S)
    dispatcher.probed(InstanceId("bf16-1"), ok=True, load=EngineLoad(0, 0, 0.0, awake=False), now_s=NOW_S)
    health = {"health": {"eject_after": 2}}
    dispatcher.reconfigure(settings(pool("bf16", "b", "a"), router=health))
    assert views(dispatcher) == {URLS["b"]: ("bf16-0", "asleep", 0), URLS["a"]: ("bf16-1", "suspect", 0)}
    dispatcher.probed(InstanceId("bf16-1"), ok=False, load=None, now_s=NOW_S)
    assert views(dispatcher)[URLS["a"]][1] == "ejected"


def test_failures_of_an_engine_that_left_are_harmless() -> None:
    dispatcher = Dispatcher(settings(pool("bf16", "a")))
    request = ask(dispatcher)
    choice = choose(dispatcher, request)
    dispatcher.reconfigure(settings(pool("bf16", "b")))
    dispatcher.release(choice, request, Outcome.RESET, usage=None, chunks=0, duration_s=1.0, now_s=NOW_S)
    dispatcher.probed(InstanceId("bf16-7"), ok=False, load=None, now_s=NOW_S)
    assert views(dispatcher) == {URLS["b"]: ("bf16-0", "up", 0)}
    assert dispatcher.has_usable()


def test_a_new_engine_is_withheld_until_it_reports_while_others_are_awake() -> None:
    awake = EngineLoad(0, 0, 0.0, awake=True)
    dispatcher = Dispatcher(settings(pool("bf16", "a")))
    dispatcher.probed(InstanceId("bf16-0"), ok=True, load=awake, now_s=NOW_S)
    dispatcher.reconfigure(settings(pool("bf16", "a", "b")))
    request = ask(dispatcher)
    assert {choose(dispatcher, request).spec.url for _ in range(4)} == {URLS["a"]}
    dispatcher.probed(InstanceId("bf16-1"), ok=True, load=awake, now_s=NOW_S)
    assert choose(dispatcher, request).spec.url == URLS["b"]


def test_a_fleet_that_was_wholly_replaced_serves_at_once() -> None:
    dispatcher = Dispatcher(settings(pool("bf16", "a")))
    dispatcher.probed(InstanceId("bf16-0"), ok=True, load=EngineLoad(0, 0, 0.0, awake=True), now_s=NOW_S)
    dispatcher.reconfigure(settings(pool("bf16", "b")))
    assert choose(dispatcher, ask(dispatcher)).spec.url == URLS["b"]


def named(pool_name: str, **engines: str) -> dict[str, Any]:
    """A pool whose engines have names."""
    return pool(pool_name, instances=[{"name": name, "url": URLS[engine]} for name, engine in engines.items()])


def test_an_engine_whose_name_was_only_its_place_is_known_by_its_address() -> None:
    dispatcher = Dispatcher(settings(pool("bf16", "a")))
    choice = choose(dispatcher, request := ask(dispatcher))
    dispatcher.reconfigure(settings(named("bf16", x="a")))
    assert views(dispatcher) == {URLS["a"]: ("x", "up", 1)}
    dispatcher.reconfigure(settings(pool("bf16", "a")))
    assert views(dispatcher) == {URLS["a"]: ("bf16-0", "up", 1)}
    end(dispatcher, choice, request)
    assert views(dispatcher)[URLS["a"]][2] == 0


def test_another_engine_at_an_address_is_not_taken_for_the_one_before() -> None:
    dispatcher = Dispatcher(settings(named("bf16", old="a")))
    choice = choose(dispatcher, request := ask(dispatcher))
    for _ in range(5):
        dispatcher.probed(InstanceId("old"), ok=False, load=None, now_s=NOW_S)
    dispatcher.reconfigure(settings(named("bf16", new="a")))
    assert views(dispatcher) == {URLS["a"]: ("new", "up", 0)}
    assert [(view.url, view.in_flight) for view in dispatcher.state(NOW_S).leaving] == [(URLS["a"], 1)]
    dispatcher.reconfigure(settings(named("bf16", new="a", more="b")))
    assert [view.in_flight for view in dispatcher.state(NOW_S).leaving] == [1], "over further changes, too"
    end(dispatcher, choice, request)
    assert dispatcher.state(NOW_S).leaving == []
    assert views(dispatcher)[URLS["a"]] == ("new", "up", 0)


def test_an_engine_that_returns_at_another_address_begins_anew_under_its_name() -> None:
    dispatcher = Dispatcher(settings(named("bf16", x="a")))
    choice = choose(dispatcher, request := ask(dispatcher))
    dispatcher.reconfigure(settings(named("bf16", x="b")))
    assert views(dispatcher) == {URLS["b"]: ("x", "up", 0)}
    assert [view.url for view in dispatcher.state(NOW_S).leaving] == [URLS["a"]]
    end(dispatcher, choice, request)
    assert views(dispatcher) == {URLS["b"]: ("x", "up", 0)}


def test_a_pool_without_an_engine_refuses_and_keeps_its_counts() -> None:
    discovery = {"kind": "kubernetes", "service": "vllm"}
    bare = {"name": "bf16", "precision": "bf16", "discovery": discovery}
    dispatcher = Dispatcher(settings(bare))
    refusal = dispatcher.choose(ask(dispatcher), NOW_S)
    assert isinstance(refusal, Refusal)
    assert refusal.reason == "no_instance"
    dispatcher.reconfigure(settings(pool("bf16", "a")))
    request = ask(dispatcher)
    end(dispatcher, choose(dispatcher, request), request, tokens=10)
    dispatcher.reconfigure(settings(bare))
    assert [(item.pool_id, item.output_tokens) for item in dispatcher.state(NOW_S).traffic] == [("bf16", 10)]
    assert isinstance(dispatcher.choose(ask(dispatcher), NOW_S), Refusal)
    dispatcher.reconfigure(settings(pool("bf16", "a")))
    choose(dispatcher, ask(dispatcher))


def test_those_who_wait_go_on_waiting_and_get_a_slot_that_is_new() -> None:
    dispatcher = Dispatcher(settings(pool("bf16", "a", max_in_flight=1)))
    request = ask(dispatcher)
    choose(dispatcher, request)
    granted: list[Choice | Refusal] = []
    for _ in range(3):
        dispatcher.enqueue(request, NOW_S, granted.append)
    classes = [{"name": "standard", "max_queued": 0}]
    dispatcher.reconfigure(settings(pool("bf16", "a", max_in_flight=1), classes=classes))
    assert (granted, dispatcher.state(NOW_S).classes[0].queued) == ([], 3)
    dispatcher.reconfigure(settings(pool("bf16", "a", "b", max_in_flight=1), classes=classes))
    assert [choice.spec.url for choice in granted if isinstance(choice, Choice)] == [URLS["b"]]
    dispatcher.expire(NOW_S + 31)
    assert [item.reason for item in granted if isinstance(item, Refusal)] == ["wait_too_long", "wait_too_long"]


def test_a_place_in_the_queue_can_still_be_given_up() -> None:
    dispatcher = Dispatcher(settings(pool("bf16", "a", max_in_flight=1)))
    request = ask(dispatcher)
    choose(dispatcher, request)
    ticket = dispatcher.enqueue(request, NOW_S, lambda _: None)
    dispatcher.reconfigure(settings(pool("bf16", "a", max_in_flight=1)))
    dispatcher.cancel(ticket)
    assert dispatcher.state(NOW_S).classes[0].queued == 0


TWO = [{"name": "gold"}, {"name": "standard"}]


def test_a_class_that_is_gone_ends_with_its_last_request() -> None:
    dispatcher = Dispatcher(settings(pool("bf16", "a", max_in_flight=1), classes=TWO, default_class="standard"))
    request = ask(dispatcher, x_wattroute_class="gold")
    held = choose(dispatcher, request)
    granted: list[Choice | Refusal] = []
    dispatcher.enqueue(request, NOW_S, granted.append)
    one = settings(pool("bf16", "a", max_in_flight=1), classes=TWO[1:])
    dispatcher.reconfigure(one)
    hints = dispatcher.hints({b"x-wattroute-class": b"gold"})
    assert isinstance(hints, Refusal)
    assert {counts.class_id for counts in dispatcher.state(NOW_S).classes} == {"gold", "standard"}
    end(dispatcher, held, request)
    (waited,) = granted
    assert isinstance(waited, Choice)
    end(dispatcher, waited, request)
    dispatcher.reconfigure(one)
    assert {counts.class_id for counts in dispatcher.state(NOW_S).classes} == {"standard"}


def test_a_class_that_ends_without_any_pool_left_is_told_so() -> None:
    classes = [{"name": "gold", "precisions": ["bf16"]}, {"name": "standard"}]
    dispatcher = Dispatcher(settings(pool("bf16", "a"), pool("fp8", "b"), classes=classes, default_class="standard"))
    request = ask(dispatcher, x_wattroute_class="gold")
    held = choose(dispatcher, request)
    dispatcher.reconfigure(settings(pool("fp8", "b"), classes=classes[1:]))
    refusal = dispatcher.choose(request, NOW_S)
    assert isinstance(refusal, Refusal)
    assert refusal.reason == "no_instance"
    end(dispatcher, held, request)


def test_counts_of_classes_and_pools_that_stay_go_on() -> None:
    two = settings(pool("bf16", "a"), pool("fp8", "b"))
    dispatcher = Dispatcher(two)
    pinned = ask(dispatcher, x_wattroute_precision="fp8")
    end(dispatcher, choose(dispatcher, pinned), pinned, 50)
    request = ask(dispatcher, x_wattroute_precision="bf16")
    end(dispatcher, choose(dispatcher, request), request, 70)
    dispatcher.reconfigure(settings(pool("fp8", "b", static_weight=3)))
    (traffic,) = dispatcher.state(NOW_S).traffic
    assert (traffic.pool_id, traffic.output_tokens) == ("fp8", 50)
    assert dispatcher.state(NOW_S).classes[0].finished == 2


def test_the_shares_are_followed_over_the_change() -> None:
    """What was promised before is settled, and new weights are followed from then on."""

    def served(dispatcher: Dispatcher, requests: int) -> dict[str, int]:
        tokens: dict[str, int] = {}
        for _ in range(requests):
            request = ask(dispatcher)
            choice = choose(dispatcher, request)
            end(dispatcher, choice, request, 100)
            tokens[choice.spec.pool_id] = tokens.get(choice.spec.pool_id, 0) + 100
        return tokens

    def weighted(bf16: float, fp8: float, *more: str) -> RouterFile:
        return settings(pool("bf16", "a", *more, static_weight=bf16), pool("fp8", "b", static_weight=fp8))

    dispatcher = Dispatcher(weighted(3, 1))
    before = served(dispatcher, 400)
    for number in range(10):
        dispatcher.reconfigure(weighted(3, 1, *(["c"] if number % 2 else [])))
        for name, tokens in served(dispatcher, 40).items():
            before[name] += tokens
    assert before["bf16"] / sum(before.values()) == pytest.approx(0.75, abs=0.01)
    dispatcher.reconfigure(weighted(1, 1))
    after = served(dispatcher, 400)
    assert after["bf16"] / sum(after.values()) == pytest.approx(0.5, abs=0.02)


def test_the_table_stays_in_force() -> None:
    dispatcher = Dispatcher(settings(pool("bf16", "a"), pool("fp8", "b")))
    dispatcher.apply_table(table({"standard": {"fp8": 1.0}}, sequence=9, caps={"fp8-0": 2}), NOW_S)
    dispatcher.reconfigure(settings(pool("bf16", "a", static_weight=5), pool("fp8", "b")))
    request = ask(dispatcher)
    choice = choose(dispatcher, request)
    assert (choice.spec.pool_id, choice.sequence) == ("fp8", 9)
    assert {view.instance_id: view.max_in_flight for view in dispatcher.state(NOW_S).instances}["fp8-0"] == 2


def test_the_budget_of_retries_is_not_refilled() -> None:
    retry = {"retry": {"budget_frac": 0.0, "budget_min_per_s": 0.1}}
    dispatcher = Dispatcher(settings(pool("bf16", "a", "b"), router=retry))
    request = ask(dispatcher)
    assert dispatcher.may_retry(request, Outcome.ENGINE_BUSY, 1, NOW_S)
    dispatcher.count_retry(Outcome.ENGINE_BUSY)
    assert not dispatcher.may_retry(request, Outcome.ENGINE_BUSY, 1, NOW_S)
    dispatcher.reconfigure(settings(pool("bf16", "a", "b"), router=retry))
    assert not dispatcher.may_retry(request, Outcome.ENGINE_BUSY, 1, NOW_S)


def test_lengths_learnt_are_kept() -> None:
    dispatcher = Dispatcher(settings(pool("bf16", "a")))
    for _ in range(200):
        request = ask(dispatcher)
        end(dispatcher, choose(dispatcher, request), request, 2000)
    dispatcher.reconfigure(settings(pool("bf16", "a")))
    assert ask(dispatcher).expected_tokens > 1500


def test_the_same_again_changes_nothing() -> None:
    same = settings(pool("bf16", "a", "b"), pool("fp8", "c"))
    dispatcher = Dispatcher(same)
    request = ask(dispatcher)
    held = [choose(dispatcher, request) for _ in range(5)]
    fail(dispatcher, request, Outcome.RESET)
    before = views(dispatcher)
    for _ in range(3):
        dispatcher.reconfigure(same)
    assert views(dispatcher) == before
    for choice in held:
        end(dispatcher, choice, request)
    assert sum(in_flight for _, _, in_flight in views(dispatcher).values()) == 0


def test_parts_are_made_of_settings() -> None:
    parts = make_parts(settings(pool("bf16", "a"), classes=TWO), ())
    assert list(parts.policies) == [ClassId("gold"), ClassId("standard")]
    assert [spec.instance_id for spec in parts.specs] == ["bf16-0"]
    assert parts.roster is None


def test_waiting_is_measured() -> None:
    dispatcher = Dispatcher(settings(pool("bf16", "a", max_in_flight=1)))
    request = ask(dispatcher, RequestFacts(body_bytes=100, valid=True))
    held = choose(dispatcher, request)
    dispatcher.enqueue(request, NOW_S, lambda _: None)
    (counts,) = dispatcher.state(NOW_S).classes
    assert (counts.queued, counts.queued_bytes) == (1, 100)
    dispatcher.release(held, request, Outcome.OK, usage=Usage(7, 3), chunks=0, duration_s=1.0, now_s=NOW_S + 0.2)
    (traffic,) = dispatcher.state(NOW_S).traffic
    assert traffic.queue_wait.total == pytest.approx(0.2, abs=1e-6)
    assert (traffic.input_sizes.total, traffic.output_sizes.total) == (7, 3)


def test_the_age_of_a_probe_is_told() -> None:
    dispatcher = Dispatcher(settings(pool("bf16", "a")))
    assert dispatcher.state(NOW_S).instances[0].probe_age_s is None
    dispatcher.probed(InstanceId("bf16-0"), ok=True, load=None, now_s=NOW_S)
    dispatcher.probed(InstanceId("bf16-0"), ok=False, load=None, now_s=NOW_S + 3)
    assert dispatcher.state(NOW_S + 5).instances[0].probe_age_s == 5


def test_tenants_come_change_and_go() -> None:
    def tenants(*names: str) -> RouterFile:
        listed = [{"name": name, "keys": [written(digest_of(f"sk-{name}".encode()))]} for name in names]
        return settings(pool("bf16", "a"), tenants={"list": listed})

    def answer(dispatcher: Dispatcher, name: str) -> str:
        hints = dispatcher.hints({b"authorization": f"Bearer sk-{name}".encode()})
        found = dispatcher.ask(hints, RequestFacts(valid=True), NOW_S)
        return found.reason if isinstance(found, Refusal) else "served"

    open_ = settings(pool("bf16", "a"))
    dispatcher = Dispatcher(open_)
    assert answer(dispatcher, "nobody") == "served"
    dispatcher.reconfigure(tenants("ann"), read_tenants(tenants("ann")))
    assert [answer(dispatcher, name) for name in ("nobody", "ann")] == ["invalid_api_key", "served"]
    dispatcher.reconfigure(tenants("bob"), read_tenants(tenants("bob")))
    assert [answer(dispatcher, name) for name in ("ann", "bob")] == ["invalid_api_key", "served"]
    assert {counts.tenant for counts in dispatcher.state(NOW_S).tenants} >= {"ann", "bob"}
    dispatcher.reconfigure(open_)
    assert answer(dispatcher, "nobody") == "served"
