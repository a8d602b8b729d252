"""A gateway on a port of its own, and a client that speaks raw bytes to it."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass

from router import clock
from router.dispatch import Dispatcher
from router.proxy.gateway import Clocks, Gateway
from router.proxy.models import Answer, ModelList
from router.settings import RouterFile
from tests.fakes.fake_engine import FakeEngine

QUICK = {"engine_keep_alive_s": 4.0, "drain_s": 1.0}


@dataclass
class Running:
    """A gateway that serves."""

    port: int
    gateway: Gateway
    dispatcher: Dispatcher

    def in_flight(self) -> int:
        """Slots held over all instances."""
        return sum(view.in_flight for view in self.dispatcher.state(clock.wall_s()).instances)

    def refusals(self) -> dict[str, int]:
        """Requests refused, by reason."""
        state = self.dispatcher.state(clock.wall_s())
        total = dict(state.unclassified)
        for counts in state.classes:
            for reason, count in counts.refused.items():
                total[reason] = total.get(reason, 0) + count
        return total


def settings_for(*pools: list[str], **sections: dict) -> RouterFile:
    """Settings with one pool a list of URLs, at falling precision."""
    names = ["bf16", "fp8", "int8", "int4"]
    listed = [{"name": name, "precision": name, "instances": urls} for name, urls in zip(names, pools, strict=False)]
    pool = sections.pop("pool", {})
    cls = {"name": "standard", **sections.pop("cls", {})}
    router = {**sections, "timeouts": {**QUICK, **sections.get("timeouts", {})}}
    return RouterFile.model_validate(
        {"pools": [{**entry, **pool} for entry in listed], "classes": [cls], "router": router}
    )


def gateway_for(settings: RouterFile, clocks: Clocks) -> Gateway:
    """A gateway as the router builds it, but for the model lists, which no engine is asked for."""
    urls = [each.url for pool in settings.pools for each in pool.instances]

    async def fetch(url: str, authorization: str | None) -> Answer:
        raise ConnectionError(f"{url} is not asked here ({authorization})")

    models = ModelList(lambda: [urls], fetch, clocks.monotonic_s)
    return Gateway(settings.router, dispatcher=Dispatcher(settings), models=models, clocks=clocks)


@contextlib.asynccontextmanager
async def running(*engines: FakeEngine, apart: bool = False, **sections: dict) -> AsyncIterator[Running]:
    """Serve in front of `engines`: one pool of all of them, or `apart`, one pool each."""
    urls = [engine.url for engine in engines]
    settings = settings_for(*([[url] for url in urls] if apart else [urls]), **sections)
    gateway = gateway_for(settings, Clocks(clock.wall_s, clock.monotonic_s, clock.epoch_s()))
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: gateway.client_type(gateway), "127.0.0.1", 0)
    sweeping = loop.create_task(gateway.sweep_forever())
    try:
        yield Running(server.sockets[0].getsockname()[1], gateway, gateway.dispatcher)
    finally:
        server.close()
        gateway.close()
        sweeping.cancel()
        await asyncio.gather(sweeping, return_exceptions=True)
        # The loop closes aborted transports on its next turns.
        await asyncio.sleep(0.01)


@dataclass
class Reply:
    """An answer as raw as it came."""

    status: int
    fields: list[tuple[str, str]]
    body: bytes
    head: bytes

    def get(self, name: str) -> str | None:
        """Value of a field, by lower-case name."""
        return next((value for key, value in self.fields if key.lower() == name), None)


class RawClient:
    """Sends bytes as they are and reads answers with as little interpretation as can be."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    @contextlib.asynccontextmanager
    async def to(
        cls,
        port: int,
        limit: int = 1 << 16,
        *,
        host: str = "127.0.0.1",
        path: str | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> AsyncIterator[RawClient]:
        """Connect to a port, or to the Unix socket at `path`."""
        if path is None:
            reader, writer = await asyncio.open_connection(host, port, limit=limit, ssl=tls)
        else:
            reader, writer = await asyncio.open_unix_connection(path, limit=limit)
        try:
            yield cls(reader, writer)
        finally:
            writer.transport.abort()
            await asyncio.sleep(0)

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def post(self, body: bytes, *fields: str, target: str = "/v1/chat/completions") -> None:
        lines = [f"POST {target} HTTP/1.1", "Host: test", f"Content-Length: {len(body)}", *fields, "", ""]
        await self.send("\r\n".join(lines).encode() + body)

    async def head(self) -> Reply:
        raw = await self.reader.readuntil(b"\r\n\r\n")
        first, *rest = raw.decode("latin-1").split("\r\n")[:-2]
        fields = [(name, value.strip()) for name, _, value in (line.partition(":") for line in rest)]
        return Reply(int(first.split(" ")[1]), fields, b"", raw)

    async def reply(self, *, to_head: bool = False) -> Reply:
        """A whole answer; of a chunked one the body keeps its framing."""
        found = await self.head()
        length, coding = found.get("content-length"), found.get("transfer-encoding")
        if to_head or found.status in (204, 304):
            return found
        if coding == "chunked":
            while not found.body.endswith(b"0\r\n\r\n"):
                found.body += await self.reader.readuntil(b"\r\n")
        elif length is not None:
            found.body = await self.reader.readexactly(int(length))
        else:
            found.body = await self.reader.read()
        return found

    async def rest(self) -> bytes:
        """Everything until the connection ends, in whatever way."""
        data = b""
        with contextlib.suppress(ConnectionError):
            while more := await self.reader.read(1 << 16):
                data += more
        return data


async def until(condition: object, seconds: float = 10.0) -> None:
    """Wait for a callable to become true."""
    async with asyncio.timeout(seconds):
        while not condition():  # type: ignore[operator]
            await asyncio.sleep(0.005)
