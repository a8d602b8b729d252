"""Clients and engines that behave in any way at all: no answer is mixed up, lost in silence or taken for complete.

The router's data path runs on a network in memory, so that any split, delay, pause, reset and half-close can be played,
and played again.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from router.proxy.client_side import ClientConnection
from router.proxy.gateway import Clocks
from tests.fakes.running import gateway_for, settings_for
from tests.fakes.virtual_net import Listener, Peer, VirtualLoop, VirtualTransport, close
from tests.smuggling.readers import Answers, h11_answers
from tests.smuggling.wire import Arrival, take_arrival

ADDRESSES = (("192.0.2.10", 8000), ("192.0.2.11", 8000))
WALL_S = 1_800_000_000.0
SWEEP_S = 0.25
WRITE_BUFFER_BYTES = 4096
MOST_PIECE_BYTES = 3000
HEAD_BYTES = 2000
MOST_CLIENTS = 4
FILE = settings_for(
    ["http://{}:{}".format(*address) for address in ADDRESSES],
    pool={"max_in_flight": 2},
    cls={"max_queued": 3, "max_wait_s": 4.0},
    health={"suspect_after": 100, "eject_after": 100},
    limits={"write_buffer_bytes": WRITE_BUFFER_BYTES, "max_head_bytes": 4096, "max_body_bytes": 8192},
    timeouts={
        "connect_s": 1.0,
        "first_byte_s": 5.0,
        "inter_chunk_s": 3.0,
        "head_s": 2.0,
        "body_s": 2.0,
        "keep_alive_s": 8.0,
        "engine_keep_alive_s": 4.0,
    },
)
FAILED_EVENT = b'data: {"error":{"message":"no","type":"InternalServerError","param":null,"code":500}}\n\n'


@dataclass(frozen=True)
class Form:
    """How a request is written."""

    method: bytes = b"POST"
    version: bytes = b"1.1"
    is_chunked: bool = False
    closes: bool = False
    expects: bool = False
    is_malformed: bool = False
    size: int = 0


@dataclass
class Request:
    """A request that a client sends.

    Attributes:
        target: names it.
        given: status and body of the answers that engines gave it in full.
        attempts: engines' connections that got it.
    """

    form: Form
    target: bytes
    body: bytes
    raw: bytes
    given: list[tuple[int, bytes]] = field(default_factory=list)
    attempts: list[EngineEnd] = field(default_factory=list)


@dataclass
class ClientEnd:
    """A client: its connection, what it sent, whether it left, whether it still reads; and what was looked at."""

    peer: Peer
    transport: VirtualTransport
    requests: list[Request] = field(default_factory=list)
    has_left: bool = False
    reads_on: bool = True
    checked: object = None


@dataclass
class EngineEnd:
    """An engine's end of a connection; `plan` is the answer it is sending to `request`, maybe the last one here."""

    peer: Peer
    taken: int = 0
    is_spent: bool = False
    request: Request | None = None
    plan: Plan | None = None


@dataclass
class Plan:
    """An answer of an engine."""

    status: int
    body: bytes
    raw: bytes
    is_until_close: bool


forms = st.builds(
    Form,
    method=st.sampled_from([b"POST", b"POST", b"GET", b"HEAD"]),
    version=st.sampled_from([b"1.1", b"1.1", b"1.1", b"1.0"]),
    is_chunked=st.booleans(),
    closes=st.sampled_from([False, False, False, True]),
    expects=st.sampled_from([False, False, True]),
    is_malformed=st.sampled_from([False] * 9 + [True]),
    size=st.sampled_from([0, 7, 500, 6000]),
)
kinds = st.sampled_from(["length", "chunked", "chunked", "events", "events", "until_close", "failed_event", "none"])
statuses = st.sampled_from([200] * 6 + [404, 500, 503])
sizes = st.sampled_from([0, 1, 700, 6000, 40_000])
pieces = st.none() | st.sampled_from([1, 5, 40, 200, MOST_PIECE_BYTES])


def write_request(number: int, form: Form) -> Request:
    target = b"/v1/r/%d" % number
    if form.is_malformed:
        return Request(form, target, b"", b"POST %b HTTP/1.1\r\nHost: a\r\nX : y\r\n\r\n" % target)
    body = (b"%d," % number) * (form.size // 3) if form.method == b"POST" else b""
    lines = [b"%b %b HTTP/%b" % (form.method, target, form.version), b"Host: a"]
    if form.closes:
        lines.append(b"Connection: close")
    if form.expects:
        lines.append(b"Expect: 100-continue")
    if form.is_chunked and form.version == b"1.1":
        lines.append(b"Transfer-Encoding: chunked")
        sent = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts_of(body, 100)) + b"0\r\n\r\n"
    else:
        sent = body
        if body:
            lines.append(b"Content-Length: %d" % len(body))
    return Request(form, target, body, b"\r\n".join([*lines, b"", b""]) + sent)


def parts_of(data: bytes, size: int) -> list[bytes]:
    return [data[at : at + size] for at in range(0, len(data), size)]


def write_answer(
    request: Request, kind: str, status: int, size: int, *, interim: Sequence[int] = (), is_last: bool = False
) -> Plan:
    """An answer that no other request has ever got."""
    attempt = len(request.attempts)
    body = (b"<%b %d %d>" % (request.target, attempt, status) * (size // 10 + 1))[:size] if size else b""
    before = b"".join(b"HTTP/1.1 %d Wait\r\n\r\n" % code for code in interim)
    lines = [b"HTTP/1.1 %d S" % status, b"X-For: %b" % request.target]
    if is_last:
        lines.append(b"Connection: close")
    is_head = request.form.method == b"HEAD"
    sent = b""
    if kind in ("events", "failed_event"):
        first = FAILED_EVENT if kind == "failed_event" else b""
        parts = [part for part in (first, *(b"data: %b\n\n" % part for part in parts_of(body, 400))) if part]
        body = b"".join(parts)
        lines += [b"Content-Type: text/event-stream", b"Transfer-Encoding: chunked"]
        sent = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"
    elif kind == "chunked":
        lines.append(b"Transfer-Encoding: chunked")
        sent = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts_of(body, 900)) + b"0\r\nX: y\r\n\r\n"
    elif kind == "none":
        lines[0], body = b"HTTP/1.1 204 N", b""
        status = 204
    else:
        sent = body
        if kind == "length":
            lines.append(b"content-length: %d" % len(body))
    if is_head:
        sent = body = b""
    raw = before + b"\r\n".join([*lines, b"", b""]) + sent
    return Plan(status, body, raw, is_until_close=kind == "until_close" and not is_head)


class InOrder(dict[Any, None]):
    """A set that goes through its members in the order of their coming, the same in every run."""

    def add(self, member: Any) -> None:
        self[member] = None

    def discard(self, member: Any) -> None:
        self.pop(member, None)


class Conversation(RuleBasedStateMachine):
    """Up to four clients, a router and two engines."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = VirtualLoop()
        self.loop.kernel_bytes = 1500
        self.gateway = gateway_for(FILE, Clocks(lambda: WALL_S + self.loop.now_s, self.loop.time, WALL_S))
        self.gateway.clients = InOrder()  # type: ignore[assignment]
        self.clients: list[ClientEnd] = []
        self.engines: list[EngineEnd] = []
        self.requests: dict[bytes, Request] = {}
        self.numbers = itertools.count(1)
        self.listeners = [Listener(self.loop, self._accepted) for _ in ADDRESSES]
        self.loop.listeners.update(zip(ADDRESSES, self.listeners, strict=True))

    def _accepted(self, peer: Peer) -> None:
        self.engines.append(EngineEnd(peer))

    # Clients.

    @precondition(lambda self: sum(not client.has_left for client in self.clients) < MOST_CLIENTS)
    @rule(form=forms, piece=pieces)
    def connect(self, form: Form, piece: int | None) -> None:
        peer = self.loop.join(ClientConnection(self.gateway))
        (transport,) = [transport for transport in self.loop.transports if transport.peer is peer]
        self.clients.append(ClientEnd(peer, transport))
        self._send(self.clients[-1], form)
        peer.deliver(piece)
        self._settle()

    def _send(self, client: ClientEnd, form: Form) -> None:
        request = write_request(next(self.numbers), form)
        self.requests[request.target] = request
        client.requests.append(request)
        client.peer.send(request.raw)

    @precondition(lambda self: self._here())
    @rule(form=forms, which=st.integers(0, 99))
    def send(self, form: Form, which: int) -> None:
        client = self._client(which)
        if len(client.requests) < 6:
            self._send(client, form)

    @precondition(lambda self: self._here())
    @rule(which=st.integers(0, 99), piece=pieces)
    def client_deliver(self, which: int, piece: int | None) -> None:
        self._client(which).peer.deliver(piece)
        self._settle()

    @precondition(lambda self: self._here())
    @rule(which=st.integers(0, 99), how=st.sampled_from(["reset", "close", "finish"]))
    def client_leaves(self, which: int, how: str) -> None:
        client = self._client(which)
        client.has_left = True
        client.reads_on = how == "finish"
        if client.reads_on:
            client.peer.deliver()
        getattr(client.peer, how)()
        self._settle()

    @precondition(lambda self: self._here())
    @rule(which=st.integers(0, 99))
    def client_stops_reading(self, which: int) -> None:
        self._client(which).peer.stop_reading()

    @precondition(lambda self: self._here())
    @rule(which=st.integers(0, 99), size=pieces)
    def client_reads(self, which: int, size: int | None) -> None:
        self._client(which).peer.read(size)
        self._settle()

    # Engines.

    @precondition(lambda self: self._asked())
    @rule(
        which=st.integers(0, 99),
        kind=kinds,
        status=statuses,
        size=sizes,
        interim=st.sampled_from([[], [], [100], [103], [100, 103]]),
        is_last=st.sampled_from([False, False, True]),
        piece=pieces,
    )
    def engine_answers(
        self, which: int, kind: str, status: int, size: int, interim: list[int], is_last: bool, piece: int | None
    ) -> None:
        engine = self._asked()[which % len(self._asked())]
        self._answer(engine, kind, status, size, interim=interim, is_last=is_last)
        self._engine_delivers(engine, piece)

    def _answer(self, engine: EngineEnd, kind: str, status: int, size: int, **more: Any) -> None:
        assert engine.request is not None
        engine.plan = write_answer(engine.request, kind, status, size, **more)
        engine.is_spent = more.get("is_last", False)
        engine.peer.send(engine.plan.raw)

    @precondition(lambda self: self._asked())
    @rule(
        which=st.integers(0, 99), kind=st.sampled_from(["length", "chunked", "none"]), size=st.sampled_from([0, 1, 700])
    )
    def engine_says_more_than_its_answer(self, which: int, kind: str, size: int) -> None:
        engine = self._asked()[which % len(self._asked())]
        self._answer(engine, kind, 200, size)
        engine.is_spent = True
        # In one piece with the answer: what comes later cannot be told from the answer to a later request.
        engine.peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nstolen")
        engine.peer.deliver()
        self._engine_delivers(engine, None)

    @precondition(lambda self: self._answering())
    @rule(which=st.integers(0, 99), piece=pieces)
    def engine_delivers(self, which: int, piece: int | None) -> None:
        self._engine_delivers(self._answering()[which % len(self._answering())], piece)

    def _engine_delivers(self, engine: EngineEnd, piece: int | None) -> None:
        if piece is None:
            while engine.peer.queued:
                engine.peer.deliver(MOST_PIECE_BYTES)
        else:
            engine.peer.deliver(piece)
        plan, request = engine.plan, engine.request
        if plan is not None and request is not None and not engine.peer.queued and not plan.is_until_close:
            request.given.append((plan.status, plan.body))
            engine.plan = engine.request = None
        self._settle()

    @precondition(lambda self: self._answering())
    @rule(which=st.integers(0, 99))
    def engine_delivers_the_rest(self, which: int) -> None:
        self._engine_delivers(self._answering()[which % len(self._answering())], None)

    @precondition(lambda self: self._standing())
    @rule(which=st.integers(0, 99), how=st.sampled_from(["reset", "close"]))
    def engine_ends(self, which: int, how: str) -> None:
        engine = self._standing()[which % len(self._standing())]
        plan, request = engine.plan, engine.request
        if plan is not None and request is not None and plan.is_until_close and how == "close":
            # Where the end of the connection is the end of the answer, what came is the answer.
            came = plan.raw[: len(plan.raw) - len(engine.peer.queued)]
            final = came.rfind(b"HTTP/1.1 %d S\r\n" % plan.status)
            _, end, body = came[max(final, 0) :].partition(b"\r\n\r\n")
            if end and final >= 0:
                request.given.append((plan.status, body))
        engine.peer.queued.clear()
        engine.plan = engine.request = None
        getattr(engine.peer, how)()
        self._settle()

    @precondition(lambda self: self._idle())
    @rule(which=st.integers(0, 99), noise=st.sampled_from([b"x", b"\r\n", b"HTTP/1.1 200 OK\r\n\r\n", b"0\r\n\r\n"]))
    def engine_speaks_unasked(self, which: int, noise: bytes) -> None:
        engine = self._idle()[which % len(self._idle())]
        engine.peer.send(noise)
        engine.peer.deliver()
        self._settle()
        assert self._is_over(engine.peer)

    @precondition(lambda self: not self._troubled())
    @rule(which=st.integers(0, 1), how=st.sampled_from(["is_refusing", "is_hanging"]))
    def engine_accepts_no_more(self, which: int, how: str) -> None:
        setattr(self.listeners[which], how, True)

    @precondition(lambda self: self._troubled())
    @rule()
    def engine_accepts_again(self) -> None:
        self._accept_all()
        self._settle()

    def _accept_all(self) -> None:
        for listener in self.listeners:
            listener.is_refusing = False
            listener.go_on()

    @rule(seconds=st.sampled_from([0.25, 1.0, 3.5]))
    def wait(self, seconds: float) -> None:
        for _ in range(int(seconds / SWEEP_S)):
            self.loop.now_s += SWEEP_S
            self.loop.call_soon(self.gateway.sweep)
            self._settle()

    # What always holds.

    @invariant()
    def clients_get_their_own_answers(self) -> None:
        for client in self.clients:
            peer = client.peer
            seen = (len(peer.received), peer.is_ended, peer.is_reset)
            if client.checked != seen and client.reads_on:
                self._check_client(client)
                client.checked = seen

    @invariant()
    def nothing_is_held_beyond_the_bounds(self) -> None:
        for client in self.clients:
            assert client.transport.most_held <= WRITE_BUFFER_BYTES + MOST_PIECE_BYTES + HEAD_BYTES
        for view in self.gateway.dispatcher.state(WALL_S).instances:
            assert 0 <= view.in_flight <= 2

    @invariant()
    def nothing_goes_wrong_unseen(self) -> None:
        assert self.loop.problems == []

    @invariant()
    def engines_do_not_work_for_those_who_left(self) -> None:
        for client in self.clients:
            if client.has_left and not client.peer.queued and client.transport not in self.loop.transports:
                for request in client.requests:
                    assert all(self._is_over(end.peer) for end in request.attempts if end.request is request)

    def teardown(self) -> None:
        try:
            self._let_all_end()
            self._check_end()
        finally:
            close(self.loop)

    def _let_all_end(self) -> None:
        """Every client that stays gets to the end of what it asked for."""
        self._accept_all()
        for client in self.clients:
            if client.reads_on:
                client.peer.read()
        self._settle()
        while any(client.peer.queued for client in self._here()) or self._asked() or self._answering():
            for client in self._here():
                client.peer.deliver()
            self._settle()
            for engine in self._asked():
                self._answer(engine, "length", 200, 10)
            for engine in self._answering():
                self._engine_delivers(engine, None)
                if engine.plan is not None:
                    engine.peer.queued.clear()
                    self._end_orderly(engine)
            self._settle()

    def _end_orderly(self, engine: EngineEnd) -> None:
        plan, request = engine.plan, engine.request
        assert plan is not None
        assert request is not None
        request.given.append((plan.status, plan.body))
        engine.plan = engine.request = None
        engine.peer.close()

    def _check_end(self) -> None:
        for client in self.clients:
            found = self._check_client(client) if client.reads_on else Answers()
            if not client.has_left and not self._is_over(client.peer):
                assert len(found.answers) == len(client.requests)
                assert all(answer.is_complete for answer in found.answers)
            if not client.has_left:
                client.peer.close()
        self._settle()
        assert not self.gateway.clients
        assert all(view.in_flight == 0 for view in self.gateway.dispatcher.state(WALL_S).instances)
        assert self.gateway.held_body_bytes == 0
        self.wait(6.0)
        assert not self.loop.transports
        assert not self.loop.problems

    # How things stand.

    def _troubled(self) -> bool:
        return any(listener.is_refusing or listener.is_hanging for listener in self.listeners)

    def _here(self) -> list[ClientEnd]:
        return [client for client in self.clients if not client.has_left]

    def _client(self, which: int) -> ClientEnd:
        here = self._here()
        return here[which % len(here)]

    def _standing(self) -> list[EngineEnd]:
        return [engine for engine in self.engines if not self._is_over(engine.peer) and not engine.peer.is_gone]

    def _asked(self) -> list[EngineEnd]:
        return [engine for engine in self._standing() if engine.request is not None and engine.plan is None]

    def _answering(self) -> list[EngineEnd]:
        return [engine for engine in self._standing() if engine.plan is not None]

    def _idle(self) -> list[EngineEnd]:
        return [
            engine
            for engine in self._standing()
            if engine.request is None and engine.taken and not engine.peer.has_unread
        ]

    @staticmethod
    def _is_over(peer: Peer) -> bool:
        return peer.is_ended or peer.is_reset

    def _settle(self) -> None:
        self.loop.settle()
        for number, engine in enumerate(self.engines):
            arrival = take_arrival(engine.peer.received, engine.taken, number)
            if arrival is not None:
                self._arrived(engine, arrival)

    def _arrived(self, engine: EngineEnd, arrival: Arrival) -> None:
        """An engine gets exactly what a client sent, one request at a time, and a second time only after a failure."""
        engine.taken += len(arrival.raw)
        assert engine.taken == len(engine.peer.received)
        assert engine.request is None
        assert not engine.is_spent
        request = self.requests[arrival.target]
        assert (arrival.method, arrival.body) == (request.form.method, request.body)
        assert not request.form.is_malformed
        assert all(end.request is not request or self._is_over(end.peer) for end in request.attempts)
        if not self._is_over(engine.peer):
            request.attempts.append(engine)
            engine.request = request

    def _check_client(self, client: ClientEnd) -> Answers:
        """Answers in order, each one's own and exact, or the router's refusal; nothing that only looks complete."""
        peer = client.peer
        methods = [b"POST" if request.form.is_malformed else request.form.method for request in client.requests]
        found = h11_answers(bytes(peer.received), methods, is_ended=peer.is_ended, is_reset=peer.is_reset)
        if found.is_refused and found.answers[-1].get(b"x-wattroute-reason"):
            # A head that never came whole may have said HEAD; its refusal has a body.
            methods[len(found.answers) - 1] = b"POST"
            found = h11_answers(bytes(peer.received), methods, is_ended=peer.is_ended, is_reset=peer.is_reset)
            assert found.answers[-1].status in (400, 408)
            assert found.answers[-1].get(b"connection") == b"close"
        assert not found.is_refused
        for request, answer in zip(client.requests, found.answers, strict=False):
            if not answer.is_complete:
                continue
            if answer.get(b"x-wattroute-reason") is not None:
                assert answer.status in (400, 408, 413, 429, 502, 503, 504)
                continue
            assert answer.get(b"x-for") == request.target
            assert (answer.status, answer.body) in request.given
        return found


Conversation.TestCase.settings = settings(max_examples=400, stateful_step_count=50)
TestConversation = pytest.mark.timeout(300)(Conversation.TestCase)


@pytest.mark.parametrize(("version", "kind"), [(b"1.0", "chunked"), (b"1.1", "until_close")])
def test_a_slow_reader_that_is_given_up_sees_a_break(version: bytes, kind: str) -> None:
    conversation = Conversation()
    try:
        conversation.connect(Form(version=version), None)
        conversation.client_stops_reading(0)
        conversation.engine_answers(0, kind, 200, 5000, [], is_last=False, piece=None)
        if kind == "until_close":
            conversation.engine_ends(0, "close")
        conversation.wait(8.0)
        conversation.client_reads(0, None)
        (client,) = conversation.clients
        assert client.peer.is_reset
    finally:
        close(conversation.loop)
