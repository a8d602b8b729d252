"""The life of requests through the dispatcher: choosing, waiting, retrying, and obeying tables."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from router.affinity import position_of
from router.contract import EventNotice, EventState, InstanceId
from router.dispatch import Ask, Choice, Dispatcher, Outcome, Refusal
from router.fleet import EngineLoad
from router.openai import RequestFacts
from router.snapshot import InstanceView
from tests.fakes.routing import NOW_S, ask, choose, fail, finish, router_file, table
from tests.fakes.shared_workers import shared_workers

CLASSES: list[dict[str, Any]] = [
    {"name": "standard", "max_queued": 3, "max_wait_s": 10},
    {"name": "premium", "precisions": ["bf16"], "max_queued": 3, "max_wait_s": 20},
    {"name": "flex", "pin_allowed": False},
]


class Waiting:
    """A client in a queue."""

    def __init__(self) -> None:
        self.grants: list[Choice | Refusal] = []

    def __call__(self, grant: Choice | Refusal) -> None:
        self.grants.append(grant)

    @property
    def choice(self) -> Choice:
        (found,) = self.grants
        assert isinstance(found, Choice), found
        return found

    @property
    def refusal(self) -> Refusal:
        (found,) = self.grants
        assert isinstance(found, Refusal), found
        return found


def build(numbers: dict[str, int] | None = None, *, cap: int = 4, **sections: Any) -> Dispatcher:
    return Dispatcher(router_file(numbers, classes=CLASSES, cap=cap, **sections))


def fill(dispatcher: Dispatcher, request: Ask) -> list[Choice]:
    held = []
    while isinstance(found := dispatcher.choose(request, NOW_S), Choice):
        held.append(found)
    assert found is None
    return held


def wait(dispatcher: Dispatcher, request: Ask, now_s: float = NOW_S) -> tuple[Waiting, object]:
    waiting = Waiting()
    ticket = dispatcher.enqueue(request, now_s, waiting)
    assert not isinstance(ticket, Refusal)
    return waiting, ticket


def view(dispatcher: Dispatcher, instance_id: str) -> InstanceView:
    return next(item for item in dispatcher.state(NOW_S).instances if item.instance_id == instance_id)


def refusals(dispatcher: Dispatcher, class_id: str = "standard") -> dict[str, int]:
    return next(item.refused for item in dispatcher.state(NOW_S).classes if item.class_id == class_id)


# Asking


def test_an_ask_carries_what_routing_needs() -> None:
    dispatcher = build()
    facts = RequestFacts(model="qwen@bf16", session_key="u1", max_tokens=16, valid=True)
    request = ask(dispatcher, facts, x_wattroute_class="premium")
    assert (request.class_id, request.precision, request.engine_model) == ("premium", "bf16", "qwen")
    assert (request.position, request.is_session, request.expected_tokens) == (position_of("u1"), True, 16.0)


@pytest.mark.parametrize(
    ("headers", "status", "reason"),
    [
        ({"x_wattroute_class": "gold"}, 400, "unknown_class"),
        ({"x_wattroute_precision": "fp4"}, 400, "unknown_precision"),
        ({"x_wattroute_precision": "int8"}, 400, "precision_not_offered"),
        ({"x_wattroute_class": "flex", "x_wattroute_precision": "fp8"}, 403, "pin_not_allowed"),
        ({"x_wattroute_class": "premium", "x_wattroute_precision": "fp8"}, 403, "precision_not_allowed"),
    ],
)
def test_what_cannot_be_is_refused_and_counted(headers: dict[str, str], status: int, reason: str) -> None:
    dispatcher = build()
    values = {name.replace("_", "-").encode(): value.encode() for name, value in headers.items()}
    refusal = dispatcher.ask(dispatcher.hints(values), RequestFacts(), NOW_S)
    assert isinstance(refusal, Refusal)
    assert (refusal.status, refusal.reason) == (status, reason)
    state = dispatcher.state(NOW_S)
    counted = [*(item.refused for item in state.classes), state.unclassified]
    assert [refused for refused in counted if refused] == [{reason: 1}]
    assert sum(item.requests for item in state.classes) == 0


def test_a_body_that_is_no_json_goes_on_to_the_engine_which_knows_better() -> None:
    dispatcher = build()
    assert isinstance(dispatcher.ask(dispatcher.hints({}), RequestFacts(valid=False), NOW_S), Ask)


@pytest.mark.parametrize("module", ["classify", "dispatch"])
def test_every_reason_is_in_the_reference(module: str) -> None:
    root = Path(__file__).parents[2]
    reasons = re.findall(r'Refusal\(\s*\d{3},\s*"([a-z_]+)"', (root / "router" / f"{module}.py").read_text())
    text = (root / "docs" / "reference" / "router.md").read_text()
    assert reasons
    assert [reason for reason in reasons if f"`{reason}`" not in text] == []


def test_the_session_of_the_head_comes_before_that_of_the_body() -> None:
    dispatcher = build()
    facts = RequestFacts(session_key="user-1", valid=True)
    found = [ask(dispatcher, facts, x_session_id="s1"), ask(dispatcher, facts), ask(dispatcher)]
    assert [request.position for request in found] == [position_of("s1"), position_of("user-1"), None]
    assert [request.is_session for request in found] == [True, True, False]


def test_without_affinity_no_request_belongs_to_another() -> None:
    dispatcher = build(router={"affinity": "none"})
    facts = RequestFacts(session_key="user-1", valid=True)
    assert ask(dispatcher, facts, x_session_id="s1", x_wattroute_precision="bf16").position is None
    assert ask(dispatcher, facts).position is None


def test_hints_kept_by_the_data_path_count_with_every_request() -> None:
    dispatcher = build()
    good, bad = dispatcher.hints({}), dispatcher.hints({b"x-wattroute-class": b"gold"})
    for _ in range(3):
        assert isinstance(dispatcher.ask(good, RequestFacts(), NOW_S), Ask)
        assert dispatcher.ask(bad, RequestFacts(), NOW_S) is bad
    state = dispatcher.state(NOW_S)
    assert (state.classes[0].requests, state.unclassified) == (3, {"unknown_class": 3})


# Choosing


def test_a_choice_tells_where_to_go_and_what_to_tell_the_client() -> None:
    dispatcher = build({"bf16": 1, "fp8": 1})
    dispatcher.apply_table(table({"standard": {"fp8": 1.0}}, sequence=42), NOW_S)
    choice = choose(dispatcher, ask(dispatcher))
    assert (choice.spec.instance_id, choice.spec.pool_id, choice.spec.precision) == ("fp8-0", "fp8", "fp8")
    assert (*choice.spec.address, choice.class_id, choice.sequence) == ("127.0.0.1", 9001, "standard", 42)
    assert choice.degraded


def test_the_best_precision_the_request_may_have_is_not_degraded() -> None:
    dispatcher = build({"bf16": 1, "fp8": 1})
    assert not choose(dispatcher, ask(dispatcher, x_wattroute_class="premium")).degraded
    assert not choose(dispatcher, ask(dispatcher, x_wattroute_precision="fp8")).degraded, "the client asked for it"


def test_a_class_is_never_served_at_a_precision_it_may_not_have() -> None:
    dispatcher = build({"bf16": 1, "fp8": 1})
    dispatcher.apply_table(table({"premium": {"fp8": 1.0}}), NOW_S)
    request = ask(dispatcher, x_wattroute_class="premium")
    assert {choice.spec.precision for choice in fill(dispatcher, request)} == {"bf16"}


def test_caps_hold() -> None:
    dispatcher = build({"bf16": 2, "fp8": 1}, cap=3)
    assert len(fill(dispatcher, ask(dispatcher))) == 9
    assert {item.in_flight for item in dispatcher.state(NOW_S).instances} == {3}


def test_caps_of_a_table_hold_at_once() -> None:
    dispatcher = build({"bf16": 1}, cap=100)
    request = ask(dispatcher)
    held = [choose(dispatcher, request) for _ in range(10)]
    dispatcher.apply_table(table(caps={"bf16-0": 5}), NOW_S)
    for choice in held[:5]:
        assert dispatcher.choose(request, NOW_S) is None
        finish(dispatcher, choice, request)
    finish(dispatcher, held[5], request)
    assert isinstance(dispatcher.choose(request, NOW_S), Choice)
    assert view(dispatcher, "bf16-0").max_in_flight == 5


def test_a_second_release_does_nothing() -> None:
    dispatcher = build({"bf16": 1})
    request = ask(dispatcher)
    choice, other = choose(dispatcher, request), choose(dispatcher, request)
    finish(dispatcher, choice, request)
    finish(dispatcher, choice, request, outcome=Outcome.RESET)
    assert view(dispatcher, "bf16-0").in_flight == 1
    assert view(dispatcher, "bf16-0").state == "up"
    finish(dispatcher, other, request)
    (counts, *_) = dispatcher.state(NOW_S).classes
    assert (counts.in_flight, counts.finished) == (0, 2)


def test_a_cap_holds_for_all_workers_together() -> None:
    with shared_workers(router_file({"bf16": 1}, cap=5), 2) as workers:
        one, two = workers.dispatchers
        choose(one, ask(one))
        assert len(fill(two, ask(two))) == 4
        assert fill(one, ask(one)) == []


# Waiting


def test_a_freed_slot_goes_to_who_waits_longest() -> None:
    dispatcher = build({"bf16": 1}, cap=1)
    request = ask(dispatcher)
    (held,) = fill(dispatcher, request)
    first, _ = wait(dispatcher, request)
    second, _ = wait(dispatcher, request)
    finish(dispatcher, held, request)
    assert second.grants == []
    finish(dispatcher, first.choice, request)
    assert second.choice.spec.instance_id == "bf16-0"
    finish(dispatcher, second.choice, request)
    assert view(dispatcher, "bf16-0").in_flight == 0


def test_who_left_the_queue_is_not_served() -> None:
    dispatcher = build({"bf16": 1}, cap=1)
    request = ask(dispatcher)
    (held,) = fill(dispatcher, request)
    gone, ticket = wait(dispatcher, request)
    next_one, later_ticket = wait(dispatcher, request)
    dispatcher.cancel(ticket)
    dispatcher.cancel(ticket)
    finish(dispatcher, held, request)
    assert gone.grants == []
    dispatcher.cancel(later_ticket)
    assert next_one.choice.spec.instance_id == "bf16-0"
    assert view(dispatcher, "bf16-0").in_flight == 1


def test_a_full_queue_refuses_with_429() -> None:
    dispatcher = build({"bf16": 1}, cap=1)
    request = ask(dispatcher)
    fill(dispatcher, request)
    for _ in range(3):
        wait(dispatcher, request)
    refusal = dispatcher.enqueue(request, NOW_S, Waiting())
    assert isinstance(refusal, Refusal)
    assert (refusal.status, refusal.reason, refusal.retry_after_s) == (429, "queue_full", 1.0)
    assert refusals(dispatcher) == {"queue_full": 1}


def test_large_bodies_fill_a_queue_before_many_requests_do() -> None:
    classes = [{"name": "flex", "max_queued": 100, "max_queued_bytes": 10_000}]
    dispatcher = Dispatcher(router_file({"bf16": 1}, classes=classes, cap=1))
    small = ask(dispatcher, RequestFacts(body_bytes=1_000, valid=True))
    large = ask(dispatcher, RequestFacts(body_bytes=8_000, valid=True))
    (held,) = fill(dispatcher, small)
    first, _ = wait(dispatcher, large)
    second, _ = wait(dispatcher, small)
    refusal = dispatcher.enqueue(large, NOW_S, Waiting())
    assert isinstance(refusal, Refusal)
    assert (refusal.status, refusal.reason) == (429, "queue_full")
    finish(dispatcher, held, small)
    third, _ = wait(dispatcher, large)
    assert (len(first.grants), second.grants, third.grants) == (1, [], [])


def test_those_who_wait_are_served_in_the_order_of_their_arrival() -> None:
    dispatcher = build({"bf16": 2}, cap=1)
    flex = ask(dispatcher, x_wattroute_class="flex")
    held = fill(dispatcher, flex)
    order: list[int] = []

    def queue(number: int) -> None:
        def granted(grant: Choice | Refusal) -> None:
            assert isinstance(grant, Choice)
            order.append(number)
            held.append(grant)

        assert not isinstance(dispatcher.enqueue(flex, NOW_S, granted), Refusal)

    for number in range(50):
        queue(number)
    while held:
        finish(dispatcher, held.pop(0), flex)
    assert order == list(range(50))


def test_who_waits_too_long_is_refused_with_503() -> None:
    dispatcher = build({"bf16": 1}, cap=1)
    request = ask(dispatcher)
    (held,) = fill(dispatcher, request)
    waiting, _ = wait(dispatcher, request)
    dispatcher.expire(NOW_S + 9)
    assert waiting.grants == []
    dispatcher.expire(NOW_S + 10)
    assert (waiting.refusal.status, waiting.refusal.reason) == (503, "wait_too_long")
    finish(dispatcher, held, request, now_s=NOW_S + 11)
    assert len(waiting.grants) == 1
    assert view(dispatcher, "bf16-0").in_flight == 0


def test_during_an_event_refused_clients_are_told_when_it_ends() -> None:
    dispatcher = build({"bf16": 1}, cap=1)
    dispatcher.apply_table(table(event=EventNotice("e1", EventState.ACTIVE, NOW_S + 90), ttl_s=300), NOW_S)
    request = ask(dispatcher)
    fill(dispatcher, request)
    waiting, _ = wait(dispatcher, request)
    for _ in range(2):
        wait(dispatcher, request)
    full = dispatcher.enqueue(request, NOW_S, Waiting())
    assert isinstance(full, Refusal)
    assert full.retry_after_s == 90.0
    dispatcher.expire(NOW_S + 10)
    assert waiting.refusal.retry_after_s == 80.0


def turn_over(dispatcher: Dispatcher, request: Ask, seconds: int) -> float:
    """One of three places in the queue is given and taken again each second; the time at the end."""
    held = fill(dispatcher, request)
    clients = [wait(dispatcher, request)[0] for _ in range(3)]
    for second in range(1, seconds + 1):
        for tenth in range(10):
            dispatcher.expire(NOW_S + second - 1 + tenth / 10)
        finish(dispatcher, held.pop(), request, now_s=NOW_S + second)
        held.append(clients.pop(0).choice)
        clients.append(wait(dispatcher, request, NOW_S + second)[0])
    return NOW_S + seconds


def test_a_refused_client_is_told_when_those_who_wait_will_have_been_served() -> None:
    dispatcher = build({"bf16": 1}, cap=1)
    request = ask(dispatcher)
    now_s = turn_over(dispatcher, request, 40)
    full = dispatcher.enqueue(request, now_s, Waiting())
    assert isinstance(full, Refusal)
    assert (full.reason, full.retry_after_s) == ("queue_full", pytest.approx(4.0, rel=0.1))


def test_during_an_event_a_class_that_is_served_is_not_sent_away_until_its_end() -> None:
    dispatcher = build({"bf16": 1}, cap=1)
    dispatcher.apply_table(table(event=EventNotice("e1", EventState.ACTIVE, NOW_S + 500), ttl_s=600), NOW_S)
    request = ask(dispatcher)
    now_s = turn_over(dispatcher, request, 40)
    full = dispatcher.enqueue(request, now_s, Waiting())
    assert isinstance(full, Refusal)
    assert full.retry_after_s == pytest.approx(4.0, rel=0.1)


def test_a_class_that_is_given_no_place_is_told_the_bound_and_in_an_event_its_end() -> None:
    for event, told_s in ((None, 60.0), (EventNotice("e1", EventState.ACTIVE, NOW_S + 500), 490.0)):
        dispatcher = build({"bf16": 1}, cap=1)
        dispatcher.apply_table(table(event=event, ttl_s=600), NOW_S)
        request = ask(dispatcher)
        fill(dispatcher, request)
        waiting, _ = wait(dispatcher, request)
        for tenth in range(101):
            dispatcher.expire(NOW_S + tenth / 10)
        assert (waiting.refusal.reason, waiting.refusal.retry_after_s) == ("wait_too_long", told_s)


def test_how_fast_a_queue_goes_on_is_known_after_a_reload() -> None:
    dispatcher = build({"bf16": 1}, cap=1)
    request = ask(dispatcher)
    now_s = turn_over(dispatcher, request, 40)
    classes = [{**CLASSES[0], "min_retry_after_s": 7}, *CLASSES[1:]]
    dispatcher.reconfigure(router_file({"bf16": 1}, classes=classes, cap=1))
    request = ask(dispatcher)
    full = dispatcher.enqueue(request, now_s, Waiting())
    assert isinstance(full, Refusal)
    assert full.retry_after_s == 7.0
    dispatcher.reconfigure(router_file({"bf16": 1}, classes=CLASSES, cap=1))
    full = dispatcher.enqueue(ask(dispatcher), now_s, Waiting())
    assert isinstance(full, Refusal)
    assert full.retry_after_s == pytest.approx(4.0, rel=0.1)


def test_a_request_waiting_for_a_full_pool_does_not_hold_up_others() -> None:
    dispatcher = build({"bf16": 1, "fp8": 1}, cap=1)
    anywhere, pinned = ask(dispatcher), ask(dispatcher, x_wattroute_precision="bf16")
    held = {choice.spec.pool_id: choice for choice in fill(dispatcher, anywhere)}
    waits_for_bf16, _ = wait(dispatcher, pinned)
    waits, _ = wait(dispatcher, anywhere)
    finish(dispatcher, held["fp8"], anywhere)  # type: ignore[index]
    assert waits.choice.spec.pool_id == "fp8"
    assert waits_for_bf16.grants == []


def test_classes_are_served_in_the_order_of_arrival() -> None:
    dispatcher = build({"bf16": 1}, cap=1)
    standard, premium = ask(dispatcher), ask(dispatcher, x_wattroute_class="premium")
    (held,) = fill(dispatcher, standard)
    first, _ = wait(dispatcher, premium)
    second, _ = wait(dispatcher, standard)
    finish(dispatcher, held, standard)
    assert first.choice.class_id == "premium"
    assert second.grants == []


def test_a_new_table_serves_those_who_wait() -> None:
    dispatcher = build({"bf16": 1}, cap=1)
    request = ask(dispatcher)
    fill(dispatcher, request)
    waiting = [wait(dispatcher, request)[0] for _ in range(3)]
    dispatcher.apply_table(table(caps={"bf16-0": 3}), NOW_S)
    assert [len(one.grants) for one in waiting] == [1, 1, 0]


def test_an_instance_that_returns_serves_those_who_wait() -> None:
    dispatcher = build({"bf16": 2}, cap=1)
    request = ask(dispatcher)
    dispatcher.probed(InstanceId("bf16-1"), ok=True, load=EngineLoad(0, 0, 0.0, awake=False), now_s=NOW_S)
    fill(dispatcher, request)
    waiting, _ = wait(dispatcher, request)
    dispatcher.probed(InstanceId("bf16-1"), ok=True, load=EngineLoad(0, 0, 0.0, awake=True), now_s=NOW_S)
    assert waiting.choice.spec.instance_id == "bf16-1"


def test_a_grant_may_free_its_slot_at_once_for_the_next() -> None:
    dispatcher = build({"bf16": 1}, cap=1)
    request = ask(dispatcher)
    (held,) = fill(dispatcher, request)
    served = []

    def vanish(grant: Choice | Refusal) -> None:
        assert isinstance(grant, Choice)
        served.append(grant.serial)
        finish(dispatcher, grant, request, outcome=Outcome.CLIENT_GONE)

    for _ in range(3):
        dispatcher.enqueue(request, NOW_S, vanish)
    finish(dispatcher, held, request)
    assert len(served) == 3
    assert view(dispatcher, "bf16-0").in_flight == 0


# Failing


def test_a_dead_instance_is_ejected_and_its_requests_go_elsewhere() -> None:
    dispatcher = build({"bf16": 2}, cap=100)
    request = ask(dispatcher)
    held = [choose(dispatcher, request) for _ in range(60)]
    dead = [choice for choice in held if choice.spec.instance_id == "bf16-0"]
    for choice in dead:
        finish(dispatcher, choice, request, outcome=Outcome.RESET, output_tokens=None)
        assert dispatcher.may_retry(request, Outcome.RESET, 1, NOW_S)
        assert choose(dispatcher, request, tried=("bf16-0",)).spec.instance_id == "bf16-1"
        dispatcher.count_retry(Outcome.RESET)
    assert view(dispatcher, "bf16-0").state == "ejected"
    assert dispatcher.state(NOW_S).retries == {"reset": 30}


def test_a_retry_may_leave_the_allocation_rather_than_fail() -> None:
    dispatcher = build({"bf16": 1, "fp8": 1})
    dispatcher.apply_table(table({"standard": {"bf16": 1.0}}), NOW_S)
    assert choose(dispatcher, ask(dispatcher), tried=("bf16-0",)).spec.instance_id == "fp8-0"
    assert dispatcher.state(NOW_S).classes[0].off_allocation == 1


def test_a_request_that_waits_after_a_failure_goes_to_no_instance_that_failed_it() -> None:
    dispatcher = build({"bf16": 2}, cap=1)
    request = ask(dispatcher)
    first, second = fill(dispatcher, request)
    tried = (first.spec.instance_id,)
    finish(dispatcher, first, request, outcome=Outcome.ENGINE_BUSY)
    other = choose(dispatcher, request)
    assert other.spec.instance_id == first.spec.instance_id
    waiting, fresh = Waiting(), Waiting()
    assert not isinstance(dispatcher.enqueue(request, NOW_S, waiting, tried), Refusal)
    assert not isinstance(dispatcher.enqueue(request, NOW_S, fresh), Refusal)
    finish(dispatcher, other, request)
    assert waiting.grants == []
    assert fresh.choice.spec.instance_id == first.spec.instance_id, "it does not hold up who may go there"
    finish(dispatcher, second, request)
    assert waiting.choice.spec.instance_id == second.spec.instance_id


def test_a_request_that_fails_for_good_is_left_to_the_caller_to_count() -> None:
    dispatcher = build({"bf16": 1})
    request = ask(dispatcher)
    choice = choose(dispatcher, request)
    assert dispatcher.may_retry(request, Outcome.RESET, 1, NOW_S)
    assert isinstance(dispatcher.choose(request, NOW_S, (choice.spec.instance_id,)), Refusal)
    assert refusals(dispatcher) == {}
    assert dispatcher.state(NOW_S).retries == {}, "there was nowhere to try again"
    dispatcher.count_refusal("engine_reset", request.class_id)
    assert refusals(dispatcher) == {"engine_reset": 1}


def test_where_nothing_can_serve_503_is_said() -> None:
    dispatcher = build({"bf16": 1})
    request = ask(dispatcher)
    fail(dispatcher, request, Outcome.CONNECT_FAILED, times=3)
    assert not dispatcher.has_usable()
    refusal = dispatcher.choose(request, NOW_S)
    assert isinstance(refusal, Refusal)
    assert (refusal.status, refusal.reason, refusal.retry_after_s) == (503, "no_instance", 5.0)
    for _ in range(2):
        dispatcher.probed(InstanceId("bf16-0"), ok=True, load=None, now_s=NOW_S)
    assert dispatcher.has_usable()
    assert isinstance(dispatcher.choose(request, NOW_S), Choice)


def test_an_ejected_engine_that_answers_probes_again_is_better_than_none() -> None:
    dispatcher = build({"bf16": 1, "fp8": 1})
    request = ask(dispatcher)
    for name in ("bf16-0", "fp8-0"):
        for _ in range(3):
            dispatcher.probed(InstanceId(name), ok=False, load=None, now_s=NOW_S)
    assert not dispatcher.has_usable()
    dispatcher.probed(InstanceId("fp8-0"), ok=True, load=None, now_s=NOW_S)
    assert view(dispatcher, "fp8-0").state == "ejected"
    assert dispatcher.has_usable()
    choice = choose(dispatcher, request)
    assert choice.spec.instance_id == "fp8-0"
    assert isinstance(dispatcher.choose(request, NOW_S, (choice.spec.instance_id,)), Refusal), "it was tried"
    assert dispatcher.state(NOW_S).classes[0].last_means == 1
    finish(dispatcher, choice, request, outcome=Outcome.RESET)
    assert isinstance(dispatcher.choose(request, NOW_S), Refusal), "until it answers another probe"
    for _ in range(2):
        dispatcher.probed(InstanceId("bf16-0"), ok=True, load=None, now_s=NOW_S)
    for ok in (False, True):
        dispatcher.probed(InstanceId("fp8-0"), ok=ok, load=None, now_s=NOW_S)
    assert {choose(dispatcher, request).spec.instance_id for _ in range(4)} == {"bf16-0"}, "one that is up goes first"
    assert dispatcher.state(NOW_S).classes[0].last_means == 1


def test_a_suspect_engine_that_is_tried_next_is_no_last_means() -> None:
    dispatcher = build({"bf16": 2})
    request = ask(dispatcher)
    dispatcher.probed(InstanceId("bf16-1"), ok=False, load=None, now_s=NOW_S)
    first = choose(dispatcher, request)
    assert first.spec.instance_id == "bf16-0"
    assert choose(dispatcher, request, tried=(first.spec.instance_id,)).spec.instance_id == "bf16-1"
    assert dispatcher.state(NOW_S).classes[0].last_means == 0


def test_the_last_means_keeps_to_its_cap_and_gets_nothing_while_it_drains() -> None:
    dispatcher = Dispatcher(router_file({"bf16": 1}, cap=1))
    request = ask(dispatcher)
    for ok in (False, False, False, True):
        dispatcher.probed(InstanceId("bf16-0"), ok=ok, load=None, now_s=NOW_S)
    first, waiting = choose(dispatcher, request), Waiting()
    assert dispatcher.choose(request, NOW_S) is None
    assert not isinstance(dispatcher.enqueue(request, NOW_S, waiting), Refusal)
    finish(dispatcher, first, request)
    assert waiting.choice.spec.instance_id == "bf16-0"
    finish(dispatcher, waiting.choice, request)
    dispatcher.apply_table(table(draining=("bf16-0",)), NOW_S)
    assert isinstance(dispatcher.choose(request, NOW_S), Refusal)


def test_errors_of_clients_and_full_engines_eject_nothing() -> None:
    dispatcher = build({"bf16": 1})
    request = ask(dispatcher)
    fail(dispatcher, request, Outcome.CLIENT_ERROR, times=50)
    fail(dispatcher, request, Outcome.ENGINE_BUSY, times=50)
    assert view(dispatcher, "bf16-0").state == "up"
    assert not dispatcher.may_retry(request, Outcome.CLIENT_ERROR, 1, NOW_S)


@pytest.mark.parametrize(("told_tokens", "itl_s"), [(None, 0.1), (41, 0.05)])
def test_time_between_tokens_goes_by_the_engines_count_where_it_tells_one(
    told_tokens: int | None, itl_s: float
) -> None:
    dispatcher = build({"bf16": 1})
    request = ask(dispatcher)
    choice = choose(dispatcher, request)
    finish(dispatcher, choice, request, output_tokens=told_tokens, chunks=21, duration_s=2.3, ttft_s=0.3)
    (served,) = dispatcher.state(NOW_S).traffic
    assert (served.itl.total, sum(served.itl.counts)) == (pytest.approx(itl_s), 1)


def test_refused_retries_are_not_counted() -> None:
    dispatcher = build(router={"retry": {"budget_frac": 0, "budget_min_per_s": 0}})
    assert not dispatcher.may_retry(ask(dispatcher), Outcome.ENGINE_BUSY, 1, NOW_S)
    assert dispatcher.state(NOW_S).retries == {}


# Tables


def test_static_weights_hold_until_a_table_comes_and_after_it_expires() -> None:
    dispatcher = Dispatcher(router_file({"bf16": 1, "fp8": 1}, weights={"fp8": 0.0}, cap=100))
    request = ask(dispatcher)
    before = choose(dispatcher, request)
    assert (before.spec.pool_id, before.sequence) == ("bf16", -1)
    dispatcher.apply_table(
        table({"standard": {"fp8": 1.0}}, sequence=3, caps={"fp8-0": 7}, draining=("bf16-0",), ttl_s=30), NOW_S
    )
    during = choose(dispatcher, request, NOW_S + 29)
    assert (during.spec.pool_id, during.sequence) == ("fp8", 3)
    expired = choose(dispatcher, request, NOW_S + 30)
    assert (expired.spec.pool_id, expired.sequence) == ("fp8", -1), "the other may be going to sleep"
    dispatcher.expire(NOW_S + 60)
    after = choose(dispatcher, request, NOW_S + 60)
    assert (after.spec.pool_id, after.sequence) == ("bf16", -1)
    assert view(dispatcher, "fp8-0").max_in_flight == 100
    assert not view(dispatcher, "bf16-0").draining


def test_a_quiet_router_drops_an_expired_table_too() -> None:
    dispatcher = build({"bf16": 1})
    dispatcher.apply_table(table(draining=("bf16-0",), ttl_s=30), NOW_S)
    assert not dispatcher.has_usable()
    dispatcher.expire(NOW_S + 30)
    assert dispatcher.has_usable()


def test_an_expired_table_offered_late_ends_the_former_one() -> None:
    dispatcher = build({"bf16": 1})
    late = table(draining=("bf16-0",), ttl_s=30)
    dispatcher.apply_table(late, NOW_S)
    assert not dispatcher.apply_table(late, NOW_S + 31)
    assert dispatcher.has_usable()
    assert dispatcher.state(NOW_S + 31).table.sequence == -1


def test_the_state_of_an_expired_table_is_told_before_anything_else_notices() -> None:
    dispatcher = build({"bf16": 1})
    dispatcher.apply_table(table(ttl_s=30), NOW_S)
    told = dispatcher.state(NOW_S + 31).table
    assert (told.state, told.sequence, told.expires_at_s) == ("static", -1, None)


def test_names_the_router_does_not_know_are_counted_and_left_aside() -> None:
    dispatcher = build({"bf16": 1, "fp8": 1})
    odd = table(
        {"standard": {"bf16": 1.0, "nvfp4": 9.0}, "gold": {"bf16": 1.0}}, caps={"bf16-9": 1}, draining=("bf16-9", "x-0")
    )
    assert dispatcher.apply_table(odd, NOW_S)
    assert dispatcher.state(NOW_S).table.unknown_names == 4
    assert {choice.spec.pool_id for choice in fill(dispatcher, ask(dispatcher))} == {"bf16"}


def test_a_class_none_of_whose_pools_is_known_keeps_its_static_weights() -> None:
    dispatcher = Dispatcher(router_file({"bf16": 1, "fp8": 1}, weights={"bf16": 0.0}))
    dispatcher.apply_table(table({"standard": {"nvfp4": 1.0}}), NOW_S)
    assert choose(dispatcher, ask(dispatcher)).spec.pool_id == "fp8"


def test_refused_tables_are_counted_by_reason() -> None:
    dispatcher = build()
    dispatcher.apply_table(table(sequence=5), NOW_S)
    dispatcher.apply_table(table(sequence=4), NOW_S)
    dispatcher.apply_table(table(sequence=6, ttl_s=1), NOW_S + 2)
    dispatcher.refuse_table("malformed")
    told = dispatcher.state(NOW_S).table
    assert (told.sequence, told.refused) == (5, {"older": 1, "expired": 1, "malformed": 1})


def test_a_draining_instance_gets_no_new_request_but_keeps_what_it_has() -> None:
    dispatcher = build({"bf16": 2}, cap=10)
    request = ask(dispatcher)
    held = [choose(dispatcher, request) for _ in range(4)]
    dispatcher.apply_table(table(draining=("bf16-0",)), NOW_S)
    assert {choice.spec.instance_id for choice in fill(dispatcher, request)} == {"bf16-1"}
    assert (view(dispatcher, "bf16-0").in_flight, view(dispatcher, "bf16-0").draining) == (2, True)
    for choice in held:
        finish(dispatcher, choice, request)
    assert view(dispatcher, "bf16-0").in_flight == 0


# Accounts


def test_tokens_are_counted_by_class_and_pool() -> None:
    dispatcher = build({"bf16": 1})
    request = ask(dispatcher)
    finish(dispatcher, choose(dispatcher, request), request, output_tokens=70)
    finish(dispatcher, choose(dispatcher, request), request, output_tokens=None, chunks=30)
    (item,) = dispatcher.state(NOW_S).traffic
    assert (item.class_id, item.pool_id, item.input_tokens, item.output_tokens) == ("standard", "bf16", 110, 100)


def test_latencies_are_observed() -> None:
    dispatcher = build({"bf16": 1})
    request = ask(dispatcher)
    choice = choose(dispatcher, request)
    dispatcher.first_byte(choice, 0.2)
    finish(dispatcher, choice, request, output_tokens=11, duration_s=1.2, ttft_s=0.2)
    (item,) = dispatcher.state(NOW_S).traffic
    assert (item.ttft.total, item.duration.total) == (0.2, 1.2)
    assert item.itl.total == pytest.approx(0.1)


def test_failed_answers_do_not_flatter_the_latencies() -> None:
    dispatcher = build({"bf16": 1})
    fail(dispatcher, ask(dispatcher), Outcome.RESET)
    (item,) = dispatcher.state(NOW_S).traffic
    assert sum(item.duration.counts) == 0


def test_refusals_of_the_data_path_are_counted_too() -> None:
    dispatcher = build()
    dispatcher.count_refusal("too_large")
    assert dispatcher.state(NOW_S).unclassified == {"too_large": 1}


def test_every_instance_is_told_for_probing() -> None:
    assert [spec.instance_id for spec in build({"bf16": 2, "fp8": 1}).instances()] == ["bf16-0", "bf16-1", "fp8-0"]


def test_the_expected_length_follows_the_answers_with_tokens() -> None:
    dispatcher = build({"bf16": 1})
    for _ in range(300):
        request = ask(dispatcher)
        finish(dispatcher, choose(dispatcher, request), request, output_tokens=1000)
    for tokens in (0, None):
        request = ask(dispatcher, RequestFacts(valid=True))
        finish(dispatcher, choose(dispatcher, request), request, output_tokens=tokens)
    assert ask(dispatcher).expected_tokens == pytest.approx(1000.0, rel=0.01)
