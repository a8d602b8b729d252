"""A router on a network in memory, in front of one engine that keeps every byte: fast, and the same every time."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from functools import cache

from router.proxy.client_side import ClientConnection
from router.proxy.gateway import Clocks, Gateway
from router.settings import RouterFile
from tests.fakes.running import gateway_for, settings_for
from tests.fakes.virtual_net import Listener, Peer, VirtualLoop, virtual_loop
from tests.smuggling.wire import OK, Arrival, Reply, take_arrival

ADDRESS = ("192.0.2.10", 8000)
WALL_S = 1_800_000_000.0
SWEEP_S = 0.5


class VirtualRouter:
    """A router, its loop and its engine.

    Attributes:
        script: the engine's answer to a request.
        arrivals: requests the engine got, in the order of their end.
        taken: how much of each of the engine's connections was whole requests.
        engine_sides: the engine's connections.
    """

    def __init__(self, loop: VirtualLoop, settings: RouterFile) -> None:
        self.loop = loop
        self.gateway: Gateway = gateway_for(settings, Clocks(lambda: WALL_S + loop.time(), loop.time, WALL_S))
        self.script: Callable[[Arrival], Reply] = lambda _: OK
        self.arrivals: list[Arrival] = []
        self.engine_sides: list[Peer] = []
        self.taken: list[int] = []
        loop.listeners[ADDRESS] = Listener(loop, self._accepted)

    def _accepted(self, peer: Peer) -> None:
        self.engine_sides.append(peer)
        self.taken.append(0)

    def connect(self) -> Peer:
        """A client's connection."""
        return self.loop.join(ClientConnection(self.gateway))

    def settle(self) -> None:
        """Let everything happen that can happen now; the engine answers what it gets."""
        self.loop.settle()
        while self._serve():
            self.loop.settle()

    def _serve(self) -> bool:
        has_served = False
        for number, peer in enumerate(self.engine_sides):
            while (arrival := take_arrival(peer.received, self.taken[number], number)) is not None:
                self.taken[number] += len(arrival.raw)
                self.arrivals.append(arrival)
                self._answer(peer, self.script(arrival))
                has_served = True
        return has_served

    def _answer(self, peer: Peer, reply: Reply) -> None:
        for piece in reply.pieces:
            peer.send(piece)
            peer.deliver()
        if reply.end == "close":
            peer.finish()
        elif reply.end == "reset":
            self.loop.settle()
            peer.reset()

    def unread(self) -> bytes:
        """Bytes at the engine that belong to no whole request."""
        return b"".join(bytes(peer.received[taken:]) for peer, taken in zip(self.engine_sides, self.taken, strict=True))

    def wait(self, seconds: float) -> None:
        """Let time pass."""
        until_s = self.loop.now_s + seconds
        while self.loop.now_s < until_s:
            self.loop.now_s = min(until_s, self.loop.now_s + SWEEP_S)
            self.loop.call_soon(self.gateway.sweep)
            self.settle()

    def in_flight(self) -> int:
        """Slots held."""
        return sum(view.in_flight for view in self.gateway.dispatcher.state(WALL_S).instances)


@cache
def _settings() -> RouterFile:
    url = "http://{}:{}".format(*ADDRESS)
    return settings_for([url], health={"suspect_after": 100, "eject_after": 100})


@contextlib.contextmanager
def virtual_router() -> Iterator[VirtualRouter]:
    """A router of its own; afterwards nothing may be held, and nothing may have gone wrong unseen."""
    with virtual_loop() as loop:
        router = VirtualRouter(loop, _settings())
        yield router
        router.gateway.close()
        router.settle()
        assert not loop.problems
        assert not loop.transports
        assert router.in_flight() == 0
