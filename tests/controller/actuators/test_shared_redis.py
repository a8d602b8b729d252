"""What controllers share, on a real Redis."""

import asyncio
import contextlib

import pytest
import redis.asyncio

from controller.actuators.asked_redis import AskedRedis
from controller.actuators.shared_redis import SharedRedis
from controller.errors import ActuationError, Superseded
from tests.fakes.redis_server import running_redis

KEY = "wattroute:allocation"


@pytest.fixture
async def client():
    async with running_redis() as server, redis.asyncio.Redis.from_url(server.url) as connected:
        connected.server = server
        yield connected


def controller(client, name, **more):
    return SharedRedis(AskedRedis(client, target="redis://there", **more), KEY, name)


async def test_what_a_leader_leaves_is_found_by_who_claims_after_it(client):
    a, b = controller(client, "a"), controller(client, "b")
    assert await a.claim() == await a.look()
    assert (await a.look()).sequence == -1
    await a.publish(41, b"table", 5000, is_new=True)
    await a.hand_over(b"state", b"calls")
    found = await b.claim()
    assert (found.sequence, found.handover, found.asked) == (41, b"state", b"calls")
    assert await client.get(KEY) == b"table"
    assert 0 < await client.pttl(KEY) <= 5000


async def test_who_was_leader_before_changes_nothing_any_more(client):
    a, b = controller(client, "a"), controller(client, "b")
    await a.claim()
    await a.publish(1, b"of a", 5000, is_new=True)
    await b.claim()
    for attempt in (a.publish(2, b"late", 5000, is_new=True), a.hand_over(b"late", b"late")):
        with pytest.raises(Superseded, match="b leads"):
            await attempt
    assert await client.get(KEY) == b"of a"
    assert await client.get(f"{KEY}:handover") is None
    await b.publish(2, b"of b", 5000, is_new=True)
    assert await client.get(KEY) == b"of b"


async def test_a_table_of_a_smaller_number_is_refused_even_of_the_leader(client):
    a = controller(client, "a")
    await a.claim()
    await a.publish(1_795_352_546_108, b"later", 5000, is_new=True)
    with pytest.raises(Superseded, match="1795352546108 was published already"):
        await a.publish(1_795_352_546_107, b"earlier", 5000, is_new=True)
    await a.publish(1_795_352_546_108, b"again", 5000, is_new=False)
    assert await client.get(KEY) == b"again"


async def test_a_new_table_is_announced_and_a_renewed_one_is_not(client):
    a = controller(client, "a")
    await a.claim()
    async with client.pubsub() as heard:
        await heard.subscribe(KEY)
        await a.publish(7, b"x", 5000, is_new=False)
        await a.publish(8, b"y", 5000, is_new=True)
        told = []
        async with asyncio.timeout(5):
            while not told:
                message = await heard.get_message(ignore_subscribe_messages=True, timeout=1.0)
                told += [message["data"]] if message else []
        assert told == [b"8"]


async def test_a_redis_that_lost_everything_takes_the_leader_s_tables_again(client):
    a = controller(client, "a")
    await a.claim()
    await a.publish(5, b"x", 5000, is_new=True)
    await client.flushall()
    await a.publish(5, b"x", 5000, is_new=False)
    await a.hand_over(b"state")
    assert (await a.look()).sequence == 5


async def test_a_leader_sees_a_standby_and_does_not_take_itself_for_one(client):
    a, b = controller(client, "a"), controller(client, "b")
    await a.look()
    await a.claim()
    assert await a.hand_over(b"x") is False
    await b.look()
    assert await a.hand_over(b"x") is True
    assert 0 < await client.pttl(f"{KEY}:standby") <= 20_000


async def test_a_standby_that_goes_is_seen_no_more_and_lets_others_stand(client):
    a, b, c = (controller(client, name) for name in "abc")
    await a.claim()
    await b.look()
    await c.withdraw()
    assert await a.hand_over(b"x") is True
    await b.withdraw()
    assert await a.hand_over(b"x") is False


async def test_what_is_empty_leaves_what_was_there(client):
    a = controller(client, "a")
    await a.claim()
    await a.hand_over(b"state", b"calls")
    await a.hand_over(b"", b"calls2")
    found = await a.look()
    assert (found.handover, found.asked) == (b"state", b"calls2")


async def test_a_redis_that_is_gone_or_frozen_is_told_in_time(client):
    a = controller(client, "a", timeout_s=0.3)
    await a.claim()
    client.server.process.send_signal(19)
    with pytest.raises(ActuationError, match=r"within 0\.3 s"):
        await a.look()
    client.server.process.send_signal(18)
    await client.server.stop()
    for attempt in (a.claim(), a.look(), a.hand_over(b"x"), a.publish(1, b"x", 1000, is_new=True)):
        with contextlib.suppress(Superseded), pytest.raises(ActuationError, match="redis://there"):
            await attempt
