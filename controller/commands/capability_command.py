"""`wattroute capability`: what the site can shed, through the controller's API."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import typer

from controller.commands.controller_client import Access, ask
from controller.commands.derate_command import line_of
from controller.commands.event_command import clock_text, limit_kw


def tell(access: Access, environment: Mapping[str, str], now: datetime, *, as_json: bool) -> None:
    """Tell what can be shed.

    Raises:
        ConfigError, RequestRefused: the controller cannot be asked.
    """
    told = asyncio.run(ask(access, environment, "GET", "/v1/capability", None))
    typer.echo(json.dumps(told, indent=2) if as_json else "\n".join(lines_of(told, now)))


def lines_of(told: Mapping[str, Any], now: datetime) -> list[str]:
    """What can be shed as lines to print."""
    if told["unknown"] is not None:
        return [f"what can be shed is not known: {told['unknown']}"]
    lines = [f"drawn {told['present_w'] / 1e3:.3f} kW at {clock_text(told['now_s'], now)}; can be shed:"]
    lines.append(f"{'within':>8} {'cost':<8} {'shed kW':>9} {'down to kW':>11} {'for':>9} {'recovery':>9} {'a day':>7}")
    for each in told["offers"]:
        often = "any" if each["events_per_day"] is None else f"{each['events_per_day']:.1f}"
        lines.append(
            f"{_span(each['lead_s']):>8} {each['qos_cost']:<8} {each['shed_w'] / 1e3:>9.3f} "
            f"{limit_kw(each['achievable_w']):>11.3f} {_span(each['duration_s'], 'open'):>9} "
            f"{_span(each['recovery_s'], 'unknown'):>9} {often:>7}"
        )
    broken = sorted({promise for each in told["offers"] for promise in each["broken"]})
    for cost in dict.fromkeys(each["qos_cost"] for each in told["offers"]):
        yields = {promise for each in told["offers"] if each["qos_cost"] == cost for promise in each["yields"]}
        if yields:
            lines.append(f"  yields at cost {cost}: {', '.join(sorted(yields))}")
    lines += [f"  not kept also without a reduction: {promise}" for promise in broken]
    return lines + [f"  derated by {line_of(each, now)}" for each in told.get("derates", ())] + _possible(told)


def _possible(told: Mapping[str, Any]) -> list[str]:
    """What could be shed without the derates, where that is more."""
    derated = [each["derated"] for each in told["offers"] if each.get("derated") is not None]
    most_w = max((each["possible_shed_w"] for each in derated), default=0.0)
    return [f"  without derates up to {most_w / 1e3:.3f} kW could be shed"] if derated else []


def _span(time_s: float | None, absent: str = "") -> str:
    if time_s is None:
        return absent
    if time_s < 90:
        return f"{time_s:.0f}s"
    return f"{time_s / 60:.0f}m" if time_s < 5400 else f"{time_s / 3600:.1f}h"
