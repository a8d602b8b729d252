"""One suite over every signal: it answers or says why not, within its deadline, and never raises for the outside."""

import asyncio
from pathlib import Path
from random import Random

import aiohttp
import pytest
from aiohttp import web

from controller.background import Works
from controller.clock import SystemClock
from controller.errors import SignalError
from controller.model.grid import Series
from controller.model.observation import InstanceState, Missing
from controller.signals.engines import EngineSource
from controller.signals.feeds import AbsentFeed, ConstantFeed, CsvColumns, Replay, ReplayFeed
from controller.signals.power.agent_sample import STREAM_PATH
from controller.signals.power.agent_stream import AgentSource
from controller.signals.power.dcgm import DcgmSource
from controller.signals.power.event_stream import StreamParts
from controller.signals.power.http_access import HttpAccess, HttpOptions
from controller.signals.power.prometheus import Prometheus
from controller.signals.power.promql import PromqlSource
from controller.signals.power.zeusd import ZeusdSource
from controller.signals.router_askers import HttpRouters
from controller.signals.routers import RouterSource
from controller.signals.supervisor import SupervisorSource
from tests.fakes.controller_parts import NOW_S, pool, present
from tests.fakes.http_stub import closed_url, http_stub
from tests.fakes.plain_engines import PlainEngines

PATHS = (
    *("/", "/metrics", "/state", "/health", "/is_sleeping", "/instances"),
    *("/api/v1/query", "/gpu/get_power", "/gpu/get_cumulative_energy", "/gpu/stream_power", STREAM_PATH),
)


def dcgm(session, url):
    return DcgmSource(HttpAccess(session, HttpOptions(timeout_s=0.3)), (url,))


def promql(session, url):
    return PromqlSource(Prometheus(HttpAccess(session, HttpOptions(timeout_s=0.3)), url), url)


def streaming():
    return StreamParts(SystemClock(), Random(1), Works(Random(0)))


def zeusd(session, url):
    return ZeusdSource(HttpAccess(session, HttpOptions(timeout_s=0.3)), url, ("GPU-a",), streaming())


def agent(session, url):
    return AgentSource(HttpAccess(session, HttpOptions(timeout_s=0.3)), (url,), streaming())


def engines(session, url):
    supervisor = SupervisorSource(session, url, 0.3)
    return EngineSource(
        session, present(pool("a", (url,))), engines=PlainEngines(session), supervisor=supervisor, timeout_s=0.3
    )


def routers(session, url):
    return RouterSource(HttpRouters(session, (url,), 0.3))


def is_told_as_absent(result) -> bool:
    """Whether the result says that nothing was had, with a reason where the type has one."""
    if isinstance(result, Missing):
        return bool(result.reason)
    readings_or_first, *rest = result
    if hasattr(readings_or_first, "state"):
        return readings_or_first.state is InstanceState.UNREACHABLE
    return (
        readings_or_first == {}
        and all(isinstance(error, SignalError) and error.reason for error in rest[0])
        and rest[0]
    )


async def hang(_: web.Request) -> web.StreamResponse:
    await asyncio.sleep(30)
    return web.Response()


async def drop(request: web.Request) -> web.StreamResponse:
    request.transport.abort()
    return web.Response()


async def rubbish(_: web.Request) -> web.StreamResponse:
    return web.Response(body=b"\xff\x00{{{not anything")


async def broken_json(_: web.Request) -> web.StreamResponse:
    return web.Response(text='{"table": [' * 2000)


@pytest.mark.parametrize("make", [dcgm, promql, zeusd, agent, engines, routers])
@pytest.mark.parametrize("fault", [404, 500, hang, drop, rubbish, broken_json])
async def test_a_peer_that_misbehaves(make, fault):
    async with http_stub() as stub, aiohttp.ClientSession() as session:
        for path in PATHS:
            stub.set(path, fault)
        source = make(session, f"{stub.url}/metrics" if make is dcgm else stub.url)
        async with asyncio.timeout(10):
            result = await source.read(NOW_S)
    if make is dcgm and fault is broken_json:
        assert "shows neither" in result[1][0].reason  # text without any wanted metric
    else:
        assert is_told_as_absent(result)


@pytest.mark.parametrize("make", [dcgm, promql, zeusd, agent, engines, routers])
async def test_a_peer_that_is_not_there_and_comes_back_to_reading(make):
    async with aiohttp.ClientSession() as session:
        source = make(session, closed_url())
        for second in range(3):
            assert is_told_as_absent(await source.read(NOW_S + second))


@pytest.mark.parametrize(
    "feed",
    [
        ConstantFeed(50.0, "usd_per_mwh"),
        AbsentFeed("price_usd_per_mwh"),
        ReplayFeed(
            Path("ercot_dam_lz_usd_per_mwh.csv"),
            CsvColumns("hour_start_utc", "LZ_NORTH", "usd_per_mwh"),
            Replay(NOW_S, 1_657_735_200.0),
        ),
    ],
    ids=lambda feed: type(feed).__name__,
)
@pytest.mark.parametrize("ahead_s", [0.0, 3601.0, 1e9])
def test_every_feed_covers_now_or_is_missing_with_a_reason(feed, ahead_s):
    known = feed.read(NOW_S + ahead_s)
    if isinstance(known, Series):
        assert known.at(NOW_S + ahead_s) is not None
        assert known.unit == "usd_per_mwh"
    else:
        assert known.reason
