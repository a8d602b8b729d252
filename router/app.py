"""The router as a whole: data path in this process or in several, admin port, signals, orderly stop."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import random
import secrets
import signal
import socket
from typing import TYPE_CHECKING, Protocol

import uvloop
from aiohttp import web

from router import admin, clock
from router.discovery.following import Discovery
from router.errors import ListenError
from router.keep_up import kept_up
from router.namesake import ENDED_S, Identity
from router.reload import ConfigSource, Reloader
from router.runtime import calm_collector, raise_file_limit
from router.settings import RouterFile
from router.snapshot import RedisView, Snapshot
from router.transport.in_clear import refuse_in_clear, told_in_clear
from router.transport.listening import BACKLOG, bind
from router.transport.redis_place import redis_place
from router.worker import Worker
from router.worker_report import resident_memory

if TYPE_CHECKING:
    from router.presence import Presence

log = logging.getLogger(__name__)


class DataPath(Protocol):
    """The public port, served by this process (`Worker`) or by several (`Workers`)."""

    port: int

    async def start(self) -> None:
        """Listen."""

    async def stop(self) -> None:
        """Drain and end."""

    async def snapshot(self) -> Snapshot:
        """State and counts."""

    def is_draining(self) -> bool:
        """Whether it is going down."""

    def drain(self) -> None:
        """Report not ready, and end what is in flight within the drain time."""

    def apply_share(self, share: float) -> None:
        """Go by this share of all caps, of which other routers have the rest."""

    async def reload(self, settings: RouterFile) -> None:
        """Go by other settings from now on."""

    def follow(self, settings: RouterFile) -> None:
        """Go by the same settings with other found instances from now on."""


class Router:
    """Public port and admin port together; an asynchronous context manager.

    Args:
        settings: the router's sections of the configuration file.
        source: where they come from and may be read again; None for settings that do not change.

    Raises:
        SettingsError: a key of engines or tenants cannot be read, what tracing needs is not installed, a secret of
            the environment would go to another machine unencrypted, or it is not known where to find instances.
    """

    def __init__(self, settings: RouterFile, source: ConfigSource | None = None) -> None:
        refuse_in_clear(settings, os.environ)
        self._settings = settings
        self._admin: web.AppRunner | None = None
        self._is_alone = settings.router.workers == 1
        self._discovery = Discovery(
            self._obey_found, environment=os.environ, monotonic_s=clock.monotonic_s, rng=random.Random()
        )
        self._discovery.use(settings)
        found = self._discovery.merged(settings)
        self.data_path: DataPath = Worker(found) if self._is_alone else _workers(found)
        self._reloading = asyncio.Lock()
        self._reloader = Reloader(
            source or ConfigSource(None, lambda: settings), settings, apply=self._obey, wall_s=clock.wall_s
        )
        self._following: list[asyncio.Task[None]] = []
        self._presence: Presence | None = None
        self._telling: list[asyncio.Task[None]] = []
        self.admin_port = 0

    @property
    def settings(self) -> RouterFile:
        """What the configuration file says."""
        return self._settings

    def reload(self) -> None:
        """Read the configuration again, and obey it if it is valid."""
        self._reloader.ask()

    async def _obey(self, settings: RouterFile) -> None:
        self._discovery.check(settings)
        async with self._reloading:
            await self.data_path.reload(self._discovery.merged(settings))
            self._discovery.use(settings)
        if self._settings.tenants is not None:
            _tell_if_open(settings)
        _tell_in_clear(told_in_clear(settings), known=told_in_clear(self._settings))
        self._settings = settings

    async def _obey_found(self) -> None:
        async with self._reloading:
            self.data_path.follow(self._discovery.merged(self._settings))

    async def snapshot(self) -> Snapshot:
        """State and counts of all processes."""
        whole = await self.data_path.snapshot()
        view, config = self._reloader.view(), whole.config
        config.loaded_at_s, config.reloads = view.loaded_at_s, dict(view.reloads)
        config.error, config.needs_restart = view.error, view.needs_restart
        config.in_clear = told_in_clear(self._settings)
        whole.discovery, whole.untold = self._discovery.views(), self._discovery.untold()
        whole.ready = whole.ready and not whole.untold
        if self._presence is not None:
            _tell_presence(whole, self._presence)
        if not self._is_alone:
            for name, value in resident_memory().items():
                whole.sums[name] = whole.sums.get(name, 0.0) + value
        return whole

    def is_draining(self) -> bool:
        """Whether the router is going out of service."""
        return self.data_path.is_draining()

    def drain(self) -> None:
        """Go out of service: see `admin.AdminSource`."""
        self.data_path.drain()

    @property
    def port(self) -> int:
        """The public port."""
        return self.data_path.port

    async def __aenter__(self) -> Router:
        """Listen on both ports.

        Raises:
            ListenError: one of the addresses cannot be listened on.
            SettingsError: the token of the admin port cannot be read.
        """
        router = self._settings.router
        application = admin.build(self, router.admin_token_file)
        sock = bind(router.admin_host, router.admin_port, shared=False)
        try:
            # Before the public port is bound: of two sockets that do not listen yet both may be bound to one port.
            sock.listen(BACKLOG)
            await self.data_path.start()
            self._admin = web.AppRunner(application, access_log=None)
            await self._admin.setup()
            await web.SockSite(self._admin, sock).start()
        except OSError as error:
            raise ListenError(router.admin_host, router.admin_port, error.strerror or str(error)) from error
        except BaseException:
            sock.close()
            raise
        self.admin_port = sock.getsockname()[1]
        self._following = [kept_up("configuration", self._reloader.run), kept_up("discovery", self._discovery.run)]
        if self._settings.table.redis_url is not None:
            self._presence = _presence(self)
            self._telling = [kept_up("presence", self._presence.run)]
        where = {"host": router.host, "port": self.port} if router.listen is None else {"listen": router.listen}
        also = {"admin_port": self.admin_port, "workers": router.workers, "tls": router.tls is not None}
        log.info("router listens", extra={**where, **also})
        _tell_if_open(self._settings)
        _tell_in_clear(told_in_clear(self._settings))
        return self

    async def __aexit__(self, *_: object) -> None:
        """Drain, then close both ports; the admin port goes last, so that the drain can be watched."""
        log.info("router stops", extra={"drain_s": self._settings.router.timeouts.drain_s})
        await _ended(self._following)
        await self.data_path.stop()
        # Until then it has requests in flight, of which others must know.
        await _ended(self._telling)
        if self._admin is not None:
            await self._admin.cleanup()
        log.info("router stopped")


async def _ended(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _tell_if_open(settings: RouterFile) -> None:
    if settings.tenants is None:
        log.warning(
            "router is open: whoever can reach its port may use it", extra={"remedy": "write a section tenants"}
        )


def _tell_in_clear(keys: tuple[str, ...], known: tuple[str, ...] = ()) -> None:
    for key in keys:
        if key not in known:
            log.warning(
                "unencrypted to another machine: whoever is on the way may read and change it",
                extra={"setting": key, "remedy": "write https:// or rediss://, or keep that network to yourself"},
            )


def _tell_presence(whole: Snapshot, presence: Presence) -> None:
    whole.gauges |= {"routers_known": float(presence.routers), "caps_share_frac": presence.share}
    whole.redis = whole.redis or RedisView()
    whole.redis.rights_missing |= presence.rights.missing
    whole.redis.name_taken = presence.name_taken


def _presence(router: Router) -> Presence:
    # The client for Redis takes time and memory to load, and most routers need none.
    from router.presence import Presence

    settings = router.settings
    return Presence(
        redis_place(settings.table, os.environ),
        settings.table,
        who=Identity(
            settings.router.name or f"{socket.gethostname()}:{router.admin_port}",
            secrets.token_hex(6),
            settings.router.timeouts.drain_s + ENDED_S,
        ),
        snapshot=router.snapshot,
        sink=router.data_path if settings.table.share_caps else None,
        wall_s=clock.wall_s,
        monotonic_s=clock.monotonic_s,
        rng=random.Random(),
    )


def _workers(settings: RouterFile) -> DataPath:
    # A router that is alone needs none of what holds several processes together.
    from router.workers import Workers

    return Workers(settings)


async def serve(settings: RouterFile, stop: asyncio.Event, source: ConfigSource | None = None) -> None:
    """Serve until `stop` is set; SIGHUP has the configuration read again."""
    loop = asyncio.get_running_loop()
    router = Router(settings, source)
    # Before it says that it listens: from then on a SIGHUP may come, and one that nobody handles ends the process.
    loop.add_signal_handler(signal.SIGHUP, router.reload)
    async with router:
        try:
            await stop.wait()
        finally:
            loop.remove_signal_handler(signal.SIGHUP)
            # Until the process ends a further SIGHUP has nothing to say.
            signal.signal(signal.SIGHUP, signal.SIG_IGN)


def run(settings: RouterFile, source: ConfigSource | None = None) -> None:
    """Serve until SIGTERM or SIGINT; a second signal ends the drain.

    Raises:
        ListenError: an address cannot be listened on.
        SettingsError: a file that holds a key, a tenant or a token cannot be used.
        CertificateError: a file of TLS cannot be used.
    """
    raise_file_limit(settings.router.limits.max_connections)
    calm_collector()
    with contextlib.suppress(asyncio.CancelledError):
        uvloop.run(_until_signal(settings, source))


async def _until_signal(settings: RouterFile, source: ConfigSource | None) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    task = asyncio.current_task()

    def signalled() -> None:
        if stop.is_set() and task is not None:
            task.cancel()
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, signalled)
    await serve(settings, stop, source)
