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
from controller.service.engine_keyring import followed_keyring
from controller.service.rosters import opened_rosters
from controller.settings.file import Settings
from controller.signals.power.ladder import PowerView
from controller.signals.power.open_source import open_power
from controller.signals.power.reader import PowerReader
from controller.signals.power.specs import PowerSpecs
from controller.signals.present import Present
from controller.store.plain import to_plain

_LOOK_S = 1.0
_FOUND_S = 5.0
"""Longest wait for the instances of pools that do not list theirs."""
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
    clock = SystemClock()
    present, view = asyncio.run(look(settings, specs, clock, seconds=seconds))
    if as_json:
        typer.echo(json.dumps(to_plain(view), indent=2))
    else:
        typer.echo("\n".join(told(present.site(), build_policy(settings), view, clock.wall_s())))
        if not present.is_whole:
            typer.echo("discovery has not told the instances of all pools; see the log, or /state of a router")
    return 1 if isinstance(view.site_power, Missing) else 0


async def look(settings: Settings, specs: PowerSpecs, clock: Clock, *, seconds: float) -> tuple[Present, PowerView]:
    """Find the instances that are not listed, then read for so long; what there is, and the last look.

    Raises:
        ConfigError: a source cannot be opened, or it is not known where to find instances.
    """
    site, timeout_s = build_site(settings), settings.signals.timeout_s
    if all(pool.discovery is None for pool in settings.pools):
        present = Present(site)
        return present, await watch(present, specs, clock, seconds=seconds, timeout_s=timeout_s)
    works = Works(Random())
    async with (
        followed_keyring(settings, clock, works) as keyring,
        opened_rosters(settings, keyring, clock, works) as source,
    ):
        present = Present(site, source)
        end_s = clock.monotonic_s() + _FOUND_S
        while not present.is_whole and clock.monotonic_s() < end_s:
            await clock.sleep(0.1)
        # The first look tells which pod has which GPUs.
        return present, await watch(present, specs, clock, seconds=max(seconds, _LOOK_S), timeout_s=timeout_s)


async def watch(present: Present, specs: PowerSpecs, clock: Clock, *, seconds: float, timeout_s: float) -> PowerView:
    """Read once a second for so long, since power from counters takes two looks; returns the last one.

    Raises:
        ConfigError: a source cannot be opened.
    """
    works = Works(Random())
    async with (
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session,
        open_power(specs, session, clock, works) as sources,
    ):
        reader = PowerReader(present.site(), sources, 2 * timeout_s)
        end_s = clock.monotonic_s() + seconds
        while True:
            reader.follow(present.site())
            view = await reader.read(clock.wall_s())
            present.take_owners(reader.owners())
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
    margin = f"margin {100 * policy.by_meter(ladder.error_frac).margin_of(ladder.rung):g} %"
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
