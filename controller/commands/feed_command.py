"""`wattroute feeds`: what each configured feed of price and carbon tells now."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable
from dataclasses import dataclass
from random import Random

import typer

from controller.clock import Clock, SystemClock
from controller.errors import ConfigError
from controller.grid.thresholds import runs_above
from controller.model.grid import Series
from controller.model.observation import Missing
from controller.model.programme import Programme
from controller.model.threshold import Threshold
from controller.service.feed_setup import NAMES, live_specs, still_feed
from controller.settings.file import Settings
from controller.settings.programmes import programmes_of
from controller.settings.signals import SignalSettings
from controller.signals.feeds.live import FeedState
from controller.signals.feeds.running import refreshers
from controller.store.plain import to_plain
from controller.utc_text import utc_minute


@dataclass(frozen=True, slots=True)
class Looked:
    """One feed, asked once.

    Attributes:
        name: of the signal.
        state: None of a feed that is constant or recorded.
    """

    name: str
    known: Series | Missing
    state: FeedState | None = None


def run(settings: Settings, *, as_json: bool) -> int:
    """Ask and print; the exit code is 1 where a configured feed tells nothing of now.

    Raises:
        ConfigError: no feed is configured, or a file of one cannot be used.
    """
    if all(getattr(settings.signals, name) is None for name in NAMES):
        raise ConfigError(
            "signals has no feed: add signals.price_usd_per_mwh or signals.carbon_kg_per_mwh; the kinds are in "
            "docs/reference/feeds.md"
        )
    clock = SystemClock()
    looked = asyncio.run(look(settings.signals, clock))
    now_s = clock.wall_s()
    if as_json:
        typer.echo(json.dumps({one.name: to_plain(one) for one in looked}, indent=2))
    else:
        programmes = programmes_of(settings.programmes).values()
        for one in looked:
            typer.echo("\n".join((*told(one, now_s), *thresholds_told(one, programmes, now_s))))
    return 1 if any(isinstance(one.known, Missing) for one in looked) else 0


async def look(signals: SignalSettings, clock: Clock) -> tuple[Looked, ...]:
    """Ask every configured feed once.

    Raises:
        ConfigError: a file of one cannot be used.
    """
    names = [name for name in NAMES if getattr(signals, name) is not None]
    async with refreshers(live_specs(signals), clock, Random()) as live:
        await asyncio.gather(*(one.once() for one in live.values()))
        now_s = clock.wall_s()
        out = []
        for name in names:
            feed = still_feed(signals, name, now_s)
            if feed is None:
                out.append(Looked(name, live[name].feed.read(now_s), live[name].feed.state(now_s)))
            else:
                out.append(Looked(name, feed.read(now_s)))
        return tuple(out)


def told(looked: Looked, now_s: float) -> list[str]:
    """The lines to print of one feed."""
    known, state = looked.known, looked.state
    if isinstance(known, Missing):
        return [f"{looked.name}: not known: {known.reason}"]
    value = known.at(now_s)
    lines = [
        f"{looked.name}: {'-' if value is None else f'{value:.2f}'} now, {known.quality.value}, from {known.source}"
    ]
    following = next((n for n, start_s in enumerate(known.starts_s) if start_s > now_s), None)
    if following is not None:
        lines.append(f"  then {known.values[following]:.2f} from {utc_minute(known.starts_s[following])}")
    ahead = known.values[max(0, (following or len(known.values)) - 1) :]
    hours = (known.end_s - now_s) / 3600.0
    lines.append(
        f"  known until {utc_minute(known.end_s)} ({hours:.1f} h ahead): {len(ahead)} intervals, "
        f"{min(ahead):.2f} .. {max(ahead):.2f}"
    )
    issued = "not told" if known.issued_at_s is None else utc_minute(known.issued_at_s)
    lines.append(f"  issued {issued}")
    if state is not None and state.gap_s is not None:
        lines.append(f"  gap from {utc_minute(state.gap_s[0])} to {utc_minute(state.gap_s[1])}")
    if state is not None and state.remark:
        lines.append(f"  {state.remark}")
    return lines


def thresholds_told(looked: Looked, programmes: Iterable[Programme], now_s: float) -> list[str]:
    """The lines to print of what thresholds make of one feed."""
    known = looked.known
    return [
        f"  programme {programme.name}, above {threshold.above:g}: {_asked(known, threshold, programme, now_s)}"
        for programme in programmes
        for threshold in programme.thresholds
        if threshold.signal.value == looked.name
    ]


def _asked(known: Series | Missing, threshold: Threshold, programme: Programme, now_s: float) -> str:
    if isinstance(known, Missing):
        return "not known"
    runs = runs_above(known, threshold, now_s, hold_s=programme.hold_s)
    if not runs:
        return "asks for nothing as far as is known"
    what = f"{threshold.asks.asked.value} {threshold.asks.value:g}"
    return f"{what} " + ", ".join(f"from {utc_minute(run.start_s)} to {utc_minute(run.end_s)}" for run in runs)
