"""A worker as a process: obeys lines, reports, and never outlives its parent."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from dataclasses import dataclass

import msgspec
import pytest

from router.clock import epoch_s, wall_s
from router.contract import InstanceId, encode
from router.contract_rates import EnergyRate, EnergyRates, encode_rates
from router.errors import ListenError
from router.fleet import EngineLoad
from router.settings import RouterFile
from router.shared_memory import SharedMemory
from router.snapshot import Snapshot
from router.transport.listening import bind
from router.worker_messages import (
    Begin,
    Drain,
    Probe,
    Probes,
    Rates,
    Report,
    Serve,
    Share,
    Table,
    TableConfirmed,
    ToWorker,
    line_of,
    read_by_parent,
)
from tests.fakes.fake_engine import FakeEngine, Request, Wire, behave, chat
from tests.fakes.routing import table
from tests.fakes.running import RawClient, settings_for

PLAIN = b'{"model":"qwen","messages":[]}'
ONE = InstanceId("bf16-0")


@dataclass
class Parent:
    """The other end of a worker's streams."""

    process: Process
    memory: SharedMemory
    settings: RouterFile

    @property
    def port(self) -> int:
        return self.settings.router.port

    def tell(self, *messages: ToWorker) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(b"".join(line_of(message) for message in messages))

    def begin(self) -> Begin:
        return Begin(
            self.settings.model_dump_json(), 0, 2, logging.INFO, self.memory.fd, self.memory.wake_fds, epoch_s()
        )

    async def hear(self) -> Snapshot:
        assert self.process.stdout is not None
        async with asyncio.timeout(20):
            line = await self.process.stdout.readline()
        return msgspec.json.decode(read_by_parent(line).snapshot, type=Snapshot)

    async def hear_until(self, holds: object) -> Snapshot:
        while True:
            self.tell(Report())
            snapshot = await self.hear()
            if holds(snapshot):  # type: ignore[operator]
                return snapshot

    async def ended(self) -> int:
        async with asyncio.timeout(20):
            return await self.process.wait()


@contextlib.asynccontextmanager
async def parent_of_one(*urls: str, **sections: dict) -> AsyncIterator[Parent]:
    held = bind("127.0.0.1", 0, shared=True)
    memory = SharedMemory.create(2)
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "router.worker_process",
        stdin=PIPE,
        stdout=PIPE,
        stderr=PIPE,
        pass_fds=(memory.fd, *memory.wake_fds),
    )
    settings = settings_for(list(urls), **{"port": held.getsockname()[1], "workers": 2, **sections})
    try:
        yield Parent(process, memory, settings)
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.communicate()
        memory.close()
        held.close()


async def test_it_serves_when_told_and_reports_by_itself_and_when_asked() -> None:
    async with FakeEngine() as engine, parent_of_one(engine.url) as parent:
        parent.tell(parent.begin())
        with pytest.raises(ConnectionRefusedError):
            async with RawClient.to(parent.port):
                pass
        parent.tell(Serve())
        assert (await parent.hear()).ready
        async with RawClient.to(parent.port) as client:
            await client.post(PLAIN)
            assert (await client.reply()).status == 200
        assert (await parent.hear_until(lambda s: s.classes[0].finished)).classes[0].requests == 1
        assert (await parent.hear()).now_s > 0, "a report that nobody asked for"
        assert "/health" not in {request.target for request in engine.requests}, "it is told of probes"


async def test_what_it_is_told_before_it_serves_is_obeyed_by_its_first_request() -> None:
    async with FakeEngine() as one, FakeEngine() as two, parent_of_one(one.url, two.url) as parent:
        asleep = EngineLoad(0, 0, 0.0, awake=False)
        parent.tell(parent.begin(), Probes((Probe(ONE, True, asleep),)))
        parent.tell(Table(msgspec.Raw(encode(table(sequence=7, issued_at_s=wall_s())))), Serve())
        first = await parent.hear()
        assert [view.state for view in first.instances] == ["asleep", "up"]
        assert first.table.sequence == 7
        async with RawClient.to(parent.port) as client:
            await client.post(PLAIN)
            assert (await client.reply()).get("x-wattroute-allocation") == "7"


async def test_a_confirmed_table_stays_fresh() -> None:
    async with FakeEngine() as engine, parent_of_one(engine.url) as parent:
        poll_interval = parent.settings.table.model_copy(update={"poll_interval_s": 0.05})
        parent.settings = parent.settings.model_copy(update={"table": poll_interval})
        parent.tell(parent.begin(), TableConfirmed())
        parent.tell(Table(msgspec.Raw(encode(table(issued_at_s=wall_s())))), Serve())
        await parent.hear_until(lambda s: s.table.state == "last_good")
        parent.tell(TableConfirmed(), Report())
        assert (await parent.hear_until(lambda s: s.table.state == "fresh")).table.sequence == 1


async def test_it_drains_when_told() -> None:
    async with FakeEngine() as engine, parent_of_one(engine.url) as parent:
        parent.tell(parent.begin(), Serve(), Drain())
        assert not (await parent.hear_until(lambda s: not s.ready)).ready
        async with RawClient.to(parent.port) as client:
            await client.post(PLAIN)
            assert (await client.reply()).get("connection") == "close"


@pytest.mark.parametrize("by_signal", [True, False])
async def test_it_ends_in_order_with_its_parent_or_on_a_signal(by_signal: bool) -> None:
    async def slow(request: Request, wire: Wire) -> None:
        if request.target == "/v1/chat/completions":
            await chat(request, wire, tokens=10, pause_s=0.02)
        else:
            await behave(request, wire)

    async with FakeEngine(slow) as engine, parent_of_one(engine.url) as parent:
        parent.tell(parent.begin(), Serve())
        await parent.hear()
        async with RawClient.to(parent.port) as client:
            await client.post(b'{"model":"qwen","messages":[],"stream":true}')
            await client.head()
            assert parent.process.stdin is not None
            if by_signal:
                parent.process.send_signal(signal.SIGTERM)
            else:
                parent.process.stdin.close()
            assert (await client.rest()).endswith(b"data: [DONE]\n\n\r\n0\r\n\r\n")
        assert await parent.ended() == 0


async def test_without_a_parent_it_ends_at_once() -> None:
    async with parent_of_one("http://127.0.0.1:1") as parent:
        assert parent.process.stdin is not None
        parent.process.stdin.close()
        assert await parent.ended() == 0


@pytest.mark.parametrize("line", [line_of(Serve()), b"nonsense\n"])
async def test_what_it_does_not_understand_ends_it_with_a_word(line: bytes) -> None:
    async with parent_of_one("http://127.0.0.1:1") as parent:
        assert parent.process.stdin is not None
        parent.process.stdin.write(line)
        assert await parent.ended() != 0
        assert parent.process.stderr is not None
        assert b"Error" in await parent.process.stderr.read()


async def test_a_port_that_it_cannot_have_ends_it_with_a_word() -> None:
    async with parent_of_one("http://127.0.0.1:1", host="192.0.2.1") as parent:
        parent.tell(parent.begin(), Serve())
        assert await parent.ended() == ListenError.exit_code
        assert parent.process.stderr is not None
        said = await parent.process.stderr.read()
        assert b"cannot listen on 192.0.2.1" in said
        assert b"Traceback" not in said


async def test_energy_rates_that_it_is_told_reach_its_clients() -> None:
    async with FakeEngine() as engine, parent_of_one(engine.url) as parent:
        rates = EnergyRates(wall_s(), wall_s() + 30, "shared", (EnergyRate(ONE, 0.5, 2.0, "direct"),))
        parent.tell(parent.begin(), Rates(msgspec.Raw(encode_rates(rates))), Serve())
        await parent.hear()
        async with RawClient.to(parent.port) as client:
            await client.post(PLAIN, "X-Wattroute-Energy: 1")
            assert (await client.reply()).get("x-wattroute-energy") == "9.500;unit=J;source=direct;idle=shared"


async def test_its_share_of_caps_is_obeyed() -> None:
    async with FakeEngine() as engine, parent_of_one(engine.url) as parent:
        parent.tell(parent.begin(), Share(0.5), Serve())
        whole = parent.settings.pools[0].max_in_flight
        snapshot = await parent.hear_until(lambda s: s.instances[0].max_in_flight != whole)
    assert snapshot.instances[0].max_in_flight == whole // 2
