"""Routers and a controller as processes, without Redis: no engine ever has more in flight than its cap in the table.

Engines are EMULATED.
"""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

import aiohttp
import pytest
import yaml

from tests.bench.scale.__main__ import Size, document, started
from tests.fakes.counting_engine import Gauge
from tests.fakes.fake_engine import MODEL, FakeEngine
from tests.fakes.ports import free_ports
from tests.fakes.redis_server import RedisServer
from tests.integration.test_shared_loads import ROUTERS, Fleet, routers_of, vllm

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("system"), pytest.mark.timeout(240)]
HOLD_S = 0.5
"""What a request takes."""
CHAT = {"model": MODEL, "messages": [{"role": "user", "content": "x"}]}


async def burst(fleet: Fleet, counted: Gauge, each: int) -> int:
    """So many requests at once at every router; how many the engine had at the most."""
    counted.most = 0

    async def ask(session: aiohttp.ClientSession, url: str) -> int:
        async with session.post(f"{url}/v1/chat/completions", json=CHAT) as response:
            await response.read()
            return response.status

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        asked = [ask(session, router.url) for router in fleet.routers for _ in range(each)]
        assert set(await asyncio.gather(*asked)) == {200}
    return counted.most


async def parts_of(fleet: Fleet) -> list[int]:
    """What each router may have in flight at the engine."""
    return [(await fleet.state(router))["instances"][0]["max_in_flight"] for router in fleet.routers]


async def settled(fleet: Fleet, url: str) -> int:
    """The cap in the table, once every router has its part of it."""
    caps: list[int] = []

    async def each_has_its_part() -> bool:
        async with fleet.session.get(f"{url}/v1/allocation") as response:
            caps[:] = [each["max_in_flight"] for each in (await response.json())["caps"]]
        return await parts_of(fleet) == [caps[0] // ROUTERS] * ROUTERS

    await fleet.until(each_has_its_part)
    return caps[0]


async def test_caps_of_the_table_hold_for_all_routers_together_also_while_the_controller_is_frozen(
    tmp_path: Path,
) -> None:
    counted = Gauge(HOLD_S, vllm)
    async with FakeEngine(counted) as engine:
        (port,) = free_ports(1)
        config, url = tmp_path / "wattroute.yaml", f"http://127.0.0.1:{port}"
        settings = document(Size(ROUTERS, 1, 1), RedisServer("unused", 0, None), port, tmp_path, 1.0)
        settings["pools"][0]["instances"] = [engine.url]
        settings["table"] = {"url": f"{url}/v1/allocation"}
        settings["controller"]["table_ttl_s"] = 120.0
        command = ("-m", "controller.cli", "controller", "--config", str(config))
        async with routers_of(tmp_path, [engine], settings["table"], workers=2) as fleet:
            settings["signals"] = {"router_urls": [router.admin_url for router in fleet.routers]}
            config.write_text(yaml.safe_dump(settings))
            async with started(tmp_path, "controller", *command, ready=False) as controller:
                await fleet.until(lambda: fleet.all_are("shared"))
                cap = await settled(fleet, url)
                most = await burst(fleet, counted, each=cap // ROUTERS + 40)
                # The controller may have changed its mind meanwhile.
                cap, before = await settled(fleet, url), cap
                assert max(cap, before) // ROUTERS < most <= max(cap, before), (most, before, cap)
                async with fleet.session.get(f"{fleet.routers[0].admin_url}/metrics") as response:
                    shown = await response.text()
                assert f"wattroute_router_caps_share_frac {1 / ROUTERS}" in shown
                assert f"wattroute_router_routers_known {float(ROUTERS)}" in shown

                controller.send_signal(signal.SIGSTOP)
                await fleet.until(lambda: fleet.all_are("own"))
                parts = await parts_of(fleet)
                most = await burst(fleet, counted, each=max(parts) + 40)
                assert max(parts) < most <= sum(parts), (most, parts)
                assert await parts_of(fleet) == parts
                controller.send_signal(signal.SIGCONT)
                await fleet.until(lambda: fleet.all_are("shared"))
                await settled(fleet, url)
