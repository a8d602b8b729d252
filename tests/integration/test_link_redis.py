"""A real Redis between controller and router is cut in every way while an event is in force; the grid is emulated."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.grid_links import LIMIT_W, GridSite, site_in_event
from tests.fakes.redis_server import START_LIMIT_S, RedisServer, running_redis
from tests.fakes.system import get

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("system"), pytest.mark.timeout(300)]


async def test_a_limit_is_kept_and_no_request_lost_without_redis(tmp_path: Path) -> None:
    async with running_redis() as redis:
        loop = asyncio.get_running_loop()

        def start_again() -> None:
            asyncio.run_coroutine_threadsafe(redis.start(), loop).result(START_LIMIT_S)

        await asyncio.to_thread(play, tmp_path, redis, start_again)


def play(folder: Path, redis: RedisServer, start_again: Callable[[], None]) -> None:
    def through_redis(document: dict[str, Any]) -> None:
        document["table"] |= {"url": None, "redis_url": redis.url}

    with site_in_event(folder, through_redis) as site:
        assert redis.process is not None
        site.until(lambda: table(site) == "fresh", "the router obeys the table in Redis")

        redis.process.send_signal(signal.SIGSTOP)
        site.until(lambda: table(site) == "static", "a Redis that hangs lets the table expire")
        assert site.metric("wattroute_controller_faults_total") > 0
        assert "loop step failed step=publish" in site.log()
        site.stays_met(6)
        redis.process.send_signal(signal.SIGCONT)
        site.until(lambda: table(site) == "fresh", "tables come again")

        redis.process.kill()
        site.until(lambda: table(site) == "static", "a Redis that is gone lets the table expire")
        site.stays_met(6)
        start_again()
        site.until(lambda: table(site) == "fresh", "a Redis that came back empty is filled")
        site.stays_met(3)
        assert site.limit_w() == LIMIT_W
        assert "loop step works again step=publish" in site.log()
        assert site.load.lost() == {}


def table(site: GridSite) -> str:
    return str(json.loads(get(f"{site.system.admin}/state")[1])["table"]["state"])
