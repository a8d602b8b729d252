"""The desk that tells what can be shed: computed beside the loop in a thread, once a minute or when the fleet changes.

While it is not known it is looked at sooner. It has a solver of its own, so that no decision waits for it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
from collections.abc import AsyncIterator, Callable

from prometheus_client import CollectorRegistry, Counter, Gauge

from controller.clock import Clock
from controller.lifecycle.capability import Facts, capability
from controller.loop.status import Status
from controller.model.capability import Capability, Offer, QosCost
from controller.model.derate import Derates, tightest
from controller.openadr.report_inputs import Shed
from controller.optimizer.planner import Planner

log = logging.getLogger(__name__)

PREFIX = "wattroute_controller_capability_"
EVERY_S = 60.0
LEAST_GAP_S = 10.0
"""A change of what serves, and what is not known, are looked at no sooner than this after the last time."""
STALE_S = 180.0
"""What is older is not told any more."""
SEARCH_S = 1.0
"""Longest search of one of the least powers."""
HORIZONS = ("now", "10min", "1h")


class CapabilityMetrics:
    """Holds the metrics; NaN is not known, +Inf is without a known end."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def gauge(name: str, text: str) -> Gauge:
            return Gauge(PREFIX + name, text, ("horizon", "cost"), registry=registry)

        self._shed_w = gauge("shed_watts", "Reduction below the present draw that can be called.")
        self._limit_w = gauge("limit_watts", "Least limit at the meter that can be kept.")
        self._uncertainty_w = gauge("uncertainty_watts", "How far that limit stands above what is expected.")
        self._duration_s = gauge("duration_seconds", "How long it can be kept; +Inf without a known end.")
        self._recovery_s = gauge("recovery_seconds", "Until what it cost is made good.")
        self._per_day = gauge("events_per_day", "How often it can be called; +Inf where nothing limits that.")
        self._lead_s = Gauge(
            PREFIX + "lead_seconds", "From a call until it is reached.", ("horizon",), registry=registry
        )
        self._derate_w = Gauge(PREFIX + "derate_watts", "Most that is offered now by a derate.", registry=registry)
        self._took_s = Gauge(PREFIX + "compute_seconds", "Time the last computation took.", registry=registry)
        self._failed = Counter(PREFIX + "failures", "Computations that failed.", registry=registry)
        self.show(None)

    def show(self, told: Capability | None) -> None:
        """Set what can be shed; what is not known is NaN."""
        held = None if told is None else tightest(told.derates, told.as_of_s)
        self._derate_w.set(math.nan if held is None else held.shed_w)
        leads_s = (told.leads_s if told is not None else ()) or (math.nan,) * len(HORIZONS)
        for lead_s, horizon in zip(leads_s, HORIZONS, strict=True):
            self._lead_s.labels(horizon).set(lead_s)
            for cost in QosCost:
                offer = None if told is None else told.at(lead_s, cost)
                self._show(offer, (horizon, cost.value))

    def _show(self, offer: Offer | None, labels: tuple[str, str]) -> None:
        gauges = (self._shed_w, self._limit_w, self._uncertainty_w, self._duration_s, self._recovery_s, self._per_day)
        values = (math.nan,) * len(gauges)
        if offer is not None:
            values = (
                offer.shed_w,
                offer.achievable_w,
                offer.uncertainty_w,
                math.inf if offer.duration_s is None else offer.duration_s,
                math.nan if offer.recovery_s is None else offer.recovery_s,
                math.inf if offer.events_per_day is None else offer.events_per_day,
            )
        for gauge, value in zip(gauges, values, strict=True):
            gauge.labels(*labels).set(value)

    def took(self, time_s: float) -> None:
        """Tell how long a computation took."""
        self._took_s.set(time_s)

    def fail(self) -> None:
        """Count a computation that failed."""
        self._failed.inc()


class CapabilityDesk:
    """A watcher of the runner.

    Args:
        planner: used by nobody else; None tells nothing.
        clock: for ages and for the time it takes.
        metrics: shown.
        derates: tells, by the wall clock, when less is offered than could be shed.
    """

    def __init__(
        self,
        planner: Planner | None,
        clock: Clock,
        metrics: CapabilityMetrics,
        derates: Callable[[float], Derates] = lambda now_s: (),
    ) -> None:
        self._planner = planner
        self._clock = clock
        self._metrics = metrics
        self._derates = derates
        self._told: Capability | None = None
        self._told_s = -math.inf
        self._serving: tuple[int, ...] = ()
        self._running: asyncio.Task[None] | None = None

    def take(self, status: Status) -> None:
        """Begin another computation where one is due."""
        self._metrics.show(self.current())
        facts = None if status.decision is None else status.decision.facts
        if facts is None or self._planner is None or self._running is not None:
            return
        age_s = self._clock.monotonic_s() - self._told_s
        is_known = self._told is None or self._told.unknown is None
        if age_s < LEAST_GAP_S or (age_s < EVERY_S and is_known and facts.serving == self._serving):
            return
        self._told_s, self._serving = self._clock.monotonic_s(), facts.serving
        self._running = asyncio.get_running_loop().create_task(self._tell(self._planner, facts), name="capability")

    def current(self) -> Capability | None:
        """The latest, as derates leave it now; None before the first, and where it is too old to be relied on."""
        told, now_s = self._told, self._clock.wall_s()
        return None if told is None or now_s - told.now_s > STALE_S else told.derated(self._derates(now_s), now_s)

    def sheds(self, now_s: float) -> tuple[Shed, ...]:
        """What can be shed without derates, by lead and by cost, for reports of LOAD_SHED_DELTA_AVAILABLE."""
        told = self.current()
        if told is None:
            return ()
        return tuple(Shed(each.lead_s, each.shed_w, each.duration_s, each.cost) for each in told.possible)

    async def close(self) -> None:
        """Wait for the computation that runs."""
        if self._running is not None:
            await asyncio.gather(self._running, return_exceptions=True)

    async def _tell(self, planner: Planner, facts: Facts) -> None:
        began_s = self._clock.monotonic_s()
        try:
            self._told = await asyncio.to_thread(capability, planner, facts, time_limit_s=SEARCH_S)
        except Exception as error:  # the control must not stop; what was told becomes too old, and then is not known
            self._metrics.fail()
            log.error("what can be shed is not known", extra={"reason": str(error)}, exc_info=error)
        finally:
            self._running = None
        self._metrics.took(self._clock.monotonic_s() - began_s)
        self._metrics.show(self.current())


@contextlib.asynccontextmanager
async def opened_capability(
    planner: Planner | None,
    clock: Clock,
    registry: CollectorRegistry,
    derates: Callable[[float], Derates] = lambda now_s: (),
) -> AsyncIterator[CapabilityDesk]:
    """The desk, until what it computes is done; `derates` tells when less is offered."""
    desk = CapabilityDesk(planner, clock, CapabilityMetrics(registry), derates)
    try:
        yield desk
    finally:
        await desk.close()
