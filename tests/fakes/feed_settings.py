"""Configurations with one live feed."""

from __future__ import annotations

from pathlib import Path

from controller.settings.file import load
from controller.settings.live_feeds import LiveFeed
from tests.fakes.controller_files import MINIMAL, write

PRICE, CARBON = "price_usd_per_mwh", "carbon_kg_per_mwh"
MAPPED = "kind: mapped, url: 'http://x', format: json, time: t, value: v"


def config(signal: str, feed: str) -> str:
    """A configuration whose only feed is this one, in YAML without its braces."""
    return MINIMAL + f"signals: {{{signal}: {{{feed}}}}}\n"


def opened(tmp_path: Path, signal: str, feed: str) -> LiveFeed:
    """The same, loaded."""
    found = getattr(load(write(tmp_path, config(signal, feed))).signals, signal)
    assert isinstance(found, LiveFeed)
    return found
