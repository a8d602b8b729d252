import asyncio
import os
import signal
import socket

import aiohttp
import pytest

from controller.errors import ListenError
from controller.service.proof import LEDGER_NAME
from controller.service.serving import serve
from controller.store.ledger import verify_file
from tests.fakes.assembled import assembled, eventually, serving


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_ends_it_cleanly_with_open_pages(tmp_path, number):
    async with (
        assembled(tmp_path) as service,
        aiohttp.ClientSession() as session,
        serving(service) as (url, task),
    ):
        await eventually(session, f"{url}/readyz")
        async with session.get(f"{url}/api/stream") as stream:
            await stream.content.readuntil(b"\n\n")
            os.kill(os.getpid(), number)
            async with asyncio.timeout(20):
                await task
    assert verify_file(tmp_path / LEDGER_NAME).checked > 0


async def test_a_signal_as_soon_as_it_is_reached_ends_it_in_order(tmp_path):
    fatal = []
    before = signal.signal(signal.SIGTERM, lambda *_: fatal.append("ended the process"))
    try:
        async with assembled(tmp_path) as service, asyncio.timeout(20):
            await serve(service, "127.0.0.1", 0, on_listening=lambda _: os.kill(os.getpid(), signal.SIGTERM))
    finally:
        signal.signal(signal.SIGTERM, before)
    assert fatal == []


async def test_a_taken_port_is_told_with_its_remedy(tmp_path):
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        async with assembled(tmp_path) as service:
            with pytest.raises(ListenError, match=rf"127\.0\.0\.1:{port}: .*choose another one"):
                await serve(service, "127.0.0.1", port)
    assert ListenError.exit_code == 3
