"""Long answers that keep a server busy."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

from tests.vllm.servers import MAX_SEQUENCES, MODEL, Server
from tests.vllm.wire import Call, call, request

COMPLETIONS = "/v1/completions"


def long(tokens: int, **members: Any) -> dict[str, Any]:
    """A completion of so many tokens, some milliseconds each."""
    return {"model": MODEL, "prompt": "x", "temperature": 0, "ignore_eos": True, "max_tokens": tokens, **members}


@contextlib.asynccontextmanager
async def filled(server: Server, count: int, *, besides: int = 0) -> AsyncIterator[list[Call]]:
    """Within the block, `count` streams asked for directly keep the server busy, `besides` those that it has."""
    async with contextlib.AsyncExitStack() as stack:
        data = request("POST", COMPLETIONS, long(4000, stream=True))
        calls = [await stack.enter_async_context(call(server.port, data)) for _ in range(count)]
        total = besides + count
        busy = (min(total, MAX_SEQUENCES), max(0, total - MAX_SEQUENCES))
        await asyncio.to_thread(server.until, lambda: (server.running(), server.waiting()) == busy, f"busy with {busy}")
        yield calls
