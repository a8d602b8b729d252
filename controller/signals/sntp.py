"""Asks time servers for the time (SNTP, RFC 5905 §14): how far this machine's clock is off, and how surely."""

from __future__ import annotations

import asyncio
import secrets
import statistics
from dataclasses import dataclass

from controller.clock import Clock
from controller.errors import SignalError
from controller.signals.sntp_message import ClockReading, question, read_answer

PORT = 123


@dataclass(frozen=True, slots=True)
class Offset:
    """How far this machine's clock is off.

    Attributes:
        offset_s: this machine's clock less true time: positive where it is ahead; the median of the servers.
        bound_s: largest error of that, if the servers are right.
        asked_s: monotonic clock as they were asked.
        servers: those that answered.
        failed: (server, why not) of the others.
    """

    offset_s: float
    bound_s: float
    asked_s: float
    servers: tuple[str, ...]
    failed: tuple[tuple[str, str], ...] = ()


class TimeServers:
    """Asks them all at once.

    Args:
        servers: each ``HOST`` or ``HOST:PORT``, an IPv6 address in brackets.
        clock: whose offset is wanted.
        timeout_s: longest wait for an answer.
    """

    def __init__(self, servers: tuple[str, ...], clock: Clock, timeout_s: float = 2.0) -> None:
        self._servers = servers
        self._clock = clock
        self._timeout_s = timeout_s

    async def ask(self) -> Offset:
        """What they say: the median of their offsets.

        Raises:
            SignalError: none of them tells the time, and why not.
        """
        asked_s = self._clock.monotonic_s()
        told = await asyncio.gather(*(self._asked(server) for server in self._servers))
        readings = [each for each in told if isinstance(each, ClockReading)]
        failed = tuple((each.source, str(each)) for each in told if isinstance(each, SignalError))
        if not readings:
            raise SignalError("time servers", "; ".join(reason for _, reason in failed) or "none is configured")
        middle_s = statistics.median(reading.offset_s for reading in readings)
        nearest = min(readings, key=lambda reading: abs(reading.offset_s - middle_s))
        spread_s = abs(nearest.offset_s - middle_s)
        servers = tuple(reading.server for reading in readings)
        return Offset(middle_s, nearest.bound_s + spread_s, asked_s, servers, failed)

    async def _asked(self, server: str) -> ClockReading | SignalError:
        try:
            async with asyncio.timeout(self._timeout_s):
                return await _ask(server, self._clock)
        except TimeoutError:
            return SignalError(server, f"no answer within {self._timeout_s:g} s; is UDP port {PORT} open to it?")
        except OSError as error:
            return SignalError(server, error.strerror or str(error))
        except SignalError as error:
            return error


class _Answer(asyncio.DatagramProtocol):
    """The first datagram that comes back."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.came: asyncio.Future[tuple[bytes, float]] = asyncio.get_running_loop().create_future()

    def datagram_received(self, data: bytes, addr: tuple[str | int, ...]) -> None:
        if not self.came.done():
            self.came.set_result((data, self._clock.wall_s()))

    def error_received(self, exc: Exception) -> None:
        if not self.came.done():
            self.came.set_exception(exc)


async def _ask(server: str, clock: Clock) -> ClockReading:
    host, port = address_of(server)
    loop, cookie = asyncio.get_running_loop(), secrets.randbits(64)
    transport, answer = await loop.create_datagram_endpoint(lambda: _Answer(clock), remote_addr=(host, port))
    try:
        began_s, sent_s = clock.monotonic_s(), clock.wall_s()
        transport.sendto(question(cookie))
        body, came_s = await answer.came
        passed_s = clock.monotonic_s() - began_s
    finally:
        transport.close()
    if abs((came_s - sent_s) - passed_s) > 0.5:
        raise SignalError(server, "the clock was set while it was asked")
    return read_answer(body, server, cookie, sent_s, came_s)


def address_of(server: str) -> tuple[str, int]:
    """Host and port of a server as it is configured.

    Raises:
        ValueError: it is none.
    """
    host, separator, port = server.rpartition(":")
    if not separator or server.endswith("]"):
        host, port = server, str(PORT)
    host = host.removeprefix("[").removesuffix("]") if host.startswith("[") else host
    if not host or ("[" not in server and ":" in host) or not port.isdecimal() or not 0 < int(port) < 65_536:
        raise ValueError(f"{server!r:.80} is no time server; write HOST, HOST:PORT or [IPV6]:PORT")
    return host, int(port)
