"""The commands of derates; what they do is imported only when they run."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from controller.commands.cli_parts import load
from controller.commands.event_cli import Config, Controller, Site, access_of, local_now

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
    command.derate(access_of(controller, config, site), options, os.environ, local_now())


@derate_app.command()
def derates(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    site: Site = None,
    controller: Controller = None,
    config: Config = None,
) -> None:
    """List when the site offers less than it could, now or later."""
    load(_COMMAND).derates(access_of(controller, config, site), os.environ, local_now(), as_json=as_json)


@derate_app.command("derate-end")
def derate_end(
    derate_id: Annotated[str, typer.Argument(help="Its id, as `wattroute derates` tells it.", show_default=False)],
    site: Site = None,
    controller: Controller = None,
    config: Config = None,
) -> None:
    """End a derate before its time."""
    load(_COMMAND).end(access_of(controller, config, site), derate_id, os.environ, local_now())
