"""What `wattroute ledger` does: check the records, list the events in them, and extract one."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import typer

from controller.errors import ConfigError, StoreError
from controller.evidence.listing import find, is_about, list_events
from controller.evidence.read import read_event
from controller.model.grid import FOREVER_S
from controller.proof import EVIDENCE_NAME, LEDGER_NAME
from controller.settings.file import load
from controller.store import witness
from controller.store.extract import check_extract, is_extract, write_extract
from controller.store.ledger_check import Checked, check_file
from controller.store.witness import Witness
from controller.utc_text import utc_text

WHOLE, BROKEN, COMPARED_WITH_NONE = 0, 1, 3
"""Exit codes of `verify`; 2 is a wrong command line or configuration, as everywhere."""


@dataclass(frozen=True, slots=True)
class VerifyOptions:
    """Options of `wattroute ledger verify`.

    Attributes:
        config: whose records, or
        file: one file: a ledger or an extract.
        heads: ``SEQUENCE:HASH``, with a configuration ``FILE=SEQUENCE:HASH``.
        witness_file, state_file, key_file: beside a file; a configuration names its own.
    """

    config: Path | None = None
    file: Path | None = None
    heads: tuple[str, ...] = ()
    witness_file: Path | None = None
    state_file: Path | None = None
    key_file: Path | None = None
    as_json: bool = False


@dataclass(frozen=True, slots=True)
class _Places:
    """What is to be checked, and where heads of it were kept."""

    files: tuple[Path, ...]
    witnesses: tuple[Witness, ...]
    notes: tuple[str, ...]
    key: bytes | None


def verify(options: VerifyOptions) -> int:
    """Check the records; returns the exit code.

    Raises:
        ConfigError: an option is wrong, or there is nothing to check.
    """
    places = _places(options)
    results, code = [], WHOLE
    for path in places.files:
        known = [each for each in places.witnesses if each.ledger == path.name or options.file is not None]
        try:
            check = check_extract if is_extract(path) else check_file
            checked = check(path, known, key=places.key)
        except StoreError as error:
            results.append({"file": str(path), "verified": False, "reason": str(error)})
            code = BROKEN
            continue
        results.append({"file": str(path), "verified": True, **_plain(checked)})
        if not checked.compared and code == WHOLE:
            code = COMPARED_WITH_NONE
    if options.as_json:
        typer.echo(json.dumps({"ledgers": results, "notes": places.notes}, indent=2))
    else:
        for result in results:
            typer.echo("\n".join(_told(result)))
        for note in places.notes:
            typer.echo(f"note: {note}")
    return code


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
    listed = list_events(path)
    if as_json:
        typer.echo(json.dumps([dataclasses.asdict(each) for each in listed], indent=2))
        return
    if not listed:
        typer.echo(f"{path}: no event was recorded")
        return
    width = max(5, *(len(each.event_id) for each in listed))
    typer.echo(f"{'event':{width}}  {'source':16}  {'programme':12}  {'start':20}  {'end':20}  {'last':10}  {'kB':>7}")
    for each in listed:
        times = f"{utc(each.start_s):20}  {utc(each.end_s):20}"
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
    place = out or Path(f"{safe_name(listed.event_id)}.jsonl")
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


def safe_name(event: str) -> str:
    """A file name from an id that others have chosen."""
    return "".join(each if each.isalnum() or each in "-_." else "_" for each in event)[:80].lstrip(".") or "event"


def _places(options: VerifyOptions) -> _Places:
    if (options.config is None) == (options.file is None):
        raise ConfigError("what is to be checked? write --config CONFIGURATION, or --file LEDGER")
    if options.file is not None:
        if not options.file.is_file():
            raise ConfigError(f"--file {options.file}: there is no such file")
        files: tuple[Path, ...] = (options.file,)
        state, elsewhere, key_file = options.state_file, options.witness_file, options.key_file
        heads = [witness.parse(told, options.file.name) for told in options.heads]
    else:
        own = load(options.config).controller  # type: ignore[arg-type]
        files = tuple(path for name in (LEDGER_NAME, EVIDENCE_NAME) if (path := own.data_dir / name).is_file())
        if not files:
            raise ConfigError(f"{own.data_dir}: there are no records; a controller that has run makes them")
        state = options.state_file or own.data_dir / "state.json"
        elsewhere, key_file = options.witness_file or own.witness_file, options.key_file or own.ledger_key_file
        heads = [_named(told) for told in options.heads]
    found, notes = _kept(state, elsewhere)
    names = {path.name for path in files}
    kept = [each for each in found if each.ledger in names]
    return _Places(files, (*heads, *kept), notes, witness.read_key(key_file))


def _named(told: str) -> Witness:
    name, _, head = told.rpartition("=")
    if name not in (LEDGER_NAME, EVIDENCE_NAME):
        raise ConfigError(
            f"--head {told!r:.100}: of which file? with --config write {LEDGER_NAME}=SEQUENCE:HASH or "
            f"{EVIDENCE_NAME}=SEQUENCE:HASH"
        )
    return witness.parse(head, name)


def _kept(state: Path | None, elsewhere: Path | None) -> tuple[list[Witness], tuple[str, ...]]:
    found: list[Witness] = []
    notes: list[str] = []
    if state is not None:
        try:
            found += witness.of_state(state)
        except StoreError as error:
            notes.append(f"no head was taken from the state file: {error}")
    if elsewhere is not None:
        told = witness.of_file(elsewhere)
        found += told.witnesses
        if told.unreadable:
            notes.append(f"{elsewhere}: {told.unreadable} lines are no witness")
    return found, tuple(notes)


def _plain(checked: Checked) -> dict[str, object]:
    head = checked.head
    return {
        "rows": head.checked,
        "trimmed": head.trimmed,
        "head": f"{head.sequence}:{head.hash}",
        "first": utc(checked.first_time_s),
        "last": utc(checked.last_time_s),
        "compared": [
            {"sequence": each.sequence, "told_by": each.told_by, "time_s": each.time_s, "sealed": each.mac is not None}
            for each in checked.compared
        ],
        "not_comparable": len(checked.gone),
    }


def _told(result: dict[str, object]) -> Iterable[str]:
    if not result["verified"]:
        yield f"DOES NOT VERIFY  {result['reason']}"
        return
    removed = f", rows up to {result['trimmed']} removed by retention" if result["trimmed"] else ""
    yield f"verified  {result['file']}: {result['rows']} rows, {result['first']} to {result['last']}{removed}"
    yield f"  head {result['head']}"
    compared = result["compared"]
    if isinstance(compared, list) and compared:
        latest = max(compared, key=lambda each: each["sequence"])
        seal = ", sealed" if latest["sealed"] else ""
        place = f"{latest['sequence']} from {latest['told_by']}"
        yield f"  fits {len(compared)} heads kept elsewhere, the latest {place}{seal}"
    else:
        yield "  compared with no head kept elsewhere: a tail that was cut off would not show; add --head or --witness"
