"""Power as measured, and what it corrects of that which is modelled."""

from __future__ import annotations

import math
from dataclasses import dataclass

from controller.lifecycle.policy import TickPolicy
from controller.model.fleet import Site
from controller.model.freshness import age_s, age_told, is_fresh
from controller.model.grid import GridEvent, limit_at
from controller.model.observation import (
    Missing,
    Observation,
    Quality,
    Reading,
    Rung,
)


@dataclass(frozen=True, slots=True)
class Measured:
    """Power at the meter.

    Attributes:
        value_w, age_s: None where nothing fresh is known.
        fallback: why it is not the best configured source's own fresh value; None where it is.
        rung: where the value is known from; the model where there is none.
        margin_rung: the rung whose margin holds: emulated readings are the emulated meter's own, without its error.
        error_frac: share by which the meter may be off; None takes the plan's.
    """

    value_w: float | None
    age_s: float | None
    fallback: tuple[str, str] | None = None
    rung: Rung = Rung.METER
    margin_rung: Rung = Rung.METER
    error_frac: float | None = None

    def at_least(self, modelled_w: float) -> float:
        """The higher of what the curves say and what is measured: what a limit is held against."""
        return max(modelled_w, self.value_w or 0.0)


def measured_power(site: Site, observation: Observation, stale_s: float) -> Measured:
    """The site's power as its ladder knows it; else the sum over GPUs where all report; else nothing."""
    meter, now_s = observation.site_power, observation.now_s
    if isinstance(meter, Reading) and is_fresh(meter, now_s, stale_s):
        return _on_ladder(meter, observation)
    if isinstance(meter, Missing):
        reason = f"{meter.source} is missing: {meter.reason}"
    else:
        reason = f"{meter.source} is {age_told(meter, now_s)}"
    expected = {uuid for pool in site.pools for instance in pool.instances for uuid in instance.gpu_uuids}
    fresh = {
        uuid: reading
        for uuid, reading in observation.gpu_power
        if isinstance(reading, Reading) and is_fresh(reading, now_s, stale_s)
    }
    if expected and expected <= set(fresh):
        gpus_w = sum(fresh[uuid].value_w for uuid in sorted(expected))
        oldest_s = max(age_s(fresh[uuid], now_s) for uuid in expected)
        return Measured(at_meter_w(site, gpus_w), oldest_s, ("gpu readings", reason), Rung.DCGM, Rung.DCGM)
    return Measured(None, None, ("model", reason), Rung.MODEL, Rung.MODEL)


def _on_ladder(meter: Reading, observation: Observation) -> Measured:
    ladder, metered_s = observation.power_ladder, age_s(meter, observation.now_s)
    if ladder is None:
        return Measured(meter.value_w, metered_s)
    is_emulated = meter.quality is Quality.EMULATED and ladder.rung is not Rung.MODEL
    return Measured(
        meter.value_w,
        metered_s,
        None if ladder.rung is ladder.best else (ladder.rung.value, ladder.reason),
        ladder.rung,
        Rung.METER if is_emulated else ladder.rung,
        ladder.error_frac,
    )


def spare_w(site: Site) -> float:
    """IT power of the GPUs that belong to no instance.

    Negative where pools have places for more instances than there are GPUs for: each place counts as one that is off.
    """
    owned = sum(pool.gpus_per_instance * len(pool.instances) for pool in site.pools)
    return (site.gpus - owned) * site.spare_gpu_w


def at_meter_w(site: Site, instances_w: float) -> float:
    """Power at the meter when the instances draw `instances_w`."""
    return site.pue * (instances_w + spare_w(site)) + site.aux_w


def ramp_is_over(events: tuple[GridEvent, ...], limit_w: float, now_s: float) -> bool:
    """Whether the limit in force must be met by now."""
    binding = [event for event in events if event.start_s <= now_s < event.end_s and event.limit_w <= limit_w]
    return not binding or any(now_s >= event.start_s + event.ramp_s for event in binding)


def due_limit_w(site: Site, observation: Observation) -> float | None:
    """The limit in force that must be met by now; None without one, or while its ramp goes on."""
    events, now_s = observation.events, observation.now_s
    limit_w = limit_at(events, site.import_limit_w, now_s)
    return limit_w if limit_w is not None and ramp_is_over(events, limit_w, now_s) else None


def next_bias_w(
    policy: TickPolicy,
    site: Site,
    observation: Observation,
    bias: tuple[float, float | None],
    *,
    measured_w: float | None,
    charged_w: float,
    leaving_w: float,
) -> float:
    """The correction added to predictions from now on, W; never negative and bounded.

    It follows by how much the meter exceeds the plan's rule for the same instances, and forgets with the same time
    constant.
    After a limit's ramp, power that is over the limit and does not leave with the draining instances is added at once:
    the next dispatch plans for so much less.

    Args:
        policy: bound and time constant.
        site: for the standing limit.
        observation: for the time and the events.
        bias: the correction in force and when it was set.
        measured_w: power at the meter, None where unknown; the correction is then forgotten.
        charged_w: power by the plan's rule now, as the correction is added to what the plan predicts.
        leaving_w: part of it that goes with the draining instances.
    """
    value_w, at_s = bias
    now_s = observation.now_s
    limit_w = limit_at(observation.events, site.import_limit_w, now_s)
    share = 1.0 if at_s is None else 1.0 - math.exp(-max(0.0, now_s - at_s) / policy.bias_tau_s)
    error_w = 0.0 if measured_w is None else max(0.0, measured_w - charged_w)
    value_w += share * (error_w - value_w)
    due_w = due_limit_w(site, observation)
    if measured_w is not None and due_w is not None:
        value_w += share * max(0.0, measured_w - leaving_w - due_w)
    bound_w = policy.bias_max_frac * (charged_w if limit_w is None else limit_w)
    return min(value_w, max(0.0, bound_w))
