"""Every route of vLLM passes through, or is an operator's and refused."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.fakes.system import get
from tests.vllm.router import Router
from tests.vllm.same import pinned
from tests.vllm.servers import Pair
from tests.vllm.wire import exchange, request

pytestmark = pytest.mark.vllm

ROUTES = Path(__file__).with_name("routes.txt").read_text().splitlines()
"""What vLLM 0.32 can mount, with every kind of model and in development mode: method and path."""
OWN = {"GET /health", "GET /v1/models"}
"""Answered by the router itself, for all pools."""
OPERATORS = {
    "POST /abort_requests",
    "POST /collective_rpc",
    "POST /fault_tolerance/apply",
    "GET /fault_tolerance/status",
    "POST /finish_weight_update",
    "GET /get_world_size",
    "POST /inference/v1/abort_requests",
    "POST /init_weight_transfer_engine",
    "GET /is_paused",
    "POST /is_scaling_elastic_ep",
    "GET /is_sleeping",
    "GET /kv_event_sources",
    "GET /metrics",
    "POST /pause",
    "POST /release_kv_cache_memory",
    "POST /reset_encoder_cache",
    "POST /reset_mm_cache",
    "POST /reset_prefix_cache",
    "POST /resume",
    "POST /scale_elastic_ep",
    "GET /server_info",
    "POST /shutdown_weight_transfer_engine",
    "POST /sleep",
    "POST /start_draft_weight_update",
    "POST /start_profile",
    "POST /start_weight_update",
    "POST /stop_profile",
    "POST /update_weight_version",
    "POST /update_weights",
    "POST /v1/load_lora_adapter",
    "POST /v1/unload_lora_adapter",
    "POST /wake_up",
    "POST /weight_checker",
    "GET /weight_info",
}
"""Verbs that change or lay open an engine. They are asked of the router only."""
PASSED = [route for route in ROUTES if route not in OPERATORS | OWN and not route.startswith("WEBSOCKET")]


def parts(route: str) -> tuple[str, str, dict[str, str] | None]:
    method, _, path = route.partition(" ")
    return method, re.sub(r"\{.*?\}", "none", path), {} if method == "POST" else None


@pytest.mark.parametrize("route", PASSED)
async def test_passes_through(pair: Pair, router: Router, route: str) -> None:
    data = request(*parts(route), pinned(pair.bf16))
    expected, found = await exchange(pair.bf16.port, data), await exchange(router.port, data)
    assert found.get(b"x-wattroute-pool") == b"bf16"
    assert found.same() == expected.same()


@pytest.mark.parametrize("route", sorted(OPERATORS))
async def test_operators_verb_is_refused(router: Router, route: str) -> None:
    answer = await exchange(router.port, request(*parts(route)))
    assert answer.status == 404
    assert answer.get(b"x-wattroute-reason") == b"not_served"
    assert answer.get(b"x-wattroute-pool") is None


async def test_a_web_socket_is_refused_as_by_the_engine(pair: Pair, router: Router) -> None:
    upgrade = ("Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==")
    data = request("GET", "/v1/realtime", None, pinned(pair.bf16), *upgrade)
    data = data.replace(b"Connection: close", b"Connection: Upgrade")
    assert (await exchange(pair.bf16.port, data)).status in (403, 404)
    assert (await exchange(router.port, data)).status in (403, 404)


async def test_the_server_at_hand_mounts_nothing_else(pair: Pair) -> None:
    document = (await exchange(pair.bf16.port, request("GET", "/openapi.json"))).json()
    mounted = {f"{method.upper()} {path}" for path, methods in document["paths"].items() for method in methods}
    assert mounted - set(ROUTES) == set()
    assert len(mounted) > 40


async def test_no_verb_was_carried_out(pair: Pair) -> None:
    """What the tests above asked of the router would have been seen here."""
    assert get(f"{pair.bf16.url}/is_sleeping")[1] == b'{"is_sleeping":false}'
    assert get(f"{pair.bf16.url}/is_paused")[1] == b'{"is_paused":false}'
