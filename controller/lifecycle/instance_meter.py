"""Energy of one instance between looks at its GPUs: by counters, by power, or by the model; pure.

Where no reading comes for longer than allowed, energy is booked by the model in advance. What the counters tell when
they are back is booked less that, so that the sum over a gap is the metered energy again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from controller.energy.attribution import Tokens
from controller.energy.load_power import Load, power_w
from controller.lifecycle.modelled_power import resting_w
from controller.model.fleet import Instance
from controller.model.observation import InstanceState, Missing, Quality, Reading
from controller.model.perf import PoolCurves

MOST_W = 3000.0
"""More than any GPU draws."""
LEAST_S = 0.5
"""Shortest time between two readings that makes an interval."""
MAX_GAP_S = 60.0
"""Longest time between two power readings that is bridged with their mean; longer ones are booked by the model."""


@dataclass(frozen=True, slots=True)
class Metered:
    """Energy of an interval.

    Attributes:
        quality: of the readings; `ESTIMATED` where the model stands in, too.
        is_modelled: whether it does.
    """

    energy_j: float
    duration_s: float
    quality: Quality
    is_modelled: bool = False


@dataclass(frozen=True, slots=True)
class MeterState:
    """Where an instance's meter stands.

    Attributes:
        booked_to_s: wall clock up to which energy was booked.
        ahead_j: booked by the model in advance of counters.
        readings: (UUID, reading) at that time; empty where there were none.
    """

    booked_to_s: float
    ahead_j: float
    readings: tuple[tuple[str, Reading], ...]


class InstanceMeter:
    """Follows the GPUs of one instance."""

    def __init__(self, instance: Instance, stale_s: float) -> None:
        self._uuids = instance.gpu_uuids
        self._stale_s = stale_s
        self._last: dict[str, Reading] | None = None
        self._booked_to_s: float | None = None
        self._ahead_j = 0.0
        self._is_resumed = False

    @property
    def state(self) -> MeterState | None:
        """Where it stands; None before the first look."""
        if self._booked_to_s is None:
            return None
        return MeterState(self._booked_to_s, self._ahead_j, tuple(sorted((self._last or {}).items())))

    def resume(self, state: MeterState) -> None:
        """Go on from where a former process stood; readings of other GPUs are left."""
        readings = dict(state.readings)
        self._last = readings if readings.keys() == set(self._uuids) else None
        self._booked_to_s, self._ahead_j, self._is_resumed = state.booked_to_s, state.ahead_j, True

    def span_s(self, now_s: float) -> float:
        """Time since the end of the last interval."""
        return 0.0 if self._booked_to_s is None else max(0.0, now_s - self._booked_to_s)

    def read(self, now_s: float, readings: Mapping[str, Reading | Missing], modelled_w: float) -> Metered | None:
        """The energy since the interval before; None where none has ended.

        Args:
            now_s: wall clock.
            readings: of all GPUs, by UUID.
            modelled_w: power of the instance by its curves, for its state and load since then.
        """
        fresh = self._fresh(readings, now_s)
        if self._booked_to_s is None:
            self._last, self._booked_to_s = fresh, now_s if fresh is None else _seen_s(fresh)
            return None
        if fresh is not None and (found := self._take(fresh)) is not None:
            return found
        return self._stand_in(now_s, modelled_w)

    def _fresh(self, readings: Mapping[str, Reading | Missing], now_s: float) -> dict[str, Reading] | None:
        """Readings of all of its GPUs, None where one is lacking or old."""
        found = {uuid: reading for uuid in self._uuids if isinstance(reading := readings.get(uuid), Reading)}
        is_whole = found and len(found) == len(self._uuids)
        return found if is_whole and now_s - _seen_s(found) <= self._stale_s else None

    def _take(self, fresh: dict[str, Reading]) -> Metered | None:
        last, booked_to_s = self._last, self._booked_to_s or 0.0
        seen_s = _seen_s(fresh)
        if last is None:
            self._last = fresh
            return None
        since_s = _seen_s(last)
        if seen_s - since_s < LEAST_S or seen_s - booked_to_s < LEAST_S:
            return None
        energy_j = _counted_j(last, fresh)
        if self._is_resumed and energy_j is not None:
            # Counters that a former process had spliced are no counters of this one.
            most_j = MOST_W * len(fresh) * (seen_s - since_s)
            energy_j = energy_j if energy_j <= most_j else None
        self._is_resumed = False
        if energy_j is None:
            self._last = fresh
            if seen_s - since_s > MAX_GAP_S:
                return None  # what lies between was booked by the model, or will be
            mean_w = 0.5 * sum(fresh[uuid].value_w + last[uuid].value_w for uuid in self._uuids)
            energy_j = mean_w * (seen_s - since_s)
        self._last, self._booked_to_s = fresh, seen_s
        booked_j = max(0.0, energy_j - self._ahead_j)
        self._ahead_j = max(0.0, self._ahead_j - energy_j)
        emulated = any(reading.quality is Quality.EMULATED for reading in fresh.values())
        estimated = any(reading.quality is Quality.ESTIMATED for reading in fresh.values())
        quality = Quality.EMULATED if emulated else Quality.ESTIMATED if estimated else Quality.DIRECT
        return Metered(booked_j, seen_s - booked_to_s, quality)

    def _stand_in(self, now_s: float, modelled_w: float) -> Metered | None:
        booked_to_s = now_s - self.span_s(now_s)
        if now_s - booked_to_s <= self._stale_s:
            return None
        energy_j = modelled_w * (now_s - booked_to_s)
        self._ahead_j += energy_j
        self._booked_to_s = now_s
        return Metered(energy_j, now_s - booked_to_s, Quality.ESTIMATED, is_modelled=True)


def _seen_s(readings: Mapping[str, Reading]) -> float:
    return min(reading.observed_at_s for reading in readings.values())


def _counted_j(last: Mapping[str, Reading], fresh: Mapping[str, Reading]) -> float | None:
    """By the counters; None where one has none or went back, or comes from another source than before."""
    total_j = 0.0
    for uuid, reading in fresh.items():
        before = last.get(uuid)
        if before is None or before.source != reading.source:
            return None
        if reading.energy_j is None or before.energy_j is None or reading.energy_j < before.energy_j:
            return None
        total_j += reading.energy_j - before.energy_j
    return total_j


def modelled_power_w(
    curves: PoolCurves, state: InstanceState, tokens: Tokens, span_s: float, steps: float | None = None
) -> float:
    """Power of an instance by its curves over a time in which it made these tokens, W.

    Args:
        curves: of its pool.
        state: as observed.
        tokens: made in the time.
        span_s: how long it was.
        steps: of the engine in it, which tell how long it computed; None where they are not counted. Requests then
            count as come at random.
    """
    if state is not InstanceState.SERVING or not tokens or span_s <= 0:
        return resting_w(curves, state)
    steps_per_s = None if steps is None else steps / span_s
    return power_w(curves, Load(tokens.decode / span_s, tokens.prefill / span_s, steps_per_s))
