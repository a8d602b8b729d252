import asyncio
from dataclasses import replace

import pytest

from controller.actuators.instance_tasks import InstanceTasks
from controller.clock import VirtualClock
from controller.errors import ActuationError
from controller.lifecycle.diagnostics import PoolDiagnostics
from controller.lifecycle.handback import OnExit, Sleeper
from controller.loop.custody import RETRY_S, Custody, CustodyOptions, firm_limit_of
from controller.metrics.telemetry import Telemetry
from controller.model.grid import GridEvent, Precedence
from controller.model.mode import Mode
from controller.model.observation import InstanceState
from controller.model.plan import InstanceCommand, Verb
from controller.signals.present import Present
from router.contract import InstanceId, PoolId
from tests.fakes.controller_parts import NOW_S, commands, curves, decision, diagnostics, instance, pool, site
from tests.fakes.pool_modes import with_modes
from tests.fakes.rosters import Told, roster

SITE = site()
NAME = InstanceId("int4-0")
ADDED_W = curves().p0_w - curves().sleeping_w
DOUBTED = replace(
    SITE,
    pools=tuple(
        replace(pool, curves=replace(pool.curves, step_base_j=1.1 * pool.curves.step_base_j)) for pool in SITE.pools
    ),
)
"""The site with the upper end of what its instances may draw."""


class Driver:
    verbs = (Verb.SLEEP, Verb.WAKE)

    def __init__(self):
        self.told = []
        self.gates = {verb: asyncio.Event() for verb in self.verbs}
        self.state = InstanceState.SLEEPING
        self.fails = False

    async def carry_out(self, command):
        self.told.append(command.verb)
        await self.gates[command.verb].wait()
        if self.fails:
            raise ActuationError(command.instance_id, "no")
        self.state = InstanceState.SLEEPING if command.verb is Verb.SLEEP else InstanceState.SERVING
        return "done"


class Bench:
    def __init__(self, *sleepers, rosters=None, site_of=SITE, **options):
        self.driver, self.telemetry = Driver(), Telemetry(SITE)
        self.driver.gates[Verb.WAKE].set()
        self.tasks = InstanceTasks((self.driver,), VirtualClock(NOW_S))
        known = tuple(Sleeper(InstanceId(name), NOW_S) for name in sleepers)
        self.firm_w = None
        self.custody = Custody(
            Present(site_of, rosters),
            self.tasks,
            self.telemetry,
            CustodyOptions(**options),
            known,
            firm_w=lambda now_s: self.firm_w,
        )
        self.hurry = asyncio.Event()

    async def look(self):
        return (instance(NAME, self.driver.state),)

    async def leave(self, made=None):
        await self.custody.leave(made or decision(SITE), self.look, self.hurry)
        for outcome in self.tasks.take_outcomes():
            self.custody.take_outcome(outcome)
        self.custody.tell_left()
        await self.tasks.close()

    def metric(self, name):
        return self.telemetry.registry.get_sample_value(f"wattroute_controller_{name}")


def drawing(measured_w=4000.0, **more):
    return decision(SITE, diagnostics=diagnostics(measured_w=measured_w, **more))


async def test_what_was_put_to_sleep_is_awake_when_the_controller_has_ended(caplog):
    bench = Bench()
    bench.custody.command((InstanceCommand(Verb.SLEEP, NAME, "a test"),), NOW_S)
    assert bench.metric("sleepers") == 1
    await bench.leave()
    assert bench.driver.state is InstanceState.SERVING
    assert (bench.metric("sleepers"), bench.metric("given_back_total")) == (0, 1)
    assert "stay asleep" not in caplog.text


async def test_one_that_was_told_to_wake_is_remembered_until_it_has_answered():
    bench = Bench()
    bench.driver.fails = True
    for is_answered in (False, True):
        bench.driver.fails = not is_answered
        told = commands((Verb.WAKE, NAME))
        bench.custody.command(told.instances, NOW_S)
        await bench.tasks.apply(told)
        await bench.tasks.settle()
        for outcome in bench.tasks.take_outcomes():
            bench.custody.take_outcome(outcome)
        bench.driver.state = InstanceState.SERVING
        bench.custody.see(bench.tasks.overlay(await bench.look()), NOW_S + 60.0)
        assert bench.custody.sleepers == (() if is_answered else (Sleeper(NAME, NOW_S, is_woken=True),))
    await bench.tasks.close()


async def test_one_that_is_woken_as_it_is_given_back_is_to_prove_it():
    bench = Bench(NAME)
    bench.driver.fails = True
    await bench.custody.give_back(decision(SITE), await bench.look(), "a test")
    assert bench.custody.sleepers == (Sleeper(NAME, NOW_S, is_woken=True),)
    await bench.tasks.close()


async def test_the_return_from_an_event_keeps_nothing_asleep_at_the_end():
    bench = Bench(NAME)
    told = diagnostics(effective_limit_w=4000.0, measured_w=4000.0, is_only_returning=True)
    await bench.leave(decision(SITE, diagnostics=told))
    assert bench.driver.state is InstanceState.SERVING


async def test_what_others_put_to_sleep_is_not_touched():
    bench = Bench()
    await bench.leave()
    assert bench.driver.told == []


@pytest.mark.parametrize("state", [InstanceState.SERVING, InstanceState.SLEEPING])
async def test_one_that_is_falling_asleep_is_woken_once_its_command_is_done(state):
    bench = Bench(NAME)
    bench.driver.state = state
    await bench.tasks.apply(commands((Verb.SLEEP, NAME)))
    leaving = asyncio.create_task(bench.leave())
    await asyncio.sleep(0.02)
    bench.driver.gates[Verb.SLEEP].set()
    await leaving
    assert bench.driver.told == [Verb.SLEEP, Verb.WAKE]
    assert bench.custody.sleepers == ()


async def test_an_engine_that_is_awake_but_failed_its_canary_is_told_again_by_a_controller_that_does_not_act():
    bench = Bench(NAME)
    bench.driver.fails = True
    seen = await bench.look()
    for now_s in (NOW_S + 60.0, NOW_S + 60.0 + 0.5 * RETRY_S, NOW_S + 60.0 + RETRY_S):
        shown = bench.tasks.overlay(seen)
        bench.custody.see(shown, now_s)
        await bench.custody.give_back(decision(SITE, diagnostics=diagnostics(now_s)), shown, "a test")
        await bench.tasks.settle()
        bench.driver.fails, seen = False, (instance(NAME),)
    assert [outcome.is_done for outcome in bench.tasks.take_outcomes()] == [False, True]


async def test_a_configured_leave_leaves_them_and_names_them(caplog):
    bench = Bench(NAME, on_exit=OnExit.LEAVE)
    assert await bench.custody.give_back(decision(SITE), await bench.look(), "a test") == ()
    await bench.leave()
    assert bench.driver.told == []
    (record,) = caplog.records
    assert (record.instances, record.on_exit) == ([NAME], "leave")


@pytest.mark.parametrize(
    ("made", "firm_w", "woken"),
    [
        (drawing(), 4000.0 + ADDED_W - 1, False),
        (drawing(), 4000.0 + ADDED_W + 1, True),
        (drawing(margin_frac=0.01), 4000.0 + ADDED_W + 1, False),
        (drawing(measured_w=None), 3970.0 + ADDED_W + 1, True),
        (drawing(measured_w=None), 3970.0 + ADDED_W - 1, False),
        (replace(drawing(), upper=DOUBTED), 4000.0 + ADDED_W + 1, False),
        (replace(drawing(), upper=DOUBTED), 4000.0 + 1.5 * ADDED_W, True),
        (drawing(effective_limit_w=3000.0), None, True),
    ],
)
async def test_a_limit_in_force_is_kept_unless_the_classes_come_first(made, firm_w, woken, caplog):
    bench = Bench(NAME)
    bench.firm_w = firm_w
    await bench.leave(made)
    assert (bench.driver.state is InstanceState.SERVING) is woken
    assert ("W are left" in str([getattr(r, "instances", "") for r in caplog.records])) is not woken


def test_each_event_says_itself_whether_its_limit_outranks_the_classes():
    def event(limit_w, precedence):
        return GridEvent(f"at {limit_w}", limit_w, NOW_S - 60, NOW_S + 60, NOW_S, precedence=precedence)

    yields, holds = event(3000.0, Precedence.QOS), event(5000.0, Precedence.CONTRACT)
    unsaid = event(4000.0, None)
    for order in Precedence:
        assert firm_limit_of((yields, holds), None, order, NOW_S) == 5000.0
        assert firm_limit_of((yields,), None, order, NOW_S) is None
        assert firm_limit_of((holds,), None, order, NOW_S + 60) is None
    assert firm_limit_of((unsaid, yields), 9000.0, Precedence.CONTRACT, NOW_S) == 4000.0
    assert firm_limit_of((unsaid, holds), 900.0, Precedence.QOS, NOW_S) == 5000.0


async def test_an_engine_that_does_not_wake_does_not_hold_up_the_end_and_is_named(caplog):
    bench = Bench(NAME, wait_s=0.05)
    bench.driver.gates[Verb.WAKE].clear()
    await bench.leave()
    assert caplog.records[-1].message.startswith("instances stay asleep")
    assert caplog.records[-1].instances == [NAME]


async def test_one_that_fails_to_wake_is_tried_once_and_named(caplog):
    bench = Bench(NAME)
    bench.driver.fails = True
    await bench.leave()
    assert bench.driver.told == [Verb.WAKE]
    assert caplog.records[-1].instances == [NAME]


async def test_one_that_fails_to_wake_is_tried_again_after_a_while():
    bench = Bench(NAME)
    bench.driver.fails = True
    for now_s in (NOW_S, NOW_S + 5, NOW_S + RETRY_S, NOW_S + RETRY_S + 5):
        made = decision(SITE, diagnostics=diagnostics(now_s))
        await bench.custody.give_back(made, await bench.look(), "a test")
        await bench.tasks.settle()
    assert bench.driver.told == [Verb.WAKE] * 2


async def test_who_is_in_a_hurry_need_not_wait():
    bench = Bench(NAME, wait_s=3600.0)
    bench.driver.gates[Verb.WAKE].clear()
    leaving = asyncio.create_task(bench.leave())
    await asyncio.sleep(0.02)
    bench.hurry.set()
    async with asyncio.timeout(10):
        await leaving


async def test_a_fault_while_looking_is_not_swallowed():
    bench = Bench(NAME)

    async def look():
        raise RuntimeError("boom")

    bench.look = look
    with pytest.raises(RuntimeError, match="boom"):
        await bench.leave()


async def test_without_a_decision_nothing_is_woken_and_it_is_told(caplog):
    bench = Bench(NAME)
    await bench.custody.leave(None, bench.look, bench.hurry)
    bench.custody.tell_left()
    assert bench.driver.told == []
    assert "stay asleep" in caplog.text


async def test_those_left_are_told_once_while_nothing_changes(caplog):
    bench = Bench(NAME)
    bench.firm_w = 0.0
    for _ in range(3):
        await bench.custody.give_back(drawing(), await bench.look(), "a test")
    assert len(caplog.records) == 1


async def test_one_seen_serving_again_is_forgotten():
    bench = Bench(NAME)
    bench.custody.see((instance(NAME, InstanceState.SERVING),), NOW_S + 3600)
    assert bench.custody.sleepers == ()
    assert bench.metric("sleepers") == 0


async def test_sleepers_of_a_former_process_are_not_forgotten_before_it_is_known_who_is_there():
    source = Told()
    bench = Bench(
        "pod-1",
        "pod-2",
        rosters=source,
        site_of=replace(SITE, pools=(*SITE.pools, replace(pool("found", ("http://10.0.0.1",)), instances=()))),
    )
    bench.custody.see((), NOW_S)
    assert [sleeper.instance_id for sleeper in bench.custody.sleepers] == ["pod-1", "pod-2"]
    source.rosters = (roster("found", **{"pod-2": "http://10.0.0.2:8000"}),)
    bench.custody.see((), NOW_S)
    assert [sleeper.instance_id for sleeper in bench.custody.sleepers] == ["pod-2"]


async def test_a_sleeper_that_is_gone_holds_up_nobody_else():
    bench = Bench("gone-1", NAME)
    await bench.leave()
    assert bench.driver.told == [Verb.WAKE]


async def test_another_controller_s_sleepers_are_answered_for_in_place_of_ours():
    telemetry = Telemetry(SITE)
    custody = Custody(SITE, InstanceTasks((), VirtualClock(NOW_S)), telemetry, sleepers=(Sleeper(NAME, NOW_S),))
    custody.take_charge(())
    assert custody.sleepers == ()
    custody.take_charge((Sleeper(NAME, NOW_S + 5),))
    assert custody.sleepers == (Sleeper(NAME, NOW_S + 5),)
    assert telemetry.registry.get_sample_value("wattroute_controller_sleepers") == 1.0


OBSERVED = with_modes(SITE, int4=Mode.OBSERVE)


async def test_those_of_a_pool_that_is_not_acted_upon_any_more_are_given_back_and_no_others():
    bench = Bench(NAME, "bf16-0", site_of=OBSERVED)
    asleep = (*await bench.look(), instance("bf16-0", InstanceState.SLEEPING))
    lines = await bench.custody.give_back_held(decision(SITE), asleep, "a test")
    assert lines == (f"wake {NAME}: a test",)
    await bench.leave()
    assert bench.metric("given_back_total") == 1


async def test_while_all_pools_are_acted_upon_nothing_is_given_back():
    bench = Bench(NAME)
    assert await bench.custody.give_back_held(decision(SITE), await bench.look(), "a test") == ()


@pytest.mark.parametrize(("waking", "woken"), [(0, 1), (1, 0)])
async def test_what_the_acting_controller_brings_up_takes_its_room_first(waking, woken):
    bench = Bench(NAME, site_of=OBSERVED)
    bench.firm_w = 4000.0 / 0.97 + ADDED_W + 100
    pools = (PoolDiagnostics(PoolId("bf16"), 2, 0, waking, 0, 0, 0, 2, 900.0, 2400.0),)
    made = drawing(pools=pools, margin_frac=0.03)
    assert len(await bench.custody.give_back_held(made, await bench.look(), "a test")) == woken
    await bench.tasks.close()


async def test_a_configured_leave_leaves_those_of_such_a_pool_asleep_as_well():
    bench = Bench(NAME, site_of=OBSERVED, on_exit=OnExit.LEAVE)
    assert await bench.custody.give_back_held(decision(SITE), await bench.look(), "a test") == ()
