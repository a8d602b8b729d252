"""Sessions keep their precision for life, and a new table moves no more of them than it must."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from router.contract import InstanceId
from router.dispatch import Dispatcher
from router.fleet import EngineLoad
from tests.fakes.routing import NOW_S, ask, choose, finish, router_file, table

SESSIONS = 5000


def pool_of_each(dispatcher: Dispatcher, sessions: int = SESSIONS) -> list[str]:
    """The pool that each session is sent to now."""
    found = []
    for number in range(sessions):
        request = ask(dispatcher, x_session_id=f"session-{number}")
        choice = choose(dispatcher, request)
        finish(dispatcher, choice, request)
        found.append(str(choice.spec.pool_id))
    return found


def follow(dispatcher: Dispatcher, weights: dict[str, float], sequence: int) -> None:
    assert dispatcher.apply_table(table({"standard": weights}, sequence=sequence), NOW_S)


def test_ten_percent_of_the_weight_moves_ten_percent_of_the_sessions() -> None:
    dispatcher = Dispatcher(router_file({"bf16": 2, "fp8": 2}, cap=1000))
    follow(dispatcher, {"bf16": 0.5, "fp8": 0.5}, 1)
    before = pool_of_each(dispatcher)
    follow(dispatcher, {"bf16": 0.4, "fp8": 0.6}, 2)
    after = pool_of_each(dispatcher)
    moved = [(old, new) for old, new in zip(before, after, strict=True) if old != new]
    assert set(moved) == {("bf16", "fp8")}
    assert len(moved) / SESSIONS == pytest.approx(0.10, abs=0.015)
    follow(dispatcher, {"bf16": 0.5, "fp8": 0.5}, 3)
    assert pool_of_each(dispatcher) == before, "they return when the weights do"


weights = st.fixed_dictionaries({name: st.floats(0.02, 1) for name in ("bf16", "fp8", "int8", "int4")})


@given(old=weights, new=weights)
@settings(max_examples=10)
def test_few_more_sessions_move_than_the_weights_ask_for(old: dict[str, float], new: dict[str, float]) -> None:
    dispatcher = Dispatcher(router_file(dict.fromkeys(old, 1), cap=1000))
    follow(dispatcher, old, 1)
    before = pool_of_each(dispatcher, 2000)
    follow(dispatcher, new, 2)
    after = pool_of_each(dispatcher, 2000)
    moved = sum(one != other for one, other in zip(before, after, strict=True)) / 2000
    least = sum(max(0.0, new[name] / sum(new.values()) - old[name] / sum(old.values())) for name in old)
    assert moved <= 1.7 * least + 0.02


def test_sessions_keep_their_precision_under_load_and_while_instances_come_and_go() -> None:
    dispatcher = Dispatcher(router_file({"bf16": 3, "fp8": 3}, cap=200))
    follow(dispatcher, {"bf16": 0.6, "fp8": 0.4}, 1)
    rng = random.Random(1)
    precisions: dict[int, set[str]] = {}
    running = []
    for number in range(4000):
        if number % 100 == 0:
            sleeper = InstanceId(f"{rng.choice(['bf16', 'fp8'])}-{rng.randrange(2)}")
            awake = rng.random() < 0.5
            dispatcher.probed(sleeper, ok=True, load=EngineLoad(5, 0, 0.5, awake), now_s=NOW_S)
            dispatcher.probed(InstanceId("bf16-2"), ok=True, load=EngineLoad(5, 0, 0.5, True), now_s=NOW_S)
            dispatcher.probed(InstanceId("fp8-2"), ok=True, load=EngineLoad(5, 0, 0.5, True), now_s=NOW_S)
        session = rng.randrange(300)
        request = ask(dispatcher, x_session_id=f"session-{session}")
        choice = choose(dispatcher, request)
        precisions.setdefault(session, set()).add(choice.spec.precision)
        running.append((choice, request))
        if len(running) > 60:
            finish(dispatcher, *running.pop(rng.randrange(len(running))), output_tokens=rng.randint(1, 900))
    assert all(len(found) == 1 for found in precisions.values())


def test_every_worker_sends_a_session_to_the_same_instance() -> None:
    chosen = []
    for _ in range(2):
        dispatcher = Dispatcher(router_file({"bf16": 4, "fp8": 4}, cap=1000))
        chosen.append(
            [choose(dispatcher, ask(dispatcher, x_session_id=f"s{number}")).spec.pool_id for number in range(50)]
        )
    assert chosen[0] == chosen[1]
