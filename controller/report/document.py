"""The report of an event as text, tables and charts; pure."""

from __future__ import annotations

from collections.abc import Iterable

from controller.commands.ledger_command import utc
from controller.evidence.account import Settled
from controller.evidence.read import Kept
from controller.model.programme import Programme
from controller.report.baseline_view import adjustment_told, baseline_tables
from controller.report.findings import Findings, Standing
from controller.report.in_part import in_part_told
from controller.report.part_names import part_names
from controller.report.power_view import power_charts
from controller.report.service_view import service_charts, service_tables
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
        charts=(*power_charts(found), *service_charts(found)),
        assumptions=tuple(_how_to_read(found)),
        sources=tuple(_provenance(found)),
    )


def _paragraphs(found: Findings) -> Iterable[str]:
    evidence = found.evidence
    if found.is_emulated:
        yield "EMULATED: power in this report comes from emulated GPUs. Nothing of it was drawn from any grid."
    yield (
        f"Status: {found.standing.value}. Asked {_of_site(evidence.software)}by {evidence.source} under the programme "
        f"{'(unknown)' if evidence.programme is None else evidence.programme.name}, from {utc(evidence.start_s)} to "
        f"{utc(evidence.end_s)}; report made {utc(found.made_s)}."
    )
    if evidence.call is not None and evidence.call.call.is_test:
        yield "This was a test event."
    yield from _watched(evidence.software)
    if found.standing is Standing.OPTED_OUT and evidence.call is not None:
        yield f"Reason of the opt-out: {evidence.call.call.opted_out}."
    yield from in_part_told(evidence.call, evidence.start_s, evidence.end_s)
    if not found.parts:
        yield "No limit was in force: there is nothing to settle."
    for part, name in zip(found.parts, part_names(found.parts), strict=True):
        yield _told(part, name, found)
    if evidence.others:
        yield (
            f"Other events were in force meanwhile: {', '.join(evidence.others)}. The most restrictive limit held, and "
            "what was delivered under it stands in the account of each."
        )
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


def _of_site(software: Iterable[Kept]) -> str:
    """Of which site it was asked, where that is recorded."""
    site = next((each.payload["site"] for each in software if each.payload.get("site")), None)
    return "" if site is None else f"of {site} "


def _told(part: Settled, event_id: str, found: Findings) -> str:
    rows = [row for row in found.rows if row.event_id == part.event.event_id]
    if part.account is None and not rows:
        return f"{event_id}: not settled: {part.reason}."
    if not rows:
        so_far = " so far" if found.standing is Standing.UNDER_WAY else ""
        none = f"no settlement interval lies after the ramp of {part.event.ramp_s:g} s"
        return f"{event_id}: nothing to settle{so_far}: {none}."
    over, missing = (sum(row.verdict == verdict for row in rows) for verdict in ("over the limit", "MISSING"))
    asked_w = part.event.asked_limit_w
    asked = "" if asked_w is None else f" (asked for: {asked_w / 1e3:.1f} kW)"
    kept = f"{over} over the limit of {part.event.limit_w / 1e3:.1f} kW{asked}, {missing} not measured"
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
        days = sorted({utc(at_s)[:10] for row in found.rows for at_s in (row.start_s, row.end_s)})
        is_one_day = len(days) == 1
        yield Table(
            f"Settlement intervals of {days[0]}" if is_one_day else "Settlement intervals",
            (
                *(Column(name) for name in columns[0]),
                *(Column(name, 2) for name in columns[1]),
                Column("performance", 1, percent=True),
                Column("covered", 0, percent=True),
                Column("quality"),
                Column("verdict"),
            ),
            tuple(
                (
                    utc(row.start_s)[11:19] if is_one_day else utc(row.start_s),
                    utc(row.end_s)[11:19] if is_one_day else utc(row.end_s),
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
            "Times are UTC. Means over the interval; covered is the share of it that was measured. A dash is a value "
            "that is not known; it is never zero.",
        )
    yield from baseline_tables(found.evidence.baseline)
    yield from service_tables(found)


def _summary(found: Findings) -> Table:
    rows: list[tuple[str | float | None, ...]] = []
    for part, name in zip(found.parts, part_names(found.parts), strict=True):
        if part.account is None:
            continue
        performance, response = part.account.performance, part.account.response
        figures = (
            ("performance factor, %", _times(performance.factor, 100)),
            ("least interval, %", _times(performance.least_factor, 100)),
            ("delivered, kWh", performance.delivered_mwh * 1e3),
            ("committed, kWh", performance.committed_mwh * 1e3),
            ("revenue, USD", performance.revenue_usd),
            ("penalty, USD", performance.penalty_usd),
            ("time allowed for the ramp, s", part.event.ramp_s),
            ("time to 50 % of the cut, s", response.time_to_50pct_s),
            ("time to 90 %, s", response.time_to_90pct_s),
            ("time to 100 %, s", response.time_to_100pct_s),
            ("highest mean of 5 s above the limit after the ramp, kW", _times(response.over_w, 1e-3)),
            ("rebound above the baseline within an hour, kW", _times(response.rebound_w, 1e-3)),
        )
        rows += [(name, *figure) for figure in figures]
    note = "Revenue and penalty are estimates by the configured rates; a dash: no such rate, or not known."
    return Table("Account", (Column("event"), Column("figure"), Column("value", 2)), tuple(rows), note)


def _how_to_read(found: Findings) -> Iterable[str]:
    told = ", ".join(f"{count} {name.upper() if name != 'direct' else name}" for name, count in found.qualities.items())
    yield f"Samples during the event, by how the power is known: {told or 'none'}."
    if found.evidence.programme is not None:
        yield _terms(found.evidence.programme)
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


def _terms(programme: Programme) -> str:
    """By what the event is settled."""
    interval = (
        f"settlement intervals of {programme.settlement_interval_s:g} s "
        + ("on the clock in UTC" if programme.settles_on_clock else "from the end of the ramp")
        + (", of which the highest reading counts" if programme.settles_instantaneous else ", of which the mean counts")
    )
    committed = (
        "what the limit is below the baseline"
        if programme.committed_w is None
        else f"{programme.committed_w / 1e3:g} kW"
    )
    rates = programme.rates
    named = (("delivered", rates.delivered_usd_per_mwh), ("missing", rates.missing_usd_per_mwh))
    told = [f"{usd:g} USD/MWh {what}" for what, usd in named if usd is not None]
    return f"Terms: {interval}; committed is {committed}; {' and '.join(told) if told else 'no rates'}."


def _times(value: float | None, factor: float) -> float | None:
    return None if value is None else value * factor
