"""The desk of limits on GPUs in the loop: looks at each status, has the limits brought about, and gives them back."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Gauge

from controller.actuators.gpu_limits import GpuLimiter
from controller.background import Work, Works, in_background
from controller.errors import ActuationError
from controller.lifecycle.gpu_limits import Engaged, SiteSeen, step, wanted
from controller.loop.status import Status
from controller.metrics.naming import PREFIX
from controller.model.gpu_limit import GpuLimit
from controller.model.grid import GridEvent
from controller.model.observation import Reading

log = logging.getLogger(__name__)

LOOK_S = 60.0
"""Time between two looks at limits that were set: other agents of the machine may change them."""


class GpuLimitMetrics:
    """Which pools are limited, and what the GPUs say of themselves."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def gauge(name: str, text: str, label: str) -> Gauge:
            return Gauge(PREFIX + name, text, (label,), registry=registry)

        self._pools = gauge("gpu_limit_wanted", "1 where a pool's GPUs are to be limited.", "pool")
        self._watts = gauge("gpu_power_limit_watts", "Power limit of a GPU, as zeusd told it last.", "gpu")

    def take(self, limits: tuple[GpuLimit, ...], now: tuple[GpuLimit, ...], read_back_w: dict[str, float]) -> None:
        """Show the latest."""
        for limit in limits:
            self._pools.labels(limit.pool_id).set(float(limit in now))
        for uuid, limit_w in read_back_w.items():
            self._watts.labels(uuid).set(limit_w)


@dataclass(frozen=True, slots=True)
class DeskParts:
    """What the desk works with.

    Attributes:
        limits: in the order in which they are set as the last means.
        firm_w: most that the events in force let the site draw where they outrank the classes.
        stale_s: age beyond which measured power is not known.
        exit_s: longest that giving back takes at the end.
        has_heir: whether another controller takes over what this one leaves.
    """

    limits: tuple[GpuLimit, ...]
    limiter: GpuLimiter
    metrics: GpuLimitMetrics
    firm_w: Callable[[tuple[GridEvent, ...], float], float | None]
    stale_s: float
    exit_s: float
    has_heir: Callable[[], bool] = lambda: False


class GpuLimitDesk:
    """Decides with each status; brings about what it has decided in the background, one thing at a time."""

    def __init__(self, parts: DeskParts) -> None:
        self._parts = parts
        self._engaged = Engaged()
        self._now: tuple[GpuLimit, ...] | None = None
        self._acts = False
        self._changed = asyncio.Event()

    def take(self, status: Status) -> None:
        """Look at a status; before the first decision nothing changes."""
        decision, observation = status.decision, status.observation
        if decision is None:
            return
        power, now_s, parts = observation.site_power, observation.now_s, self._parts
        is_known = isinstance(power, Reading) and now_s - power.observed_at_s <= parts.stale_s
        seen = SiteSeen(
            now_s=now_s,
            acts=decision.publish,
            limit_w=parts.firm_w(observation.events, now_s),
            drawn_w=power.value_w if is_known and isinstance(power, Reading) else None,
            is_moving=any(pool.draining or pool.waking for pool in decision.diagnostics.pools),
        )
        before, self._engaged = self._engaged, step(self._engaged, parts.limits, seen)
        if before.pools != self._engaged.pools:
            told = {"pools": self._engaged.pools, "limit_w": seen.limit_w, "drawn_w": seen.drawn_w}
            log.warning("pools limited as the last means", extra=told)
        now = wanted(self._engaged, parts.limits, acts=seen.acts)
        if (now, seen.acts) != (self._now, self._acts):  # one who begins to act answers for what others have limited
            self._now, self._acts = now, seen.acts
            self._changed.set()

    @contextlib.asynccontextmanager
    async def open(self, works: Works) -> AsyncIterator[None]:
        """Bring about what is decided, until the end; then give everything back, unless another takes over."""
        try:
            async with in_background(self._run, Work.GPU_LIMITS, works=works):
                yield
        finally:
            await self._give_back()

    async def _run(self) -> None:
        """Raises ActuationError where something could not be done; it is begun again after a while."""
        parts = self._parts
        while True:
            self._changed.clear()
            if self._now is not None:
                try:
                    await parts.limiter.bring_to(self._now)
                finally:
                    parts.metrics.take(parts.limits, self._now, parts.limiter.read_back_w)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_S):
                    await self._changed.wait()

    async def _give_back(self) -> None:
        limiter = self._parts.limiter
        if not limiter.limited:
            return
        if self._parts.has_heir():
            log.info("GPUs stay limited for the next leader", extra={"gpus": limiter.limited})
            return
        try:
            async with asyncio.timeout(self._parts.exit_s):
                await limiter.bring_to(())
        except (ActuationError, TimeoutError) as error:
            reason = str(error) or f"not done within {self._parts.exit_s:g} s"
            log.error(
                "GPUs stay limited; the next start gives them back",
                extra={"gpus": limiter.limited, "reason": reason},
            )
