"""The data path of one process: public port and dispatcher, from start to drained stop."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import random
import socket
from collections.abc import Callable, Sequence

import aiohttp

from router import clock
from router.canary import Sampler
from router.contract import InstanceId
from router.dispatch import Dispatcher
from router.errors import ListenError
from router.keep_up import kept_up
from router.observe.observer import DROPPED_WHEN_TRACING, observe
from router.proxy.client_side import ClientConnection
from router.proxy.gateway import Clocks, Gateway
from router.proxy.models import Answer, ModelList
from router.proxy.observed import install
from router.reload import digest_of
from router.settings import RouterFile
from router.shared_slots import SlotBook
from router.snapshot import INSTANCE_STATES, Snapshot
from router.sources import Sources
from router.tenants.engine_keys import EngineKeys, read_engine_keys
from router.tenants.shared_limits import TenantBook
from router.tenants.source import read_tenants
from router.told_share import ToldShare
from router.transport.asking import EngineSession
from router.transport.dialing import Dialer
from router.transport.keyring import Keyring
from router.transport.listening import Handshakes, Listener, PublicSocket
from router.worker_report import WorkerReport

log = logging.getLogger(__name__)

MODELS_TIMEOUT_S = 5.0
DOUBT_S = 0.1
"""Time between two looks for instances at which requests have failed."""


class Worker:
    """One process's share of the public port.

    Args:
        settings: the router's sections of the configuration file.
        workers: how many there are.
        sock: what the public port listens on where the parent has bound it.
        book: where several workers share the instances' slots.
        tenant_book: where they share what tenants use of their limits.

    Attributes:
        on_doubt: takes instances at which requests have failed, to have them asked.

    Raises:
        SettingsError: a key of engines or tenants cannot be read.
        CertificateError: a file of TLS cannot be used.
    """

    def __init__(
        self,
        settings: RouterFile,
        *,
        workers: int = 1,
        sock: socket.socket | None = None,
        book: SlotBook | None = None,
        tenant_book: TenantBook | None = None,
        epoch_s: float | None = None,
    ) -> None:
        self._settings = settings
        self._keys = keys = read_engine_keys(settings.pools, os.environ)
        self._tenants = read_tenants(settings)
        self.dispatcher = Dispatcher(settings, book=book, tenant_book=tenant_book, tenants=self._tenants)
        self._headers_by_url = {spec.url: keys.headers(spec.pool_id) for spec in self.dispatcher.instances()}
        epoch_s = clock.epoch_s() if epoch_s is None else epoch_s
        clocks = Clocks(wall_s=clock.wall_s, monotonic_s=clock.monotonic_s, epoch_s=epoch_s)
        models = ModelList(self._urls_by_pool, self._fetch_models, clocks.monotonic_s)
        self.keyring = Keyring(settings, clock.wall_s)
        self._dropped_fields = frozenset[bytes]() if settings.router.tracing is None else DROPPED_WHEN_TRACING
        self.gateway = Gateway(
            settings.router,
            dispatcher=self.dispatcher,
            models=models,
            clocks=clocks,
            dialer=Dialer(self.keyring),
            engine_keys=keys,
            dropped_fields=self._dropped_fields,
        )
        self._chance = random.Random()
        self._observation = observe(settings.router, self._chance)
        if self._observation is not None:
            install(self.gateway, self._observation.observer)
        self._sample()
        self._report = WorkerReport(self.gateway, self._observation)
        self._config_hash = digest_of(settings)
        self._workers = workers
        self._given = sock
        self._public: PublicSocket | None = None
        self._listener = Listener(self._accept, self._handshakes())
        self._engines = EngineSession(self.keyring, MODELS_TIMEOUT_S)
        self._told_share = ToldShare(self.apply_share if settings.table.share_caps else None)
        self._sources = self._sources_of(settings, keys)
        self._tasks: list[asyncio.Task[None]] = []
        self.on_doubt: Callable[[set[InstanceId]], None] = lambda doubted: self._sources.doubt(doubted)
        self.port = 0

    async def start(self) -> None:
        """Listen; one that is alone asks engines and source itself, several are told by their parent.

        Raises:
            ListenError: the address cannot be listened on.
        """
        router = self._settings.router
        sock = self._given
        if sock is None:
            self._public = PublicSocket(router, shared=self._workers > 1)
            sock, self.port = self._public.sock, self._public.port
        try:
            await self._listener.start(sock)
        except OSError as error:
            raise ListenError(router.host, router.port, error.strerror or str(error)) from error
        runs = {
            "sweep": self.gateway.sweep_forever,
            "certificates": self.keyring.watch,
            "doubts": self._tell_doubts,
        }
        for name, begin in runs.items():
            self._tasks.append(kept_up(name, begin))
        if self._workers == 1:
            self._sources.start()

    async def reload(self, settings: RouterFile) -> None:
        """Go by other settings from now on; requests in flight and waiting go on.

        Raises:
            SettingsError: a key of engines or tenants cannot be read; the old settings stay.
            CertificateError: a file of TLS cannot be used; the old settings stay.
        """
        # Beside the event loop: many tenants take a while to read.
        tenants = await asyncio.to_thread(read_tenants, settings)
        keys = read_engine_keys(settings.pools, os.environ)
        self.keyring.use(settings.pools)
        self._tenants, self._keys = tenants, keys
        self._config_hash = digest_of(settings)
        self.dispatcher.reconfigure(settings, tenants)
        self._go_by(settings)
        self._sample()
        await self._sources.stop()
        self._sources = self._sources_of(settings, keys)
        if self._workers == 1:
            self._sources.start()

    def follow(self, settings: RouterFile) -> None:
        """Go by these instances from now on; all else is as in the settings it has, and no file is read again.

        Raises:
            CertificateError: a file of TLS cannot be used; the old instances stay.
        """
        self.keyring.use(settings.pools)
        self.dispatcher.reconfigure(settings, self._tenants, is_found=True)
        self._go_by(settings)
        self._sources.follow(self.dispatcher.instances())

    def _sources_of(self, settings: RouterFile, keys: EngineKeys) -> Sources:
        instances, steady_s = self.dispatcher.instances(), self.gateway.steady_s
        return Sources(settings, instances, self.dispatcher, self.keyring, keys, steady_s, self._told_share.hear)

    def _go_by(self, settings: RouterFile) -> None:
        self._settings = settings
        self._headers_by_url = {spec.url: self._keys.headers(spec.pool_id) for spec in self.dispatcher.instances()}
        self.gateway.reconfigure(settings.router, self._keys, self._dropped_fields)

    def _sample(self) -> None:
        """Keep requests for canaries where that is asked for; what was kept under other settings is forgotten."""
        kept = self._settings.router.canary_samples
        self.gateway.sampler = None if kept is None else Sampler(kept, self._chance.random)

    def _handshakes(self) -> Handshakes | None:
        tls, credentials, router = self._settings.router.tls, self.keyring.server, self._settings.router
        if tls is None or credentials is None:
            return None
        return Handshakes(
            credentials,
            handshake_s=tls.handshake_s,
            # A closed connection may have bytes to send to a slow reader still: as long as within an answer.
            shutdown_s=router.timeouts.inter_chunk_s,
            most=router.limits.max_connections,
        )

    async def _tell_doubts(self) -> None:
        """Have instances asked at which requests have failed."""
        while True:
            await asyncio.sleep(DOUBT_S)
            doubted = self.dispatcher.take_doubted()
            if doubted:
                self.on_doubt(doubted)

    def _accept(self) -> ClientConnection:
        return self.gateway.client_type(self.gateway)

    async def stop(self) -> None:
        """Accept no more, let requests in flight end within `drain_s`, then close what is left."""
        self._listener.close()
        if self._public is not None:
            self._public.remove()
        self.gateway.drain()
        try:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.gateway.wait_empty(), self._settings.router.timeouts.drain_s)
            if self.gateway.clients:
                log.warning("drain time is over", extra={"connections": len(self.gateway.clients)})
        finally:
            # Cancelled by a second signal, too: nobody waits for clients any longer, but all is closed.
            await self._close()

    async def _close(self) -> None:
        self.gateway.close()
        await self._sources.stop()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._engines.close()
        if self._observation is not None:
            await asyncio.to_thread(self._observation.close)

    def apply_share(self, share: float) -> None:
        """Go by this share of all caps, of which other routers have the rest."""
        self.dispatcher.apply_share(share, self.gateway.steady_s())

    def drain(self) -> None:
        """Report not ready, and close connections after their present answer.

        New connections are still served, as a balancer needs a moment to see that the router is not ready. After
        `drain_s` the public port closes, and what is then in flight ends. The process goes on until it is stopped.
        """
        if not self.gateway.is_draining:
            drain_s = self._settings.router.timeouts.drain_s
            log.info("router drains", extra={"drain_s": drain_s})
            asyncio.get_running_loop().call_later(drain_s, self._end_drain)
        self.gateway.drain()

    def _end_drain(self) -> None:
        self._listener.close()
        if self.gateway.clients:
            log.warning("drain time is over", extra={"connections": len(self.gateway.clients)})
        self.gateway.close()

    def is_draining(self) -> bool:
        """Whether `drain` or `stop` was called."""
        return self.gateway.is_draining

    async def snapshot(self) -> Snapshot:
        """State and counts for the admin port."""
        return self.report()

    def report(self) -> Snapshot:
        """State and counts of this process."""
        snapshot = self._report.take(self._config_hash, self.gateway.steady_s())
        snapshot.counters |= self._tls_counts()
        snapshot.gauges |= self._told_share.gauges()
        snapshot.loads = self._sources.loads_view()
        snapshot.redis = self._sources.redis_view()
        expires_at_s = self.keyring.first_expiry_s()
        if expires_at_s is not None:
            snapshot.gauges["tls_certificate_expires_at_seconds"] = expires_at_s
        return snapshot

    def _tls_counts(self) -> dict[str, int]:
        counts = self.keyring.counters()
        return counts if self.keyring.server is None else {**counts, "tls_handshakes_failed": self._listener.failed}

    def _urls_by_pool(self) -> Sequence[Sequence[str]]:
        """Engines of each pool, those in the best state first."""
        by_pool: dict[str, list[tuple[int, str]]] = {}
        for view in self.dispatcher.state(self.gateway.steady_s()).instances:
            by_pool.setdefault(view.pool_id, []).append((INSTANCE_STATES.index(view.state), view.url))
        return [[url for _, url in sorted(urls, key=lambda item: item[0])] for urls in by_pool.values()]

    async def _fetch_models(self, url: str, authorization: str | None) -> Answer:
        headers = self._headers_by_url.get(url) or ({} if authorization is None else {"authorization": authorization})
        try:
            async with self._engines.get(url, "/v1/models", headers=headers) as response:
                return response.status, await response.read()
        except (aiohttp.ClientError, TimeoutError) as error:
            raise ConnectionError(f"{url}: {error}") from error
