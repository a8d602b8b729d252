"""The report of an event as text, tables and charts; pure."""

from __future__ import annotations

from collections.abc import Iterable

from controller.commands.ledger_command import utc
from controller.evidence.read import Kept
from controller.report.baseline_view import adjustment_told, baseline_tables
from controller.report.findings import Findings, Standing
from controller.report.service_view import service_charts, service_tables
from controller.study.charts import Chart, Series, Style, XyChart
from controller.study.study import Report
from controller.study.tables import Column, Table

_ACTS = "act"
"""Mode of a controller that acts, as it is recorded; it acted too where none is, by a version that told none."""


def report_of(found: Findings) -> Report:
    """The report of an event."""
    return Report(
        title=f"Event {found.evidence.event_id}",
        paragraphs=tuple(_paragraphs(found)),
        tables=tuple(_tables(found)),
        charts=tuple(_charts(found)),
        assumptions=tuple(_how_to_read(found)),
        sources=tuple(_provenance(found)),
    )


def _paragraphs(found: Findings) -> Iterable[str]:
    evidence = found.evidence
    if found.is_emulated:
        yield "EMULATED: power in this report comes from emulated GPUs. Nothing of it was drawn from any grid."
    yield (
        f"Status: {found.standing.value}. Asked by {evidence.source} under the programme "
        f"{'(unknown)' if evidence.programme is None else evidence.programme.name}, from {utc(evidence.start_s)} to "
        f"{utc(evidence.end_s)}; report made {utc(found.made_s)}."
    )
    if evidence.call is not None and evidence.call.call.is_test:
        yield "This was a test event."
    yield from _watched(evidence.software)
    if found.standing is Standing.OPTED_OUT and evidence.call is not None:
        yield f"Reason of the opt-out: {evidence.call.call.opted_out}."
    if not found.parts:
        yield "No limit was in force: there is nothing to settle."
    for part in found.parts:
        yield _told(part.event.event_id, found)
    if found.agrees is False:
        yield "WARNING: the account that was recorded at the end does not agree with the one made from the samples."
    for gap in found.gaps:
        lost = f"{gap['lost']} records" if gap["lost"] else "everything"
        yield f"GAP: {lost} from {utc(gap['from_s'])} to {utc(gap['until_s'])} is missing: {gap['reason']}."
    if found.late:
        yield f"WARNING: {found.late} samples are left out: the clock was set back, and they came hours too late."


def _watched(software: Iterable[Kept]) -> Iterable[str]:
    """From when on the controller changed nothing."""
    for each in software:
        if (mode := each.payload.get("mode", _ACTS)) != _ACTS:
            yield (
                f"NOT ACTED ON: from {utc(each.time_s)} the controller ran in mode {mode}. It decided and changed "
                "nothing; what is told is what the site did without it."
            )


def _told(event_id: str, found: Findings) -> str:
    part = next(part for part in found.parts if part.event.event_id == event_id)
    rows = [row for row in found.rows if row.event_id == event_id]
    if part.account is None and not rows:
        return f"{event_id}: not settled: {part.reason}."
    if not rows:
        so_far = " so far" if found.standing is Standing.UNDER_WAY else ""
        none = f"no settlement interval lies after the ramp of {part.event.ramp_s:g} s"
        return f"{event_id}: nothing to settle{so_far}: {none}."
    over, missing = (sum(row.verdict == verdict for row in rows) for verdict in ("over the limit", "MISSING"))
    kept = f"{over} over the limit of {part.event.limit_w / 1e3:.1f} kW, {missing} not measured"
    where = f"over {len(rows)} settlement intervals after the ramp"
    if part.account is None:
        return f"{event_id}: what was delivered is not known: {part.reason}; {where}: {kept}."
    account = part.account.performance
    if account.factor is None and rows and account.missing < len(rows):
        return f"{event_id}: nothing was committed: the limit is not below the baseline; {where}: {kept}."
    factor = "an unknown share" if account.factor is None else f"{100 * account.factor:.1f} %"
    return f"{event_id}: delivered {factor} of what was committed {where}; {kept}, {account.short} short."


def _tables(found: Findings) -> Iterable[Table]:
    yield _summary(found)
    if found.rows:
        columns = ("start", "end"), ("limit kW", "baseline kW", "committed kW", "measured kW", "delivered kW")
        yield Table(
            "Settlement intervals",
            (
                *(Column(name) for name in columns[0]),
                *(Column(name, 2) for name in columns[1]),
                Column("performance", 1, percent=True),
                Column("measured", 0, percent=True),
                Column("quality"),
                Column("verdict"),
            ),
            tuple(
                (
                    utc(row.start_s),
                    utc(row.end_s),
                    row.limit_kw,
                    row.baseline_kw,
                    row.committed_kw,
                    row.measured_kw,
                    row.delivered_kw,
                    row.performance_frac,
                    row.covered_frac,
                    (row.quality or "none").upper() if row.quality != "direct" else "direct",
                    row.verdict,
                )
                for row in found.rows
            ),
            "Times are UTC. Means over the interval. A dash is a value that is not known; it is never zero.",
        )
    yield from baseline_tables(found.evidence.baseline)
    yield from service_tables(found)


def _summary(found: Findings) -> Table:
    rows: list[tuple[str | float | None, ...]] = []
    for part in found.parts:
        if part.account is None:
            continue
        performance, response = part.account.performance, part.account.response
        rows += [
            (part.event.event_id, "performance factor, %", _times(performance.factor, 100)),
            (part.event.event_id, "least interval, %", _times(performance.least_factor, 100)),
            (part.event.event_id, "delivered, kWh", performance.delivered_mwh * 1e3),
            (part.event.event_id, "committed, kWh", performance.committed_mwh * 1e3),
            (part.event.event_id, "revenue, USD", performance.revenue_usd),
            (part.event.event_id, "penalty, USD", performance.penalty_usd),
            (part.event.event_id, "time to 50 % of the cut, s", response.time_to_50pct_s),
            (part.event.event_id, "time to 90 %, s", response.time_to_90pct_s),
            (part.event.event_id, "time to 100 %, s", response.time_to_100pct_s),
            (
                part.event.event_id,
                "highest mean of 5 s above the limit after the ramp, kW",
                _times(response.over_w, 1e-3),
            ),
            (part.event.event_id, "rebound above the baseline within an hour, kW", _times(response.rebound_w, 1e-3)),
        ]
    note = "Revenue and penalty are estimates by the configured rates; a dash: no such rate, or not known."
    return Table("Account", (Column("event"), Column("figure"), Column("value", 2)), tuple(rows), note)


def _charts(found: Findings) -> Iterable[Chart]:
    yield from _power_charts(found)
    yield from service_charts(found)


def _power_charts(found: Findings) -> Iterable[Chart]:
    times_s, powers_kw = found.power
    if not any(power_kw is not None for power_kw in powers_kw):
        return
    start_s = found.evidence.start_s
    series = [Series("measured", tuple((at_s - start_s) / 60 for at_s in times_s), powers_kw)]
    for name, value in (("limit", "limit_kw"), ("baseline", "baseline_kw")):
        x, y = [], []
        for row in found.rows:
            x += [(row.start_s - start_s) / 60, (row.end_s - start_s) / 60]
            y += [getattr(row, value)] * 2
        if x:
            series.append(Series(name, tuple(x), tuple(y), Style.DASHED))
    emulated = " (EMULATED)" if found.is_emulated else ""
    bands = tuple(
        ((part.event.start_s - start_s) / 60, (part.until_s - start_s) / 60, part.event.event_id)
        for part in found.parts
        if part.until_s > part.event.start_s
    )
    yield XyChart(
        f"Power at the meter{emulated}",
        "minutes from the start",
        "kW",
        tuple(series),
        bands=bands,
        note="Shaded: the limit is in force, its ramp included. A broken line: nothing was measured.",
    )
    if found.rows:
        starts = tuple((row.start_s - start_s) / 60 for row in found.rows)
        yield XyChart(
            f"Delivered and committed{emulated}",
            "minutes from the start",
            "kW",
            (
                Series("delivered", starts, tuple(row.delivered_kw for row in found.rows), Style.STEP),
                Series("committed", starts, tuple(row.committed_kw for row in found.rows), Style.DASHED),
            ),
        )


def _how_to_read(found: Findings) -> Iterable[str]:
    told = ", ".join(f"{count} {name.upper() if name != 'direct' else name}" for name, count in found.qualities.items())
    yield f"Samples during the event, by how the power is known: {told or 'none'}."
    baseline = found.evidence.baseline
    if baseline is not None:
        method = "none" if baseline.method is None else baseline.method.value
        yield (
            f"Baseline: {method} (asked for: {baseline.asked.value}), frozen at the start"
            + (f"; {baseline.reason}" if baseline.reason else "")
            + ". What it was computed of stands in the file -baseline.csv, its rule and profile in the JSON."
        )
        if baseline.adjustment is not None:
            yield adjustment_told(baseline.adjustment)
    else:
        yield "Baseline: the value that the limit was counted from; no profile was frozen."
    yield (
        "What classes got is counted by the routers: a stream's time to its first token is from the request's arrival, "
        "with its wait for a slot; time between tokens is the mean of a stream. Promises are means over requests."
    )
    yield "Delivered is baseline less measured power; performance is delivered over committed."
    yield "An interval of which too little was measured is MISSING: neither kept nor broken."
    yield "Each interval is settled by the terms of the programme as they stood when the event began to be recorded."


def _provenance(found: Findings) -> Iterable[str]:
    evidence, head = found.evidence, found.head
    yield f"{found.file}: rows {evidence.first} to {evidence.last}; its chain was checked up to row {head.sequence}."
    yield f"Head {head.sequence}:{head.hash}."
    yield f"Check it with: wattroute ledger verify --file {found.file} --head {head.sequence}:{head.hash[:16]}"
    for each in evidence.software:
        told = each.payload
        configuration = (told.get("configuration_sha256") or "not known")[:16]
        yield f"From {utc(each.time_s)} recorded by wattroute {told['wattroute']}, configuration {configuration}."
    for each in evidence.calls:
        yield f"Call {each.payload['action']} {utc(each.time_s)}: row {each.sequence}, hash {each.hash[:16]}."


def _times(value: float | None, factor: float) -> float | None:
    return None if value is None else value * factor
