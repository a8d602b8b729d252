"""Two controllers whose Redis is failed over by a real Sentinel, and then the one that leads is killed.

Real processes; engines and GPUs are EMULATED, the API server is `tests.fakes.kube`.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.controller_pair import Controllers
from tests.fakes.kube.config import kubeconfig
from tests.fakes.kube.server import kube_server
from tests.fakes.sentinel import Watched, watched
from tests.fakes.system import System, get, running
from tests.integration.test_high_availability import Crowd

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("system"), pytest.mark.timeout(280)]


def through_sentinels(redis: Watched, document: dict[str, Any]) -> None:
    document["controller"] |= {"tick_s": 2, "table_ttl_s": 60, "election": {"kind": "lease"}}
    sentinels = list(redis.settings.sentinels)
    document["table"] |= {"url": None, "redis_url": redis.settings.redis_url, "sentinels": sentinels}


def sequence(system: System) -> int:
    """Of the table that the router obeys freshly; -1 where it does not."""
    shown = json.loads(get(f"{system.admin}/state")[1])["table"]
    return int(shown["sequence"]) if shown["state"] == "fresh" else -1


def play(folder: Path, redis: Watched, config: Path) -> None:
    change = functools.partial(through_sentinels, redis)
    with running(folder, "emulate", "router", change=change) as system, contextlib.ExitStack() as stack:
        controllers = stack.enter_context(contextlib.closing(Controllers(system, config)))
        controllers.start("a")
        system.until(lambda: sequence(system) > 0, "a publishes")
        crowd = stack.enter_context(contextlib.closing(Crowd(system)))
        controllers.start("b")
        system.until(lambda: controllers.state("a")["election"]["has_standby"] is True, "a knows that b stands by")

        first = sequence(system)
        redis.kill_master()
        system.until(lambda: sequence(system) > first, "a publishes through the new master", 60.0)
        assert controllers.state("a")["election"]["role"] == "leader"
        system.until(lambda: controllers.state("b")["election"]["leader"].startswith("a_"), "b knows who leads")

        second = sequence(system)
        controllers.signal("a", signal.SIGKILL)
        system.until(lambda: controllers.state("b")["election"]["role"] == "leader", "b leads", 30.0)
        system.until(lambda: sequence(system) > second, "b publishes", 30.0)
        assert controllers.stop("b") == 0
        assert set(crowd.statuses) == {200}


async def test_a_fail_over_of_redis_changes_no_leader_and_a_takeover_goes_on_from_there(tmp_path: Path) -> None:
    async with watched(tmp_path) as redis, kube_server() as kube:
        await asyncio.to_thread(play, tmp_path, redis, kubeconfig(tmp_path, kube))
