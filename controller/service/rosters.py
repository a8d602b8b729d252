"""Finding the instances of pools that do not list theirs, as routers do: by the same keys, names and rules."""

from __future__ import annotations

import contextlib
import os
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from random import Random

from controller.background import Work, Works, in_background
from controller.clock import Clock
from controller.errors import ConfigError
from controller.model.fleet import Instance, PoolRoster
from controller.settings.file import Settings
from controller.signals.present import RosterSource
from router.contract import InstanceId, PoolId
from router.discovery.endpoint import Endpoint
from router.discovery.following import Discovery
from router.errors import SettingsError
from router.settings import PoolSettings
from router.transport.keyring import Keyring


class FoundInstances:
    """What discovery has told last, as rosters; engines at new addresses are reached as their pool says.

    Args:
        settings: with pools whose instances are discovered.
        keyring: of the engines' TLS.
        environment: of the process.
        clock: of ages and rosters.
        rng: spreads what is asked.

    Raises:
        ConfigError: it is not known where to look.
    """

    def __init__(
        self, settings: Settings, keyring: Keyring, environment: Mapping[str, str], clock: Clock, rng: Random
    ) -> None:
        self._settings = settings
        self._keyring = keyring
        self._clock = clock
        self._discovery = Discovery(self._take, environment=environment, monotonic_s=clock.monotonic_s, rng=rng)
        self._ready: tuple[PoolRoster, ...] = ()
        try:
            self._discovery.use(settings)
        except SettingsError as error:
            raise ConfigError(str(error)) from error

    @property
    def rosters(self) -> tuple[PoolRoster, ...]:
        """See `RosterSource`."""
        schemes = {pool.name: pool.discovery.scheme for pool in self._settings.pools if pool.discovery is not None}
        starting = self._discovery.starting()
        return tuple(
            replace(each, starting=tuple(_instance(schemes[each.pool_id], of) for of in starting[each.pool_id]))
            if starting.get(each.pool_id)
            else each
            for each in self._ready
        )

    async def run(self) -> None:
        """Follow until cancelled."""
        await self._discovery.run()

    async def _take(self) -> None:
        merged, told_s = self._discovery.merged(self._settings), self._clock.wall_s()
        self._keyring.use(merged.pools)
        told = {view.pool_id for view in self._discovery.views() if view.told}
        self._ready = tuple(_roster(pool, told_s) for pool in merged.pools if pool.name in told)


def _roster(pool: PoolSettings, told_s: float) -> PoolRoster:
    found = zip(pool.names(), pool.instances, strict=True)
    return PoolRoster(PoolId(pool.name), tuple(Instance(InstanceId(name), each.url) for name, each in found), told_s)


def _instance(scheme: str, starting: Endpoint) -> Instance:
    return Instance(InstanceId(starting.name or starting.address), f"{scheme}://{starting.address}")


@contextlib.asynccontextmanager
async def opened_rosters(
    settings: Settings, keyring: Keyring, clock: Clock, works: Works
) -> AsyncIterator[RosterSource | None]:
    """What finds the instances of pools with discovery, until the end; None where all are listed.

    Raises:
        ConfigError: it is not known where to look.
    """
    if all(pool.discovery is None for pool in settings.pools):
        yield None
        return
    found = FoundInstances(settings, keyring, os.environ, clock, Random())
    async with in_background(found.run, Work.DISCOVERY, works=works):
        yield found
