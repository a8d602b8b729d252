"""The data path without the kernel serves what it is measured with."""

from __future__ import annotations

from tests.bench.choose import settings_of
from tests.bench.path import Path, chunk_us, plain_us


async def test_every_request_and_stream_is_answered() -> None:
    path = Path.of(settings_of(2, 2))
    assert plain_us(path, requests=20) > 0
    assert chunk_us(path, streams=3) > 0
    gateway = path.client._gateway
    [counts] = gateway.dispatcher.state(0.0).classes
    assert (counts.requests, counts.finished, counts.in_flight) == (23, 23, 0)
    assert gateway.engines.idle() == 4
