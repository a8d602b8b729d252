"""The site's meter, as a Prometheus has scraped it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from controller.errors import SignalError
from controller.model.observation import Missing, Quality, Reading
from controller.signals.power.prometheus import Prometheus, Series
from controller.signals.power.source import believed_s


@dataclass(frozen=True, slots=True)
class MeterQueries:
    """What is asked, and what its numbers mean.

    Attributes:
        power: power at the metering point; one series.
        energy: counter of the energy imported; None where there is none.
        time: seconds since the epoch at which the meter was last read; needed where `power` is no range selector.
        w_per_unit: W that a 1 of `power` stands for; negative where export is counted as positive.
        j_per_unit: J that a 1 of `energy` stands for.
    """

    power: str
    energy: str | None = None
    time: str | None = None
    w_per_unit: float = 1.0
    j_per_unit: float = 1.0


class PromqlMeter:
    """The meter's power, positive where the site draws from the grid."""

    def __init__(self, prometheus: Prometheus, url: str, queries: MeterQueries) -> None:
        self._prometheus = prometheus
        self._source = f"meter by {url}"
        self._queries = queries

    async def read(self, now_s: float) -> Reading | Missing:
        """The newest sample, with the time at which it was scraped."""
        queries = self._queries
        try:
            power, energy, times = await asyncio.gather(
                self._newest(queries.power), self._newest(queries.energy), self._newest(queries.time)
            )
            if power is None:
                raise ValueError(f"{queries.power!r}: no series with a value")
            if queries.time is not None and times is None:
                raise ValueError(f"{queries.time!r}: no series with a value")
            observed_at_s = believed_s(power[0] if times is None else times[1], now_s)
        except (SignalError, ValueError) as error:
            return Missing(self._source, str(error), now_s)
        energy_j = None if energy is None else energy[1] * queries.j_per_unit
        return Reading(power[1] * queries.w_per_unit, energy_j, observed_at_s, self._source, Quality.DIRECT)

    async def _newest(self, query: str | None) -> tuple[float, float] | None:
        """(time, value) of the newest point of the one series, None where there is none."""
        if query is None:
            return None
        return newest_of_one(await self._prometheus.query(query), query)


def newest_of_one(answer: tuple[Series, ...], query: str) -> tuple[float, float] | None:
    """The newest point of the only series; None where there is no point.

    Raises:
        ValueError: there are several series, of which none is more the meter than another.
    """
    if len(answer) > 1:
        labels = ", ".join("{" + ", ".join(f'{k}="{v}"' for k, v in one.labels.items()) + "}" for one in answer[:2])
        raise ValueError(f"{query!r}: {len(answer)} series ({labels:.200} …); add labels until one is left")
    return answer[0].points[-1] if answer and answer[0].points else None
