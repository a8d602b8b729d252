import asyncio
import ssl
from pathlib import Path

import pytest

from router.transport.unsent import unsent_bytes, untaken_bytes
from tests.fakes.certificates import Authority
from tests.fakes.running import until


@pytest.mark.parametrize("by_tls", [False, True])
async def test_what_a_reader_has_not_taken_is_counted_until_it_has(tmp_path: Path, by_tls: bool) -> None:
    authority = Authority(tmp_path)
    tls: ssl.SSLContext | None = authority.issue("server").server() if by_tls else None
    arrived: list[asyncio.StreamReader] = []
    go_on, ended = asyncio.Event(), asyncio.Event()

    async def hesitate(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        arrived.append(reader)
        try:
            await go_on.wait()
            while await reader.read(1 << 20):
                pass
        except ConnectionError:
            pass
        finally:
            writer.close()
            ended.set()

    server = await asyncio.start_server(hesitate, "127.0.0.1", 0, ssl=tls, limit=4096)
    port = server.sockets[0].getsockname()[1]
    _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=authority.client() if by_tls else None)
    try:
        await until(lambda: arrived)
        assert unsent_bytes(writer.transport) == 0
        writer.write(b"x" * (8 << 20))
        await asyncio.sleep(0.05)
        assert unsent_bytes(writer.transport) > 1 << 20
        go_on.set()
        await until(lambda: unsent_bytes(writer.transport) == 0)
    finally:
        writer.transport.abort()
        await asyncio.sleep(0)
        assert unsent_bytes(writer.transport) == 0, "asking of one that has ended does no harm"
        server.close()
        go_on.set()
        await asyncio.wait_for(ended.wait(), 10.0)
        await asyncio.sleep(0.01)


async def test_a_reader_that_takes_what_the_system_holds_is_seen_to_read() -> None:
    arrived: list[asyncio.StreamReader] = []
    done, ended = asyncio.Event(), asyncio.Event()

    async def keep(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        arrived.append(reader)
        await done.wait()
        writer.close()
        ended.set()

    server = await asyncio.start_server(keep, "127.0.0.1", 0, limit=4096)
    _, writer = await asyncio.open_connection("127.0.0.1", server.sockets[0].getsockname()[1])
    try:
        await until(lambda: arrived)
        writer.write(b"x" * (32 << 20))
        await asyncio.sleep(0.05)
        held, untaken = unsent_bytes(writer.transport), untaken_bytes(writer.transport)
        assert untaken > held
        for _ in range(20):
            await arrived[0].readexactly(1 << 14)
        await until(lambda: untaken_bytes(writer.transport) < untaken)
    finally:
        done.set()
        writer.transport.abort()
        server.close()
        await asyncio.wait_for(ended.wait(), 10.0)
        await asyncio.sleep(0.01)
