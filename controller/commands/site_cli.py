"""`wattroute power`, `meter`, `feeds`, `ledger`, `report`: what a site reads, keeps and has delivered."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from controller.commands.cli_parts import PASS_THROUGH, Config, load, log_to_stderr

site_app = typer.Typer(rich_markup_mode=None)


@site_app.command()
def power(
    config: Config,
    seconds: Annotated[float, typer.Option(help="How long to read, in seconds.", min=0, max=3600)] = 3.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, with every GPU.")] = False,
) -> None:
    """Read every configured source of power and say what each shows, who disagrees, and which GPUs nobody shows."""
    log_to_stderr("error")
    settings = load("controller.settings.file").load(config)
    raise typer.Exit(load("controller.commands.power_command").run(settings, seconds=seconds, as_json=as_json))


@site_app.command(context_settings=PASS_THROUGH)
def meter(context: typer.Context) -> None:
    """Import, export and show what the site drew, as it is kept; the commands are told by --help."""
    load("controller.commands.meter_cli").meter_app(
        args=context.args, prog_name="wattroute meter", standalone_mode=False
    )


@site_app.command()
def feeds(
    config: Config,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, with every interval.")] = False,
) -> None:
    """Ask every configured feed of price and carbon once and say what each knows."""
    log_to_stderr("error")
    settings = load("controller.settings.file").load(config)
    raise typer.Exit(load("controller.commands.feed_command").run(settings, as_json=as_json))


@site_app.command(context_settings=PASS_THROUGH)
def ledger(context: typer.Context) -> None:
    """Check the records, list the events in them, extract one; the commands are told by --help."""
    code = load("controller.commands.ledger_cli").ledger_app(
        args=context.args, prog_name="wattroute ledger", standalone_mode=False
    )
    raise typer.Exit(code or 0)


@site_app.command()
def report(
    event: Annotated[str, typer.Argument(help="Event, as `wattroute ledger list` names it.", show_default=False)],
    config: Annotated[
        Path | None, typer.Option("--config", help="Configuration file, whose records are meant.")
    ] = None,
    file: Annotated[Path | None, typer.Option("--file", help="A file of evidence itself, such as a copy.")] = None,
    out: Annotated[Path | None, typer.Option("--out", help="Folder to write; report-EVENT if none.")] = None,
) -> None:
    """Write what an event was asked, measured and delivered as HTML, CSV and JSON, from checked records."""
    command = load("controller.report.command")
    raise typer.Exit(command.run(command.ReportOptions(event, config, file, out)))
