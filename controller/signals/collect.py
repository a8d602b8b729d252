"""Everything a tick decides upon, read at once under one deadline each."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol, TypeVar

from controller.model.grid import Series
from controller.model.observation import (
    Barred,
    InstanceObservation,
    InstanceState,
    Missing,
    Observation,
    RouterObservation,
)
from controller.signals.calls import CallBook
from controller.signals.deadline import read_within
from controller.signals.feeds import Feed
from controller.signals.power.reader import PowerReader, PowerSources
from controller.signals.present import Present

log = logging.getLogger(__name__)
Result = TypeVar("Result")


class InstanceSource(Protocol):
    """Observes engines."""

    async def read(self, now_s: float) -> tuple[InstanceObservation, ...]:
        """One observation an instance."""


class DemandSource(Protocol):
    """Reads the routers."""

    async def read(self, now_s: float) -> RouterObservation | Missing:
        """Demand and acknowledgement."""


@dataclass(frozen=True, slots=True)
class Sources:
    """The signals of a site.

    Attributes:
        barred: tells the pools and instances that may not serve.
        supervisor_faults: what is wrong with the supervisor of the engines, or what it says is wrong with them.
    """

    power: PowerSources
    engines: InstanceSource
    routers: DemandSource
    price_usd_per_mwh: Feed
    carbon_kg_per_mwh: Feed
    calls: CallBook
    barred: Callable[[float], tuple[Barred, ...]] = lambda now_s: ()
    supervisor_faults: Callable[[], tuple[str, ...]] = tuple


class Collector:
    """The `ObservationSource` of the service."""

    def __init__(self, present: Present, sources: Sources, *, deadline_s: float = 3.0) -> None:
        self._present = present
        self._sources = sources
        self._deadline_s = deadline_s
        self._power = PowerReader(present.site(), sources.power, deadline_s)
        self._missing_since: dict[str, float] = {}

    async def read(self, now_s: float) -> Observation:
        """Read all signals; what cannot be had comes as `Missing` with its reason."""
        sources, rosters = self._sources, self._present.rosters
        self._power.follow(self._present.site())
        power, engines, routers = await asyncio.gather(
            self._power.read(now_s),
            self._guarded("engines", sources.engines.read(now_s), now_s),
            self._guarded("routers", sources.routers.read(now_s), now_s),
        )
        self._present.take_owners(self._power.owners())
        return Observation(
            now_s=now_s,
            instances=self._unreachable(engines.reason, now_s) if isinstance(engines, Missing) else engines,
            site_power=self._dated("site_power", power.site_power),
            gpu_power=tuple(sorted(power.gpu_power.items())),
            router=self._dated("router", routers),
            price_usd_per_mwh=self._dated("price", _read_feed("price_usd_per_mwh", sources.price_usd_per_mwh, now_s)),
            carbon_kg_per_mwh=self._dated("carbon", _read_feed("carbon_kg_per_mwh", sources.carbon_kg_per_mwh, now_s)),
            events=sources.calls.current(now_s),
            barred=sources.barred(now_s),
            power_ladder=power.ladder,
            rosters=rosters,
            supervisor_faults=sources.supervisor_faults(),
        )

    async def _guarded(self, name: str, reading: Awaitable[Result], now_s: float) -> Result | Missing:
        result = await read_within(self._deadline_s, name, reading)
        return Missing(name, result, now_s) if isinstance(result, str) else result

    def _unreachable(self, reason: str, now_s: float) -> tuple[InstanceObservation, ...]:
        log.warning("no engine was observed", extra={"reason": reason})
        return tuple(
            InstanceObservation(instance.instance_id, pool.pool_id, InstanceState.UNREACHABLE, now_s, now_s)
            for pool in self._present.site().pools
            for instance in pool.instances
        )

    def _dated(self, name: str, value: Result | Missing) -> Result | Missing:
        """Put into a `Missing` since when it is so; the beginning and the end are logged."""
        if not isinstance(value, Missing):
            if self._missing_since.pop(name, None) is not None:
                log.info("signal is back", extra={"signal": name})
            return value
        if name not in self._missing_since:
            self._missing_since[name] = value.since_s
            log.warning("signal is missing", extra={"signal": name, "reason": value.reason})
        return Missing(value.source, value.reason, self._missing_since[name])


def _read_feed(name: str, feed: Feed, now_s: float) -> Series | Missing:
    try:
        return feed.read(now_s)
    except Exception as error:  # a fault in one adapter must not hide the other signals
        log.exception("signal failed", extra={"signal": name})
        return Missing(name, f"{type(error).__name__}: {error}", now_s)
