"""The agent as a process: reads NVML, serves it, and ends on SIGTERM or SIGINT."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import secrets
import signal
import socket
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from aiohttp import web

from controller.agent.api import AgentParts, build_app
from controller.agent.hub import Hub
from controller.agent.identity import LOOK_S, Identity
from controller.agent.options import AgentOptions
from controller.agent.samples import Node, sample_of
from controller.clock import Clock, SystemClock
from controller.errors import ListenError
from controller.signals.power.nvml_source import NvmlSource

log = logging.getLogger(__name__)

_SHUTDOWN_S = 2.0
_PATIENCE_INTERVALS = 2.0
"""Without a poll for so many intervals a sample is sent all the same: it tells the age of the readings."""


@dataclass(frozen=True, slots=True)
class _Parts:
    """Attributes: `wake` is set when there is something new or the end has come, `ended` when it has."""

    source: NvmlSource
    hub: Hub
    node: Node
    clock: Clock
    wake: asyncio.Event
    ended: asyncio.Event

    def end(self) -> None:
        self.ended.set()
        self.wake.set()


def run(options: AgentOptions, environment: Mapping[str, str]) -> None:
    """Run the agent until SIGTERM or SIGINT.

    Raises:
        ConfigError: an option or a file is wrong.
        ListenError: the port cannot be had.
    """
    asyncio.run(_run(options, Identity(options, environment)))


async def _run(options: AgentOptions, identity: Identity) -> None:
    clock = SystemClock()
    node = Node(socket.gethostname(), secrets.token_hex(4), options.interval_s)
    source = NvmlSource(clock, interval_s=options.interval_s)
    parts = _Parts(source, Hub(options.max_streams), node, clock, asyncio.Event(), asyncio.Event())
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, parts.end)
    shown = AgentParts(parts.hub, source.latest, node.name, clock, identity, options.dcgm_names)
    runner = web.AppRunner(build_app(shown), access_log=None, shutdown_timeout=_SHUTDOWN_S)
    await runner.setup()
    following = asyncio.create_task(_follow(identity, clock), name="credentials")
    try:
        await _listen(runner, options, identity.tls)
        await _pump(parts)
    finally:
        following.cancel()
        parts.end()
        source.close()
        await runner.cleanup()
    log.info("agent stopped")


async def _listen(runner: web.AppRunner, options: AgentOptions, tls: ssl.SSLContext | None) -> None:
    try:
        await web.TCPSite(runner, options.host, options.port, ssl_context=tls).start()
    except (OSError, OverflowError) as error:
        raise ListenError(options.host, options.port, getattr(error, "strerror", None) or str(error)) from error
    port: int = runner.addresses[0][1]
    log.info("agent listening", extra={"host": options.host, "port": port, "tls": tls is not None})


async def _follow(identity: Identity, clock: Clock) -> None:
    """Look at the files of token and certificate until cancelled."""
    while True:
        await clock.sleep(LOOK_S)
        identity.refresh()


async def _pump(parts: _Parts) -> None:
    """Publish a sample after each poll, and without one where the driver takes too long to answer."""
    parts.source.on_poll(_waker(asyncio.get_running_loop(), parts))
    parts.source.start()
    patience_s = _PATIENCE_INTERVALS * parts.node.interval_s
    for sequence in itertools.count(1):
        with contextlib.suppress(TimeoutError):  # the sample then tells how old its readings are
            async with asyncio.timeout(patience_s):
                await parts.wake.wait()
        if parts.ended.is_set():
            return
        parts.wake.clear()
        snapshot, sent_at_s = parts.source.latest(), parts.clock.wall_s()
        parts.hub.publish(sample_of(snapshot, parts.node, sequence=sequence, sent_at_s=sent_at_s))


def _waker(loop: asyncio.AbstractEventLoop, parts: _Parts) -> Callable[[], None]:
    """Tells the loop, from the thread that polls, that there is something new; not after the end, when it is closed."""

    def wake() -> None:
        if not parts.ended.is_set():
            loop.call_soon_threadsafe(parts.wake.set)

    return wake
