"""What `wattroute ledger` does besides checking: list the events in the records, and extract one."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import typer

from controller.errors import ConfigError
from controller.evidence.listing import Listed, find, is_about, list_events
from controller.evidence.read import read_event
from controller.model.grid import FOREVER_S
from controller.service.proof import EVIDENCE_NAME
from controller.settings.file import load
from controller.store.extract import as_ledger, write_extract
from controller.utc_text import utc_text


def evidence_file(config: Path | None, file: Path | None) -> Path:
    """The file of evidence that is meant.

    Raises:
        ConfigError: both or neither are given, or there is none.
    """
    if (config is None) == (file is None):
        raise ConfigError("whose records? write --config CONFIGURATION, or --file LEDGER for a copy")
    path = file if config is None else load(config).controller.data_dir / EVIDENCE_NAME
    if path is None or not path.is_file():
        raise ConfigError(f"{path}: there is no such file; a controller that has run makes one in its data_dir")
    return path


def show_events(path: Path, *, as_json: bool) -> None:
    """List the events of which there is evidence.

    Raises:
        StoreError: the file cannot be read.
    """
    with as_ledger(path) as ledger:
        listed = list_events(ledger)
    if as_json:
        typer.echo(json.dumps([dataclasses.asdict(each) for each in listed], indent=2))
        return
    if not listed:
        typer.echo(f"{path}: no event was recorded")
        return
    width = max(5, *(len(each.event_id) for each in listed))
    typer.echo(f"{'event':{width}}  {'source':16}  {'programme':12}  {'start':20}  {'end':20}  {'last':10}  {'kB':>7}")
    for each in listed:
        end = utc(each.end_s) if each.end_s > each.start_s else "never in force"
        times = f"{utc(each.start_s):20}  {end:20}"
        size = f"{each.size_bytes / 1e3:7.0f}"
        state = each.state or "limit"
        typer.echo(f"{each.event_id:{width}}  {each.source:16}  {each.programme:12}  {times}  {state:10}  {size}")


def export(path: Path, event: str, out: Path | None) -> None:
    """Write the evidence of an event as lines of JSON that check themselves.

    Raises:
        StoreError: there is no such event, or the file cannot be read.
        ConfigError: the place cannot be written.
    """
    listed = find(path, event)
    first = read_event(path, event).first
    place = out or Path(f"{file_name(listed, event)}.jsonl")
    try:
        with place.open("w", encoding="utf-8") as file:
            head = write_extract(path, file, first, lambda row: is_about(row, listed), f"event {listed.subject}")
    except OSError as error:
        raise ConfigError(f"--out {place}: cannot be written: {error.strerror}") from error
    typer.echo(f"{place}: {head.checked} rows about {listed.event_id}; head {head.sequence}:{head.hash}")


def utc(time_s: float | None) -> str:
    """A time for people, in UTC."""
    if time_s is None:
        return "-"
    if time_s >= FOREVER_S:
        return "no end"
    return utc_text(time_s)


def file_name(listed: Listed, asked: str) -> str:
    """A file name for an event; with its start where it was asked for by that, as others had its id."""
    name = safe_name(listed.event_id)
    is_by_id = asked.partition("#")[0] in (listed.event_id, f"{listed.source}/{listed.event_id}")
    return name if is_by_id else f"{name}-{utc_text(listed.start_s, '%Y%m%dT%H%M%SZ')}"


def safe_name(event: str) -> str:
    """A file name from an id that others have chosen."""
    return "".join(each if each.isalnum() or each in "-_." else "_" for each in event)[:80].lstrip(".") or "event"
