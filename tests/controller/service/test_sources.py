import json

from redis.asyncio import Redis

from controller.model.grid import Series
from controller.model.observation import Barred, Missing
from controller.service.sources import Counted, opened_sources
from controller.signals.router_tokens import NO_COUNTS
from controller.signals.routers import RouterCounts
from router.contract_presence import ROUTERS_SUFFIX, STATE_SUFFIX, Heard, encode_heard, pack_state
from router.transport.redis_place import RedisPlace
from tests.fakes.controller_parts import NOW_S
from tests.fakes.redis_server import running_redis
from tests.fakes.router_states import state
from tests.fakes.service_frame import framed

BAR = Barred("int4", True, "canary", "nonsense", NOW_S)


class Calls:
    def current(self, now_s):
        return ()


async def test_one_look_reads_all_that_there_is_and_says_what_cannot_be_had(tmp_path):
    counted = Counted(None, NO_COUNTS)
    async with (
        framed(tmp_path) as (frame, session),
        opened_sources(frame, session, counted, calls=Calls(), barred=lambda now_s: (BAR,)) as sources,
    ):
        seen = await sources.collector.read(NOW_S)
    assert isinstance(seen.site_power, Missing)
    assert isinstance(seen.router, Missing)
    assert (seen.price_usd_per_mwh.values, seen.carbon_kg_per_mwh.values) == ((50.0,), (300.0,))
    assert isinstance(seen.price_usd_per_mwh, Series)
    assert [instance.instance_id for instance in seen.instances] == ["bf16-0", "bf16-1", "int4-0"]
    assert seen.barred == (BAR,)


async def test_routers_are_counted_on_from_what_a_former_process_had_counted(tmp_path):
    before = RouterCounts((("class", "standard", "requests", 12.0),), ())
    async with (
        framed(tmp_path) as (frame, session),
        opened_sources(frame, session, Counted(before, NO_COUNTS), calls=Calls(), barred=lambda now_s: ()) as sources,
    ):
        assert sources.routers.counted == before


async def test_without_addresses_the_routers_are_those_that_tell_of_themselves_in_redis(tmp_path):
    async with (
        running_redis() as redis,
        Redis.from_url(redis.url) as client,
        framed(tmp_path, router_urls=(), redis=RedisPlace(redis.url)) as (frame, session),
        opened_sources(frame, session, Counted(None, NO_COUNTS), calls=Calls(), barred=lambda now_s: ()) as sources,
    ):
        key = frame.endpoints.redis_key
        await client.hset(key + ROUTERS_SUFFIX, "a", encode_heard(Heard(NOW_S, 0)))
        await client.set(f"{key}{STATE_SUFFIX}a", pack_state(json.dumps(state(requests=12)).encode()))
        seen = await sources.collector.read(NOW_S)
    assert seen.router.demand[0].requests == 12
