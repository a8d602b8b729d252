"""The section `signals`."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from controller.settings.feeds import CarbonFeed, PriceFeed
from controller.settings.fields import NotNegative
from controller.settings.power.gpus import DcgmSettings, GpuPowerSettings
from controller.settings.power.ladder import PowerLadderSettings, power_specs
from controller.settings.power.meter import MeterSettings
from controller.settings.power.redfish_meter import RedfishMeterSettings
from controller.settings.power.source import Url
from controller.signals.power.specs import PowerSpecs
from router.settings import Group, Seconds


class SignalSettings(Group):
    """Where the controller reads."""

    dcgm_urls: Annotated[tuple[Url, ...], Field(max_length=4096)] = ()
    """Metrics addresses of dcgm-exporters, e.g. http://10.0.0.7:9400/metrics: short for a source of `power`."""
    power: Annotated[tuple[GpuPowerSettings, ...], Field(max_length=64)] = ()
    """Sources of GPU power; of several for one GPU the surest fresh one counts, those of a rung in this order."""
    meter: Annotated[tuple[MeterSettings, ...], Field(max_length=8)] = ()
    """The site's meter; several are tried in this order."""
    power_ladder: PowerLadderSettings = PowerLadderSettings()
    """Margins and times of the ladder between them."""
    router_urls: Annotated[tuple[Url, ...], Field(max_length=4096)] = ()
    """Admin addresses of the routers, e.g. http://127.0.0.1:8081. Absent: those are read that tell of themselves
    through `table.redis_url`."""
    price_usd_per_mwh: PriceFeed | None = None
    """Electricity price; the kinds are in docs/reference/feeds.md. Absent: missing, the plan then
    minimises energy at `fallback_price_usd_per_mwh`."""
    carbon_kg_per_mwh: CarbonFeed | None = None
    """Emission rate, marginal where the feed has it. Absent: missing, emissions then carry no cost."""
    fallback_price_usd_per_mwh: NotNegative = 50.0
    """Price assumed while none is known."""
    timeout_s: Seconds = 1.5
    """Longest wait for one source."""
    stale_s: Seconds = 15.0
    """Age at which a reading counts as missing; a power reading should be younger than the ramp."""

    @model_validator(mode="after")
    def _power_is_whole(self) -> SignalSettings:
        self.power_specs()
        for meter in self.meter:
            if isinstance(meter, RedfishMeterSettings) and meter.oldest_s > self.stale_s:
                raise ValueError(
                    f"a reading of the meter of kind redfish may be {meter.oldest_s:g} s old, signals.stale_s allows "
                    f"{self.stale_s:g} s: lower its period_s and timeout_s, or raise stale_s"
                )
        return self

    def power_specs(self) -> PowerSpecs:
        """What the sources of power are opened from."""
        short = (DcgmSettings(kind="dcgm", urls=self.dcgm_urls),) if self.dcgm_urls else ()
        return power_specs(
            (*short, *self.power), self.meter, self.power_ladder.rules(self.stale_s), timeout_s=self.timeout_s
        )
