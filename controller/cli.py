"""The operator's command line: `wattroute` and `wattroute-controller`.

Each command imports what it runs only when called, so that `wattroute router` works in the bare install, which lacks
the controller's dependencies.
"""

from __future__ import annotations

import importlib.metadata
import json
import sys
from collections.abc import Callable
from typing import Annotated, Any

import typer

from controller.commands.cli_parts import command_group, load
from controller.commands.derate_cli import derate_app
from controller.commands.event_cli import event_app
from controller.commands.service_cli import service_app
from controller.commands.site_cli import site_app
from controller.commands.study_cli import quality_app, study_app
from controller.errors import ControllerError

app = command_group(
    "wattroute", "Power-aware request routing for LLM pools that serve one model at several precisions."
)
document_app = typer.Typer(rich_markup_mode=None)


@app.callback(invoke_without_command=True)
def _root(
    context: typer.Context, version: Annotated[bool, typer.Option("--version", help="Show the version.")] = False
) -> None:
    if version:
        typer.echo(f"wattroute {importlib.metadata.version('wattroute')}")
        raise typer.Exit
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


@document_app.command()
def schema() -> None:
    """Print the JSON Schema of the configuration file."""
    settings = load("controller.settings.file")
    typer.echo(json.dumps(settings.Settings.model_json_schema(), indent=2, sort_keys=True))


@document_app.command()
def openapi() -> None:
    """Print the OpenAPI document of the controller's HTTP API."""
    typer.echo(json.dumps(load("controller.dashboard.openapi").document(), indent=2, sort_keys=True))


# In the order in which --help shows them; all but `quality` add their commands to those of `wattroute` itself.
for group in (study_app, service_app, site_app, document_app, event_app, derate_app, quality_app):
    app.add_typer(group)


def main() -> None:
    """Entry point of `wattroute`."""
    _run(app, sys.argv[1:])


def controller_main() -> None:
    """Entry point of `wattroute-controller`: the command `wattroute controller`."""
    _run(app, ["controller", *sys.argv[1:]])


def _run(command: Callable[..., Any], arguments: list[str]) -> None:
    try:
        command(arguments)
    except ControllerError as error:
        typer.echo(f"wattroute: {error}", err=True)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
