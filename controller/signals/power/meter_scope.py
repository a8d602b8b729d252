"""What a meter sees of a site: all at its metering point, or its machines alone; pure."""

from __future__ import annotations

from dataclasses import dataclass, replace

from controller.model.fleet import Site
from controller.model.observation import Missing, Quality, Reading


@dataclass(frozen=True, slots=True)
class MeterScope:
    """What a meter sees, and how far off it may be.

    Attributes:
        is_it: whether it sees the machines alone, and not what cools and feeds them.
        aux_w: constant load at the metering point beside the machines, where it sees them alone.
        error_frac: share of the site's power by which it may be off; None takes the plan's.
    """

    is_it: bool = False
    aux_w: float = 0.0
    error_frac: float | None = None


def at_metering_point(reading: Reading | Missing, scope: MeterScope, site: Site) -> Reading | Missing:
    """The site's power by what a meter says.

        P_site = PUE · P_machines + aux_w        [W], where it sees the machines

    The machines' processors and fans, of which the site's own constant load tells where GPUs are added up, are metered.
    The energy counter, where there is one, takes the constant load as power times the wall clock. The quality is then
    never `DIRECT`: a PUE is no meter. Machines that feed something back are a fault of the meter's, and missing.
    """
    if isinstance(reading, Missing) or not scope.is_it:
        return reading
    if reading.value_w < 0:
        reason = f"{reading.value_w:g} W is no power of machines; look at its sign, or write meters: site"
        return Missing(reading.source, reason, reading.observed_at_s)
    energy_j = None
    if reading.energy_j is not None:
        energy_j = site.pue * reading.energy_j + scope.aux_w * reading.observed_at_s
    return replace(
        reading,
        value_w=site.pue * reading.value_w + scope.aux_w,
        energy_j=energy_j,
        source=f"{reading.source} at PUE {site.pue:g}",
        quality=Quality.ESTIMATED if reading.quality is Quality.DIRECT else reading.quality,
    )
