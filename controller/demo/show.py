"""Showing a run while it goes on: the live view in a terminal, a log line every ten seconds elsewhere."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from types import TracebackType

from rich.console import Console
from rich.live import Live

from controller.clock import Clock
from controller.demo.view import Frame, draw, line

DRAW_EVERY_S = 0.4
LOG_EVERY_S = 10.0

log = logging.getLogger("wattroute.demo")


class Screen:
    """An asynchronous context in which a run is shown; the terminal is as before when it ends, however it ends."""

    def __init__(self, console: Console, frame: Callable[[], Frame], clock: Clock, *, is_live: bool) -> None:
        self._frame = frame
        self._clock = clock
        self._live = Live(console=console, auto_refresh=False, transient=True) if is_live else None
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Screen:
        """Begin to show."""
        if self._live is not None:
            self._live.start()
        self._task = asyncio.create_task(self._show())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop, and give the terminal back."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        if self._live is not None:
            self._live.stop()

    async def _show(self) -> None:
        while True:
            if self._live is not None:
                self._live.update(draw(self._frame()), refresh=True)
                await self._clock.sleep(DRAW_EVERY_S)
            else:
                await self._clock.sleep(LOG_EVERY_S)
                log.info("%s", line(self._frame()))
