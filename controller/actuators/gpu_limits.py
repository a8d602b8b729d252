"""Power limits and locked clocks of GPUs through zeusd, which has the rights that NVML asks for.

A power limit that was found is kept on the disk, and shared with the controllers that may follow, before it is changed,
so that the next process or the next leader gives it back where this one was killed. Of several controllers one answers
for a GPU. zeusd tells no clocks: locked ones are given back by releasing them, whoever had locked them. Requests and
answers: https://ml.energy/zeus/zeusd/api/.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from controller.errors import ActuationError, SignalError, StoreError
from controller.model.gpu_limit import TOLERANCE_W, Found, GpuLimit
from controller.store.state import StateFile

log = logging.getLogger(__name__)


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


async def _with_nobody() -> None:
    """What is found stays with a controller that is alone."""


class GpuLimiter:
    """Brings GPUs to what is wanted, and back to what they had.

    Attributes:
        read_back_w: power limit of each GPU by UUID, as zeusd told it last.
    """

    def __init__(
        self,
        daemons: tuple[Daemon, ...],
        file: StateFile,
        share: Callable[[], Awaitable[None]] = _with_nobody,
        may_act: Callable[[], bool] = lambda: True,
    ) -> None:
        """Take over what a former process left limited.

        Args:
            daemons: set the limits.
            file: where it is kept what was found.
            share: leaves what was found to the controllers that may follow, as far as they can be reached; waited for
                before a GPU is changed.
            may_act: whether this controller leads; asked right before a GPU is limited.

        Raises:
            StoreError: the file that tells it is damaged.
        """
        self._places = {uuid: (daemon, n) for daemon in daemons for n, uuid in enumerate(daemon.gpu_uuids)}
        self._file = file
        self._share = share
        self._may_act = may_act
        kept = file.load(found=tuple[Found, ...]) or {}
        self._found: dict[str, Found] = {each.gpu_uuid: each for each in kept.get("found", ())}
        self._is_kept = True
        self._set: dict[str, GpuLimit] = {}
        self._others: frozenset[str] | None = frozenset()
        self.read_back_w: dict[str, float] = {}

    @property
    def found(self) -> tuple[Found, ...]:
        """What GPUs had that are limited, or are to be at once."""
        return tuple(self._found.values())

    @property
    def limited(self) -> tuple[str, ...]:
        """GPUs that are this controller's to give back."""
        return tuple(uuid for uuid in self._found if not self._is_others(uuid))

    def take_up(self, theirs: tuple[Found, ...]) -> None:
        """Answer for all GPUs from now on, and go on from what the leader before this one had found."""
        after = dict(self._found)
        for each in theirs:
            before = after.get(each.gpu_uuid)
            after[each.gpu_uuid] = each if before is None else before.going_on_from(each)
        self._is_kept = self._is_kept and after == self._found
        self._found, self._others = after, frozenset()

    def stand_by(self, theirs: tuple[Found, ...] | None) -> None:
        """Keep off the GPUs that another controller answers for; None where it is not known which they are."""
        self._others = None if theirs is None else frozenset(each.gpu_uuid for each in theirs)
        self._set.clear()

    async def bring_to(self, limits: tuple[GpuLimit, ...]) -> None:
        """Limit the GPUs of these limits, give all others back, and see that limits set before still hold.

        GPUs that another controller answers for are left alone.

        Raises:
            ActuationError: something could not be done, or somebody else had changed a limit; the rest was done.
        """
        wants = {uuid: limit for limit in limits for uuid in limit.gpu_uuids}
        faults = []
        for uuid in (*wants, *(each for each in tuple(self._found) if each not in wants)):
            if self._is_others(uuid):
                continue
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

    def _is_others(self, uuid: str) -> bool:
        return self._others is None or uuid in self._others

    async def _limit(self, uuid: str, limit: GpuLimit) -> None:
        left = self._found.get(uuid)
        if left is not None and (left.power_limit_w is None) is not (limit.power_limit_w is None):
            await self._give_back(left)  # a former process had limited it in the other way
        if limit.power_limit_w is None:
            await self._lock(uuid, limit)
            return
        held_w, is_set = await self._read(uuid), self._set.get(uuid) == limit
        found = self._found.get(uuid, Found(uuid, held_w))
        if self._is_anothers(found, held_w):
            found = Found(uuid, held_w)
        # What it had is never raised: another agent may have its reasons.
        asked_w = min(limit.power_limit_w, held_w if found.power_limit_w is None else found.power_limit_w)
        if is_set and abs(held_w - asked_w) <= TOLERANCE_W:
            return
        await self._keep(found := found.and_ours(asked_w))
        if self._is_others(uuid) or not self._may_act():
            return
        read_w = await self._set_power(uuid, asked_w)
        await self._keep(found.and_ours(read_w))
        _require(uuid, asked_w, read_w)
        self._done(uuid, limit)
        if is_set:
            raise ActuationError(uuid, f"somebody else had set {held_w:g} W; set to {asked_w:g} W again")

    async def _lock(self, uuid: str, limit: GpuLimit) -> None:
        await self._keep(self._found.get(uuid, Found(uuid, None)))
        if self._is_others(uuid) or not self._may_act():
            return
        clocks = {"min_clock_mhz": "0", "max_clock_mhz": str(limit.max_clock_mhz)}
        await self._post(uuid, "set_gpu_locked_clocks", clocks)
        self._done(uuid, limit)

    def _is_anothers(self, found: Found, held_w: float) -> bool:
        """Whether the limit that it has was set by somebody, who meant it, while no controller looked after it."""
        if found.gpu_uuid in self._set or found.may_be_ours(held_w) or found.is_as_found(held_w):
            return False
        told = {"gpu": found.gpu_uuid, "power_limit_w": held_w, "found_before_w": found.power_limit_w}
        log.warning("power limit changed by somebody while no controller looked after it: it counts", extra=told)
        return True

    async def _give_back(self, found: Found) -> None:
        uuid, had_w = found.gpu_uuid, found.power_limit_w
        if had_w is None:
            await self._post(uuid, "reset_gpu_locked_clocks", {})
        else:
            held_w = await self._read(uuid)
            if not (found.is_as_found(held_w) or self._is_anothers(found, held_w)):
                _require(uuid, had_w, await self._set_power(uuid, had_w))
        self._set.pop(uuid, None)
        self._file.save(found=tuple(each for each in self._found.values() if each.gpu_uuid != uuid))
        self._found.pop(uuid, None)
        self._is_kept = True
        now_w = None if had_w is None else self.read_back_w[uuid]
        log.info("GPU given back", extra={"gpu": uuid, "power_limit_w": now_w})

    async def _set_power(self, uuid: str, power_limit_w: float) -> float:
        """The limit that is read back, W."""
        await self._post(uuid, "set_power_limit", {"power_limit_mw": str(round(power_limit_w * 1e3))})
        return await self._read(uuid)

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

    async def _keep(self, found: Found) -> None:
        """Write down what a GPU had, and share it: what is found later is one's own limit.

        Raises:
            StoreError: it cannot be written; then nothing is changed.
        """
        is_known = self._found.get(found.gpu_uuid) == found
        if is_known and self._is_kept:
            return
        after = {**self._found, found.gpu_uuid: found}
        self._file.save(found=tuple(after.values()))
        self._found, self._is_kept = after, True
        if not is_known:
            await self._share()

    def _done(self, uuid: str, limit: GpuLimit) -> None:
        if self._set.get(uuid) == limit:
            return
        self._set[uuid] = limit
        told = {"gpu": uuid, "pool": limit.pool_id, "limit": limit.told, "read_back_w": self.read_back_w.get(uuid)}
        log.warning("GPU limited", extra=told)


def _require(uuid: str, asked_w: float, read_w: float) -> None:
    if abs(read_w - asked_w) > TOLERANCE_W:
        raise ActuationError(uuid, f"{asked_w:g} W was set, but {read_w:g} W is read back")
