"""What the operator decides about forecasts."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class DemandForecast(StrEnum):
    """How the demand of the coming intervals is foreseen.

    Attributes:
        BEST: by whichever forecaster has the better record, at `demand_quantile`.
        PRESENT: the present rate lasts; no forecaster is asked and no quantile is added.
    """

    BEST = "best"
    PRESENT = "present"


@dataclass(frozen=True, slots=True)
class ForecastPolicy:
    """How forecasts are made and chosen.

    Attributes:
        demand: how demand is foreseen.
        demand_quantile: share of the outcomes that the planned demand of an interval is to cover, in (0, 1).
        timezone: IANA name of the zone whose clock the users live by; days and weeks are its own.
        switch_margin_frac: share by which another forecaster's loss must lie below the one in use to replace it.
    """

    demand: DemandForecast = DemandForecast.BEST
    demand_quantile: float = 0.8
    timezone: str = "UTC"
    switch_margin_frac: float = 0.05
