import asyncio
import dataclasses

import pytest

from controller.actuators.instance_tasks import InstanceTasks
from controller.clock import VirtualClock
from controller.errors import ActuationError
from controller.model.observation import InstanceState
from controller.model.plan import Verb
from tests.fakes.controller_parts import commands, instance


class Driver:
    """Ends each command when told, with the given failure."""

    verbs = (Verb.WAKE, Verb.SLEEP)

    def __init__(self, failure=None):
        self.failure = failure
        self.gate = asyncio.Event()
        self.seen = []

    async def carry_out(self, command):
        self.seen.append((command.verb, command.instance_id))
        await self.gate.wait()
        if self.failure:
            raise self.failure
        return "done"


async def settle(tasks, count=1):
    outcomes = []
    while len(outcomes) < count:
        await asyncio.sleep(0)
        outcomes += tasks.take_outcomes()
    return outcomes


def states(tasks, *seen):
    return [item.state for item in tasks.overlay(tuple(seen))]


async def test_a_command_runs_in_the_background_and_its_end_is_told_once():
    driver = Driver()
    tasks = InstanceTasks((driver,), VirtualClock())
    assert await tasks.apply(commands((Verb.SLEEP, "a-0"))) == ("sleep a-0: a test",)
    assert tasks.take_outcomes() == ()
    driver.gate.set()
    (outcome,) = await settle(tasks)
    assert (outcome.is_done, outcome.detail, outcome.command.instance_id) == (True, "done", "a-0")
    assert tasks.take_outcomes() == ()


async def test_a_busy_instance_gets_no_second_command_but_others_do():
    driver = Driver()
    tasks = InstanceTasks((driver,), VirtualClock())
    await tasks.apply(commands((Verb.WAKE, "a-0")))
    await tasks.apply(commands((Verb.WAKE, "a-0"), (Verb.SLEEP, "a-0"), (Verb.WAKE, "a-1")))
    driver.gate.set()
    await settle(tasks, 2)
    assert driver.seen == [(Verb.WAKE, "a-0"), (Verb.WAKE, "a-1")]


async def test_what_is_left_to_others_is_not_begun():
    driver = Driver()
    tasks = InstanceTasks((driver,), VirtualClock(), leaves=lambda command: command.instance_id == "a-0")
    assert await tasks.apply(commands((Verb.SLEEP, "a-0"), (Verb.SLEEP, "a-1"))) == ("sleep a-1: a test",)
    assert tasks.busy == {"a-1"}
    await tasks.close()
    assert driver.seen in ([], [(Verb.SLEEP, "a-1")])


async def test_an_instance_is_shown_as_waking_until_its_wake_is_proven():
    driver = Driver()
    tasks = InstanceTasks((driver,), VirtualClock())
    await tasks.apply(commands((Verb.WAKE, "a-0")))
    seen = (instance("a-0"), instance("a-1"))
    assert states(tasks, *seen) == [InstanceState.WAKING, InstanceState.SERVING]
    driver.gate.set()
    await settle(tasks)
    assert states(tasks, *seen) == [InstanceState.SERVING, InstanceState.SERVING]


async def test_a_failed_wake_keeps_the_instance_out_of_use_until_one_succeeds():
    driver = Driver(ActuationError("a-0", "canary failed"))
    driver.gate.set()
    tasks = InstanceTasks((driver,), VirtualClock())
    await tasks.apply(commands((Verb.WAKE, "a-0")))
    (outcome,) = await settle(tasks)
    assert (outcome.is_done, outcome.detail) == (False, "a-0: canary failed")
    assert states(tasks, instance("a-0")) == [InstanceState.SLEEPING]
    assert states(tasks, instance("a-0", InstanceState.UNREACHABLE)) == [InstanceState.UNREACHABLE]
    driver.failure = None
    await tasks.apply(commands((Verb.WAKE, "a-0")))
    await settle(tasks)
    assert states(tasks, instance("a-0")) == [InstanceState.SERVING]


async def failed(driver, tasks, verb=Verb.WAKE):
    driver.failure = ActuationError("a-0", "canary failed")
    driver.gate.set()
    await tasks.apply(commands((verb, "a-0")))
    await settle(tasks)


async def test_an_engine_that_is_awake_but_failed_its_wake_counts_as_asleep_and_is_told_apart_from_a_sleeper():
    driver = Driver()
    tasks = InstanceTasks((driver,), VirtualClock())
    await failed(driver, tasks)
    awake, asleep = (
        tasks.overlay((instance("a-0", state),)) for state in (InstanceState.SERVING, InstanceState.SLEEPING)
    )
    assert [(seen.state, seen.is_unproven) for seen in (*awake, *asleep)] == [
        (InstanceState.SLEEPING, True),
        (InstanceState.SLEEPING, False),
    ]
    driver.gate.clear()
    await tasks.apply(commands((Verb.WAKE, "a-0")))
    [again] = tasks.overlay((instance("a-0"),))
    assert (again.state, again.is_unproven) == (InstanceState.WAKING, False)
    await tasks.close()


async def test_a_command_to_sleep_that_fails_leaves_the_doubt_about_a_wake():
    driver = Driver()
    tasks = InstanceTasks((driver,), VirtualClock())
    await failed(driver, tasks)
    await failed(driver, tasks, Verb.SLEEP)
    assert states(tasks, instance("a-0")) == [InstanceState.SLEEPING]
    driver.failure = None
    await tasks.apply(commands((Verb.SLEEP, "a-0")))
    await settle(tasks)
    assert states(tasks, instance("a-0")) == [InstanceState.SERVING]


async def test_of_an_instance_that_was_away_nothing_is_known_when_one_comes_under_its_name():
    driver = Driver()
    tasks = InstanceTasks((driver,), VirtualClock())
    await failed(driver, tasks)
    assert tasks.overlay((instance("a-1"),)) == (instance("a-1"),)
    assert states(tasks, instance("a-0")) == [InstanceState.SERVING]


async def test_a_wake_under_way_is_remembered_while_its_instance_is_away():
    driver = Driver()
    tasks = InstanceTasks((driver,), VirtualClock())
    await tasks.apply(commands((Verb.WAKE, "a-0")))
    tasks.overlay(())
    assert states(tasks, instance("a-0")) == [InstanceState.WAKING]
    await tasks.close()


async def test_a_wake_given_up_leaves_the_doubt_until_another_controller_has_been_in_charge():
    driver = Driver()
    tasks = InstanceTasks((driver,), VirtualClock())
    await tasks.apply(commands((Verb.WAKE, "a-0")))
    tasks.give_up()
    await tasks.settle()
    assert states(tasks, instance("a-0")) == [InstanceState.SLEEPING]
    tasks.doubt(())
    assert states(tasks, instance("a-0")) == [InstanceState.SERVING]


async def test_what_a_former_process_or_leader_had_woken_is_not_used_before_it_has_answered():
    driver = Driver()
    driver.gate.set()
    tasks = InstanceTasks((driver,), VirtualClock())
    tasks.doubt(("a-0",))
    assert states(tasks, instance("a-0"), instance("a-1")) == [InstanceState.SLEEPING, InstanceState.SERVING]
    await tasks.apply(commands((Verb.WAKE, "a-0")))
    await settle(tasks)
    assert states(tasks, instance("a-0")) == [InstanceState.SERVING]


async def test_the_doubt_stays_while_it_is_not_known_which_instances_there_are():
    known = []
    tasks = InstanceTasks((Driver(),), VirtualClock(), is_whole=lambda: bool(known))
    tasks.doubt(("a-0",))
    assert tasks.overlay(()) == ()
    assert states(tasks, instance("a-0")) == [InstanceState.SLEEPING]
    known.append("all")
    tasks.overlay(())
    assert states(tasks, instance("a-0")) == [InstanceState.SERVING]


async def test_sleeping_ends_the_doubt_about_a_wake():
    driver = Driver(ActuationError("a-0", "canary failed"))
    driver.gate.set()
    tasks = InstanceTasks((driver,), VirtualClock())
    await tasks.apply(commands((Verb.WAKE, "a-0")))
    await settle(tasks)
    await tasks.apply(commands((Verb.SLEEP, "a-0")))
    assert states(tasks, instance("a-0", InstanceState.SLEEPING)) == [InstanceState.SLEEPING]
    await settle(tasks)


async def test_a_fault_in_a_driver_is_an_outcome_too(caplog):
    driver = Driver(RuntimeError("boom"))
    driver.gate.set()
    tasks = InstanceTasks((driver,), VirtualClock())
    await tasks.apply(commands((Verb.WAKE, "a-0")))
    (outcome,) = await settle(tasks)
    assert (outcome.is_done, outcome.detail) == (False, "RuntimeError: boom")
    assert "driver failed" in caplog.text


async def test_a_verb_that_nothing_can_do_names_the_setting():
    tasks = InstanceTasks((Driver(),), VirtualClock())
    await tasks.apply(commands((Verb.START, "a-0")))
    (outcome,) = await settle(tasks)
    assert "set controller.supervisor_url" in outcome.detail


async def test_closing_gives_up_what_runs():
    tasks = InstanceTasks((Driver(),), VirtualClock())
    await tasks.apply(commands((Verb.WAKE, "a-0")))
    await asyncio.sleep(0)
    await tasks.close()
    (outcome,) = tasks.take_outcomes()
    assert (outcome.is_done, outcome.detail) == (False, "given up at shutdown")


async def test_one_may_wait_for_all_that_runs_or_for_some():
    one, other = Driver(), Driver()
    other.verbs = (Verb.STOP,)
    tasks = InstanceTasks((one, other), VirtualClock())
    await tasks.apply(commands((Verb.WAKE, "a-0"), (Verb.STOP, "a-1")))
    assert tasks.busy == {"a-0", "a-1"}
    one.gate.set()
    async with asyncio.timeout(10):
        await tasks.settle(("a-0", "unknown"))
    assert tasks.busy == {"a-1"}
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.02):
            await tasks.settle()
    assert tasks.busy == {"a-1"}
    other.gate.set()
    await tasks.settle()
    assert [outcome.is_done for outcome in tasks.take_outcomes()] == [True, True]


@pytest.mark.parametrize("has_begun", [True, False])
async def test_what_another_controller_takes_charge_of_is_given_up_whether_it_has_begun_or_not(has_begun):
    driver = Driver()
    tasks = InstanceTasks((driver,), VirtualClock())
    await tasks.apply(commands((Verb.WAKE, "a-0")))
    if has_begun:
        await asyncio.sleep(0.01)
    tasks.give_up()
    async with asyncio.timeout(10):
        await tasks.settle()
    assert [outcome.is_done for outcome in tasks.take_outcomes()] == ([False] if has_begun else [])
    assert tasks.busy == frozenset()


class Kept:
    """Shows all as sleeping, until it forgets."""

    forgotten = False
    adopted = ()

    def adopt(self, pods):
        self.adopted = pods

    def shown(self, instances):
        return tuple(dataclasses.replace(each, state=InstanceState.SLEEPING) for each in instances)

    def forget(self):
        self.forgotten = True


async def test_what_is_kept_is_shown_and_forgotten_once_another_controller_has_taken_charge():
    kept, forgotten = Kept(), []
    tasks = InstanceTasks((Driver(),), VirtualClock(), kept=kept, forgets=(lambda: forgotten.append("marks"),))
    [seen] = tasks.overlay((instance("a-0"),))
    assert (seen.state, kept.forgotten) == (InstanceState.SLEEPING, False)
    tasks.adopt(("a-0",))
    assert kept.adopted == ("a-0",)
    tasks.give_up()
    assert kept.forgotten
    assert forgotten == ["marks"]
