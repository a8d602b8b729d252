"""What the data path costs without the kernel, in microseconds of one core: ``python -m tests.bench.path``.

Requests and answers go through the router's own connections on transports that do nothing. Each figure is the best of
several rounds, each round's mean. What the kernel adds, reading and writing sockets, is in `make bench`.
"""

from __future__ import annotations

import asyncio
import gc
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import thread_time
from typing import Any, cast

from router.proxy.client_side import ClientConnection
from router.proxy.engine_side import EngineConnection
from router.settings import RouterFile
from router.shared_caps import SharedCaps
from router.shared_memory import FileLocks, SharedMemory
from router.shared_tenants import SharedTenants
from router.worker import Worker
from tests.bench.choose import settings_of

ROUNDS = 5
REQUESTS = 4000
STREAMS = 150
CHUNKS = 62
"""Events of a stream between the first and the last."""
TOPOLOGIES = ((1, 1), (2, 4), (8, 16))
"""Pools, and instances of each."""

_PROMPT = b"The quick brown fox jumps over the lazy dog. " * 20
_BODY = b'{"model":"m","messages":[{"role":"user","content":"' + _PROMPT + b'"}],"max_tokens":64%b}'
_HEAD = b"POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
_USAGE = b'"usage":{"prompt_tokens":128,"total_tokens":192,"completion_tokens":64}}'
_ANSWER = b'{"id":"c-0123456789abcdef","object":"chat.completion","created":1,"model":"m","choices":[],' + _USAGE
_ANSWER_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
_STREAM_HEAD = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\ntransfer-encoding: chunked\r\n\r\n"
)
_EVENT = (
    b'data: {"id":"c-0123456789abcdef","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,'
    b'"delta":{"content":" token"},"logprobs":null,"finish_reason":null}]}\n\n'
)
_LAST = b'data: {"id":"c-0","object":"chat.completion.chunk","choices":[],' + _USAGE + b"\n\ndata: [DONE]\n\n"


class Nowhere:
    """A transport that takes everything and does nothing."""

    def write(self, data: bytes) -> None:
        pass

    def set_write_buffer_limits(self, high: int | None = None) -> None:
        pass

    def is_closing(self) -> bool:
        return False

    def get_write_buffer_size(self) -> int:
        return 0

    def get_extra_info(self, name: str) -> None:
        return None

    def can_write_eof(self) -> bool:
        return True


@dataclass(frozen=True)
class Path:
    """One client and an idle connection to every engine of a worker."""

    client: ClientConnection
    engines: dict[tuple[str, int], EngineConnection]

    @classmethod
    def of(cls, settings: RouterFile, memory: SharedMemory | None = None) -> Path:
        """Within a running event loop; `memory` is what several workers share, of which this is one."""
        worker = Worker(settings) if memory is None else _one_of_several(settings, memory)
        gateway = worker.gateway
        gateway.engines.keep_alive_s = 1e9
        client = ClientConnection(gateway)
        client.connection_made(cast(asyncio.Transport, Nowhere()))
        engines = {}
        for spec in worker.dispatcher.instances():
            engine = engines[spec.address] = EngineConnection(gateway.engines, spec.address)
            engine.connection_made(cast(asyncio.Transport, Nowhere()))
            gateway.engines.give_back(engine, gateway.now_s())
        return cls(client, engines)

    def ask(self, request: bytes) -> EngineConnection:
        """Send a request; the engine that has it."""
        self.client.data_received(request)
        relay: Any = self.client.relay
        return self.engines[relay._choice.spec.address]


def _one_of_several(settings: RouterFile, memory: SharedMemory) -> Worker:
    locks = FileLocks(memory.fd)
    return Worker(settings, workers=2, book=SharedCaps(memory, 0, locks), tenant_book=SharedTenants(memory, 0, locks))


def plain_us(path: Path, requests: int = REQUESTS, lines: Sequence[bytes] = (b"",)) -> float:
    """CPU of a request with a plain answer; the heads have these lines besides, in turn."""
    body = _BODY % b""
    asked = [(_HEAD % len(body)).removesuffix(b"\r\n") + line + b"\r\n" + body for line in lines]
    answer = _ANSWER_HEAD % len(_ANSWER) + _ANSWER
    began_s = thread_time()
    for number in range(requests):
        path.ask(asked[number % len(asked)]).data_received(answer)
    return (thread_time() - began_s) / requests * 1e6


def chunk_us(path: Path, streams: int = STREAMS) -> float:
    """CPU of an event within a stream."""
    body = _BODY % b',"stream":true,"stream_options":{"include_usage":true}'
    request = _HEAD % len(body) + body
    chunk, last = b"%x\r\n%b\r\n" % (len(_EVENT), _EVENT), b"%x\r\n%b\r\n0\r\n\r\n" % (len(_LAST), _LAST)
    spent_s = 0.0
    for _ in range(streams):
        engine = path.ask(request)
        engine.data_received(_STREAM_HEAD)
        engine.data_received(chunk)
        began_s = thread_time()
        for _ in range(CHUNKS):
            engine.data_received(chunk)
        spent_s += thread_time() - began_s
        engine.data_received(last)
    return spent_s / streams / CHUNKS * 1e6


def best(measure: Callable[[], float]) -> float:
    """The least of several rounds."""
    measure()
    return min(measure() for _ in range(ROUNDS))


async def main() -> None:
    """Print a line a topology."""
    gc.freeze()
    for pools, instances in TOPOLOGIES:
        path = Path.of(settings_of(pools, instances))
        plain, chunk = best(lambda path=path: plain_us(path)), best(lambda path=path: chunk_us(path))
        sys.stdout.write(f"{pools}x{instances}: {plain:.2f} us a request, {chunk:.3f} us a chunk\n")


if __name__ == "__main__":
    asyncio.run(main())
