import asyncio
import contextlib
import time
from random import Random

import pytest
from redis.asyncio import Redis

from controller.actuators.allocation_redis import RedisPublisher
from controller.background import Works
from controller.clock import SystemClock
from controller.lifecycle.handback import OnExit
from controller.model.grid import GridEvent, Precedence
from controller.model.plan import Verb
from controller.service.acting import RESTORE_S, custody_of, instance_tasks, opened_tables, restoring_tables
from controller.service.options import Endpoints
from router.transport.redis_place import RedisPlace
from tests.fakes.controller_parts import NOW_S, commands
from tests.fakes.http_stub import closed_url
from tests.fakes.plain_engines import PlainEngines
from tests.fakes.redis_server import running_redis
from tests.fakes.service_frame import framed


async def test_tables_are_told_to_routers_that_ask_and_to_redis_where_there_is_one(tmp_path, monkeypatch):
    closed = []

    async def close(self):
        closed.append(self)

    monkeypatch.setattr(RedisPublisher, "close", close)
    async with framed(tmp_path) as (frame, _), opened_tables(frame.endpoints, frame.clock) as tables:
        assert tables.redis is None
        assert tables.publishers == (tables.board,)
    async with framed(tmp_path, redis=RedisPlace("redis://127.0.0.1:1")) as (frame, _):
        with contextlib.suppress(RuntimeError):
            async with opened_tables(frame.endpoints, frame.clock) as tables:
                assert tables.publishers == (tables.board, tables.redis)
                raise RuntimeError("the service fails")
        assert closed == [tables.redis]


@pytest.mark.parametrize("has_supervisor", [True, False])
async def test_processes_are_started_by_a_supervisor_alone(tmp_path, has_supervisor):
    ends = {"supervisor_url": closed_url()} if has_supervisor else {}
    async with framed(tmp_path, **ends) as (frame, session):
        tasks = instance_tasks(frame, session)
        await tasks.apply(commands((Verb.STOP, "int4-0")))
        await tasks.settle()
        [outcome] = tasks.take_outcomes()
        assert not outcome.is_done
        assert ("set controller.supervisor_url" in outcome.detail) is not has_supervisor


@pytest.mark.parametrize(
    ("own_w", "called_w", "precedence", "held_w"),
    [
        (None, None, None, None),
        (9000.0, None, None, 9000.0),
        (None, 4000.0, Precedence.CONTRACT, 4000.0),
        (3000.0, 4000.0, Precedence.CONTRACT, 3000.0),
        (None, 4000.0, Precedence.QOS, None),
    ],
)
async def test_instances_are_held_back_by_the_limits_that_outrank_the_classes(
    tmp_path, own_w, called_w, precedence, held_w
):
    called = () if called_w is None else (GridEvent("e", called_w, NOW_S, NOW_S + 60.0, NOW_S, precedence=precedence),)
    async with framed(tmp_path, import_limit_w=own_w) as (frame, session):
        custody = custody_of(frame, instance_tasks(frame, session), (), lambda now_s: called)
        assert custody._options.on_exit is OnExit.WAKE
        assert custody._firm_w(NOW_S + 31.0) == held_w


async def test_a_redis_that_comes_back_empty_has_the_table_before_the_next_tick_and_only_of_who_leads():
    leads = []
    async with (
        running_redis() as redis,
        Redis.from_url(redis.url) as client,
        opened_tables(Endpoints(PlainEngines(None), redis=RedisPlace(redis.url)), SystemClock()) as tables,
        restoring_tables(tables, lambda: bool(leads), SystemClock(), Works(Random(0))),
    ):
        await tables.redis.apply(commands(sequence=8, now_s=time.time()))
        await client.flushall()
        await asyncio.sleep(3 * RESTORE_S)
        assert await client.get("wattroute:allocation") is None, "a standby restores nothing"
        leads.append(True)
        async with asyncio.timeout(30):
            while await client.get("wattroute:allocation") is None:
                await asyncio.sleep(0.05)
