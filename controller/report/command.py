"""`wattroute report`: writes the report of an event as HTML, CSV and JSON."""

from __future__ import annotations

import contextlib
import csv
import dataclasses
import io
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import typer

from controller.clock import SystemClock
from controller.commands.ledger_command import evidence_file, file_name, utc
from controller.errors import ConfigError
from controller.evidence.flow import Flow, Flowing
from controller.evidence.read import read_event
from controller.evidence.series import Sample
from controller.report.baseline_view import baseline_csv
from controller.report.class_service import LatencyFigures, ServiceRow
from controller.report.document import report_of
from controller.report.findings import Findings, IntervalRow, findings
from controller.service.proof import version
from controller.store.chain import Head
from controller.store.extract import as_ledger, check_extract, is_extract
from controller.store.ledger_check import check_file
from controller.study import drawing
from controller.study.charts import Chart
from controller.study.figures import as_json
from controller.study.page import page
from controller.study.study import Report


@dataclass(frozen=True, slots=True)
class ReportOptions:
    """Options of `wattroute report`.

    Attributes:
        config: whose records, or `file`, the file of evidence itself or an extract of it.
        out: folder; ``report-EVENT`` where it is None.
    """

    event: str
    config: Path | None = None
    file: Path | None = None
    out: Path | None = None


def run(options: ReportOptions) -> int:
    """Check the file, judge the event and write the report; returns the exit code.

    Raises:
        ConfigError: an option is wrong, or the folder cannot be written.
        StoreError: the file does not verify, or there is no such event.
    """
    path = evidence_file(options.config, options.file)
    checked = check_extract(path) if is_extract(path) else check_file(path)
    with as_ledger(path) as ledger:
        evidence = read_event(ledger, options.event)
        name = file_name(evidence.listed, options.event)
        place = (options.out or Path(f"report-{name}")) / name
        try:
            found = _write(place, Flow(ledger, evidence), checked.head, path.name)
        except OSError as error:
            raise ConfigError(
                f"--out {place.parent}: cannot be written: {error.strerror}; choose another folder"
            ) from error
    for text in report_of(found).paragraphs:
        typer.echo(text)
    head = f"{found.head.sequence}:{found.head.hash}"
    typer.echo(f"{place}.html, .csv, -baseline.csv, -power.csv, -service.csv, .json; ledger head {head}")
    return 0


def _write(place: Path, flow: Flow, head: Head, file: str) -> Findings:
    """Write the files, whose names begin as `place` does; samples as they pass by."""
    place.parent.mkdir(parents=True, exist_ok=True)
    with _whole(Path(f"{place}-power.csv")) as out:
        found = findings(flow.evidence, with_power(flow, out), head, file, SystemClock().wall_s())
    found = dataclasses.replace(found, late=flow.late)
    _put(Path(f"{place}.json"), as_json(document(found)))
    _put(Path(f"{place}.csv"), intervals_csv(found.rows))
    _put(Path(f"{place}-baseline.csv"), baseline_csv(found.evidence.baseline))
    _put(Path(f"{place}-service.csv"), service_csv(found.service_minutes))
    _put(Path(f"{place}.html"), html(report_of(found), found, drawing.svg))
    return found


def html(report: Report, found: Findings, draw: Callable[[Chart], str]) -> str:
    """The page; without its charts, which it says, where what draws them is not installed."""
    origin = f"wattroute {version()}, {found.file}, head {found.head.sequence}:{found.head.hash}"
    try:
        return page(report, origin, draw)
    except ConfigError as error:
        without = dataclasses.replace(report, charts=(), paragraphs=(*report.paragraphs, f"Without charts: {error}."))
        return page(without, origin, draw)


def intervals_csv(rows: tuple[IntervalRow, ...]) -> str:
    """One line a settlement interval, times in UTC and in seconds."""
    out = io.StringIO()
    names = [field.name for field in dataclasses.fields(IntervalRow)]
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["start_utc", "end_utc", *names])
    for row in rows:
        cells = [(getattr(row, name), 9 if name.endswith(("_kw", "_frac")) else None) for name in names]
        writer.writerow([utc(row.start_s), utc(row.end_s), *(_cell(value, digits) for value, digits in cells)])
    return out.getvalue()


def with_power(flow: Iterable[Flowing], out: IO[str]) -> Iterator[Flowing]:
    """Passes all on and writes each sample as a line: blanks where nothing was measured, no limit in force."""
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["time_utc", "time_s", "power_w", "quality", "limit_w", "age_s"])
    for each in flow:
        if isinstance(each, Sample):
            time_s = round(each.time_s, 2)
            writer.writerow([utc(each.time_s), time_s, each.power_w, each.quality, each.limit_w, each.age_s])
        yield each


def service_csv(rows: tuple[ServiceRow, ...]) -> str:
    """One line a minute and class; a blank is what is not known."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    plain = [field.name for field in dataclasses.fields(ServiceRow) if field.name not in ("outcomes", "ttft", "itl")]
    figures = [field.name for field in dataclasses.fields(LatencyFigures)]
    heads = [f"{latency}_{name}" for latency in ("ttft", "itl") for name in figures]
    writer.writerow(["start_utc", "end_utc", *plain, *heads])
    for row in rows:
        cells = [getattr(row, name) for name in plain]
        cells += [getattr(latency, name) for latency in (row.ttft, row.itl) for name in figures]
        shown = (_cell(cell, 6 if isinstance(cell, float) and abs(cell) < 1e6 else None) for cell in cells)
        writer.writerow([utc(row.from_s), utc(row.until_s), *shown])
    return out.getvalue()


def document(found: Findings) -> dict[str, object]:
    """The report as JSON: everything that the page says, and the rows by which to check it."""
    evidence = found.evidence
    return {
        "event": evidence.event_id,
        "source": evidence.source,
        "status": found.standing.value,
        "is_emulated": found.is_emulated,
        "made_s": found.made_s,
        "start_s": evidence.start_s,
        "end_s": evidence.end_s,
        "programme": evidence.programme,
        "others": evidence.others,
        "baseline": evidence.baseline,
        "calls": [
            {"sequence": each.sequence, "hash": each.hash, "time_s": each.time_s, **each.payload}
            for each in evidence.calls
        ],
        "limits": [
            {
                "event": part.event,
                "reason": part.reason,
                "settled_until_s": part.until_s,
                "response": None if part.account is None else part.account.response,
                "performance": None if part.account is None else part.account.performance,
            }
            for part in found.parts
        ],
        "intervals": found.rows,
        "phases": found.phases,
        "service": {
            "promised": found.promised,
            "phases": found.service_phases,
            "minutes": found.service_minutes,
        },
        "samples_by_quality": found.qualities,
        "gaps": found.gaps,
        "recorded_account_agrees": found.agrees,
        "software": [each.payload for each in evidence.software],
        "ledger": {
            "file": found.file,
            "head": f"{found.head.sequence}:{found.head.hash}",
            "first_row": evidence.first,
            "last_row": evidence.last,
            "rows_by_kind": evidence.rows,
        },
    }


def _cell(value: object, digits: int | None) -> object:
    """A cell as it is written: a number to so many digits, a text so that no spreadsheet takes it for a formula.

    Texts may be ids that others have chosen; a number may well begin with a minus.
    """
    if isinstance(value, float):
        return value if digits is None else f"{value:.{digits}g}"
    return f"'{value}" if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t")) else value


def _put(path: Path, text: str) -> None:
    with _whole(path) as file:
        file.write(text)


@contextlib.contextmanager
def _whole(path: Path) -> Iterator[IO[str]]:
    """Write a file as a whole, so that no reader sees half of it."""
    beside = path.with_name(f".{path.name}.new")
    try:
        with beside.open("w", encoding="utf-8") as file:
            yield file
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
