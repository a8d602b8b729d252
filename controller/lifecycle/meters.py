"""What each instance's GPUs and engine counted between two ticks, for the re-fit of its curves.

An instance is left out of an interval in which its state changed or is in doubt, its engine or its meter began anew, a
reading is missing, its GPUs are shared with another instance, or its power is none that GPUs can draw. Readings that
are themselves estimates teach nothing.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from controller.energy.refit_interval import Doing, Interval
from controller.model.fleet import Instance, Pool, Site
from controller.model.observation import InstanceObservation, InstanceState, Missing, Observation, Quality, Reading
from router.contract import InstanceId

MIN_INTERVAL_S = 3.5
"""Shorter ones wait for the next tick: a step under way and the meter's own pace weigh too much."""
MAX_INTERVAL_S = 120.0
MAX_GPU_W = 3000.0
"""More than any GPU draws."""
COUNTER_NOISE_FRAC, GAUGE_NOISE_FRAC = 0.01, 0.05
_SETTLE_S = 1.0
"""Time after a change of state until power is that of the new one."""
_DOING = {
    InstanceState.SERVING: Doing.SERVING,
    InstanceState.SLEEPING: Doing.SLEEPING,
    InstanceState.OFF: Doing.OFF,
}


@dataclass(frozen=True, slots=True)
class Anchor:
    """Where an instance's next interval begins.

    Attributes:
        at_s, metered_at_s: when its engine and its GPUs were read.
        energy_j: of its GPUs' counters; None where they have none.
        sources: that read its GPUs; counters of different ones do not begin together.
        since_s: when its state began.
        prompt_tokens, cached_tokens, generation_tokens, steps, running: as its engine told.
    """

    instance_id: InstanceId
    state: InstanceState
    since_s: float
    at_s: float
    metered_at_s: float
    energy_j: float | None
    prompt_tokens: float
    generation_tokens: float
    steps: float | None
    running: int
    sources: tuple[str, ...]
    cached_tokens: float | None = None


@dataclass(frozen=True, slots=True)
class _Metered:
    value_w: float
    energy_j: float | None
    at_s: float
    sources: tuple[str, ...]


def intervals_of(
    site: Site, anchors: tuple[Anchor, ...], observation: Observation
) -> tuple[tuple[Anchor, ...], tuple[tuple[Interval, ...], ...]]:
    """The anchors from here on, and the intervals that ended now, by pool."""
    before = {anchor.instance_id: anchor for anchor in anchors}
    seen = {one.instance_id: one for one in observation.instances}
    gpus = dict(observation.gpu_power)
    owners = Counter(uuid for pool in site.pools for instance in pool.instances for uuid in instance.gpu_uuids)
    kept: list[Anchor] = []
    out = []
    for pool in site.pools:
        ended = []
        for instance in pool.instances:
            report = seen.get(instance.instance_id)
            metered = _metered(instance, gpus, owners)
            old = before.get(instance.instance_id)
            if report is None or report.is_unproven or report.state not in _DOING:
                continue
            if metered is None:
                kept += () if old is None else (old,)
                continue
            anchor, interval = _advanced(pool, old, report, metered)
            kept.append(anchor)
            if interval is not None:
                ended.append(interval)
        out.append(tuple(ended))
    return tuple(kept), tuple(out)


def _metered(instance: Instance, gpus: Mapping[str, Reading | Missing], owners: Mapping[str, int]) -> _Metered | None:
    """The sum of an instance's GPUs; None where one is missing, estimated or not its own."""
    found = []
    for uuid in instance.gpu_uuids:
        reading = gpus.get(uuid)
        if not isinstance(reading, Reading) or reading.quality is Quality.ESTIMATED or owners[uuid] > 1:
            return None
        found.append(reading)
    if not found:
        return None
    energies = [reading.energy_j for reading in found if reading.energy_j is not None]
    return _Metered(
        value_w=sum(reading.value_w for reading in found),
        energy_j=sum(energies) if len(energies) == len(found) else None,
        at_s=min(reading.observed_at_s for reading in found),
        sources=tuple(sorted({reading.source for reading in found})),
    )


def _advanced(
    pool: Pool, old: Anchor | None, report: InstanceObservation, metered: _Metered
) -> tuple[Anchor, Interval | None]:
    """The anchor from here on, and the interval that ended, if one did."""
    fresh = Anchor(
        instance_id=report.instance_id,
        state=report.state,
        since_s=report.since_s,
        at_s=report.observed_at_s,
        metered_at_s=metered.at_s,
        energy_j=metered.energy_j,
        prompt_tokens=report.prompt_tokens,
        generation_tokens=report.generation_tokens,
        steps=report.steps,
        running=report.running,
        sources=metered.sources,
        cached_tokens=report.cached_tokens,
    )
    if old is None or _is_broken(old, fresh):
        return fresh, None
    wall_s = fresh.metered_at_s - old.metered_at_s
    counted_s = fresh.at_s - old.at_s
    if wall_s > MAX_INTERVAL_S or counted_s > MAX_INTERVAL_S:
        return fresh, None
    if wall_s < MIN_INTERVAL_S or counted_s <= 0.0:
        return old, None
    settle_s = _SETTLE_S + (pool.curves.sleep_s if report.state is InstanceState.SLEEPING else 0.0)
    apart = abs(wall_s - counted_s) / wall_s
    if old.since_s + settle_s > min(old.at_s, old.metered_at_s) or apart > 0.5:
        return fresh, None
    return fresh, _interval(pool, old, fresh, metered, apart)


def _is_broken(old: Anchor, fresh: Anchor) -> bool:
    """Whether no interval leads from one to the other."""
    return (
        old.state is not fresh.state
        or old.since_s != fresh.since_s
        or old.sources != fresh.sources
        or fresh.generation_tokens < old.generation_tokens
        or fresh.prompt_tokens < old.prompt_tokens
        or (old.energy_j is None) != (fresh.energy_j is None)
        or (fresh.energy_j is not None and old.energy_j is not None and fresh.energy_j < old.energy_j)
    )


def _interval(pool: Pool, old: Anchor, fresh: Anchor, metered: _Metered, apart: float) -> Interval | None:
    wall_s, counted_s = fresh.metered_at_s - old.metered_at_s, fresh.at_s - old.at_s
    if fresh.energy_j is not None and old.energy_j is not None:
        energy_j, noise = fresh.energy_j - old.energy_j, COUNTER_NOISE_FRAC
    else:
        energy_j, noise = metered.value_w * wall_s, GAUGE_NOISE_FRAC
    if not 0.0 <= energy_j <= MAX_GPU_W * pool.gpus_per_instance * wall_s:
        return None
    stretch = wall_s / counted_s
    prompts, cached = fresh.prompt_tokens - old.prompt_tokens, _cached_since(old, fresh)
    counts_steps = fresh.steps is not None and old.steps is not None and fresh.steps >= old.steps
    return Interval(
        doing=_DOING[fresh.state],
        wall_s=wall_s,
        energy_j=energy_j,
        noise_frac=math.hypot(noise, 0.5 * apart),
        decode_tokens=stretch * (fresh.generation_tokens - old.generation_tokens),
        prefill_tokens=stretch * (prompts - (cached or 0.0)),
        steps=stretch * ((fresh.steps or 0.0) - (old.steps or 0.0)) if counts_steps else None,
        running=(old.running, fresh.running),
        cached_tokens=None if cached is None else stretch * cached,
    )


def _cached_since(old: Anchor, fresh: Anchor) -> float | None:
    """Prompt tokens that a cache held, no more than there were; None where the engine does not tell."""
    if old.cached_tokens is None or fresh.cached_tokens is None:
        return None
    return min(fresh.prompt_tokens - old.prompt_tokens, max(0.0, fresh.cached_tokens - old.cached_tokens))
