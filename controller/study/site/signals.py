"""Price and carbon of a scenario of the kind `site`, as far as the run or its last plan reaches."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np

from controller.model.grid import Series
from controller.simulation.site import Signals
from controller.study.fleet.signals import (
    CARBON_SOURCE,
    PRICE_SOURCE,
    carbon_kg_per_mwh,
    prices_usd_per_mwh,
    starts_of,
)
from controller.study.series import LARGEST, SeriesSettings, means
from controller.study.site.settings import SiteStudySettings

RECORDED_S = 3600.0
"""Length of the intervals of recorded prices; carbon is averaged over them."""
OWN_S = 300.0
"""The same of a scenario's own series."""


def grid_signals(settings: SiteStudySettings) -> Signals:
    """What the controller is told of the grid.

    Raises:
        ConfigError: the span is not within the bundled prices, or a series is wrong or does not reach over the run.
    """
    price, carbon = settings.price, settings.carbon
    recorded, own = _Cells.recorded(settings), _Cells.own(settings)
    if price.series is not None:
        prices = own.series(own.values(price.series), "usd_per_mwh", price.series.path)
    elif price.zone is not None:
        prices = recorded.series(prices_usd_per_mwh(price.zone, recorded.starts), "usd_per_mwh", PRICE_SOURCE)
    else:
        prices = recorded.flat(price.flat_usd_per_mwh, "usd_per_mwh")
    if carbon.series is not None:
        emissions = own.series(own.values(carbon.series), "kg_per_mwh", carbon.series.path)
    elif carbon.recorded:
        emissions = recorded.series(carbon_kg_per_mwh(recorded.starts, RECORDED_S), "kg_per_mwh", CARBON_SOURCE)
    else:
        emissions = recorded.flat(carbon.flat_kg_per_mwh, "kg_per_mwh")
    return Signals(prices, emissions)


@dataclass(frozen=True, slots=True)
class _Cells:
    """Intervals over the run and what its last plan looks at.

    Attributes:
        starts: beginning of each.
        length_s: of each.
        within: how many begin within the run.
    """

    starts: tuple[datetime, ...]
    length_s: float
    within: int

    @classmethod
    def recorded(cls, settings: SiteStudySettings) -> _Cells:
        return cls._over(settings, settings.start.replace(minute=0, second=0, microsecond=0), RECORDED_S)

    @classmethod
    def own(cls, settings: SiteStudySettings) -> _Cells:
        return cls._over(settings, settings.start, OWN_S)

    @classmethod
    def _over(cls, settings: SiteStudySettings, first: datetime, length_s: float) -> _Cells:
        over = settings.start + timedelta(hours=settings.hours)
        end = over + timedelta(seconds=(settings.plan.steps + 1) * settings.plan.step_s)
        starts = starts_of(first, length_s, math.ceil((end - first).total_seconds() / length_s))
        return cls(starts, length_s, sum(start < over for start in starts))

    def values(self, written: SeriesSettings) -> np.ndarray:
        """A series over the run; the last plans, which look beyond it, are told its last value."""
        run = means(written, self.starts[: self.within], self.length_s, least=-LARGEST)
        return np.pad(run, (0, len(self.starts) - self.within), mode="edge")

    def flat(self, value: float | None, unit: str) -> Series:
        return self.series(np.full(len(self.starts), value), unit, "scenario")

    def series(self, values: np.ndarray, unit: str, source: str) -> Series:
        starts_s = tuple(start.timestamp() for start in self.starts)
        return Series(starts_s, tuple(values.astype(float).tolist()), starts_s[-1] + self.length_s, unit, source)
