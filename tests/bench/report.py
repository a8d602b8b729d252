"""The tables of a run, as Markdown that reads as text."""

from __future__ import annotations

from collections.abc import Sequence

from tests.bench.results import Results, Spread
from tests.bench.targets import OURS, Verdict, evaluate

SIDE_BY_SIDE = (
    ("CPU µs / request", "plain_cpu_us", 1),
    ("in the kernel", "plain_system_frac", 2),
    ("CPU µs, heads vary", "varied_cpu_us", 1),
    ("requests/s a core", "plain_per_core_s", 0),
    ("CPU µs / chunk", "chunk_cpu_us", 1),
    ("in the kernel", "chunk_system_frac", 2),
    ("RSS MB, 256 streams", "rss_mb", 1),
    ("p50 ms, 1 conn.", "single_p50_ms", 3),
    ("p99 ms, 1 conn.", "single_p99_ms", 3),
    ("failed", "failed", 0),
)
FURTHER = (
    ("first answer s", "first_served_s", 2),
    ("RSS KB / stream = MB / 1,024", "rss_stream_kb", 1),
    ("RSS MB, 5,000 streams", "rss_many_mb", 0),
    ("half load, streams/s", "half_load_per_s", 0),
    ("busy", "half_load_busy_frac", 2),
    ("added TTFT p50 ms", "added_ttft_p50_ms", 3),
    ("p99", "added_ttft_p99_ms", 3),
    ("added gap p50 ms", "added_gap_p50_ms", 3),
    ("p99", "added_gap_p99_ms", 3),
)
OWN = (
    ("Start to /readyz, s", "ready_s"),
    ("RSS after the start, MB", "rss_idle_mb"),
    ("CPU µs / request, 1 pool of 1 instance", "flat_one_cpu_us"),
    *((f"CPU µs / request, {n} pools", f"flat_pools_{n}_cpu_us") for n in (8, 32)),
    *((f"CPU µs / request, {n} instances", f"flat_instances_{n}_cpu_us") for n in (16, 128, 512)),
    *((f"CPU µs / request, {n:,} tenants", f"flat_tenants_{n}_cpu_us") for n in (1, 100, 10_000)),
    ("CPU µs / request, each written to an access log", "flat_access_log_cpu_us"),
    ("CPU µs / request, TLS to the clients", "flat_tls_cpu_us"),
    ("RSS MB, 10,000 tenants", "flat_tenants_10000_rss_mb"),
    ("CPU of a core without requests, 1 instance", "idle_one_frac"),
    ("CPU of a core without requests, 512 instances", "idle_instances_512_frac"),
    *((f"CPU µs / request, prompt of {n:,} KB", f"prompt_{n}000_cpu_us") for n in (1, 10, 100, 1000)),
    *((f"Choosing, {shape}, µs", f"choose_{shape}_us") for shape in ("1x1", "2x4", "8x16", "1x512")),
    ("Soak: requests", "soak_requests"),
    ("Soak: clients that left", "soak_gone"),
    ("Soak: RSS at 100,000 requests, MB", "soak_early_mb"),
    ("Soak: RSS at the end, MB", "soak_end_mb"),
    ("Soak: slope of RSS, KB per 100,000 requests", "soak_slope_kb"),
    ("Soak: open files more than at the start", "soak_files_left"),
)
BEGIN, END = "<!-- measured: begin -->\n", "<!-- measured: end -->"


def whole(results: Results) -> str:
    """All tables and remarks."""
    facts = "".join(f"- {name}: {value}\n" for name, value in results.about.items())
    parts = [
        facts,
        targets(evaluate(results)),
        side_by_side(results, SIDE_BY_SIDE),
        side_by_side(results, FURTHER),
        own(results),
        "".join(f"- {subject}: {note}\n" for subject, found in results.notes.items() for note in found),
    ]
    return "\n".join(part for part in parts if part)


def filled(document: str, results: Results) -> str:
    """A document with the tables in place of what stood between its marks.

    Raises:
        ValueError: the marks are not there.
    """
    before, begin, rest = document.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the document has no {BEGIN.strip()} and {END} to write between")
    return f"{before}{BEGIN}\n{whole(results)}\n{END}{after}"


def targets(verdicts: Sequence[Verdict]) -> str:
    """The targets, measured value and verdict; then those that were not measured."""
    rows = [
        [
            verdict.target.title,
            _range(verdict.spread),
            f"≤ {verdict.target.limit:g} {verdict.target.unit}".strip(),
            "met" if verdict.met else "MISSED",
        ]
        for verdict in verdicts
        if verdict.spread is not None
    ]
    absent = [verdict.target.title for verdict in verdicts if verdict.spread is None]
    return (table(["target", "median (least to most)", "limit", ""], rows) if rows else "") + (
        f"\nTargets not measured: {'; '.join(absent)}.\n" if absent else ""
    )


def side_by_side(results: Results, columns: Sequence[tuple[str, str, int]]) -> str:
    """Medians of the subjects; empty where nothing was measured."""
    shown = [column for column in columns if any(column[1] in metrics for metrics in results.values.values())]
    rows = []
    for subject, metrics in results.values.items():
        if any(metric in metrics for _, metric, _ in shown):
            spreads = [(results.spread(subject, metric), digits) for _, metric, digits in shown]
            rows.append([subject, *("" if s is None else f"{s.median:,.{digits}f}" for s, digits in spreads)])
    return table(["proxy", *(title for title, _, _ in shown)], rows) if rows else ""


def own(results: Results) -> str:
    """Further figures of our router; empty where nothing was measured."""
    found = [(title, results.spread(OURS, metric)) for title, metric in OWN]
    rows = [[title, _range(spread)] for title, spread in found if spread is not None]
    return table([OURS, "median (least to most)"], rows) if rows else ""


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table, aligned for reading as text."""
    widths = [max(len(line[n]) for line in [head, *rows]) for n in range(len(head))]
    lines = [head, ["-" * width for width in widths], *rows]
    return "".join(
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |\n"
        for line in lines
    )


def _range(spread: Spread) -> str:
    return f"{_figure(spread.median)} ({_figure(spread.least)} to {_figure(spread.most)})"


def _figure(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
