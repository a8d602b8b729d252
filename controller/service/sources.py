"""Where a service reads: its engines, its routers, the sources of power and the feeds."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

import aiohttp

from controller.background import Works
from controller.clock import Clock
from controller.model.observation import Barred
from controller.service.options import Endpoints, Frame
from controller.signals.calls import CallBook
from controller.signals.collect import Collector, Sources
from controller.signals.engines import EngineSource
from controller.signals.power.open_source import open_power
from controller.signals.power.reader import PowerSources
from controller.signals.power.specs import PowerSpecs
from controller.signals.router_askers import HttpRouters, RedisRouters, RouterAsker
from controller.signals.router_tokens import TokenCounts
from controller.signals.routers import RouterCounts, RouterSource
from controller.signals.supervisor import NO_FAULTS, SupervisorSource
from router.transport.redis_client import open_redis


@dataclass(frozen=True, slots=True)
class Counted:
    """What a former process had counted of its routers.

    Attributes:
        requests: None where it had counted nothing.
    """

    requests: RouterCounts | None
    tokens: TokenCounts


@dataclass(frozen=True, slots=True)
class ServiceSources:
    """The sources of a service; `collector` reads all of them at once."""

    engines: EngineSource
    routers: RouterSource
    collector: Collector


@contextlib.asynccontextmanager
async def opened_sources(
    frame: Frame,
    session: aiohttp.ClientSession,
    counted: Counted,
    *,
    calls: CallBook,
    barred: Callable[[float], tuple[Barred, ...]],
) -> AsyncIterator[ServiceSources]:
    """The sources, until the end.

    Args:
        frame: what is read, and from where.
        session: for engines and routers.
        counted: what routers are counted on from.
        calls: what holds of the grid's calls.
        barred: tells the pools and instances that may not serve.
    """
    endpoints, feeds, timeout_s = frame.endpoints, frame.feeds, frame.options.timeout_s
    supervisor = (
        None
        if endpoints.supervisor_url is None
        else SupervisorSource(session, endpoints.supervisor_url, timeout_s, endpoints.supervisor_headers)
    )
    engines = EngineSource(
        session,
        frame.present.site,
        engines=endpoints.engines,
        supervisor=supervisor,
        timeout_s=timeout_s,
    )
    async with (
        _opened_routers(endpoints, session, timeout_s) as asker,
        _opened_power(endpoints.power, frame.clock, frame.works) as power,
    ):
        routers = RouterSource(asker, counted.requests, counted.tokens)
        sources = Sources(
            power=power,
            engines=engines,
            routers=routers,
            price_usd_per_mwh=feeds.price_usd_per_mwh,
            carbon_kg_per_mwh=feeds.carbon_kg_per_mwh,
            calls=calls,
            barred=barred,
            supervisor_faults=lambda: NO_FAULTS if supervisor is None else supervisor.faults,
        )
        yield ServiceSources(engines, routers, Collector(frame.present, sources, deadline_s=2 * timeout_s))


@contextlib.asynccontextmanager
async def _opened_routers(
    endpoints: Endpoints, session: aiohttp.ClientSession, timeout_s: float
) -> AsyncIterator[RouterAsker]:
    """Routers at the addresses that are configured; without any, those that tell of themselves beside the table."""
    if endpoints.router_urls or endpoints.redis is None:
        yield HttpRouters(session, endpoints.router_urls, timeout_s)
        return
    async with open_redis(endpoints.redis, timeout_s=timeout_s) as client:
        yield RedisRouters(client, endpoints.redis_key, timeout_s)


@contextlib.asynccontextmanager
async def _opened_power(specs: PowerSpecs, clock: Clock, works: Works) -> AsyncIterator[PowerSources]:
    """The sources of power with connections of their own: streams stay open, and take no place of what is asked."""
    async with (
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session,
        open_power(specs, session, clock, works) as sources,
    ):
        yield sources
