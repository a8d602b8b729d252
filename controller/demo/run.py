"""`wattroute demo`: emulated engines, router, controller, a replayed trace and a curtailment event."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.metadata
import logging
import signal
import sys
import threading
from collections.abc import Coroutine, Sequence
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import uvloop
from rich.console import Console

from controller.clock import Clock, SystemClock
from controller.demo import compare, event, meter, processes, show, stage, starting, summary, view
from controller.demo.client import StreamClient
from controller.demo.compare import Comparison
from controller.demo.load import Load, PromptText
from controller.demo.options import DemoOptions
from controller.demo.stage import Stage
from controller.errors import ControllerError, SignalError
from controller.model.grid import GridEvent

__all__ = ["DemoOptions", "run"]

LAST_ANSWERS_S = 120.0
METER_EVERY_S = 1.0
INTERRUPTED = 130

log = logging.getLogger("wattroute.demo")


def run(options: DemoOptions) -> int:
    """Run the demo; returns the process's exit code.

    Raises:
        ControllerError: it could not be prepared, or one of its processes failed.
    """
    clock = SystemClock()
    prepared = stage.prepare(options, clock.wall_s())
    console = Console()
    is_live = console.is_terminal and not options.headless
    if not is_live:
        logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(message)s", stream=sys.stderr)
        log.setLevel(logging.INFO)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(Demo(prepared, clock, console, is_live=is_live).run())


class Demo:
    """One run."""

    def __init__(self, prepared: Stage, clock: Clock, console: Console, *, is_live: bool) -> None:
        self._stage = prepared
        self._clock = clock
        self._console = console
        self._is_live = is_live
        self._stop = asyncio.Event()
        self._stop_thread = threading.Event()
        address = urlsplit(prepared.urls.router)
        self._client = StreamClient(address.hostname or "127.0.0.1", address.port or 80, clock.monotonic_s)
        longest = max((request.input_tokens for request in prepared.requests), default=1)
        self._load = Load(
            prepared.requests,
            self._client,
            PromptText(longest),
            model=prepared.settings.model or "default",
            clock=clock,
            max_in_flight=prepared.options.max_in_flight,
        )
        self._record = meter.Record(
            meter.Meter(
                f"{prepared.urls.emulator}/metrics",
                f"{prepared.urls.controller}/api/state",
                pue=prepared.site.pue,
                aux_w=prepared.site.aux_w,
            )
        )
        self._phase = "starting"
        self._start_s = 0.0
        self._start_monotonic_s = 0.0
        self._event: GridEvent | None = None
        self._limit: event.Limit | None = None

    async def run(self) -> int:
        """Start, replay, stop, compare, tell."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self.interrupt)
        started: list[processes.Child] = []
        failure: ControllerError | None = None
        comparison: Comparison | None = None
        screen = show.Screen(self._console, self._frame, self._clock, is_live=self._is_live)
        try:
            async with screen, aiohttp.ClientSession() as session:
                try:
                    await starting.start(self._stage, started, processes.Wait(session, self._clock, self._stop))
                    await self._replay(started, session)
                except ControllerError as error:
                    failure = error
                self._client.close()
                self._phase = "stopping the processes"
                await processes.stop(started, self._clock)
                if failure is None and not self._stop.is_set() and self._start_s:
                    self._phase = "simulating the same run, and BF16 alone"
                    replayed = compare.Replayed(self._start_s, self._event)
                    comparison = await compare.compared(self._stage, replayed, self._clock, self._stop_thread.is_set)
        finally:
            self._client.close()
            processes.kill(started)
        if self._start_s:
            self._tell(comparison)
        if failure is not None:
            raise failure
        return INTERRUPTED if self._stop.is_set() else 0

    def interrupt(self) -> None:
        """End the run, as Ctrl-C does."""
        self._stop.set()
        self._stop_thread.set()

    async def _replay(self, started: list[processes.Child], session: aiohttp.ClientSession) -> None:
        if self._stop.is_set():
            return
        self._phase = "replay"
        self._start_s = self._clock.wall_s()
        self._start_monotonic_s = self._clock.monotonic_s()
        await self._measure(session)
        async with contextlib.AsyncExitStack() as stack:
            background = [
                asyncio.create_task(self._keep_measuring(session)),
                asyncio.create_task(self._call_event(session)),
            ]
            stack.push_async_callback(_cancel, background)
            await self._until(self._load.send_all(self._start_monotonic_s), started)
            self._phase = "last answers"
            await self._until(self._load.drain(LAST_ANSWERS_S), started)
            if self._load.under_way:
                await self._load.cut()
        await self._measure(session)

    async def _until(self, work: Coroutine[Any, Any, None], started: list[processes.Child]) -> None:
        """Do a piece of work, unless the user stops the run or a process ends."""
        task = asyncio.create_task(work)
        stopping = asyncio.create_task(self._stop.wait())
        try:
            while not task.done() and not self._stop.is_set():
                processes.check(started)
                await asyncio.wait({task, stopping}, timeout=0.5, return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                task.result()
        finally:
            await _cancel([task, stopping])

    async def _keep_measuring(self, session: aiohttp.ClientSession) -> None:
        next_s = self._start_monotonic_s
        while True:
            next_s = max(next_s + METER_EVERY_S, self._clock.monotonic_s())
            await self._clock.sleep(next_s - self._clock.monotonic_s())
            await self._measure(session)

    async def _measure(self, session: aiohttp.ClientSession) -> None:
        tokens = self._load.account.tokens_by_precision
        try:
            self._record.add(await meter.read(session, self._record.meter, self._clock, tokens))
        except SignalError as error:
            self._record.missed += 1
            log.warning("%s", error)

    async def _call_event(self, session: aiohttp.ClientSession) -> None:
        """Send the curtailment event, as an operator would."""
        prepared, planned = self._stage, self._stage.event
        await self._clock.sleep(planned.notice_s - (self._clock.monotonic_s() - self._start_monotonic_s))
        now_s = self._clock.wall_s()
        before_w = self._record.mean_w(now_s - event.BASELINE_S, now_s)
        if before_w is None:
            log.warning("no event: no power was measured before its notice")
            return
        demand = event.loads(prepared.requests, planned.start_s, planned.end_s)
        least_w = event.least_power_w(prepared.site, demand, prepared.settings.plan.utilisation_frac)
        self._limit = event.choose_limit(before_w, least_w)
        start_in_s = planned.start_s - (self._clock.monotonic_s() - self._start_monotonic_s)
        body = {
            "event_id": f"demo-{self._start_s:.0f}",
            "limit_w": self._limit.limit_w,
            "start_in_s": start_in_s,
            "duration_s": planned.duration_s,
            "ramp_s": planned.ramp_s,
        }
        self._event = await event.post(session, f"{prepared.urls.controller}/v1/events", body)
        if self._event is not None:
            log.info("event sent: limit %.1f kW in %.0f s", self._limit.limit_w / 1000, start_in_s)

    def _tell(self, comparison: Comparison | None) -> None:
        prepared = self._stage
        options = prepared.options
        figures = summary.build(
            summary.Result(
                asked=summary.Asked(
                    seconds=options.seconds,
                    speed=options.speed,
                    seed=options.seed,
                    trace=prepared.trace,
                    trace_start_s=options.trace_start_s,
                    version=importlib.metadata.version("wattroute"),
                ),
                start_s=self._start_s,
                interrupted=self._stop.is_set(),
                account=self._load.account,
                itl=self._client.itl,
                record=self._record,
                event=self._event,
                limit=self._limit,
                evidence={
                    f"pool_{pool.pool_id}": pool.curves.provenance.evidence.value for pool in prepared.site.pools
                },
                comparison=comparison,
                prepare_s=prepared.settings.plan.prepare_s,
            )
        )
        stage.save(prepared, figures, self._record, self._start_s)
        self._console.print(view.summary_table(figures))
        self._console.print(f"records: {prepared.folder}", soft_wrap=True)

    def _frame(self) -> view.Frame:
        elapsed_s = self._clock.monotonic_s() - self._start_monotonic_s if self._start_s else 0.0
        return view.Frame(
            phase="stopping" if self._stop.is_set() else self._phase,
            elapsed_s=min(elapsed_s, self._stage.options.seconds),
            seconds=self._stage.options.seconds,
            speed=self._stage.options.speed,
            dashboard_url=f"{self._stage.urls.controller}/",
            router_url=self._stage.urls.router,
            account=self._load.account,
            itl=self._client.itl,
            record=self._record,
        )


async def _cancel(tasks: Sequence[asyncio.Task[Any]]) -> None:
    """End tasks and wait for them; what they raised besides is told, not lost."""
    for task in tasks:
        task.cancel()
    for outcome in await asyncio.gather(*tasks, return_exceptions=True):
        if isinstance(outcome, Exception):
            log.error("a part of the demo failed: %s", outcome)
