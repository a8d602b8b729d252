"""Follows the instances of every pool that has discovery, and has the router go by them."""

from __future__ import annotations

import asyncio
import functools
import logging
import random
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from router.discovery.dns import DnsPoll
from router.discovery.endpoint import Endpoint
from router.discovery.known import Known
from router.discovery.kube_api import KubeApi
from router.discovery.merging import Merged, merge
from router.discovery.service_account import ServiceAccount, service_account
from router.discovery.watch import Pace, SliceWatch
from router.errors import RouterError, SettingsError
from router.keep_up import keep_up, kept_up
from router.settings import DnsDiscovery, KubernetesDiscovery, PoolSettings, RouterFile
from router.snapshot import DiscoveryView

log = logging.getLogger(__name__)

SETTLE_S = 0.2
"""A change waits so long for others: pods are replaced several at a time."""
SPACING_S = 1.0
"""Least time between two changes that the router obeys."""
RETRY_S = 5.0
"""After a change that could not be obeyed."""


class Source(Protocol):
    """Finds the engines of one pool out."""

    async def run(self) -> None:
        """Until cancelled."""


@dataclass(slots=True)
class _Followed:
    key: tuple[object, ...]
    known: Known
    source: Source
    task: asyncio.Task[None] | None = None


class Discovery:
    """The sources of all pools.

    Args:
        obey: has the router go by what `merged` gives now; raises RouterError.
        environment: of the process.
        monotonic_s: the clock of ages.
        rng: spreads what is asked.
    """

    def __init__(
        self,
        obey: Callable[[], Awaitable[None]],
        *,
        environment: Mapping[str, str],
        monotonic_s: Callable[[], float],
        rng: random.Random,
    ) -> None:
        self._obey = obey
        self._environment = environment
        self._monotonic_s = monotonic_s
        self._rng = rng
        self._followed: dict[str, _Followed] = {}
        self._api: KubeApi | None = None
        self._account: ServiceAccount | None = None
        self._ended: list[asyncio.Task[None]] = []
        self._changed = asyncio.Event()
        self._is_running = False
        self._was_told = False

    def use(self, settings: RouterFile) -> None:
        """Follow the pools of these settings from now on.

        A pool whose discovery is another keeps its instances until the new one tells. Sources run from `run` on.

        Raises:
            SettingsError: it cannot be known where to look; everything stays as it was.
        """
        account, keys = self.check(settings)
        if self._is_running:
            self.untold()
        if account != self._account:
            self._end_api()
            self._account, self._api = account, None if account is None else KubeApi(account)
        before, self._followed = self._followed, {}
        for pool in settings.pools:
            if pool.name not in keys:
                continue
            old = before.pop(pool.name, None)
            if old is not None and old.key == keys[pool.name]:
                self._followed[pool.name] = old
                continue
            self._followed[pool.name] = self._follow(pool, settings, keys[pool.name], old)
        for gone in before.values():
            self._end(gone)
        if self._is_running:
            self._start()

    def check(self, settings: RouterFile) -> tuple[ServiceAccount | None, dict[str, tuple[object, ...]]]:
        """Whether it is known where to look for each pool: how the API is reached, and what each source goes by.

        Raises:
            SettingsError: it is not.
        """
        account = None
        if any(isinstance(pool.discovery, KubernetesDiscovery) for pool in settings.pools):
            account = service_account(settings.kubernetes, self._environment)
        return account, {p.name: _key_of(p, settings, account) for p in settings.pools if p.discovery is not None}

    def merged(self, settings: RouterFile) -> RouterFile:
        """These settings, with the instances that are known."""
        found = {name: one.known.found.ready for name, one in self._followed.items() if one.known.found is not None}
        merged: Merged = merge(settings, found)
        for name, one in self._followed.items():
            one.known.leave_out(merged.left_out.get(name, ()))
        return merged.settings

    def starting(self) -> dict[str, tuple[Endpoint, ...]]:
        """Engines of each pool that are told of and do not take requests yet."""
        return {name: one.known.found.starting for name, one in self._followed.items() if one.known.found is not None}

    def untold(self) -> tuple[str, ...]:
        """Pools of which nothing was told since the start; none any more once all were."""
        if self._was_told:
            return ()
        untold = tuple(name for name, one in self._followed.items() if one.known.found is None)
        self._was_told = not untold
        return untold

    def views(self) -> list[DiscoveryView]:
        """What is known of each pool."""
        return [one.known.view() for one in self._followed.values()]

    async def run(self) -> None:
        """Have the router obey what is found until cancelled; what changes at about the same time, at once."""
        self._is_running = True
        self._start()
        try:
            await keep_up("discovery", self._obey_changes)
        finally:
            await self._stop()

    async def _obey_changes(self) -> None:
        while True:
            await self._changed.wait()
            await asyncio.sleep(SETTLE_S)
            self._changed.clear()
            pause_s = SPACING_S - SETTLE_S
            try:
                await self._obey()
            except RouterError as error:
                log.error("found instances cannot be taken; the old ones stay", extra={"reason": str(error)})
                self._changed.set()
                pause_s = RETRY_S
            except Exception:
                # Begun again, it has these to obey still.
                self._changed.set()
                raise
            await asyncio.sleep(pause_s)

    def _follow(
        self, pool: PoolSettings, settings: RouterFile, key: tuple[object, ...], old: _Followed | None
    ) -> _Followed:
        kind = "" if pool.discovery is None else pool.discovery.kind
        known = Known(pool.name, kind, self._changed.set, self._monotonic_s)
        if old is not None:
            known.follows(old.known)
            self._end(old)
        return _Followed(key, known, self._source(pool, settings, known))

    def _source(self, pool: PoolSettings, settings: RouterFile, known: Known) -> Source:
        discovery = pool.discovery
        if isinstance(discovery, DnsDiscovery):
            return DnsPoll(discovery.name, discovery.port, discovery.every_s, sink=known, rng=self._rng)
        if discovery is None or self._api is None or self._account is None:
            raise SettingsError(f"pools.{pool.name}: has no discovery")
        return SliceWatch(
            self._api,
            discovery.namespace or self._account.namespace or "",
            discovery.labels,
            discovery.port,
            sink=known,
            pace=Pace(settings.kubernetes.watch_s),
            rng=self._rng,
            monotonic_s=self._monotonic_s,
        )

    def _start(self) -> None:
        for name, one in self._followed.items():
            if one.task is None:
                one.task = kept_up(f"discovery of {name}", functools.partial(_follow, one))

    def _end(self, one: _Followed) -> None:
        if one.task is not None:
            one.task.cancel()
            self._ended.append(one.task)
            one.task = None

    def _end_api(self) -> None:
        if self._api is not None and self._is_running:
            self._ended.append(asyncio.get_running_loop().create_task(self._api.close()))

    async def _stop(self) -> None:
        self._is_running = False
        for one in self._followed.values():
            self._end(one)
        await asyncio.gather(*self._ended, return_exceptions=True)
        if self._api is not None:
            await self._api.close()


async def _follow(one: _Followed) -> None:
    try:
        await one.source.run()
    except Exception as error:
        one.known.failed(f"{type(error).__name__}: {error}")
        raise


def _key_of(pool: PoolSettings, settings: RouterFile, account: ServiceAccount | None) -> tuple[object, ...]:
    """What differs where a pool's source has to be another.

    Raises:
        SettingsError: no namespace is known.
    """
    if not isinstance(pool.discovery, KubernetesDiscovery) or account is None:
        return (pool.discovery,)
    if pool.discovery.namespace is None and account.namespace is None:
        raise SettingsError(f"pools.{pool.name}.discovery: this is no pod, so it has no namespace; write namespace")
    return (pool.discovery, settings.kubernetes, account)
