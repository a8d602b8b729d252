"""The charts of power in a report: its course, and what was delivered of what was committed; pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from controller.report.findings import Findings, IntervalRow
from controller.report.part_names import part_bands
from controller.study.charts import Chart, Series, Style, XyChart


def power_charts(found: Findings) -> Iterable[Chart]:
    """The charts; none where nothing was measured."""
    times_s, powers_kw = found.power
    if not any(power_kw is not None for power_kw in powers_kw):
        return
    start_s = found.evidence.start_s
    emulated = " (EMULATED)" if found.is_emulated else ""
    measured = Series("measured", tuple((at_s - start_s) / 60 for at_s in times_s), powers_kw)
    bands = part_bands(found.parts, start_s)
    yield XyChart(
        f"Power at the meter{emulated}",
        "minutes from the start",
        "kW",
        (
            measured,
            *_level("limit", found.rows, lambda row: row.limit_kw, start_s),
            *_level("baseline", found.rows, lambda row: row.baseline_kw, start_s),
        ),
        bands=bands,
        note="Shaded: the limit is in force, its ramp included. A broken line: nothing was measured.",
    )
    if found.rows:
        yield XyChart(
            f"Delivered and committed{emulated}",
            "minutes from the start",
            "kW",
            (
                *_level("delivered", found.rows, lambda row: row.delivered_kw, start_s, Style.LINE),
                *_level("committed", found.rows, lambda row: row.committed_kw, start_s),
            ),
            note="By settlement intervals. A broken line: no interval, or one of which it is not known.",
        )


def _level(
    name: str,
    rows: Sequence[IntervalRow],
    value: Callable[[IntervalRow], float | None],
    start_s: float,
    style: Style = Style.DASHED,
) -> tuple[Series, ...]:
    """A value that holds through each interval; broken where the next one does not begin as it ends."""
    x: list[float] = []
    y: list[float | None] = []
    until_s = None
    for row in rows:
        if until_s is not None and row.start_s > until_s:
            x.append((until_s - start_s) / 60)
            y.append(None)
        x += [(row.start_s - start_s) / 60, (row.end_s - start_s) / 60]
        y += [value(row)] * 2
        until_s = row.end_s
    return (Series(name, tuple(x), tuple(y), style),) if x else ()
