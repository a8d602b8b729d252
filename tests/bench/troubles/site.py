"""Routers, two controllers, Redis, an API server and its pods: running, and how each of them is brought to grief."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import signal
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import yaml

from controller.settings.plan import CurveFigures
from controller.simulation.profiles import load_profile
from tests.bench.troubles.cluster import FAULTS, NAMESPACE, Cluster, running_cluster
from tests.bench.troubles.part import LOOK_S, Part
from tests.bench.troubles.redis_users import RedisUsers
from tests.bench.troubles.script import Group, Kind, Trouble
from tests.fakes.kube.config import kubeconfig
from tests.fakes.kube.server import KubeServer, kube_server
from tests.fakes.moved_clock import LIBRARY, MovedClock
from tests.fakes.ports import free_ports
from tests.fakes.redis_server import RedisServer, running_redis

MODEL = "Qwen/Qwen3-235B-A22B-Instruct-2507"
PROFILES = {"bf16": ("qwen3-235b-a22b/bf16/8xh100", 8), "fp8": ("qwen3-235b-a22b/fp8/4xh100", 4)}
REPLICAS = {"bf16": 2, "fp8": 1}
MOST, LEAST = 3, 1
"""Pods of a pool."""
START_S = 4.0
"""Of an emulated engine's process."""
SLOWER, SEQS = 1.5, 6
"""Engines are small, so that the load of a few clients takes several of them."""
TICK_S, TABLE_TTL_S = 2.0, 30.0
ROUTERS, CONTROLLERS = ("r0", "r1", "r2"), ("c0", "c1")
READY_S = 90.0
CLOCK_STEP_S = 7200.0
GROUPS = (
    Group("router", len(ROUTERS), {Kind.KILL: 5.0, Kind.FREEZE: 8.0, Kind.CLOCK: 15.0, Kind.PART: 20.0}, rest_s=4.0),
    Group(
        "controller",
        len(CONTROLLERS),
        {Kind.KILL: 8.0, Kind.FREEZE: 15.0, Kind.CLOCK: 15.0, Kind.PART: 25.0},
        rest_s=8.0,
    ),
    Group("engine", MOST, {Kind.KILL: 1.0, Kind.FREEZE: 5.0, Kind.DELETE: 1.0}, rest_s=10.0),
    Group("redis", 1, {Kind.KILL: 8.0, Kind.FREEZE: 8.0}, rest_s=8.0),
    Group("api server", 1, {Kind.KILL: 8.0, Kind.FREEZE: 10.0, Kind.REFUSE: 10.0}, rest_s=8.0),
)


@dataclass
class Site:
    """What runs, by name.

    Attributes:
        users: of Redis, one for each of the parts.
        parts: routers and controllers.
        clocks: of the same; none where libfaketime is not installed.
    """

    redis: RedisServer
    users: RedisUsers
    kube: KubeServer
    cluster: Cluster
    session: aiohttp.ClientSession
    parts: dict[str, Part]
    clocks: dict[str, MovedClock] = field(default_factory=dict)

    @property
    def groups(self) -> tuple[Group, ...]:
        """What can be brought to grief here."""
        if self.clocks:
            return GROUPS
        return tuple(
            dataclasses.replace(each, kinds={k: s for k, s in each.kinds.items() if k is not Kind.CLOCK})
            for each in GROUPS
        )

    def address(self, name: str, *, is_admin: bool = False) -> str:
        """Of a router's public or admin port, or of a controller."""
        document = self.parts[name].document
        if name in CONTROLLERS:
            return f"http://127.0.0.1:{document['controller']['port']}"
        return f"http://127.0.0.1:{document['router']['admin_port' if is_admin else 'port']}"

    async def told(self, name: str, path: str) -> Mapping[str, Any]:
        """A document of a router's admin port or a controller; nothing where there is none within a second."""
        with contextlib.suppress(*FAULTS, ValueError):
            async with self.session.get(self.address(name, is_admin=True) + path) as answer:
                if answer.status == 200:
                    found: Mapping[str, Any] = await answer.json(content_type=None)
                    return found
        return {}

    async def play(self, trouble: Trouble) -> None:
        """Bring it about, and mend it after its time."""
        match trouble.group:
            case "router" | "controller":
                name = (ROUTERS if trouble.group == "router" else CONTROLLERS)[trouble.number]
                await self._play_part(self.parts[name], trouble)
            case "engine":
                await self._play_engine(trouble)
            case "redis":
                await self._play_redis(trouble)
            case _:
                await self._play_api_server(trouble)

    async def _play_part(self, part: Part, trouble: Trouble) -> None:
        match trouble.kind:
            case Kind.KILL:
                part.kill()
                await asyncio.sleep(trouble.lasts_s)
                part.start()
            case Kind.FREEZE:
                part.signal(signal.SIGSTOP)
                await asyncio.sleep(trouble.lasts_s)
                part.signal(signal.SIGCONT)
            case Kind.PART:
                await self.users.refuse(part.name)
                await asyncio.sleep(trouble.lasts_s)
                await self.users.let_in(part.name)
            case _:
                self.clocks[part.name].move(CLOCK_STEP_S if trouble.number % 2 else -CLOCK_STEP_S)
                await asyncio.sleep(trouble.lasts_s)
                self.clocks[part.name].move(0.0)

    async def _play_engine(self, trouble: Trouble) -> None:
        there = [each for pool in REPLICAS for each in self.cluster.of(pool)]
        pod = there[trouble.number % len(there)]
        match trouble.kind:
            case Kind.KILL:
                pod.part.kill()
            case Kind.FREEZE:
                pod.part.signal(signal.SIGSTOP)
                await asyncio.sleep(trouble.lasts_s)
                pod.part.signal(signal.SIGCONT)
            case _:
                self.cluster.delete(pod)

    async def _play_redis(self, trouble: Trouble) -> None:
        if trouble.kind is Kind.KILL:
            await self.redis.stop()
            await asyncio.sleep(trouble.lasts_s)
            await self.redis.start()
            await self.users.make()
            return
        assert self.redis.process is not None
        self.redis.process.send_signal(signal.SIGSTOP)
        await asyncio.sleep(trouble.lasts_s)
        self.redis.process.send_signal(signal.SIGCONT)

    async def _play_api_server(self, trouble: Trouble) -> None:
        match trouble.kind:
            case Kind.KILL:
                await self.kube.kill()
                await asyncio.sleep(trouble.lasts_s)
                await self.kube.start()
            case Kind.FREEZE:
                self.kube.faults.frozen = True
                await asyncio.sleep(trouble.lasts_s)
                self.kube.faults.clear()
            case _:
                self.kube.faults.add((403, 429, 500)[int(10 * trouble.lasts_s) % 3], times=None)
                await asyncio.sleep(trouble.lasts_s)
                self.kube.faults.clear()


def pools() -> list[dict[str, Any]]:
    """Both, without engines."""
    return [{"name": name, "precision": name, "static_weight": 1} for name in PROFILES]


def engines() -> dict[str, dict[str, Any]]:
    """What each pool's emulator is told: the measured curves, but small and quick to start."""
    found = {}
    for pool in pools():
        profile, gpus = PROFILES[pool["name"]]
        plan = {"gpu": "H100", "gpus_per_instance": gpus, "curves": _curves(profile)}
        found[pool["name"]] = {"model": MODEL, "pools": [pool], "plan": {"pools": {pool["name"]: plan}}}
    return found


def _curves(profile: str) -> dict[str, Any]:
    curves = load_profile(profile)
    figures = {name: getattr(curves, name) for name in CurveFigures.model_fields}
    slow = {name: SLOWER * figures[name] for name in ("step_base_s", "step_base_j")}
    quick = {"start_s": START_S, "wake_s": 1.0, "sleep_s": 1.0}
    told = {"max_num_seqs": SEQS, "evidence": "estimated", "source": f"{profile}, small and quick to start"}
    return {**figures, **slow, **quick, **told}


def document(kube_url: str, redis_url: str, gpus_url: str) -> dict[str, Any]:
    """The configuration that routers and controllers share: both pools are scaled, one can sleep as well."""
    found: dict[str, Any] = {
        "model": MODEL,
        "pools": pools(),
        "classes": [{"name": "standard"}, {"name": "flex", "priority": -1, "service_tiers": ["flex"]}],
        "default_class": "standard",
        "router": {"timeouts": {"first_byte_s": 6.0, "drain_s": 10.0}},
        "table": {"redis_url": redis_url, "poll_interval_s": 0.5},
        "kubernetes": {"url": kube_url, "watch_s": 5},
        "site": {"name": "troubled", "gpus": 64, "pue": 1.2},
        "plan": {"step_s": 60, "steps": 8, "slow_interval_s": 15, "warmup_s": 1, "pools": {}},
        "signals": {"power": [{"kind": "dcgm", "urls": [gpus_url]}]},
        "controller": {"mode": "act", "tick_s": TICK_S, "table_ttl_s": TABLE_TTL_S, "election": {"kind": "lease"}},
    }
    for pool in found["pools"]:
        pool["discovery"] = {"kind": "kubernetes", "service": f"vllm-{pool['name']}", "namespace": NAMESPACE}
        (told,) = engines()[pool["name"]]["plan"]["pools"].values()
        workload = {"kind": "Deployment", "name": f"vllm-{pool['name']}", "namespace": NAMESPACE, "mode": "act"}
        found["plan"]["pools"][pool["name"]] = {
            **told,
            "workload": {**workload, "most": MOST},
            "min_on": LEAST,
            "min_up_s": 0,
            "lower_after_s": 0,
            "can_sleep": pool["name"] == "bf16",
        }
    return found


@contextlib.asynccontextmanager
async def running_site(folder: Path) -> AsyncIterator[Site]:
    """A site that decides, and whose routers obey."""
    async with contextlib.AsyncExitStack() as stack:
        redis = await stack.enter_async_context(running_redis())
        users = RedisUsers(redis, (*ROUTERS, *CONTROLLERS))
        await users.make()
        kube = await stack.enter_async_context(kube_server())
        replicas = dict(REPLICAS)
        cluster = await stack.enter_async_context(running_cluster(kube, folder / "pods", engines(), replicas))
        timeout = aiohttp.ClientTimeout(total=1.0)
        session = await stack.enter_async_context(aiohttp.ClientSession(timeout=timeout))
        shared = document(kube.url, redis.url, cluster.gpus_url)
        clocks = {name: MovedClock(folder / f"{name}.clock") for name in (*ROUTERS, *CONTROLLERS) if LIBRARY}
        own = {"KUBECONFIG": str(kubeconfig(folder, kube))}
        parts = {
            name: _part(name, folder, shared, own | users.environment(name), clocks)
            for name in (*ROUTERS, *CONTROLLERS)
        }
        site = Site(redis, users, kube, cluster, session, parts, clocks)
        stack.callback(_kill, site)
        for part in parts.values():
            part.start()
        await until(site, settled, READY_S)
        keeping = [asyncio.create_task(part.keep_forever()) for part in parts.values()]
        try:
            yield site
        finally:
            for task in keeping:
                task.cancel()
            await asyncio.gather(*keeping, return_exceptions=True)


def _part(name: str, folder: Path, shared: dict[str, Any], told: dict[str, str], clocks: dict[str, MovedClock]) -> Part:
    own: dict[str, Any] = yaml.safe_load(yaml.safe_dump(shared))
    environment = told | (clocks[name].environment if name in clocks else {})
    if name in CONTROLLERS:
        (port,) = free_ports(1)
        own["controller"] |= {"port": port, "data_dir": str(folder / name)}
        own["controller"]["election"] |= {"identity": name}
        return Part(name, "controller", folder / name, own, environment)
    port, admin_port = free_ports(2)
    own["router"] |= {"port": port, "admin_port": admin_port, "name": name}
    return Part(name, "router", folder / name, own, environment)


def _kill(site: Site) -> None:
    for part in site.parts.values():
        part.kill()


async def settled(site: Site) -> bool:
    """Whether one controller leads and all routers obey freshly one table."""
    leaders, tables = await asyncio.gather(leading(site), obeyed(site))
    return len(leaders) == 1 and len(set(tables.values())) == 1 and -1 not in tables.values()


async def leading(site: Site) -> list[str]:
    """Controllers that say that they lead."""
    states = await asyncio.gather(*(site.told(name, "/api/state") for name in CONTROLLERS))
    pairs = zip(CONTROLLERS, states, strict=True)
    return [name for name, state in pairs if state.get("election", {}).get("role") == "leader"]


async def obeyed(site: Site) -> dict[str, int]:
    """Number of the table that each router obeys freshly, -1 where it does not."""
    states = await asyncio.gather(*(site.told(name, "/state") for name in ROUTERS))
    tables = [each.get("table", {}) for each in states]
    return {
        name: int(each["sequence"]) if each.get("state") == "fresh" else -1
        for name, each in zip(ROUTERS, tables, strict=True)
    }


async def until(site: Site, holds: Any, limit_s: float) -> float:
    """Seconds until something held of the site.

    Raises:
        TimeoutError: it did not.
    """
    loop = asyncio.get_running_loop()
    begin_s = loop.time()
    async with asyncio.timeout(limit_s):
        while not await holds(site):
            await asyncio.sleep(LOOK_S / 5)
    return loop.time() - begin_s
