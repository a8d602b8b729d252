import asyncio
import contextlib
import logging
import math
from random import Random

from prometheus_client import CollectorRegistry

from controller.background import Works
from controller.clock import VirtualClock
from controller.errors import SignalError
from controller.loop.clock_desk import FRESH_POLLS, ClockDesk, ClockParts, opened_clock
from controller.loop.clock_judge import ClockState, ClockWatch
from controller.model.call import CallState
from controller.signals.calls import CallBook
from controller.signals.clock_steps import ClockMark, ClockSteps
from controller.signals.kernel_clock import KernelClock
from controller.signals.sntp import Offset
from tests.fakes.calls import call, interval
from tests.fakes.controller_parts import NOW_S, ListRecorder

KEPT, LOOSE = KernelClock(True, 0.02, 0.001), KernelClock(False, 16.0, 16.0)


class Clock(VirtualClock):
    """A clock that can be set."""

    set_s = 0.0

    def wall_s(self):
        return super().wall_s() + self.set_s


class Bench:
    def __init__(self, kernel=LOOSE, **watch):
        self.clock, self.kernel, self.registry = Clock(NOW_S), kernel, CollectorRegistry()
        self.steps = ClockSteps(self.clock, "a life")
        self.recorder = ListRecorder()
        self.book = CallBook(self.recorder, look=self.steps.look)
        self.steps.tell(self.book.step)
        self.works = Works(Random(0))
        self.parts = ClockParts(self.book, self.steps, self.clock, self.works, ClockWatch(**watch), lambda: self.kernel)
        self.desk = ClockDesk(self.parts, self.registry)

    @property
    def now_s(self):
        return self.clock.wall_s()

    def limit_w(self):
        self.desk.take()
        held = [event.limit_w for event in self.book.current(self.now_s) if event.start_s <= self.now_s < event.end_s]
        return min(held, default=None)

    def metric(self, name, **labels):
        return self.registry.get_sample_value(f"wattroute_controller_{name}", labels)


def test_what_is_unknown_is_a_state_and_no_zero(caplog):
    bench = Bench(kernel=None)
    bench.desk.take()
    assert bench.desk.view.state is ClockState.UNKNOWN
    assert math.isnan(bench.metric("clock_offset_seconds"))
    assert math.isnan(bench.metric("clock_max_error_seconds"))
    assert [bench.metric("clock_state", state=state.value) for state in ClockState] == [0, 0, 0, 1]


def test_a_clock_that_nobody_keeps_is_an_alarm_told_once(caplog):
    bench = Bench()
    for _ in range(3):
        bench.desk.take()
    assert bench.metric("clock_state", state="unsynchronised") == 1
    (record,) = [r for r in caplog.records if r.message == "clock"]
    assert (record.levelno, record.state) == (logging.ERROR, "unsynchronised")
    bench.kernel = KEPT
    bench.desk.take()
    assert bench.metric("clock_state", state="right") == 1
    assert bench.metric("clock_max_error_seconds") == 0.02


async def test_an_offset_that_was_measured_is_told_until_it_is_old(caplog):
    bench = Bench(kernel=None, servers=("time",), poll_s=60.0)
    answers = [Offset(-2.5, 0.01, bench.clock.monotonic_s(), ("time",), (("other", "no answer"),))]

    async def ask():
        if not answers:
            raise SignalError("time servers", "no answer")
        return answers.pop()

    bench.desk._servers.ask = ask
    await bench.desk.ask()
    await bench.desk.ask()
    bench.desk.take()
    assert bench.metric("clock_offset_seconds") == -2.5
    assert bench.metric("clock_state", state="off") == 1
    assert bench.metric("clock_query_failures_total") == 2
    bench.clock.set_s += 2.5  # its time service mends it
    bench.desk.take()
    assert bench.metric("clock_offset_seconds") == 0.0
    assert bench.desk.view.state is ClockState.RIGHT
    bench.clock.advance(60.0 * FRESH_POLLS + 1)
    bench.desk.take()
    assert bench.desk.view.state is ClockState.UNKNOWN
    assert math.isnan(bench.metric("clock_offset_seconds"))


def test_a_clock_set_back_before_an_event_lifts_nothing_and_the_event_comes_by_the_new_clock_too(caplog):
    bench = Bench()
    bench.book.submit(call("c", interval(0.0, 3600.0)), bench.now_s)
    bench.clock.advance(1800.0)
    assert bench.limit_w() == 9000.0
    bench.clock.set_s = -7200.0
    assert bench.limit_w() == 9000.0
    assert (bench.metric("clock_steps_total"), bench.metric("clock_step_seconds")) == (1, -7200.0)
    assert bench.metric("clock_former_course_calls") == 1
    assert any("followed by its former course as well" in r.message for r in caplog.records)
    assert bench.recorder.of("call")[-1]["action"] == "clock_set"
    bench.clock.advance(1799.0)
    assert bench.limit_w() == 9000.0
    bench.clock.advance(1.0)
    assert bench.limit_w() is None
    (view,) = bench.book.calls(bench.now_s)
    assert view.state is CallState.PENDING
    bench.clock.advance(3600.0)
    assert bench.limit_w() == 9000.0
    bench.clock.advance(3600.0)
    assert bench.limit_w() is None


def test_a_clock_set_on_over_an_event_does_not_lose_it():
    for notice_s in (0.0, 600.0):
        bench = Bench()
        bench.book.submit(call("c", interval(notice_s, 1800.0)), bench.now_s)
        bench.clock.set_s = 7200.0
        bench.clock.advance(notice_s)
        assert bench.limit_w() == 9000.0
        bench.clock.advance(1799.0)
        assert bench.limit_w() == 9000.0
        bench.clock.advance(1.0)
        assert bench.limit_w() is None


def test_a_clock_that_comes_back_leaves_no_trace():
    bench = Bench()
    bench.book.submit(call("c", interval(600.0, 600.0)), bench.now_s)
    bench.clock.set_s = -7200.0
    assert bench.limit_w() is None
    bench.clock.set_s = 0.0
    assert bench.limit_w() is None
    assert bench.metric("clock_former_course_calls") == 0
    bench.clock.advance(600.0)
    assert bench.limit_w() == 9000.0
    bench.clock.advance(600.0)
    assert bench.limit_w() is None


def test_once_the_clock_is_known_to_be_right_it_alone_counts(caplog):
    bench = Bench()
    bench.book.submit(call("c", interval(0.0, 3600.0)), bench.now_s)
    bench.clock.set_s = -7200.0
    assert bench.limit_w() == 9000.0
    bench.kernel = KEPT
    assert bench.limit_w() is None
    (record,) = [r for r in caplog.records if "is followed by it alone" in r.message]
    assert record.is_ended_now
    assert bench.recorder.of("call")[-1]["action"] == "clock_trusted"
    bench.clock.advance(7200.0)
    assert bench.limit_w() == 9000.0


def test_the_next_process_follows_the_former_course_too():
    bench = Bench()
    bench.book.submit(call("c", interval(0.0, 3600.0)), bench.now_s)
    bench.clock.set_s = -7200.0
    assert bench.limit_w() == 9000.0
    again = CallBook(ListRecorder())
    again.restore(bench.recorder.of("call"), bench.now_s)
    (event,) = again.current(bench.now_s)
    assert event.start_s <= bench.now_s < event.end_s
    former = ClockMark(NOW_S, bench.clock.monotonic_s(), "a life")
    fresh = Bench()
    fresh.clock.set_s = -7200.0
    fresh.steps = ClockSteps(fresh.clock, "a life")
    fresh.steps.resume(former)
    fresh.desk = ClockDesk(ClockParts(fresh.book, fresh.steps, fresh.clock, fresh.works), CollectorRegistry())
    assert fresh.steps.count == 1


async def test_servers_are_asked_at_once_when_the_clock_was_set():
    bench = Bench(servers=("time.invalid",), poll_s=3600.0)
    asked = []

    async def ask():
        asked.append(bench.now_s)
        raise SignalError("time servers", "none")

    async with opened_clock(bench.parts, CollectorRegistry()) as desk:
        desk._servers.ask = ask
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        bench.clock.set_s = 100.0
        desk.take()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(5):
                while len(asked) < 2:
                    await asyncio.sleep(0)
    assert len(asked) == 2
