"""Tables and charts of what classes got, beside what they are promised; pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from controller.report.class_service import LatencyFigures, Promise, ServiceRow
from controller.report.findings import Findings
from controller.report.part_names import part_bands
from controller.study.charts import Chart, Series, Style, XyChart
from controller.study.tables import Column, Table

MAX_CHARTED = 4
"""Classes in a chart: those with the most requests; the others are in the files."""
MAX_MINUTES = 1500
_VERDICTS = {True: "kept", False: "NOT KEPT", None: None}


def service_tables(found: Findings) -> Iterable[Table]:
    """What requests got, by phase and class."""
    if found.phases:
        yield from _tick_tables(found)
    if not found.service_phases:
        return
    yield _counts_table(found)
    yield _latency_table(found)


def _tick_tables(found: Findings) -> Iterable[Table]:
    columns = (Column("phase"), Column("class"), Column("requests"), Column("finished"), Column("refused"),
               Column("most queued"), Column("quality burnt", 3, percent=True),
               Column("quality promised", 3, percent=True))  # fmt: skip
    yield Table(
        "Requests before, during and after",
        columns,
        tuple(
            (
                phase.name,
                each.class_id,
                each.requests,
                each.finished,
                each.refused,
                each.most_queued,
                each.quality_burnt_frac,
                found.promised.get(each.class_id, Promise()).quality_budget_frac,
            )
            for phase in found.phases
            for each in phase.classes
        ),
        "Quality burnt: mean loss over the class's whole window, as it stood at the end of the phase.",
    )
    yield Table(
        "Latency at the engines, all classes together",
        (Column("phase"), Column("decisions"), Column("figure"), Column("mean ms", 1), Column("worst ms", 1)),
        tuple(
            (
                phase.name,
                phase.decisions,
                name.removesuffix("_s"),
                *((None, None) if value is None else (1e3 * value[0], 1e3 * value[1])),
            )
            for phase in found.phases
            for name, value in phase.latency_s.items()
        ),
        "Quantiles of the engines over the last seconds, at each decision.",
    )


def _counts_table(found: Findings) -> Table:
    names = ("requests", "finished", "refused", "failed attempts", "input tokens", "output tokens")
    return Table(
        "Service by class",
        (Column("phase"), Column("class"), Column("told", 1, percent=True), *(Column(name) for name in names)),
        tuple(
            (
                row.phase,
                row.class_id,
                row.heard_frac,
                *(row.requests, row.finished, row.refused, row.failed, row.input_tokens, row.output_tokens),
            )
            for row in found.service_phases
        ),
        "As counted by the routers. Told: share of the phase for which every router answered. A dash: not known, not "
        "zero. Failed attempts: at engines, by no doing of the client; a request may be tried again.",
    )


def _latency_table(found: Findings) -> Table:
    names = ("mean", "promised", "p50", "p95", "p99")
    return Table(
        "Latency by class and what is promised",
        (
            *(Column("phase"), Column("class"), Column("figure"), Column("streams")),
            *(Column(f"{name} ms", 1) for name in names),
            Column("promise"),
        ),
        tuple(
            (row.phase, row.class_id, name, figures.count, *_ms(figures), _VERDICTS[figures.is_kept])
            for row in found.service_phases
            for name, figures in (("time to first token", row.ttft), ("time between tokens", row.itl))
        ),
        "The promise is a mean over requests. Quantiles are interpolated within the routers' buckets.",
    )


def _ms(figures: LatencyFigures) -> Iterable[float | None]:
    values = figures.mean_s, figures.promised_s, figures.p50_s, figures.p95_s, figures.p99_s
    return (None if value is None else value * 1e3 for value in values)


def service_charts(found: Findings) -> Iterable[Chart]:
    """Latency by minutes, mean and 95th percentile, with the promises."""
    charted = _most_asked(found.service_minutes)
    first_token = _chart(found, charted, "Time to first token by class", lambda row: row.ttft)
    between = _chart(found, charted, "Time between tokens by class", lambda row: row.itl)
    yield from (chart for chart in (first_token, between) if chart is not None)


def _most_asked(rows: Sequence[ServiceRow]) -> tuple[str, ...]:
    """Classes with the most requests, by name."""
    asked: dict[str, float] = {}
    for row in rows:
        asked[row.class_id] = asked.get(row.class_id, 0.0) + (row.requests or 0.0)
    most = sorted(asked, key=lambda class_id: (-asked[class_id], class_id))[:MAX_CHARTED]
    return tuple(sorted(class_id for class_id in most if asked[class_id] > 0))


def _chart(
    found: Findings, classes: Sequence[str], title: str, of: Callable[[ServiceRow], LatencyFigures]
) -> Chart | None:
    """One chart; None where nothing was measured of any class."""
    series: list[Series] = []
    start_s = found.evidence.start_s
    for class_id in classes:
        rows = [row for row in found.service_minutes if row.class_id == class_id]
        kept = rows[:: -(-len(rows) // MAX_MINUTES)]
        minutes = tuple((0.5 * (row.from_s + row.until_s) - start_s) / 60 for row in kept)
        if not any(of(row).mean_s is not None for row in kept):
            continue
        columns = (
            ("mean", "mean_s", Style.LINE),
            ("p95", "p95_s", Style.LINE),
            ("promised", "promised_s", Style.DASHED),
        )
        for name, attribute, style in columns:
            values = [getattr(of(row), attribute) for row in kept]
            if any(value is not None for value in values):
                y = tuple(None if value is None else value * 1e3 for value in values)
                series.append(Series(f"{class_id} {name}", minutes, y, style))
    if not series:
        return None
    bands = part_bands(found.parts, start_s)
    note = (
        "By minutes, as counted by the routers. A broken line: no stream was measured. The promise is one of the mean."
    )
    return XyChart(title, "minutes from the start", "ms", tuple(series), log_y=True, bands=bands, note=note)
