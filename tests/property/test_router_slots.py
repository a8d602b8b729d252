"""Under any sequence of events caps and queues hold, no slot is lost, and every grant comes at most once."""

from __future__ import annotations

import random
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from router.contract import InstanceId
from router.dispatch import Ask, Choice, Dispatcher, Outcome, Refusal
from router.fleet import EngineLoad
from tests.fakes.routing import NOW_S, ask, finish, router_file, table

CAP = 2
MAX_QUEUED = 4
INSTANCES = [InstanceId(name) for name in ("bf16-0", "bf16-1", "fp8-0", "int4-0")]
CLASSES: list[dict[str, Any]] = [
    {"name": "standard", "max_queued": MAX_QUEUED, "max_wait_s": 5},
    {"name": "premium", "precisions": ["bf16", "fp8"], "max_queued": MAX_QUEUED, "max_wait_s": 3},
]


class Client:
    """A request, from its arrival to its end."""

    def __init__(self, request: Ask) -> None:
        self.ask = request
        self.ticket: object = None
        self.choice: Choice | None = None
        self.grants = 0
        self.is_over = False

    def granted(self, grant: Choice | Refusal) -> None:
        self.grants += 1
        assert not self.is_over, "a client that left was granted something"
        self.ticket = None
        if isinstance(grant, Choice):
            self.choice = grant
        else:
            self.is_over = True


class Slots(RuleBasedStateMachine):
    """The dispatcher against a plain list of clients."""

    def __init__(self) -> None:
        super().__init__()
        self.dispatcher = Dispatcher(router_file({"bf16": 2, "fp8": 1, "int4": 1}, classes=CLASSES, cap=CAP))
        self.now_s = NOW_S
        self.clients: list[Client] = []
        self.sequence = 0
        self.asked = 0
        self.highest_cap = dict.fromkeys(INSTANCES, CAP)

    @rule(premium=st.booleans(), pin=st.sampled_from(["", "bf16", "fp8"]), session=st.sampled_from(["", "a", "b"]))
    def arrive(self, premium: bool, pin: str, session: str) -> None:
        class_id = "premium" if premium else "standard"
        headers = {"x_wattroute_class": class_id, "x_wattroute_precision": pin, "x_session_id": session}
        client = Client(ask(self.dispatcher, None, **headers))
        self.asked += 1
        found = self.dispatcher.choose(client.ask, self.now_s)
        if found is None:
            ticket = self.dispatcher.enqueue(client.ask, self.now_s, client.granted)
            if isinstance(ticket, Refusal):
                assert ticket.status == 429
                return
            client.ticket = ticket
        elif isinstance(found, Refusal):
            assert found.status == 503
            return
        else:
            client.choice = found
        self.clients.append(client)

    @precondition(lambda self: any(client.choice for client in self.clients))
    @rule(outcome=st.sampled_from(Outcome), seed=st.integers(0, 1000), twice=st.booleans(), retry=st.booleans())
    def end(self, outcome: Outcome, seed: int, twice: bool, retry: bool) -> None:
        client = random.Random(seed).choice([client for client in self.clients if client.choice])
        choice, client.choice = client.choice, None
        assert choice is not None
        for _ in range(1 + twice):
            finish(self.dispatcher, choice, client.ask, outcome=outcome, now_s=self.now_s)
        if retry and self.dispatcher.may_retry(client.ask, outcome, 1, self.now_s):
            found = self.dispatcher.choose(client.ask, self.now_s, (choice.spec.instance_id,))
            if isinstance(found, Choice):
                assert found.spec.instance_id != choice.spec.instance_id
                self.dispatcher.count_retry(outcome)
                client.choice = found
                return
        client.is_over = True

    @precondition(lambda self: any(client.ticket for client in self.clients))
    @rule(seed=st.integers(0, 1000))
    def leave_the_queue(self, seed: int) -> None:
        client = random.Random(seed).choice([client for client in self.clients if client.ticket])
        client.is_over = True
        self.dispatcher.cancel(client.ticket)
        client.ticket = None

    @rule(
        weights=st.fixed_dictionaries({name: st.sampled_from([0.0, 0.3, 1.0]) for name in ("bf16", "fp8", "int4")}),
        caps=st.dictionaries(st.sampled_from(INSTANCES), st.integers(0, CAP)),
        draining=st.sets(st.sampled_from(INSTANCES)),
        ttl_s=st.floats(0.5, 10),
    )
    def publish(
        self, weights: dict[str, float], caps: dict[InstanceId, int], draining: set[InstanceId], ttl_s: float
    ) -> None:
        self.sequence += 1
        shares = {"standard": weights} if any(weights.values()) else {}
        new = table(
            shares,
            sequence=self.sequence,
            caps=caps,
            draining=tuple(draining),
            issued_at_s=self.now_s,
            ttl_s=ttl_s,
        )
        assert self.dispatcher.apply_table(new, self.now_s)

    @rule(
        instance=st.sampled_from(INSTANCES), ok=st.booleans(), load=st.none() | st.integers(0, 9), awake=st.booleans()
    )
    def probe(self, instance: InstanceId, ok: bool, load: int | None, awake: bool) -> None:
        told = None if load is None or not ok else EngineLoad(load, 0, load / 10, awake)
        self.dispatcher.probed(instance, ok=ok, load=told, now_s=self.now_s)

    @rule(seconds=st.floats(0, 4))
    def pass_time(self, seconds: float) -> None:
        self.now_s += seconds
        self.dispatcher.expire(self.now_s)

    @invariant()
    def slots_are_those_of_the_clients(self) -> None:
        state = self.dispatcher.state(self.now_s)
        for view in state.instances:
            held = [c for c in self.clients if c.choice and c.choice.spec.instance_id == view.instance_id]
            assert view.in_flight == len(held) <= CAP
        for counts in state.classes:
            mine = [client for client in self.clients if client.ask.class_id == counts.class_id]
            assert counts.in_flight == sum(client.choice is not None for client in mine)
            assert counts.queued == sum(client.ticket is not None for client in mine) <= MAX_QUEUED
        assert sum(counts.requests for counts in state.classes) == self.asked

    @invariant()
    def nobody_waits_for_a_slot_that_is_free(self) -> None:
        for client in [client for client in self.clients if client.ticket]:
            found = self.dispatcher.choose(client.ask, self.now_s)
            assert not isinstance(found, Choice)

    @invariant()
    def no_grant_comes_twice(self) -> None:
        assert all(client.grants <= 1 for client in self.clients)

    def teardown(self) -> None:
        for client in self.clients:
            if client.ticket:
                client.is_over = True
                self.dispatcher.cancel(client.ticket)
        for client in self.clients:
            if client.choice:
                finish(self.dispatcher, client.choice, client.ask, now_s=self.now_s)
        state = self.dispatcher.state(self.now_s)
        assert all(view.in_flight == 0 for view in state.instances)
        assert all(counts.queued == counts.in_flight == 0 for counts in state.classes)


TestSlots = Slots.TestCase
TestSlots.settings = settings(max_examples=40, stateful_step_count=40)
