"""The commands of operators' calls; what they do is imported only when they run."""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import typer

from controller.commands.cli_parts import load

Site = Annotated[str | None, typer.Option("--site", help="Name of the site; refused where it is another one's.")]
Controller = Annotated[
    str | None, typer.Option("--controller", help="The controller's address.  [default: http://127.0.0.1:8090]")
]
Config = Annotated[Path | None, typer.Option("--config", help="Configuration with its address and token file.")]
EventId = Annotated[str, typer.Argument(help="Id of the event, as `wattroute events` tells it.", show_default=False)]
Source = Annotated[str | None, typer.Option("--source", help="Who sent it, where several sources use that id.")]
_COMMAND = "controller.commands.event_command"
event_app = typer.Typer(rich_markup_mode=None)


@event_app.command()
def curtail(  # noqa: PLR0913 - each is an option of the command
    duration: Annotated[str, typer.Option("--for", help="How long: 30m, 1h30m, 90s.", show_default=False)],
    to: Annotated[str | None, typer.Option(help="Draw at most this: 40kW.")] = None,
    by: Annotated[str | None, typer.Option(help="Less than the baseline: 25% or 10kW.")] = None,
    level: Annotated[int | None, typer.Option(help="A level of the programme.", min=-100, max=100)] = None,
    at: Annotated[str | None, typer.Option(help="Start: 17:00, or an ISO 8601 time.  [default: now]")] = None,
    ramp: Annotated[str | None, typer.Option(help="Met within: 5m.  [default: the programme's]")] = None,
    programme: Annotated[str, typer.Option(help="Whose terms hold.")] = "operator",
    event_id: Annotated[str | None, typer.Option("--id", help="Id of the event.  [default: made up]")] = None,
    is_test: Annotated[bool, typer.Option("--test", help="A rehearsal: followed, and marked in every account.")] = (
        False
    ),
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only tell what would hold.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    site: Site = None,
    controller: Controller = None,
    config: Config = None,
) -> None:
    """Have the site draw less: enter a call that the controller follows like one of the grid."""
    options = load("controller.commands.curtail_request").CurtailOptions(
        to, by, level, duration, at, ramp, programme, event_id, is_test, dry_run, as_json
    )
    load(_COMMAND).curtail(access_of(controller, config, site), options, os.environ, local_now())


@event_app.command()
def events(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    site: Site = None,
    controller: Controller = None,
    config: Config = None,
) -> None:
    """List the calls that are pending, active, or ended within the last hour."""
    load(_COMMAND).events(access_of(controller, config, site), os.environ, local_now(), as_json=as_json)


@event_app.command()
def capability(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    site: Site = None,
    controller: Controller = None,
    config: Config = None,
) -> None:
    """Tell what the site can shed: how much, how soon, for how long, how often, and at what cost."""
    where = access_of(controller, config, site)
    load("controller.commands.capability_command").tell(where, os.environ, local_now(), as_json=as_json)


@event_app.command()
def cancel(event_id: EventId, site: Site = None, controller: Controller = None, config: Config = None) -> None:
    """End an operator's call now."""
    _change(access_of(controller, config, site), "DELETE", event_id, "", (None, None))


@event_app.command("opt-out")
def opt_out(
    event_id: EventId,
    reason: Annotated[str, typer.Option(help="Why; kept in the ledger and reported.", show_default=False)],
    down_to: Annotated[str | None, typer.Option(help="Follow it in part: no lower than 30kW.  [default: not]")] = None,
    source: Source = None,
    site: Site = None,
    controller: Controller = None,
    config: Config = None,
) -> None:
    """Do not follow a call, of whatever source, any more, or no lower than a power."""
    where = access_of(controller, config, site)
    body: dict[str, Any] = {"reason": reason}
    if down_to is not None:
        body["down_to_w"] = load("controller.commands.curtail_request").watts(down_to, "--down-to")
    _change(where, "POST", event_id, "/opt-out", (source, body))


@event_app.command("opt-in")
def opt_in(
    event_id: EventId,
    source: Source = None,
    site: Site = None,
    controller: Controller = None,
    config: Config = None,
) -> None:
    """Follow a call again, and all of it."""
    _change(access_of(controller, config, site), "POST", event_id, "/opt-in", (source, {}))


def access_of(url: str | None, config: Path | None, site: str | None) -> Any:
    """How the controller is reached."""
    return load("controller.commands.controller_client").Access(url, config, site)


def _change(where: Any, method: str, event_id: str, verb: str, told: tuple[str | None, dict[str, Any] | None]) -> None:
    source, body = told
    query = "" if source is None else f"?source={quote(source, safe='')}"
    path = f"/v1/events/{quote(event_id, safe='')}{verb}{query}"
    load(_COMMAND).change(where, os.environ, local_now(), (method, path, body))


def local_now() -> datetime:
    """The time on the operator's clock, with its offset."""
    return datetime.now().astimezone()
