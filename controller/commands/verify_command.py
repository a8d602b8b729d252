"""What `wattroute ledger verify` does: check the records, and the meter's readings that they tell of."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import typer

from controller.commands.ledger_command import utc
from controller.errors import ConfigError, StoreError
from controller.evidence.frozen_baselines import check_frozen
from controller.evidence.listing import recorded_sites
from controller.evidence.readings import check_meter
from controller.service.proof import EVIDENCE_NAME, LEDGER_NAME
from controller.settings.file import load
from controller.store import witness
from controller.store.extract import check_extract, is_extract
from controller.store.ledger_check import Checked, check_file
from controller.store.meter import FILE_NAME as METER_NAME
from controller.store.meter_file import Retention
from controller.store.retention_check import Trim
from controller.store.witness import Witness

WHOLE, BROKEN, COMPARED_WITH_NONE = 0, 1, 3
"""Exit codes of `verify`; 2 is a wrong command line or configuration, as everywhere."""


@dataclass(frozen=True, slots=True)
class VerifyOptions:
    """Options of `wattroute ledger verify`.

    Attributes:
        config: whose records, or
        file: one file: a ledger or an extract.
        heads: ``SEQUENCE:HASH``, with a configuration ``FILE=SEQUENCE:HASH``.
        meter_file: meter store that must fit what the evidence tells of it; a configuration names its own.
        witness_file, state_file, key_file: beside a file; a configuration names its own.
    """

    config: Path | None = None
    file: Path | None = None
    heads: tuple[str, ...] = ()
    witness_file: Path | None = None
    state_file: Path | None = None
    key_file: Path | None = None
    as_json: bool = False
    meter_file: Path | None = None


@dataclass(frozen=True, slots=True)
class _Places:
    """What is to be checked, where heads of it were kept, and the meter store with the days for which it is kept.

    Attributes:
        gone: files that are not there, each with the latest head that was kept of it.
    """

    files: tuple[Path, ...]
    witnesses: tuple[Witness, ...]
    notes: tuple[str, ...]
    key: bytes | None
    meter: tuple[Path, float] | None = None
    site: str | None = None
    gone: tuple[tuple[Path, Witness], ...] = ()


def verify(options: VerifyOptions) -> int:
    """Check the records; returns the exit code.

    Raises:
        ConfigError: an option is wrong, or there is nothing to check.
    """
    places = _places(options)
    results, notes = [_gone(*each) for each in places.gone], list(places.notes)
    code = BROKEN if places.gone else WHOLE
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
        unsealed = [each for each in checked.compared if places.key is not None and not _is_sure(each)]
        if len(unsealed) == len(checked.compared) and code == WHOLE:
            code = COMPARED_WITH_NONE
        notes += [*_notes_of_seals(path, unsealed), *_notes_of_sites(path, places.site)]
        if places.meter is not None and path.name != LEDGER_NAME:
            fit = _checked_meter(path, *places.meter)
            results += [] if fit is None else [fit]
            code = code if fit is None or fit["verified"] else BROKEN
    if options.as_json:
        typer.echo(json.dumps({"ledgers": results, "notes": notes}, indent=2))
    else:
        for result in results:
            typer.echo("\n".join(_told(result)))
        for note in notes:
            typer.echo(f"note: {note}")
    return code


def _gone(path: Path, known: Witness) -> dict[str, object]:
    reason = f"{path}: is gone, but {known.told_by} knows its row {known.sequence}"
    return {"file": str(path), "verified": False, "reason": reason}


def _is_sure(head: Witness) -> bool:
    """Whether a head is from one who has the key, or from him who asks."""
    return head.mac is not None or head.told_by == witness.BY_HAND


def _notes_of_seals(path: Path, unsealed: list[Witness]) -> list[str]:
    told = f"{path}: {len(unsealed)} heads that it fits are not sealed by the key: who writes that file makes them"
    return [told] if unsealed else []


def _notes_of_sites(path: Path, site: str | None) -> list[str]:
    """What to know of rows that were recorded under another name than the configured site's."""
    if site is None or path.name == LEDGER_NAME:
        return []
    return [
        f"{path}: from row {row} on it was recorded at site {other!r:.80}, and the configuration is of {site!r:.80}"
        for other, row in recorded_sites(path).items()
        if other != site
    ]


def _checked_meter(evidence: Path, meter: Path, keep_days: float) -> dict[str, object] | None:
    """None where the evidence tells of no readings and of no baseline."""
    try:
        fit, frozen = check_meter(evidence, meter, keep_days), check_frozen(evidence, meter, keep_days)
    except StoreError as error:
        return {"file": str(meter), "verified": False, "reason": str(error)}
    if fit.hours + fit.gone + frozen.baselines + frozen.gone == 0:
        return None
    told = {"hours": fit.hours, "gone": fit.gone, "baselines": frozen.baselines, "baselines_gone": frozen.gone}
    return {"file": str(meter), "verified": True, **told}


def _places(options: VerifyOptions) -> _Places:
    if (options.config is None) == (options.file is None):
        raise ConfigError("what is to be checked? write --config CONFIGURATION, or --file LEDGER")
    own = site = None
    if options.file is not None:
        if not options.file.is_file():
            raise ConfigError(f"--file {options.file}: there is no such file")
        files: tuple[Path, ...] = (options.file,)
        state, elsewhere, key_file = options.state_file, options.witness_file, options.key_file
        heads = [witness.parse(told, options.file.name) for told in options.heads]
    else:
        settings = load(options.config)  # type: ignore[arg-type]
        own, site = settings.controller, settings.site.name
        files = tuple(path for name in (LEDGER_NAME, EVIDENCE_NAME) if (path := own.data_dir / name).is_file())
        state = options.state_file or own.data_dir / "state.json"
        elsewhere, key_file = options.witness_file or own.witness_file, options.key_file or own.ledger_key_file
        heads = [_named(told) for told in options.heads]
    found, notes = _kept(state, elsewhere)
    gone = () if own is None else _missed(own.data_dir, found)
    if not files and not gone and own is not None:
        raise ConfigError(f"{own.data_dir}: there are no records; a controller that has run makes them")
    names = {path.name for path in files}
    kept = [each for each in found if each.ledger in names]
    meter = None if options.meter_file is None else (options.meter_file, float(Retention().minutes_days))
    if own is not None:
        meter = (options.meter_file or own.data_dir / METER_NAME, float(own.keep_meter_minutes_days))
    return _Places(files, (*heads, *kept), notes, witness.read_key(key_file), meter, site, gone)


def _missed(folder: Path, found: list[Witness]) -> tuple[tuple[Path, Witness], ...]:
    """The files of a folder that are not there although rows of them were told."""
    missed = []
    for name in (LEDGER_NAME, EVIDENCE_NAME):
        known = [each for each in found if each.ledger == name and each.sequence > 0]
        if known and not (folder / name).is_file():
            missed.append((folder / name, max(known, key=lambda each: each.sequence)))
    return tuple(missed)


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
        "retention": _retention(checked.retention),
        "head": f"{head.sequence}:{head.hash}",
        "first": utc(checked.first_time_s),
        "last": utc(checked.last_time_s),
        "compared": [
            {"sequence": each.sequence, "told_by": each.told_by, "time_s": each.time_s, "sealed": each.mac is not None}
            for each in checked.compared
        ],
        "not_comparable": len(checked.gone),
    }


def _retention(trim: Trim | None) -> str | None:
    return None if trim is None else f"row {trim.row}, {utc(trim.time_s)}: {trim.reason}"


def _told(result: dict[str, object]) -> Iterable[str]:
    if not result["verified"]:
        yield f"DOES NOT VERIFY  {result['reason']}"
        return
    if "hours" in result:
        fits = f"{result['hours']} hours of readings and {result['baselines']} frozen baselines"
        past = [f"{result[key]} {what}" for key, what in (("gone", "hours"), ("baselines_gone", "baselines"))]
        gone = f", {' and '.join(past)} are past their time" if result["gone"] or result["baselines_gone"] else ""
        yield f"verified  {result['file']}: {fits} fit what the evidence tells{gone}"
        return
    removed = f", rows up to {result['trimmed']} removed by retention" if result["trimmed"] else ""
    if result["retention"] and result["trimmed"]:
        removed += f" ({result['retention']})"
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
