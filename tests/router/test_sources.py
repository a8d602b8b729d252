"""What a router asks of others: engines, and the source of the allocation."""

from __future__ import annotations

import asyncio
import logging

import pytest
from redis.asyncio import Redis

from router import clock, keep_up, load_source
from router.contract import AllocationTable, InstanceId, PoolId, encode
from router.contract_loads import Loads, encode_loads
from router.contract_rates import EnergyRate, EnergyRates, encode_rates
from router.discovery.static import list_instances
from router.fleet import EngineLoad
from router.settings import RouterFile
from router.snapshot import RedisView
from router.sources import Sources
from router.tenants.engine_keys import NO_KEYS, EngineKeys
from router.transport.keyring import Keyring
from tests.fakes.fake_engine import FakeEngine, Request, Wire
from tests.fakes.redis_server import running_redis
from tests.fakes.routing import NOW_S, table
from tests.fakes.running import settings_for, until


class Sink:
    def __init__(self) -> None:
        self.healthy: list[InstanceId] = []
        self.tables: list[AllocationTable] = []
        self.refused: list[str] = []
        self.rates: list[EnergyRates] = []
        self.routers: list[int] = []

    def apply_rates(self, rates: EnergyRates, now_s: float) -> None:
        self.rates.append(rates)

    def probed(self, instance_id: InstanceId, *, ok: bool | None, load: EngineLoad | None, now_s: float) -> None:
        if ok:
            self.healthy.append(instance_id)

    def apply_table(self, table: AllocationTable, now_s: float, ahead_s: float) -> bool:
        self.tables.append(table)
        return True

    def refuse_table(self, reason: str) -> None:
        self.refused.append(reason)


def with_table(settings: RouterFile, **where: str) -> RouterFile:
    return settings.model_copy(update={"table": settings.table.model_copy(update=where)})


def sources_of(settings: RouterFile, sink: Sink, keys: EngineKeys = NO_KEYS) -> Sources:
    instances, keyring = list_instances(settings.pools), Keyring(settings, clock.wall_s)
    return Sources(settings, instances, sink, keyring, keys, clock.wall_s, sink.routers.append)


async def test_engines_that_are_probed_are_shown_their_key() -> None:
    sink = Sink()
    async with FakeEngine() as engine:
        sources = sources_of(settings_for([engine.url]), sink, EngineKeys({PoolId("bf16"): "k"}))
        sources.start()
        await until(lambda: bool(sink.healthy))
        await sources.stop()
        assert {request.get("authorization") for request in engine.requests} == {"Bearer k"}


async def test_engines_are_probed_until_it_stops() -> None:
    sink = Sink()
    async with FakeEngine() as one, FakeEngine() as two:
        sources = sources_of(settings_for([one.url, two.url], health={"probe_interval_s": 0.02}), sink)
        sources.start()
        await until(lambda: sink.healthy.count(InstanceId("bf16-0")) > 1 and InstanceId("bf16-1") in sink.healthy)
        await sources.stop()
        asked = len(one.requests)
        await asyncio.sleep(0.1)
        assert len(one.requests) == asked


async def test_the_table_comes_over_http_where_the_settings_say_so() -> None:
    new = table({"standard": {"bf16": 1.0}}, sequence=3)

    async def controller(request: Request, wire: Wire) -> None:
        await wire.answer(200, encode(new))

    sink = Sink()
    async with FakeEngine(controller) as source:
        sources = sources_of(with_table(settings_for([source.url]), url=f"{source.url}/v1/allocation"), sink)
        sources.start()
        await until(lambda: sink.tables == [new])
        await sources.stop()


async def test_the_table_comes_from_redis_where_the_settings_say_so() -> None:
    sink = Sink()
    async with running_redis() as redis, FakeEngine() as engine:
        sources = sources_of(with_table(settings_for([engine.url]), redis_url=redis.url), sink)
        async with Redis.from_url(redis.url) as client:
            await client.set("wattroute:allocation", encode(table(sequence=4, issued_at_s=NOW_S)))
        sources.start()
        await until(lambda: sink.tables)
        assert sink.tables[0].sequence == 4
        assert sources.redis_view() == RedisView({})
        await sources.stop()


async def test_one_that_was_never_started_can_be_stopped() -> None:
    await sources_of(settings_for(["http://127.0.0.1:1"]), Sink()).stop()


async def test_a_part_that_fails_is_begun_again(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keep_up, "FIRST_S", 0.01)

    class Failing(Sink):
        probes = 0

        def probed(self, instance_id: InstanceId, *, ok: bool | None, load: EngineLoad | None, now_s: float) -> None:
            self.probes += 1
            if self.probes == 3:
                raise ValueError("boom")
            super().probed(instance_id, ok=ok, load=load, now_s=now_s)

    sink = Failing()
    async with FakeEngine() as one, FakeEngine() as two:
        sources = sources_of(settings_for([one.url, two.url], health={"probe_interval_s": 0.02}), sink)
        sources.start()
        await until(lambda: sink.probes > 3 and {"bf16-0", "bf16-1"} <= set(sink.healthy[2:]))
        await sources.stop()
    [record] = [each for each in caplog.records if each.levelno == logging.CRITICAL]
    assert (record.message, record.__dict__["part"]) == ("a part of the router has failed", "probes")


@pytest.mark.parametrize("tells", [True, False])
async def test_energy_rates_come_from_the_controller_of_the_table_unless_nobody_is_told(tells: bool) -> None:
    rates = EnergyRates(NOW_S, NOW_S + 30, "shared", (EnergyRate(InstanceId("a"), 0.01, 0.5, "direct"),))
    asked: list[str] = []

    async def controller(request: Request, wire: Wire) -> None:
        asked.append(request.target)
        await wire.answer(200, encode_rates(rates) if request.target == "/v1/energy-rates" else encode(table()))

    sink = Sink()
    async with FakeEngine(controller) as source:
        settings = settings_for([source.url], tell_energy=tells)
        sources = sources_of(with_table(settings, url=f"{source.url}/v1/allocation"), sink)
        sources.start()
        await until(lambda: bool(sink.tables) and (bool(sink.rates) or not tells))
        await sources.stop()
    assert sink.rates[:1] == [rates] * tells
    assert ("/v1/energy-rates" in asked) is tells


async def test_engines_loads_come_from_the_controller_of_the_table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load_source, "READ_EVERY_S", 0.01)
    asked: list[str] = []

    async def controller(request: Request, wire: Wire) -> None:
        asked.append(request.target)
        if request.target == "/v1/engine-loads":
            await wire.answer(200, encode_loads(Loads(len(asked), 3, ())) if len(asked) < 40 else b"{")
        else:
            await wire.answer(200, encode(table()))

    async with FakeEngine(controller) as source:
        settings = with_table(settings_for([source.url]), url=f"{source.url}/v1/allocation", poll_interval_s=0.01)  # type: ignore[arg-type]
        sink = Sink()
        sources = sources_of(settings, sink)
        assert sources.loads_view() is None
        sources.start()

        def is_state(state: str) -> bool:
            view = sources.loads_view()
            return view is not None and view.state == state

        def is_refused() -> bool:
            view = sources.loads_view()
            return view is not None and view.refused > 0

        await until(lambda: is_state("shared"))
        await until(is_refused)
        assert set(sink.routers) == {3}
        sources.doubt({InstanceId("bf16-0")})
        await sources.stop()


async def test_a_router_without_a_source_of_tables_tells_nothing_of_loads() -> None:
    sources = sources_of(settings_for(["http://127.0.0.1:1"]), Sink())
    sources.start()
    assert sources.loads_view() is None
    assert sources.redis_view() is None
    await sources.stop()
