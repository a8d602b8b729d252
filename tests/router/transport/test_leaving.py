import asyncio
import socket

import pytest

from router.transport.leaving import is_left
from tests.fakes.running import until


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_UNIX])
async def test_a_peer_that_leaves_is_noticed_although_nothing_is_read(family: socket.AddressFamily) -> None:
    ours, theirs = socket.socketpair(family) if family is socket.AF_UNIX else await connected()
    transport, _ = await asyncio.get_running_loop().connect_accepted_socket(asyncio.Protocol, ours)
    try:
        transport.pause_reading()
        theirs.send(b"sent ahead")
        assert not is_left(transport)
        theirs.close()
        await until(lambda: is_left(transport))
    finally:
        transport.abort()
        await asyncio.sleep(0)
    assert not is_left(transport), "asking of one that has ended does no harm"


async def connected() -> tuple[socket.socket, socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        theirs = socket.create_connection(server.getsockname())
        ours, _ = server.accept()
        return ours, theirs
