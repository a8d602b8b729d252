"""The VENs of a service: set up, run in the background, and ended."""

from __future__ import annotations

import contextlib
import logging
import random
import ssl
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

import aiohttp
from prometheus_client import CollectorRegistry

from controller.background import Work, Works, in_background
from controller.clock import Clock
from controller.openadr.client import VtnClient
from controller.openadr.draws import Draws
from controller.openadr.feed import SpanFeed
from controller.openadr.follow import FirstHeard, by_this_process
from controller.openadr.http import VtnHttp, tls_context
from controller.openadr.metrics import OpenAdrMetrics, VenMetrics
from controller.openadr.specs import VenSpec
from controller.openadr.telling import Teller
from controller.openadr.ven import Ven, VenParts
from controller.signals.calls import CallBook

log = logging.getLogger(__name__)

SEED_BITS = 62


@dataclass(frozen=True, slots=True)
class Following:
    """What all VENs of a service share.

    Attributes:
        on_change: told when a poll changed what is followed.
        works: where the VENs' runs are counted and shown.
        feeds: of the service; those that events tell are bound to their VTN.
        teller: sets up what runs beside the VENs; None for nothing.
    """

    book: CallBook
    clock: Clock
    registry: CollectorRegistry
    on_change: Callable[[], None]
    works: Works
    feeds: tuple[object, ...] = ()
    teller: Teller | None = None


@contextlib.asynccontextmanager
async def following(specs: tuple[VenSpec, ...], world: Following) -> AsyncIterator[tuple[Ven, ...]]:
    """Follow VTNs until the end.

    Raises:
        ConfigError: a file of TLS cannot be used.
        ListenError: the port of a callback cannot be had.
    """
    if not specs:
        yield ()
        return
    families = OpenAdrMetrics(world.registry)
    async with contextlib.AsyncExitStack() as stack:
        vens = []
        for spec in specs:
            draws = Draws(random.SystemRandom().getrandbits(SEED_BITS))
            first_heard: FirstHeard = by_this_process
            if world.teller is not None:
                draws, first_heard = world.teller.draws(spec.name, draws), world.teller.first_heard(spec.name)
            session = await stack.enter_async_context(aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()))
            ven = build(spec, session, world, (VenMetrics(families, spec.name), draws, first_heard))
            for feed in world.feeds:
                if isinstance(feed, SpanFeed) and feed.vtn == spec.name:
                    feed.bind(ven.desk)
            if world.teller is not None:
                await stack.enter_async_context(world.teller.beside(ven, _tls(spec)))
            await stack.enter_async_context(in_background(ven.run, Work.OPENADR, spec.name, works=world.works))
            vens.append(ven)
        yield tuple(vens)


def build(
    spec: VenSpec, session: aiohttp.ClientSession, world: Following, own: tuple[VenMetrics, Draws, FirstHeard]
) -> Ven:
    """One VEN, with its own metrics, draws and memory of when it heard of events.

    Raises:
        ConfigError: a file of TLS cannot be used.
    """
    if not spec.is_verified:
        log.warning("the VTN's certificate is not verified: anybody may pass for it", extra={"vtn": spec.name})
    http = VtnHttp(session, _tls(spec), spec.timeout_s)
    client = VtnClient(http, spec.url, world.clock, credentials=spec.credentials, version=spec.version)
    metrics, draws, first_heard = own
    chance = random.SystemRandom()
    parts = VenParts(client, world.book, world.clock, chance, draws, metrics, world.on_change, first_heard)
    return Ven(spec, parts)


def _tls(spec: VenSpec) -> ssl.SSLContext:
    return tls_context(spec.ca_file, is_verified=spec.is_verified)
