"""Two controllers' leaderships over one place in memory that refuses as Redis does."""

import asyncio
import dataclasses
import json
from types import SimpleNamespace

import pytest

from controller.errors import ActuationError, StoreError, Superseded
from controller.lifecycle.handback import Sleeper
from controller.lifecycle.memory import Intent, Memory, Phase
from controller.loop import succession
from controller.loop.leadership import Role
from controller.loop.succession import Succession
from controller.loop.succession_parts import SuccessionParts
from controller.model.gpu_limit import Found
from controller.signals.asked import Asked
from controller.signals.links import KeptLinks
from router.contract import InstanceId
from tests.fakes.controller_parts import NOW_S, site, table

SITE = site()
INTENTS = tuple(Intent(each.instance_id, Phase.SERVE, NOW_S) for pool in SITE.pools for each in pool.instances)
INTENTS = (dataclasses.replace(INTENTS[0], phase=Phase.SLEEP, is_let_go=True), *INTENTS[1:])
SLEEPER = Sleeper(InstanceId("int4-0"), NOW_S)
WOKEN = Sleeper(InstanceId("int4-1"), NOW_S, is_woken=True)


class Gpus:
    """GPUs of one controller: what they had, and whose they are."""

    def __init__(self):
        self.found, self.told = (), []

    def take_up(self, theirs):
        self.told.append(("takes up", theirs))
        self.found = theirs

    def stand_by(self, theirs):
        self.told.append(("keeps off", theirs))


class Place:
    """What is shared, seen by one; `failure` is raised instead of an answer."""

    def __init__(self, kept, name):
        self.kept, self.name, self.failure = kept, name, None

    def _found(self):
        if self.failure:
            raise self.failure
        return SimpleNamespace(
            **{key: self.kept.get(key) for key in ("handover", "asked")}, sequence=self.kept["sequence"]
        )

    async def claim(self):
        found = self._found()
        self.kept["holder"] = self.name
        return found

    async def look(self):
        found = self._found()
        self.kept["standby"] = self.name
        return found

    async def withdraw(self):
        self._found()
        self.kept["standby"] = None

    async def hand_over(self, handover=b"", asked=b""):
        self._found()
        if self.kept["holder"] != self.name:
            raise Superseded("redis", f"{self.kept['holder']} leads")
        self.kept |= {key: body for key, body in (("handover", handover), ("asked", asked)) if body}
        return self.kept.get("standby") not in (None, self.name)


class One:
    """A controller: its candidate, what it has asked for, and what it was told to do."""

    def __init__(self, kept, name, site=SITE):
        self.place = Place(kept, name)
        self.holds, self.leader, self.failure, self.identity = False, None, None, name
        self.asked, self.adopted, self.charge, self.told = ("call of " + name,), [], None, []
        self.followed, self.doubted, self.gpus = 0, None, Gpus()
        self.refuses = self.meanwhile = self.let_go = None
        self.leads = Succession(
            SuccessionParts(
                site=site,
                candidate=self,
                shared=self.place,
                address=f"http://{name}:8090",
                asked=lambda now_s: Asked(now_s, (), KeptLinks((), self.asked, now_s)),
                adopt_asked=self._adopt,
                sleep=self._sleep,
                take_charge=self._take_charge,
                let_go=self._know_of,
                on_lead=lambda: self.told.append("leads"),
                on_followed=self._follow,
                on_lost=lambda: self.told.append("lost"),
                gpus=self.gpus,
            )
        )
        self.memory = Memory.initial(SITE, NOW_S)

    def may_act(self):
        return self.holds

    def stand_by_terms(self, fits, asks):
        self.fits, self.asks = fits, asks

    async def release(self):
        self.holds = False
        self.told.append("released")

    def _adopt(self, asked, now_s, leads):
        if self.refuses:
            raise self.refuses
        self.adopted.append((asked.links.lost, leads))
        return 1

    async def _sleep(self, duration_s):
        assert duration_s > 0
        if self.meanwhile is not None:
            await self.meanwhile.leads.find_heir()

    def _follow(self, woken):
        self.followed, self.doubted = self.followed + 1, woken

    def _know_of(self, let_go):
        self.let_go = let_go

    def _take_charge(self, sleepers):
        self.charge = sleepers

    async def tick(self, now_s=NOW_S):
        self.memory = await self.leads.follow(self.memory, now_s)
        return self

    async def leave(self, sequence, now_s=NOW_S):
        told = table(sequence, now_s)
        self.memory = dataclasses.replace(self.memory, sequence=sequence, table=told, intents=INTENTS)
        return await self.leads.hand_over(self.memory, (SLEEPER, WOKEN), now_s)


@pytest.fixture
def pair():
    kept = {"sequence": -1, "holder": None}
    return One(kept, "a"), One(kept, "b"), kept


async def begun(pair):
    """`a` leads, has handed over, and `b` has seen it."""
    a, b, kept = pair
    a.holds, a.leader, b.leader = True, "a", "a"
    await a.tick()
    await b.tick()
    assert await a.leave(10**13)
    await b.tick()
    return a, b, kept


async def test_nothing_may_be_done_before_the_lead_is_claimed(pair):
    a, _, kept = pair
    assert not a.leads.may_act()
    a.holds = True
    assert not a.leads.may_act()
    await a.tick()
    assert a.leads.may_act()
    assert kept["holder"] == "a"
    assert a.told == ["leads"]


async def test_a_standby_is_told_of_the_leader_and_holds_what_it_holds(pair):
    a, b, _ = await begun(pair)
    told = b.leads.status
    assert (told.role, told.leader, told.address, told.failure) == (Role.STANDBY, "a", "http://a:8090", None)
    assert not b.leads.may_act()
    assert b.adopted[-1] == (("call of a",), False)
    assert b.charge == ()
    assert b.let_go == (INTENTS[0].instance_id,)
    assert b.memory.table == a.memory.table
    assert (a.leads.status.role, a.leads.status.has_standby, a.leads.has_heir) == (Role.LEADER, True, True)


async def test_the_next_leader_goes_on_from_the_last_and_answers_for_its_sleepers(pair):
    a, b, kept = await begun(pair)
    kept["sequence"] = 10**13 + 5  # published after the last handover
    a.holds, b.holds, b.leader = False, True, "b"
    await b.tick()
    assert b.leads.may_act()
    assert b.memory.table == a.memory.table
    assert b.memory.sequence == 10**13 + 5
    assert b.charge == (SLEEPER, WOKEN)
    assert b.doubted == (WOKEN.instance_id,)
    assert b.adopted[-1] == (("call of a",), True)


async def test_who_finds_the_lease_gone_lets_go_before_anything_else(pair):
    a, _, _ = await begun(pair)
    a.holds = False
    assert not a.leads.may_act()
    assert not await a.leave(10**13 + 1)
    await a.tick()
    assert a.told == ["leads", "lost"]
    assert a.leads.status.role is Role.STANDBY


async def test_it_is_told_where_another_has_led_since_and_not_where_the_own_lead_is_taken_up_again(pair):
    a, b, _ = await begun(pair)
    a.holds = False
    await a.tick()
    a.holds = True
    await a.tick()
    assert (a.followed, a.leads.takeovers) == (0, 2)
    a.holds, b.holds = False, True
    await b.tick()
    assert await b.leave(10**13 + 1)
    await a.tick()
    assert a.followed == 1


async def test_who_wakes_up_after_another_claimed_is_refused_and_lets_go(pair):
    a, b, kept = await begun(pair)
    b.holds = True
    await b.tick()
    before = kept["handover"]
    assert a.leads.may_act(), "its clock has not told it yet"
    assert not await a.leave(10**13 + 1)
    assert kept["handover"] == before
    assert a.told == ["leads", "lost"]


async def test_a_table_that_was_refused_ends_the_lead_until_it_is_claimed_anew(pair):
    a, _, _ = await begun(pair)
    a.leads.superseded("b leads")
    assert not a.leads.may_act()
    await a.tick()
    assert a.leads.may_act()
    assert a.leads.takeovers == 2


async def test_without_redis_the_lead_is_not_taken_and_it_is_told_why(pair):
    a, _, _ = pair
    a.holds, a.place.failure = True, ActuationError("redis", "no answer")
    await a.tick()
    assert not a.leads.may_act()
    assert "no answer" in a.leads.failure
    a.place.failure = None
    await a.tick()
    assert a.leads.may_act()
    assert a.leads.failure is None


async def test_who_cannot_reach_what_is_shared_does_not_stand_for_the_lease_unless_it_leads(pair):
    a, b, _ = await begun(pair)
    assert a.fits(False)
    assert b.fits(False)
    for each in (a, b):
        each.place.failure = ActuationError("redis", "wrong password")
        await each.tick()
    assert a.fits(False), "it leads, and nobody could take over"
    assert not b.fits(False)
    a.holds = False
    await a.tick()
    assert not a.fits(False)
    b.place.failure = None
    await b.tick()
    assert b.fits(False)


async def test_a_standby_asks_once_the_leader_leaves_nothing_and_is_given_the_lead_where_that_cannot_reach_redis(pair):
    a, b, _ = await begun(pair)
    a.place.failure = ActuationError("redis", "no answer")
    await a.leave(10**13 + 1)
    assert not b.asks(), "what it left last is young"
    for _ in range(succession.STALE_LOOKS):
        await b.tick()
    assert b.asks()
    assert "a holds the lease and leaves nothing in this Redis" in b.leads.status.failure
    assert a.fits(False)
    assert not a.fits(True)
    a.holds, b.holds, b.leader = False, True, "b"
    await a.tick()
    assert not a.fits(False), "not before it reaches Redis again"
    await b.tick()
    assert b.leads.may_act()
    assert not b.asks()
    assert b.leads.status.failure is None


async def test_a_leader_that_reaches_redis_keeps_the_lead_whoever_asks(pair):
    a, b, _ = await begun(pair)
    for _ in range(succession.STALE_LOOKS):
        await b.tick()
    assert b.asks()
    assert a.fits(True)
    await a.leave(10**13 + 1)
    await b.tick()
    assert not b.asks()
    assert b.leads.status.failure is None


async def test_where_nobody_reaches_redis_nobody_asks_and_the_leader_goes_on(pair):
    a, b, _ = await begun(pair)
    for each in (a, b):
        each.place.failure = ActuationError("redis", "no answer")
    for n in range(3 * succession.STALE_LOOKS):
        await a.leave(10**13 + n)
        await b.tick()
    assert not b.asks()
    assert a.fits(False)
    b.place.failure = None
    await b.tick()
    assert not b.asks(), "the leader has had no tick to hand over since"


async def test_a_leader_that_loses_redis_goes_on_and_tells_that_nothing_is_handed_over(pair):
    a, _, _ = await begun(pair)
    a.place.failure = ActuationError("redis", "no answer")
    assert await a.leave(10**13 + 1)
    assert "no answer" in a.leads.failure
    assert not await a.leads.share_asked(NOW_S)
    a.place.failure = None
    assert await a.leads.share_asked(NOW_S)
    assert a.leads.failure is None


@pytest.mark.parametrize(
    "body", [b"{", b"[]", b'{"schema_version": 9, "state": {}}', b'{"schema_version": 1, "state": {}}']
)
@pytest.mark.parametrize("key", ["handover", "asked"])
async def test_what_cannot_be_read_is_told_and_costs_no_takeover(pair, key, body):
    _, b, kept = await begun(pair)
    kept[key] = body
    own = b.memory.table
    b.holds = True
    await b.tick()
    assert b.leads.may_act()
    assert "cannot be read" in b.leads.failure
    assert b.memory.table == own
    await b.tick()
    assert await b.leave(10**13 + 1)
    assert b.leads.failure is None


async def test_of_two_sites_with_one_key_the_second_claims_nothing_and_follows_no_call_of_the_first(pair):
    a, _, kept = await begun(pair)
    other = One(kept, "south", dataclasses.replace(SITE, name="south"))
    other.holds, other.leader = True, "south"
    await other.tick()
    assert not other.leads.may_act()
    assert kept["holder"] == "a"
    assert (other.adopted, other.charge, other.memory.table) == ([], None, None)
    told = other.leads.status.failure
    assert SITE.name in told
    assert "south" in told
    assert "table.redis_key" in told
    assert await a.leave(10**13 + 1)


async def test_what_a_site_left_before_it_was_renamed_is_taken_up(pair):
    a, _, kept = await begun(pair)
    a.holds = False
    renamed = One(kept, "b", dataclasses.replace(SITE, name="south"))
    renamed.holds, renamed.leader = True, "b"
    await renamed.tick(NOW_S + 61.0)
    assert renamed.leads.may_act()
    assert renamed.leads.status.failure is None
    assert renamed.adopted


@pytest.mark.parametrize("ahead_s", [7200.0, -7200.0])
async def test_a_standby_tells_that_its_clock_is_not_the_leaders_before_it_leads(pair, ahead_s):
    one, other, _ = pair
    one.holds, one.leader, other.leader = True, "a", "a"
    await one.tick()
    await one.leave(7, NOW_S - 900.0)
    await other.tick(NOW_S)
    assert other.leads.failure is None, "what was left long ago says nothing of clocks"
    for n in range(3):
        await one.leave(8 + n, NOW_S + 2.0 * n)
        await other.tick(NOW_S + 2.0 * n + ahead_s)
        await other.tick(NOW_S + 2.0 * n + ahead_s + 1.0)
        assert f"this clock is {ahead_s:+.0f} s ahead of the leader's" in other.leads.failure
    await one.leave(11, NOW_S + 8.0)
    await other.tick(NOW_S + 9.0)
    assert other.leads.failure is None


async def test_calls_that_cannot_be_recorded_are_told(pair):
    _, b, _ = await begun(pair)
    b.refuses = StoreError("the disk is full")
    b.holds = True
    await b.tick()
    assert "the disk is full" in b.leads.failure


async def test_a_handover_that_is_too_large_is_left_out_and_told(pair, monkeypatch):
    a, _, kept = await begun(pair)
    before = kept["handover"]
    monkeypatch.setattr(succession, "MAX_BYTES", 100)
    assert await a.leave(10**13 + 1)
    assert kept["handover"] == before
    assert "more than 100" in a.leads.failure


async def test_what_a_leader_leaves_is_a_standby_s_to_take_over(pair):
    a, _, _ = await begun(pair)
    assert await a.leads.find_heir()


async def test_a_standby_that_ends_together_with_the_leader_takes_nothing_over(pair):
    a, b, _ = await begun(pair)
    a.meanwhile = b
    assert not await a.leads.find_heir()
    assert not a.leads.has_heir


async def test_a_standby_that_cannot_say_that_it_goes_goes(pair):
    _, b, _ = await begun(pair)
    b.place.failure = ActuationError("redis", "no answer")
    assert not await b.leads.find_heir()


async def test_an_orderly_end_lets_go_of_the_lease(pair):
    a, _, _ = await begun(pair)
    await a.leads.resign()
    assert not a.leads.may_act()
    assert a.told == ["leads", "released"]


async def test_nobody_s_lead_is_told_as_such(pair):
    a, _, _ = pair
    a.failure = "lease: no answer"
    told = a.leads.status
    assert (told.role, told.leader, told.address, told.failure) == (Role.STANDBY, None, None, "lease: no answer")


FOUND = (Found("GPU-a", 700.0, (450.0,)),)


async def test_what_gpus_were_found_to_have_is_gone_on_from_by_the_next_leader(pair):
    a, b, kept = await begun(pair)
    assert a.gpus.told == [("keeps off", None), ("takes up", ())]
    a.gpus.found = FOUND
    await a.leads.share_found()
    await b.tick()
    assert b.gpus.told[-1] == ("keeps off", FOUND)
    a.holds, b.holds = False, True
    await b.tick()
    assert b.gpus.told[-1] == ("takes up", FOUND)
    await a.tick()
    assert a.gpus.told[-1] == ("keeps off", None), "it is not known whom they are left to"
    assert await b.leave(10**13 + 1)
    assert json.loads(kept["handover"])["state"]["gpus_found"][0]["power_limit_w"] == 700.0
    await a.tick()
    assert a.gpus.told[-1] == ("keeps off", FOUND)


async def test_a_leader_of_an_older_version_answers_for_no_gpu(pair):
    _, b, kept = await begun(pair)
    document = json.loads(kept["handover"])
    del document["state"]["gpus_found"]
    kept["handover"] = json.dumps(document).encode()
    await b.tick()
    assert b.gpus.told[-1] == ("keeps off", ())
    b.holds = True
    await b.tick()
    assert b.gpus.told[-1] == ("takes up", ())
    assert b.memory.sequence >= 10**13, "the rest is taken up all the same"


async def test_what_is_found_is_not_shared_by_who_does_not_lead_or_has_handed_over_nothing_yet(pair):
    a, b, kept = await begun(pair)
    before = kept["handover"]
    b.gpus.found = FOUND
    await b.leads.share_found()
    b.holds = True
    await b.tick()
    await b.leads.share_found()
    assert kept["handover"] == before
    a.gpus.found = FOUND
    await a.leads.share_found()
    assert kept["handover"] == before
    assert a.gpus.told[-1] == ("keeps off", None)
    assert a.told == ["leads", "lost"]


async def test_what_was_left_later_is_what_stays(pair):
    a, _, kept = await begun(pair)
    place, going, goes_on = a.place.hand_over, asyncio.Event(), asyncio.Event()

    async def slow(*bodies):
        a.place.hand_over = place
        going.set()
        await goes_on.wait()
        return await place(*bodies)

    a.place.hand_over = slow
    shared = asyncio.create_task(a.leads.share_found())
    await going.wait()
    left = asyncio.create_task(a.leave(10**13 + 7))
    for _ in range(5):
        await asyncio.sleep(0)
    goes_on.set()
    await asyncio.gather(shared, left)
    assert json.loads(kept["handover"])["state"]["under_way"]["table"]["sequence"] == 10**13 + 7
