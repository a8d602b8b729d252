import asyncio
import dataclasses

from controller.errors import SignalError
from controller.model.observation import InstanceState, Missing, Reading, Rung
from controller.signals.calls import CallBook
from controller.signals.collect import Collector, Sources
from controller.signals.feeds import ConstantFeed
from controller.signals.power.ladder import LadderRules
from controller.signals.power.reader import PowerSources
from controller.signals.power.source import NamedGpus
from controller.signals.present import Present
from tests.fakes.calls import call
from tests.fakes.controller_parts import NOW_S, ListRecorder, instance, observation, pool, reading, site
from tests.fakes.fixed_source import Fixed

SITE = site(pool("a", ("http://a:1",)))
GPUS = {"GPU-a-0-0": reading(300.0), "GPU-a-0-1": reading(400.0)}


class BrokenFeed:
    def read(self, now_s):
        raise RuntimeError("out of range")


def power(answer) -> PowerSources:
    return PowerSources((NamedGpus("dcgm", Rung.DCGM, Fixed(answer)),), rules=LadderRules(stale_s=10.0))


def collector(**changes) -> Collector:
    sources = Sources(
        power=power((GPUS, ())),
        engines=Fixed((instance("a-0"),)),
        routers=Fixed(observation().router),
        price_usd_per_mwh=ConstantFeed(50.0, "usd_per_mwh"),
        carbon_kg_per_mwh=ConstantFeed(300.0, "kg_per_mwh"),
        calls=CallBook(ListRecorder()),
    )
    return Collector(Present(SITE), dataclasses.replace(sources, **changes), deadline_s=0.1)


async def test_everything_at_hand():
    book = CallBook(ListRecorder())
    book.submit(call(), NOW_S)
    seen = await collector(calls=book).read(NOW_S)
    assert seen.now_s == NOW_S
    assert seen.site_power.value_w == 700.0
    assert (seen.power_ladder.rung, seen.power_ladder.best) == (Rung.DCGM, Rung.DCGM)
    assert seen.gpu_power == tuple(sorted(GPUS.items()))
    assert seen.instances[0].state is InstanceState.SERVING
    assert seen.router.acknowledged_sequence == 7
    assert seen.price_usd_per_mwh.at(NOW_S) == 50.0
    assert [(event.event_id, event.limit_w) for event in seen.events] == [("c1", 9000.0)]


async def test_each_failure_stays_with_its_signal():
    for fault, told in ((RuntimeError("boom"), "RuntimeError: boom"), (asyncio.sleep, "no result within 0.1 s")):
        seen = await collector(power=power(fault)).read(NOW_S)
        assert isinstance(seen.site_power, Missing)
        assert told in seen.site_power.reason
        assert seen.instances[0].state is InstanceState.SERVING

        seen = await collector(routers=Fixed(fault)).read(NOW_S)
        assert told in seen.router.reason
        assert isinstance(seen.site_power, Reading)

        seen = await collector(engines=Fixed(fault)).read(NOW_S)
        assert [(i.instance_id, i.state) for i in seen.instances] == [("a-0", InstanceState.UNREACHABLE)]


async def test_a_broken_feed_is_missing():
    seen = await collector(carbon_kg_per_mwh=BrokenFeed()).read(NOW_S)
    assert "out of range" in seen.carbon_kg_per_mwh.reason
    assert seen.price_usd_per_mwh.at(NOW_S) == 50.0


async def test_a_gpu_not_shown_is_missing_with_the_exporters_fault():
    errors = (SignalError("http://dcgm", "cannot connect"),)
    seen = await collector(power=power(({"GPU-a-0-0": reading(1.0)}, errors))).read(NOW_S)
    assert "http://dcgm: cannot connect" in dict(seen.gpu_power)["GPU-a-0-1"].reason
    assert "GPU-a-0-1" in seen.site_power.reason


async def test_gpus_of_others_are_left_out():
    seen = await collector(power=power(({**GPUS, "other": reading(1.0)}, ()))).read(NOW_S)
    assert "other" not in dict(seen.gpu_power)


async def test_since_when_a_signal_is_missing():
    source = collector(routers=Fixed(Missing("routers", "gone", NOW_S)))
    assert (await source.read(NOW_S)).router.since_s == NOW_S
    source._sources.routers.answer = Missing("routers", "still gone", NOW_S + 5)
    later = (await source.read(NOW_S + 5)).router
    assert (later.since_s, later.reason) == (NOW_S, "still gone")
    source._sources.routers.answer = observation().router
    await source.read(NOW_S + 6)
    source._sources.routers.answer = Missing("routers", "gone again", NOW_S + 7)
    assert (await source.read(NOW_S + 7)).router.since_s == NOW_S + 7
