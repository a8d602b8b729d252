"""Site power from the GPUs' readings, where no meter is read; pure."""

from __future__ import annotations

from collections.abc import Mapping

from controller.model.fleet import Site
from controller.model.freshness import age_told, is_fresh
from controller.model.observation import Missing, Quality, Reading

SOURCE = "sum of GPUs"
_MAX_NAMED = 3


def site_power(
    site: Site, gpu_power: Mapping[str, Reading | Missing], *, now_s: float, max_age_s: float
) -> Reading | Missing:
    """Power at the metering point, or which GPUs stand in the way of knowing it.

        P_site = PUE · (Σ P_gpu + spare GPUs · spare_gpu_w) + aux_w        [W]

    A sum that leaves out a GPU would look like a curtailment, so one missing or older than `max_age_s` makes the whole
    missing. The age is the oldest GPU's. The energy counter, where all GPUs have one, has an arbitrary zero: constant
    loads enter it as power times the wall clock. The quality is never `DIRECT`: boards are not the meter.
    """
    uuids = [uuid for pool in site.pools for instance in pool.instances for uuid in instance.gpu_uuids]
    readings: list[Reading] = []
    absent: list[str] = []
    for uuid in uuids:
        reading = gpu_power.get(uuid)
        if reading is None:
            absent.append(f"{uuid} is not shown")
        elif isinstance(reading, Missing):
            absent.append(reading.reason if uuid in reading.reason else f"{uuid}: {reading.reason}")
        elif not is_fresh(reading, now_s, max_age_s):
            absent.append(f"{uuid} is {age_told(reading, now_s)}, {max_age_s:g} s are allowed")
        else:
            readings.append(reading)
    if not uuids:
        return Missing(SOURCE, "no GPU is known", now_s)
    unknown = 0
    for pool in site.pools:
        for each in pool.instances:
            if (lacking := pool.gpus_per_instance - len(each.gpu_uuids)) > 0:
                unknown += lacking
                absent.append(f"{lacking} of the GPUs of {each.instance_id} are not known")
    if absent:
        named = "; ".join(absent[:_MAX_NAMED])
        more = f"; and {len(absent) - _MAX_NAMED} more" if len(absent) > _MAX_NAMED else ""
        return Missing(SOURCE, f"{len(absent)} of {len(uuids) + unknown} GPUs: {named}{more}", now_s)
    return _summed(site, readings, spare_gpus=max(0, site.gpus - len(uuids)))


def _summed(site: Site, readings: list[Reading], spare_gpus: int) -> Reading:
    observed_at_s = min(reading.observed_at_s for reading in readings)
    constant_w = site.pue * spare_gpus * site.spare_gpu_w + site.aux_w
    energies_j = [reading.energy_j for reading in readings if reading.energy_j is not None]
    energy_j = None
    if len(energies_j) == len(readings):
        energy_j = site.pue * sum(energies_j) + constant_w * observed_at_s
    emulated = any(reading.quality is Quality.EMULATED for reading in readings)
    return Reading(
        value_w=site.pue * sum(reading.value_w for reading in readings) + constant_w,
        energy_j=energy_j,
        observed_at_s=observed_at_s,
        source=SOURCE,
        quality=Quality.EMULATED if emulated else Quality.ESTIMATED,
    )
