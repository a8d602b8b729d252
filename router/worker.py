"""The data path of one process: public port and dispatcher, from start to drained stop."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import Sequence

import aiohttp

from router import clock
from router.dispatch import Dispatcher
from router.errors import ListenError
from router.proxy.client_side import ClientConnection
from router.proxy.gateway import Clocks, Gateway
from router.proxy.models import Answer, ModelList
from router.settings import RouterFile
from router.snapshot import INSTANCE_STATES, Snapshot
from router.sources import Sources, report_end

log = logging.getLogger(__name__)

BACKLOG = 4096
MODELS_TIMEOUT_S = 5.0


def bind(host: str, port: int, *, shared: bool) -> socket.socket:
    """A socket bound to the first address of `host`; `shared` lets other processes of this router bind it, too.

    Raises:
        ListenError: it cannot be bound.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        sock = socket.socket(family, kind, protocol)
    except OSError as error:
        raise ListenError(host, port, error.strerror or str(error)) from error
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        sock.bind(address)
    except OSError as error:
        sock.close()
        raise ListenError(host, port, error.strerror or str(error)) from error
    return sock


class Worker:
    """One process's share of the public port.

    Args:
        settings: the router's sections of the configuration file.
        worker: number of this process, from 0.
        workers: how many there are.
    """

    def __init__(self, settings: RouterFile, *, worker: int = 0, workers: int = 1) -> None:
        self._settings = settings
        self.dispatcher = Dispatcher(settings, workers=workers, worker=worker)
        clocks = Clocks(wall_s=clock.wall_s, monotonic_s=clock.monotonic_s)
        models = ModelList(self._urls_by_pool, self._fetch_models, clocks.monotonic_s)
        self.gateway = Gateway(settings.router, dispatcher=self.dispatcher, models=models, clocks=clocks)
        self._workers = workers
        self._server: asyncio.Server | None = None
        self._session: aiohttp.ClientSession | None = None
        self._sources = Sources(settings, self.dispatcher.instances(), self.dispatcher)
        self._sweeping: asyncio.Task[None] | None = None
        self.port = 0

    async def start(self) -> None:
        """Listen; one that is alone asks engines and source itself, several are told by their parent.

        Raises:
            ListenError: the address cannot be listened on.
        """
        router = self._settings.router
        loop = asyncio.get_running_loop()
        sock = bind(router.host, router.port, shared=self._workers > 1)
        try:
            self._server = await loop.create_server(self._accept, sock=sock, backlog=BACKLOG)
        except OSError as error:
            raise ListenError(router.host, router.port, error.strerror or str(error)) from error
        self.port = sock.getsockname()[1]
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0), timeout=aiohttp.ClientTimeout(total=MODELS_TIMEOUT_S)
        )
        self._sweeping = loop.create_task(self.gateway.sweep_forever(), name="sweep")
        self._sweeping.add_done_callback(report_end)
        if self._workers == 1:
            self._sources.start()

    def _accept(self) -> ClientConnection:
        return ClientConnection(self.gateway)

    async def stop(self) -> None:
        """Accept no more, let requests in flight end within `drain_s`, then close what is left."""
        if self._server is not None:
            self._server.close()
        self.gateway.drain()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.gateway.wait_empty(), self._settings.router.timeouts.drain_s)
        if self.gateway.clients:
            log.warning("drain time is over", extra={"connections": len(self.gateway.clients)})
        self.gateway.close()
        await self._sources.stop()
        if self._sweeping is not None:
            self._sweeping.cancel()
            await asyncio.gather(self._sweeping, return_exceptions=True)
        if self._session is not None:
            await self._session.close()

    def drain(self) -> None:
        """Report not ready and close connections after their present answer; go on serving until stopped."""
        self.gateway.drain()

    def is_draining(self) -> bool:
        """Whether `drain` or `stop` was called."""
        return self.gateway.is_draining

    async def snapshot(self) -> Snapshot:
        """State and counts for the admin port."""
        return self.report()

    def report(self) -> Snapshot:
        """State and counts of this process."""
        snapshot = self.dispatcher.state(clock.wall_s())
        snapshot.ready = snapshot.ready and not self.gateway.is_draining
        snapshot.counters = {**snapshot.counters, "connections": self.gateway.connections_made}
        snapshot.gauges = {**snapshot.gauges, "event_loop_lag_seconds": self.gateway.lag_s}
        return snapshot

    def _urls_by_pool(self) -> Sequence[Sequence[str]]:
        """Engines of each pool, those in the best state first."""
        by_pool: dict[str, list[tuple[int, str]]] = {}
        for view in self.dispatcher.state(clock.wall_s()).instances:
            by_pool.setdefault(view.pool_id, []).append((INSTANCE_STATES.index(view.state), view.url))
        return [[url for _, url in sorted(urls, key=lambda item: item[0])] for urls in by_pool.values()]

    async def _fetch_models(self, url: str, authorization: str | None) -> Answer:
        if self._session is None:
            raise ConnectionError("the router is not started")
        headers = {} if authorization is None else {"authorization": authorization}
        try:
            async with self._session.get(f"{url}/v1/models", headers=headers) as response:
                return response.status, await response.read()
        except (aiohttp.ClientError, TimeoutError) as error:
            raise ConnectionError(f"{url}: {error}") from error
