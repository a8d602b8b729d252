import asyncio
import contextlib
import time
from dataclasses import replace
from random import Random

import pytest
from aiohttp import web
from redis.asyncio import Redis

from controller.actuators.allocation_redis import RedisPublisher
from controller.background import Works
from controller.clock import SystemClock
from controller.errors import ActuationError, ConfigError
from controller.kubernetes.marks import COST, GOES_FIRST
from controller.kubernetes.owners import Scaled, Workload
from controller.lifecycle.handback import OnExit
from controller.lifecycle.policy import Mode
from controller.model.grid import GridEvent, Precedence
from controller.model.plan import Verb
from controller.service.acting import (
    RESTORE_S,
    Starting,
    custody_of,
    instance_tasks,
    opened_releasing,
    opened_starting,
    opened_tables,
    restoring_tables,
)
from controller.service.options import Endpoints
from controller.signals.present import Present
from router.contract import PoolId
from router.transport.redis_place import RedisPlace
from tests.fakes.controller_parts import NOW_S, commands, pool, site
from tests.fakes.http_stub import closed_url, http_stub
from tests.fakes.kube.config import kubeconfig
from tests.fakes.kube.kinds import DEPLOYMENTS, PODS
from tests.fakes.kube.managers import Writer
from tests.fakes.kube.samples import deployment, pod
from tests.fakes.kube.server import kube_server
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


@contextlib.asynccontextmanager
async def starting_tasks(frame, session):
    async with opened_starting(frame, session) as starting:
        yield instance_tasks(frame, starting)


@pytest.mark.parametrize("has_supervisor", [True, False])
async def test_processes_are_started_by_a_supervisor_alone(tmp_path, has_supervisor):
    ends = {"supervisor_url": closed_url()} if has_supervisor else {}
    async with framed(tmp_path, **ends) as (frame, session), contextlib.AsyncExitStack() as stack:
        tasks = await stack.enter_async_context(starting_tasks(frame, session))
        await tasks.apply(commands((Verb.STOP, "int4-0")))
        await tasks.settle()
        [outcome] = tasks.take_outcomes()
        assert not outcome.is_done
        assert ("set controller.supervisor_url" in outcome.detail) is not has_supervisor


WORKLOADS = {PoolId("int4"): Scaled(Workload("Deployment", "vllm-int4", None), 0, 6)}


async def outcomes_of(tasks, *told):
    await tasks.apply(commands(*told))
    await tasks.settle()
    return {outcome.command.instance_id: outcome for outcome in tasks.take_outcomes()}


async def test_places_are_filled_by_the_replicas_of_their_workload_and_those_of_other_pools_by_others(
    tmp_path, monkeypatch
):
    async with kube_server() as kube:
        monkeypatch.setenv("KUBECONFIG", str(kubeconfig(tmp_path, kube)))
        kube.store.create(DEPLOYMENTS, "default", deployment("vllm-int4", 5), Writer("kubectl"))
        ends = {"workloads": WORKLOADS, "supervisor_url": closed_url()}
        async with framed(tmp_path, **ends) as (frame, session), starting_tasks(frame, session) as tasks:
            other = frame.site.pools[0].instances[0].instance_id
            ended = await outcomes_of(tasks, (Verb.START, "int4~5"), (Verb.START, "fp8~5"), (Verb.START, other))
        assert kube.store.get(DEPLOYMENTS, "default", "vllm-int4")["spec"]["replicas"] == 6
        assert ended["int4~5"].is_done
        assert "fp8~5" not in ended, "whoever scales that pool fills its places"
        assert f"/instances/{other}/start" in ended[other].detail, "a supervisor is asked for what is no workload's"


async def test_the_canary_of_a_wake_bears_the_key_of_its_pool(tmp_path):
    seen = []

    async def completion(request):
        seen.append(request.headers.get("authorization"))
        return web.json_response({})

    async with http_stub() as stub:
        stub.set("/is_sleeping", {"is_sleeping": False})
        stub.set("/health", 200)
        stub.set("/v1/completions", completion, "POST")
        ends = {"engine_headers": {PoolId("a"): {"authorization": "Bearer k"}}}
        async with framed(tmp_path, **ends) as (frame, _):
            frame = replace(frame, present=Present(site(pool("a", (stub.url,)))))
            ended = await outcomes_of(instance_tasks(frame, Starting()), (Verb.WAKE, "a-0"))
    assert ended["a-0"].is_done
    assert seen == ["Bearer k"]


@pytest.mark.parametrize(("mode", "held"), [(Mode.ACT, False), (Mode.ACT, True), (Mode.RECOMMEND, False)])
async def test_pods_whose_replicas_are_written_bear_no_mark_while_they_serve_where_this_controller_acts(
    tmp_path, monkeypatch, mode, held
):
    async with kube_server() as kube, contextlib.AsyncExitStack() as stack:
        monkeypatch.setenv("KUBECONFIG", str(kubeconfig(tmp_path, kube)))
        frame, session = await stack.enter_async_context(framed(tmp_path, mode=mode, workloads=WORKLOADS))
        if held:
            pools = tuple(replace(pool, mode=Mode.RECOMMEND) for pool in frame.site.pools)
            frame = replace(frame, site=replace(frame.site, pools=pools))
        starting = await stack.enter_async_context(opened_starting(frame, session))
        assert (starting.marks is not None) is (mode is Mode.ACT)
        if starting.marks is None:
            return
        assert bool(starting.marks.there()) is not held
        name = next(iter(starting.marks.there()), "none")
        told = commands()
        kube.faults.frozen = True
        await starting.marks.apply(replace(told, table=replace(told.table, draining=(name,))))
        instance_tasks(frame, starting).give_up()
        assert starting.marks.resting == frozenset(), "who leads next may mark others"


FOLLOWED = {PoolId("int4"): Scaled(Workload("Deployment", "vllm-int4", None), 0, 6)}


@pytest.mark.parametrize("mode", Mode)
async def test_pods_are_let_go_by_a_controller_that_acts_alone(tmp_path, monkeypatch, mode):
    async with kube_server() as kube, contextlib.AsyncExitStack() as stack:
        monkeypatch.setenv("KUBECONFIG", str(kubeconfig(tmp_path, kube)))
        frame, _ = await stack.enter_async_context(framed(tmp_path, mode=mode, followed=FOLLOWED))
        release = await stack.enter_async_context(opened_releasing(frame))
        assert (release is not None) is (mode is Mode.ACT)
        if release is None:
            return
        name = frame.site.pool(PoolId("int4")).instances[0].instance_id
        kube.store.create(PODS, "default", pod(name))
        with contextlib.suppress(ActuationError):
            told = commands()
            await release.apply(replace(told, table=replace(told.table, draining=(name,))))
        ended = await outcomes_of(instance_tasks(frame, Starting(), release), (Verb.STOP, name))
        assert ended[name].is_done
        assert kube.store.get(PODS, "default", name)["metadata"]["annotations"] == {GOES_FIRST: COST}


async def test_pods_that_are_let_go_need_a_cluster(tmp_path, monkeypatch):
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "absent"))
    async with framed(tmp_path, followed=FOLLOWED) as (frame, _):
        with pytest.raises(ConfigError, match="no Kubernetes cluster can be reached from here"):
            async with opened_releasing(frame):
                pass


async def test_a_workload_needs_a_cluster(tmp_path, monkeypatch):
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "absent"))
    async with framed(tmp_path, workloads=WORKLOADS) as (frame, session):
        with pytest.raises(ConfigError, match="no Kubernetes cluster can be reached from here"):
            async with opened_starting(frame, session):
                pass


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
    async with framed(tmp_path, import_limit_w=own_w) as (frame, _):
        custody = custody_of(frame, instance_tasks(frame, Starting()), (), lambda now_s: called)
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


async def test_that_the_table_may_not_be_looked_for_is_said_once(caplog):
    async with running_redis() as redis, Redis.from_url(redis.url) as client:
        await client.execute_command("ACL", "SETUSER", "default", "-exists")
        async with (
            opened_tables(Endpoints(PlainEngines(None), redis=RedisPlace(redis.url)), SystemClock()) as tables,
            restoring_tables(tables, lambda: True, SystemClock(), Works(Random(0))),
        ):
            await tables.redis.apply(commands(sequence=8, now_s=time.time()))
            await asyncio.sleep(4 * RESTORE_S)
    told = [record.reason for record in caplog.records if "seen whether redis has the table" in record.message]
    assert len(told) == 1
    assert "exists" in told[0]
