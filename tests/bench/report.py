"""The tables of a run, as text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tests.bench.results import Results, Spread
from tests.bench.targets import Verdict

COLUMNS = (
    ("CPU µs / request", "plain_cpu_us", 1),
    ("kernel's part", "plain_system_frac", 2),
    ("CPU µs, heads vary", "varied_cpu_us", 1),
    ("CPU µs / chunk", "chunk_cpu_us", 1),
    ("kernel's part", "chunk_system_frac", 2),
    ("requests/s a core", "plain_per_core_s", 0),
    ("p50 ms, 1 conn.", "single_p50_ms", 3),
    ("p99 ms, 1 conn.", "single_p99_ms", 3),
    ("RSS MB, 256 streams", "rss_mb", 1),
    ("failed", "failed", 0),
)
MET = {True: "met", False: "MISSED", None: "not measured"}


def side_by_side(results: Results) -> str:
    """Medians of the subjects of the basic measure, a Markdown table."""
    columns = [
        (title, metric, digits)
        for title, metric, digits in COLUMNS
        if any(metric in metrics for metrics in results.values.values())
    ]
    rows = []
    for subject, metrics in results.values.items():
        if not any(metric in metrics for _, metric, _ in columns):
            continue
        cells = []
        for _, metric, digits in columns:
            spread = results.spread(subject, metric)
            cells.append("" if spread is None else f"{spread.median:,.{digits}f}")
        rows.append([subject, *cells])
    return table(["proxy", *(title for title, _, _ in columns)], rows)


def targets(verdicts: Iterable[Verdict]) -> str:
    """The targets, measured value and verdict, a Markdown table."""
    rows = [
        [
            verdict.target.title,
            _range(verdict.spread),
            f"≤ {verdict.target.limit:g} {verdict.target.unit}".strip(),
            MET[verdict.met],
        ]
        for verdict in verdicts
    ]
    return table(["target", "median (least to most)", "limit", ""], rows)


def notes(results: Results) -> str:
    """Remarks, one a line."""
    return "".join(f"- {subject}: {note}\n" for subject, found in results.notes.items() for note in found)


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table, aligned for reading as text."""
    widths = [max(len(line[n]) for line in [head, *rows]) for n in range(len(head))]
    lines = [head, ["-" * width for width in widths], *rows]
    return "".join(
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |\n"
        for line in lines
    )


def _range(spread: Spread | None) -> str:
    if spread is None:
        return "-"
    return f"{spread.median:.3g} ({spread.least:.3g} to {spread.most:.3g})"
