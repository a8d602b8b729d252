"""The edges of the control plane, as its runner sees them."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol

import aiohttp

from controller.model.observation import Observation
from controller.model.plan import Commands, InstanceCommand, Verb
from controller.model.programme import Programme


class ObservationSource(Protocol):
    """Gathers everything a tick decides upon; what cannot be had comes as `Missing`."""

    async def read(self, now_s: float) -> Observation:
        """Read all signals; never raises for one that fails."""


class EngineClient(Protocol):
    """Asks engines, by whatever way each is reached: TCP, TLS or a Unix socket."""

    def request(
        self, method: str, url: str, path: str, **options: Any
    ) -> AbstractAsyncContextManager[aiohttp.ClientResponse]:
        """The answer of the engine whose configured address is `url`, to be entered; `options` are aiohttp's.

        Raises:
            OSError: the engine is none of the configured ones.
        """


class InstanceDriver(Protocol):
    """Does what a command says and makes sure of it; doing it twice is harmless."""

    @property
    def verbs(self) -> Collection[Verb]:
        """What it can do."""

    async def carry_out(self, command: InstanceCommand) -> str:
        """Return when it is done, with one line of what was done.

        Raises:
            ActuationError: it could not be done in time.
        """


class Actuator(Protocol):
    """Carries out commands."""

    async def apply(self, commands: Commands) -> tuple[str, ...]:
        """Carry out what concerns this actuator; returns one line for each thing done.

        Raises:
            ActuationError: something could not be done; the rest was.
        """


class Recorder(Protocol):
    """Keeps what was decided and measured."""

    def record(self, kind: str, time_s: float, payload: dict[str, object]) -> None:
        """Append one record.

        Raises:
            StoreError: it could not be written.
        """


class BaselineSource(Protocol):
    """Tells a programme's baseline from stored meter readings."""

    def baseline_w(
        self, programme: Programme, start_s: float, now_s: float, end_s: float | None = None
    ) -> float | None:
        """What would be drawn from `start_s` on by the programme's rule; None where the readings do not carry it.

        It is the mean until `end_s`, where that is told, but no longer than a day.

        Raises:
            StoreError: the readings could not be had.
        """
