"""`wattroute ledger`: the records, for those who check them."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Annotated

import typer

from controller.commands import ledger_command, verify_command
from controller.commands.cli_parts import command_group

Config = Annotated[Path | None, typer.Option("--config", help="Configuration file, whose records are meant.")]
File = Annotated[Path | None, typer.Option("--file", help="A ledger itself, such as a copy or an extract.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
ledger_app = command_group(
    "ledger", "Check the records, list the events in them, extract one. Nothing is written to them."
)


@ledger_app.callback()
def _quiet() -> None:
    logging.basicConfig(level=logging.ERROR)


@ledger_app.command()
def verify(
    config: Config = None,
    file: File = None,
    head: Annotated[
        list[str] | None, typer.Option("--head", help="Head that was told elsewhere, SEQUENCE:HASH; repeatable.")
    ] = None,
    witness: Annotated[
        Path | None, typer.Option("--witness", help="File of heads; the configured one if none.")
    ] = None,
    state: Annotated[Path | None, typer.Option("--state", help="State file that keeps heads.")] = None,
    key_file: Annotated[Path | None, typer.Option("--key-file", help="Key that sealed the heads.")] = None,
    meter: Annotated[
        Path | None, typer.Option("--meter", help="Meter store; it must fit what the evidence tells of its readings.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Find any change: 0 whole, 1 changed or cut, 2 wrong use, 3 whole but compared with no head kept elsewhere."""
    options = verify_command.VerifyOptions(
        config=config,
        file=file,
        heads=tuple(head or ()),
        witness_file=witness,
        state_file=state,
        key_file=key_file,
        as_json=as_json,
        meter_file=meter,
    )
    raise typer.Exit(verify_command.verify(options))


@ledger_app.command("list")
def list_(config: Config = None, file: File = None, as_json: AsJson = False) -> None:
    """List the events of which there is evidence."""
    ledger_command.show_events(ledger_command.evidence_file(config, file), as_json=as_json)


@ledger_app.command()
def export(
    event: Annotated[str, typer.Argument(help="Event, as `list` names it; SOURCE/EVENT where several share the name.")],
    config: Config = None,
    file: File = None,
    out: Annotated[Path | None, typer.Option("--out", help="File to write; EVENT.jsonl if none.")] = None,
) -> None:
    """Write the evidence of one event as lines of JSON that check themselves."""
    ledger_command.export(ledger_command.evidence_file(config, file), event, out)
