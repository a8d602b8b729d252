"""From what a source shows of each GPU, power gauge and energy counter, to readings; pure.

Power comes from differences of the energy counter over two seconds or more, as the power gauge of A100 and H100
samples a quarter of the time (arXiv 2312.02741); the gauge stands in until two counter values are known. A counter
that stands still while the gauge shows draw is an old reading, and is reported with the time at which it last moved.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass, field

from controller.model.observation import Missing, Quality, Reading
from controller.signals.power.energy_counter import DEFAULT_BOUND_W, CounterEvent, CounterReading, EnergyCounter

BLANK_ENERGY_MJ = 1.4e14
"""DCGM marks missing values with 140737488355328.0, 9223372036854775792 and the numbers next to them; no counter in
millijoules gets there: 1 kW for four years is 1.3e14."""
_QUIET_W = 1.0
"""Draw below which a counter that stands still is no sign of an old reading."""
_CLOCK_BACK_S = 60.0
"""Points this much older than the last one are not late: the clock was set back."""


@dataclass(frozen=True, slots=True)
class Shown:
    """What a source shows of one GPU.

    Attributes:
        power_w: the gauge, None where there is none.
        energy: (time, counter in J) points, oldest first; empty where there is no counter.
        observed_at_s: of the gauge.
        emulated: whether the source says that the GPU is emulated.
    """

    power_w: float | None
    energy: tuple[tuple[float, float], ...]
    observed_at_s: float
    emulated: bool = False


@dataclass(slots=True)
class _Gpu:
    counter: EnergyCounter = field(default_factory=EnergyCounter)
    taken_s: float = -math.inf
    counted: CounterReading | None = None


class GpuCounters:
    """Remembers the energy counter of every GPU of one source."""

    def __init__(self) -> None:
        self._gpus: dict[str, _Gpu] = {}

    def take(self, uuid: str, shown: Shown, source: str) -> Reading | Missing:
        """The reading of a GPU after what is shown of it now; points that were taken in before are passed over."""
        gpu = self._gpus.setdefault(uuid, _Gpu())
        quality = Quality.EMULATED if shown.emulated else Quality.DIRECT
        if shown.energy and shown.energy[-1][0] < gpu.taken_s - _CLOCK_BACK_S:
            gpu.taken_s = -math.inf
        for at_s, energy_j in shown.energy:
            if at_s > gpu.taken_s:
                gpu.counted = gpu.counter.take(at_s, energy_j)
                gpu.taken_s = at_s
        counted = gpu.counted if shown.energy else None
        if counted is None:
            if shown.power_w is None:
                return Missing(source, f"{uuid}: neither power nor energy is shown", shown.observed_at_s)
            return Reading(shown.power_w, None, shown.observed_at_s, source, quality)
        power_w = shown.power_w if counted.power_w is None else counted.power_w
        if power_w is None:
            return Missing(source, _unknown(uuid, counted), shown.observed_at_s)
        observed_at_s = counted.moved_at_s
        if shown.power_w is not None and shown.power_w < _QUIET_W and observed_at_s < shown.observed_at_s:
            # Off: neither figure moves, and that is right.
            observed_at_s, power_w = shown.observed_at_s, shown.power_w
        return Reading(power_w, counted.energy_j, observed_at_s, source, quality)

    def keep_only(self, uuids: Collection[str]) -> None:
        """Forget the GPUs that are gone."""
        self._gpus = {uuid: gpu for uuid, gpu in self._gpus.items() if uuid in uuids}


def _unknown(uuid: str, counted: CounterReading) -> str:
    if counted.event is CounterEvent.JUMP:
        return f"{uuid}: its energy counter moved by more than a GPU draws"
    return f"{uuid}: one value of the energy counter is known, two are needed"


def is_power_w(value: float) -> bool:
    """Whether a gauge may show this: blanks, NaN, negative and impossible values are missing, not zero."""
    return math.isfinite(value) and 0 <= value < DEFAULT_BOUND_W


def is_energy_mj(value: float) -> bool:
    """Whether an energy counter may show this."""
    return math.isfinite(value) and 0 <= value < BLANK_ENERGY_MJ
