"""Memory at 256 open streams, and what each further one takes, at 5,000."""

from __future__ import annotations

import time

from tests.bench.bench import Bench, Subject
from tests.bench.engines import Engine
from tests.bench.load import running_load, wait_for_line
from tests.bench.processes import rss_kb
from tests.bench.proxies import running_proxy

FEW, MANY = 256, 5000
SLOW = Engine(chunks=100_000, interval_us=1_000_000)
"""Streams that stay open; a chunk a second each leaves room on one core for all of them."""
SETTLE_S = 3.0


def measure_round(bench: Bench, subjects: list[Subject]) -> None:
    """Measure each subject once."""
    for subject in bench.available(subjects, "memory"):
        name = subject.proxy.name
        with (
            bench.noting(name, "memory"),
            bench.engine(SLOW) as engine,
            running_proxy(bench.processes, subject.proxy, engine.urls) as proxy,
        ):
            idle = rss_kb(proxy.started.pid)
            with running_load(bench, ports=proxy.port, connections=FEW) as first:
                wait_for_line(first, "all open", within_s=30)
                time.sleep(SETTLE_S)
                few = rss_kb(proxy.started.pid)
                with running_load(bench, ports=proxy.port, connections=MANY - FEW) as rest:
                    wait_for_line(rest, "all open", within_s=60)
                    time.sleep(SETTLE_S)
                    many = rss_kb(proxy.started.pid)
            bench.results.add(
                name,
                rss_idle_mb=idle / 1024,
                rss_few_mb=few / 1024,
                rss_many_mb=many / 1024,
                rss_stream_kb=(many - few) / (MANY - FEW),
            )
