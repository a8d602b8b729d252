import asyncio
import dataclasses
import threading
from types import SimpleNamespace

import pytest

from controller.actuators.instance_tasks import InstanceTasks
from controller.clock import SystemClock, VirtualClock
from controller.errors import ActuationError
from controller.lifecycle.diagnostics import Fallback
from controller.lifecycle.handback import Sleeper
from controller.loop.custody import Custody
from controller.loop.execution import ACTUATION_KIND
from controller.loop.leadership import SoleLeader
from controller.loop.runner import SAMPLE_KIND, Runner, RunnerOptions, RunnerParts
from controller.metrics.telemetry import Telemetry
from controller.model.grid import GridEvent
from controller.model.observation import InstanceState
from controller.model.plan import Verb
from controller.signals.present import Present
from controller.store.decisions import RECORD_KIND
from controller.tick import Memory
from router.contract import InstanceId
from tests.fakes.controller_parts import (
    NOW_S,
    ListRecorder,
    commands,
    decision,
    diagnostics,
    numbered,
    observation,
    site,
)
from tests.fakes.loop_parts import Account, Driver, Publisher

SITE = site()


class Source:
    def __init__(self):
        self.failure = None
        self.reads = []
        self.events = ()
        self.supervisor_faults = ()
        self.names_taken = ()

    async def read(self, now_s):
        self.reads.append(now_s)
        if self.failure:
            raise self.failure
        given = {"events": self.events, "supervisor_faults": self.supervisor_faults}
        seen = observation(now_s)
        router = dataclasses.replace(seen.router, names_taken=self.names_taken)
        return dataclasses.replace(seen, router=router, **given)


class Bench:
    """A runner over fakes on a virtual clock; `until` lets it run until something is so, then stops it."""

    def __init__(self, decide=None, **options):
        self.source, self.publisher, self.driver = Source(), Publisher(), Driver(waits=True)
        self.recorder, self.telemetry, self.clock = (
            ListRecorder(),
            Telemetry(SITE),
            options.pop("clock", VirtualClock(NOW_S)),
        )
        self.statuses = []
        self.memories = []
        self.more = {}
        self.kept = []
        self.hasty = []
        self.keep_failure = None
        tasks = InstanceTasks((self.driver,), self.clock)
        parts = RunnerParts(
            source=self.source,
            decide=decide or self.decide,
            at_once=self.at_once,
            publishers=(self.publisher,),
            instances=tasks,
            custody=Custody(Present(SITE), tasks, self.telemetry, sleepers=options.pop("sleepers", ())),
            keep=self.keep,
            desk=options.pop("desk", None),
            recorder=self.recorder,
            telemetry=self.telemetry,
            clock=self.clock,
            watchers=(*options.pop("watchers", ()), self.statuses.append),
            after_step=self.after_step,
            leadership=options.pop("leadership", None) or SoleLeader(),
            loads=options.pop("loads", None),
        )
        self.stepped = []
        self.runner = Runner(parts, Memory.initial(SITE, NOW_S), RunnerOptions(**{"tick_s": 5.0, **options}))

    def decide(self, memory, seen):
        self.memories.append(memory.sequence)
        return decision(SITE, seen.now_s, numbered(memory), **self.more)

    def after_step(self, memory, sleepers, step_s, now_s):
        self.stepped.append((step_s, now_s))
        return dataclasses.replace(memory, sequence=memory.sequence + 1000)

    def at_once(self, memory, seen):
        self.hasty.append(seen.now_s)
        return self.decide(memory, seen)

    async def keep(self, memory, sleepers, now_s):
        if self.keep_failure:
            raise self.keep_failure
        self.kept.append((memory.sequence, [sleeper.instance_id for sleeper in sleepers], len(self.publisher.tables)))

    async def until(self, is_so):
        task = asyncio.create_task(self.runner.run())
        try:
            async with asyncio.timeout(20):
                while not is_so():
                    assert not task.done(), "the loop ended"
                    await asyncio.sleep(0.001)
        finally:
            self.runner.stop()
            await task

    def faults(self):
        return {fault.step: fault.reason for fault in self.statuses[-1].faults} if self.statuses else {}

    def metric(self, name, **labels):
        return self.telemetry.registry.get_sample_value(f"wattroute_controller_{name}", labels)


async def test_a_supervisor_that_does_not_answer_is_a_fault_until_it_does():
    bench = Bench()
    bench.source.supervisor_faults = ("http://gpu: no answer within 1.5 s", "a-0: given up")
    shown = []

    def is_over():
        faults = bench.statuses[-1].faults if bench.statuses else ()
        if faults:
            shown.append(faults)
            bench.source.supervisor_faults = ()
        return bool(shown) and not faults

    await bench.until(is_over)
    ((fault,), *_) = shown
    assert (fault.step, fault.reason) == ("supervisor", "http://gpu: no answer within 1.5 s; a-0: given up")


async def test_routers_of_one_name_are_a_fault_until_each_has_its_own():
    bench = Bench()
    bench.source.names_taken = ("a", "b")
    shown = []

    def is_over():
        if "routers" in bench.faults():
            shown.append(bench.faults()["routers"])
            bench.source.names_taken = ()
        return bool(shown) and not bench.faults()

    await bench.until(is_over)
    assert shown[0] == "another router has the name of a, b; give each a router.name of its own"
    assert bench.metric("faults_total", step="routers") >= 1


async def test_the_loop_decides_publishes_records_and_carries_its_memory():
    bench = Bench()
    await bench.until(lambda: len(bench.publisher.tables) >= 3)
    first = bench.memories[0]
    assert bench.memories[:3] == [first, first + 1, first + 2]
    assert bench.runner.is_ready
    record = bench.recorder.of(RECORD_KIND)[0]
    assert record["observation"]["now_s"] == bench.source.reads[0]
    assert record["actions"] == ["table 7"]
    assert bench.recorder.of(SAMPLE_KIND)[0]["power_w"] == 4000.0
    assert bench.statuses[-1].decision is not None
    assert bench.metric("tick_seconds_count") >= 3


async def test_signals_are_read_more_often_than_decisions_are_made():
    bench = Bench(tick_s=60.0, sample_s=1.0)
    await bench.until(lambda: len(bench.source.reads) >= 40)
    assert len(bench.memories) == 1
    assert bench.source.reads[10] - bench.source.reads[0] == pytest.approx(10.0)


async def test_an_unpublished_decision_moves_nothing():
    bench = Bench()
    bench.more = {"publish": False, "commands": commands((Verb.WAKE, "int4-0"))}
    await bench.until(lambda: len(bench.memories) >= 2)
    assert bench.publisher.tables == []
    assert bench.recorder.of(ACTUATION_KIND) == []
    assert bench.recorder.of(RECORD_KIND)[0]["publish"] is False


async def test_a_decision_that_fails_is_told_and_the_next_one_is_made():
    bench = Bench()
    real, failures = bench.decide, [RuntimeError("solver exploded")]

    def decide(memory, seen):
        if failures:
            raise failures.pop()
        return real(memory, seen)

    bench = Bench(decide)
    await bench.until(lambda: bench.metric("tick_seconds_count") >= 2)
    assert bench.metric("faults_total", step="tick") == 1
    told = [s.faults for s in bench.statuses if s.faults]
    assert "RuntimeError: solver exploded" in told[0][0].reason
    assert "tick" not in bench.faults()


async def test_a_source_that_raises_is_told_and_read_again(caplog):
    bench = Bench()
    bench.source.failure = RuntimeError("boom")
    task = asyncio.create_task(bench.runner.run())
    while len(bench.source.reads) < 3:
        await asyncio.sleep(0.001)
    bench.source.failure = None
    while not bench.memories:
        await asyncio.sleep(0.001)
    bench.runner.stop()
    await task
    assert bench.metric("faults_total", step="read") >= 2
    assert "loop step failed" in caplog.text


async def test_a_ledger_that_fails_is_told_once_and_counted_and_control_goes_on(caplog):
    bench = Bench()
    bench.recorder.is_failing = True
    await bench.until(lambda: len(bench.publisher.tables) >= 2 and "record" in bench.faults())
    assert "the disk is full" in bench.faults()["record"]
    assert bench.metric("faults_total", step="record") >= 2
    assert caplog.messages.count("loop step failed") == 1


async def test_a_watcher_that_fails_is_told_and_control_goes_on():
    def watch(_):
        raise RuntimeError("page broke")

    bench = Bench(watchers=(watch,))
    await bench.until(lambda: len(bench.publisher.tables) >= 2)
    assert bench.metric("faults_total", step="watch") >= 1


async def test_how_many_are_to_exist_is_told_before_a_table_sends_to_one_that_comes_back():
    bench = Bench()
    bench.more = {"replicas": ((SITE.pools[0].pool_id, 3),)}
    told = []

    async def apply(given):
        told.append(bench.metric("desired_replicas", pool=SITE.pools[0].pool_id))
        return ()

    bench.publisher.apply = apply
    await bench.until(lambda: told)
    assert told[0] == 3.0


async def test_a_slow_wake_blocks_nothing_and_the_instance_is_not_used_meanwhile():
    bench = Bench()
    bench.more = {"commands": commands((Verb.WAKE, "bf16-1"))}
    await bench.until(lambda: len(bench.memories) >= 3)
    states = {i.instance_id: i.state for i in bench.statuses[-1].observation.instances}
    assert states["bf16-1"] is InstanceState.WAKING
    assert states["bf16-0"] is InstanceState.SERVING
    assert bench.recorder.of(ACTUATION_KIND)[-1]["detail"] == "given up at shutdown"


async def test_reading_goes_on_while_a_decision_is_late():
    gate = threading.Event()
    bench = Bench()
    real = bench.decide

    def decide(memory, seen):
        gate.wait(20)
        return real(memory, seen)

    bench = Bench(decide, late_after_s=3.0)
    task = asyncio.create_task(bench.runner.run())
    while "late" not in bench.faults():
        await asyncio.sleep(0.001)
    assert "the last table stays" in bench.faults()["late"]
    assert bench.publisher.tables == []
    gate.set()
    while "late" in bench.faults():
        await asyncio.sleep(0.001)
    bench.runner.stop()
    await task
    assert bench.publisher.tables


async def test_hasten_decides_at_the_next_sample():
    bench = Bench(tick_s=1e9)
    task = asyncio.create_task(bench.runner.run())
    while len(bench.memories) < 1 or bench.runner._ticking is not None:
        await asyncio.sleep(0.001)
    bench.runner.hasten()
    async with asyncio.timeout(10):
        while len(bench.memories) < 2:
            await asyncio.sleep(0.001)
    bench.runner.stop()
    await task


async def test_stopping_does_not_wait_for_the_next_sample():
    bench = Bench(sample_s=3600.0, clock=SystemClock())
    task = asyncio.create_task(bench.runner.run())
    while not bench.statuses:
        await asyncio.sleep(0.001)
    bench.runner.stop()
    async with asyncio.timeout(10):
        await task


@pytest.mark.parametrize(("passed_s", "decisions"), [(0.99, 2), (0.4, 1)])
async def test_a_sample_that_comes_a_little_early_does_not_cost_a_whole_round(passed_s, decisions):
    bench = Bench(tick_s=1.0, sample_s=1.0)
    await bench.runner._sample()
    while bench.runner._ticking is not None:
        await asyncio.sleep(0.001)
    bench.clock.advance(passed_s)
    await bench.runner._sample()
    while bench.runner._ticking is not None:
        await asyncio.sleep(0.001)
    assert len(bench.memories) == decisions


SLEEPER = Sleeper(InstanceId("int4-0"), NOW_S)


async def test_what_must_outlast_the_process_is_kept_before_a_tick_acts():
    bench = Bench()
    bench.more = {"commands": commands((Verb.SLEEP, "bf16-1"))}
    bench.driver.gate.set()
    await bench.until(lambda: len(bench.kept) >= 2)
    sequence, sleepers, published = bench.kept[0]
    assert (sequence, sleepers, published) == (bench.memories[0] + 1, ["bf16-1"], 0)


async def test_the_end_wakes_what_was_put_to_sleep_and_keeps_that_it_did():
    bench = Bench(sleepers=(SLEEPER,))
    bench.driver.gate.set()
    await bench.until(lambda: bench.memories and bench.kept)
    ended = bench.recorder.of(ACTUATION_KIND)[-1]
    assert (ended["verb"], ended["instance_id"], ended["is_done"]) == ("wake", "int4-0", True)
    assert ended["reason"] == "the controller ends"
    assert bench.kept[-1][1] == []


async def test_told_twice_to_stop_it_does_not_wait_for_a_wake():
    bench = Bench(sleepers=(SLEEPER,), clock=SystemClock())
    task = asyncio.create_task(bench.runner.run())
    while not bench.kept:
        await asyncio.sleep(0.001)
    bench.runner.stop()
    bench.runner.stop()
    async with asyncio.timeout(10):
        await task
    assert bench.kept[-1][1] == ["int4-0"]


async def test_in_a_mode_that_does_not_act_a_former_life_s_sleepers_are_woken():
    bench = Bench(sleepers=(SLEEPER,))
    bench.more = {"publish": False}
    bench.driver.gate.set()
    await bench.until(lambda: bench.recorder.of(ACTUATION_KIND))
    assert bench.recorder.of(ACTUATION_KIND)[0]["reason"] == "the controller does not act any more"
    assert bench.recorder.of(RECORD_KIND)[0]["actions"] == ["wake int4-0: the controller does not act any more"]
    assert bench.publisher.tables == []
    assert bench.metric("given_back_total") == 1


async def test_a_step_down_a_ladder_is_a_log_event_a_metric_and_a_line_of_the_status(caplog):
    bench = Bench()
    down = diagnostics(fallbacks=(Fallback("plan", "greedy", "the solver is late"),))
    bench.more = {"diagnostics": down}
    await bench.until(lambda: len(bench.memories) >= 3 and bench.statuses[-1].decision)
    steps = [record for record in caplog.records if record.message == "standing on a lower step"]
    assert [(r.ladder, r.step, r.reason) for r in steps] == [("plan", "greedy", "the solver is late")]
    assert bench.metric("fallbacks_total", ladder="plan", step="greedy") >= 2
    assert bench.statuses[-1].decision.diagnostics.fallbacks == down.fallbacks


async def test_energy_is_booked_at_each_look_and_recorded():
    desk = Account()
    bench = Bench(desk=desk)
    await bench.until(lambda: len(bench.recorder.of("energy")) >= 2)
    looks = [record["look"] for record in bench.recorder.of("energy")]
    assert looks[:2] == [1, 2]
    assert looks[-1] == "last"  # what was booked since the last settlement is settled at the end
    assert desk.sites[-1] is bench.statuses[-1].decision.site  # the curves in force
    assert bench.statuses[-1].j_per_output_token["bf16"] == {"standard": 4.5}


async def test_an_account_that_fails_is_told_and_does_not_stop_the_control():
    bench = Bench(desk=Account(ActuationError("redis", "gone")))
    await bench.until(lambda: "energy" in bench.faults() and len(bench.publisher.tables) >= 2)
    assert bench.metric("faults_total", step="energy") >= 1
    assert bench.recorder.of("energy")


async def test_routers_are_told_what_was_read_of_the_engines_and_a_failure_stands_until_it_is_over():
    told, failures = [], [ActuationError("redis", "gone")]

    async def tell(instances):
        if failures:
            raise failures.pop()
        told.append([each.instance_id for each in instances])

    bench = Bench(loads=SimpleNamespace(tell=tell))
    await bench.until(lambda: len(told) >= 2)
    assert told[0] == [each.instance_id for each in observation(NOW_S).instances]
    assert bench.metric("faults_total", step="loads") == 1
    assert "loads" not in bench.faults()


async def test_what_has_to_be_told_at_once_is_told_without_a_plan_and_planned_for_next():
    bench = Bench(tick_s=3600.0, sample_s=3600.0, clock=SystemClock())
    task = asyncio.create_task(bench.runner.run())
    async with asyncio.timeout(20):
        while len(bench.memories) < 1:
            await asyncio.sleep(0.001)
        assert bench.hasty == []
        bench.runner.hasten()
        while len(bench.memories) < 3:
            await asyncio.sleep(0.001)
    bench.runner.stop()
    await task
    assert len(bench.hasty) == 1


async def test_an_event_that_was_heard_of_is_decided_upon_before_the_tick_is_due():
    bench = Bench(tick_s=3600.0)
    event = GridEvent("e", 1000.0, NOW_S + 5.0, NOW_S + 60.0, NOW_S)
    bench.source.events = (event,)
    await bench.until(lambda: len(bench.hasty) >= 2)
    heard_s, begun_s = bench.hasty[:2]
    assert heard_s <= NOW_S + 1.0
    assert event.start_s <= begun_s <= event.start_s + 1.0


async def test_a_clock_that_was_set_is_known_to_the_next_decision_which_is_made_at_once():
    bench = Bench(tick_s=3600.0, sample_s=3600.0, clock=SystemClock())
    task = asyncio.create_task(bench.runner.run())
    async with asyncio.timeout(20):
        while len(bench.memories) < 1:
            await asyncio.sleep(0.001)
        bench.runner.clock_set(-7200.0, NOW_S)
        bench.runner.clock_set(100.0, NOW_S)
        while len(bench.memories) < 2:
            await asyncio.sleep(0.001)
    bench.runner.stop()
    await task
    assert [step_s for step_s, _ in bench.stepped] == [-7100.0]
    assert bench.memories[1] - bench.memories[0] >= 1000


class Several(SoleLeader):
    """One of several: goes on from what another left, and tells what does not work."""

    def __init__(self, *, leads=True):
        self.leads, self.failure, self.resigned, self.heir = leads, None, False, False

    def may_act(self):
        return self.leads

    async def follow(self, memory, now_s):
        return dataclasses.replace(memory, sequence=max(memory.sequence, 10**14))

    async def resign(self):
        self.resigned = True


async def test_a_decision_goes_on_from_what_another_controller_left():
    leadership = Several()
    bench = Bench(leadership=leadership)
    await bench.until(lambda: len(bench.memories) >= 2)
    assert bench.memories[:2] == [10**14, 10**14 + 1]
    assert leadership.resigned


async def test_a_standby_decides_and_is_ready_and_publishes_nothing():
    bench = Bench(leadership=Several(leads=False))
    await bench.until(lambda: len(bench.memories) >= 3)
    assert bench.runner.is_ready
    assert bench.publisher.tables == []


async def test_what_cannot_be_handed_over_is_a_fault_until_it_can():
    leadership = Several()
    leadership.failure = "redis: no answer"
    bench = Bench(leadership=leadership)
    await bench.until(lambda: "handover" in bench.faults())
    assert bench.faults()["handover"] == "redis: no answer"
    assert bench.metric("faults_total", step="handover") >= 1
    assert bench.publisher.tables, "the control goes on"
    leadership.failure = None
    later = Bench(leadership=leadership)
    await later.until(lambda: len(later.memories) >= 2)
    assert "handover" not in later.faults()


async def test_a_process_that_stands_still_while_it_reads_decides_for_the_time_at_which_it_goes_on():
    bench = Bench()
    read = bench.source.read

    async def stand_still(now_s):
        seen = await read(now_s)
        if len(bench.source.reads) == 1:
            bench.clock.advance(60.0)
        return seen

    bench.source.read = stand_still
    await bench.until(lambda: bench.publisher.tables)
    assert bench.source.reads[0] == NOW_S
    assert bench.statuses[0].observation.now_s == NOW_S + 60.0
