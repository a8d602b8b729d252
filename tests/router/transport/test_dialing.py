import asyncio

import pytest

from router.transport.dialing import Dialer
from tests.fakes.fake_engine import FakeEngine


class Noting(asyncio.Protocol):
    def __init__(self) -> None:
        self.transport: asyncio.BaseTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport


async def test_an_engine_is_connected_to() -> None:
    async with FakeEngine() as engine:
        made = Noting()
        await Dialer().connect(lambda: made, ("127.0.0.1", engine.port))
        assert made.transport is not None
        made.transport.abort()


async def test_nobody_listens() -> None:
    engine = FakeEngine()
    await engine.start()
    await engine.kill()
    with pytest.raises(OSError, match=r"[Rr]efused|Connect call failed"):
        await Dialer().connect(Noting, ("127.0.0.1", engine.port))
