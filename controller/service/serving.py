"""The controller's port: the HTTP application, listening, and the end on SIGTERM or SIGINT."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from aiohttp import web
from aiohttp.typedefs import Middleware

from controller.dashboard.access import guard
from controller.dashboard.api import MAX_BODY_BYTES, Api, errors_as_json
from controller.dashboard.board import Board
from controller.dashboard.pages import Pages
from controller.errors import ListenError
from controller.loop.runner import Runner
from controller.signals.calls import CallBook
from controller.store.ledger import Ledger

log = logging.getLogger(__name__)

_SHUTDOWN_S = 2.0


@dataclass(frozen=True, slots=True)
class Service:
    """What `assemble` put together."""

    app: web.Application
    runner: Runner
    board: Board
    ledger: Ledger
    calls: CallBook


def build_app(api: Api, board: Board, token: str | None, orders: Middleware | None = None) -> web.Application:
    """The HTTP application over an API and a board; `orders` sees requests that the guard lets pass."""
    middlewares = [errors_as_json, guard(token)] + ([] if orders is None else [orders])
    app = web.Application(client_max_size=MAX_BODY_BYTES, middlewares=middlewares)
    api.add_to(app)
    Pages(board).add_to(app)

    async def end_streams(_: web.Application) -> None:
        board.close()

    app.on_shutdown.append(end_streams)
    return app


async def serve(service: Service, host: str, port: int, *, on_listening: Callable[[int], None] | None = None) -> None:
    """Listen, run the loop until SIGTERM or SIGINT, and close.

    Args:
        service: what to serve.
        host: address to listen on.
        port: 0 lets the system choose.
        on_listening: told the port.

    Raises:
        ListenError: the port cannot be had.
    """
    runner = web.AppRunner(service.app, access_log=None, shutdown_timeout=_SHUTDOWN_S)
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port)
        with _stopping_on_signals(service.runner):
            try:
                await site.start()
            except (OSError, OverflowError) as error:
                raise ListenError(host, port, getattr(error, "strerror", None) or str(error)) from error
            listening: int = runner.addresses[0][1]
            log.info("controller listening", extra={"host": host, "port": listening})
            if on_listening is not None:
                on_listening(listening)
            await service.runner.run()
        log.info("controller stopped")
    finally:
        await runner.cleanup()


@contextlib.contextmanager
def _stopping_on_signals(runner: Runner) -> Iterator[None]:
    loop = asyncio.get_running_loop()
    numbers = (signal.SIGTERM, signal.SIGINT)
    for number in numbers:
        loop.add_signal_handler(number, runner.stop)
    try:
        yield
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)
