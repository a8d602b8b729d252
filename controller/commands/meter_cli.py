"""`wattroute meter`: what the site drew, in and out of the controller's own store."""

from __future__ import annotations

import datetime
import logging
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from controller.commands import meter_command, meter_import
from controller.commands.cli_parts import Config, command_group
from controller.model.observation import Quality
from controller.settings.file import load
from controller.store.interval_csv import MeterUnit

Times = ["%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%S%z", "%Y-%m-%dT%H:%M%z"]
meter_app = command_group("meter", "What the site drew, as it is kept.")


class Step(StrEnum):
    """Lengths of intervals."""

    SECOND = "1s"
    MINUTE = "1min"
    FIVE_MINUTES = "5min"
    QUARTER = "15min"
    HALF_HOUR = "30min"
    HOUR = "1h"

    @property
    def seconds(self) -> float:
        """Length in seconds."""
        unit_s = {"s": 1.0, "min": 60.0, "h": 3600.0}
        number = self.value.rstrip("minhs")
        return float(number) * unit_s[self.value[len(number) :]]


@meter_app.callback()
def _quiet() -> None:
    logging.basicConfig(level=logging.ERROR)


@meter_app.command("import")
def import_(  # noqa: PLR0913 - each is an option of the command
    file: Annotated[Path, typer.Argument(help="CSV file with a heading line; - reads the standard input.")],
    config: Config,
    unit: Annotated[MeterUnit, typer.Option(help="Of the values: power, or energy of an interval.")],
    time_column: Annotated[str, typer.Option(help="Column of the times.")] = "time",
    value_column: Annotated[str, typer.Option(help="Column of the values.")] = "value",
    timezone: Annotated[
        str | None, typer.Option(help="Of times without one, e.g. America/Los_Angeles.", show_default=False)
    ] = None,
    interval: Annotated[
        Step | None, typer.Option(help="Length of an interval; the usual distance of two rows if none.")
    ] = None,
    ends: Annotated[bool, typer.Option("--ends/--starts", help="Whether a time is its interval's end.")] = False,
    quality: Annotated[Quality, typer.Option(help="direct: of a meter. estimated: not.")] = Quality.DIRECT,
    replace: Annotated[bool, typer.Option("--replace", help="Also replace what was measured here.")] = False,
    event_day: Annotated[
        list[str] | None,
        typer.Option(help="Local date on which the site was curtailed: no like day; repeatable.", show_default=False),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Read and check the file, and write nothing.")] = False,
) -> None:
    """Take in past interval data of the site's meter, so that baselines of like days can be made from the first day."""
    options = meter_import.ImportOptions(
        file=file,
        unit=unit,
        time_column=time_column,
        value_column=value_column,
        timezone=timezone,
        interval_s=None if interval is None else interval.seconds,
        is_end=ends,
        quality=quality,
        replaces=replace,
        event_days=tuple(event_day or ()),
        is_dry=dry_run,
    )
    meter_import.import_file(load(config), options)


@meter_app.command("export")
def export(
    config: Config,
    from_: Annotated[
        datetime.datetime | None,
        typer.Option("--from", formats=Times, help="Begin, UTC unless it tells a zone; a day ago if none."),
    ] = None,
    until: Annotated[
        datetime.datetime | None, typer.Option(formats=Times, help="End, as --from; the present if none.")
    ] = None,
    step: Annotated[Step, typer.Option(help="Length of an interval.")] = Step.QUARTER,
    out: Annotated[Path | None, typer.Option(help="File to write; the standard output if none.")] = None,
) -> None:
    """Write means of the site's power as CSV, with the quality of each and what was not measured."""
    meter_command.export(load(config), meter_command.ExportOptions(from_, until, step.seconds, out))


@meter_app.command("status")
def status(config: Config) -> None:
    """Say what is kept: since when, how complete, and which days had events."""
    meter_command.status(load(config))


@meter_app.command("baseline")
def baseline(
    config: Config,
    at: Annotated[
        datetime.datetime,
        typer.Option(formats=Times, help="Start of the event, in the programme's time zone unless it tells one."),
    ],
    programme: Annotated[str, typer.Option(help="Whose rule holds.")] = "operator",
    hours: Annotated[float, typer.Option(help="Length of the event.", min=1 / 60, max=48)] = 1.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, with every interval.")] = False,
) -> None:
    """Say what a programme's baseline is or was at a time: which days are in it, which are not and why."""
    meter_command.baseline(load(config), meter_command.BaselineOptions(programme, at, hours, as_json))
