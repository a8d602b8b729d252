"""The demo's own meter: GPU energy counters once a second, apart from the controller's, and the controller's page data.

Power is the difference of the energy counters over the time between two readings, at the metering point: times the
site's PUE, plus its constant load. A reading is placed in the middle of its HTTP exchange.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from controller.clock import Clock
from controller.errors import SignalError
from controller.settlement.trailing import Trailing

ENERGY_METRIC = b"DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION{"
TIMEOUT_S = 2.0


@dataclass(frozen=True, slots=True)
class Meter:
    """Where to read, and how GPU energy becomes that of the metering point."""

    metrics_url: str
    state_url: str
    pue: float
    aux_w: float


@dataclass(frozen=True, slots=True)
class Reading:
    """What was known at one moment.

    Attributes:
        time_s: wall clock.
        gpus_j: sum of the GPUs' energy counters.
        tokens_by_precision: output tokens of whole answers so far, as the client counted them.
        state: the controller's page data, None where it did not answer.
    """

    time_s: float
    gpus_j: float
    tokens_by_precision: Mapping[str, int]
    state: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True)
class Power:
    """Mean power over [start_s, end_s), with what was in force."""

    start_s: float
    end_s: float
    power_w: float
    limit_w: float | None
    price_usd_per_mwh: float | None
    carbon_kg_per_mwh: float | None

    @property
    def middle_s(self) -> float:
        """Where a single point stands for the interval."""
        return (self.start_s + self.end_s) / 2

    @property
    def energy_j(self) -> float:
        """Energy of the interval."""
        return self.power_w * (self.end_s - self.start_s)


@dataclass(slots=True)
class Record:
    """All readings of a run, and what follows from them."""

    meter: Meter
    readings: list[Reading] = field(default_factory=list)
    powers: list[Power] = field(default_factory=list)
    slow_ms: list[float] = field(default_factory=list)
    fast_ms: list[float] = field(default_factory=list)
    fallbacks: int = 0
    missed: int = 0

    def add(self, reading: Reading) -> None:
        """Take a reading in."""
        if self.readings:
            before = self.readings[-1]
            passed_s = reading.time_s - before.time_s
            if passed_s <= 0:
                return
            power_w = (reading.gpus_j - before.gpus_j) / passed_s * self.meter.pue + self.meter.aux_w
            state = reading.state or before.state or {}
            self.powers.append(
                Power(
                    before.time_s,
                    reading.time_s,
                    power_w,
                    state.get("power", {}).get("limit_w"),
                    state.get("price_usd_per_mwh"),
                    state.get("carbon_kg_per_mwh"),
                )
            )
        self.readings.append(reading)
        if reading.state is not None:
            solver = reading.state.get("solver", {})
            _note(self.slow_ms, solver.get("slow_ms"))
            _note(self.fast_ms, solver.get("fast_ms"))
            self.fallbacks = max(self.fallbacks, int(solver.get("fallbacks") or 0))

    def mean_w(self, from_s: float, to_s: float) -> float | None:
        """Mean power of the intervals whose middle lies in [from_s, to_s), None without one."""
        within = [power for power in self.powers if from_s <= power.middle_s < to_s]
        span_s = sum(power.end_s - power.start_s for power in within)
        return sum(power.energy_j for power in within) / span_s if span_s > 0 else None

    def trailing_w(self) -> list[tuple[float, float]]:
        """Mean power of the last seconds (`Trailing`) at each reading, as (time of the reading, W)."""
        trailing = Trailing()
        means = ((power.end_s, trailing.take(power.start_s, power.end_s, power.power_w)) for power in self.powers)
        return [(time_s, mean_w) for time_s, mean_w in means if mean_w is not None]


def _note(values: list[float], value: float | None) -> None:
    """Keep a solver time when it is a new one: the page tells the last until the next solve."""
    if value is not None and (not values or values[-1] != value):
        values.append(value)


def gpus_energy_j(exposition: bytes) -> float:
    """Sum of the GPUs' energy counters in a dcgm-exporter's text, mJ there.

    Raises:
        SignalError: there is no such counter, or one is not a number.
    """
    total_mj = 0.0
    found = False
    for line in exposition.splitlines():
        if line.startswith(ENERGY_METRIC):
            found = True
            try:
                total_mj += float(line.rpartition(b" ")[2])
            except ValueError as error:
                raise SignalError("gpu metrics", f"{line[-60:]!r} is not a counter") from error
    if not found:
        raise SignalError("gpu metrics", "no GPU energy counter among them")
    return total_mj / 1000


async def read(
    session: aiohttp.ClientSession, meter: Meter, clock: Clock, tokens_by_precision: Mapping[str, int]
) -> Reading:
    """Read the GPUs and the controller.

    Raises:
        SignalError: the GPUs' counters could not be read; a controller that does not answer is no error here.
    """
    timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
    before_s = clock.wall_s()
    try:
        async with session.get(meter.metrics_url, timeout=timeout) as answer:
            answer.raise_for_status()
            text = await answer.read()
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise SignalError(meter.metrics_url, str(error) or type(error).__name__) from error
    time_s = (before_s + clock.wall_s()) / 2
    return Reading(
        time_s=time_s,
        gpus_j=gpus_energy_j(text),
        tokens_by_precision=dict(tokens_by_precision),
        state=await _state(session, meter.state_url, timeout),
    )


async def _state(session: aiohttp.ClientSession, url: str, timeout: aiohttp.ClientTimeout) -> Mapping[str, Any] | None:
    try:
        async with session.get(url, timeout=timeout) as answer:
            if answer.status != 200:
                return None
            state = await answer.json()
    except (TimeoutError, aiohttp.ClientError, ValueError, OSError):
        return None
    return state if isinstance(state, dict) else None
