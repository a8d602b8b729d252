"""Writes wait for the end of the pass, keep their order, and are bounded."""

import asyncio
from typing import cast

from router.proxy.outbox import LARGE_BYTES, MAX_POSTED, Outbox


class Recorder:
    def __init__(self, log: list[tuple[str, bytes]], name: str) -> None:
        self.log = log
        self.name = name
        self.closed = False

    def write(self, data: bytes) -> None:
        self.log.append((self.name, data))

    def is_closing(self) -> bool:
        return self.closed


def transport(log: list[tuple[str, bytes]], name: str = "a") -> asyncio.WriteTransport:
    return cast(asyncio.WriteTransport, Recorder(log, name))


async def test_writes_are_sent_in_order_when_the_pass_is_over() -> None:
    log: list[tuple[str, bytes]] = []
    one, two, outbox = transport(log, "one"), transport(log, "two"), Outbox()
    outbox.post(one, b"1")
    outbox.post(two, b"2")
    outbox.post(one, b"3")
    assert log == []
    await asyncio.sleep(0)
    assert log == [("one", b"1"), ("two", b"2"), ("one", b"3")]
    outbox.post(two, b"4")
    await asyncio.sleep(0)
    assert log[-1] == ("two", b"4")


async def test_a_flush_sends_at_once_and_nothing_twice() -> None:
    log: list[tuple[str, bytes]] = []
    outbox = Outbox()
    outbox.post(transport(log), b"1")
    outbox.flush()
    assert log == [("a", b"1")]
    await asyncio.sleep(0)
    assert log == [("a", b"1")]


async def test_no_write_waits_for_more_than_a_bounded_number_of_others() -> None:
    log: list[tuple[str, bytes]] = []
    outbox = Outbox()
    for number in range(MAX_POSTED):
        outbox.post(transport(log), b"%d" % number)
    assert len(log) == MAX_POSTED


async def test_a_large_write_goes_out_at_once_and_after_what_was_posted_before() -> None:
    log: list[tuple[str, bytes]] = []
    outbox = Outbox()
    outbox.post(transport(log), b"1")
    outbox.post(transport(log), bytes(LARGE_BYTES))
    assert log == [("a", b"1"), ("a", bytes(LARGE_BYTES))]


async def test_a_transport_closed_meanwhile_is_passed_over() -> None:
    log: list[tuple[str, bytes]] = []
    outbox = Outbox()
    gone = Recorder(log, "gone")
    outbox.post(cast(asyncio.WriteTransport, gone), b"1")
    outbox.post(transport(log), b"2")
    gone.closed = True
    await asyncio.sleep(0)
    assert log == [("a", b"2")]
