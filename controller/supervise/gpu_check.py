"""Whether the GPUs of an engine are in this machine, by NVML; without NVML nobody knows, which is no fault."""

from __future__ import annotations

import asyncio
import contextlib
import logging

from controller.errors import ActuationError, NvmlError
from controller.signals.power.nvml_library import NvmlLibrary

log = logging.getLogger(__name__)
_PATIENCE_S = 15.0
_MIG_PREFIX = "MIG-"


class GpuCheck:
    """Asks NVML anew each time: a GPU may have fallen off the bus since."""

    def __init__(self) -> None:
        self._is_told = False

    async def refuse_absent(self, instance_id: str, gpu_uuids: tuple[str, ...]) -> None:
        """See that the GPUs are there.

        Raises:
            ActuationError: NVML shows this machine's GPUs, and one of these is not among them.
        """
        try:
            async with asyncio.timeout(_PATIENCE_S):
                shown = await asyncio.to_thread(_shown)
        except (NvmlError, TimeoutError) as error:
            if not self._is_told:
                self._is_told = True
                log.info("GPUs are not checked", extra={"reason": str(error) or f"NVML is silent for {_PATIENCE_S} s"})
            return
        if shown is None:
            return
        absent = [uuid for uuid in gpu_uuids if uuid not in shown and not uuid.startswith(_MIG_PREFIX)]
        if absent:
            raise ActuationError(
                instance_id,
                f"GPU {absent[0]} is not in this machine, which has {', '.join(sorted(shown)) or 'none'}; correct "
                "plan.pools.NAME.gpu_uuids, or see the kernel's log for a GPU that is lost",
            )


def _shown() -> frozenset[str] | None:
    """UUIDs of all GPUs; None where one of them does not tell its own.

    Raises:
        NvmlError: NVML cannot be asked.
    """
    library = NvmlLibrary()
    library.open()
    try:
        devices = library.devices()
    finally:
        with contextlib.suppress(NvmlError):
            library.close()
    return None if devices.faults else frozenset(device.uuid for device in devices.found)
