"""Live feeds, opened from their specifications: sessions, tasks, and their end."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from random import Random

import aiohttp

from controller.background import Work, Works, in_background
from controller.clock import Clock
from controller.signals.feeds.fetch import FileWeb, HttpWeb, Pacer, WebOptions
from controller.signals.feeds.live import FeedRules, LiveFeed
from controller.signals.feeds.outlook import LOOKAHEAD_S
from controller.signals.feeds.provider import Provider
from controller.signals.feeds.refresh import Refresher


@dataclass(frozen=True, slots=True)
class LiveSpec:
    """What a live feed is opened from; `web` None stands for a file."""

    provider: Provider
    rules: FeedRules
    web: WebOptions | None


@contextlib.asynccontextmanager
async def refreshers(
    specs: Mapping[str, LiveSpec], clock: Clock, chance: Random, lookahead_s: float = LOOKAHEAD_S
) -> AsyncIterator[dict[str, Refresher]]:
    """One refresher for each signal, which nobody runs yet.

    Raises:
        ConfigError: a file of TLS cannot be used.
    """
    pacer = Pacer(clock)
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session:
        yield {
            name: Refresher(
                LiveFeed(name, spec.provider.source, spec.rules, lookahead_s),
                spec.provider,
                FileWeb() if spec.web is None else HttpWeb(session, spec.web, pacer),
                clock,
                chance,
            )
            for name, spec in specs.items()
        }


@contextlib.asynccontextmanager
async def running(
    specs: Mapping[str, LiveSpec], clock: Clock, chance: Random, works: Works, lookahead_s: float = LOOKAHEAD_S
) -> AsyncIterator[dict[str, LiveFeed]]:
    """The feeds of the signals, kept up to date until the end.

    Raises:
        ConfigError: a file of TLS cannot be used.
    """
    async with refreshers(specs, clock, chance, lookahead_s) as found, contextlib.AsyncExitStack() as stack:
        for name, one in found.items():
            await stack.enter_async_context(in_background(one.run, Work.FEED, name, works=works))
        yield {name: one.feed for name, one in found.items()}
