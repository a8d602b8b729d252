"""Engines by the addresses of a name, looked up again and again.

A name that cannot be looked up, or has no address, leaves what is known as it is: resolvers say the same of a Service
without a ready pod as of a name that is not there. DNS says of no engine that it is ending. Of a name with addresses
of both families those of IPv4 count, as with EndpointSlices.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable

from router.discovery.endpoint import Endpoint, Found, FoundSink
from router.discovery.slices import MAX_ENDPOINTS
from router.errors import DiscoveryError
from router.poller import jittered_s
from router.transport.names import ask

LOOK_UP_S = 5.0
"""Longest wait for the resolver."""

LookUp = Callable[[str], Awaitable[list[str]]]


async def look_up(name: str) -> list[str]:
    """Addresses of a name, by the system's resolver.

    Raises:
        OSError: it has none, or nobody answers.
    """
    return [str(address[0]) for *_, address in await ask(name, None)]


class DnsPoll:
    """One pool's.

    Args:
        name: of the engines' host.
        port: where each of them listens.
        every_s: time between two looks.
        sink: takes what is found.
        rng: spreads the looks.
        look_up: asks the resolver; raises OSError.
    """

    def __init__(
        self,
        name: str,
        port: int,
        every_s: float,
        *,
        sink: FoundSink,
        rng: random.Random,
        look_up: LookUp = look_up,
    ) -> None:
        self._name = name
        self._port = port
        self._every_s = every_s
        self._sink = sink
        self._rng = rng
        self._look_up = look_up
        self._asking: asyncio.Future[list[str]] | None = None

    async def run(self) -> None:
        """Look the name up until cancelled."""
        try:
            while True:
                try:
                    self._sink.told(await self.step())
                except DiscoveryError as error:
                    self._sink.failed(str(error))
                await asyncio.sleep(jittered_s(self._every_s, self._rng))
        finally:
            if self._asking is not None:
                self._asking.cancel()
                self._asking = None

    async def step(self) -> Found:
        """Look it up once.

        Raises:
            DiscoveryError: it cannot be looked up in time, or has no address.
        """
        if self._asking is None:
            self._asking = asyncio.ensure_future(self._look_up(self._name))
        try:
            # What blocks a thread in the system's resolver cannot be ended; the next look waits for the same.
            async with asyncio.timeout(LOOK_UP_S):
                addresses = await asyncio.shield(self._asking)
        except TimeoutError as error:
            raise DiscoveryError(self._name, f"not looked up within {LOOK_UP_S:g} s") from error
        except OSError as error:
            self._asking = None
            raise DiscoveryError(self._name, f"cannot be looked up: {error.strerror or error}") from error
        self._asking = None
        if not addresses:
            raise DiscoveryError(self._name, "has no address")
        # An engine with both has one of each, and DNS does not say which belong together.
        hosts = {address for address in addresses if ":" not in address} or set(addresses)
        ready = sorted(Endpoint("", host, self._port) for host in hosts)
        problems = (f"{len(ready)} addresses; the first {MAX_ENDPOINTS} are used",) if ready[MAX_ENDPOINTS:] else ()
        used = tuple(ready[:MAX_ENDPOINTS])
        return Found(used, problems=problems, left_out=len(ready) - len(used))
