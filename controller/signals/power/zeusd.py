"""GPU power from zeusd, the daemon of the Zeus project, over HTTP and server-sent events.

zeusd knows GPUs by index alone, so the configuration names their UUIDs in that order. Cumulative energy is asked for at
each reading; the stream brings the power between them, and stands in where a GPU has no energy counter. The stream
speaks only when a value changes; while it is silent, power is asked for as well. Requests and their answers:
https://ml.energy/zeus/zeusd/api/.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Mapping
from typing import Any

from controller.errors import SignalError
from controller.model.observation import Missing, Reading
from controller.signals.power.event_stream import EventStream, StreamParts
from controller.signals.power.gpu_counters import GpuCounters, Shown, is_energy_mj, is_power_w
from controller.signals.power.http_access import HttpAccess
from controller.signals.power.source import GpuReadings

SILENCE_S = 30.0
"""The stream of GPUs whose draw does not change is silent by design; after this long it is opened anew."""
RECENT_S = 2.0
"""Age up to which the stream's power is taken without asking again."""
_NO_COUNTER = 400
_REFUSED = (401, 403, 404)
"""No token, a token without the scope, and an API group that is not enabled: no GPU will be told."""


class ZeusdSource:
    """Readings of the GPUs of one node."""

    def __init__(self, access: HttpAccess, url: str, gpu_uuids: tuple[str, ...], parts: StreamParts) -> None:
        self._access = access
        self._url = url.rstrip("/")
        self._uuids = gpu_uuids
        self._clock = parts.clock
        self._counters = GpuCounters()
        self._streamed: dict[int, tuple[float, float]] = {}
        """(time of arrival, W) by index."""
        self._stream = EventStream(access, f"{self._url}/gpu/stream_power", self._take, parts, silence_s=SILENCE_S)

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncIterator[ZeusdSource]:
        """Keep the stream open until the end."""
        async with self._stream.open():
            yield self

    async def read(self, now_s: float) -> GpuReadings:
        """Readings by UUID, and what zeusd refused."""
        errors: list[SignalError] = []
        (energy_mj, lost), power_w = await asyncio.gather(self._ask_energy(errors), self._power(now_s, errors))
        at_s = self._clock.wall_s()
        readings: dict[str, Reading | Missing] = {}
        beyond = sorted(index for index in energy_mj.keys() | power_w.keys() if index >= len(self._uuids))
        if beyond:
            errors.append(SignalError(self._url, f"shows GPU {beyond[0]}, but gpu_uuids names {len(self._uuids)}"))
        for index, uuid in enumerate(self._uuids):
            counted = ((at_s, energy_mj[index] * 1e-3),) if index in energy_mj else ()
            seen_s, watts = power_w.get(index, (at_s, None))
            if index in lost or (watts is None and not counted):  # the stream may repeat the last power of a lost one
                continue
            readings[uuid] = self._counters.take(uuid, Shown(watts, counted, seen_s), self._url)
        if not readings and not errors:
            errors.append(SignalError(self._url, "shows no GPU"))
        return readings, tuple(errors)

    async def _ask_energy(self, errors: list[SignalError]) -> tuple[dict[int, float], set[int]]:
        """Counters by index, and the GPUs that cannot be read at all.

        One GPU that is lost, or has no counter, spoils the answer for all; then each is asked for alone.
        """
        url = f"{self._url}/gpu/get_cumulative_energy"
        found: dict[int, float] = {}
        lost: set[int] = set()

        async def ask(index: int | None) -> int:
            status, body = await self._access.get(url, None if index is None else {"gpu_ids": str(index)})
            if status == 200:
                found.update(_energies(body, url))
            elif status in _REFUSED or (index is not None and status != _NO_COUNTER):
                raise SignalError(url if index is None else f"{url}?gpu_ids={index}", self._access.refusal(status))
            return status

        async def ask_alone(index: int) -> None:
            try:
                await ask(index)
            except SignalError as error:
                errors.append(error)
                lost.add(index)

        try:
            if await ask(None) != 200:
                await asyncio.gather(*(ask_alone(index) for index in range(len(self._uuids))))
        except SignalError as error:
            errors.append(error)
        return {index: value for index, value in found.items() if is_energy_mj(value)}, lost

    async def _power(self, now_s: float, errors: list[SignalError]) -> dict[int, tuple[float, float | None]]:
        """(time, W) by index: from the stream where that is recent, else asked for."""
        recent = {index: seen for index, seen in self._streamed.items() if now_s - seen[0] <= RECENT_S}
        if len(recent) >= len(self._uuids):
            return dict(recent)
        url = f"{self._url}/gpu/get_power"
        try:
            found = _snapshot(await self._access.get_json(url))
        except SignalError as error:
            errors.append(error)
            return dict(self._streamed)
        except (ValueError, TypeError, KeyError, AttributeError, OverflowError) as error:
            errors.append(SignalError(url, f"malformed answer ({error})"))
            return dict(self._streamed)
        at_s = self._clock.wall_s()
        return {index: (at_s, watts) for index, watts in found.items()}

    def _take(self, data: str) -> None:
        try:
            found = _snapshot(_decoded(data))
        except (TypeError, KeyError, AttributeError, OverflowError) as error:
            raise ValueError(f"malformed event ({error})") from error
        at_s = self._clock.wall_s()
        self._streamed.update({index: (at_s, watts) for index, watts in found.items() if index < len(self._uuids)})


def _decoded(data: bytes | str) -> dict[str, Any]:
    try:
        answer = json.loads(data)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    if not isinstance(answer, dict):
        raise ValueError("an object is expected")
    return answer


def _energies(body: bytes, url: str) -> dict[int, float]:
    """Counters in mJ by index.

    Raises:
        SignalError: the answer is malformed.
    """
    try:
        return {int(index): float(entry["energy_mj"]) for index, entry in _decoded(body).items()}
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError) as error:
        raise SignalError(url, f"malformed answer ({error})") from error


def _snapshot(answer: Mapping[str, Any]) -> dict[int, float]:
    """W by index, of a snapshot of all GPUs or of an event that tells one."""
    milliwatts = answer["power_mw"]
    if not isinstance(milliwatts, dict):
        milliwatts = {answer["gpu_id"]: milliwatts}
    watts = {int(index): float(value) * 1e-3 for index, value in milliwatts.items()}
    return {index: value for index, value in watts.items() if is_power_w(value)}
