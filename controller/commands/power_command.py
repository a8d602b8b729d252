"""`wattroute power`: what each configured source of power shows now, and what that amounts to."""

from __future__ import annotations

import asyncio
import json
from random import Random

import aiohttp
import typer

from controller.background import Works
from controller.clock import Clock, SystemClock
from controller.errors import ConfigError
from controller.lifecycle.policy import TickPolicy
from controller.model.fleet import Site
from controller.model.observation import Missing, Reading
from controller.service.compose import build_policy, build_site
from controller.settings.file import Settings
from controller.signals.power.ladder import PowerView
from controller.signals.power.open_source import open_power
from controller.signals.power.reader import PowerReader
from controller.signals.power.specs import PowerSpecs
from controller.store.plain import to_plain

_LOOK_S = 1.0
_MAX_NAMED = 16


def run(settings: Settings, *, seconds: float, as_json: bool) -> int:
    """Read for a while and print the last look; the exit code is 1 where the site's power is not known.

    Raises:
        ConfigError: no source is configured, or one cannot be opened.
    """
    specs = settings.signals.power_specs()
    if not specs.gpus and not specs.meters:
        raise ConfigError(
            "signals has no source of power: add signals.power or signals.meter; see docs/reference/power.md"
        )
    site, clock = build_site(settings), SystemClock()
    view = asyncio.run(watch(site, specs, clock, seconds=seconds, timeout_s=settings.signals.timeout_s))
    if as_json:
        typer.echo(json.dumps(to_plain(view), indent=2))
    else:
        typer.echo("\n".join(told(site, build_policy(settings), view, clock.wall_s())))
    return 1 if isinstance(view.site_power, Missing) else 0


async def watch(site: Site, specs: PowerSpecs, clock: Clock, *, seconds: float, timeout_s: float) -> PowerView:
    """Read once a second for so long, since power from counters takes two looks; returns the last one.

    Raises:
        ConfigError: a source cannot be opened.
    """
    works = Works(Random())
    async with aiohttp.ClientSession() as session, open_power(specs, session, clock, works) as sources:
        reader = PowerReader(site, sources, 2 * timeout_s)
        end_s = clock.monotonic_s() + seconds
        while True:
            view = await reader.read(clock.wall_s())
            if clock.monotonic_s() >= end_s:
                return view
            await clock.sleep(_LOOK_S)


def told(site: Site, policy: TickPolicy, view: PowerView, now_s: float) -> list[str]:
    """The lines to print."""
    ladder, gpus = view.ladder, len(view.gpu_power)
    width = max((len(state.name) for state in ladder.sources), default=0)
    lines = [f"{'source':{max(6, width)}}  rung   fresh    oldest   fault"]
    for state in ladder.sources:
        fresh = f"{state.gpus}/{gpus if state.rung.value != 'meter' else 1}"
        age = "-" if state.age_s is None else f"{state.age_s:.1f} s"
        lines.append(f"{state.name:{max(6, width)}}  {state.rung.value:5}  {fresh:7}  {age:7}  {state.error or '-'}")
    power = view.site_power
    margin = f"margin {100 * policy.margin_of(ladder.rung):g} %"
    if isinstance(power, Reading):
        age_s = max(0.0, now_s - power.observed_at_s)
        lines.append(
            f"{site.name}: {power.value_w:.0f} W, {age_s:.1f} s old, {power.quality.value}, from {power.source}; "
            f"rung {ladder.rung.value}, {margin}"
        )
    else:
        lines.append(f"{site.name}: power is not known: {power.reason}; rung {ladder.rung.value}, {margin}")
    if ladder.reason:
        lines.append(f"below {ladder.best.value} because: {ladder.reason}")
    absent = [uuid for uuid, reading in view.gpu_power.items() if isinstance(reading, Missing)]
    if absent and (isinstance(power, Missing) or len(absent) < gpus):
        more = f" and {len(absent) - _MAX_NAMED} more" if len(absent) > _MAX_NAMED else ""
        lines.append(f"no source shows {', '.join(absent[:_MAX_NAMED])}{more}")
    for one in ladder.conflicts[:_MAX_NAMED]:
        lines.append(f"{one.subject}: {one.higher} says {one.higher_w:.0f} W, {one.lower} {one.lower_w:.0f} W")
    return lines
