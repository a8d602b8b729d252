import asyncio
import dataclasses
from random import Random

import pytest
from prometheus_client import CollectorRegistry

from controller.background import Work, Works
from controller.errors import ActuationError
from controller.lifecycle.gpu_limits import HOLD_S
from controller.loop.gpu_limit_desk import DeskParts, GpuLimitDesk, GpuLimitMetrics
from controller.loop.status import Status
from controller.model.gpu_limit import GpuLimit, When
from controller.model.observation import Missing, Quality, Reading
from router.contract import PoolId
from tests.fakes.controller_parts import NOW_S, decision, observation, site

SITE = site()
FIXED = GpuLimit(PoolId("a"), ("GPU-a",), When.FIXED, 400.0)
LAST = GpuLimit(PoolId("b"), ("GPU-b",), When.OVER_LIMIT, 300.0)


class Limiter:
    def __init__(self):
        self.asked, self.failure, self.limited, self.read_back_w = [], None, (), {}
        self.done = asyncio.Event()

    async def bring_to(self, limits):
        self.asked.append(limits)
        self.done.set()
        if self.failure:
            raise self.failure
        self.limited = tuple(uuid for limit in limits for uuid in limit.gpu_uuids)
        self.read_back_w = {uuid: limit.power_limit_w for limit in limits for uuid in limit.gpu_uuids}


class Bench:
    def __init__(self, limit_w=None, exit_s=1.0, has_heir=False, limits=(FIXED, LAST)):
        self.limiter, self.registry, self.limit_w = Limiter(), CollectorRegistry(), limit_w
        self.works = Works(Random(0), first_s=0.01)
        metrics = GpuLimitMetrics(self.registry)
        self.desk = GpuLimitDesk(
            DeskParts(
                limits,
                self.limiter,
                metrics,
                lambda events, now_s: self.limit_w,
                10.0,
                exit_s,
                lambda: has_heir,
            )
        )

    def look(self, at_s=0.0, drawn_w=5000.0, publish=True, age_s=0.0):
        power = Reading(drawn_w, None, NOW_S + at_s - age_s, "meter", Quality.DIRECT)
        seen = dataclasses.replace(
            observation(NOW_S + at_s), site_power=Missing("m", "x", 0.0) if drawn_w is None else power
        )
        self.desk.take(Status(seen, dataclasses.replace(decision(SITE), publish=publish), (), 0.0))

    async def next(self):
        async with asyncio.timeout(10):
            await self.limiter.done.wait()
        self.limiter.done.clear()
        return self.limiter.asked[-1]


async def test_fixed_limits_are_set_with_the_first_decision_and_given_back_at_the_end():
    bench = Bench()
    async with bench.desk.open(bench.works):
        bench.desk.take(Status(observation(), None, (), 0.0))
        await asyncio.sleep(0)
        assert bench.limiter.asked == []
        bench.look()
        assert await bench.next() == (FIXED,)
    assert bench.limiter.asked == [(FIXED,), ()]
    assert bench.registry.get_sample_value("wattroute_controller_gpu_limit_wanted", {"pool": "a"}) == 1
    assert bench.registry.get_sample_value("wattroute_controller_gpu_limit_wanted", {"pool": "b"}) == 0
    assert bench.registry.get_sample_value("wattroute_controller_gpu_power_limit_watts", {"gpu": "GPU-a"}) == 400


async def test_the_last_means_is_used_in_an_event_and_ends_with_it():
    bench = Bench(limit_w=4000.0)
    async with bench.desk.open(bench.works):
        bench.look(0.0)
        assert await bench.next() == (FIXED,)
        bench.look(HOLD_S)
        assert await bench.next() == (FIXED, LAST)
        bench.limit_w = None
        bench.look(60.0)
        assert await bench.next() == (FIXED,)


@pytest.mark.parametrize("unknown", [{"drawn_w": None}, {"age_s": 11.0}])
async def test_power_that_is_missing_or_old_limits_nothing(unknown):
    bench = Bench(limit_w=4000.0)
    async with bench.desk.open(bench.works):
        for at_s in (0.0, HOLD_S, 200.0):
            bench.look(at_s, **unknown)
        assert await bench.next() == (FIXED,)


async def test_without_the_right_to_act_everything_is_given_back():
    bench = Bench()
    async with bench.desk.open(bench.works):
        bench.look()
        assert await bench.next() == (FIXED,)
        bench.look(publish=False)
        assert await bench.next() == ()


async def test_a_failure_is_told_as_failing_work_and_tried_again():
    bench = Bench()
    bench.limiter.failure = ActuationError("GPU limits", "zeusd is not there")
    async with bench.desk.open(bench.works):
        bench.look()
        await bench.next()
        await bench.next()
        (failing,) = bench.works.failing
        assert (failing.work, "zeusd is not there" in failing.reason) == (Work.GPU_LIMITS, True)


async def test_what_cannot_be_given_back_at_the_end_is_named(caplog):
    bench = Bench()
    async with bench.desk.open(bench.works):
        bench.look()
        await bench.next()
        bench.limiter.failure = ActuationError("GPU limits", "zeusd is gone")
    (record,) = [record for record in caplog.records if "GPUs stay limited" in record.message]
    assert (record.gpus, record.reason) == (("GPU-a",), "GPU limits: zeusd is gone")


async def test_what_another_controller_takes_over_stays_limited():
    bench = Bench(has_heir=True)
    async with bench.desk.open(bench.works):
        bench.look()
        await bench.next()
    assert bench.limiter.asked == [(FIXED,)]


async def test_who_begins_to_act_looks_at_once_at_what_others_have_limited():
    bench = Bench(limits=(LAST,))
    async with bench.desk.open(bench.works):
        for publish in (False, True):
            bench.look(publish=publish)
            assert await bench.next() == ()
    assert bench.limiter.asked == [(), ()]
