import asyncio
import contextlib
import struct

import pytest

from controller.clock import SystemClock, VirtualClock
from controller.errors import SignalError
from controller.signals.sntp import TimeServers, address_of

TO_1900_S = 2_208_988_800


class Server(asyncio.DatagramProtocol):
    """A time server whose clock is so far ahead of the one it is asked by; a small one, not NTP's own."""

    def __init__(self, clock, ahead_s=0.0, forges=False):
        self.clock, self.ahead_s, self.forges = clock, ahead_s, forges

    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, addr):
        now = int((self.clock.wall_s() + self.ahead_s + TO_1900_S) * 2**32)
        cookie = b"\0" * 8 if self.forges else data[40:]
        head = struct.pack("!BBbbII4sQ", 0x24, 1, 6, -20, 0, 0, b"TEST", 0)
        self.transport.sendto(head + cookie + struct.pack("!QQ", now, now), addr)


@contextlib.asynccontextmanager
async def serving(*servers):
    loop = asyncio.get_running_loop()
    async with contextlib.AsyncExitStack() as stack:
        names = []
        for server in servers:
            transport, _ = await loop.create_datagram_endpoint(lambda s=server: s, local_addr=("127.0.0.1", 0))
            stack.callback(transport.close)
            names.append(f"127.0.0.1:{transport.get_extra_info('sockname')[1]}")
        yield tuple(names)


async def test_the_median_of_the_servers_counts():
    clock = VirtualClock(1_700_000_000.0)
    async with serving(*(Server(clock, ahead_s) for ahead_s in (5.0, 5.2, 900.0))) as names:
        offset = await TimeServers(names, clock).ask()
    assert offset.offset_s == pytest.approx(-5.2, abs=1e-3)
    assert (offset.servers, offset.failed) == (names, ())


async def test_one_that_does_not_answer_is_named_and_the_others_count():
    clock = SystemClock()
    async with serving(Server(clock, -30.0), Server(clock, forges=True)) as (good, forged):
        offset = await TimeServers((good, forged, "time.invalid"), clock, timeout_s=5.0).ask()
    assert offset.offset_s == pytest.approx(30.0, abs=1.0)
    assert offset.bound_s < 5.0
    assert [name for name, _ in offset.failed] == [forged, "time.invalid"]
    assert "another question" in offset.failed[0][1]


async def test_without_an_answer_the_offset_is_not_known():
    class Silent(asyncio.DatagramProtocol):
        pass

    async with serving(Silent()) as names:
        with pytest.raises(SignalError, match="no answer within"):
            await TimeServers(names, SystemClock(), timeout_s=0.05).ask()
    with pytest.raises(SignalError, match="none is configured"):
        await TimeServers((), SystemClock()).ask()


async def test_a_clock_that_is_set_while_it_is_asked_measures_nothing():
    clock = SystemClock()
    walls = [0.0, 3600.0, 3600.0]
    moved = type("Moved", (SystemClock,), {"wall_s": lambda self: clock.wall_s() + (walls.pop(0) if walls else 0.0)})()
    async with serving(Server(clock)) as names:
        with pytest.raises(SignalError, match="set while it was asked"):
            await TimeServers(names, moved).ask()


@pytest.mark.parametrize(
    ("server", "address"),
    [
        ("time.example.org", ("time.example.org", 123)),
        ("10.0.0.1:1123", ("10.0.0.1", 1123)),
        ("[2001:db8::1]", ("2001:db8::1", 123)),
        ("[2001:db8::1]:124", ("2001:db8::1", 124)),
    ],
)
def test_a_server_is_a_host_with_or_without_its_port(server, address):
    assert address_of(server) == address


@pytest.mark.parametrize("server", ["", ":123", "host:", "host:ntp", "host:0", "host:70000", "2001:db8::1"])
def test_what_is_no_server_is_refused(server):
    with pytest.raises(ValueError, match="no time server"):
        address_of(server)
