import asyncio

import pytest

from controller.agent.hub import Hub, TooManyFollowers
from controller.signals.power.agent_sample import Sample, decode


def sample(sequence):
    return Sample("node", "b1", sequence, 1000.0 + sequence, 0.2, ())


def sequence_in(event):
    return decode(event.split(b"data: ")[1].strip()).sequence


async def test_a_follower_gets_the_latest_at_once_and_each_one_after():
    hub = Hub(4)
    hub.publish(sample(1))
    events = hub.follow()
    assert sequence_in(await anext(events)) == 1
    waiting = asyncio.ensure_future(anext(events))
    await asyncio.sleep(0)
    assert not waiting.done()
    hub.publish(sample(2))
    assert sequence_in(await waiting) == 2
    await events.aclose()


async def test_who_did_not_read_for_a_while_gets_the_newest_and_not_the_past():
    hub = Hub(4)
    hub.publish(sample(1))
    events = hub.follow()
    await anext(events)
    for n in range(2, 10):
        hub.publish(sample(n))
    assert sequence_in(await anext(events)) == 9
    await events.aclose()


async def test_followers_are_bounded_and_counted():
    hub = Hub(2)
    hub.publish(sample(1))
    first, second, third = hub.follow(), hub.follow(), hub.follow()
    await anext(first)
    await anext(second)
    with pytest.raises(TooManyFollowers):
        await anext(third)
    assert (hub.followers, hub.refused) == (2, 1)
    await first.aclose()
    assert hub.followers == 1
    again = hub.follow()
    await anext(again)
    await again.aclose()
    await second.aclose()
    assert hub.followers == 0


async def test_a_closed_hub_ends_who_waits_and_who_comes():
    hub = Hub(2)
    waiting = asyncio.ensure_future(anext(hub.follow(), None))
    await asyncio.sleep(0)
    hub.close()
    assert await waiting is None
    assert await anext(hub.follow(), None) is None


async def test_before_the_first_sample_a_follower_waits_for_it():
    hub = Hub(2)
    waiting = asyncio.ensure_future(anext(hub.follow()))
    await asyncio.sleep(0)
    assert not waiting.done()
    hub.publish(sample(1))
    assert sequence_in(await waiting) == 1
