"""A million requests, many of whose clients leave, and what memory they cost: `make bench-soak`."""

from __future__ import annotations

import statistics
import time
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tests.bench.bench import Bench
from tests.bench.engines import Engine
from tests.bench.load import parse, running_load
from tests.bench.ours import Ours
from tests.bench.processes import free_port, rss_kb
from tests.bench.proxies import RunningProxy, running_proxy

EARLY = 100_000
ENGINE = Engine(chunks=8, interval_us=1000, delay_us=1000, addresses=8)
MIX = {"connections": 64, "stream": 0.3, "gone_before": 0.1, "gone_within": 0.3}
SETTLE_S = 8.0
"""Longer than the router keeps idle connections to engines."""


@dataclass(frozen=True)
class Sample:
    """Memory after so many requests."""

    requests: int
    rss_kb: int


def measure(bench: Bench, ours: Ours, *, requests: int) -> None:
    """Send the requests and compare."""
    admin_port = free_port()
    ours = replace(ours, admin_port=admin_port)
    with (
        bench.engine(ENGINE) as engine,
        running_proxy(bench.processes, ours, engine.urls) as proxy,
    ):
        files = _open_files(proxy)
        samples: list[Sample] = []
        with running_load(bench, ports=proxy.port, requests=requests, **MIX) as load:
            while not load.has_ended():
                sent = [int(line) for line in load.log.read_text().split() if line.isdecimal()]
                if sent and (not samples or sent[-1] > samples[-1].requests):
                    samples.append(Sample(sent[-1], rss_kb(proxy.started.pid)))
                    if sent[-1] % EARLY == 0:
                        bench.say(f"{ours.name}: {sent[-1]:,} requests, {samples[-1].rss_kb / 1024:.1f} MB")
                time.sleep(0.05)
            (sent_all,) = parse(load.log.read_text())
        time.sleep(SETTLE_S)
        samples.append(Sample(requests, rss_kb(proxy.started.pid)))
        bench.results.add(
            ours.name,
            soak_requests=float(sent_all.sent),
            soak_gone=float(sent_all.gone),
            soak_failed=float(sent_all.failed),
            soak_in_flight=_in_flight(admin_port),
            soak_files_left=float(_open_files(proxy) - files),
            **growth(samples, early=min(EARLY, requests // 2)),
        )


def growth(samples: Sequence[Sample], *, early: int) -> dict[str, float]:
    """Growth from `early` requests to the end, and its slope by least squares.

    Raises:
        ValueError: too few samples.
    """
    later = [sample for sample in samples if sample.requests >= early]
    if len(later) < 2:
        raise ValueError(f"{len(samples)} samples of memory are too few")
    slope = statistics.linear_regression([s.requests for s in later], [s.rss_kb for s in later]).slope
    return {
        "soak_early_mb": later[0].rss_kb / 1024,
        "soak_end_mb": later[-1].rss_kb / 1024,
        "soak_growth_percent": (later[-1].rss_kb / later[0].rss_kb - 1) * 100,
        "soak_slope_kb": slope * 100_000,
    }


def _open_files(proxy: RunningProxy) -> int:
    return len(list(Path(f"/proc/{proxy.started.pid}/fd").iterdir()))


def _in_flight(admin_port: int) -> float:
    """Requests that the router believes under way: with no client left, none."""
    with urllib.request.urlopen(f"http://127.0.0.1:{admin_port}/metrics", timeout=5) as answer:
        lines = answer.read().decode().splitlines()
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith("wattroute_router_in_flight{"))
