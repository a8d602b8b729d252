"""Routers and controllers as users of a real Redis that have the documented rights and no others, over TLS.

Real processes; engines and GPUs are EMULATED, the API server is `tests.fakes.kube`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import signal
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from tests.fakes.certificates import Authority
from tests.fakes.controller_pair import Controllers
from tests.fakes.kube.config import kubeconfig
from tests.fakes.kube.server import kube_server
from tests.fakes.redis_server import running_redis
from tests.fakes.system import ROOT, System, get, running
from tests.fakes.tls_front import tls_front
from tests.integration.test_high_availability import Crowd

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("system"), pytest.mark.timeout(280)]
KEY = "wattroute:allocation"
BACK_S = 2.0
"""After Redis is back, routers go by the table again."""


def rights(page: str) -> tuple[str, list[str]]:
    """Name of the user that a page shows, and its rules, the password among them."""
    (line,) = re.findall(r"^ACL SETUSER (\S+) (.+)$", (ROOT / "docs" / "reference" / page).read_text(), re.MULTILINE)
    name, words = line
    return name, words.replace("PASSWORD", f"of-{name}").split()


def play(folder: Path, redis: Redis, port: int, ca_file: Path, config: Path) -> None:
    users = [rights(page) for page in ("router.md", "high-availability.md")]
    for name, words in users:
        redis.execute_command("ACL", "SETUSER", name, *words)  # type: ignore[no-untyped-call]
    router, controller = (name for name, _ in users)

    def through_redis(document: dict[str, Any]) -> None:
        document["controller"] |= {"tick_s": 2, "table_ttl_s": 60, "election": {"kind": "lease"}}
        document["table"] |= {"url": None, "redis_url": url(router), "tls": {"ca_file": str(ca_file)}}
        document["table"] |= {"poll_interval_s": 0.5}
        document["signals"].pop("router_urls")

    def url(user: str) -> str:
        return f"rediss://{user}@127.0.0.1:{port}/0"

    def password(user: str) -> dict[str, str]:
        return {"REDIS_PASSWORD": f"of-{user}"}

    with (
        running(folder, "emulate", "router", change=through_redis, environments={"router": password(router)}) as system,
        contextlib.ExitStack() as stack,
    ):
        system.document["table"]["redis_url"] = url(controller)
        environments = {name: password(controller) for name in "ab"}
        pair = stack.enter_context(contextlib.closing(Controllers(system, config, environments=environments)))
        pair.start("a")
        pair.start("b")
        system.until(lambda: pair.state("a")["election"]["has_standby"] is True, "b stands by")
        system.until(lambda: table(system)["state"] == "fresh", "the table is obeyed")
        crowd = stack.enter_context(contextlib.closing(Crowd(system)))
        system.until(lambda: hears_of_routers(pair, "a"), "the leader hears of the router")

        before = table(system)["sequence"]
        redis.flushall()
        system.until(lambda: redis.exists(KEY) == 1, "the leader writes the table again", BACK_S)
        system.until(lambda: table(system)["state"] == "fresh" and table(system)["sequence"] >= before, "", BACK_S)

        pair.signal("a", signal.SIGKILL)
        system.until(lambda: pair.state("b")["election"]["role"] == "leader", "b leads", 30.0)
        system.until(lambda: table(system)["sequence"] > before, "b publishes", 30.0)
        assert pair.stop("b") == 0
        assert system.stop("router") == 0
        crowd.close()
    refused = [(entry["username"], entry["object"]) for entry in redis.acl_log()]
    assert refused == [], "nobody asks for more than is documented"


def table(system: System) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(get(f"{system.admin}/state")[1])["table"]
    return found


def hears_of_routers(pair: Controllers, name: str) -> bool:
    shown = get(f"{pair.api(name)}/metrics")[1].decode()
    return re.search(r"^wattroute_controller_demand_tokens_per_second\{.*\} [1-9]", shown, re.MULTILINE) is not None


async def test_the_documented_rights_are_enough_for_routers_and_controllers(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    async with (
        running_redis() as redis,
        tls_front(redis.port, authority.issue("redis").server()) as port,
        kube_server() as kube,
    ):
        with Redis(port=redis.port) as owner:
            await asyncio.to_thread(play, tmp_path, owner, port, authority.file, kubeconfig(tmp_path, kube))
