"""One request to a server and, through the router, to the same server: the answers must be the same."""

from __future__ import annotations

from tests.vllm.router import Router
from tests.vllm.servers import Server
from tests.vllm.wire import Answer, exchange, request

ATTEMPTS = 20


def pinned(server: Server) -> str:
    """The header that makes the router choose this server."""
    return f"x-wattroute-precision: {server.name}"


async def the_same(server: Server, router: Router, method: str, target: str, body: object, *fields: str) -> Answer:
    """The answer that came through the router, having compared it.

    vLLM joins the tokens of a stream that are made while it still writes the last event, so two equal requests may be
    answered by differently cut streams. An answer is therefore compared with all that were seen on the other side,
    and a stream is asked for again while it has no equal.
    """
    data = request(method, target, body, pinned(server), *fields)
    is_stream = isinstance(body, dict) and body.get("stream") is True
    direct, routed = [], []
    for _ in range(ATTEMPTS if is_stream else 1):
        expected, found = await exchange(server.port, data), await exchange(router.port, data)
        assert found.get(b"x-wattroute-pool") == server.name.encode(), found
        assert (expected.is_whole, found.is_whole) == (True, True), found
        direct.append(expected.same())
        routed.append(found.same())
        if any(answer in direct for answer in routed):
            return found
    raise AssertionError(f"through the router:\n{routed[-1]}\nfrom the engine itself:\n{direct[-1]}")
