"""Workers that share slots: no cap is exceeded, no slot is lost, and no request waits while one it may use is free."""

from __future__ import annotations

import random
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from router.contract import InstanceId
from router.dispatch import Ask, Choice, Dispatcher, Refusal
from tests.fakes.routing import NOW_S, ask, finish, router_file, table
from tests.fakes.shared_workers import SharedWorkers

WORKERS = 3
CLASSES: list[dict[str, Any]] = [
    {"name": "standard", "max_wait_s": 600},
    {"name": "premium", "precisions": ["bf16"], "max_wait_s": 600},
]
INSTANCES = {"bf16-0": "bf16", "bf16-1": "bf16", "int4-0": "int4"}


class Client:
    """A request in one worker, from its arrival to its end."""

    def __init__(self, worker: int, dispatcher: Dispatcher, request: Ask) -> None:
        self.worker = worker
        self.dispatcher = dispatcher
        self.ask = request
        self.ticket: object = None
        self.choice: Choice | None = None

    def granted(self, grant: Choice | Refusal) -> None:
        assert isinstance(grant, Choice), grant
        assert self.ticket is not None
        self.ticket = None
        self.choice = grant


class SharedQueues(RuleBasedStateMachine):
    """Dispatchers on one book. Calls between workers arrive at any later time; there are no sweeps to fall back on."""

    def __init__(self) -> None:
        super().__init__()
        self.cap = 2
        self.workers = SharedWorkers(router_file({"bf16": 2, "int4": 1}, classes=CLASSES, cap=self.cap), WORKERS)
        self.clients: list[Client] = []
        self.called: set[int] = set()
        self.highest = dict.fromkeys(INSTANCES, self.cap)
        self.caps = dict.fromkeys(INSTANCES, self.cap)
        self.sequence = 0
        self.now_s = NOW_S

    def held(self, instance_id: str) -> int:
        return sum(c.choice is not None and c.choice.spec.instance_id == instance_id for c in self.clients)

    @rule(
        worker=st.integers(0, WORKERS - 1),
        premium=st.booleans(),
        pin=st.sampled_from(["", "", "bf16", "int4"]),
        session=st.sampled_from(["", "a"]),
        count=st.integers(1, 4),
    )
    def arrive(self, worker: int, premium: bool, pin: str, session: str, count: int) -> None:
        if premium and pin == "int4":
            return
        self.now_s += 0.001
        dispatcher = self.workers.dispatchers[worker]
        class_id = "premium" if premium else "standard"
        headers = {"x_wattroute_class": class_id, "x_wattroute_precision": pin, "x_session_id": session}
        for _ in range(count):
            client = Client(worker, dispatcher, ask(dispatcher, None, **headers))
            found = dispatcher.choose(client.ask, self.now_s)
            if found is None:
                client.ticket = dispatcher.enqueue(client.ask, self.now_s, client.granted)
            else:
                assert isinstance(found, Choice), found
                client.choice = found
            self.clients.append(client)

    @precondition(lambda self: any(client.choice for client in self.clients))
    @rule(seed=st.integers(0, 1000), count=st.integers(1, 3))
    def end(self, seed: int, count: int) -> None:
        for _ in range(count):
            running = [client for client in self.clients if client.choice]
            if running:
                client = random.Random(seed).choice(running)
                choice, client.choice = client.choice, None
                assert choice is not None
                self.clients.remove(client)
                finish(client.dispatcher, choice, client.ask, now_s=self.now_s)

    @precondition(lambda self: any(client.ticket for client in self.clients))
    @rule(seed=st.integers(0, 1000))
    def leave_the_queue(self, seed: int) -> None:
        client = random.Random(seed).choice([client for client in self.clients if client.ticket])
        client.dispatcher.cancel(client.ticket)
        self.clients.remove(client)

    @precondition(lambda self: self.called)
    @rule(seed=st.integers(0, 1000))
    def hear(self, seed: int) -> None:
        worker = random.Random(seed).choice(sorted(self.called))
        self.called.discard(worker)
        self.workers.dispatchers[worker].woken()

    @rule(worker=st.integers(0, WORKERS - 1))
    def die(self, worker: int) -> None:
        self.clients = [client for client in self.clients if client.worker != worker]
        self.workers.kill(worker)
        if self.sequence:
            self.tell_table(worker)

    @rule(caps=st.fixed_dictionaries({name: st.integers(1, 3) for name in INSTANCES}))
    def publish(self, caps: dict[str, int]) -> None:
        self.sequence += 1
        self.caps = caps
        for worker in range(WORKERS):
            self.tell_table(worker)

    def tell_table(self, worker: int) -> None:
        caps = {InstanceId(name): cap for name, cap in self.caps.items()}
        new = table(sequence=self.sequence, caps=caps, issued_at_s=self.now_s, ttl_s=1000)
        self.workers.dispatchers[worker].apply_table(new, self.now_s)

    @rule(worker=st.integers(0, WORKERS - 1))
    def sweep(self, worker: int) -> None:
        self.now_s += 0.1
        self.workers.dispatchers[worker].expire(self.now_s)

    @invariant()
    def no_cap_is_exceeded_and_no_slot_is_lost(self) -> None:
        self.called.update(self.workers.called())
        for name, cap in self.caps.items():
            held = self.held(name)
            self.highest[name] = max(cap, min(self.highest[name], held))
            assert held <= self.highest[name], "never more than a cap allowed when it was taken"
        views = [view for dispatcher in self.workers.dispatchers for view in dispatcher.state(self.now_s).instances]
        for name in INSTANCES:
            assert sum(view.in_flight for view in views if view.instance_id == name) == self.held(name)
        assert sum(self.workers.memory.instances.counts[: WORKERS * len(INSTANCES)]) == sum(map(self.held, INSTANCES))

    @invariant()
    def nobody_waits_for_a_slot_that_is_free_once_all_have_heard(self) -> None:
        self.called.update(self.workers.called())
        if self.called:
            return
        free = {precision for name, precision in INSTANCES.items() if self.held(name) < self.caps[name]}
        for client in self.clients:
            if client.ticket is not None:
                may = {"bf16"} if client.ask.class_id == "premium" else {"bf16", "int4"}
                if client.ask.precision is not None:
                    may = {client.ask.precision.value}
                assert not may & free, f"a request of worker {client.worker} waits"

    def teardown(self) -> None:
        for client in self.clients:
            if client.choice is not None:
                finish(client.dispatcher, client.choice, client.ask, now_s=self.now_s)
        self.workers.close()


TestSharedQueues = SharedQueues.TestCase
TestSharedQueues.settings = settings(max_examples=60, stateful_step_count=40)
