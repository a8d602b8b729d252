"""`wattroute derate`, `derates`, `derate-end`: what the site offers at most, through the controller's API."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import quote

import typer

from controller.commands.controller_client import Access, ask
from controller.commands.curtail_request import seconds, start_of, watts
from controller.commands.event_command import span_text

_PATH = "/v1/derates"


@dataclass(frozen=True, slots=True)
class DerateOptions:
    """What `wattroute derate` was told, as written."""

    shed: str
    duration: str
    reason: str
    at: str | None = None
    derate_id: str | None = None


def request_of(options: DerateOptions, now: datetime) -> dict[str, Any]:
    """The body to send.

    Raises:
        ConfigError: an option is no power, no duration or no time.
    """
    body: dict[str, Any] = {
        "shed_w": watts(options.shed, "--shed"),
        "duration_s": seconds(options.duration, "--for"),
        "reason": options.reason,
    }
    if options.at is not None:
        body["start"] = start_of(options.at, now).isoformat()
    if options.derate_id is not None:
        body["derate_id"] = options.derate_id
    return body


def derate(access: Access, options: DerateOptions, environment: Mapping[str, str], now: datetime) -> None:
    """Enter a derate.

    Raises:
        ConfigError, RequestRefused: it cannot be sent, or is not taken in.
    """
    typer.echo(line_of(asyncio.run(ask(access, environment, "POST", _PATH, request_of(options, now))), now))


def derates(access: Access, environment: Mapping[str, str], now: datetime, *, as_json: bool) -> None:
    """List derates.

    Raises:
        ConfigError, RequestRefused: the controller cannot be asked.
    """
    told = asyncio.run(ask(access, environment, "GET", _PATH, None))
    if as_json:
        typer.echo(json.dumps(told, indent=2))
        return
    if not told["derates"]:
        typer.echo("no derates are in force or to come: all that can be shed is offered")
    for each in told["derates"]:
        typer.echo(line_of(each, now))


def end(access: Access, derate_id: str, environment: Mapping[str, str], now: datetime) -> None:
    """End a derate.

    Raises:
        ConfigError, RequestRefused: it was not done.
    """
    path = f"{_PATH}/{quote(derate_id, safe='')}"
    typer.echo(line_of(asyncio.run(ask(access, environment, "DELETE", path, None)), now))


def line_of(each: Mapping[str, Any], now: datetime) -> str:
    """A derate as a line to print, times on the operator's clock."""
    span = f"from {span_text(each['start_s'], each['end_s'], now)}"
    tense = "was" if each["state"] == "ended" else "is"
    most = "nothing" if each["shed_w"] == 0.0 else f"at most {each['shed_w'] / 1e3:.3f} kW"
    return f"{each['derate_id']}: {each['state']}, {most} {tense} offered {span}: {each['reason']}"
