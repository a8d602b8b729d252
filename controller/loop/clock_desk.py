"""The desk of the clock in the loop: whether it is right, how far it is off, and that it was set (R7).

Events begin and end by this machine's clock. One that is not right moves them by as much; one that is set while calls
are known leaves them in force by its former course too, until it is known to be right.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import logging
import math
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

from prometheus_client import CollectorRegistry, Counter, Gauge

from controller.background import Work, Works, in_background
from controller.clock import Clock
from controller.errors import SignalError
from controller.loop.clock_judge import ClockState, ClockView, ClockWatch, judge
from controller.signals.calls import CallBook
from controller.signals.clock_steps import ClockSteps
from controller.signals.kernel_clock import KernelClock, read_kernel_clock
from controller.signals.sntp import Offset, TimeServers

log = logging.getLogger(__name__)

PREFIX = "wattroute_controller_"
FRESH_POLLS = 3.5
"""An offset counts for this many times the pace at which it is asked for."""
_LEVELS = {ClockState.RIGHT: logging.INFO, ClockState.UNKNOWN: logging.WARNING}


class ClockMetrics:
    """Holds the metrics; unknown is NaN."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def gauge(name: str, text: str) -> Gauge:
            made = Gauge(PREFIX + name, text, registry=registry)
            made.set(math.nan)
            return made

        self._state = Gauge(f"{PREFIX}clock_state", "1 for how the clock stands.", ("state",), registry=registry)
        self._offset_s = gauge("clock_offset_seconds", "This clock less true time, by time servers; NaN if unknown.")
        self._bound_s = gauge("clock_offset_bound_seconds", "Largest error of that offset.")
        self._max_error_s = gauge("clock_max_error_seconds", "Bound of the clock's error, by its time service.")
        self._estimated_s = gauge("clock_estimated_error_seconds", "The clock's error as its time service estimates.")
        self._held = Gauge(
            f"{PREFIX}clock_former_course_calls",
            "Calls that hold by a former course of a clock that was set, too.",
            registry=registry,
        )
        self._steps = Counter(f"{PREFIX}clock_steps", "Times that the wall clock was set.", registry=registry)
        self._step_s = Gauge(
            f"{PREFIX}clock_step_seconds", "By how much the wall clock was set last.", registry=registry
        )
        self.failures = Counter(
            f"{PREFIX}clock_query_failures", "Questions to time servers without an answer of use.", registry=registry
        )

    def stepped(self, step_s: float) -> None:
        """Count that the clock was set."""
        self._steps.inc()
        self._step_s.set(step_s)

    def show(self, view: ClockView) -> None:
        """Set how it stands."""
        for state in ClockState:
            self._state.labels(state.value).set(view.state is state)
        for gauge, value in (
            (self._offset_s, view.offset_s),
            (self._bound_s, view.bound_s),
            (self._max_error_s, view.max_error_s),
            (self._estimated_s, view.estimated_error_s),
        ):
            gauge.set(math.nan if value is None else value)
        self._held.set(view.calls_by_former_course)


@dataclass(frozen=True, slots=True)
class ClockParts:
    """What the desk works with.

    Attributes:
        book: of the calls that go by the clock.
        steps: finds out that it was set.
        clock: itself.
        works: where asking the time servers is counted and shown.
        watch: who is asked about it.
        read: asks the kernel.
    """

    book: CallBook
    steps: ClockSteps
    clock: Clock
    works: Works
    watch: ClockWatch = field(default_factory=ClockWatch)
    read: Callable[[], KernelClock | None] = read_kernel_clock


class ClockDesk:
    """What the loop calls at each look.

    Attributes:
        view: what is known of the clock.
    """

    def __init__(self, parts: ClockParts, registry: CollectorRegistry) -> None:
        self._book, self._steps, self._clock = parts.book, parts.steps, parts.clock
        self._watch, self._read = parts.watch, parts.read
        self._metrics = ClockMetrics(registry)
        self._servers = TimeServers(self._watch.servers, self._clock, self._watch.timeout_s)
        self._offset: Offset | None = None
        self._ask_now = asyncio.Event()
        self.view = ClockView()
        if self._steps.last_s is not None:
            self._metrics.stepped(self._steps.last_s)
        self._steps.tell(self._was_set)

    def take(self) -> None:
        """See how the clock stands; once it is known to be right, calls hold by it alone."""
        self._steps.look()
        kernel, offset = self._read(), self._fresh()
        state, reason = judge(kernel, offset, self._watch.most_off_s)
        if state is ClockState.RIGHT and self._book.kept.by_former_course:
            self._book.trust(self._clock.wall_s())
        if state is not self.view.state:
            log.log(_LEVELS.get(state, logging.ERROR), "clock", extra={"state": state.value, "reason": reason})
        self.view = ClockView(
            state=state,
            reason=reason,
            offset_s=None if offset is None else offset.offset_s,
            bound_s=None if offset is None else offset.bound_s,
            max_error_s=None if kernel is None else kernel.max_error_s,
            estimated_error_s=None if kernel is None else kernel.estimated_error_s,
            steps=self._steps.count,
            calls_by_former_course=self._book.kept.by_former_course,
        )
        self._metrics.show(self.view)

    async def run(self) -> None:
        """Ask the time servers again and again, at once where the clock was set; never ends."""
        while True:
            self._ask_now.clear()
            await self.ask()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._ask_now.wait(), self._watch.poll_s)

    async def ask(self) -> None:
        """Ask them once; what they said before counts on for a while where none answers."""
        try:
            offset = await self._servers.ask()
        except SignalError as error:
            self._metrics.failures.inc(len(self._watch.servers))
            log.warning("no time server tells the time", extra={"reason": error.reason})
            return
        self._metrics.failures.inc(len(offset.failed))
        for server, reason in offset.failed:
            log.warning("time server does not tell the time", extra={"server": server, "reason": reason})
        self._offset = offset

    def _fresh(self) -> Offset | None:
        """What the servers said last, as far as it still counts."""
        offset = self._offset
        if offset is None or self._clock.monotonic_s() - offset.asked_s > FRESH_POLLS * self._watch.poll_s:
            return None
        return offset

    def _was_set(self, step_s: float, now_s: float) -> None:
        """What was measured before a step is moved by it, and measured again at once."""
        self._metrics.stepped(step_s)
        if self._offset is not None:
            self._offset = dataclasses.replace(self._offset, offset_s=self._offset.offset_s + step_s)
        self._ask_now.set()


@contextlib.asynccontextmanager
async def opened_clock(parts: ClockParts, registry: CollectorRegistry) -> AsyncIterator[ClockDesk]:
    """The desk, with the time servers asked, where there are any."""
    desk = ClockDesk(parts, registry)
    if not parts.watch.servers:
        yield desk
        return
    async with in_background(desk.run, Work.TIME_SERVERS, works=parts.works):
        yield desk
