"""Power limits and locked clocks of GPUs through zeusd, which has the rights that NVML asks for.

A power limit that was found is kept on the disk before it is changed, so that the next process gives it back where this
one was killed. zeusd tells no clocks: locked ones are given back by releasing them, whoever had locked them. Requests
and answers: https://ml.energy/zeus/zeusd/api/.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from controller.errors import ActuationError, SignalError, StoreError
from controller.model.gpu_limit import GpuLimit
from controller.store.state import StateFile

log = logging.getLogger(__name__)

_TOLERANCE_W = 1.0


class Asking(Protocol):
    """Asks one zeusd; failures come out as `SignalError`."""

    async def get_json(self, url: str, params: Mapping[str, str] | None = None) -> Any:
        """Decoded JSON of a 200 answer."""

    async def post(self, url: str, params: Mapping[str, str] | None = None) -> tuple[int, bytes]:
        """Status and body of the answer to a POST."""


@dataclass(frozen=True, slots=True)
class Daemon:
    """A zeusd: how it is asked, and its GPUs in the order of their indices."""

    access: Asking
    url: str
    gpu_uuids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Found:
    """What a GPU had before.

    Attributes:
        power_limit_w: None where its clocks were locked instead.
    """

    gpu_uuid: str
    power_limit_w: float | None


class GpuLimiter:
    """Brings GPUs to what is wanted, and back to what they had.

    Attributes:
        read_back_w: power limit of each GPU by UUID, as zeusd told it last.
    """

    def __init__(self, daemons: tuple[Daemon, ...], file: StateFile) -> None:
        """Take over what a former process left limited.

        Raises:
            StoreError: the file that tells it is damaged.
        """
        self._places = {uuid: (daemon, n) for daemon in daemons for n, uuid in enumerate(daemon.gpu_uuids)}
        self._file = file
        kept = file.load(found=tuple[Found, ...]) or {}
        self._found: dict[str, Found] = {each.gpu_uuid: each for each in kept.get("found", ())}
        self._set: dict[str, GpuLimit] = {}
        self.read_back_w: dict[str, float] = {}

    @property
    def limited(self) -> tuple[str, ...]:
        """GPUs that are to be given back."""
        return tuple(self._found)

    async def bring_to(self, limits: tuple[GpuLimit, ...]) -> None:
        """Limit the GPUs of these limits, give all others back, and see that limits set before still hold.

        Raises:
            ActuationError: something could not be done, or somebody else had changed a limit; the rest was done.
        """
        wants = {uuid: limit for limit in limits for uuid in limit.gpu_uuids}
        faults = []
        for uuid in (*wants, *(each for each in tuple(self._found) if each not in wants)):
            try:
                if uuid in wants:
                    await self._limit(uuid, wants[uuid])
                else:
                    await self._give_back(self._found[uuid])
            except (SignalError, StoreError, ActuationError) as error:
                faults.append(str(error))
        if faults:
            more = f" (and {len(faults) - 3} more)" if len(faults) > 3 else ""
            raise ActuationError("GPU limits", "; ".join(faults[:3]) + more)

    async def _limit(self, uuid: str, limit: GpuLimit) -> None:
        left = self._found.get(uuid)
        if left is not None and (left.power_limit_w is None) is not (limit.power_limit_w is None):
            await self._give_back(left)  # a former process had limited it in the other way
        if limit.power_limit_w is None:
            self._keep(Found(uuid, None))
            clocks = {"min_clock_mhz": "0", "max_clock_mhz": str(limit.max_clock_mhz)}
            await self._post(uuid, "set_gpu_locked_clocks", clocks)
            self._done(uuid, limit)
            return
        held_w, is_set = await self._read(uuid), self._set.get(uuid) == limit
        found = self._found.get(uuid, Found(uuid, held_w))
        # What it had is never raised: another agent may have its reasons.
        asked_w = min(limit.power_limit_w, held_w if found.power_limit_w is None else found.power_limit_w)
        if is_set and abs(held_w - asked_w) <= _TOLERANCE_W:
            return
        self._keep(found)
        await self._set_power(uuid, asked_w)
        self._done(uuid, limit)
        if is_set:
            raise ActuationError(uuid, f"somebody else had set {held_w:g} W; set to {asked_w:g} W again")

    async def _give_back(self, found: Found) -> None:
        uuid = found.gpu_uuid
        if found.power_limit_w is None:
            await self._post(uuid, "reset_gpu_locked_clocks", {})
        else:
            await self._set_power(uuid, found.power_limit_w)
        self._set.pop(uuid, None)
        left = tuple(each for each in self._found.values() if each.gpu_uuid != uuid)
        self._file.save(found=left)
        del self._found[uuid]
        log.info("GPU given back", extra={"gpu": uuid, "power_limit_w": found.power_limit_w})

    async def _set_power(self, uuid: str, power_limit_w: float) -> None:
        await self._post(uuid, "set_power_limit", {"power_limit_mw": str(round(power_limit_w * 1e3))})
        read_w = await self._read(uuid)
        if abs(read_w - power_limit_w) > _TOLERANCE_W:
            raise ActuationError(uuid, f"{power_limit_w:g} W was set, but {read_w:g} W is read back")

    async def _read(self, uuid: str) -> float:
        """Its power limit, W."""
        daemon, index = self._place(uuid)
        url = f"{daemon.url}/gpu/get_power_limit"
        answer = await daemon.access.get_json(url, {"gpu_ids": str(index)})
        try:
            limit_w = float(answer[str(index)]["power_limit_mw"]) / 1e3
        except (KeyError, TypeError, ValueError) as error:
            raise SignalError(url, f"malformed answer ({error})") from error
        self.read_back_w[uuid] = limit_w
        return limit_w

    async def _post(self, uuid: str, verb: str, params: Mapping[str, str]) -> None:
        daemon, index = self._place(uuid)
        url = f"{daemon.url}/gpu/{verb}"
        status, body = await daemon.access.post(url, {"gpu_ids": str(index), "block": "true", **params})
        if status in (401, 403, 404):
            remedy = "zeusd needs the API group gpu-control, and its token that scope"
            raise ActuationError(uuid, f"{url}: status {status}: {remedy}")
        if status != 200:
            raise ActuationError(uuid, f"{url}: status {status}: {body[:200].decode(errors='replace')}")

    def _place(self, uuid: str) -> tuple[Daemon, int]:
        place = self._places.get(uuid)
        if place is None:  # limited by a former process whose configuration named its daemon
            raise ActuationError(uuid, "no zeusd is configured for it; add it to controller.zeusd to give it back")
        return place

    def _keep(self, found: Found) -> None:
        """Write down what a GPU had, once: what is found later is one's own limit.

        Raises:
            StoreError: it cannot be written; then nothing is changed.
        """
        if found.gpu_uuid not in self._found:
            self._file.save(found=(*self._found.values(), found))
            self._found[found.gpu_uuid] = found

    def _done(self, uuid: str, limit: GpuLimit) -> None:
        if self._set.get(uuid) == limit:
            return
        self._set[uuid] = limit
        told = {"gpu": uuid, "pool": limit.pool_id, "limit": limit.told, "read_back_w": self.read_back_w.get(uuid)}
        log.warning("GPU limited", extra=told)
