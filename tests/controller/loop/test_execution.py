import asyncio
from dataclasses import replace

import pytest

from controller.actuators.instance_tasks import InstanceTasks
from controller.clock import VirtualClock
from controller.errors import ActuationError, StoreError, Superseded
from controller.lifecycle.handback import Sleeper
from controller.lifecycle.memory import Intent, Phase
from controller.loop.custody import Custody
from controller.loop.execution import ACTUATION_KIND, Execution, ExecutionParts
from controller.loop.faults import Faults
from controller.loop.leadership import SoleLeader
from controller.loop.records import Records
from controller.metrics.telemetry import Telemetry
from controller.model.mode import Mode
from controller.model.observation import InstanceState
from controller.model.plan import Verb
from controller.signals.present import Present
from controller.tick import Memory
from router.contract import InstanceId
from tests.fakes.controller_parts import NOW_S, ListRecorder, commands, decision, observation, site
from tests.fakes.loop_parts import Driver, Publisher
from tests.fakes.pool_modes import with_modes

SITE = site()


class Bench:
    def __init__(self, *sleepers, publish_timeout_s=3.0, leadership=None, of=SITE):
        self.publishers, self.driver, self.recorder = (Publisher(), Publisher()), Driver(), ListRecorder()
        self.kept, self.keep_failure = [], None
        self.telemetry, clock = Telemetry(SITE), VirtualClock(NOW_S)
        self.tasks = InstanceTasks((self.driver,), clock)
        self.custody = Custody(Present(of), self.tasks, self.telemetry, sleepers=sleepers)
        self.counted = []
        self.faults = Faults(self.counted.append, clock.wall_s)
        records = Records(self.recorder, None, self.faults, clock.wall_s)
        parts = ExecutionParts(
            self.publishers,
            self.tasks,
            self.custody,
            self.keep,
            records,
            self.telemetry,
            publish_timeout_s,
            leadership or SoleLeader(),
        )
        self.execution = Execution(parts, self.faults)

    async def keep(self, memory, sleepers, now_s):
        if self.keep_failure:
            raise self.keep_failure
        self.kept.append(([sleeper.instance_id for sleeper in sleepers], len(self.publishers[0].tables)))

    async def carry_out(self, seen=None, **more):
        lines = await self.execution.carry_out(decision(SITE, **more), seen or observation())
        await self.tasks.settle()
        return lines

    def commanded(self):
        return [outcome.command.instance_id for outcome in self.tasks.take_outcomes()]

    def in_force(self):
        return {fault.step: fault.reason for fault in self.faults.in_force}


class Leads(SoleLeader):
    """Leads until it is told otherwise; notes what it hands over."""

    def __init__(self, *, leads=True, still_leads=True):
        self.leads, self.still_leads, self.handed, self.resigned = leads, still_leads, [], False
        self.has_heir = False

    def may_act(self):
        return self.leads

    async def hand_over(self, memory, sleepers, now_s):
        self.handed.append([sleeper.instance_id for sleeper in sleepers])
        self.leads = self.leads and self.still_leads
        return self.leads

    def superseded(self, reason):
        self.leads = False

    async def resign(self):
        self.resigned = True


async def test_a_standby_keeps_its_own_state_and_does_nothing():
    leadership = Leads(leads=False)
    bench = Bench(Sleeper(InstanceId("int4-0"), NOW_S), leadership=leadership)
    for publish in (True, False):
        assert await bench.carry_out(publish=publish, commands=commands((Verb.SLEEP, "bf16-1"))) == ()
    assert [publisher.tables for publisher in bench.publishers] == [[], []]
    assert (bench.commanded(), leadership.handed, len(bench.kept)) == ([], [], 2)


async def test_a_leader_hands_over_before_it_acts_and_does_nothing_where_that_tells_that_it_leads_no_more():
    leadership = Leads()
    bench = Bench(leadership=leadership)
    assert await bench.carry_out(commands=commands((Verb.SLEEP, "bf16-1")))
    assert (leadership.handed, bench.commanded()) == ([["bf16-1"]], ["bf16-1"])
    leadership.still_leads = False
    assert await bench.carry_out(commands=commands((Verb.SLEEP, "bf16-0"))) == ()
    assert (bench.commanded(), bench.publishers[0].tables) == ([], [7])


async def test_a_table_that_is_refused_because_another_leads_is_followed_by_no_command():
    leadership = Leads()
    bench = Bench(leadership=leadership)
    bench.publishers[1].failure = Superseded("redis", "b leads")
    await bench.carry_out(commands=commands((Verb.SLEEP, "bf16-1")))
    assert bench.commanded() == []
    assert bench.in_force() == {"publish": "redis: b leads"}


@pytest.mark.parametrize("leads", [True, False])
async def test_at_the_end_the_leader_hands_over_what_it_has_and_lets_go(leads, caplog):
    leadership = Leads(leads=leads)
    leadership.has_heir = True
    bench = Bench(Sleeper(InstanceId("int4-0"), NOW_S), leadership=leadership)
    await bench.execution.leave(Memory.initial(SITE, NOW_S), NOW_S)
    assert leadership.handed == ([["int4-0"]] if leads else [])
    assert leadership.resigned
    assert len(bench.kept) == 1
    assert not any("stay asleep" in message for message in caplog.messages)
    leadership.has_heir = False
    await bench.execution.leave(Memory.initial(SITE, NOW_S), NOW_S)
    assert any("stay asleep" in message for message in caplog.messages)


async def test_a_decision_is_kept_before_it_is_published_and_commanded():
    bench = Bench()
    lines = await bench.carry_out(commands=commands((Verb.SLEEP, "bf16-1")))
    assert bench.kept == [(["bf16-1"], 0)]
    assert [publisher.tables for publisher in bench.publishers] == [[7], [7]]
    assert lines[:2] == ("table 7", "table 7")
    assert "bf16-1" in lines[2]


async def test_a_publisher_that_fails_holds_back_neither_the_others_nor_the_instances():
    bench = Bench()
    bench.publishers[0].failure = ActuationError("redis", "down")
    await bench.carry_out(commands=commands((Verb.WAKE, "int4-0")))
    assert bench.in_force() == {"publish": "redis: down"}
    assert bench.publishers[1].tables == [7]
    await bench.execution.take_outcomes(NOW_S)
    assert [record["is_done"] for record in bench.recorder.of(ACTUATION_KIND)] == [True]
    bench.publishers[0].failure = None
    await bench.carry_out()
    assert bench.in_force() == {}


async def test_a_publisher_has_only_so_long():
    bench = Bench(publish_timeout_s=0.01)
    bench.publishers[0].gate = asyncio.Event()
    await bench.carry_out()
    assert bench.in_force() == {"publish": "Publisher: not done within 0.01 s"}
    assert bench.publishers[1].tables == [7]


async def test_a_state_that_cannot_be_kept_is_told_and_the_decision_is_carried_out():
    bench = Bench()
    bench.keep_failure = StoreError("the disk is full")
    await bench.carry_out()
    assert bench.in_force() == {"state": "StoreError: the disk is full"}
    assert bench.publishers[0].tables == [7]
    bench.keep_failure = None
    await bench.execution.keep(Memory.initial(SITE, NOW_S), NOW_S)
    assert bench.in_force() == {}


async def test_a_decision_that_is_not_to_be_published_gives_back_what_a_former_process_put_to_sleep():
    bench = Bench(Sleeper(InstanceId("int4-0"), NOW_S))
    lines = await bench.carry_out(publish=False, commands=commands((Verb.SLEEP, "bf16-1")))
    assert lines == ("wake int4-0: the controller does not act any more",)
    assert [publisher.tables for publisher in bench.publishers] == [[], []]
    assert bench.kept == [(["int4-0"], 0)]


@pytest.mark.parametrize("failure", [None, ActuationError("int4-0", "canary failed")])
async def test_how_a_command_ended_is_recorded_counted_and_shown_where_it_failed(failure):
    bench = Bench()
    bench.driver.failure = failure
    await bench.carry_out(commands=commands((Verb.WAKE, "int4-0")))
    await bench.execution.take_outcomes(NOW_S + 1.0)
    [record] = bench.recorder.of(ACTUATION_KIND)
    assert (record["verb"], record["instance_id"], record["reason"]) == ("wake", "int4-0", "a test")
    assert record["is_done"] is (failure is None)
    shown = {} if failure is None else {"actuate int4-0": "wake: int4-0: canary failed"}
    assert bench.in_force() == shown
    labels = {"verb": "wake", "outcome": "done" if failure is None else "failed"}
    assert bench.telemetry.registry.get_sample_value("wattroute_controller_actuations_total", labels) == 1


def wanting(*intents):
    """A memory in which this is wanted of instances, (name, phase) each."""
    wanted = tuple(Intent(InstanceId(name), phase, NOW_S, commanded_s=NOW_S) for name, phase in intents)
    return replace(Memory.initial(SITE, NOW_S), intents=wanted)


async def failed(bench, verb, name):
    bench.driver.failure = ActuationError(name, "refused")
    await bench.carry_out(commands=commands((verb, name)))
    await bench.execution.take_outcomes(NOW_S)
    assert f"actuate {name}" in bench.in_force()


async def test_a_command_that_failed_is_shown_until_it_succeeds():
    bench = Bench()
    await failed(bench, Verb.WAKE, "int4-0")
    await bench.carry_out(memory=wanting(("int4-0", Phase.WAKE)))
    assert "actuate int4-0" in bench.in_force()
    bench.driver.failure = None
    await bench.carry_out(commands=commands((Verb.WAKE, "int4-0")), memory=wanting(("int4-0", Phase.WAKE)))
    await bench.execution.take_outcomes(NOW_S)
    assert bench.in_force() == {}


@pytest.mark.parametrize(
    ("verb", "name", "intents"),
    [
        (Verb.WAKE, "int4-0", ()),
        (Verb.WAKE, "int4-0", (("int4-0", Phase.SERVE),)),
        (Verb.SLEEP, "bf16-1", (("bf16-1", Phase.SERVE),)),
    ],
)
async def test_a_command_that_failed_is_shown_no_more_once_its_instance_is_gone_or_it_is_not_wanted(
    verb, name, intents
):
    bench = Bench()
    await failed(bench, verb, name)
    serving = tuple(replace(each, state=InstanceState.SERVING) for each in observation().instances)
    seen = replace(observation(), instances=serving)
    await bench.carry_out(seen, memory=wanting(*intents, ("bf16-0", Phase.DRAIN)))
    assert bench.in_force() == {}


async def test_a_wake_that_failed_is_shown_while_its_instance_is_to_be_given_back():
    bench = Bench(Sleeper(InstanceId("int4-0"), NOW_S))
    await failed(bench, Verb.WAKE, "int4-0")
    resting = wanting(("int4-0", Phase.SLEEP))
    await bench.carry_out(publish=False, memory=resting)
    assert "actuate int4-0" in bench.in_force()
    bench.custody.take_charge(())
    await bench.carry_out(publish=False, memory=resting)
    assert bench.in_force() == {}


async def test_who_leads_no_more_shows_no_command_that_failed():
    leadership = Leads()
    bench = Bench(leadership=leadership)
    await failed(bench, Verb.WAKE, "int4-0")
    leadership.leads = False
    await bench.carry_out(memory=wanting(("int4-0", Phase.WAKE)))
    assert bench.in_force() == {}


@pytest.mark.parametrize("leads", [True, False])
async def test_while_others_are_acted_upon_those_of_a_held_pool_are_given_back_by_who_leads(leads):
    leadership = Leads(still_leads=leads)
    bench = Bench(Sleeper(InstanceId("int4-0"), NOW_S), leadership=leadership, of=with_modes(SITE, int4=Mode.OBSERVE))
    lines = await bench.carry_out(commands=commands((Verb.SLEEP, "bf16-1")))
    assert bench.commanded() == (["bf16-1", "int4-0"] if leads else [])
    assert (lines[-1:] == ("wake int4-0: its pool is not acted upon any more",)) is leads


async def test_who_is_found_to_lead_no_more_gives_nothing_back():
    bench = Bench(Sleeper(InstanceId("int4-0"), NOW_S), leadership=Leads(), of=with_modes(SITE, int4=Mode.OBSERVE))
    bench.publishers[1].failure = Superseded("redis", "b leads")
    await bench.carry_out(commands=commands())
    assert bench.commanded() == []
