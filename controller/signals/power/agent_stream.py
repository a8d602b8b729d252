"""GPU power from node agents (`wattroute agent`), by their streams: a reading is here as soon as it is taken."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from controller.clock import Clock
from controller.errors import SignalError
from controller.model.observation import Missing, Reading
from controller.signals.power.agent_sample import STREAM_PATH, ClockDifference, decode
from controller.signals.power.event_stream import EventStream, StreamParts
from controller.signals.power.http_access import HttpAccess
from controller.signals.power.source import Board, GpuReadings

SILENCE_S = 5.0
"""An agent sends every second or faster, whatever it can read: this long a silence is a broken connection."""


class _Node:
    """The latest of one agent."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._difference = ClockDifference()
        self.readings: dict[str, Reading | Missing] = {}
        self.boards: dict[str, Board] = {}
        self.error: str | None = None
        self.has_come = asyncio.Event()
        self.was_awaited = False

    def begin(self) -> None:
        """A connection begins: how long its samples take is not known yet."""
        self._difference = ClockDifference()

    def take(self, data: str) -> None:
        """Take in a sample."""
        sample, now_s = decode(data), self._clock.wall_s()
        self.readings = dict(sample.seen_at(now_s, self._difference.take(sample, now_s)))
        self.boards = {gpu.uuid: Board(gpu.name, sample.driver) for gpu in sample.gpus if gpu.name}
        self.error = f"{sample.node}: {sample.error}" if sample.error else None
        self.has_come.set()


class AgentSource:
    """Readings of the GPUs of several nodes, by UUID."""

    def __init__(self, access: HttpAccess, urls: tuple[str, ...], parts: StreamParts) -> None:
        self._timeout_s = access.timeout_s
        self._nodes = {url: _Node(parts.clock) for url in urls}
        self._streams = {
            url: EventStream(
                access,
                url.rstrip("/") + STREAM_PATH,
                node.take,
                parts,
                begin=node.begin,
                silence_s=SILENCE_S,
            )
            for url, node in self._nodes.items()
        }

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncIterator[AgentSource]:
        """Keep the streams open until the end."""
        async with contextlib.AsyncExitStack() as stack:
            for stream in self._streams.values():
                await stack.enter_async_context(stream.open())
            yield self

    async def read(self, now_s: float) -> GpuReadings:
        """The latest readings, with the times at which they were taken, and the agents that are not heard."""
        await asyncio.gather(*(self._first(node) for node in self._nodes.values()))
        readings: dict[str, Reading | Missing] = {}
        errors: list[SignalError] = []
        for url, node in self._nodes.items():
            readings.update(node.readings)
            stream_error = self._streams[url].error
            if stream_error is not None:
                errors.append(stream_error)
            elif node.error is not None:
                errors.append(SignalError(url, node.error))
        return readings, tuple(errors)

    def boards(self) -> dict[str, Board]:
        """What the GPUs of all nodes are, by UUID."""
        return {uuid: board for node in self._nodes.values() for uuid, board in node.boards.items()}

    async def _first(self, node: _Node) -> None:
        """Wait a little, once, for the first sample, so that a source which was just opened does not look empty."""
        if not node.was_awaited:
            node.was_awaited = True
            with contextlib.suppress(TimeoutError):  # what is not heard is told by the stream's error
                await asyncio.wait_for(node.has_come.wait(), self._timeout_s)
