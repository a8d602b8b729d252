"""Many engines that answer what a controller asks, in one process.

Nothing is served: the bodies are those of an engine with work, whose counters follow the clock. EMULATED.
"""

from __future__ import annotations

import asyncio
import functools
import sys
import time

RATE_PER_S = 400.0
COUNT_PATH = b"/asked"
"""Tells how often the engine was asked for anything else."""
_METRICS = """\
vllm:num_requests_running{{engine="0",model_name="m"}} 8.0
vllm:num_requests_waiting{{engine="0",model_name="m"}} 0.0
vllm:kv_cache_usage_perc{{engine="0",model_name="m"}} 0.2
vllm:prompt_tokens_total{{engine="0",model_name="m"}} {prompts:.1f}
vllm:generation_tokens_total{{engine="0",model_name="m"}} {tokens:.1f}
vllm:engine_sleep_state{{engine="0",model_name="m",sleep_state="awake"}} 1.0
"""


def answer(path: bytes, since_s: float, asked: int = 0) -> bytes:
    """The whole answer to a GET; `asked` is how often the engine was asked so far."""
    tokens = RATE_PER_S * since_s
    bodies = {
        b"/metrics": _METRICS.format(prompts=4 * tokens, tokens=tokens).encode(),
        b"/health": b"",
        b"/is_sleeping": b'{"is_sleeping": false}',
        COUNT_PATH: b"%d" % asked,
    }
    body = bodies.get(path.partition(b"?")[0])
    status = b"404 Not Found" if body is None else b"200 OK"
    body = body or b""
    kind = b"application/json" if path == b"/is_sleeping" else b"text/plain"
    return b"HTTP/1.1 %b\r\ncontent-type: %b\r\ncontent-length: %d\r\n\r\n%b" % (status, kind, len(body), body)


class Engine(asyncio.Protocol):
    """One connection; requests have no bodies.

    Args:
        began_s: when the engine began.
        asked: one count, of all connections of the engine.
    """

    def __init__(self, began_s: float, asked: list[int]) -> None:
        self._began_s = began_s
        self._asked = asked
        self._held = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._held += data
        while b"\r\n\r\n" in self._held:
            head, _, self._held = self._held.partition(b"\r\n\r\n")
            path = head.split(b" ", 2)[1]
            self._asked[0] += path != COUNT_PATH
            whole = answer(path, time.monotonic() - self._began_s, self._asked[0])
            self._transport.write(whole)  # type: ignore[attr-defined]


async def serve(first_port: int, count: int) -> None:
    """Until the process is ended."""
    began_s, loop = time.monotonic(), asyncio.get_running_loop()
    for port in range(first_port, first_port + count):
        await loop.create_server(functools.partial(Engine, began_s, [0]), "127.0.0.1", port)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), int(sys.argv[2])))
