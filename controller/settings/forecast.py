"""The section `forecast`."""

from __future__ import annotations

from typing import Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, Field

from controller.forecast.policy import DemandForecast
from router.settings import Group


def _known_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError(
            f"{name!r} is no time zone that this machine knows; write an IANA name such as America/Chicago, and see "
            "that the system's tzdata package is installed"
        ) from error
    return name


class ForecastSettings(Group):
    """How the demand, price and carbon of the coming intervals are foreseen; see docs/reference/forecasts.md."""

    demand: DemandForecast = DemandForecast.BEST
    """best: by the forecaster with the best record, at `demand_quantile`. present: the present rate lasts."""
    demand_quantile: Annotated[float, Field(ge=0.5, le=0.99)] = 0.8
    """Share of the outcomes that the planned demand of an interval is to cover. More costs instances for peaks that
    rarely come; at 0.5 every second interval exceeds its plan, and lives on `plan.utilisation_frac`. 0.8 stands on top
    of that room; take 0.9 or more where an instance takes minutes to start."""
    timezone: Annotated[str, AfterValidator(_known_zone)] = "UTC"
    """Zone whose clock the users live by, so that their days stay days when clocks change, e.g. Europe/Berlin."""
    switch_margin_frac: Annotated[float, Field(ge=0, le=0.5)] = 0.05
    """Share by which another forecaster's loss must be lower to take over; 0 follows every whim of the scores."""
