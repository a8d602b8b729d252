"""A real Modbus TCP server, pymodbus's own, with the registers of a meter."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import AsyncIterator

from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice


def registers(address: int, *words: int) -> SimData:
    """Raw registers from `address` on."""
    return SimData(address, values=list(words), datatype=DataType.REGISTERS)


@contextlib.asynccontextmanager
async def modbus_server(*blocks: SimData, unit_id: int = 1, port: int = 0) -> AsyncIterator[int]:
    """The port of a server that knows these registers."""
    if not port:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
    server = ModbusTcpServer(SimDevice(unit_id, simdata=list(blocks)), address=("127.0.0.1", port))
    await server.serve_forever(background=True)
    try:
        yield port
    finally:
        await server.shutdown()
