from __future__ import annotations

import dataclasses

from controller.study.drawing import svg
from controller.study.events.report import report
from controller.study.events.result import result
from controller.study.page import page
from controller.study.tables import shown
from tests.fakes.event_parts import figures, short

FOUND = result((figures(0), dataclasses.replace(figures(0), number=1, performance_min=None, to_90_s=None)))


def test_every_event_and_every_figure_is_shown() -> None:
    made = report(short(), FOUND)
    summary, each = made.tables
    assert [row[0] for row in each.rows] == [0, 1]
    assert tuple(summary.rows[0][:3]) == ("events", "", "2")
    for table in made.tables:
        for row in table.rows:
            assert len([shown(cell, column) for cell, column in zip(row, table.columns, strict=True)]) == len(row)


def test_the_report_says_what_is_simulated_and_by_which_rule_events_are_told_apart() -> None:
    told = " ".join(report(short(), FOUND).assumptions)
    assert "SIMULATED" in told
    assert "Seed 1" in told
    assert "97%" in told


def test_the_page_can_be_drawn() -> None:
    assert "<svg" in page(report(short(), FOUND), "test", svg)
