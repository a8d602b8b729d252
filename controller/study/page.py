"""A study's report as one HTML page that reads without a network, on light and on dark ground. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from html import escape

from controller.study.charts import Chart
from controller.study.study import Report
from controller.study.tables import Table, is_figure, shown

LONGEST_WORD = 24
"""Letters; a longer word in a table may be broken."""
_STYLE = """
:root { color-scheme: light dark;
  --page: #ffffff; --text: #16202c; --muted: #586576; --line: #dfe4ea; --card: #f6f8fa; }
@media (prefers-color-scheme: dark) {
  :root { --page: #0d1117; --text: #e8edf3; --muted: #93a0b0; --line: #262e39; --card: #151b23; }
}
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 62rem; padding: 1.5rem 1rem 4rem; background: var(--page); color: var(--text);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", sans-serif; }
h1 { font-size: 1.6rem; line-height: 1.25; margin: 0 0 1rem; }
h2 { font-size: 1.1rem; margin: 2.2rem 0 .6rem; }
.note, .origin { color: var(--muted); font-size: .88rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; font-size: .92rem; }
th, td { border-bottom: 1px solid var(--line); padding: .35rem .4rem; text-align: left; vertical-align: top; }
th { color: var(--muted); font-weight: 600; }
.figure { text-align: right; }
td.figure, td.word { white-space: nowrap; }
figure { margin: 0; background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: .8rem; }
@media print {
  :root { color-scheme: light; --page: #ffffff; --text: #000000; --muted: #444444; --line: #bbbbbb; --card: #ffffff; }
  body { max-width: none; padding: 0; font-size: 11pt; }
  table { font-size: 8pt; }
  th, td { padding: .2rem .25rem; }
  .scroll { overflow: visible; }
  figure, tr, h2 { break-inside: avoid; }
  h2 { break-after: avoid; }
}
figure svg { width: 100%; height: auto; display: block; }
"""


def page(report: Report, origin: str, draw: Callable[[Chart], str]) -> str:
    """The whole page.

    Args:
        report: what it shows.
        origin: what made it, e.g. scenario, kind and version.
        draw: gives a chart as an SVG element.
    """
    parts = [
        "<!doctype html>",
        '<html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{escape(report.title)}</title><style>{_STYLE}</style></head><body>",
        f"<h1>{escape(report.title)}</h1>",
        *_paragraphs(report.paragraphs),
        *(_chart(chart, draw) for chart in report.charts),
        *(_table(table) for table in report.tables),
        "<h2>Assumptions</h2>",
        _list(report.assumptions),
        "<h2>Sources</h2>",
        _list(report.sources),
        f'<p class="origin">{escape(origin)}</p>',
        "</body></html>",
    ]
    return "\n".join(parts) + "\n"


def _paragraphs(texts: Iterable[str]) -> list[str]:
    return [f"<p>{escape(text)}</p>" for text in texts]


def _list(texts: Iterable[str]) -> str:
    return "<ul>" + "".join(f"<li>{escape(text)}</li>" for text in texts) + "</ul>"


def _note(text: str) -> str:
    return f'<p class="note">{escape(text)}</p>' if text else ""


def _chart(chart: Chart, draw: Callable[[Chart], str]) -> str:
    picture = draw(chart).replace("<svg ", f'<svg role="img" aria-label="{escape(chart.title)}" ', 1)
    return f"<h2>{escape(chart.title)}</h2>\n<figure>{picture}</figure>{_note(chart.note)}"


def _whole(cell: str | float | None) -> str:
    """A short word, such as a time, is not broken at its hyphens."""
    return ' class="word"' if isinstance(cell, str) and len(cell) <= LONGEST_WORD and " " not in cell else ""


def _table(table: Table) -> str:
    classes = [' class="figure"' if is_figure(table, n) else "" for n in range(len(table.columns))]
    heads = "".join(f"<th{cls}>{escape(c.name)}</th>" for c, cls in zip(table.columns, classes, strict=True))
    rows = "".join(
        "<tr>"
        + "".join(
            f"<td{cls or _whole(cell)}>{escape(shown(cell, column))}</td>"
            for cell, column, cls in zip(row, table.columns, classes, strict=True)
        )
        + "</tr>"
        for row in table.rows
    )
    body = f"<table><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>"
    return f'<h2>{escape(table.title)}</h2>\n<div class="scroll">{body}</div>{_note(table.note)}'
