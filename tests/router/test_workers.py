import asyncio
import os
import signal
import socket

import pytest

from router.errors import ListenError
from router.settings import RouterFile
from router.workers import Workers
from tests.fakes.fake_engine import FakeEngine
from tests.fakes.running import RawClient, settings_for, until

PLAIN = b'{"model":"qwen","messages":[]}'


def two(*urls: str) -> RouterFile:
    return settings_for(list(urls), port=0, workers=2)


async def ask(port: int, times: int) -> None:
    for _ in range(times):
        async with RawClient.to(port) as client:
            await client.post(PLAIN)
            assert (await client.reply()).status == 200


async def test_workers_share_the_port_and_their_counts_are_summed() -> None:
    async with FakeEngine() as engine:
        workers = Workers(two(engine.url))
        await workers.start()
        await ask(workers.port, 20)
        report = await workers.snapshot()
        assert report.ready
        assert report.classes[0].requests == 20
        assert report.counters["connections"] == 20
        assert report.instances[0].in_flight == 0
        await workers.stop()
        assert workers.is_draining()


async def test_a_worker_that_dies_is_replaced_and_its_counts_stay() -> None:
    async with FakeEngine() as engine:
        workers = Workers(two(engine.url))
        await workers.start()
        await ask(workers.port, 10)
        before = await workers.snapshot()
        killed = workers.pids()[0]
        os.kill(killed, signal.SIGKILL)
        await until(lambda: killed not in workers.pids() and len(workers.pids()) == 2, seconds=30)
        await until(lambda: workers.reporting() == 2, seconds=30)
        assert (await workers.snapshot()).classes[0].requests == before.classes[0].requests
        await ask(workers.port, 10)
        assert (await workers.snapshot()).classes[0].requests == 20
        await workers.stop()


async def test_draining_reaches_every_worker() -> None:
    async with FakeEngine() as engine:
        workers = Workers(two(engine.url))
        await workers.start()
        workers.drain()
        assert workers.is_draining()
        async with asyncio.timeout(10):
            while (await workers.snapshot()).ready:
                await asyncio.sleep(0.02)
        async with RawClient.to(workers.port) as client:
            await client.post(PLAIN)
            assert (await client.reply()).get("connection") == "close"
        await workers.stop()


async def test_a_port_that_another_program_holds_is_not_joined() -> None:
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        settings = two("http://127.0.0.1:1")
        router = settings.router.model_copy(update={"port": taken.getsockname()[1]})
        with pytest.raises(ListenError):
            await Workers(settings.model_copy(update={"router": router})).start()
