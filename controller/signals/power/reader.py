"""Every configured source of power read at once, each under a deadline of its own, and put on the ladder."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable
from dataclasses import dataclass, field
from typing import TypeVar

from controller.model.fleet import Site
from controller.model.observation import Missing
from controller.signals.power.ladder import GpuReport, Ladder, LadderRules, MeterReport, PowerView
from controller.signals.power.source import NamedGpus, NamedMeter

log = logging.getLogger(__name__)
Result = TypeVar("Result")
_MAX_TOLD = 3


@dataclass(frozen=True, slots=True)
class PowerSources:
    """The sources of a site and how they are judged; sources of one rung in the order of preference."""

    gpus: tuple[NamedGpus, ...] = ()
    meters: tuple[NamedMeter, ...] = ()
    rules: LadderRules = field(default_factory=LadderRules)


class PowerReader:
    """Reads all of them; one that hangs or fails does not hide the others."""

    def __init__(self, site: Site, sources: PowerSources, deadline_s: float) -> None:
        self._sources = sources
        self._ladder = Ladder(site, sources.rules)
        self._deadline_s = deadline_s

    async def read(self, now_s: float) -> PowerView:
        """What is known of power now."""
        reports, meters = await asyncio.gather(
            asyncio.gather(*(self._gpus(source, now_s) for source in self._sources.gpus)),
            asyncio.gather(*(self._meter(source, now_s) for source in self._sources.meters)),
        )
        return self._ladder.look(tuple(reports), tuple(meters), now_s)

    async def _gpus(self, named: NamedGpus, now_s: float) -> GpuReport:
        result = await self._guarded(named.name, named.source.read(now_s))
        if isinstance(result, str):
            return GpuReport(named.name, named.rung, {}, result)
        readings, errors = result
        told = "; ".join(map(str, errors[:_MAX_TOLD])) or None
        return GpuReport(named.name, named.rung, readings, told)

    async def _meter(self, named: NamedMeter, now_s: float) -> MeterReport:
        result = await self._guarded(named.name, named.source.read(now_s))
        return MeterReport(named.name, Missing(named.name, result, now_s) if isinstance(result, str) else result)

    async def _guarded(self, name: str, reading: Awaitable[Result]) -> Result | str:
        """The result, or why there is none."""
        try:
            return await asyncio.wait_for(reading, self._deadline_s)
        except TimeoutError:
            return f"no result within {self._deadline_s:g} s"
        except Exception as error:  # a fault in one adapter must not hide the other signals
            log.exception("signal failed", extra={"signal": name})
            return f"{type(error).__name__}: {error}"
