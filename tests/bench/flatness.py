"""Whether a request costs the same whatever the number of pools, instances and tenants, and how with its prompt."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace

from tests.bench import loads
from tests.bench.allocation import table_server
from tests.bench.bench import Bench
from tests.bench.engines import Engine, RunningEngine
from tests.bench.loads import Cost, Window
from tests.bench.ours import CLASS_NAMES, Ours, pool_names
from tests.bench.processes import cpu_time
from tests.bench.proxies import running_proxy
from tests.bench.wrk import Shape

POOLS = (1, 8, 32)
INSTANCES = (1, 16, 128, 512)
TENANTS = (1, 100, 10_000)
PROMPTS = (1_000, 10_000, 100_000, 1_000_000)
WINDOW = Window(1.0, 2.5)
SETTLE_S = 1.0
IDLE_S = 4.0
"""Two rounds of probes. What a router does without requests is measured on its own and taken off a request's cost,
as it would otherwise depend on how many requests share it."""


@dataclass(frozen=True)
class Case:
    """One point of a sweep; `name` is its metric's."""

    name: str
    pools: int = 1
    instances: int = 1
    tenants: int = 0
    access_log: bool = False
    tls: bool = False
    prompts: tuple[int, ...] = ()


def cases() -> Iterator[Case]:
    """All points."""
    yield Case("one", prompts=PROMPTS)
    for pools in POOLS[1:]:
        yield Case(f"pools_{pools}", pools, pools)
    for instances in INSTANCES[1:]:
        yield Case(f"instances_{instances}", instances=instances)
    for tenants in TENANTS:
        yield Case(f"tenants_{tenants}", tenants=tenants)
    yield Case("access_log", access_log=True)
    yield Case("tls", tls=True)


def measure_round(bench: Bench, ours: Ours) -> None:
    """Measure our router once at each point."""
    with bench.engine(Engine(addresses=max(INSTANCES))) as engine:
        for case in cases():
            bench.say(f"{ours.name}: {case.name}")
            names = pool_names(case.pools)
            with bench.noting(f"{ours.name}, {case.name}", "CPU per request"), table_server(names, CLASS_NAMES) as url:
                told = {"pools": case.pools, "tenants": case.tenants, "access_log": case.access_log, "tls": case.tls}
                subject = replace(ours, table_url=url, **told)
                _measure(bench, subject, case, engine=engine)


def _measure(bench: Bench, ours: Ours, case: Case, *, engine: RunningEngine) -> None:
    scheme = "https" if case.tls else "http"
    with running_proxy(bench.processes, ours, engine.urls[: case.instances], scheme=scheme) as proxy:
        pid = proxy.started.pid

        def cost(shape: Shape) -> Cost:
            return loads.measure(bench.processes, shape, proxy.url, pid=pid, engine=engine, window=WINDOW)

        time.sleep(SETTLE_S)
        before = cpu_time(pid)
        time.sleep(IDLE_S)
        idle_frac = (cpu_time(pid) - before).total_s / IDLE_S
        # Each request carries the key of another tenant.
        main = cost(replace(loads.PLAIN, kind="tenants", tenants=case.tenants) if case.tenants else loads.PLAIN)
        figures = {
            f"idle_{case.name}_frac": idle_frac,
            f"flat_{case.name}_cpu_us": main.per_request_us - idle_frac * main.seconds / main.served.requests * 1e6,
            f"flat_{case.name}_rss_mb": main.rss_kb / 1024,
        }
        for size in case.prompts:
            # Few connections, so that what is under way fits the caches as it would with an engine behind.
            shape = Shape("plain", 32 if size < 100_000 else 4, size)
            figures[f"prompt_{size}_cpu_us"] = cost(shape).per_request_us
        bench.results.add(ours.name, **figures)
