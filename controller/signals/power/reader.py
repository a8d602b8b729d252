"""Every configured source of power read at once, each under a deadline of its own, and put on the ladder."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from controller.model.fleet import Site
from controller.model.observation import Missing, Reading
from controller.signals.deadline import read_within
from controller.signals.power.ladder import GpuReport, Ladder, LadderRules, MeterReport, PowerView
from controller.signals.power.meter_scope import at_metering_point
from controller.signals.power.source import NamedGpus, NamedMeter, OwnerSource

_MAX_TOLD = 3
MAX_METER_W = 1e10
"""Of either sign: no site draws ten gigawatts."""


@dataclass(frozen=True, slots=True)
class PowerSources:
    """The sources of a site and how they are judged; sources of one rung in the order of preference."""

    gpus: tuple[NamedGpus, ...] = ()
    meters: tuple[NamedMeter, ...] = ()
    rules: LadderRules = field(default_factory=LadderRules)


class PowerReader:
    """Reads all of them; one that hangs or fails does not hide the others."""

    def __init__(self, site: Site, sources: PowerSources, deadline_s: float) -> None:
        self._site = site
        self._sources = sources
        self._ladder = Ladder(site, sources.rules)
        self._deadline_s = deadline_s

    def follow(self, site: Site) -> None:
        """Go by the GPUs of the instances there are."""
        if site is not self._site:
            self._site = site
            self._ladder.follow(site)

    def owners(self) -> dict[str, str]:
        """Pods by UUID of their GPUs, by all sources that know; of two the surest source counts."""
        found: dict[str, str] = {}
        for named in sorted(self._sources.gpus, key=lambda each: -each.rung.place):
            if isinstance(named.source, OwnerSource):
                found |= named.source.owners()
        return found

    async def read(self, now_s: float) -> PowerView:
        """What is known of power now."""
        reports, meters = await asyncio.gather(
            asyncio.gather(*(self._gpus(source, now_s) for source in self._sources.gpus)),
            asyncio.gather(*(self._meter(source, now_s) for source in self._sources.meters)),
        )
        return self._ladder.look(tuple(reports), tuple(meters), now_s)

    async def _gpus(self, named: NamedGpus, now_s: float) -> GpuReport:
        result = await read_within(self._deadline_s, named.name, named.source.read(now_s))
        if isinstance(result, str):
            return GpuReport(named.name, named.rung, {}, result)
        readings, errors = result
        told = "; ".join(map(str, errors[:_MAX_TOLD])) or None
        return GpuReport(named.name, named.rung, readings, told)

    async def _meter(self, named: NamedMeter, now_s: float) -> MeterReport:
        result = await read_within(self._deadline_s, named.name, named.source.read(now_s))
        if isinstance(result, str):
            return MeterReport(named.name, Missing(named.name, result, now_s), named.scope.error_frac)
        if isinstance(result, Reading) and not abs(result.value_w) <= MAX_METER_W:  # NaN is not either
            result = Missing(named.name, f"{result.value_w:g} W is no site's power; look at its unit", now_s)
        return MeterReport(named.name, at_metering_point(result, named.scope, self._site), named.scope.error_frac)
