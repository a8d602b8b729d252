"""What a proxy adds to the time to first token and to the time between chunks, at half of its capacity.

Requests for streams arrive without waiting for answers, most through the proxy, some straight to the engine at the same
time. The difference of the two distributions' percentiles is what the proxy adds: whatever disturbs the machine, the
engine or the load disturbs both. Half of its capacity is the rate that keeps its core busy half of the time.
"""

from __future__ import annotations

import time

from tests.bench.bench import Bench, Subject
from tests.bench.engines import Engine, RunningEngine
from tests.bench.load import Sent, parse, running_load
from tests.bench.processes import cpu_time
from tests.bench.proxies import RunningProxy, running_proxy

BUSY_FRAC = 0.5
DIRECT_FRAC = 0.25
"""Requests straight to the engine, to those through the proxy."""
TRIAL_PER_S = 100.0
TRIALS = 2
"""Runs that approach the rate, the first at TRIAL_PER_S: the busier a proxy is, the less a stream costs it."""
TRIAL_S = 2.0
WARM_S = 2.0
"""Longer than a stream, so that as many end as begin."""


def measure_round(bench: Bench, subjects: list[Subject], *, seconds: float) -> None:
    """Measure each subject once."""
    with bench.engine(Engine(addresses=bench.addresses(subjects))) as engine:
        for subject in bench.available(subjects, "added latency"):
            name = subject.proxy.name
            with (
                bench.noting(name, "added latency"),
                running_proxy(bench.processes, subject.proxy, engine.urls[: subject.addresses]) as proxy,
            ):
                rate_per_s = TRIAL_PER_S
                for _ in range(TRIALS):
                    busy_frac, _ = _run(bench, proxy, engine, rate_per_s=rate_per_s, seconds=TRIAL_S)
                    rate_per_s *= BUSY_FRAC / busy_frac
                busy_frac, (through, direct) = _run(bench, proxy, engine, rate_per_s=rate_per_s, seconds=seconds)
                bench.results.add(
                    name, half_load_per_s=rate_per_s, half_load_busy_frac=busy_frac, **added(through, direct)
                )


def _run(
    bench: Bench, proxy: RunningProxy, engine: RunningEngine, *, rate_per_s: float, seconds: float
) -> tuple[float, list[Sent]]:
    """Send at a rate; gives the share of its core that the proxy used, and what became of the requests."""
    options = {
        "ports": f"{proxy.port},{engine.port}",
        "rates": f"{rate_per_s:.1f},{rate_per_s * DIRECT_FRAC:.1f}",
        "warm": WARM_S,
        "seconds": seconds,
    }
    with running_load(bench, **options) as load:
        time.sleep(WARM_S)
        cpu, begun_s = cpu_time(proxy.started.pid), time.monotonic()
        load.process.wait(seconds + 30)
        busy_s, elapsed_s = (cpu_time(proxy.started.pid) - cpu).total_s, time.monotonic() - begun_s
    return busy_s / elapsed_s, parse(load.log.read_text())


def added(through: Sent, direct: Sent) -> dict[str, float]:
    """The differences, in ms.

    Raises:
        ValueError: one of the paths gave no stream.
    """
    if through.ttft_ms is None or direct.ttft_ms is None or through.gap_ms is None or direct.gap_ms is None:
        raise ValueError("no stream came through within the window")
    return {
        "added_ttft_p50_ms": through.ttft_ms.p50 - direct.ttft_ms.p50,
        "added_ttft_p99_ms": through.ttft_ms.p99 - direct.ttft_ms.p99,
        "added_gap_p50_ms": through.gap_ms.p50 - direct.gap_ms.p50,
        "added_gap_p99_ms": through.gap_ms.p99 - direct.gap_ms.p99,
        "open_loop_failed": float(through.failed),
    }
