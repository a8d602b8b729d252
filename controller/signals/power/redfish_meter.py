"""Power of machines by their management controllers (BMC), racks' PDUs too: Redfish over HTTPS, several added up.

Such a controller takes seconds for an answer. Each one is asked by a task of its own, so that a slow one delays neither
the others nor whoever reads; the sum is as old as its oldest part.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from controller.background import Work, Works, in_background
from controller.clock import Clock
from controller.errors import SignalError
from controller.model.observation import Missing, Quality, Reading
from controller.signals.power.http_access import HttpAccess, HttpOptions
from controller.signals.power.meter_scope import MeterScope
from controller.signals.power.redfish import power_w

TOKEN_HEADER = "X-Auth-Token"
"""What a session's token goes in (DSP0266, Redfish login sessions)."""
MAX_BODY_BYTES = 1 << 20
"""A `Power` resource of a large machine has some 50 KiB."""
MAX_MACHINES = 512
"""Each is asked once at a time, all of them together."""
REFUSED_S = 60.0
"""After a refused password: management controllers lock an account, or out an address, after a few in a minute."""
_SILENCES = 2
"""Requests without an answer, in a row, that make a machine's power unknown. One is bridged by the reading before it,
whose age is told: among a hundred machines one always misses."""
_MAX_TOLD = 3


@dataclass(frozen=True, slots=True)
class RedfishSpec:
    """Machines whose power is added up.

    Attributes:
        urls: of the resources that tell it.
        http: how they are reached.
        period_s: time from one request to the next, of each machine.
        wait_s: how long the first look waits for the first answers.
        scope: what they are of the site.
    """

    urls: tuple[str, ...]
    http: HttpOptions = field(default_factory=HttpOptions)
    period_s: float = 5.0
    wait_s: float = 1.5
    scope: MeterScope = field(default_factory=lambda: MeterScope(is_it=True))


class _Machine:
    """The latest of one machine.

    Attributes:
        fault: why its power is not known; None where it is.
        asked_at_s: when its power was asked for; the reading is no younger.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.power_w = 0.0
        self.asked_at_s = 0.0
        self.fault: str | None = "has not answered yet"
        self.was_heard = asyncio.Event()
        self._silences = 0

    def take(self, value_w: float, asked_at_s: float) -> None:
        """Take in a reading."""
        self.power_w, self.asked_at_s, self.fault, self._silences = value_w, asked_at_s, None, 0
        self.was_heard.set()

    def fail(self, reason: str) -> None:
        """Take in that it says that it does not know, or what cannot be believed."""
        self.fault = reason
        self.was_heard.set()

    def miss(self, reason: str) -> None:
        """Take in that it did not answer."""
        self._silences += 1
        if self.fault is not None or self._silences >= _SILENCES:
            self.fail(reason)


class RedfishMeter:
    """The sum of what machines draw, in W; missing as soon as one is."""

    def __init__(self, access: HttpAccess, spec: RedfishSpec, clock: Clock) -> None:
        self._access = access
        self._clock = clock
        self._period_s = spec.period_s
        self._wait_s = spec.wait_s
        self._machines = tuple(_Machine(url) for url in spec.urls)
        self._was_read = False
        more = f" and {len(spec.urls) - 1} more" if len(spec.urls) > 1 else ""
        self._source = f"Redfish of {urlsplit(spec.urls[0]).hostname}{more}"

    @contextlib.asynccontextmanager
    async def open(self, works: Works) -> AsyncIterator[RedfishMeter]:
        """Keep asking until the end."""
        async with in_background(self._run, Work.POWER_METER, self._source, works=works):
            yield self

    async def read(self, now_s: float) -> Reading | Missing:
        """The sum of the latest readings, as old as the oldest; or which machines stand in its way."""
        await self._first()
        absent = [f"{machine.url}: {machine.fault}" for machine in self._machines if machine.fault is not None]
        if absent:
            more = f"; and {len(absent) - _MAX_TOLD} more" if len(absent) > _MAX_TOLD else ""
            told = "; ".join(absent[:_MAX_TOLD])
            return Missing(self._source, f"{len(absent)} of {len(self._machines)}: {told}{more}", now_s)
        asked_at_s = min(machine.asked_at_s for machine in self._machines)
        total_w = sum(machine.power_w for machine in self._machines)
        return Reading(total_w, None, asked_at_s, self._source, Quality.DIRECT)

    async def _first(self) -> None:
        """Wait a little, once, for the first answers, so that a meter which was just opened does not look dead."""
        if not self._was_read:
            self._was_read = True
            waits = (machine.was_heard.wait() for machine in self._machines)
            with contextlib.suppress(TimeoutError):  # who was not heard is told as such
                await asyncio.wait_for(asyncio.gather(*waits), self._wait_s)

    async def _run(self) -> None:
        async with asyncio.TaskGroup() as group:
            for machine in self._machines:
                group.create_task(self._follow(machine))

    async def _follow(self, machine: _Machine) -> None:
        while True:
            begun_s = self._clock.monotonic_s()
            is_refused = await self._ask(machine)
            pause_s = max(REFUSED_S, self._period_s) if is_refused else self._period_s
            await self._clock.sleep(max(0.0, begun_s + pause_s - self._clock.monotonic_s()))

    async def _ask(self, machine: _Machine) -> bool:
        """Ask a machine once; returns whether it refused the credentials."""
        asked_at_s = self._clock.wall_s()
        try:
            status, body = await self._access.get(machine.url)
        except SignalError as error:
            machine.miss(error.reason)
            return False
        try:
            if status != 200:
                raise ValueError(self._access.refusal(status))
            machine.take(power_w(_decoded(body)), asked_at_s)
        except ValueError as error:
            machine.fail(str(error))
        return status in (401, 403)


def _decoded(body: bytes) -> object:
    """The JSON of an answer.

    Raises:
        ValueError: it is none.
    """
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"not JSON ({error}); correct the address") from error
