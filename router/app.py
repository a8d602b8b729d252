"""The router as a whole: data path in this process or in several, admin port, signals, orderly stop."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import signal
from typing import Protocol

import uvloop
from aiohttp import web

from router import admin
from router.errors import ListenError
from router.settings import RouterFile
from router.snapshot import Snapshot
from router.transport.listening import bind
from router.worker import Worker
from router.workers import Workers

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
        """Report not ready."""


class Router:
    """Public port and admin port together; an asynchronous context manager.

    Args:
        settings: the router's sections of the configuration file.
    """

    def __init__(self, settings: RouterFile) -> None:
        self._settings = settings
        self._admin: web.AppRunner | None = None
        self.data_path: DataPath = Workers(settings) if settings.router.workers > 1 else Worker(settings)
        self.admin_port = 0

    @property
    def port(self) -> int:
        """The public port."""
        return self.data_path.port

    async def __aenter__(self) -> Router:
        """Listen on both ports.

        Raises:
            ListenError: one of the addresses cannot be listened on.
        """
        router = self._settings.router
        sock = bind(router.admin_host, router.admin_port, shared=False)
        try:
            await self.data_path.start()
            self._admin = web.AppRunner(admin.build(self.data_path), access_log=None)
            await self._admin.setup()
            await web.SockSite(self._admin, sock).start()
        except OSError as error:
            raise ListenError(router.admin_host, router.admin_port, error.strerror or str(error)) from error
        except BaseException:
            sock.close()
            raise
        self.admin_port = sock.getsockname()[1]
        where = {"host": router.host, "port": self.port} if router.listen is None else {"listen": router.listen}
        also = {"admin_port": self.admin_port, "workers": router.workers, "tls": router.tls is not None}
        log.info("router listens", extra={**where, **also})
        if self._settings.tenants is None:
            log.warning(
                "router is open: whoever can reach its port may use it", extra={"remedy": "write a section tenants"}
            )
        return self

    async def __aexit__(self, *_: object) -> None:
        """Drain, then close both ports; the admin port goes last, so that the drain can be watched."""
        await self.data_path.stop()
        if self._admin is not None:
            await self._admin.cleanup()
        log.info("router stopped")


async def serve(settings: RouterFile, stop: asyncio.Event) -> None:
    """Serve until `stop` is set."""
    async with Router(settings):
        await stop.wait()
        log.info("router drains", extra={"drain_s": settings.router.timeouts.drain_s})


def run(settings: RouterFile) -> None:
    """Serve until SIGTERM or SIGINT; a second signal ends the drain.

    Raises:
        ListenError: an address cannot be listened on.
        CertificateError: a file of TLS cannot be used.
    """
    # What is imported stays for life: the collector need not look at it again and again while requests wait.
    gc.freeze()
    with contextlib.suppress(asyncio.CancelledError):
        uvloop.run(_until_signal(settings))


async def _until_signal(settings: RouterFile) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    task = asyncio.current_task()

    def signalled() -> None:
        if stop.is_set() and task is not None:
            task.cancel()
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, signalled)
    await serve(settings, stop)
