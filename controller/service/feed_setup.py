"""The feeds of price and carbon, from settings to what the collector reads."""

from __future__ import annotations

import contextlib
import hashlib
import logging
from collections.abc import AsyncIterator
from pathlib import Path
from random import Random

from controller.background import Works
from controller.clock import Clock
from controller.model.threshold import FeedSignal
from controller.service.compose import build_feed
from controller.service.feed_memory import FeedMemory
from controller.service.options import Feeds
from controller.settings.live_feeds import LiveFeed as LiveSettings
from controller.settings.signals import SignalSettings
from controller.signals.feeds.feed import Feed
from controller.signals.feeds.running import LiveSpec, running

log = logging.getLogger(__name__)
NAMES = tuple(signal.value for signal in FeedSignal)
"""The signals that feeds tell; each is also its unit."""
LEAST_LOOKAHEAD_S = 7200.0
"""How far ahead recorded feeds hand out."""


def live_specs(signals: SignalSettings) -> dict[str, LiveSpec]:
    """What the live feeds are opened from, by signal."""
    configured = {name: getattr(signals, name) for name in NAMES}
    return {name: feed.spec() for name, feed in configured.items() if isinstance(feed, LiveSettings)}


def still_feed(signals: SignalSettings, name: str, started_at_s: float) -> Feed | None:
    """The feed of a signal that is constant, recorded or absent; None where it is live.

    Raises:
        ConfigError: its file is absent or malformed.
    """
    configured = getattr(signals, name)
    return None if isinstance(configured, LiveSettings) else build_feed(name, configured, started_at_s)


@contextlib.asynccontextmanager
async def open_feeds(
    signals: SignalSettings,
    clock: Clock,
    started_at_s: float,
    folder: Path,
    works: Works,
    *,
    lookahead_s: float = LEAST_LOOKAHEAD_S,
) -> AsyncIterator[Feeds]:
    """The feeds as configured; the live ones are asked in the background until the end.

    The live ones hand out `lookahead_s`, as far as the plan looks: the record of each tick holds what they hand out.
    What they told is kept in `folder`, so that a restart while a publisher is silent does not begin without it.

    Raises:
        ConfigError: a file of one is absent, malformed, or cannot be used.
    """
    still = {name: still_feed(signals, name, started_at_s) for name in NAMES}
    async with (
        running(live_specs(signals), clock, Random(), works, max(lookahead_s, LEAST_LOOKAHEAD_S)) as live,
        FeedMemory(folder, {name: (feed, _fingerprint(signals, name)) for name, feed in live.items()}).kept(
            clock, works
        ),
    ):
        for name, feed in live.items():
            log.info("feed opened", extra={"feed": name, "source": feed.source})
        if "(average" in (told := live["carbon_kg_per_mwh"].source if "carbon_kg_per_mwh" in live else ""):
            log.warning("carbon is told as an average, which load that moves does not change", extra={"source": told})
        price, carbon = ((still[name] or live[name]) for name in NAMES)
        yield Feeds(price, carbon)


def _fingerprint(signals: SignalSettings, name: str) -> str:
    """Tells one configuration of a feed from another, whose values would be in another unit or of another place."""
    return hashlib.sha256(getattr(signals, name).model_dump_json().encode()).hexdigest()
