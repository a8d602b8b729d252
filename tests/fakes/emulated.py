"""Engines that are quick enough for tests, and the emulator around them on ports that the system chooses."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

from controller.model.observation import InstanceState
from controller.model.perf import Evidence, PoolCurves, Provenance
from controller.simulation.emulated_instance import EmulatedInstance
from controller.simulation.emulator import Emulator, SpareGpus, run_emulator
from controller.simulation.vllm_api import ApiOptions

MODEL = "emulated/model"


def quick_curves(**changes: Any) -> PoolCurves:
    """Steps of about a millisecond, changes of state of a few dozen."""
    curves = PoolCurves(
        step_base_s=0.001,
        step_per_seq_s=0.00001,
        step_base_j=3.0,
        step_per_seq_j=0.01,
        prefill_s_per_token=0.000001,
        prefill_j_per_token=0.002,
        kv_capacity_tokens=100_000,
        max_num_seqs=256,
        idle_w=900.0,
        sleeping_w=500.0,
        off_w=300.0,
        wake_s=0.03,
        sleep_s=0.02,
        start_s=0.04,
        provenance=Provenance(Evidence.ESTIMATED, "for tests"),
    )
    return replace(curves, **changes)


def instance(name: str = "bf16-0", *, state: InstanceState = InstanceState.SERVING, **changes: Any) -> EmulatedInstance:
    """One instance on a port that the system chooses."""
    names = ("api_key", "max_num_queued_reqs", "quantization", "has_server_info")
    options = ApiOptions(**{name: changes.pop(name) for name in names if name in changes})
    uuids = tuple(f"GPU-emulated-{name}-{n}" for n in range(2))
    return EmulatedInstance(name, "127.0.0.1", 0, quick_curves(**changes), "bf16", uuids, state, options)


@asynccontextmanager
async def emulated(*instances: EmulatedInstance, spare: SpareGpus | None = None) -> AsyncIterator[Emulator]:
    """The emulator with these instances, one plain one where none is given."""
    emulator = await run_emulator(
        instances or (instance(),), control_host="127.0.0.1", control_port=0, model=MODEL, seed=7, spare=spare
    )
    try:
        yield emulator
    finally:
        await emulator.close()
