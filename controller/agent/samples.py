"""From a snapshot of NVML to the sample that goes over the wire; pure."""

from __future__ import annotations

from dataclasses import dataclass

from controller.model.observation import Reading
from controller.signals.power.agent_sample import GpuSample, Sample
from controller.signals.power.nvml_reader import NvmlSnapshot

FRESH_S = 5.0
"""A reading older than this does not make an agent ready."""


@dataclass(frozen=True, slots=True)
class Node:
    """What is the same in every sample of an agent."""

    name: str
    boot: str
    interval_s: float


def sample_of(snapshot: NvmlSnapshot, node: Node, *, sequence: int, sent_at_s: float) -> Sample:
    """The sample that tells this snapshot."""
    return Sample(
        node=node.name,
        boot=node.boot,
        sequence=sequence,
        sent_at_s=sent_at_s,
        interval_s=node.interval_s,
        gpus=tuple(GpuSample(gpu.uuid, gpu.name, gpu.reading) for gpu in snapshot.gpus),
        driver=snapshot.driver,
        error="; ".join(fault.reason for fault in snapshot.faults) or None,
    )


def unready(sample: Sample | None) -> str | None:
    """Why the agent has nothing to tell, None if it has: at least one GPU with a fresh reading."""
    if sample is None:
        return "NVML was not read yet"
    ages_s = [sample.sent_at_s - gpu.reading.observed_at_s for gpu in sample.gpus if isinstance(gpu.reading, Reading)]
    if ages_s and min(ages_s) <= FRESH_S:
        return None
    if ages_s:
        return f"the freshest reading is {min(ages_s):.0f} s old"
    missing = [gpu.reading.reason for gpu in sample.gpus if not isinstance(gpu.reading, Reading)]
    return sample.error or "; ".join(missing[:3]) or "NVML shows no GPU"
