"""`wattroute curtail`, `events`, `cancel`, `opt-out`, `opt-in`: an operator's calls, through the controller's API."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import typer

from controller.commands.controller_client import Access, ask
from controller.commands.curtail_request import CurtailOptions, request_of

MOST_LIMITS = 12
"""Limits of one event that are shown."""


def curtail(access: Access, options: CurtailOptions, environment: Mapping[str, str], now: datetime) -> None:
    """Enter a call, or tell what it would come to.

    Raises:
        ConfigError, RequestRefused: it cannot be sent, or is not taken in.
    """
    body = request_of(options, now)
    _tell(asyncio.run(ask(access, environment, "POST", "/v1/events", body)), options.as_json, now)


def events(access: Access, environment: Mapping[str, str], now: datetime, *, as_json: bool) -> None:
    """List calls.

    Raises:
        ConfigError, RequestRefused: the controller cannot be asked.
    """
    told = asyncio.run(ask(access, environment, "GET", "/v1/events", None))
    if as_json:
        typer.echo(json.dumps(told, indent=2))
        return
    if not told["events"]:
        typer.echo("no events are pending or active, and none ended within the last hour")
        return
    for event in told["events"]:
        typer.echo("\n".join(lines_of(event, now)))


def change(
    access: Access, environment: Mapping[str, str], now: datetime, request: tuple[str, str, dict[str, Any] | None]
) -> None:
    """Cancel a call, opt out of it or in again.

    Args:
        access: to the controller.
        environment: of the process.
        now: of the operator.
        request: method, path and body.

    Raises:
        ConfigError, RequestRefused: it was not done.
    """
    method, path, body = request
    _tell(asyncio.run(ask(access, environment, method, path, body)), False, now)


def lines_of(event: Mapping[str, Any], now: datetime) -> list[str]:
    """An event as lines to print, times on the operator's clock."""
    mode = "would be " if event.get("dry_run") else ""
    test = ", a test" if event["is_test"] else ""
    lines = [f"{event['event_id']}: {mode}{event['state']}, {event['source']}, programme {event['programme']}{test}"]
    lines += _limits(event, now)
    if event["baseline_w"] is not None:
        lines.append(f"  baseline {event['baseline_w'] / 1e3:.3f} kW ({event['baseline_origin']})")
    if event.get("present_w") is not None:
        lines.append(f"  drawn now {event['present_w'] / 1e3:.3f} kW")
    lines += _within(event)
    lines += [f"  raised to the least limit of the programme: {name}" for name in event["raised_to_least"]]
    lines += [
        f"  not followed from {clock_text(each['start_s'], now)}: {each['reason']}" for each in event["unresolved"]
    ]
    if event["opted_out"] is not None:
        lines.append(f"  not followed: {event['opted_out']}")
    return lines + _in_part(event, now)


def _limits(event: Mapping[str, Any], now: datetime) -> list[str]:
    """What holds when: what is not over, or all of what is; the first ones, and nothing that had no length."""
    told = [limit for limit in event["limits"] if limit["end_s"] > limit["start_s"]]
    told = [limit for limit in told if limit["end_s"] > now.timestamp()] or told
    lines = []
    for limit in told[:MOST_LIMITS]:
        span = span_text(limit["start_s"], limit["end_s"], now)
        asked_w, within = limit.get("asked_limit_w"), f"met within {limit['ramp_s']:.0f} s"
        asked = "" if asked_w is None else f", asked for {asked_w / 1e3:.3f} kW"
        lines.append(f"  at most {limit['limit_w'] / 1e3:.3f} kW from {span}, {within}{asked}")
    if len(told) > MOST_LIMITS:
        until = clock_text(told[-1]["end_s"], now)
        lines.append(f"  and {len(told) - MOST_LIMITS} more until {until}; wattroute events --json tells them")
    return lines


def _in_part(event: Mapping[str, Any], now: datetime) -> list[str]:
    """How far it is followed, where the operator chose to follow it in part."""
    part = event.get("in_part")
    if part is None:
        return []
    down_to = f"no lower than {part['down_to_w'] / 1e3:.3f} kW since {clock_text(part['since_s'], now)}"
    lines = [f"  followed in part, {down_to}: {part['reason']}"]
    coming = [limit for limit in event["limits"] if limit["end_s"] > now.timestamp()]
    if coming and all(limit.get("asked_limit_w") is None for limit in coming):
        lines.append("  that changes none of its limits: it asks for no less")
    return lines


def _within(event: Mapping[str, Any]) -> list[str]:
    """Whether what would hold lies within what can be shed, where the answer tells."""
    if "is_achievable" not in event:
        return []
    if event["is_achievable"] is None:
        return [f"  whether it can be kept is not known: {event['capability_unknown']}"]
    if event["is_achievable"]:
        return [f"  can be kept; cost to those served: {event['qos_cost']}"]
    if event["achievable_w"] is None:
        return ["  can NOT be promised as soon as that"]
    least_kw, derate = limit_kw(event["achievable_w"]), event.get("derate_id")
    offered = "" if derate is None else f"; less is offered by derate {derate}"
    return [
        f"  can NOT be promised for as long; the least limit that can be kept by then is {least_kw:.3f} kW{offered}"
    ]


def limit_kw(limit_w: float) -> float:
    """A limit in whole watts that is not below what can be kept: what is shown can be called."""
    return math.ceil(limit_w) / 1e3


def clock_text(time_s: float, now: datetime) -> str:
    """A time on the operator's clock, with its day where that is not today."""
    if time_s > 2.5e11:
        return "further notice"
    moment = datetime.fromtimestamp(time_s, now.tzinfo)
    return moment.strftime("%H:%M:%S" if moment.date() == now.date() else "%Y-%m-%d %H:%M:%S")


def span_text(start_s: float, end_s: float, now: datetime) -> str:
    """A span, and on which clock: that of the machine of this command, which within a pod is not the operator's."""
    return f"{clock_text(start_s, now)} {now.tzname()} to {clock_text(end_s, now)}"


def _tell(event: Mapping[str, Any], as_json: bool, now: datetime) -> None:
    typer.echo(json.dumps(event, indent=2) if as_json else "\n".join(lines_of(event, now)))
