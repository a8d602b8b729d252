from __future__ import annotations

import dataclasses
import re
from html.parser import HTMLParser

from controller.study.charts import BarChart
from controller.study.page import page
from controller.study.study import Report
from controller.study.tables import Column, Table

REPORT = Report(
    "Night <& day>",
    ("found this", "and <that>"),
    (Table("Rows", (Column("who"), Column("kWh", 1)), (("a<b", 1.25), ("c", None)), "read with care"),),
    (BarChart("Bars", "USD", ("x",), (("y", (1.0,)),), note="EMULATED"),),
    ("all is EMULATED",),
    ("a trace, CC BY 4.0",),
)


class _Balance(HTMLParser):
    VOID = ("meta", "br", "!doctype")

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def written() -> str:
    return page(
        REPORT, "scenario x, kind y", lambda chart: f'<svg viewBox="0 0 1 1"><title>{chart.title}</title></svg>'
    )


def test_it_is_well_formed_and_holds_everything() -> None:
    balance = _Balance()
    balance.feed(written())
    assert balance.open == []
    for text in ("Night &lt;&amp; day&gt;", "and &lt;that&gt;", "a&lt;b", "1.2", "–", "read with care", "EMULATED",
                 "a trace, CC BY 4.0", "scenario x, kind y"):  # fmt: skip
        assert text in written()


def test_a_short_word_in_a_table_is_not_broken_at_its_hyphens() -> None:
    assert '<td class="word">a&lt;b</td>' in written()
    for told, broken in (("2026-11-22T09:12:14Z", "word"), ("two words", ""), ("x" * 25, "")):
        report = dataclasses.replace(REPORT, tables=(Table("T", (Column("a"),), ((told,),)),))
        cell = f'<td class="{broken}">{told}</td>' if broken else f"<td>{told}</td>"
        assert cell in page(report, "", lambda chart: "<svg></svg>")


def test_it_reads_without_a_network_and_in_light_and_dark() -> None:
    text = written()
    assert not re.search(r"https?://|<script|<link|url\(", text)
    assert "prefers-color-scheme: dark" in text


def test_charts_are_named_for_those_who_cannot_see_them() -> None:
    assert '<svg role="img" aria-label="Bars"' in written()
