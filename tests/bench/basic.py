"""CPU per request and per chunk, latency of a single connection and memory, for us and the peers, side by side."""

from __future__ import annotations

from tests.bench import loads
from tests.bench.bench import Bench, Subject
from tests.bench.engines import Engine, RunningEngine
from tests.bench.loads import Cost, Window
from tests.bench.proxies import RunningProxy, running_proxy
from tests.bench.wrk import Shape


def measure_round(bench: Bench, subjects: list[Subject], *, quick: bool) -> None:
    """Measure each subject once, one after the other."""
    with bench.engine(Engine(addresses=bench.addresses(subjects))) as engine:
        if not quick:
            direct = loads.run_wrk(bench.processes, loads.SINGLE, engine.urls[0], seconds=3)
            bench.results.add("direct", single_p50_ms=direct.p50_ms, single_p99_ms=direct.p99_ms)
        for subject in bench.available(subjects, "requests and streams"):
            name = subject.proxy.name
            with (
                bench.noting(name, "requests and streams"),
                running_proxy(bench.processes, subject.proxy, engine.urls[: subject.addresses]) as proxy,
            ):
                _measure(bench, name, proxy, engine=engine, quick=quick)


def _measure(bench: Bench, name: str, proxy: RunningProxy, *, engine: RunningEngine, quick: bool) -> None:
    pid = proxy.started.pid

    def run(shape: Shape, window: Window) -> Cost:
        return loads.measure(bench.processes, shape, proxy.url, pid=pid, engine=engine, window=window)

    def add(**figures: float) -> None:
        bench.results.add(name, **figures)

    plain = run(loads.PLAIN, Window(1.0, 3.0 if quick else 5.0))
    add(
        plain_cpu_us=plain.per_request_us,
        plain_system_frac=plain.system_frac,
        plain_per_s=plain.served.requests / plain.seconds,
        plain_per_core_s=plain.per_core_s,
        plain_p99_ms=plain.report.p99_ms,
        failed=float(plain.report.failed),
    )
    if not quick:
        single = loads.run_wrk(bench.processes, loads.SINGLE, proxy.url, seconds=3)
        add(single_p50_ms=single.p50_ms, single_p99_ms=single.p99_ms)
        varied = run(loads.VARIED, Window(1.0, 4.0))
        add(
            varied_cpu_us=varied.per_request_us,
            varied_system_frac=varied.system_frac,
            varied_failed=float(varied.report.failed),
        )
    # Last, as a proxy may still be at work on streams that nobody reads any more.
    stream = run(loads.STREAM, Window(1.5, loads.STREAM_S * (3 if quick else 5)))
    add(
        chunk_cpu_us=stream.per_chunk_us,
        chunk_system_frac=stream.system_frac,
        rss_mb=stream.rss_kb / 1024,
        stream_failed=float(stream.report.failed),
    )
