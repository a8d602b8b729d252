"""What the loop writes down: its records, and the account of requests' energy. A failure is told, and ends nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from controller.errors import StoreError
from controller.loop.energy_desk import RECORD_KIND as ENERGY_KIND
from controller.loop.energy_desk import EnergyDesk
from controller.loop.faults import Faults
from controller.model.fleet import Site
from controller.model.observation import Observation
from controller.ports import Recorder


class Records:
    """Writes, and tells what could not be written.

    Args:
        recorder: called in a thread.
        desk: keeps the account of requests' energy; None keeps none.
        faults: where failures stand.
        wall_s: the wall clock.
    """

    def __init__(
        self, recorder: Recorder, desk: EnergyDesk | None, faults: Faults, wall_s: Callable[[], float]
    ) -> None:
        self._recorder = recorder
        self._desk = desk
        self._faults = faults
        self._wall_s = wall_s

    @property
    def j_per_output_token(self) -> Mapping[str, Mapping[str, float]]:
        """What the account says that a token costs, J, by pool and class."""
        return {} if self._desk is None else self._desk.j_per_output_token

    async def write(self, kind: str, now_s: float, payload: dict[str, object]) -> None:
        """Write a record."""
        try:
            await asyncio.to_thread(self._recorder.record, kind, now_s, payload)
        except StoreError as error:
            self._faults.fail("record", error)
        else:
            self._faults.recover("record")

    async def book(self, observation: Observation, site: Site | None) -> None:
        """Book the energy up to an observation; `site` has the curves in force, None before the first decision."""
        if self._desk is None:
            return
        try:
            record = self._desk.take(observation, site)
            if record is not None:
                await self.write(ENERGY_KIND, observation.now_s, record)
            await self._desk.tell(observation.now_s)
        except Exception as error:  # an account that fails must not stop the control; the next look books on
            self._faults.fail("energy", error)
        else:
            self._faults.recover("energy")

    async def close(self) -> None:
        """Settle what was booked since the last settlement."""
        if self._desk is None:
            return
        try:
            record = await asyncio.to_thread(self._desk.close)
            if record is not None:
                await self.write(ENERGY_KIND, self._wall_s(), record)
        except Exception as error:  # what follows at the end must be done all the same
            self._faults.fail("energy", error)
