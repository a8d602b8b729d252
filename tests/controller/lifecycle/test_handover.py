"""A second controller goes on from the first: what it was told goes through JSON, as it does through Redis."""

import json
from dataclasses import fields, replace

import pytest

from controller.lifecycle.handback import Sleeper
from controller.lifecycle.handover import Handover, UnderWay, adopted, handover_of
from controller.lifecycle.memory import Memory
from controller.model.gpu_limit import Found
from controller.model.observation import InstanceState
from controller.optimizer.cvxpy_planner import CvxpyPlanner
from controller.settlement.quality_budget import QualityBurn
from controller.store.plain import from_plain, to_plain
from controller.tick import Mode, TickPolicy, decide
from router.contract import ClassId, InstanceId
from tests.fakes.fake_fleet import FakeFleet, site

ACT = TickPolicy(mode=Mode.ACT)
STAND_BY = replace(ACT, mode=Mode.OBSERVE)
PLANNER = CvxpyPlanner(lambda: 0.0)


def sent(memory, now_s, sleepers=()):
    """A handover as the other side reads it."""
    written = json.dumps(to_plain(handover_of("a", "http://a:8090", memory, sleepers, now_s)))
    return from_plain(Handover, json.loads(written))


class Pair:
    """A leader and a standby over one fleet, two seconds a tick."""

    def __init__(self):
        self.fleet = FakeFleet(site(), {"premium": 4.0, "standard": 14.0, "flex": 8.0})
        self.memory = self.other = Memory.initial(self.fleet.site, self.fleet.now_s)
        self.decision = None
        self.tables = []

    def lead(self, seconds):
        for _ in range(round(seconds / 2)):
            self.fleet.advance(2.0)
            seen = self.fleet.observe()
            self.decision = decide(self.fleet.site, ACT, PLANNER, self.memory, seen)
            self.memory = self.decision.memory
            self.fleet.obey(self.decision)
            self.tables.append(self.decision.commands.table)
            other = adopted(self.fleet.site, self.other, self.handover(), seen.now_s, is_new=True)
            self.other = decide(self.fleet.site, STAND_BY, PLANNER, other, seen, plans=False).memory
        return self

    def handover(self):
        return sent(self.memory, self.fleet.now_s)


@pytest.fixture(scope="module")
def led():
    return Pair().lead(90)


def test_the_first_table_of_the_next_leader_says_what_the_last_one_said(led):
    fleet, last = led.fleet, led.tables[-1]
    assert any(len(entry.pools) > 1 for entry in last.weights), "no class is shared: the test shows nothing"
    now_s = fleet.now_s + 12.0  # as long as a lease takes to run out
    seen = replace(fleet.observe(), now_s=now_s)
    memory = adopted(fleet.site, led.other, led.handover(), now_s, is_new=False)
    first = decide(fleet.site, ACT, PLANNER, memory, seen, plans=False)
    table = first.commands.table
    assert table.sequence >= last.sequence
    assert table.draining == last.draining
    for before, after in zip(last.weights, table.weights, strict=True):
        shares = {pool.pool_id: pool.weight for pool in after.pools}
        assert all(shares[pool.pool_id] == pytest.approx(pool.weight, abs=0.02) for pool in before.pools)
    assert first.commands.instances == ()


def test_without_the_handover_there_would_be_a_step(led):
    """What the handover is for: a controller that just begins knows neither plan nor intents."""
    fresh = Memory.initial(led.fleet.site, led.fleet.now_s)
    assert fresh.plan is None
    taken = adopted(led.fleet.site, fresh, led.handover(), led.fleet.now_s, is_new=True)
    assert all(getattr(taken, each.name) == getattr(led.memory, each.name) for each in fields(UnderWay))
    asleep = {seen.instance_id for seen in led.fleet.observe().instances if seen.state is InstanceState.SLEEPING}
    assert asleep
    assert {intent.instance_id for intent in taken.intents if intent.phase.value == "sleep"} == asleep


def test_numbers_go_on_from_the_higher_of_both(led):
    low = replace(led.other, sequence=1)
    assert adopted(led.fleet.site, low, led.handover(), led.fleet.now_s, is_new=False).sequence == led.memory.sequence
    high = replace(led.other, sequence=10**14)
    assert adopted(led.fleet.site, high, led.handover(), led.fleet.now_s, is_new=False).sequence == 10**14


def test_what_was_burnt_is_taken_over_once_and_counted_on_since(led):
    now_s = led.fleet.now_s
    burnt = QualityBurn.empty(ClassId("standard"), 86_400.0).with_tokens(now_s - 60, 1000.0, 5.0)
    own = replace(led.other, burns=(burnt,))
    assert adopted(led.fleet.site, own, led.handover(), now_s, is_new=False).burns == (burnt,)
    assert adopted(led.fleet.site, own, led.handover(), now_s, is_new=True).burns != (burnt,)
    assert adopted(led.fleet.site, own, led.handover(), now_s, is_new=True).served == own.served


def test_what_was_under_way_is_forgotten_with_the_table(led):
    table = led.memory.table
    late_s = table.expires_at_s
    taken = adopted(led.fleet.site, led.other, led.handover(), late_s, is_new=True)
    assert taken.plan == led.other.plan
    assert taken.sequence >= led.memory.sequence
    assert taken.baselines_w == led.memory.baselines_w


def test_the_plan_of_other_pools_is_left(led):
    fewer = replace(led.fleet.site, pools=led.fleet.site.pools[:-1])
    taken = adopted(fewer, led.other, led.handover(), led.fleet.now_s, is_new=True)
    assert taken.intents == led.other.intents
    assert taken.sequence >= led.memory.sequence


def test_sleepers_and_where_the_leader_is_go_along(led):
    sleeper = Sleeper(InstanceId("int4-0"), 5.0)
    told = sent(led.memory, led.fleet.now_s, (sleeper,))
    assert told.saved.sleepers == (sleeper,)
    assert (told.leader, told.address, told.written_at_s) == ("a", "http://a:8090", led.fleet.now_s)


def test_a_handover_of_a_version_that_does_not_tell_what_gpus_were_found_to_have_is_read(led):
    found = (Found("GPU-a", 700.0, (450.0,)), Found("GPU-b", None))
    told = replace(handover_of("a", "http://a:8090", led.memory, (), led.fleet.now_s), gpus_found=found)
    written = json.loads(json.dumps(to_plain(told)))
    assert from_plain(Handover, written).gpus_found == found
    del written["gpus_found"]
    assert from_plain(Handover, written).gpus_found is None


OWN = {"started_s", "demand", "forecasts", "served", "tokens", "predicted", "margins", "proposed", "astray"}
"""What a standby learns itself from the same meters, engines and routers, or is of its process or of each plan."""
PROMISED = {"sequence", "burns", "history", "baselines_w", "refit", "followed"}


def test_of_every_part_of_the_memory_it_is_decided_whether_it_is_handed_over():
    under_way = {each.name for each in fields(UnderWay)}
    assert under_way | PROMISED | OWN == {each.name for each in fields(Memory)}
    assert not under_way & (PROMISED | OWN)


def test_it_stays_small(led):
    assert len(json.dumps(to_plain(handover_of("a", "b", led.memory, (), led.fleet.now_s)))) < 256 << 10
