"""A tenant never gets more than its rates and its burst, and no correction loses or makes up anything."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from router.dispatch import Ask, Choice, Dispatcher, Outcome, Refusal
from router.openai import RequestFacts
from router.shared_memory import FileLocks, SharedMemory
from router.shared_tenants import SharedTenants
from router.tenants.keys import KeyDigest, digest_of
from router.tenants.limits import Allowance, Limits
from router.tenants.shared_limits import ROW_LEVELS, SharedLimits, Sharing
from router.tenants.tenant import TenantSpec
from tests.fakes.routing import NOW_S, finish, router_file
from tests.fakes.shared_workers import SharedWorkers

WORKERS = 4
TENANTS = itertools.count()
SLACK = 1e-3
"""For rounding: the clock has about seven digits after the point, the buckets six."""

gaps_s = st.one_of(st.just(0.0), st.floats(0, 2), st.floats(0, 300))


@pytest.fixture(scope="module")
def memory() -> Iterator[SharedMemory]:
    made = SharedMemory.create(WORKERS)
    yield made
    made.close()


def limits_of_workers(memory: SharedMemory, workers: int, allowance: Allowance) -> list[Limits]:
    """What each of the workers admits by."""
    if workers == 1:
        return [Limits(allowance)]
    tenant = str(next(TENANTS))
    books = [SharedTenants(memory, worker, FileLocks(memory.fd)) for worker in range(workers)]
    return [Sharing(book).allow({tenant: allowance})[tenant] for book in books]


@given(
    per_minute=st.floats(0.5, 6000),
    burst=st.none() | st.integers(1, 500),
    workers=st.integers(1, WORKERS),
    arrivals=st.lists(st.tuples(gaps_s, st.integers(1, 60), st.integers(0, 3)), max_size=40),
)
def test_requests_within_any_time_are_no_more_than_rate_and_burst(
    memory: SharedMemory,
    per_minute: float,
    burst: int | None,
    workers: int,
    arrivals: list[tuple[float, int, int]],
) -> None:
    limits = limits_of_workers(memory, workers, Allowance(requests_per_minute=per_minute, burst=burst))
    most = max(1.0, per_minute if burst is None else float(burst))
    now_s = NOW_S
    admitted: list[float] = []
    for gap_s, number, worker in arrivals:
        now_s += gap_s
        for _ in range(number):
            if limits[worker % workers].admit(0.0, now_s) is None:
                admitted.append(now_s)
    for first, since_s in enumerate(admitted):
        for last in range(first, len(admitted)):
            passed = last - first + 1
            assert passed <= most + per_minute / 60 * (admitted[last] - since_s) + SLACK


@given(
    rate=st.none() | st.floats(0.5, 600),
    tokens=st.none() | st.integers(100, 10_000),
    most=st.none() | st.integers(1, 8),
    steps=st.lists(
        st.tuples(gaps_s, st.integers(0, WORKERS - 1), st.floats(1, 500), st.floats(0, 3), st.booleans()), max_size=60
    ),
)
def test_all_workers_together_admit_and_tell_what_one_alone_would(
    memory: SharedMemory,
    rate: float | None,
    tokens: int | None,
    most: int | None,
    steps: list[tuple[float, int, float, float, bool]],
) -> None:
    allowance = Allowance(requests_per_minute=rate, tokens_per_minute=tokens, max_in_flight=most)
    alone, workers = Limits(allowance), limits_of_workers(memory, WORKERS, allowance)
    flying: list[tuple[Limits, float]] = []
    now_s = NOW_S
    for gap_s, worker, size, actual, ends in steps:
        now_s += gap_s
        expected, found = alone.admit(size, now_s), workers[worker].admit(size, now_s)
        assert found == expected
        if found is None:
            flying.append((workers[worker], size))
        if ends and flying:
            owner, charged = flying.pop(0)
            alone.leave(charged, charged * actual)
            owner.leave(charged, charged * actual)
        assert sum(limits.in_flight for limits in workers) == alone.in_flight
        assert {limits.told_fields() for limits in workers} == {alone.told_fields()}


class Killed(BaseException):
    """What ends a worker where a signal would end its process."""


class SharedNumbers:
    """What workers share of a tenant; whoever writes may be killed just before any of the writes."""

    def __init__(self) -> None:
        self.levels = [0.0] * ROW_LEVELS
        self.counts = [0] * WORKERS
        self.writes_left = math.inf

    def __getitem__(self, index: int) -> float:
        return self.levels[index]

    def __setitem__(self, index: int, number: float) -> None:
        self.about_to_write()
        self.levels[index] = number

    def about_to_write(self) -> None:
        if self.writes_left <= 0:
            raise Killed
        self.writes_left -= 1


class OneWorkersRow:
    first = 0

    def __init__(self, numbers: SharedNumbers, worker: int) -> None:
        self.levels = numbers
        self._worker = worker

    def lock(self) -> bool:
        return True

    def unlock(self) -> None:
        return

    def in_flight(self) -> int:
        return sum(self.levels.counts)

    def tell(self, in_flight: int) -> None:
        self.levels.about_to_write()
        self.levels.counts[self._worker] = in_flight


class KilledWorkers:
    """Workers that end at any write, are cleared by their parent and replaced."""

    def __init__(self, allowance: Allowance) -> None:
        self.allowance = allowance
        self.numbers = SharedNumbers()
        self.limits: list[SharedLimits] = [SharedLimits(allowance) for _ in range(WORKERS)]
        self.flying: list[list[float]] = [[] for _ in range(WORKERS)]
        for worker in range(WORKERS):
            self.replace(worker)

    def replace(self, worker: int) -> None:
        self.numbers.writes_left = math.inf
        self.numbers.counts[worker] = 0
        self.flying[worker].clear()
        self.limits[worker] = SharedLimits(self.allowance)
        self.limits[worker].follow(OneWorkersRow(self.numbers, worker))

    def admit(self, worker: int, tokens: float, now_s: float, writes: float) -> bool:
        """Whether a request is served; not if its worker is killed on the way, after so many writes."""
        self.numbers.writes_left = writes
        try:
            passes = self.limits[worker].admit(tokens, now_s) is None
        except Killed:
            self.replace(worker)
            return False
        self.numbers.writes_left = math.inf
        if passes:
            self.flying[worker].append(tokens)
        return passes

    def leave(self, worker: int, unused: float, writes: float) -> None:
        charged = self.flying[worker].pop()
        self.numbers.writes_left = writes
        try:
            self.limits[worker].leave(charged, charged - unused)
        except Killed:
            self.replace(worker)
        self.numbers.writes_left = math.inf


@given(
    per_minute=st.floats(0.5, 6000),
    most=st.integers(1, 5),
    steps=st.lists(
        st.tuples(gaps_s, st.integers(0, WORKERS - 1), st.booleans(), st.just(math.inf) | st.integers(0, 8)),
        max_size=60,
    ),
)
def test_workers_killed_at_any_write_pass_no_bound(
    per_minute: float, most: int, steps: list[tuple[float, int, bool, float]]
) -> None:
    allowance = Allowance(requests_per_minute=per_minute, burst=3, tokens_per_minute=6000, max_in_flight=most)
    workers = KilledWorkers(allowance)
    now_s, used = NOW_S, 0.0
    admitted: list[float] = []
    for gap_s, worker, ends, writes in steps:
        now_s += gap_s
        if ends and workers.flying[worker]:
            workers.leave(worker, 400.0, writes)
            used -= 400.0
        elif workers.admit(worker, 1000.0, now_s, writes):
            admitted.append(now_s)
            used += 1000.0
            assert used <= 6000 + 100 * (now_s - NOW_S) + SLACK
            assert sum(map(len, workers.flying)) <= most
    for first, since_s in enumerate(admitted):
        for last in range(first, len(admitted)):
            assert last - first + 1 <= 3 + per_minute / 60 * (admitted[last] - since_s) + SLACK
    # However many were killed, everything is there again after a while.
    for worker in range(WORKERS):
        workers.replace(worker)
    now_s += 3600
    assert [workers.admit(0, 1000.0, now_s, math.inf) for _ in range(4)] == [
        number < min(3, most) for number in range(4)
    ]


@given(
    per_minute=st.integers(60, 100_000),
    steps=st.lists(st.tuples(gaps_s, st.floats(0, 2), st.floats(0, 3), st.integers(0, 9)), max_size=60),
)
def test_tokens_follow_what_was_used_and_nothing_is_lost(
    per_minute: int, steps: list[tuple[float, float, float, int]]
) -> None:
    limits = Limits(Allowance(tokens_per_minute=per_minute))
    began_s = now_s = NOW_S
    flying: list[float] = []
    used = 0.0
    for gap_s, size, actual, pick in steps:
        now_s += gap_s
        tokens = size * per_minute / 4
        if limits.admit(tokens, now_s) is None:
            flying.append(tokens)
            # What has ended counts as it was, what is in flight as it was charged.
            assert used + sum(flying) <= per_minute + per_minute / 60 * (now_s - began_s) + SLACK * per_minute
        if flying and pick < 6:
            charged = flying.pop(pick % len(flying))
            limits.leave(charged, charged * actual)
            used += charged * actual
    for charged in flying:
        limits.leave(charged, 0.0)
    assert limits.in_flight == 0
    # All of what was used is paid off after that long, and then the whole allowance is there again.
    now_s += used / per_minute * 60 + 1
    assert limits.admit(per_minute, now_s) is None
    refused = limits.admit(per_minute, now_s)
    assert refused is not None
    assert refused.retry_after_s == pytest.approx(60, rel=1e-3)


@given(per_minute=st.floats(1, 600), burst=st.integers(2, 50), hours=st.integers(1, 3))
@settings(max_examples=30)
def test_who_comes_when_told_gets_the_whole_rate(per_minute: float, burst: int, hours: int) -> None:
    limits = Limits(Allowance(requests_per_minute=per_minute, burst=burst))
    now_s, passed = NOW_S, 0
    end_s = NOW_S + min(hours * 3600, 1000 / per_minute * 60)
    while now_s < end_s:
        refused = limits.admit(0.0, now_s)
        if refused is None:
            passed += 1
        else:
            assert refused.retry_after_s is not None
            now_s += max(refused.retry_after_s, 1e-3)  # no clock tells less
    assert passed >= burst + per_minute / 60 * (end_s - NOW_S) - 2


MOST = 6
KEY = b"key of acme"


class Client:
    """An admitted request, from its arrival to its end."""

    def __init__(self, request: Ask, dispatcher: Dispatcher) -> None:
        self.ask = request
        self.dispatcher = dispatcher
        self.ticket: object = None
        self.choice: Choice | None = None

    def granted(self, grant: Choice | Refusal) -> None:
        self.ticket = None
        if isinstance(grant, Choice):
            self.choice = grant

    def is_live(self) -> bool:
        return self.ticket is not None or self.choice is not None


SETTINGS = router_file(
    {"bf16": 1, "fp8": 1},
    classes=[{"name": "standard", "max_queued": 3, "max_wait_s": 5}],
    cap=1,
    tenants={"list": [{"name": "acme", "keys": ["sha256:" + "0" * 64]}]},
)
ACME = TenantSpec("acme", (KeyDigest(digest_of(KEY)),), allowance=Allowance(max_in_flight=MOST))


class Charges(RuleBasedStateMachine):
    """Whatever becomes of requests, the tenant is charged for those in flight and for nothing else."""

    def start(self) -> list[Dispatcher]:
        return [Dispatcher(SETTINGS, tenants=[ACME])]

    def __init__(self) -> None:
        super().__init__()
        self.dispatchers = self.start()
        self.now_s = NOW_S
        self.clients: list[Client] = []

    @rule(worker=st.integers(0, WORKERS - 1))
    def arrive(self, worker: int) -> None:
        dispatcher = self.dispatchers[worker % len(self.dispatchers)]
        hints = dispatcher.hints({b"x-api-key": KEY})
        found = dispatcher.ask(hints, RequestFacts(stream=True, valid=True, body_bytes=400), self.now_s)
        live = sum(client.is_live() for client in self.clients)
        if isinstance(found, Refusal):
            assert (found.reason, live >= MOST) == ("tenant_in_flight", True)
            return
        assert live < MOST
        client = Client(found, dispatcher)
        self.clients.append(client)
        self.place(client, ())

    def place(self, client: Client, tried: tuple[object, ...]) -> None:
        found = client.dispatcher.choose(client.ask, self.now_s, tried)  # type: ignore[arg-type]
        if found is None:
            ticket = client.dispatcher.enqueue(client.ask, self.now_s, client.granted)
            client.ticket = None if isinstance(ticket, Refusal) else ticket
        elif isinstance(found, Choice):
            client.choice = found

    @precondition(lambda self: any(client.choice for client in self.clients))
    @rule(outcome=st.sampled_from(Outcome), seed=st.integers(0, 1000))
    def end(self, outcome: Outcome, seed: int) -> None:
        client = random.Random(seed).choice([client for client in self.clients if client.choice])
        choice, client.choice = client.choice, None
        assert choice is not None
        finish(client.dispatcher, choice, client.ask, outcome=outcome, now_s=self.now_s)
        finish(client.dispatcher, choice, client.ask, outcome=outcome, now_s=self.now_s)

    @precondition(lambda self: any(client.choice for client in self.clients))
    @rule(seed=st.integers(0, 1000), keeps_old=st.booleans())
    def try_elsewhere(self, seed: int, keeps_old: bool) -> None:
        client = random.Random(seed).choice([client for client in self.clients if client.choice])
        old, client.choice = client.choice, None
        assert old is not None
        if not keeps_old:
            finish(client.dispatcher, old, client.ask, outcome=Outcome.RESET, output_tokens=None, now_s=self.now_s)
        self.place(client, (old.spec.instance_id,))
        if keeps_old:
            finish(client.dispatcher, old, client.ask, outcome=Outcome.RESET, output_tokens=None, now_s=self.now_s)

    @precondition(lambda self: any(client.ticket for client in self.clients))
    @rule(seed=st.integers(0, 1000))
    def leave_the_queue(self, seed: int) -> None:
        client = random.Random(seed).choice([client for client in self.clients if client.ticket])
        for _ in range(2):
            client.dispatcher.cancel(client.ticket)
        client.ticket = None

    @rule(instance=st.sampled_from(["bf16-0", "fp8-0"]), ok=st.booleans())
    def probe(self, instance: str, ok: bool) -> None:
        for dispatcher in self.dispatchers:
            dispatcher.probed(instance, ok=ok, load=None, now_s=self.now_s)  # type: ignore[arg-type]

    @rule(seconds=st.floats(0, 4))
    def pass_time(self, seconds: float) -> None:
        self.now_s += seconds
        for dispatcher in self.dispatchers:
            dispatcher.expire(self.now_s)

    @invariant()
    def in_flight_are_those_that_wait_or_are_served(self) -> None:
        counts = [
            item.in_flight
            for dispatcher in self.dispatchers
            for item in dispatcher.state(self.now_s).tenants
            if item.tenant == "acme"
        ]
        assert sum(counts) == sum(client.is_live() for client in self.clients)


class SharedCharges(Charges):
    """The same for several workers."""

    def start(self) -> list[Dispatcher]:
        self.workers = SharedWorkers(SETTINGS, WORKERS, [ACME])
        return self.workers.dispatchers

    @rule(worker=st.integers(0, WORKERS - 1))
    def kill(self, worker: int) -> None:
        """End a worker with all it has."""
        killed = self.dispatchers[worker]
        self.workers.kill(worker)
        self.clients = [client for client in self.clients if client.dispatcher is not killed]

    @invariant()
    def the_row_counts_those_in_flight(self) -> None:
        counts = self.workers.memory.tenants.counts[:WORKERS]
        assert sum(counts) == sum(client.is_live() for client in self.clients)

    def teardown(self) -> None:
        self.workers.close()


TestCharges = Charges.TestCase
TestCharges.settings = settings(max_examples=60, stateful_step_count=40)
TestSharedCharges = SharedCharges.TestCase
TestSharedCharges.settings = settings(max_examples=40, stateful_step_count=40)
