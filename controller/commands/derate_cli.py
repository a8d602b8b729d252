"""The commands of derates; what they do is imported only when they run."""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from controller.commands.cli_parts import load
from controller.commands.event_cli import Config, Controller, Site

_COMMAND = "controller.commands.derate_command"
derate_app = typer.Typer(rich_markup_mode=None)


@derate_app.command()
def derate(
    shed: Annotated[str, typer.Option(help="Offer at most this reduction: 20kW; 0kW for none.", show_default=False)],
    duration: Annotated[str, typer.Option("--for", help="How long: 4h, 90m, 2d.", show_default=False)],
    reason: Annotated[str, typer.Option(help="Why; kept in the ledger and told with what can be shed.")],
    at: Annotated[str | None, typer.Option(help="Start: 17:00, or an ISO 8601 time.  [default: now]")] = None,
    derate_id: Annotated[str | None, typer.Option("--id", help="Its id.  [default: made up]")] = None,
    site: Site = None,
    controller: Controller = None,
    config: Config = None,
) -> None:
    """Have the site offer less than it could shed for a while; calls in force are followed as they are."""
    command = load(_COMMAND)
    options = command.DerateOptions(shed, duration, reason, at, derate_id)
    command.derate(_access(controller, config, site), options, os.environ, _now())


@derate_app.command()
def derates(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    site: Site = None,
    controller: Controller = None,
    config: Config = None,
) -> None:
    """List when the site offers less than it could, now or later."""
    load(_COMMAND).derates(_access(controller, config, site), os.environ, _now(), as_json=as_json)


@derate_app.command("derate-end")
def derate_end(
    derate_id: Annotated[str, typer.Argument(help="Its id, as `wattroute derates` tells it.", show_default=False)],
    site: Site = None,
    controller: Controller = None,
    config: Config = None,
) -> None:
    """End a derate before its time."""
    load(_COMMAND).end(_access(controller, config, site), derate_id, os.environ, _now())


def _access(url: str | None, config: Path | None, site: str | None) -> Any:
    return load("controller.commands.controller_client").Access(url, config, site)


def _now() -> datetime:
    return datetime.now().astimezone()
