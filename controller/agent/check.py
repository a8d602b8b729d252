"""One look at the GPUs of this machine, for an operator who wants to know whether and how they are read."""

from __future__ import annotations

from controller.clock import Clock
from controller.model.observation import Reading
from controller.signals.power.nvml_reader import GpuState, NvmlSnapshot
from controller.signals.power.nvml_source import NvmlSource
from controller.units import joules_to_kwh

LOOK_S = 3.0
"""Long enough for power by the energy counter, which wants two seconds."""


async def look(clock: Clock, interval_s: float) -> NvmlSnapshot:
    """Read for three seconds; returns the last snapshot."""
    source = NvmlSource(clock, interval_s=interval_s)
    source.start()
    try:
        await clock.sleep(LOOK_S)
        return source.latest()
    finally:
        source.close()


def is_well(snapshot: NvmlSnapshot) -> bool:
    """Whether every GPU was read."""
    readings = [gpu.reading for gpu in snapshot.gpus]
    return bool(readings) and not snapshot.faults and all(isinstance(reading, Reading) for reading in readings)


def told(snapshot: NvmlSnapshot) -> str:
    """The snapshot as lines for a terminal."""
    lines = [f"driver {snapshot.driver}"] if snapshot.driver is not None else []
    lines += [_line(gpu) for gpu in snapshot.gpus]
    lines += [f"fault: {fault.reason}" for fault in snapshot.faults]
    return "\n".join(lines) or "NVML shows no GPU"


def _line(gpu: GpuState) -> str:
    reading = gpu.reading
    if not isinstance(reading, Reading):
        return f"{gpu.uuid}  {gpu.name}  missing: {reading.reason}"
    energy = "" if reading.energy_j is None else f"  {joules_to_kwh(reading.energy_j):.3f} kWh"
    return f"{gpu.uuid}  {gpu.name}  {reading.value_w:.1f} W{energy}  by {reading.source}"
