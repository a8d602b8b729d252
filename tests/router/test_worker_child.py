"""A worker process from outside: its reports, and every way it may end."""

from __future__ import annotations

import asyncio
import signal
import sys
from asyncio.subprocess import PIPE

import msgspec
import pytest

from router.contract import InstanceId
from router.dispatch import Dispatcher
from router.snapshot import Snapshot
from router.worker_child import Child
from router.worker_messages import Doubted, Drain, Report, Reported, line_of
from tests.fakes.routing import NOW_S, ask, choose, finish, router_file


def snapshot(requests: int) -> Snapshot:
    dispatcher = Dispatcher(router_file({"bf16": 1}))
    for _ in range(requests):
        request = ask(dispatcher)
        finish(dispatcher, choose(dispatcher, request), request)
    return dispatcher.state(NOW_S)


def report_of(requests: int) -> bytes:
    return line_of(Reported(msgspec.Raw(msgspec.json.encode(snapshot(requests)))))


async def child_that(program: str) -> Child:
    """A process that runs a program with `out`, which writes bytes to the parent at once."""
    head = "import sys, time\ndef out(data):\n    sys.stdout.buffer.write(data)\n    sys.stdout.flush()\n"
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", head + program, stdin=PIPE, stdout=PIPE)
    return Child(process)


def nobody(doubted: tuple[InstanceId, ...]) -> None:
    raise AssertionError(doubted)


class Heard:
    def __init__(self) -> None:
        self.requests: list[int] = []

    def of(self, child: Child) -> None:
        assert child.report is not None
        self.requests.append(child.report.classes[0].requests)


async def test_reports_are_read_as_they_come() -> None:
    child = await child_that(f"out({report_of(1)!r}); out({report_of(2)!r})")
    assert not child.serves
    assert child.report is None
    child.silent_s = 5.0
    heard = Heard()
    await child.listen(lambda: heard.of(child), nobody)
    assert heard.requests == [1, 2]
    assert child.serves
    assert child.silent_s == 0.0
    assert await child.end() == 0


async def test_a_report_that_death_cut_short_is_left_out() -> None:
    child = await child_that(f"out({report_of(1)!r}); out({report_of(2)[:-20]!r})")
    await child.listen(lambda: None, nobody)
    assert child.report is not None
    assert child.report.classes[0].requests == 1
    await child.end()


async def test_who_asks_together_asks_once_and_is_answered_together() -> None:
    program = (
        f"line = sys.stdin.buffer.readline()\nout({report_of(3)!r} if b'report' in line else b'?')\ntime.sleep(60)"
    )
    child = await child_that(program)
    listening = asyncio.create_task(child.listen(lambda: None, nobody))
    one, two = child.ask(), child.ask()
    assert one is two
    async with asyncio.timeout(20):
        await one
    assert child.report is not None
    await child.end()
    await listening


async def test_who_asks_a_child_that_dies_is_told_of_nothing_and_goes_on() -> None:
    child = await child_that("time.sleep(60)")
    asked = child.ask()
    assert await child.end() == -signal.SIGKILL
    assert asked.done()
    assert child.report is None


async def test_the_dead_hear_nothing() -> None:
    child = await child_that("")
    await child.listen(lambda: None, nobody)
    await child.end()
    child.tell(line_of(Drain()))
    child.tell(line_of(Report()))
    child.signal(signal.SIGTERM)


async def test_what_is_no_report_is_an_error() -> None:
    child = await child_that("out(b'hello\\n')")
    with pytest.raises(msgspec.DecodeError):
        await child.listen(lambda: None, nobody)
    await child.end()


async def test_it_is_started_with_the_descriptors_it_is_to_inherit() -> None:
    child = await Child.start(())
    assert child.pid > 0
    child.signal(signal.SIGKILL)
    await child.listen(lambda: None, nobody)
    assert await child.end() == -signal.SIGKILL


async def test_what_it_doubts_is_passed_on_and_is_no_report() -> None:
    line = line_of(Doubted((InstanceId("bf16-1"),)))
    child = await child_that(f"out({line!r})")
    doubted: list[tuple[InstanceId, ...]] = []
    await child.listen(lambda: None, doubted.append)
    assert doubted == [("bf16-1",)]
    assert not child.serves
    await child.end()
