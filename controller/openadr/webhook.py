"""Listens for a VTN's notifications: an application of its own, on a port of its own.

A notification is a reason to ask the VTN, and nothing else: what it carries is looked at and not followed, so that who
has stolen the token of a callback can make us poll, at most. That too is bounded.
"""

from __future__ import annotations

import asyncio
import logging
import re
import secrets
import ssl
from collections.abc import Callable

from aiohttp import web

from controller.clock import Clock
from controller.errors import ConfigError, ListenError, MessageError
from controller.http.bearer_token import is_shown
from controller.openadr.registration_read import read_notification
from controller.openadr.specs import CallbackSpec

log = logging.getLogger(__name__)

PATH = "/openadr/notifications"
MAX_BODY_BYTES = 1 << 20
PER_MIN = 60
"""Notifications that are taken in a minute, from a VTN that shows its token."""
BODY_S = 10.0
_ECHO = re.compile(r"[\w.~+/=:-]{1,512}", re.ASCII)
_SHUTDOWN_S = 1.0


class Callback:
    """The listener of one VTN.

    Attributes:
        token: that the VTN must show; new at each start.
        outcomes: how many requests came to what.
    """

    def __init__(self, vtn: str, clock: Clock, on_change: Callable[[], None], count: Callable[[str], None]) -> None:
        """Listen.

        Args:
            vtn: its name, for the log.
            clock: of the rate's bound.
            on_change: told of each notification.
            count: told the outcome of each request.
        """
        self.token = secrets.token_urlsafe(32)
        self._vtn = vtn
        self._clock = clock
        self._on_change = on_change
        self._count = count
        self._allowance = float(PER_MIN)
        self._since_s = clock.monotonic_s()

    def app(self) -> web.Application:
        """The application."""
        app = web.Application(client_max_size=MAX_BODY_BYTES)
        app.router.add_get(PATH, self._echo)
        app.router.add_post(PATH, self._notified)
        return app

    async def _echo(self, request: web.Request) -> web.Response:
        """The VTN's challenge: whether the callback is ours (Definition, subscriptions)."""
        echo = request.query.get("echo", "")
        if not _ECHO.fullmatch(echo):
            self._count("malformed")
            return web.Response(status=400, text="echo: 1 to 512 letters and digits are echoed")
        self._count("challenge")
        return web.Response(text=echo, headers={"X-Content-Type-Options": "nosniff", "Cache-Control": "no-store"})

    async def _notified(self, request: web.Request) -> web.Response:
        if not is_shown(request.headers.get("Authorization", ""), self.token):
            self._count("unauthorized")
            return web.Response(status=401, headers={"WWW-Authenticate": "Bearer"})
        if not self._allowed():
            self._count("too_many")
            return web.Response(status=429, headers={"Retry-After": "10"})
        try:
            async with asyncio.timeout(BODY_S):
                notification = read_notification(await request.read())
        except MessageError as error:
            self._count("malformed")
            log.warning("notification refused", extra={"vtn": self._vtn, "reason": str(error)})
            return web.Response(status=400, text="not a notification of OpenADR 3")
        except TimeoutError:
            self._count("malformed")
            return web.Response(status=408)
        self._count("taken")
        extra = {"vtn": self._vtn, "object": notification.object_type, "operation": notification.operation.value}
        log.info("notification received", extra=extra)
        self._on_change()
        return web.Response(status=200)

    def _allowed(self) -> bool:
        """Whether the rate has room for one more."""
        now_s = self._clock.monotonic_s()
        self._allowance = min(float(PER_MIN), self._allowance + (now_s - self._since_s) * PER_MIN / 60.0)
        self._since_s = now_s
        if self._allowance < 1.0:
            return False
        self._allowance -= 1.0
        return True


async def listen(app: web.Application, spec: CallbackSpec) -> web.AppRunner:
    """Serve a callback; `cleanup` of what is returned ends it.

    Raises:
        ConfigError: a file of TLS cannot be used.
        ListenError: the port cannot be had.
    """
    tls = _tls(spec)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=_SHUTDOWN_S)
    await runner.setup()
    try:
        await web.TCPSite(runner, spec.host, spec.port, ssl_context=tls).start()
    except OSError as error:
        await runner.cleanup()
        raise ListenError(spec.host, spec.port, error.strerror or str(error)) from error
    return runner


def _tls(spec: CallbackSpec) -> ssl.SSLContext | None:
    if spec.certificate_file is None or spec.key_file is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(spec.certificate_file, spec.key_file)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(f"callback: {spec.certificate_file}, {spec.key_file}: {error}; give PEM files") from error
    return context
