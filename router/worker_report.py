"""What one process tells of itself: the dispatcher's counts, and what its connections, memory and event loop do."""

from __future__ import annotations

import os
from collections import deque
from pathlib import Path

from router.observe.observer import Observation
from router.proxy.gateway import Gateway
from router.snapshot import Snapshot
from router.spent import merge_spent, under_way

LAG_KEPT_S = 60.0
"""How long the event loop's largest lag is told after it happened: longer than most scrapes are apart."""
MAX_LAGS = 1024
_STATM = Path("/proc/self/statm")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


class WorkerReport:
    """Makes the reports of one process.

    Args:
        gateway: its public port.
        observation: its access log and traces, or None without.
    """

    def __init__(self, gateway: Gateway, observation: Observation | None) -> None:
        self._gateway = gateway
        self._observation = observation
        self._lags: deque[tuple[float, float]] = deque(maxlen=MAX_LAGS)

    def take(self, config_hash: str, now_s: float) -> Snapshot:
        """State and counts now.

        Args:
            config_hash: of the configuration that is obeyed.
            now_s: of the steady clock.
        """
        gateway = self._gateway
        rates_age_s = gateway.dispatcher.energy.age_s(now_s)
        snapshot = gateway.dispatcher.state(now_s)
        snapshot.draining = gateway.is_draining
        snapshot.ready = snapshot.ready and not gateway.is_draining
        snapshot.counters = {
            **snapshot.counters,
            "client_disconnects": gateway.clients_gone,
            "connections": gateway.connections_made,
            "energy_told": gateway.dispatcher.energy.told,
            "energy_unknown": gateway.dispatcher.energy.unknown,
            **({} if self._observation is None else self._observation.counters()),
        }
        snapshot.gauges = {
            **snapshot.gauges,
            "event_loop_lag_seconds": gateway.lag_s,
            "event_loop_lag_max_seconds": self._max_lag_s(now_s),
            **({} if rates_age_s is None else {"energy_rates_age_seconds": rates_age_s}),
        }
        snapshot.sums = {
            "client_connections": float(len(gateway.clients)),
            "held_body_bytes": float(gateway.held_body_bytes),
            "workers": 1.0,
            **resident_memory(),
        }
        idle = gateway.engines.idle()
        snapshot.engine_connections = {"busy": gateway.engines.open - idle, "idle": idle}
        snapshot.overhead = gateway.overhead
        merge_spent(snapshot.spent, under_way(gateway.progress()))
        snapshot.config.workers_by_hash = {config_hash: 1}
        if gateway.sampler is not None:
            snapshot.samples = gateway.sampler.samples()
        return snapshot

    def _max_lag_s(self, now_s: float) -> float:
        lags = self._lags
        lags.append((now_s, self._gateway.max_lag_s))
        self._gateway.max_lag_s = 0.0
        while lags[0][0] < now_s - LAG_KEPT_S:
            lags.popleft()
        return max(lag_s for _, lag_s in lags)


def resident_memory() -> dict[str, float]:
    """Memory of this process by the name of its metric, nothing where the system does not tell."""
    try:
        pages = int(_STATM.read_text().split()[1])
    except OSError:
        return {}
    return {"resident_memory_bytes": float(pages * _PAGE_BYTES)}
